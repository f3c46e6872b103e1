"""Drawing with formulas: anti-aliased coverage, soft steps, and colours that are mixed like paint."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def cover(distance: Tensor, softness: Tensor | float) -> Tensor:
    """Return how much of a pixel lies inside a shape, given its signed distance (negative inside)."""
    return torch.clamp(0.5 - distance / softness, 0, 1)


def step(start: Tensor | float, end: Tensor | float, x: Tensor) -> Tensor:
    """Rise smoothly from 0 at `start` to 1 at `end`; falls when `end` is the smaller."""
    t = torch.clamp((x - start) / (end - start), 0, 1)
    return t * t * (3 - 2 * t)


def bump(x: Tensor, y: Tensor, size: Tensor | float) -> Tensor:
    """Return a round Gaussian bump of height 1."""
    return torch.exp(-(x * x + y * y) / (size * size))


def ridge(x: Tensor, size: Tensor | float) -> Tensor:
    """Return a Gaussian line of height 1 along x = 0."""
    return torch.exp(-((x / size) ** 2))


def norm(x: Tensor, y: Tensor) -> Tensor:
    """Return the length of (x, y), smooth at the origin."""
    return torch.sqrt(x * x + y * y + 1e-7)


class Colour(NamedTuple):
    """Red, green and blue in [0, 1], each a number for every pixel."""

    r: Tensor
    g: Tensor
    b: Tensor

    def mix(self, other: Colour, amount: Tensor | float) -> Colour:
        """Paint `other` over this, `amount` in [0, 1]."""
        return Colour(*(mine + (theirs - mine) * amount for mine, theirs in zip(self, other, strict=True)))

    def shade(self, *factors: Tensor | float) -> Colour:
        """Multiply by one factor, or by one for each channel."""
        three = factors * 3 if len(factors) == 1 else factors
        return Colour(*(mine * factor for mine, factor in zip(self, three, strict=True)))

    def lift(self, amount: Tensor | float) -> Colour:
        """Add white."""
        return Colour(*(mine + amount for mine in self))


def plain(like: Tensor, r: Tensor | float, g: Tensor | float, b: Tensor | float) -> Colour:
    """Return one colour for all pixels of `like`."""
    nothing = torch.zeros_like(like)
    return Colour(nothing + r, nothing + g, nothing + b)
