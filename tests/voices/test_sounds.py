"""Sounds in classes: every sound that has a mouth has one, and times are kept."""

import torch

from portraittalk_core.voices import mouth_shapes
from portraittalk_core.voices.mouth_shapes import Phoneme
from portraittalk_core.voices.sounds import OPEN, SHUT, SOUNDS, runs, sound_numbers


def test_every_letter_with_a_mouth_has_a_class():
    for letter in mouth_shapes._SHAPES:
        number = int(sound_numbers([Phoneme(letter, 0.0, 0.1)], 100, 10)[5])
        assert number and len(SOUNDS[number]) == 1
    assert set(SHUT + OPEN) <= set(SOUNDS)


def test_sounds_that_look_alike_have_classes_of_their_own():
    said = [Phoneme(symbol, 0.1 * k, 0.1 * k + 0.1) for k, symbol in enumerate(("m", "b", "p", "n", "ɳ", "tʃ"))]
    names = [SOUNDS[k] for k in sound_numbers(said, 10, 6)]
    assert names == ["m", "b", "p", "n", "n", "ʃ"]


def test_runs_are_what_was_said():
    said = [Phoneme("", 0.0, 0.2), Phoneme("b", 0.2, 0.3), Phoneme("aɪ", 0.3, 0.5), Phoneme("", 0.5, 0.6)]
    numbers = sound_numbers(said, 100, 80)
    assert numbers.dtype == torch.int8 and not numbers[50:].any()
    found = runs(numbers, 100)
    assert [one.symbol for one in found] == ["", "b", "a", "ɪ", ""]
    assert [round(one.end_s, 2) for one in found] == [0.2, 0.3, 0.42, 0.5, 0.8] and found[1].start_s == 0.2
