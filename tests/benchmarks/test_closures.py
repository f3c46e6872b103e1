"""What counts as shut lips, as a closure and as a vowel, and how evidence is judged."""

import torch

from benchmarks.closures import average_precision, count, lips_shut
from benchmarks.parts.real.listening import Listener
from portraittalk_core.motion.audio_to_motion import AudioToMotion
from portraittalk_core.types import MOUTH, SpeechFeatures
from portraittalk_core.voices.mouth_shapes import HELD_SHUT, Phoneme, mouth_track, shape_row

FPS = 25.0


class Scripted(AudioToMotion):
    """Hears a mouth, whatever is said."""

    def __init__(self, track):
        super().__init__(dim=1)
        self.track = track

    def hear(self, hidden):
        return self.track, self.track[:, MOUTH.index("mouthRollUpper")] * 40 - 4


class Deaf:
    """Encodes loud speech of nothing."""

    def encode(self, waveform, fps, frames):
        return SpeechFeatures(torch.zeros(frames, 1), torch.full((frames,), -20.0), fps)


def said(*symbols: str) -> list[Phoneme]:
    return [Phoneme(symbol, 0.2 * k, 0.2 * k + 0.2) for k, symbol in enumerate(symbols)]


def counted(track, sounds):
    waveform = torch.randn(int(len(track) / FPS * 16000))
    return count(Listener(Deaf(), Scripted(track)), iter([(waveform, sounds)]))


def test_a_mouth_that_says_what_is_said_shuts_each_closure_and_no_vowel():
    sounds = said("", "m", "a", "b", "ɪ", "p", "æ", "t", "a", "")
    found = counted(mouth_track(sounds, FPS, 2.0), sounds)
    assert found.shut == [True, True]  # the m has silence before it
    assert found.vowels == [False] * 2 and found.line("x") == "| x | 100 % of 2 | 0 % of 2 | 0 % of 1 | 1.00 |"


def test_a_mouth_that_never_shuts_and_one_that_never_opens():
    sounds = said("", "ɪ", "b", "a", "t", "ɪ", "")
    open_, shut = (shape_row(asks).expand(30, -1) for asks in ({"jawOpen": 0.4}, HELD_SHUT))
    for track, so in ((open_, False), (shut, True)):
        found = counted(track, sounds)
        assert found.shut == found.vowels == found.others == [so]


def test_lips_that_part_over_a_shut_jaw_are_not_shut():
    rows = [{}, HELD_SHUT, {"jawOpen": 0.1}, {"jawOpen": 0.3, "mouthClose": 0.3}, {"mouthUpperUp": 0.2}]
    assert lips_shut(torch.stack([shape_row(row) for row in rows]), MOUTH).tolist() == [True, True, False, True, False]


def test_average_precision_is_that_of_the_order_alone():
    right = [(0.9, True), (0.8, True), (0.1, False), (0.0, False)]
    assert average_precision(right) == 1 and average_precision([(v, not so) for v, so in right]) < 0.5
    assert average_precision([(10 * v, so) for v, so in right]) == 1 and average_precision([(1.0, False)]) == 0
