"""Lips that close over what a photograph shows between them.

Teeth that a photograph shows are moved with the lips. But a field of motion is smooth over pixels, and points of inner
lips lie on teeth rather than on the edge: a strip of teeth would stay between lips that meet. So where a mouth is less
open than in the photograph, what lies above the upper lip's edge comes from above it in the photograph, and what lies
below the lower one's from below. What is left of teeth all the same gets the colour of lips. And lips between which a
photograph shows nothing meet, whatever their points say.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..motion.geometry import eye_distance, eye_line, mouth_opening
from ..topology import INNER_LIPS, MEETING_LIPS, OUTER_LIPS, SEGMENTS
from .masked import luma
from .teeth import LIPS, MouthFrames, along, smooth_step

_SHOWS = 0.02  # opening of a mouth, see `mouth_opening`, from which on a photograph shows what is in it
_SHUT = 0.008  # opening below which nothing that is in a mouth is seen
_MEET = 0.006  # opening of lips that meet: points of both never lie on one another
_PLACES = 33  # along the mouth at which its edges are looked for

# In distances of the eyes.
_HIGH, _STEP = 0.12, 0.003  # how far from its points an edge is looked for, and how finely
_REACH = 0.16  # beyond an edge within which pixels move
_BAND = 0.04  # beyond the line in which lips meet where teeth may be left
_THIN, _SEAM, _ALONG = 3.0, 2.0, 4  # pixels of a gap that is seen as a line; around and along it, that are evened out
_CORNERS = 0.06  # before the corners of the mouth from where on they do not

_OPEN, _CLOSED = 0.22, 0.12  # mean share between points of lips that are surely apart, and of such that surely meet
_WIDE = 0.09  # opening, see `mouth_opening`, from which on points are not wrong
_SEEN = 0.4  # share of teeth and mouth from which on a pixel is inside
_SURELY = 1.5  # times its share a pixel is taken to be inside: strips of teeth are narrower than segments' edges
_LINE = 0.7  # of the light of lips that the line has in which they meet
_SURE = 0.3  # mean share between the lips below which a mouth is shut, whatever its points say

_AROUND, _FADES = 0.2, 0.05  # how far beyond the points the line is looked for; what counts as nearly as dark
_LIKE_LIP, _DARK = 0.86, 0.3  # of the light of the lower lip: the least that is a lip, and how much darker a line is
_TEETH = 0.12  # mean share of teeth between points from which on points lie on them; dark lips are taken for a mouth
_NEAR, _FALL = 0.036, 0.1  # how far from a segment's end lips may end, and a clear fall of whiteness within two steps
_MISTAKEN = 0.28  # mean share between points above which what is there is no lip


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
    inside = _inside(segments)
    beyond, sure = _beyond_points(inside, landmarks)
    if sure < _SURE:
        return None
    red = torch.lerp(landmarks[:, list(OUTER_LIPS)], landmarks[:, list(INNER_LIPS)], 0.5)
    colour = functional.grid_sample(picture, red[:, None], align_corners=False)[0, :, 0].median(1).values
    return LipEdges(landmarks, beyond, opening, inside[0], colour)


def _inside(segments: Float[Tensor, "n segments s s"]) -> Float[Tensor, "n 1 s s"]:
    return segments[:, [SEGMENTS.index("mouth"), SEGMENTS.index("teeth")]].sum(1, keepdim=True)


def _beyond_points(
    inside: Float[Tensor, "1 1 s s"], landmarks: Float[Tensor, "1 478 2"]
) -> tuple[Float[Tensor, "2 places"], float]:
    """Return how far beyond their points lips end, see `LipEdges.beyond`, and how surely the mouth is open."""
    frame = frames_of_eyes(landmarks)
    upper, lower = frame.local(landmarks[:, LIPS]).chunk(2, 1)
    x = torch.linspace(float(upper[0, 0, 0]), float(upper[0, -1, 0]), _PLACES)[None].to(landmarks)
    between = frame.outside(torch.stack([x, (along(x, upper) + along(x, lower)) / 2], -1))
    sure = float(functional.grid_sample(inside, between[:, None], align_corners=False).mean())
    away = torch.arange(0, _HIGH, _STEP).to(landmarks)
    found: list[Tensor] = []
    for line, way in ((upper, -1.0), (lower, 1.0)):
        y = along(x, line)[0, :, None] + way * away
        places = frame.outside(torch.stack([x[0, :, None].expand_as(y), y], -1).flatten(0, 1)[None])
        seen = functional.grid_sample(inside, places[:, None], align_corners=False)[0, 0, 0].view(_PLACES, -1)
        # The first pixel outwards that is no longer inside.
        found.append((seen > _SEEN).long().cumprod(1).sum(1) * _STEP)
    smooth = functional.avg_pool1d(functional.pad(torch.stack(found)[None], (2, 2), mode="replicate"), 5, 1)
    return smooth[0], sure


def lips_as_seen(
    pictures: Float[Tensor, "n 3 s s"],
    segments: Float[Tensor, "n segments s s"],
    landmarks: Float[Tensor, "n 478 2"],
) -> Float[Tensor, "n 478 2"]:
    """Bring points of lips together where a photograph shows nothing between them.

    Found points leave shut mouths some hundredths of the distance of the eyes open: lips would be pressed thin to close
    them. In 64 pictures of real people in which less than a fifth of what is between the points was mouth, all but two
    mouths were open by less than 0.03, most by less than 0.01. Dark lips may be taken for a mouth; so a mouth is shut,
    too, where the lower part of what is between the points is as light as the lower lip, below a line that is far
    darker. Lips meet in that line. And where teeth are seen, points of lips lie on them, and go to where the lips end:
    what is drawn in a mouth would end before it, and leave a strip of teeth on the lip.

    Args:
        pictures: In [-1, 1].
        segments: Of the photographs, see `topology.SEGMENTS`.
        landmarks: In [-1, 1].

    Returns:
        The same points but those of inner lips.
    """
    upper, lower = (landmarks[:, list(points)] for points in zip(*MEETING_LIPS, strict=True))
    between = torch.cat([torch.lerp(upper, lower, share) for share in (0.3, 0.5, 0.7)], 1)
    inside = segments[:, [SEGMENTS.index("mouth"), SEGMENTS.index("teeth")]].to(between)
    mouth, teeth = functional.grid_sample(inside, between[:, None], align_corners=False).mean((2, 3)).unbind(1)
    seen = mouth + teeth
    opening = mouth_opening(landmarks)
    line, alike = _dark_line(pictures, landmarks, upper, lower)
    mistaken = alike * ((_MISTAKEN - seen) / (_MISTAKEN - _OPEN)).clamp(0, 1)
    shut = torch.maximum(((_OPEN - seen) / (_OPEN - _CLOSED)).clamp(0, 1), mistaken) * (opening < _WIDE)
    left = 1 - shut * (1 - (_MEET / opening.clamp(min=_MEET)))
    middle = torch.lerp(upper, lower, 0.5 + shut[:, None, None] * (line - 0.5))
    half = (lower - upper) / 2 * left[:, None, None]
    made = landmarks.clone()
    for points, place in zip(zip(*MEETING_LIPS, strict=True), (middle - half, middle + half), strict=True):
        made[:, list(points)] = place
    for row in ((seen > _SURE) & (teeth > _TEETH)).nonzero()[:, 0].tolist():
        one = slice(row, row + 1)
        made[one] = _at_edges(pictures[one], inside[one].sum(1, keepdim=True), landmarks[one])
    return made


def _at_edges(
    picture: Float[Tensor, "1 3 s s"], inside: Float[Tensor, "1 1 s s"], landmarks: Float[Tensor, "1 478 2"]
) -> Float[Tensor, "1 478 2"]:
    """Move points of inner lips that lie on teeth to where the lips end.

    Segments say so roughly; near there it is where light and whiteness fall most.
    """
    beyond, _ = _beyond_points(inside, landmarks)
    frame, made = frames_of_eyes(landmarks), landmarks.clone()
    lines = frame.local(landmarks[:, LIPS]).chunk(2, 1)
    places = torch.linspace(float(lines[0][0, 0, 0]), float(lines[0][0, -1, 0]), _PLACES).to(landmarks)
    near = torch.arange(-_NEAR, _NEAR + _STEP / 2, _STEP).to(landmarks)
    for line, points, more, way in zip(lines, (LIPS[:11], LIPS[11:]), beyond, (-1.0, 1.0), strict=True):
        y = along(places[None], line)[0, :, None] + way * (more[:, None] + near)
        at = frame.outside(torch.stack([places[:, None].expand_as(y), y], -1).flatten(0, 1)[None])
        colours = functional.grid_sample(picture.to(at), at[:, None], align_corners=False)[0, :, 0].view(3, *y.shape)
        white = colours[1] - (colours[0] - colours[1])  # teeth are lighter and less red than lips
        falls = (white[:, :-2] - white[:, 2:]).clamp(min=0)
        prior = torch.exp(-(near[1:-1] / (_NEAR / 2)).square())
        share = (falls * prior).square()
        better = (share * near[1:-1]).sum(1) / share.sum(1).clamp(min=1e-9) * (falls.amax(1) / _FALL).clamp(max=1)
        better = functional.avg_pool1d(functional.pad(better[None, None], (2, 2), mode="replicate"), 5, 1)[0, 0]
        away = along(line[..., 0], torch.stack([places, (more + better).clamp(min=0)], -1)[None])
        to = frame.outside(torch.stack([line[..., 0], line[..., 1] + way * away], -1))
        made[:, list(points[1:-1])] = to[:, 1:-1]
    return made


def _dark_line(
    pictures: Float[Tensor, "n 3 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    upper: Float[Tensor, "n 9 2"],
    lower: Float[Tensor, "n 9 2"],
) -> tuple[Float[Tensor, "n 9 1"], Float[Tensor, "n"]]:
    """Find the darkest line between the points of inner lips.

    Returns:
        Where it is, from the upper points, 0, to the lower ones, 1; and how surely what is below it is a lip.
    """
    ends = landmarks[:, list(OUTER_LIPS[:10:-1])]

    def light(places: Float[Tensor, "n k 9 2"]) -> Float[Tensor, "n k 9"]:
        found = functional.grid_sample(pictures.to(places), places, padding_mode="border", align_corners=False)
        return (luma(found)[:, 0] + 1) / 2

    share = torch.linspace(-_AROUND, 1 + _AROUND, _PLACES).to(upper)[:, None, None]
    values = light(torch.lerp(upper[:, None], lower[:, None], share))
    darkest = values.amin(1, keepdim=True)
    weights = ((darkest - values) / (_FADES * values.mean(1, keepdim=True).clamp(min=1e-3))).exp()
    line = (weights * share[..., 0]).sum(1) / weights.sum(1)
    line = functional.avg_pool1d(functional.pad(line[:, None], (2, 2), mode="replicate"), 5, 1)[:, 0, :, None]
    lip = light(torch.lerp(lower[:, None], ends[:, None], share.clamp(0.15, 0.55)))[..., 2:7].mean((1, 2))
    below = values[:, (share[:, 0, 0] > 0.7) & (share[:, 0, 0] <= 1), 2:7].mean((1, 2))
    alike = smooth_step((below / lip.clamp(min=1e-3) - _LIKE_LIP) / (1 - _LIKE_LIP) * 3)
    dark = smooth_step((1 - darkest[..., 2:7].mean((1, 2)) / lip.clamp(min=1e-3)) / _DARK - 0.5)
    return line, alike * dark


def over_lips(
    flow: Float[Tensor, "n 2 s s"], edges: LipEdges, landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 2 s s"]:
    """Bend a field so that lips which close end where they meet.

    Args:
        flow: Where each pixel of the frames lies in the photograph, in [-1, 1].
        edges: Of the photograph.
        landmarks: Of the frames, in [-1, 1].
    """
    share = ((mouth_opening(landmarks) - _MEET) / (edges.opening - _MEET)).clamp(0, 1)
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
    inside: Float[Tensor, "n 1 s s"],
    edges: LipEdges,
    landmarks: Float[Tensor, "n 478 2"],
) -> Float[Tensor, "n 3 s s"]:
    """Leave no tooth between lips that meet.

    Args:
        frames: The photograph moved, in [-1, 1].
        inside: `LipEdges.inside`, moved likewise.
        edges: Of the photograph.
        landmarks: Of the frames, in [-1, 1].
    """
    met = smooth_step((_SHOWS - mouth_opening(landmarks)) / (_SHOWS - _SHUT))
    line = ((edges.colour + 1) * _LINE - 1).view(3, 1, 1)
    made = frames.clone()
    for row in met.nonzero()[:, 0].tolist():
        rows, columns = _around(landmarks[row], frames.shape[-1])
        part = made[row, :, rows, columns]
        near = _near_the_line(landmarks[row : row + 1], rows, columns, frames.shape[-1])
        share = met[row] * near * (_SURELY * inside[row, :, rows, columns]).clamp(0, 1)
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
    share = (opening - _MEET) / (edges.opening - _MEET)
    met = smooth_step((_THIN - gap) / (_THIN / 2)) * smooth_step((0.9 - share) / 0.3)
    made, mouths = frames.clone(), frames_of_eyes(landmarks)
    for row in met.nonzero()[:, 0].tolist():
        frame, where = mouths.rows(slice(row, row + 1)), _around(landmarks[row], frames.shape[-1])
        upper, lower = frame.local(landmarks[row : row + 1, LIPS]).chunk(2, 1)
        made[row] = evened_along(frames[row], frame, torch.lerp(upper, lower, 0.5), where, met[row])
    return made


def evened_along(
    picture: Float[Tensor, "3 s s"],
    frame: MouthFrames,
    line: Float[Tensor, "1 p 2"],
    where: tuple[slice, slice],
    share: Float[Tensor, ""],
) -> Float[Tensor, "3 s s"]:
    """Even a picture out along a line, a pixel or two around it.

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
    steps = torch.arange(-_ALONG, _ALONG + 1).to(x)
    beside = (x[..., None] + steps * pixel).flatten(1)
    there = torch.stack([beside, along(beside, line) + away.repeat_interleave(len(steps), 1)], -1)
    at = frame.outside(there)[:, None].to(picture)
    found = functional.grid_sample(picture[None], at, padding_mode="border", align_corners=False)[0, :, 0]
    weights = (-2 * (steps / _ALONG).square()).exp().to(picture)
    even = (found.unflatten(1, (-1, len(steps))) * weights).sum(-1) / weights.sum()
    near = smooth_step(1.5 - away.abs() / (_SEAM * pixel))
    near = near * smooth_step(torch.minimum(x - line[:, :1, 0], line[:, -1:, 0] - x) / (_ALONG * pixel))
    made, (rows, columns) = picture.clone(), where
    part = made[:, rows, columns]
    weight = (share * near).view(1, *part.shape[1:]).to(picture)
    made[:, rows, columns] = torch.lerp(part, even.view_as(part), weight)
    return made


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
    places = torch.linspace(float(corners[0]), float(corners[1]), _PLACES)
    return along(x, torch.stack([places, edges.beyond[side_of_mouth]], -1)[None])


