"""Where teeth are: the upper row is fixed to the skull, the lower one to the jaw, whatever lips do.

Everything is in millimetres: x to the right of the picture, y down the face, from where the lips meet when the teeth
are closed and the face has no expression. A face's eyes are taken to be as far apart as adults' are on average.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from ..motion.structure import FaceFitter, FaceShaper, clamp_coefficients
from ..topology import EYE_CORNERS, INNER_LIPS

LIPS = (*INNER_LIPS[:11], INNER_LIPS[0], *INNER_LIPS[:9:-1])
"""The edge of the upper lip from the left of the picture to the right, then that of the lower one."""

_EYES_MM = 62.0
_MEET, _NOSE, _LOWER_LIP = [13, 14], [2, 98, 327, 97, 326], [17, 18, 84, 314]
_JAW_SHARE = 0.92  # of the way of the lower lip's red that the lower front teeth go: the lip draws back from them
_BEHIND = 5.0  # from the middle of the lips to the front teeth
_LEAST_WIDTH = 0.05
_ROUND, _LOWER_ROUND = 0.9, 0.5  # millimetres that corners of teeth are short of their middles
_LINE = 0.06  # how dark lines between teeth are, the less the wider they are drawn
_BULGE, _NECK = 0.12, 0.15  # how much darker teeth are at their sides and at their gums
_GLINT, _GLINT_AT, _GLINT_SIZE = 0.1, (0.45, 0.62), (0.16, 0.2)  # of wet teeth: light; place and size, of a tooth's
_INTO_DARK = 30.0  # millimetres of depth over which light falls to a third


@dataclass(frozen=True)
class Teeth:
    """Half a row of teeth, from the middle to the side."""

    edges: tuple[float, ...]
    """Where crowns end."""
    gums: tuple[float, ...]
    """Where they begin."""
    sides: tuple[float, ...]
    """How far from the middle each ends, seen from the front."""
    depths: tuple[float, ...]
    """How far behind the front ones it ends there."""
    uneven: tuple[float, ...]
    """How much further each tooth of the whole row ends, from the left of the picture to the right."""
    shades: tuple[float, ...]
    """How bright each of half a row is beside the first: canines are darker."""
    bright: float
    """How much light reaches them."""


UPPER_TEETH = Teeth(
    edges=(2.0, 1.3, 1.9, 0.9, 0.5, 0.0),
    gums=(-8.8, -7.7, -8.7, -7.7, -7.3, -6.8),
    sides=(8.3, 14.3, 19.0, 22.0, 24.3, 26.5),
    depths=(0.8, 3.6, 9.2, 15.5, 22.0, 31.5),
    uneven=(0.0, 0.2, -0.3, -0.1, 0.1, 0.0, 0.15, -0.25, 0.15, 0.1, -0.2, 0.0),
    shades=(1.0, 0.97, 0.9, 0.93, 0.9, 0.88),
    bright=0.95,
)
"""Crowns as wide and as high as adults' usually are, to about half a millimetre, on an arch as wide as theirs."""

LOWER_TEETH = Teeth(
    edges=(-0.5, -0.4, -0.9, -0.2, 0.0, 0.3),
    gums=(8.3, 8.3, 9.7, 7.8, 7.5, 7.5),
    sides=(5.2, 10.6, 15.6, 19.4, 22.0, 25.0),
    depths=(2.8, 4.6, 9.2, 15.0, 21.5, 31.8),
    uneven=(0.0, -0.2, 0.2, 0.1, -0.3, 0.2, -0.1, 0.35, -0.1, 0.0, 0.2, -0.1),
    shades=(1.0, 0.98, 0.91, 0.92, 0.9, 0.88),
    bright=0.92,
)
"""Likewise; closed, they stand behind the upper ones. Lips part before teeth do, but the lower lip hides most of them:
half a millimetre higher than lips that meet say, they look it in 19 clips."""


