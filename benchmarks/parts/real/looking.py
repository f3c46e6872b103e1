"""Look at a finished video as a viewer does: whose face, how sharp, with which eyes, and does the room stand still?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from portraittalk_core.media.image import cut_square, from_bytes
from portraittalk_core.types import CropPlace

from .boxes import moved, outside_head
from .making import crops
from .material import same_person
from .readings import Read, Readings, read_frames
from .scores import AS_OPEN, QUANTITIES, away_from_photograph, face_sharpness, iris_colours, lid_gaps, restlessness

MOVING = 0.02
"""How far the points of a face are from rest, in eye distances, from which on a frame counts as moving."""

IRIS_LIMIT = 6.0
"""Of CIE Lab."""

_EVERY = 5  # frames of which it is asked who it is


@dataclass(frozen=True)
class Photograph:
    """What a video begins with, and what is read in it."""

    name: str
    """Of its file."""

    pixels: Float[Tensor, "3 h w"]
    """In [-1, 1]."""

    place: CropPlace
    """Of the crop around the head."""

    points: Float[Tensor, "478 2"]
    """MediaPipe's, in pixels of the crop in its own resolution."""

    @property
    def crop(self) -> Float[Tensor, "3 side side"]:
        """The crop in its own resolution."""
        return cut_square(self.pixels, self.place)


def look(
    read: Read,
    stack: Any,
    levels: UInt8[Tensor, "f 3 h w"],
    photograph: Photograph,
    still: Float[Tensor, "f m m"],
    gallery: dict[str, Tensor],
) -> dict[str, Any]:
    """Measure a finished video.

    Args:
        read: MediaPipe.
        stack: Whose face pack says who it is.
        levels: Its frames, 0 to 255.
        photograph: What it began with.
        still: Which cells of the crop stand still, as the dense motion says.
        gallery: Embeddings of photographs by name.

    Returns:
        Tracks by the names of `QUANTITIES` and figures, all as plain numbers; NaN is None.
    """
    place = photograph.place
    readings = read_frames(read, (from_bytes(frame) for frame in levels))
    found = readings.found
    row: dict[str, Any] = {"frames": len(found), "found": int(found.sum())}
    row["tracks"] = {name: plain(readings.track(name)) for name in QUANTITIES}
    if not bool(found.any()):
        return row
    pictures = crops(levels, place)
    points = readings.points - readings.points.new_tensor([place.left, place.top])
    row |= sharp(pictures, points, photograph)
    row |= eyes(pictures, points, photograph)
    outside = outside_head(_held(readings, place), still, place)
    row["outside"] = away_from_photograph(pictures, photograph.crop, outside)
    row["outside share"] = float(outside.float().mean())
    row["restless"] = restlessness(pictures, outside.all(0))
    row |= whose(stack, levels[::_EVERY], photograph.name, gallery)
    return row


def _held(readings: Readings, place: CropPlace) -> Tensor:
    return readings.filled().points - readings.points.new_tensor([place.left, place.top])


def plain(values: Tensor) -> list[float | None]:
    """Return a track as JSON holds it.

    Args:
        values: [n], NaN where nothing is known.
    """
    return [None if v != v else round(v, 5) for v in values.tolist()]


def tensor(values: list[float | None]) -> Tensor:
    """Undo `plain`.

    Args:
        values: None where nothing is known.
    """
    return torch.tensor([torch.nan if v is None else v for v in values])


def sharp(
    pictures: Float[Tensor, "f 3 s s"], points: Float[Tensor, "f 478 2"], photograph: Photograph
) -> dict[str, Any]:
    """Compare the face's sharpness with the photograph's.

    Args:
        pictures: The crops.
        points: In their pixels.
        photograph: What they began with.

    Returns:
        `sharpness moving` and `sharpness at rest`: mean ratios over those frames, None where there is none; `moving`,
        how many.
    """
    own = face_sharpness(photograph.crop[None], photograph.points[None])[0]
    ratio = face_sharpness(pictures, points) / own
    away = moved(points, photograph.points)
    parts = {"sharpness moving": ratio[away > MOVING], "sharpness at rest": ratio[away <= MOVING]}
    found: dict[str, Any] = {name: float(values.mean()) if len(values) else None for name, values in parts.items()}
    return found | {"moving": len(parts["sharpness moving"])}


def eyes(
    pictures: Float[Tensor, "f 3 s s"], points: Float[Tensor, "f 478 2"], photograph: Photograph
) -> dict[str, Any]:
    """Compare the colours of the irises with the photograph's, in frames in which they are as open.

    Args:
        pictures: The crops.
        points: In their pixels.
        photograph: What they began with.

    Returns:
        `iris` and `iris pair`: distances in CIE Lab, of each eye from the photograph's, and of the difference of both
        eyes from that in the photograph.
    """
    own = iris_colours(photograph.crop, photograph.points)
    colours = torch.stack([iris_colours(*pair) for pair in zip(pictures, points, strict=True)])
    as_open = lid_gaps(points) >= AS_OPEN * lid_gaps(photograph.points)
    colours = torch.where(as_open[..., None], colours, torch.nan)
    apart = (colours - own).norm(dim=-1).flatten()
    pair = ((colours[:, 0] - colours[:, 1]) - (own[0] - own[1])).norm(dim=-1)
    return {
        "iris": [round(v, 3) for v in apart[torch.isfinite(apart)].tolist()],
        "iris pair": [round(v, 3) for v in pair[torch.isfinite(pair)].tolist()],
    }


def whose(
    stack: Any, levels: UInt8[Tensor, "n 3 h w"], name: str, gallery: dict[str, Tensor]
) -> dict[str, int | float | None]:
    """Ask the face pack whose face each frame shows.

    Args:
        stack: Has the face pack.
        levels: Frames, 0 to 255.
        name: Of the photograph.
        gallery: Embeddings of photographs by name; other photographs of the same person do not count.

    Returns:
        `asked`, `right` and `likeness`, the mean similarity to the own photograph.
    """
    names = [n for n in gallery if n == name or not same_person(n, name)]
    known = torch.stack([gallery[n] for n in names])
    own = names.index(name)
    likeness: list[float] = []
    right = 0
    for frame in levels:
        faces = stack.face_finder().find(from_bytes(frame))
        if faces:
            alike = known @ faces[0].embedding
            right += int(alike.argmax()) == own
            likeness.append(float(alike[own]))
    return {"asked": len(levels), "right": right, "likeness": sum(likeness) / len(likeness) if likeness else None}