def frames_of_eyes(landmarks: Float[Tensor, "n 478 2"]) -> MouthFrames:
    """Return frames of mouths whose unit is the distance of the eyes."""
    none = torch.zeros(len(landmarks))
    across = functional.normalize(eye_line(landmarks), dim=-1) * eye_distance(landmarks)[:, None]
    corners = landmarks[:, [OUTER_LIPS[0], OUTER_LIPS[10]]].mean(1)
    return MouthFrames(corners, across, none, none, none)


def places_of(rows: slice, columns: slice, side: int) -> Float[Tensor, "1 k 2"]:
    """Return the centres of some pixels of a picture, in [-1, 1]."""
    axis = (torch.arange(side) * 2 + 1) / side - 1
    return torch.stack(torch.meshgrid(axis[columns], axis[rows], indexing="xy"), -1).flatten(0, 1)[None]


def _around(landmarks: Float[Tensor, "478 2"], side: int) -> tuple[slice, slice]:
    """Return rows and columns of the pixels around a mouth."""
    lips = (landmarks[list(OUTER_LIPS)] + 1) * (side / 2)
    margin = _REACH * float(eye_distance(landmarks[None])[0]) * side / 2
    low, high = (lips.amin(0) - margin).floor().clamp(0, side), (lips.amax(0) + margin).ceil().clamp(0, side)
    return slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0]))
