"""Cut one fixed square out of a stretch, around the head as the models know it."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..perception.framing import CENTRE, SIZE, face_frame
from ..types import CropPlace
from .decoding import Picture

_ROOM = 0.04


def steady_place(points: Float[Tensor, "f 478 2"], height: int, width: int, margin: float = 1.0) -> CropPlace:
    """Return the square for all frames of a stretch: the camera stands still, the head moves in it.

    It frames the middle head as `perception.identity.crop_place` does, and is larger where the face would leave it.

    Args:
        points: Of each frame, in pixels.
        height: Of the pictures, pixels.
        width: Of the pictures, pixels.
        margin: Side over the usual one.
    """
    centre, size = face_frame(points.median(0).values.numpy())
    side = 2 * size / SIZE * margin
    left, top = (float(at) - (usual + 1) / 2 * side for at, usual in zip(centre, CENTRE, strict=True))
    low, high = points.amin((0, 1)).tolist(), points.amax((0, 1)).tolist()
    room = _ROOM * side
    left, right = min(left, low[0] - room), max(left + side, high[0] + room)
    top, bottom = min(top, low[1] - room), max(top + side, high[1] + room)
    square = max(8, round(max(right - left, bottom - top)))
    return CropPlace(
        round((left + right - square) / 2), round((top + bottom - square) / 2), square, height=height, width=width
    )


def cut_picture(picture: Picture, place: CropPlace, size: int) -> Picture:
    """Cut a square out of a picture and bring it to a size; beyond the picture its edge is repeated.

    Args:
        picture: RGB bytes.
        place: Of the square.
        size: Side of the result, pixels.
    """
    height, width = picture.shape[:2]
    rows = np.arange(place.top, place.top + place.side).clip(0, height - 1)
    columns = np.arange(place.left, place.left + place.side).clip(0, width - 1)
    square = picture[rows[:, None], columns[None]]
    if place.side == size:
        return square
    how = cv2.INTER_AREA if place.side > size else cv2.INTER_CUBIC
    return cv2.resize(square, (size, size), interpolation=how)


def in_square(points: Float[Tensor, "f 478 2"], place: CropPlace) -> Float[Tensor, "f 478 2"]:
    """Return points of a picture in the [-1, 1] of its square.

    Args:
        points: In pixels of the picture.
        place: Of the square.
    """
    return (points - points.new_tensor([place.left, place.top])) / place.side * 2 - 1
