"""Phonemes are found in recordings of made-up sounds whose times are known."""

import itertools

import pytest
import torch

from portraittalk_core.types import SPEECH_RATE
from portraittalk_core.voices.alignment import align, cepstra

WORDS = ["am", "mi", "sa", "im", "as"]
HERTZ = {"a": (700, 1200), "i": (300, 2400), "m": (200, 260)}


def sound(letter: str, length_s: float, generator: torch.Generator) -> torch.Tensor:
    """Return a vowel of two tones, a hum, or noise; a space is silence."""
    time_s = torch.arange(int(length_s * SPEECH_RATE)) / SPEECH_RATE
    noise = torch.randn(len(time_s), generator=generator)
    if letter == " ":
        return 1e-4 * noise
    if letter == "s":
        return 0.05 * noise.diff(prepend=noise[:1])
    level = 0.03 if letter == "m" else 0.2
    return level * sum(torch.sin(2 * torch.pi * hertz * time_s) for hertz in HERTZ[letter]) + 1e-3 * noise


def say(words: list[str], generator: torch.Generator) -> tuple[torch.Tensor, list[float]]:
    """Return the sound of words and the seconds at which their letters begin; some have silence between them."""
    pieces, starts, now = [], [], 0.0
    for letter in " " + "".join(word + " " * int(torch.randint(2, (), generator=generator)) for word in words) + " ":
        length_s = 0.08 + 0.01 * int(torch.randint(10, (), generator=generator))
        if letter != " ":
            starts.append(now)
        pieces.append(sound(letter, length_s, generator))
        now += len(pieces[-1]) / SPEECH_RATE
    return torch.cat(pieces), starts


@pytest.fixture(scope="module")
def spoken():
    """Return sounds, words and times of twelve utterances, and how they are aligned; the last says something else."""
    generator = torch.Generator().manual_seed(3)
    texts = [[WORDS[(k + j * (1 + k % 3)) % 5] for j in range(4)] for k in range(12)]
    waveforms, starts = zip(*(say(words, generator) for words in texts), strict=True)
    claimed = [*texts[:-1], ["sim", "sis", "mass", "sis"]]
    found = align(waveforms, [[list(word) for word in words] for words in claimed])
    return waveforms, texts, starts, found


def test_letters_begin_where_they_were_said(spoken):
    _, texts, starts, found = spoken
    off = []
    for words, begins, aligned in zip(texts[:-1], starts, found, strict=False):
        letters = [phoneme for phoneme in aligned.phonemes if phoneme.symbol]
        assert [phoneme.symbol for phoneme in letters] == list("".join(words))
        off += [abs(phoneme.start_s - begin) for phoneme, begin in zip(letters, begins, strict=True)]
    assert sorted(off)[len(off) // 2] < 0.03 and sum(error < 0.045 for error in off) > 0.9 * len(off)


def test_phonemes_cover_the_recording_and_silence_is_found(spoken):
    waveforms, _, _, found = spoken
    for waveform, aligned in zip(waveforms, found, strict=True):
        phonemes = aligned.phonemes
        assert phonemes[0].start_s == 0 and phonemes[-1].end_s == pytest.approx(len(waveform) / SPEECH_RATE)
        assert all(a.end_s == b.start_s for a, b in itertools.pairwise(phonemes))
    assert found[0].phonemes[0].symbol == "" == found[0].phonemes[-1].symbol
    assert any(not phoneme.symbol for phoneme in found[0].phonemes[1:-1])


def test_what_says_something_else_fits_worst(spoken):
    fits = [aligned.fit for aligned in spoken[-1]]
    assert min(fits) == fits[-1] < sorted(fits)[1] - 1


def test_cepstra_know_no_level():
    tone, quiet = (cepstra(level * sound("s", 0.5, torch.Generator().manual_seed(0))) for level in (1.0, 0.1))
    assert tone.shape == (51, 39) and torch.allclose(tone, quiet, atol=1e-3)
