"""The sounds of all languages in forty classes: what a listener is asked for beside the mouth, while it learns.

Where the mouth alone is asked for, m, b and p are one in a dozen frames of a column among thirteen, and a listener that
says their mean errs little. Which sound it is has no mean.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from .mouth_shapes import Phoneme, segments

SHUT = ("m", "b", "p")
"""Sounds that are said with lips shut."""

OPEN = ("a", "ɑ", "æ", "ʌ", "ɛ")
"""Vowels at which nobody shuts them."""

_ALIKE = {
    "m": "", "b": "", "p": "", "n": "ɲɳ", "ŋ": "ɴ", "d": "ɖ", "t": "ʈ", "ɡ": "gɟɣ", "k": "cq", "f": "ɸ", "v": "ɱβ",
    "θ": "", "ð": "", "s": "", "z": "", "ʃ": "ɕʂ", "ʒ": "ʑʐ", "x": "χçʁʀ", "h": "ɦħʔʕ", "l": "ɫɬɭʎ", "r": "ɾɽ",
    "ɹ": "ɻ", "w": "ʍɥ", "j": "ʝʲ", "i": "", "ɪ": "ɨ", "e": "ɘ", "ɛ": "", "æ": "", "a": "ä", "ɑ": "", "ʌ": "ɐ",
    "ɔ": "ɒ", "o": "ɤ", "ʊ": "ʏ", "u": "ʉɯ", "y": "", "ø": "ɵœ", "ɜ": "ɝɞ", "ə": "ɚ",
}  # fmt: skip

SOUNDS = ("", *_ALIKE)
"""The classes: silence, and each sound by the letter of IPA that it is known by."""

_NUMBERS = {letter: SOUNDS.index(name) for name, others in _ALIKE.items() for letter in name + others}


def sound_numbers(phonemes: Sequence[Phoneme], rate: float, rows: int) -> Int[Tensor, "rows"]:
    """Return which of `SOUNDS` is heard when.

    Args:
        phonemes: In order; a diphthong is two sounds.
        rate: Rows a second; each stands for the middle of its span.
        rows: How many; those after the last sound are silent.

    Returns:
        Numbers into `SOUNDS`, int8.
    """
    found = torch.zeros(rows, dtype=torch.int8)
    for letter, start_s, end_s in segments(list(phonemes)):
        first, last = (max(0, round(time_s * rate)) for time_s in (start_s, end_s))
        found[first:last] = _NUMBERS[letter] if letter else 0
    return found


def runs(numbers: Int[Tensor, "rows"], rate: float) -> list[Phoneme]:
    """Return what `sound_numbers` was made of: each run of a class as one phoneme.

    Args:
        numbers: Into `SOUNDS`.
        rate: Rows a second.
    """
    values, counts = torch.unique_consecutive(numbers, return_counts=True)
    ends = (counts.cumsum(0).double() / rate).tolist()
    starts = [0.0, *ends[:-1]]
    return [Phoneme(SOUNDS[v], start, end) for v, start, end in zip(values.tolist(), starts, ends, strict=True)]
