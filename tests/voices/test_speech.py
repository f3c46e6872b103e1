"""Speech for training data: sound and phonemes belong together. Skipped where espeak-ng is not installed."""

import ctypes
import itertools

import pytest

from portraittalk_core.errors import BadInput, MissingExtra
from portraittalk_core.types import SPEECH_RATE
from portraittalk_core.voices import speech


def _installed() -> bool:
    try:
        ctypes.CDLL(speech._LIBRARY)
    except OSError:
        return False
    return True


needs_espeak = pytest.mark.skipif(not _installed(), reason="no espeak-ng: apt-get install -y espeak-ng libespeak-ng1")


@needs_espeak
def test_phonemes_cover_the_sound_without_gaps():
    waveform, phonemes = speech.synthesise("my puppy might bump a map")
    assert waveform.ndim == 1 and waveform.abs().max() > 0.1
    assert phonemes[0].start_s == pytest.approx(0, abs=0.02)
    assert all(a.end_s == pytest.approx(b.start_s) for a, b in itertools.pairwise(phonemes))
    assert phonemes[-1].end_s == pytest.approx(len(waveform) / SPEECH_RATE, abs=0.05)
    assert {"m", "p"} <= {p.symbol[:1] for p in phonemes}


@needs_espeak
def test_voices_differ_and_an_unknown_one_is_named():
    one, _ = speech.synthesise("hello", voice="en-us+m3")
    other, _ = speech.synthesise("hello", voice="de+f2")
    assert len(one) != len(other)
    with pytest.raises(BadInput, match="`voice` must be one that"):
        speech.synthesise("hello", voice="xx-no-such")


def test_without_the_library_the_cure_is_named():
    with pytest.raises(MissingExtra, match="apt-get install -y espeak-ng"):
        speech._library("libno-such-espeak.so")


@needs_espeak
def test_spelling_keeps_words_apart_and_drops_stress():
    assert speech.spell("My puppy; a map.") == [["m", "aɪ"], ["p", "ʌ", "p", "i"], ["ɐ"], ["m", "æ", "p"]]


@needs_espeak
def test_russian_has_no_round_lips_where_it_is_written_y_and_glides_stand_alone():
    assert [word[1] for word in speech.spell("ты был", "ru")] == ["ɨ", "ɨ"]
    assert speech.spell("моя", "ru")[0][-2:] == ["j", "a"]


@needs_espeak
def test_spelling_in_an_unknown_language_is_an_error():
    with pytest.raises(BadInput, match="voice"):
        speech.spell("a", "no-such-language")
