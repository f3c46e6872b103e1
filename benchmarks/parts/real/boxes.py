"""Parts of a face in a picture: boxes around mouth and face, the area of its oval, and how far it has moved."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from portraittalk_core.topology import EYE_CORNERS, OUTER_LIPS, OVAL
from portraittalk_core.types import CropPlace

Box = tuple[slice, slice]
"""Rows and columns."""

MOUTH_MARGIN = 0.25
"""By how much the box of the lips is widened to each side."""

OVAL_MARGIN = 1.5
"""By how much the oval of the face is scaled before what lies outside it counts as outside the head."""


def in_crop(points: Float[Tensor, "*n 2"], place: CropPlace) -> Float[Tensor, "*n 2"]:
    """Return points of a picture in the [-1, 1] of its crop.

    Args:
        points: In pixels of the picture.
        place: Of the crop.
    """
    return (points - points.new_tensor([place.left, place.top])) / place.side * 2 - 1


def to_pixels(points: Float[Tensor, "*n 2"], size: int) -> Float[Tensor, "*n 2"]:
    """Return points of a crop in pixels.

    Args:
        points: In [-1, 1].
        size: Side of the crop, pixels.
    """
    return (points + 1) / 2 * size


def boxes(points: Float[Tensor, "478 2"], size: int) -> dict[str, Box]:
    """Return the boxes that errors are measured in.

    Args:
        points: Of a face, in pixels of a crop.
        size: Side of the crop.

    Returns:
        `mouth`, the lips and a quarter around them; `face`, the oval; `whole`.
    """
    return {
        "mouth": _box(points[list(OUTER_LIPS)], MOUTH_MARGIN, size),
        "face": _box(points[list(OVAL)], 0.0, size),
        "whole": (slice(0, size), slice(0, size)),
    }


def _box(points: Float[Tensor, "k 2"], margin: float, size: int) -> Box:
    low, high = points.amin(0), points.amax(0)
    wide = (high - low) * margin
    left, top = (low - wide).round().clamp(0, size - 12).int().tolist()
    right, bottom = (high + wide).round().clamp(0, size).int().tolist()
    return slice(top, max(bottom, top + 12)), slice(left, max(right, left + 12))


def eye_distance(points: Float[Tensor, "*f 478 2"]) -> Float[Tensor, "*f"]:
    """Return the distance of the outer corners of the eyes, in the points' unit."""
    return (points[..., EYE_CORNERS[3], :] - points[..., EYE_CORNERS[0], :]).norm(dim=-1)


def moved(points: Float[Tensor, "f 478 2"], rest: Float[Tensor, "478 2"]) -> Float[Tensor, "f"]:
    """Return how far the points of each frame are from those at rest on average, in eye distances.

    Args:
        points: Of each frame.
        rest: In the same unit.
    """
    return (points - rest).norm(dim=-1).mean(1) / eye_distance(rest)


def oval(points: Float[Tensor, "478 2"], size: int, scale: float = 1.0) -> Bool[Tensor, "size size"]:
    """Return which pixels lie inside the oval of a face.

    Args:
        points: In pixels of a square picture.
        size: Its side.
        scale: Of the oval about its middle.
    """
    line = points[list(OVAL)]
    middle = (line.amin(0) + line.amax(0)) / 2
    corners = (middle + scale * (line - middle)).round().int().numpy()
    mask = cv2.fillPoly(np.zeros((size, size), np.uint8), [np.ascontiguousarray(corners)], 1)
    return torch.from_numpy(mask).bool()


def inside(place: CropPlace) -> Bool[Tensor, "side side"]:
    """Return which pixels of a crop lie in the picture, for beyond it the crop repeats the picture's edge.

    Args:
        place: Of the crop.
    """
    row, column = torch.arange(place.side) + place.top, torch.arange(place.side) + place.left
    return ((row >= 0) & (row < place.height))[:, None] & ((column >= 0) & (column < place.width))[None]


def outside_head(
    points: Float[Tensor, "f 478 2"], still: Float[Tensor, "f m m"], place: CropPlace
) -> Bool[Tensor, "f side side"]:
    """Return which pixels of a crop should be the photograph's in each frame.

    Those in the picture, beyond a margin around the oval of the face in this frame and in the photograph, that the
    dense motion takes to stand still, as it does all of its cells beside them.

    Args:
        points: In pixels of the crop; row 0 is the photograph's.
        still: By how much each cell stands still.
        place: Of the crop.
    """
    size = place.side
    moving = functional.max_pool2d((still < 0.5).float()[:, None], 5, 1, 2)
    moving = functional.interpolate(moving, (size, size), mode="nearest")[:, 0] > 0.5
    rest = oval(points[0], size, OVAL_MARGIN)
    heads = torch.stack([oval(row, size, OVAL_MARGIN) for row in points])
    return inside(place) & ~(moving | rest | heads)
