"""Where the crop around a head lies in the square that holds its photograph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..types import CropPlace
from .scene import View


@dataclass(frozen=True)
class Surroundings:
    """The square that holds a photograph, and where the crop lies in it."""

    square: CropPlace
    """Of the photograph: what the square is of it."""

    crop: View
    """The crop in it."""

    whole: View
    """The square itself, for which holds what is settled in the crop."""

    @classmethod
    def of(cls, place: CropPlace) -> Surroundings:
        """Find the square.

        Args:
            place: Of the crop in its photograph.
        """
        ends = [
            (min(0, start), max(length, start + place.side))
            for start, length in ((place.left, place.width), (place.top, place.height))
        ]
        side = max(last - first for first, last in ends)
        left, top = (first - (side - (last - first)) // 2 for first, last in ends)
        settled: dict[str, Any] = {}
        rows = (-top / side, (place.height - top) / side)
        crop = View((place.left - left) / side, (place.top - top) / side, place.side / side, 1.0, rows, settled)
        whole = View(zoom=side / place.side, rows=rows, settled=settled, said=crop.said)
        return cls(CropPlace(left, top, side, place.height, place.width), crop, whole)

    def of_another(self, place: CropPlace) -> Surroundings:
        """Return where another crop lies in the same square, of which nothing is settled.

        Args:
            place: Of that crop in the same photograph.
        """
        square = self.square
        left, top = ((a - b) / square.side for a, b in ((place.left, square.left), (place.top, square.top)))
        crop = View(left, top, place.side / square.side, 1.0, self.crop.rows)
        return Surroundings(square, crop, View(zoom=square.side / place.side, rows=self.crop.rows))

    @property
    def middle(self) -> tuple[float, float]:
        """Of the crop, in [-1, 1] of the square."""
        half = self.crop.side / 2
        return 2 * (self.crop.left + half) - 1, 2 * (self.crop.top + half) - 1

    def outside(self, points: Float[Tensor, "n k 2"]) -> Float[Tensor, "n k 2"]:
        """Return points of the crop as points of the square, both in [-1, 1]."""
        return points * self.crop.side + points.new_tensor(self.middle)

    def inside(self, points: Float[Tensor, "n k 2"]) -> Float[Tensor, "n k 2"]:
        """Undo `outside`."""
        return (points - points.new_tensor(self.middle)) / self.crop.side

    def cut(self, values: Float[Tensor, "n c s s"]) -> Float[Tensor, "n c k k"]:
        """Return what the crop has of values of the square."""
        return cut_part(values, self.middle, self.crop.side, max(1, round(self.crop.side * values.shape[-1])))

    def with_crop(
        self, values: Float[Tensor, "n c s s"], crop: Float[Tensor, "n c k k"], soft: float = 0.0
    ) -> Float[Tensor, "n c s s"]:
        """Return values of the square with others in the crop, whose edge is soft over a share of half its side."""
        side = values.shape[-1]
        small = min(crop.shape[-1], max(1, round(self.crop.side * side)))
        crop = crop if crop.shape[-1] == small else functional.interpolate(crop, (small, small), mode="area")
        return laid(values, crop, self.middle, self.crop.side, max(soft, 1 / small))


def away(where: Surroundings, side: int) -> Float[Tensor, "side side"]:
    """Return how far each pixel is from the middle of the crop, in half crops; the crop ends at 1."""
    axis = (torch.arange(side) * 2 + 1) / side - 1
    x, y = ((axis - middle).abs() / where.crop.side for middle in where.middle)
    return torch.maximum(x[None], y[:, None])


def cut_part(values: Tensor, middle: tuple[float, float], half: float, side: int) -> Tensor:
    """Return a square part of a picture; beyond the picture its edge is repeated."""
    affine = values.new_tensor([[half, 0, middle[0]], [0, half, middle[1]]]).expand(len(values), -1, -1)
    grid = functional.affine_grid(affine, [len(values), values.shape[1], side, side], align_corners=False)
    return functional.grid_sample(values, grid, padding_mode="border", align_corners=False)


def laid(values: Tensor, part: Tensor, middle: tuple[float, float], half: float, soft: float) -> Tensor:
    """Lay a square part over a picture, its edge soft over a share of half its side; 0: it covers all."""
    side = values.shape[-1]
    axis = (torch.arange(side, device=values.device) * 2 + 1) / side - 1
    x, y = ((axis - start) / half for start in middle)
    grid = torch.stack([x[None].expand(side, -1), y[:, None].expand(-1, side)], -1)[None]
    there = functional.grid_sample(
        part, grid.expand(len(part), -1, -1, -1).to(part), padding_mode="border", align_corners=False
    )
    if soft == 0:
        return there
    share = ((1 - torch.maximum(x.abs()[None], y.abs()[:, None])) / soft).clamp(0, 1)
    return torch.lerp(values, there, share.to(values))
