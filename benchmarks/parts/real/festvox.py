"""A recorded speaker whose phonemes were labelled: Debian's `festvox-ru` (Nickolay Shmyrev, 2005; BSD-like licence)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from portraittalk_core.media.audio import read_sound, speech_waveform
from portraittalk_core.voices.mouth_shapes import Phoneme

_IPA = {
    "pau": "", "a": "ʌ", "ay": "ə", "ae": "ɪ", "aa": "a", "oo": "o", "ee": "e", "e": "ɛ", "i": "ɪ", "ii": "i", "y": "ɨ",
    "yy": "ɨ", "u": "ʊ", "uu": "u", "ur": "ʊ", "zh": "ʒ", "sh": "ʃ", "sch": "ɕ", "ch": "tʃ", "c": "ts", "h": "x",
    "g": "ɡ", "j": "j",
} | {letter: letter for letter in "ptkbdvfszlmnr"}  # fmt: skip
"""Of its labels; a soft consonant is written twice."""

_EVERY = 12


def labelled(voice: Path) -> Iterator[tuple[Float[Tensor, "n"], list[Phoneme]]]:
    """Return every twelfth of its sentences, each with its phonemes.

    Args:
        voice: The folder `msu_ru_nsh_clunits`, in which `wav` and `lab` are.
    """
    for label in sorted((voice / "lab").glob("*.lab"))[::_EVERY]:
        phonemes: list[Phoneme] = []
        now = 0.0
        for line in label.read_text(encoding="utf-8", errors="ignore").splitlines():
            until, _, name = (*line.split(), "", "")[:3]
            if name:
                symbol = _IPA[name] if name in _IPA else _IPA[name[: len(name) // 2]]
                phonemes.append(Phoneme(symbol, now, float(until)))
                now = float(until)
        yield speech_waveform(read_sound(voice / "wav" / f"{label.stem}.wav")), phonemes
