"""Avatars that nobody has drawn: landmarks, coefficients and poses that structure maps are learned from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...avatars.landmarks import landmarks
from ...avatars.parameters import PARAMETERS, column, sample_identity
from ...motion.structure import LOWEST
from ...types import COEFFICIENTS, POSE

SPREAD = (0.42, 0.30, 0.26, 0.06, 0.04, 0.12)
"""Half the range of each column of a training pose."""

_AT_ZERO = {"jaw": 0.25, "wide": 0.4, "round": 0.5, "press": 0.75, "brow_frown": 0.4, "blink": 0.4}
_JAW, _PRESS = COEFFICIENTS.index("jaw"), COEFFICIENTS.index("press")


@dataclass(frozen=True)
class Pair:
    """Two views of each of n faces."""

    reference: Float[Tensor, "n 70 2"]
    """Landmarks of the one, in [-1, 1]."""

    reference_coefficients: Float[Tensor, "n 10"]
    """See `types.COEFFICIENTS`."""

    reference_pose: Float[Tensor, "n 6"]
    """See `types.POSE`."""

    target: Float[Tensor, "n 70 2"]
    """Landmarks of the other, in [-1, 1]."""

    coefficients: Float[Tensor, "n 10"]
    """Of the target."""

    pose: Float[Tensor, "n 6"]
    """Of the target."""


class People:
    """Avatars that nobody has drawn: landmarks of each in many expressions and poses, kept in memory.

    Drawing them takes longer than a training step, so every pair of views of a person is a sample; noise is fresh.
    """

    def __init__(
        self, generator: torch.Generator, count: int = 20_000, views: int = 12, jaw_when_pressed: float = 0.5
    ) -> None:
        """Draw people and their views.

        Args:
            generator: From which everything follows.
            count: Of people.
            views: Of each.
            jaw_when_pressed: See `sample_coefficients`.
        """
        rows = torch.stack([_person(generator) for _ in range(count)]).repeat_interleave(views, 0)
        self.count, self.views = count, views
        self.coefficients = sample_coefficients(len(rows), generator, jaw_when_pressed)
        self.pose = sample_poses(len(rows), generator)
        for names, values in ((COEFFICIENTS, self.coefficients), (POSE, self.pose)):
            for index, name in enumerate(names):
                column(rows, name).copy_(values[:, index])
        self.landmarks = torch.cat([landmarks(part) for part in rows.split(4096)])

    def pair(self, count: int, generator: torch.Generator) -> Pair:
        """Draw two different views of each of some people.

        Args:
            count: Of people.
            generator: That decides whom.
        """
        who = self.views * torch.randint(self.count, (count,), generator=generator)
        first = torch.randint(self.views, (count,), generator=generator)
        second = (first + torch.randint(1, self.views, (count,), generator=generator)) % self.views
        a, b = who + first, who + second
        return Pair(*(table[rows] for rows in (a, b) for table in (self.landmarks, self.coefficients, self.pose)))


def sample_poses(count: int, generator: torch.Generator) -> Float[Tensor, "n 6"]:
    """Draw poses evenly over `SPREAD`, a little wider than avatars are drawn.

    Args:
        count: Of poses.
        generator: From which they follow.
    """
    rest = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    return rest + torch.tensor(SPREAD) * (2 * torch.rand(count, len(POSE), generator=generator) - 1)


def sample_coefficients(count: int, generator: torch.Generator, jaw_when_pressed: float = 0.5) -> Float[Tensor, "n 10"]:
    """Draw every coefficient independently and evenly over its range, those that rest at 0 often exactly there.

    One exception: pressed lips keep the jaw nearly shut, as in `avatars.parameters.sample_expression`. Pressed lips
    hide what the jaw does, and a fitter that must guess there guesses elsewhere.

    Args:
        count: Of rows.
        generator: From which they follow.
        jaw_when_pressed: Share of the rows in which pressed lips do not hold the jaw.
    """
    lowest = torch.tensor(LOWEST)
    drawn = lowest + (1 - lowest) * torch.rand(count, len(COEFFICIENTS), generator=generator)
    zero = torch.tensor([_AT_ZERO.get(name, 0.1) for name in COEFFICIENTS])
    drawn = torch.where(torch.rand(drawn.shape, generator=generator) < zero, torch.zeros(()), drawn)
    held = (drawn[:, _PRESS] > 0) & (torch.rand(count, generator=generator) >= jaw_when_pressed)
    drawn[held, _JAW] *= 0.15
    return drawn


def held_out_people(seed: int, count: int = 1024) -> People:
    """Draw people that training never sees, their jaws at rest where lips are pressed.

    Args:
        seed: Of the training.
        count: Of people.
    """
    return People(torch.Generator().manual_seed(seed + 1_000_003), count, jaw_when_pressed=0.0)


def _person(generator: torch.Generator) -> Float[Tensor, "p"]:
    """Draw who an avatar is; the columns that landmarks do not depend on stay 0."""
    row = torch.zeros(len(PARAMETERS))
    for name, value in sample_identity(generator).values.items():
        column(row, name).fill_(value)
    return row
