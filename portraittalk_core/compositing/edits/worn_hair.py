"""Which haircuts a photograph shows: naming one that it shows already changes nothing.

How much hair is seen and how far it falls tell most cuts. Straight and curly ones of one outline differ in how strands
run: curls bend along themselves, and beside one another they run many ways. Those of an afro run outwards.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..head_camera import face_unit, head_camera
from ..masked import luma, softened

# In distances of the eyes.
_LEFT, _TOP, _BOTTOM = -3.2, -3.0, 4.0  # of the view from the front
_FINE = 40  # pixels
_DEPTH = -0.4  # of the plane in which hair is seen
_BESIDE, _FALLS, _ENDS = 0.75, (0.6, 1.2), (1.2, 1.8)  # where hair that falls is: beside the middle, below the eyes
_STRAND, _LOCK, _BAND = 0.03, 0.13, 0.12  # deviations over which strands are smoothed and compared, and without light
_EVEN = 0.3  # over which all strands count alike, however dark
_MIDDLE = -0.6  # of a head, below the eyes
_SURE = 0.8  # share of hair from which on strands are looked at
_SEEN = 0.1  # squares, below which their run cannot be told
_SHARPEST = 12.0  # bend that counts, radians
_FRINGE, _FOREHEAD = (
    0.25,
    (-0.75, -0.45, 0.6),
)  # share of hair of a forehead with a fringe; where that is, and half as wide
# Of haircuts; squares of the distance of the eyes, widths of hair that falls, and how curly.
_BALD, _BUZZ, _SHORT, _COMBED, _CURLS, _AFRO = 0.1, 0.75, 0.8, 1.3, 2.5, 3.65
_NO_FALL, _BOB, _LONG, _TO_CHIN = 0.1, 0.11, 0.78, 0.24
_CURLY, _CURLY_ABOVE, _WAVY, _OUTWARDS = 0.38, 0.09, -0.05, 0.13
_MEANT = {"short": ("short", "side"), "curly": ("curly", "afro"), "cropped": ("buzz", "short"), "curls": ("curly",)}
"""Cuts for which the same words stand, see `people.words.STYLE_WORDS`."""


@dataclass(frozen=True)
class WornHair:
    """What is seen of hair from the front."""

    area: float
    """Squares of the distance of the eyes."""
    fall: float
    """How wide it is between nose and mouth, beside the face, mean of both sides, in distances of the eyes."""
    end: float
    """Likewise between mouth and chin."""
    curl: float
    """How much strands bend along themselves, in radians a distance of the eyes, less how far they run as others beside
    them do, from 0 to 1; nan where too little is seen."""
    spread: float
    """How far strands run away from the middle of the head rather than around it, from -1 to 1; likewise."""
    fringe: bool
    """Whether it lies over the forehead."""

    @property
    def cuts(self) -> frozenset[str]:
        """Which of `people.hair.STYLES` it may be; more than one where a picture from the front cannot tell.

        Tied hair is not among them: from the front it looks like short hair.
        """
        falls, curly = self.fall > _NO_FALL, not self.straight
        afro = self.area > _AFRO and self.spread > _OUTWARDS and not falls
        long = self.fall >= _LONG and self.end > _TO_CHIN
        straight = not afro and (not curly or self.area < _CURLS)
        found = {
            "bald": self.area < _BALD,
            "buzz": _BALD <= self.area < _BUZZ and not falls,
            "short": self.area > _SHORT and straight and not falls,
            "side": self.area > _COMBED and straight and not falls,
            "bob": self.fall > _BOB and not long and straight,
            "long": long,
            "wavy": falls and (curly or (long and self.curl > _WAVY)),
            "curly": curly and self.area > _CURLS and not afro,
            "afro": afro,
        }
        return frozenset(name for name, true in found.items() if true)

    @property
    def straight(self) -> bool:
        """Whether it is not curly, as far as can be seen."""
        return not (self.curl > _CURLY if self.fall > _NO_FALL else self.curl + self.spread > _CURLY_ABOVE)

    def is_cut(self, name: str) -> bool:
        """Say whether it is cut as words have it.

        Args:
            name: Of `people.hair.STYLES`, or `cropped` or `curls`.
        """
        return not self.cuts.isdisjoint(_MEANT.get(name, (name,)))


def worn_hair(
    picture: Float[Tensor, "n 3 s s"], hair: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"]
) -> WornHair:
    """Measure the hair on a head, the mean of all frames.

    Args:
        picture: In [0, 1].
        hair: Its share of each pixel.
        landmarks: In [-1, 1].
    """
    across, down, grid = _front(landmarks)
    planes = torch.cat([luma(picture), hair, torch.ones_like(hair)], 1).float()
    pixels = float(face_unit(landmarks).mean()) * hair.shape[-1] / 2
    planes = softened(planes, 0.5 * pixels / _FINE if pixels > 1.3 * _FINE else 0.0)
    light, share, inside = functional.grid_sample(planes, grid.float(), align_corners=False).split(1, 1)
    share = share * (inside > 0.5)

    def beside(low: float, high: float) -> float:
        there = (across.abs() > _BESIDE) & (down > low) & (down < high)
        known = ((inside > 0.5) & there).float().mean() / there.float().mean()
        return float((share * there).sum((1, 2, 3)).mean() / known.clamp(min=0.2)) / (2 * (high - low) * _FINE**2)

    top, low, half = _FOREHEAD
    forehead = ((down > top) & (down < low) & (across.abs() < half)).float()
    fringe = float((share * forehead).sum((2, 3)).mean() / forehead.sum())
    area = float(share.sum((1, 2, 3)).mean()) / _FINE**2
    curl, spread = _run(light, share, torch.stack([across, down - _MIDDLE]))
    return WornHair(area, beside(*_FALLS), beside(*_ENDS), curl, spread, fringe > _FRINGE)


def _front(landmarks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the places of a view from the front, and where in the picture each is seen."""
    down, across = torch.meshgrid(
        torch.arange(_TOP, _BOTTOM, 1 / _FINE), torch.arange(_LEFT, -_LEFT, 1 / _FINE), indexing="ij"
    )
    places = torch.stack([across, down, torch.full_like(down, _DEPTH), torch.ones_like(down)], -1)
    grid = torch.einsum("hwk,nkd->nhwd", places, head_camera(landmarks).cpu())
    return across, down, grid.to(landmarks.device)


