"""Voices built from recordings: phonemes cover the sound. Skipped where flite is not installed."""

import itertools
import shutil

import pytest

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.types import SPEECH_RATE
from portraittalk_core.voices import flite
from portraittalk_core.voices.speech import synthesise


@pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed: apt-get install -y flite")
def test_phonemes_cover_the_sound_without_gaps():
    waveform, phonemes = synthesise("my puppy might bump a map", "flite+slt")
    assert waveform.ndim == 1 and waveform.abs().max() > 0.1
    assert phonemes[0].start_s == 0 and phonemes[-1].end_s == pytest.approx(len(waveform) / SPEECH_RATE, abs=0.01)
    assert all(a.end_s == b.start_s for a, b in itertools.pairwise(phonemes))
    assert {"", "m", "p", "aɪ"} <= {p.symbol for p in phonemes}


def test_ends_of_phones_become_phonemes():
    found = flite._phonemes("pau:0.1 ch:0.2 ow:0.4 ", 0.5)
    assert [(p.symbol, p.start_s, p.end_s) for p in found] == [
        ("", 0.0, 0.1),
        ("tʃ", 0.1, 0.2),
        ("oʊ", 0.2, 0.4),
        ("", 0.4, 0.5),
    ]


def test_without_the_program_the_cure_is_named():
    with pytest.raises(MissingExtra, match="apt-get install -y flite"):
        flite.speak("hello", "flite+slt", program="no-such-program")
    with pytest.raises(BadInput, match=r"`voice` must be one of flite\+slt"):
        flite.speak("hello", "flite+nobody")
