"""Lids that close over the eyes: the upper one comes down in front of the eyeball, which is covered, not pressed flat.

A field of motion is smooth, so of an eye that shuts a strip of white and iris would be left between the lids, the more
so as points of lids that are shut lie a tenth of the eye's width apart. So where an eye is less open than in the
photograph, what lies above the upper lid's edge comes from above it in the photograph, and what lies below the lower
one's from below. Skin near an edge is drawn out for it, as a lid unfolds, and evened out; brows stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..topology import EYES
from .lip_points import frames_of_eyes, places_of
from .lips import evened_along, missing
from .teeth import MouthFrames, along, smooth_step

_SHUT, _AS_SEEN = 0.25, 0.6
"""Shares of the photograph's opening: up to the first points of an eye say that it is shut, from the other on they are
as they say."""
_OPEN = 0.02  # gap of lids, in distances of the eyes, from which on an eye can close
_UPPER = 0.9  # of the way that lids meet, which the upper one goes
_REACH = 0.3  # of the distance of the eyes: beyond an edge within which pixels move
_RIM = 0.02  # of a lid, with its lashes, that is not drawn out
_UNFOLDS = 3.0  # times as wide as in the photograph skin beside an edge may be
_CLOSES = 0.85  # share of the photograph's opening below which a lid closes: more than points tremble
_FOLD = 0.045  # above the edge of an open eye, from where on a lid unfolds
_UNDER = 0.06  # the edge of the lower lid, and its lashes: skin
_ALONG, _STEPS = 0.1, 15  # reach to each side over which skin is evened out along a lid; places read in it
_SKIN = 0.6  # how far a lid is like the skin around
_LIKE_BELOW, _RIM_LIKE_BELOW = 0.45, 0.8  # how far that is the skin below the eye, at its fold and at its rim
_LASHES = 0.06  # above a fold, up to where lashes of an open eye stand before the lid
_GRAIN = 0.03  # of [-1, 1]: what is left of the lashes that are drawn out, as of pores
_EYEBALL = 0.015  # below the points of the lower lid: they may lie on the eye
_CORNERS = 0.04  # before the corners of an eye from where on they do not


def with_open_lids(
    reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 478 2"]:
    """Return points whose lids are as far apart as in the photograph where they close.

    A smooth field takes along what is beside the points: skin, and the frames of glasses before it. What covers an eye
    is `over_lids`' to bring.

    Args:
        reference: Points of the photograph, in [-1, 1].
        landmarks: Of the frames, likewise.
    """
    made, frames, photograph = landmarks.clone(), frames_of_eyes(landmarks), frames_of_eyes(reference)
    for eye in EYES:
        lids, corners = [k for k in eye if k not in (eye[0], eye[8])], [eye[0], eye[8]]
        was, now = (f.local(p[:, corners]).mean(1, keepdim=True) for f, p in ((photograph, reference), (frames, made)))
        for lid in _closing(eye, reference, landmarks):
            row = lid.row
            there = lid.frame.outside(photograph.local(reference[:, lids]) - was + now[row : row + 1])[0]
            made[row, lids] = torch.lerp(made[row, lids], there, lid.closes)
    return made


@dataclass(frozen=True)
class Lid:
    """The lids of an eye in a frame in which it closes."""

    row: int
    """Number of the frame."""
    closes: Float[Tensor, ""]
    """How surely it closes, in [0, 1]."""
    frame: MouthFrames
    """See `frames_of_eyes`; one row."""
    upper: Float[Tensor, "1 p 2"]
    """The edge of the upper lid from corner to corner, from the left to the right, in that frame."""
    lower: Float[Tensor, "1 p 2"]
    """Likewise."""
    points: Float[Tensor, "16 2"]
    """Of the eye, in [-1, 1]."""

    def middle(self, x: Float[Tensor, "1 k"]) -> Float[Tensor, "1 k"]:
        """Return 1 between the corners of the eye, and 0 at and beyond them.

        Args:
            x: Places in the frame, from the left to the right.
        """
        return smooth_step(torch.minimum(x - self.upper[:, :1, 0], self.upper[:, -1:, 0] - x) / _CORNERS)

    def around(self, side: int) -> tuple[slice, slice]:
        """Return rows and columns of the pixels around the eye.

        Args:
            side: Of the picture.
        """
        points, margin = (self.points + 1) * (side / 2), _REACH * float(self.frame.across.norm()) * side / 2
        low, high = (points.amin(0) - margin).floor().clamp(0, side), (points.amax(0) + margin).ceil().clamp(0, side)
        return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))


@dataclass(frozen=True, eq=False)
class ClosingEye:
    """An eye that is less open in some frames than in the photograph."""

    photograph: MouthFrames
    """See `frames_of_eyes`; one row."""
    upper: Float[Tensor, "1 p 2"]
    """The edge of the upper lid in the photograph, as those of `Lid`."""
    lower: Float[Tensor, "1 p 2"]
    """Likewise."""
    lids: tuple[Lid, ...]
    """In the frames in which it closes."""

    @property
    def opening(self) -> float:
        """How far it is open in the photograph, in distances of the eyes."""
        return float((self.lower - self.upper)[:, 1:-1, 1].mean())


def closing_eyes(reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"]) -> tuple[ClosingEye, ...]:
    """Return the eyes that are less open in some frames than in the photograph.

    Args:
        reference: Points of the photograph, in [-1, 1].
        landmarks: Of the frames, likewise.
    """
    photograph, found = frames_of_eyes(reference), []
    for eye in EYES:
        lids = tuple(_closing(eye, reference, landmarks))
        if lids:
            found.append(ClosingEye(photograph, *_edges(photograph.local(reference), eye), lids))
    return tuple(found)


def over_lids(flow: Float[Tensor, "n 2 s s"], closing: Sequence[ClosingEye]) -> Float[Tensor, "n 2 s s"]:
    """Bend a field so that lids which close cover the eye.

    Args:
        flow: Where each pixel of the frames lies in the photograph, in [-1, 1].
        closing: The eyes, see `closing_eyes`.
    """
    made = flow.clone() if closing else flow
    for eye in closing:
        for lid in eye.lids:
            rows, columns = lid.around(flow.shape[-1])
            part = made[lid.row, :, rows, columns]
            bent = _bent(part, (rows, columns, flow.shape[-1]), lid, eye)
            made[lid.row, :, rows, columns] = torch.lerp(part, bent, lid.closes)
    return made


def lid_seams(frames: Float[Tensor, "n 3 s s"], closing: Sequence[ClosingEye]) -> Float[Tensor, "n 3 s s"]:
    """Even out the line in which lids meet; see `lips.seamed`.

    Args:
        frames: In [-1, 1].
        closing: The eyes, see `closing_eyes`.
    """
    made = frames.clone() if closing else frames
    for lid in (lid for eye in closing for lid in eye.lids):
        where = lid.around(frames.shape[-1])
        for line in (lid.upper, lid.lower):
            made[lid.row, :, where[0], where[1]] = evened_along(made[lid.row], lid.frame, line, where, lid.closes)
    return made


def unfolded(
    frames: Float[Tensor, "n 3 s s"], closing: Sequence[ClosingEye]
) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n 1 s s"]]:
    """Give lids that close the skin of which an open eye shows no more than a fold.

    What is drawn out for it has a lash in every column. It is evened out along the lid, up to where lashes of the open
    eye end, and below the fold towards the colour of the skin above and below the eye; it keeps no more grain than that
    has. Rims with their lashes stay.

    Args:
        frames: In [-1, 1].
        closing: The eyes, see `closing_eyes`.

    Returns:
        The frames, and where they are changed.
    """

    def skin(
        picture: Float[Tensor, "3 s s"], eye: ClosingEye, lid: Lid, part: tuple[slice, slice]
    ) -> tuple[Tensor, Tensor]:
        x, y = lid.frame.local(places_of(*part, picture.shape[-1])).unbind(-1)
        fold = along(x, eye.upper + (lid.upper - eye.upper)[:, [0, -1]].mean(1, keepdim=True)) - _FOLD
        rim, under = along(x, lid.upper) - _RIM, along(x, lid.lower) + _UNDER
        share = lid.closes * lid.middle(x) * smooth_step((y - fold + _LASHES) / _LASHES)
        share = (share * smooth_step((rim - y) / _RIM + 1)).to(picture)
        which = share[0].nonzero()[:, 0]
        x, y, fold, rim, under = (value[:, which] for value in (x, y, fold, rim, under))
        unfolds = _SKIN * smooth_step((y - fold) / _FOLD).to(picture)
        down = ((y - fold) / (rim - fold).clamp(min=1e-3)).clamp(0, 1).to(picture)
        above, below, even = (_beside(picture, lid.frame, x, line) for line in (fold - _FOLD, under, y))
        around = torch.lerp(above, below, _LIKE_BELOW + (_RIM_LIKE_BELOW - _LIKE_BELOW) * down)
        colours = picture[:, part[0], part[1]].flatten(1).clone()
        grain = (colours[:, which] - even).clamp(-_GRAIN, _GRAIN)
        colours[:, which] = torch.lerp(even, around, unfolds) + grain
        return colours, share

    return painted(frames, closing, skin)


def painted(
    frames: Float[Tensor, "n 3 s s"],
    closing: Sequence[ClosingEye],
    paint: Callable[[Float[Tensor, "3 s s"], ClosingEye, Lid, tuple[slice, slice]], tuple[Tensor, Tensor]],
) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n 1 s s"]]:
    """Paint around eyes that close.

    Args:
        frames: In [-1, 1].
        closing: The eyes, see `closing_eyes`.
        paint: Is given a frame, an eye, its lids and rows and columns around them; returns colours and shares of the
            pixels there, [3, k] and [1, k].

    Returns:
        The frames, and where they are changed.
    """
    side = frames.shape[-1]
    where = frames.new_zeros(len(frames), 1, side, side)
    made = frames.clone() if closing else frames
    for of_eye, lid in ((eye, lid) for eye in closing for lid in eye.lids):
        rows, columns = lid.around(side)
        colours, share = paint(made[lid.row], of_eye, lid, (rows, columns))
        old, changed = made[lid.row, :, rows, columns], where[lid.row, :, rows, columns]
        made[lid.row, :, rows, columns] = torch.lerp(old, colours.view_as(old), share.view_as(changed))
        where[lid.row, :, rows, columns] = torch.maximum(changed, share.view_as(changed))
    return made, where


def _beside(
    picture: Float[Tensor, "3 s s"], frame: MouthFrames, x: Float[Tensor, "1 k"], y: Float[Tensor, "1 k"]
) -> Float[Tensor, "3 k"]:
    """Return the colours of a picture at places, each the mean of what is beside it along the line of the eyes."""
    steps = torch.linspace(-1, 1, _STEPS).to(x)
    at = torch.stack([(x[..., None] + _ALONG * steps).flatten(1), y.repeat_interleave(_STEPS, 1)], -1)
    places = frame.outside(at)[:, None].to(picture)
    found = functional.grid_sample(picture[None], places, padding_mode="border", align_corners=False)[0, :, 0]
    weights = (-2 * steps.square()).exp().to(picture)
    return (found.unflatten(1, (-1, _STEPS)) * weights).sum(-1) / weights.sum()


def _closing(
    eye: tuple[int, ...], reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"]
) -> Iterator[Lid]:
    """Yield the lids of an eye in the frames in which it closes."""
    frames, photograph = frames_of_eyes(landmarks), frames_of_eyes(reference)
    was, now = _edges(photograph.local(reference), eye), _edges(frames.local(landmarks), eye)
    seen, shown = ((lower - upper)[:, 1:-1, 1].mean(1) for upper, lower in (was, now))
    opening = shown / seen.clamp(min=1e-3)
    left = (_AS_SEEN * (opening - _SHUT) / (_AS_SEEN - _SHUT)).clamp(min=0)
    shut = 1 - torch.where(opening < _AS_SEEN, left / opening.clamp(min=1e-3), 1.0)
    away = shut[:, None] * (now[1] - now[0])[..., 1].clamp(min=0)
    down = torch.stack([torch.zeros_like(away), away], -1)
    upper, lower = now[0] + _UPPER * down, now[1] - (1 - _UPPER) * down
    closes = smooth_step((_CLOSES - opening) / (_CLOSES - _AS_SEEN)) * smooth_step(seen / _OPEN - 1)
    for row in closes.nonzero()[:, 0].tolist():
        one = slice(row, row + 1)
        yield Lid(row, closes[row], frames.rows(one), upper[one], lower[one], landmarks[row, list(eye)])


def _edges(points: Float[Tensor, "n 478 2"], eye: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the edges of the upper and of the lower lid, corner to corner, from the left to the right."""
    upper, lower = points[:, list(eye[:9])], points[:, [eye[0], *eye[:8:-1], eye[8]]]
    return (upper, lower) if upper[0, 0, 0] < upper[0, -1, 0] else (upper.flip(1), lower.flip(1))


def _bent(
    flow: Float[Tensor, "2 h w"], where: tuple[slice, slice, int], lid: Lid, eye: ClosingEye
) -> Float[Tensor, "2 h w"]:
    at = lid.frame.local(places_of(*where))
    source = eye.photograph.local(flow.permute(1, 2, 0).flatten(0, 1)[None])
    moved, middle = source[..., 1], lid.middle(at[..., 0])
    for now, was, way, inside in ((lid.upper, eye.upper, -1.0, 0.0), (lid.lower, eye.lower, 1.0, _EYEBALL)):
        outside = way * (at[..., 1] - along(at[..., 0], now))
        from_edge = way * (source[..., 1] - along(source[..., 0], was)) - inside
        # Skin unfolds behind an edge. What is further away stays: brows do not come down with lids.
        skin = torch.minimum(outside, _RIM + (outside - _RIM) / _UNFOLDS)
        moved = moved + way * middle * missing(skin, from_edge, _REACH)
    there = eye.photograph.outside(torch.stack([source[..., 0], moved], -1))
    return there[0].view(*flow.shape[1:], 2).permute(2, 0, 1)
