"""Speak with flite, whose voices were built from recordings of people, for training only.

flite (http://www.festvox.org/flite, a Debian package) gives the time at which each phone ends. Its voices are few, but
sound more like people than a formant synthesiser does.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, MissingExtra
from ..types import SPEECH_RATE
from .mouth_shapes import Phoneme

VOICES = ("flite+slt", "flite+rms", "flite+awb", "flite+kal16")
"""American men and women, and a Scotsman."""

_PROGRAM = "flite"
_USUAL_RATE = 165
_IPA = {
    "aa": "ɑ", "ae": "æ", "ah": "ʌ", "ao": "ɔ", "aw": "aʊ", "ax": "ə", "axr": "ɚ", "ay": "aɪ", "b": "b", "ch": "tʃ",
    "d": "d", "dh": "ð", "dx": "ɾ", "eh": "ɛ", "el": "l", "em": "m", "en": "n", "er": "ɜ", "ey": "eɪ", "f": "f",
    "g": "ɡ", "hh": "h", "hv": "h", "ih": "ɪ", "iy": "i", "jh": "dʒ", "k": "k", "l": "l", "m": "m", "n": "n",
    "ng": "ŋ", "nx": "n", "ow": "oʊ", "oy": "ɔɪ", "p": "p", "pau": "", "r": "ɹ", "s": "s", "sh": "ʃ", "t": "t",
    "th": "θ", "uh": "ʊ", "uw": "u", "v": "v", "w": "w", "y": "j", "z": "z", "zh": "ʒ",
}  # fmt: skip


def speak(
    text: str, voice: str, rate: int = _USUAL_RATE, program: str = _PROGRAM
) -> tuple[Float[Tensor, "n"], list[Phoneme]]:
    """Speak an English text.

    Args:
        text: What is said.
        voice: One of `VOICES`.
        rate: Words a minute, roughly.
        program: What speaks.

    Returns:
        The waveform, mono at 16 kHz in [-1, 1], and its phonemes, which cover it without gaps.

    Raises:
        MissingExtra: Without the program.
        BadInput: For an unknown voice.
    """
    if voice not in VOICES:
        raise BadInput(f"`voice` must be one of {', '.join(VOICES)}, but got {voice!r}. Try {VOICES[0]}.")
    if shutil.which(program) is None:
        raise MissingExtra(f"training speech needs `{program}`, which this machine lacks: apt-get install -y flite")
    from scipy.io import wavfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        stretch = f"duration_stretch={_USUAL_RATE / rate:.3f}"
        command = [program, "-voice", voice.partition("+")[2], "--setf", stretch, "-psdur", "-t", text, "-o", str(path)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found_rate, samples = wavfile.read(path)
    if found_rate != SPEECH_RATE:
        raise BadInput(f"`voice` must speak at {SPEECH_RATE} Hz, but {voice} speaks at {found_rate}. Choose another.")
    waveform = torch.from_numpy(samples.astype("float32") / 32768)
    return waveform, _phonemes(said, len(waveform) / SPEECH_RATE)


def _phonemes(said: str, duration_s: float) -> list[Phoneme]:
    """Return the phonemes of a list of "phone:end"; the last ends with the sound."""
    phonemes: list[Phoneme] = []
    now = 0.0
    for entry in said.split():
        phone, _, end = entry.rpartition(":")
        until = min(float(end), duration_s)
        if until > now:
            phonemes.append(Phoneme(_IPA[phone], now, until))
            now = until
    if duration_s > now:
        phonemes.append(Phoneme("", now, duration_s))
    return phonemes
