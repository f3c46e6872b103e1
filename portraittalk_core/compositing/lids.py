"""Lids that close over the eyes: the upper one comes down in front of the eyeball, which is covered, not pressed flat.

A field of motion is smooth, so of an eye that shuts a strip of white and iris would be left between the lids, the more
so as points of lids that are shut lie a tenth of the eye's width apart. So where an eye is less open than in the
photograph, what lies above the upper lid's edge comes from above it in the photograph, and what lies below the lower
one's from below. Skin near an edge is drawn out for it, as a lid unfolds; brows stay.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from ..topology import EYES
from .lips import evened_along, frames_of_eyes, missing, places_of
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
_CORNERS = 0.04  # before the corners of an eye from where on they do not


def over_lids(
    flow: Float[Tensor, "n 2 s s"], reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 2 s s"]:
    """Bend a field so that lids which close cover the eye.

    Args:
        flow: Where each pixel of the frames lies in the photograph, in [-1, 1].
        reference: Points of the photograph, in [-1, 1].
        landmarks: Of the frames, likewise.
    """
    made, side = flow.clone(), flow.shape[-1]
    photograph = frames_of_eyes(reference)
    for eye in EYES:
        was = _edges(photograph.local(reference), eye)
        for row, closes, frame, upper, lower in _closing(eye, reference, landmarks):
            rows, columns = _around(landmarks[row, list(eye)], float(frame.across.norm()), side)
            part = made[row, :, rows, columns]
            bent = _bent(part, (rows, columns, side), (frame, upper, lower), (photograph, *was))
            made[row, :, rows, columns] = torch.lerp(part, bent, closes)
    return made


def lid_seams(
    frames: Float[Tensor, "n 3 s s"], reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 3 s s"]:
    """Even out the line in which lids meet; see `lips.seamed`.

    Args:
        frames: In [-1, 1].
        reference: Points of the photograph, in [-1, 1].
        landmarks: Of the frames, likewise.
    """
    made, side = frames.clone(), frames.shape[-1]
    for eye in EYES:
        for row, closes, frame, upper, lower in _closing(eye, reference, landmarks):
            where = _around(landmarks[row, list(eye)], float(frame.across.norm()), side)
            for line in (upper, lower):
                made[row] = evened_along(made[row], frame, line, where, closes)
    return made


def _closing(
    eye: tuple[int, ...], reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"]
) -> Iterator[tuple[int, Tensor, MouthFrames, Tensor, Tensor]]:
    """Yield the frames in which an eye closes: their number, how surely it does, and the edges of both lids."""
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
        yield row, closes[row], frames.rows(one), upper[one], lower[one]


def _edges(points: Float[Tensor, "n 478 2"], eye: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Return the edges of the upper and of the lower lid, corner to corner, from the left to the right."""
    upper, lower = points[:, list(eye[:9])], points[:, [eye[0], *eye[:8:-1], eye[8]]]
    return (upper, lower) if upper[0, 0, 0] < upper[0, -1, 0] else (upper.flip(1), lower.flip(1))


def _bent(
    flow: Float[Tensor, "2 h w"],
    where: tuple[slice, slice, int],
    frame: tuple[MouthFrames, Tensor, Tensor],
    photograph: tuple[MouthFrames, Tensor, Tensor],
) -> Float[Tensor, "2 h w"]:
    at = frame[0].local(places_of(*where))
    source = photograph[0].local(flow.permute(1, 2, 0).flatten(0, 1)[None])
    moved, ends = source[..., 1], frame[1][0, [0, -1], 0]
    middle = smooth_step(torch.minimum(at[..., 0] - ends[0], ends[1] - at[..., 0]) / _CORNERS)
    for now, was, way in ((frame[1], photograph[1], -1.0), (frame[2], photograph[2], 1.0)):
        outside = way * (at[..., 1] - along(at[..., 0], now))
        from_edge = way * (source[..., 1] - along(source[..., 0], was))
        # Skin unfolds behind an edge. What is further away stays: brows do not come down with lids.
        skin = torch.minimum(outside, _RIM + (outside - _RIM) / _UNFOLDS)
        moved = moved + way * middle * missing(skin, from_edge, _REACH)
    there = photograph[0].outside(torch.stack([source[..., 0], moved], -1))
    return there[0].view(*flow.shape[1:], 2).permute(2, 0, 1)


def _around(eye: Float[Tensor, "16 2"], unit: float, side: int) -> tuple[slice, slice]:
    """Return rows and columns of the pixels around an eye."""
    points, margin = (eye + 1) * (side / 2), _REACH * unit * side / 2
    low, high = (points.amin(0) - margin).floor().clamp(0, side), (points.amax(0) + margin).ceil().clamp(0, side)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
