"""Portraits of rendered people with what each cell belongs to, made to look like photographs of all sorts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy import ndarray
from torch import Tensor

from ...topology import SEGMENTS
from ..dense.data import photographic
from ..leaves import dead_leaves
from ..people.bank import MAP_SIZE, SIZE, Bank
from .augmentation import (
    before_place,
    cut_place,
    dyed,
    patterned,
    shaded,
    slipped,
    wall_alike,
    with_arm,
    with_fringe,
)

_HAIR, _CLOTHES, _ACCESSORY = (SEGMENTS.index(name) for name in ("hair", "clothes", "accessory"))
LEAVES = 40
"""Pictures of dead leaves."""

_REPLACED = 0.5
"""How often a person stands before something else than the renderer's place."""
_DYED = {_HAIR: 0.22, _CLOTHES: 0.15, _ACCESSORY: 0.15}
"""How often each of them takes another colour, likewise."""
_PATTERNED = 0.15
"""How often clothes have the pattern of a picture: flowers, badges, lace."""
_ALIKE = 0.15
"""How often the place is a wall as light as hair or clothes are: a dark coat before a dark wall."""
_ARM = 0.06
"""How often an arm or a hand lies before the person."""
_FRINGED = 0.35
"""How often locks fall over the forehead, as few do that are rendered."""
_SHADED = 0.2
"""How often one side of the picture lies in shade, as in paintings."""

_SLIPPED = 0.3
"""How often hair lies elsewhere on the head: over the forehead, over the ears."""
_SOFT = 0.3
"""How often a picture is out of focus: what a denoiser draws is, too."""


@dataclass(frozen=True)
class ParsedPortraits:
    """One step's pictures."""

    pictures: Float[Tensor, "n 3 s s"]
    """In [-1, 1]."""

    landmarks: Float[Tensor, "n 478 2"]
    """In [-1, 1], a little off, as a network finds them."""

    segments: Int[Tensor, "n m m"]
    """Index into `SEGMENTS` of each cell."""


class PortraitStore:
    """The portraits of a bank whose segments are known, in memory."""

    def __init__(
        self, bank: Bank, places: Sequence[UInt8[ndarray, "h w 3"]] = (), leaves: int = LEAVES, seed: int = 0
    ) -> None:
        """Read the segments.

        Args:
            bank: Of rendered people.
            places: Photographs without people, that stand behind some of them.
            leaves: Pictures of dead leaves, that stand behind others.
            seed: Of the leaves.
        """
        self.bank = bank
        self.rows = np.nonzero(bank.appearance == 0)[0]
        maps = [bank.maps(shard)[2] for shard in range(len(bank.numbers))]
        self.segments = np.stack([maps[bank.shard[row]][bank.row[row]] for row in self.rows])
        rng = np.random.default_rng([seed, 53])
        self.places = [*places, *(dead_leaves(rng, 2 * SIZE, places) for _ in range(leaves))]

    def batch(self, seed: int, step: int, count: int) -> ParsedPortraits:
        """Return a batch, decided by seed and step.

        Args:
            seed: Of the run.
            step: Of the run.
            count: Of pictures.
        """
        rng = np.random.default_rng([seed, step])
        made = [self._portrait(rng, int(k)) for k in rng.integers(len(self.rows), size=count)]
        pictures = torch.from_numpy(np.stack([picture for picture, _, _ in made])).permute(0, 3, 1, 2)
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        points = torch.from_numpy(np.stack([points for _, points, _ in made]))
        drift = 0.02 * torch.randn(count, 1, 2, generator=generator)
        return ParsedPortraits(
            pictures=photographic(pictures.float() / 127.5 - 1, generator),
            landmarks=points + drift + 0.004 * torch.randn(points.shape, generator=generator),
            segments=torch.from_numpy(np.stack([segments for _, _, segments in made]).astype(np.int64)),
        )

    def exact(self, rows: Sequence[int]) -> ParsedPortraits:
        """Return portraits as they were rendered.

        Args:
            rows: Which of the store's.
        """
        which = self.rows[list(rows)]
        pictures = torch.from_numpy(np.stack([self.bank.picture(row) for row in which])).permute(0, 3, 1, 2)
        points = torch.from_numpy(self.bank.landmarks[which])
        segments = torch.from_numpy(self.segments[list(rows)].astype(np.int64))
        return ParsedPortraits(pictures.float() / 127.5 - 1, points, segments)

    def _portrait(self, rng: np.random.Generator, k: int) -> tuple[ndarray, ndarray, ndarray]:
        row, segments = self.rows[k], self.segments[k]
        picture, points = self.bank.picture(row), self.bank.landmarks[row]
        for segment, chance in _DYED.items():
            if rng.random() < chance:
                picture = dyed(rng, picture, segments, segment)
        if rng.random() < _PATTERNED:
            picture = patterned(picture, segments, self._place(rng))
        if rng.random() < _SLIPPED:
            picture, segments = slipped(rng, picture, segments)
        if rng.random() < _FRINGED:
            picture, segments = with_fringe(rng, picture, points, segments)
        if rng.random() < _REPLACED:
            alike = rng.random() < _ALIKE / _REPLACED
            picture = before_place(picture, segments, wall_alike(rng, picture, segments) if alike else self._place(rng))
        if rng.random() < _ARM:
            picture, segments = with_arm(rng, picture, segments)
        if rng.random() < _SHADED:
            picture = shaded(rng, picture)
        if rng.random() < _SOFT:
            picture = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.7, 3.5))
        return _placed(rng, picture, points, segments)

    def _place(self, rng: np.random.Generator) -> ndarray:
        return cut_place(rng, self.places[rng.integers(len(self.places))])


def _placed(
    rng: np.random.Generator, picture: ndarray, points: ndarray, segments: ndarray
) -> tuple[ndarray, ndarray, ndarray]:
    """Mirror, turn, shift and scale; what a photograph ends at goes on as its edge does."""
    angle, scale = rng.normal(0, 0.12), np.exp(rng.normal(0, 0.16))
    flip = -1 if rng.random() < 0.5 else 1
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * [flip, 1]
    shift = rng.normal(0, 0.08, 2)

    def warped(values: ndarray, size: int, how: int) -> ndarray:
        # `turn` works in [-1, 1]; pixel p lies at (2 p + 1) / size - 1.
        offset = (turn @ np.full(2, 1 / size - 1) + shift + 1) * size / 2 - 0.5
        matrix = np.concatenate([turn, offset[:, None]], 1)
        return cv2.warpAffine(values, matrix, (size, size), flags=how, borderMode=cv2.BORDER_REPLICATE)

    return (
        warped(np.ascontiguousarray(picture), SIZE, cv2.INTER_LINEAR),
        (points @ turn.T + shift).astype(np.float32),
        warped(segments, MAP_SIZE, cv2.INTER_NEAREST),
    )