@dataclass(frozen=True)
class MouthFrames:
    """Where the mouths of faces are, a row a face; pictures' coordinates are in [-1, 1]."""

    origin: Float[Tensor, "n 2"]
    """Where the lips meet without expression."""
    across: Float[Tensor, "n 2"]
    """What a millimetre to the right is."""
    jaw: Float[Tensor, "n"]
    """How far down the lower teeth are, millimetres."""
    yaw: Float[Tensor, "n"]
    """Of the head, radians, as in `types.POSE`."""
    pitch: Float[Tensor, "n"]
    """Likewise."""
    wide: Float[Tensor, "n"]
    """How wide the mouth is without expression, millimetres."""

    def rows(self, which: slice | Int[Tensor, "k"]) -> MouthFrames:
        """Return some of them."""
        return MouthFrames(*(getattr(self, field.name)[which] for field in fields(self)))

    def local(self, points: Float[Tensor, "n k 2"]) -> Float[Tensor, "n k 2"]:
        """Return points of pictures in millimetres."""
        x, y = self.across[:, None].unbind(-1)
        away = points - self.origin[:, None]
        right, down = away[..., 0] * x + away[..., 1] * y, away[..., 1] * x - away[..., 0] * y
        return torch.stack([right, down], -1) / self.across.square().sum(-1)[:, None, None]

    def outside(self, points: Float[Tensor, "n k 2"]) -> Float[Tensor, "n k 2"]:
        """Undo `local`."""
        x, y = self.across[:, None].unbind(-1)
        right, down = points.unbind(-1)
        return self.origin[:, None] + torch.stack([right * x - down * y, right * y + down * x], -1)

    def lips(self, landmarks: Float[Tensor, "n 478 2"], x: Float[Tensor, "n k"]) -> tuple[Tensor, Tensor]:
        """Return where the upper lip ends and the lower one begins, at places along the mouth, millimetres."""
        upper, lower = self.local(landmarks[:, LIPS]).chunk(2, 1)
        return along(x, upper), along(x, lower)


@torch.no_grad()
def mouth_frames(
    landmarks: Float[Tensor, "n 478 2"],
    reference: Float[Tensor, "1 478 2"],
    fitter: FaceFitter,
    shaper: FaceShaper,
) -> MouthFrames:
    """Find out where skull and jaw have a face's mouth, whatever its lips do.

    Args:
        landmarks: Of each frame.
        reference: Of the photograph.
        fitter: Reads the pose of both.
        shaper: Gives the face without any expression.
    """
    has, rest = fitter(reference)
    _, pose = fitter(landmarks)
    none = torch.zeros_like(has).expand(len(pose), -1)
    still = shaper(reference, clamp_coefficients(has), rest, none, pose)
    still = still + (landmarks[:, _NOSE] - still[:, _NOSE]).mean(1, keepdim=True)
    left, right = (still[:, list(corners)].mean(1) for corners in (EYE_CORNERS[:2], EYE_CORNERS[2:]))
    across = (right - left) / (_EYES_MM * pose[:, :1].cos().clamp(min=0.5))
    zero = torch.zeros(len(pose))
    frames = MouthFrames(still[:, _MEET].mean(1), across, zero, pose[:, 0], pose[:, 1], zero)
    ends = frames.local(still[:, [LIPS[0], LIPS[10]]])[..., 0]
    down = (frames.local(landmarks[:, _LOWER_LIP]) - frames.local(still[:, _LOWER_LIP]))[..., 1].mean(1)
    return replace(frames, jaw=(_JAW_SHARE * down).clamp(min=0), wide=ends[:, 1] - ends[:, 0])


