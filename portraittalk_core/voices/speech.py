"""Make speech whose phoneme times are known, for training only.

The voice is espeak-ng (https://github.com/espeak-ng/espeak-ng, a Debian package), called through its C interface in
synchronous retrieval mode with phoneme events, so that every phoneme comes with the sample at which it begins. The
library has one global voice: it must be used from one thread of a process at a time.
"""

from __future__ import annotations

import ctypes
import functools
import re
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput, MissingExtra
from ..types import SPEECH_RATE
from . import flite
from .mouth_shapes import STOPS, Phoneme, mouth_track

__all__ = ["HELD_OUT_VOICES", "TRAIN_VOICES", "Phoneme", "mouth_track", "spell", "synthesise"]

_LIBRARY = "libespeak-ng.so.1"
_SYNCHRONOUS, _OPTIONS = 2, 0x0001 | 0x0002 | 0x8000  # phoneme events, as IPA, do not exit on errors
_PHONEME_EVENT, _RATE, _PITCH, _UTF8 = 7, 1, 3, 1
_IPA, _SEPARATOR = 0x02, "_"
_QUIET_DB = 35.0
_LONGEST_CLOSURE_S = 0.16
_MARKS = str.maketrans("", "", "ˈˌːˑ-")
_EAST_SLAVIC = ("ru", "be", "uk")

_LANGUAGES = ("en-us", "en", "en-gb-x-rp", "en-gb-scotland", "de", "fr", "es", "it", "nl", "pt-br", "sv", "pl")
_VARIANTS = ("m1", "m2", "m3", "m4", "m6", "m7", "f1", "f2", "f3", "f4", "klatt", "klatt2", "klatt3", "klatt4")
_VARIANTS_MORE = ("Annie", "Mike", "Lee", "Storm", "linda", "michael", "paul", "robert", "steph", "travis", "zac")
TRAIN_VOICES = tuple(f"{language}+{v}" for language in _LANGUAGES for v in _VARIANTS + _VARIANTS_MORE)
HELD_OUT_VOICES = tuple(
    f"{language}+{v}" for language in ("en-us", "en-gb-x-gbcwmd", "de", "ca", "ro") for v in ("m5", "f5", "Andrea")
)
"""Speakers (and accents) that training never hears."""


