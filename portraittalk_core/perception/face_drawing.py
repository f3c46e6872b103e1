"""Draw MediaPipe's face landmarks as the pictures that public structure networks were trained on.

Both drawings are those of the public annotators, pixel for pixel; the colours are what the networks know the parts of
the face by. Landmarks are numbered as in MediaPipe's face mesh: 468 points and, for the pupils, ten more.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..errors import BadInput

Colour = tuple[int, int, int]
"""Three channels in 0...255, in the order of drawing."""

Lines = tuple[tuple[int, ...], ...]
"""Lines by the numbers of the points they join."""

_OVAL_LOW = (
    251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152, 148, 176, 149, 150, 136, 172, 58, 132, 93,
    234, 127, 162, 21,
)  # fmt: skip
_OVAL: Lines = ((10, 338, 297, 332, 284, *_OVAL_LOW, 54, 103, 67, 109, 10),)
_LEFT_EYE: Lines = ((263, 249, 390, 373, 374, 380, 381, 382, 362), (263, 466, 388, 387, 386, 385, 384, 398, 362))
_LEFT_BROW: Lines = ((276, 283, 282, 295, 285), (300, 293, 334, 296, 336))
_RIGHT_EYE: Lines = ((33, 7, 163, 144, 145, 153, 154, 155, 133), (33, 246, 161, 160, 159, 158, 157, 173, 133))
_RIGHT_BROW: Lines = ((46, 53, 52, 65, 55), (70, 63, 105, 66, 107))
_OUTER_BOTTOM = (61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291)
_OUTER_TOP = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291)
_INNER_BOTTOM = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_INNER_TOP = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)
_EYES_AND_BROWS: tuple[tuple[Colour, Lines], ...] = (
    ((180, 200, 10), _LEFT_EYE),
    ((180, 220, 10), _LEFT_BROW),
    ((10, 200, 180), _RIGHT_EYE),
    ((10, 220, 180), _RIGHT_BROW),
)
_HALF = 6  # a lip's line has eleven points; the sixth belongs to both halves

ANIPORTRAIT: tuple[tuple[Colour, Lines], ...] = (
    ((10, 200, 10), (_OVAL_LOW,)),
    *_EYES_AND_BROWS,
    ((10, 180, 20), (_OUTER_BOTTOM[:_HALF],)),
    ((20, 10, 180), (_OUTER_BOTTOM[_HALF - 1 :],)),
    ((100, 100, 30), (_INNER_BOTTOM[:_HALF],)),
    ((100, 150, 50), (_INNER_BOTTOM[_HALF - 1 :],)),
    ((20, 80, 100), (_OUTER_TOP[:_HALF],)),
    ((80, 100, 20), (_OUTER_TOP[_HALF - 1 :],)),
    ((120, 100, 200), (_INNER_TOP[:_HALF],)),
    ((150, 120, 100), (_INNER_TOP[_HALF - 1 :],)),
)
"""Colour and lines of each part, in the order of drawing: the oval without forehead, lips in eight colours."""

CONTROLNET: tuple[tuple[Colour, Lines], ...] = (
    ((10, 200, 10), _OVAL),
    *_EYES_AND_BROWS,
    ((10, 180, 10), (_OUTER_BOTTOM, _OUTER_TOP, _INNER_BOTTOM, _INNER_TOP)),
)
"""The same for ControlNetMediaPipeFace, in the order of channels at drawing, which is reversed afterwards."""

PUPILS: tuple[tuple[int, Colour], ...] = ((468, (10, 200, 250)), (473, (250, 200, 10)))
"""Point and colour of each pupil, which only ControlNetMediaPipeFace's picture has."""

_CANVAS, _THICKNESS = 512, 2


def draw_for_aniportrait(
    landmarks: Float[Tensor, "points axes"], height: int, width: int
) -> Float[Tensor, "3 height width"]:
    """Draw one face as AniPortrait's pose guider takes it: on a square of 512 pixels, then resized.

    Args:
        landmarks: Of 468 points or more, x and y as shares of width and height; more axes are not used.
        height: Of the result, pixels.
        width: Of the result, pixels.

    Returns:
        The picture in [0, 1], its channels as they are drawn.

    Raises:
        BadInput: When the landmarks have another shape.
    """
    import cv2

    canvas = np.zeros((_CANVAS, _CANVAS, 3), np.uint8)
    _draw(canvas, _checked(landmarks, 468), ANIPORTRAIT)
    return _as_tensor(cv2.resize(canvas, (width, height)))


def draw_for_controlnet(
    faces: Sequence[Float[Tensor, "points axes"]], height: int, width: int
) -> Float[Tensor, "3 height width"]:
    """Draw faces as ControlNetMediaPipeFace takes them.

    Args:
        faces: Landmarks of each, as `draw_for_aniportrait` takes them, but 478 points because the pupils are drawn.
        height: Of the result, pixels.
        width: Of the result, pixels.

    Returns:
        The picture, RGB in [0, 1].

    Raises:
        BadInput: When landmarks have another shape.
    """
    canvas = np.zeros((height, width, 3), np.uint8)
    for face in faces:
        points = _checked(face, 478)
        _draw(canvas, points, CONTROLNET)
        for number, colour in PUPILS:
            place = _pixel(points[number], width, height)
            if place is not None:
                x, y = place
                canvas[max(y - 2, 0) : y + 2, max(x - 2, 0) : x + 2] = colour
    return _as_tensor(canvas[..., ::-1])


def _draw(canvas: UInt8[np.ndarray, "h w 3"], points: list[list[float]], parts: Sequence[tuple[Colour, Lines]]) -> None:
    import cv2

    height, width = canvas.shape[:2]
    places = [_pixel(point, width, height) for point in points]
    for colour, lines in parts:
        for line in lines:
            for start, end in pairwise(line):
                first, last = places[start], places[end]
                if first is not None and last is not None:
                    cv2.line(canvas, first, last, colour, _THICKNESS)


def _pixel(point: Sequence[float], width: int, height: int) -> tuple[int, int] | None:
    """Return a point's pixel, None outside the picture, where nothing is drawn."""
    x, y = point[0], point[1]
    if not (0 <= x <= 1 and 0 <= y <= 1):
        return None
    return min(int(x * width), width - 1), min(int(y * height), height - 1)


def _checked(landmarks: Tensor, least: int) -> list[list[float]]:
    if landmarks.ndim != 2 or landmarks.shape[0] < least or landmarks.shape[1] < 2:
        raise BadInput(
            f"`landmarks` must be [{least} or more, 2 or 3] points of MediaPipe's face mesh, but got "
            f"{list(landmarks.shape)}. Use the face landmarker with the refined points."
        )
    return landmarks.double().tolist()


def _as_tensor(canvas: UInt8[np.ndarray, "h w 3"]) -> Float[Tensor, "3 h w"]:
    return torch.from_numpy(np.ascontiguousarray(canvas)).permute(2, 0, 1).float() / 255