def draw_row(
    frames: MouthFrames, teeth: Teeth, x: Float[Tensor, "n k"], y: Float[Tensor, "n k"], soft: Float[Tensor, "n 1"]
) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k"], Float[Tensor, "n k"]]:
    """Draw a row of teeth as a camera in front of the face sees it.

    Args:
        frames: Where the mouths are.
        teeth: The row.
        x: Places in mouths, millimetres.
        y: Likewise.
        soft: Over how many millimetres things end.

    Returns:
        How far the row covers each place, how far its gums do, and how bright both are.
    """
    upper, middle = teeth.edges[0] > teeth.gums[0], len(teeth.sides)
    ends, back = _seen_ends(frames, teeth)
    which = torch.searchsorted(ends, x.contiguous()).clamp(1, 2 * middle) - 1
    begin = ends.gather(1, which)
    width = (ends.gather(1, which + 1) - begin).clamp(min=_LEAST_WIDTH)
    part = ((x - begin) / width).clamp(0, 1)
    depth = torch.lerp(back[which], back[which + 1], part)
    number = torch.where(which >= middle, which - middle, middle - 1 - which)
    bulge = (2 * part - 1).abs()  # 0 in the middle of a tooth, 1 at its sides, where corners are round
    rounded = -bulge if upper else bulge
    out = x.new_tensor(teeth.uneven)[which] * (1.0 if upper else -1.0)
    edge = x.new_tensor(teeth.edges)[number] + out + (_ROUND if upper else _LOWER_ROUND) * rounded * bulge**3
    gum = x.new_tensor(teeth.gums)[number] - 1.2 * rounded * bulge
    lowered = -depth * frames.pitch.sin()[:, None]
    if not upper:
        lowered = lowered + frames.jaw[:, None]
    edge, gum = (value * frames.pitch.cos()[:, None] + lowered for value in (edge, gum))
    there = ((x > ends[:, :1]) & (x < ends[:, -1:])).to(x)
    cover = there * step((edge - y if upper else y - edge) / soft)
    pink = cover * step((gum - y if upper else y - gum) / soft)
    line = 0.3 + soft  # between two teeth
    between = _LINE / line * torch.exp(-(torch.minimum(part, 1 - part) * width / line).square())
    towards_edge = ((y - gum) / (edge - gum)).clamp(0, 1)
    round_tooth = (1 - _BULGE * bulge.square()) * (1 - _NECK * (1 - towards_edge).square())
    (across, up), (wide, high) = _GLINT_AT, _GLINT_SIZE
    glint = _GLINT * torch.exp(-((part - across) / wide).square() - ((towards_edge - up) / high).square())
    shade = teeth.bright * x.new_tensor(teeth.shades)[number] * (round_tooth + glint)
    return cover, pink, shade * (1 - between) * torch.exp((depth + _BEHIND) / _INTO_DARK)


def _seen_ends(frames: MouthFrames, teeth: Teeth) -> tuple[Float[Tensor, "n ends"], Float[Tensor, "ends"]]:
    """Return where teeth end along a mouth, from the left to the right, and how far forward of the lips that is.

    Of a head that is turned away the far teeth hide one another.
    """
    half, deep = (frames.origin.new_tensor([0.0, *values]) for values in (teeth.sides, teeth.depths))
    sides = torch.cat([-half[1:].flip(0), half])
    back = -_BEHIND - torch.cat([deep[1:].flip(0), deep])
    seen = sides * frames.yaw.cos()[:, None] + back * frames.yaw.sin()[:, None]
    middle = len(teeth.sides)
    right = seen[:, middle:].cummax(1).values
    left = seen[:, : middle + 1].flip(1).cummin(1).values.flip(1)
    return torch.cat([left[:, :-1], right], 1).contiguous(), back


def along(x: Float[Tensor, "n k"], line: Float[Tensor, "n p 2"]) -> Float[Tensor, "n k"]:
    """Return the height of a smooth line through points at some places; beyond its ends, that of the ends.

    Args:
        x: The places.
        line: Points from the left to the right.
    """
    ends, heights = line[..., 0].cummax(1).values.contiguous(), line[..., 1]
    run = (ends[:, 2:] - ends[:, :-2]).clamp(min=1e-3)
    slopes = functional.pad((heights[:, 2:] - heights[:, :-2]) / run, (1, 1), mode="replicate")
    to = torch.searchsorted(ends, x.contiguous()).clamp(1, ends.shape[1] - 1)
    begin = ends.gather(1, to - 1)
    wide = (ends.gather(1, to) - begin).clamp(min=1e-3)
    t = ((x - begin) / wide).clamp(0, 1)
    first, last = heights.gather(1, to - 1), heights.gather(1, to)
    leaving, arriving = slopes.gather(1, to - 1) * wide, slopes.gather(1, to) * wide
    square, cube = 3 * (last - first) - 2 * leaving - arriving, 2 * (first - last) + leaving + arriving
    return first + t * (leaving + t * (square + t * cube))


def step(value: Tensor) -> Tensor:
    """Return 0 below -0.5, 1 above 0.5, and a straight line between."""
    return (value + 0.5).clamp(0, 1)


def smooth_step(value: Tensor) -> Tensor:
    """Return 0 below 0, 1 above 1, and a smooth rise between."""
    rising = value.clamp(0, 1)
    return rising * rising * (3 - 2 * rising)
