"""Lips that close over what a photograph shows between them.

Teeth that a photograph shows are moved with the lips. But a field of motion is smooth over pixels, and points of inner
lips lie on teeth rather than on the edge: a strip of teeth would stay between lips that meet. So where a mouth is less
open than in the photograph, what lies above the upper lip's edge comes from above it in the photograph, and what lies
below the lower one's from below. What is left of teeth all the same gets the colour of lips.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.resampling import sampled
from ..motion.geometry import eye_distance, mouth_opening
from ..topology import OUTER_LIPS
from .lip_points import MEET, PLACES, SURE, beyond_points, frames_of_eyes, inside_of, places_of, red_of_lips
from .teeth import LIPS, MouthFrames, along, smooth_step

_SHOWS = 0.02  # opening of a mouth, see `mouth_opening`, from which on a photograph shows what is in it
_SHUT = 0.008  # opening below which nothing that is in a mouth is seen

# In distances of the eyes.
_REACH = 0.16  # beyond an edge within which pixels move
_BAND = 0.04  # beyond the line in which lips meet where teeth may be left
_THIN, _SEAM, _ALONG = 3.0, 2.0, 4  # pixels of a gap that is seen as a line; around and along it, that are evened out
_CORNERS = 0.06  # before the corners of the mouth from where on they do not

_SURELY = 1.5  # times its share a pixel is taken to be inside: strips of teeth are narrower than segments' edges
_LINE = 0.7  # of the light of lips that the line has in which they meet


@dataclass(frozen=True)
class LipEdges:
    """Where lips end in a photograph in which the mouth is open."""

    landmarks: Float[Tensor, "1 478 2"]
    """Points of the photograph, in [-1, 1]."""

    beyond: Float[Tensor, "2 places"]
    """How far above the points the upper lip ends, and how far below them the lower one begins, from corner to corner,
    in distances of the eyes."""

    opening: float
    """See `mouth_opening`."""

    inside: Float[Tensor, "1 s s"]
    """How far each pixel of the photograph is none of the lips but teeth or mouth, in [0, 1]."""

    colour: Float[Tensor, "3"]
    """Of the lips, in [-1, 1]."""


def lip_edges(
    picture: Float[Tensor, "1 3 s s"], segments: Float[Tensor, "1 segments s s"], landmarks: Float[Tensor, "1 478 2"]
) -> LipEdges | None:
    """Return where a photograph's lips end; None where they meet.

    Args:
        picture: The photograph in [-1, 1].
        segments: Of the photograph, see `topology.SEGMENTS`.
        landmarks: In [-1, 1].
    """
    opening = float(mouth_opening(landmarks)[0])
    if opening < _SHOWS:
        return None
    inside = inside_of(picture, segments, landmarks).sum(1, keepdim=True)
    beyond, sure = beyond_points(inside, landmarks)
    if sure < SURE:
        return None
    colour = (
        functional.grid_sample(picture, red_of_lips(landmarks)[:, None], align_corners=False)[0, :, 0].median(1).values
    )
    return LipEdges(landmarks, beyond, opening, inside[0], colour)


def over_lips(
    flow: Float[Tensor, "n 2 s s"], edges: LipEdges, landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 2 s s"]:
    """Bend a field so that lips which close end where they meet.

    Args:
        flow: Where each pixel of the frames lies in the photograph, in [-1, 1].
        edges: Of the photograph.
        landmarks: Of the frames, in [-1, 1].
    """
    share = ((mouth_opening(landmarks) - MEET) / (edges.opening - MEET)).clamp(0, 1)
    closing = (share < 0.98).nonzero()[:, 0].tolist()
    made = flow.clone() if closing else flow
    for row in closing:
        rows, columns = _around(landmarks[row], flow.shape[-1])
        part = flow[row, :, rows, columns]
        made[row, :, rows, columns] = _bent(
            part, rows, columns, flow.shape[-1], edges, landmarks[row : row + 1], share[row]
        )
    return made


def shut(
    frames: Float[Tensor, "n 3 s s"],
    flow: Float[Tensor, "n 2 s s"],
    edges: LipEdges,
    landmarks: Float[Tensor, "n 478 2"],
) -> Float[Tensor, "n 3 s s"]:
    """Leave no tooth between lips that meet.

    Args:
        frames: The photograph moved, in [-1, 1].
        flow: Where each pixel lies in it, in [-1, 1].
        edges: Of the photograph.
        landmarks: Of the frames, in [-1, 1].
    """
    met = smooth_step((_SHOWS - mouth_opening(landmarks)) / (_SHOWS - _SHUT))
    line = ((edges.colour + 1) * _LINE - 1).view(3, 1, 1)
    closing = met.nonzero()[:, 0].tolist()
    made = frames.clone() if closing else frames
    for row in closing:
        rows, columns = _around(landmarks[row], frames.shape[-1])
        part = made[row, :, rows, columns]
        near = _near_the_line(landmarks[row : row + 1], rows, columns, frames.shape[-1])
        (inside,) = sampled(edges.inside[None], flow[row : row + 1, :, rows, columns])
        share = met[row] * near * (_SURELY * inside.clamp(0, 1)).clamp(max=1)
        made[row, :, rows, columns] = part + share * (torch.minimum(part, line) - part)
    return made


def seamed(
    frames: Float[Tensor, "n 3 s s"], edges: LipEdges, landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 3 s s"]:
    """Even out the line in which lips meet, or nearly so, that the photograph shows apart.

    Two edges that come from different places meet within a pixel or two, which may show a bit of either, or of the
    teeth and the dark between them: a row of dashes. Along the line a mouth changes little.

    Args:
        frames: In [-1, 1].
        edges: Of the photograph.
        landmarks: Of the frames, in [-1, 1].
    """
    opening = mouth_opening(landmarks)
    gap = opening * eye_distance(landmarks) * frames.shape[-1] / 2
    share = (opening - MEET) / (edges.opening - MEET)
    met = smooth_step((_THIN - gap) / (_THIN / 2)) * smooth_step((0.9 - share) / 0.3)
    closing, mouths = met.nonzero()[:, 0].tolist(), frames_of_eyes(landmarks)
    made = frames.clone() if closing else frames
    for row in closing:
        frame, (rows, columns) = mouths.rows(slice(row, row + 1)), _around(landmarks[row], frames.shape[-1])
        upper, lower = frame.local(landmarks[row : row + 1, LIPS]).chunk(2, 1)
        line = torch.lerp(upper, lower, 0.5)
        made[row, :, rows, columns] = evened_along(frames[row], frame, line, (rows, columns), met[row])
    return made


def evened_along(
    picture: Float[Tensor, "3 s s"],
    frame: MouthFrames,
    line: Float[Tensor, "1 p 2"],
    where: tuple[slice, slice],
    share: Float[Tensor, ""],
) -> Float[Tensor, "3 rows columns"]:
    """Return a part of a picture, evened out along a line, a pixel or two around it.

    Args:
        picture: In [-1, 1].
        frame: One row.
        line: Points from the left to the right, in the frame's coordinates.
        where: Rows and columns around it.
        share: How far, in [0, 1].
    """
    side = picture.shape[-1]
    pixel = 2 / side / float(frame.across.norm())
    x, y = frame.local(places_of(*where, side)).unbind(-1)
    away = y - along(x, line)
    near = smooth_step(1.5 - away.abs() / (_SEAM * pixel))
    near = near * smooth_step(torch.minimum(x - line[:, :1, 0], line[:, -1:, 0] - x) / (_ALONG * pixel))
    which = near[0].nonzero()[:, 0]
    x, away, near = x[:, which], away[:, which], near[:, which]
    steps = torch.arange(-_ALONG, _ALONG + 1).to(x)
    beside = (x[..., None] + steps * pixel).flatten(1)
    there = torch.stack([beside, along(beside, line) + away.repeat_interleave(len(steps), 1)], -1)
    at = frame.outside(there)[:, None].to(picture)
    found = functional.grid_sample(picture[None], at, padding_mode="border", align_corners=False)[0, :, 0]
    weights = (-2 * (steps / _ALONG).square()).exp().to(picture)
    even = (found.unflatten(1, (-1, len(steps))) * weights).sum(-1) / weights.sum()
    part = picture[:, where[0], where[1]]
    made = part.flatten(1).clone()
    made[:, which] = torch.lerp(made[:, which], even, (share * near).to(picture))
    return made.view_as(part)


def _near_the_line(landmarks: Float[Tensor, "1 478 2"], rows: slice, columns: slice, side: int) -> Tensor:
    """Return how near pixels are to where lips meet, in [0, 1]."""
    frame = frames_of_eyes(landmarks)
    x, y = frame.local(places_of(rows, columns, side)).unbind(-1)
    upper, lower = (along(x, half) for half in frame.local(landmarks[:, LIPS]).chunk(2, 1))
    away = (y - (upper + lower) / 2).abs()
    return smooth_step((_BAND - away) / (_BAND / 2)).view(1, rows.stop - rows.start, -1)


def _bent(
    flow: Tensor, rows: slice, columns: slice, side: int, edges: LipEdges, landmarks: Tensor, share: Tensor
) -> Tensor:
    frame, photograph = frames_of_eyes(landmarks), frames_of_eyes(edges.landmarks)
    at = frame.local(places_of(rows, columns, side))
    source = photograph.local(flow.permute(1, 2, 0).flatten(0, 1)[None])
    moved = source[..., 1]
    ends = frame.local(landmarks[:, LIPS]).chunk(2, 1)[0][0, [0, -1], 0]
    middle = smooth_step(torch.minimum(at[..., 0] - ends[0], ends[1] - at[..., 0]) / _CORNERS)
    for side_of_mouth, way in ((0, -1.0), (1, 1.0)):
        now, was = (
            along(x[..., 0], f.local(p[:, LIPS]).chunk(2, 1)[side_of_mouth])
            for x, f, p in ((at, frame, landmarks), (source, photograph, edges.landmarks))
        )
        more = _beyond(source[..., 0], photograph, edges, side_of_mouth)
        # Both count outwards from the edge; the edge that is seen moves to the points as the mouth closes.
        outside = way * (at[..., 1] - now) - share * more
        from_edge = way * (source[..., 1] - was) - more
        moved = moved + way * middle * missing(outside, from_edge, _REACH)
    there = photograph.outside(torch.stack([source[..., 0], moved], -1))
    return there[0].view(*flow.shape[1:], 2).permute(2, 0, 1)


def missing(outside: Tensor, from_edge: Tensor, reach: float) -> Tensor:
    """Return how much further outwards the photograph is to be looked at, so that an edge covers what is behind it.

    Args:
        outside: How far beyond the edge a pixel of the frame is.
        from_edge: How far beyond it in the photograph what it shows is.
        reach: Within which pixels move.
    """
    return smooth_step((reach - outside) / reach) * (outside > 0) * (outside - from_edge).clamp(min=0)


def _beyond(x: Tensor, photograph: MouthFrames, edges: LipEdges, side_of_mouth: int) -> Tensor:
    corners = photograph.local(edges.landmarks[:, LIPS]).chunk(2, 1)[0][0, [0, -1], 0]
    places = torch.linspace(float(corners[0]), float(corners[1]), PLACES)
    return along(x, torch.stack([places, edges.beyond[side_of_mouth]], -1)[None])


def _around(landmarks: Float[Tensor, "478 2"], side: int) -> tuple[slice, slice]:
    """Return rows and columns of the pixels around a mouth."""
    lips = (landmarks[list(OUTER_LIPS)] + 1) * (side / 2)
    margin = _REACH * float(eye_distance(landmarks[None])[0]) * side / 2
    low, high = (lips.amin(0) - margin).floor().clamp(0, side), (lips.amax(0) + margin).ceil().clamp(0, side)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