def _run(light: Tensor, share: Tensor, outwards: Tensor) -> tuple[float, float]:
    """Return how curly strands are, and how far they run outwards: see `WornHair`."""

    def near(values: Tensor, reach: float) -> Tensor:
        return softened(values, reach * _FINE)

    sure = (functional.max_pool2d((share <= _SURE).float(), 5, 1, 2) == 0).float()
    if float(sure.sum((1, 2, 3)).mean()) < _SEEN * _FINE**2:
        return float("nan"), float("nan")
    beside = near(light * sure, _EVEN) / near(sure, _EVEN).clamp(min=1e-3)
    light = light * sure + beside * (1 - sure)
    strands = near(light, _STRAND) - near(light, _BAND)
    dx, dy = (slope * sure for slope in _slopes(strands))
    usual = near(dx.square() + dy.square(), _EVEN).sqrt() + 1e-3 / _FINE
    dx, dy = dx / usual, dy / usual
    out = functional.normalize(outwards, dim=0)
    along, around = (dx * out[1] - dy * out[0]).square(), (dx * out[0] + dy * out[1]).square()
    spread = (along - around).sum() / (along + around).sum().clamp(min=1e-6)
    # The structure tensor (Bigun and Granlund, 1987), as a vector that turns twice as fast as strands do.
    twice, other, energy = (near(v, _LOCK) for v in (dx.square() - dy.square(), 2 * dx * dy, dx.square() + dy.square()))
    same = torch.hypot(twice, other)
    order = (same * sure).sum() / (energy * sure).sum().clamp(min=1e-6)
    cosine, sine = twice / same.clamp(min=1e-6), other / same.clamp(min=1e-6)
    turns = [(cosine * s - sine * c) / 2 for c, s in zip(_slopes(cosine), _slopes(sine), strict=True)]
    angle = torch.atan2(other, twice) / 2 + torch.pi / 2
    bend = (turns[0] * angle.cos() + turns[1] * angle.sin()).abs().clamp(max=_SHARPEST)
    weight = sure * same.square() / energy.clamp(min=1e-6)
    return float((bend * weight).sum() / weight.sum().clamp(min=1e-6) - order), float(spread)


def _slopes(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return by how much values grow to the right and downwards, a distance of the eyes."""
    padded = functional.pad(values, (1, 1, 1, 1), mode="replicate") * (_FINE / 2)
    return padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2], padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]