class _Id(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """`espeak_EVENT` of speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _Id),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.POINTER(_Event))


@functools.cache
def _library(name: str = _LIBRARY) -> tuple[ctypes.CDLL, int]:
    """Return the initialised library and its sample rate. Raises `MissingExtra` where it is not installed."""
    try:
        library = ctypes.CDLL(name)
    except OSError as error:
        raise MissingExtra(
            f"training speech needs `{name}`, which this machine lacks: apt-get install -y espeak-ng libespeak-ng1"
        ) from error
    return library, library.espeak_Initialize(_SYNCHRONOUS, 200, None, _OPTIONS)


def synthesise(
    text: str, voice: str = "en-us", rate: int = 165, pitch: int = 50
) -> tuple[Float[Tensor, "n"], list[Phoneme]]:
    """Speak a text.

    Args:
        text: In the voice's language.
        voice: A language of espeak-ng with an optional speaker after a plus sign, such as `de+f2`, or one of
            `flite.VOICES`.
        rate: Words a minute, 80 to 400.
        pitch: 0 to 99; flite's voices have their own.

    Returns:
        The waveform, mono at 16 kHz in [-1, 1], and its phonemes, which cover it without gaps.

    Raises:
        MissingExtra: Without the library or the program.
        BadInput: For an unknown voice.
    """
    if voice in flite.VOICES:
        return flite.speak(text, voice, rate)
    library, sample_rate = _library()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise BadInput(f"`voice` must be one that `espeak-ng --voices` lists, but got {voice!r}. Try 'en-us+f2'.")
    library.espeak_SetParameter(_RATE, rate, 0)
    library.espeak_SetParameter(_PITCH, pitch, 0)
    chunks: list[bytes] = []
    events: list[tuple[str, int]] = []

    def receive(samples: int | None, count: int, found: Any) -> int:
        if samples and count > 0:
            chunks.append(ctypes.string_at(samples, 2 * count))
        index = 0
        while found[index].type:
            if found[index].type == _PHONEME_EVENT:
                raw = ctypes.string_at(ctypes.addressof(found[index].id), 8)
                events.append((raw.split(b"\0")[0].decode("utf-8", "ignore"), found[index].sample))
            index += 1
        return 0

    callback = _Callback(receive)
    library.espeak_SetSynthCallback(callback)
    data = text.encode() + b"\0"
    library.espeak_Synth(data, len(data), 0, 1, 0, _UTF8, None, None)
    waveform = torch.frombuffer(bytearray(b"".join(chunks)), dtype=torch.int16).float() / 32768
    phonemes = _phonemes(waveform, events, sample_rate)
    return _resample(waveform, sample_rate), phonemes


def spell(text: str, voice: str = "en-us") -> list[list[str]]:
    """Return the phonemes of a text, word by word, without saying it.

    Args:
        text: In the voice's language.
        voice: A language of espeak-ng.

    Returns:
        IPA without stress and length, vowels after a glide apart from it.

    Raises:
        MissingExtra: Without the library.
        BadInput: For an unknown voice.
    """
    library, _ = _library()
    if library.espeak_SetVoiceByName(voice.encode()) != 0:
        raise BadInput(f"`voice` must be one that `espeak-ng --voices` lists, but got {voice!r}. Try 'en-us'.")
    phonemes_of = library.espeak_TextToPhonemes
    phonemes_of.restype, phonemes_of.argtypes = ctypes.c_char_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_int]
    given = ctypes.create_string_buffer(text.encode())
    rest = ctypes.c_void_p(ctypes.addressof(given))
    words: list[list[str]] = []
    while rest.value:  # a clause at a time
        clause = phonemes_of(ctypes.byref(rest), _UTF8, _IPA | ord(_SEPARATOR) << 8) or b""
        for word in re.sub(r"\([^)]*\)", "", clause.decode()).split():  # a change of language stands in brackets
            symbols = [symbol for part in word.split(_SEPARATOR) for symbol in _symbols(part, voice)]
            words += [symbols] if symbols else []
    return words


def _symbols(part: str, voice: str) -> list[str]:
    plain = part.translate(_MARKS)
    if voice in _EAST_SLAVIC:  # where espeak-ng writes a y for what has no round lips
        plain = plain.replace("y", "ɨ")
    return [plain[0], plain[1:]] if len(plain) > 1 and plain[0] == "j" else [plain] if plain else []


def _resample(waveform: Float[Tensor, "n"], sample_rate: int) -> Float[Tensor, "m"]:
    if sample_rate == SPEECH_RATE:
        return waveform
    from scipy.signal import resample_poly

    divisor = torch.gcd(torch.tensor(SPEECH_RATE), torch.tensor(sample_rate)).item()
    return torch.from_numpy(resample_poly(waveform.numpy(), SPEECH_RATE // divisor, sample_rate // divisor)).float()


def _phonemes(waveform: Float[Tensor, "n"], events: list[tuple[str, int]], sample_rate: int) -> list[Phoneme]:
    """Return phonemes from events, with silent closures given to their stop and loud "pauses" to the sound before.

    espeak-ng reports a voiceless stop at its burst; lips and tongue close before. It also reports nameless events
    inside words, which are not pauses.
    """
    hop = sample_rate // 200
    level = 20 * torch.log10(waveform[: len(waveform) // hop * hop].reshape(-1, hop).square().mean(1).sqrt() + 1e-5)
    quiet = level < level.max() - _QUIET_DB if len(level) else level.bool()
    marks: list[tuple[str, int]] = []
    for (symbol, begin), after in zip(events, [*(s for _, s in events[1:]), len(waveform)], strict=True):
        if after <= begin:
            continue
        if not symbol and marks and not quiet[begin // hop : max(after // hop, begin // hop + 1)].float().mean() > 0.5:
            continue
        if symbol[:1] in STOPS and symbol:
            first = begin // hop
            while first > 0 and quiet[first - 1] and (begin - first * hop) < _LONGEST_CLOSURE_S * sample_rate:
                first -= 1
            begin = max(first * hop, marks[-1][1] if marks else 0) if first * hop < begin else begin
        marks.append((symbol, begin))
    if marks and marks[0][1] > 0:
        marks.insert(0, ("", 0))
    ends = [*(s for _, s in marks[1:]), len(waveform)]
    return [Phoneme(s, b / sample_rate, e / sample_rate) for (s, b), e in zip(marks, ends, strict=True) if e > b]
