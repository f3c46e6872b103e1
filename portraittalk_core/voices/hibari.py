"""Speak with hibari, a small neural voice that sounds like a person, for training only.

hibari (https://github.com/MMWilliams/hibari, PyPI `hibari-tts`, Apache-2.0 with its voice) does not say when each
phoneme is said; `alignment` finds it, as in recordings of people.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import json
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import MissingExtra
from .sentences import sentence

SAMPLE_RATE = 24_000
_SHORTEST, _LONGEST = 3, 9
_WORDS = 9


@functools.cache
def _voice() -> tuple[Any, tuple[str, ...]]:
    """Return what speaks, and words that it knows. Raises `MissingExtra` where it is not installed."""
    try:
        hibari: Any = importlib.import_module("hibari")
    except ImportError as error:
        raise MissingExtra(
            "hibari's voice needs `hibari-tts`, which is not installed: pip install hibari-tts"
        ) from error
    known = Path(hibari.__file__).parent / "assets" / "lexicon_us_gold.json.gz"
    words = json.loads(gzip.decompress(known.read_bytes()))
    plain = (w for w in words if w.isascii() and w.isalpha() and w.islower() and _SHORTEST <= len(w) <= _LONGEST)
    return hibari.Hibari(), tuple(sorted(plain))


def text(generator: torch.Generator) -> str:
    """Return something to say: a sentence, or words in a row, so that sounds stand beside each other as they come.

    Args:
        generator: Draws it.
    """
    if float(torch.rand((), generator=generator)) < 0.3:
        return sentence("en-us", generator)
    words = _voice()[1]
    drawn = torch.randint(len(words), (_WORDS,), generator=generator).tolist()
    return " ".join(words[k] for k in drawn) + "."


def speak(said: str, speed: float, seed: int) -> Float[Tensor, "n"]:
    """Speak an English text.

    Args:
        said: The text.
        speed: 0.5 to 2; 1 is usual.
        seed: Of the breath in it.

    Returns:
        Mono at `SAMPLE_RATE` in [-1, 1].

    Raises:
        MissingExtra: Without hibari.
    """
    return torch.from_numpy(_voice()[0](said, speed=speed, seed=seed).astype("float32"))
