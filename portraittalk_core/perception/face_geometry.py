"""Where a face lies: its box, the five points that it is aligned by, and squares cut around it.

Points are in pixels as OpenCV counts them: (0, 0) is the centre of the first one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from ..topology import EYES

ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where ArcFace wants eyes, nose tip and mouth corners in its 112x112 crop (deepinsight/insightface, face_align)."""

NOSE_TIP = 4

MOUTH_CORNERS = (61, 291)

MARGIN = 1.5
"""Side of the square around a face over the longer side of its box, as insightface cuts it."""


def face_box(points: Float32[ndarray, "478 2"]) -> Float32[ndarray, " 4"]:
    """Return left, top, right, bottom around the landmarks: forehead to chin. Our definition of a face's box.

    Args:
        points: The landmarks, in any unit, which is the box's.
    """
    skin = points[:468]
    return np.concatenate([skin.min(0), skin.max(0)]).astype(np.float32)


def five_points(points: Float32[ndarray, "478 2"]) -> Float32[ndarray, "5 2"]:
    """Return the key points that ArcFace aligns with: eye centres, nose tip, mouth corners.

    Args:
        points: The landmarks, in any unit.
    """
    eyes = [points[list(eye)].mean(0) for eye in EYES]
    return np.stack([*eyes, points[NOSE_TIP], *(points[k] for k in MOUTH_CORNERS)]).astype(np.float32)


def similarity(source: Float32[ndarray, "k 2"], target: Float32[ndarray, "k 2"]) -> Float32[ndarray, "2 3"]:
    """Return the matrix of the similarity that takes one set of points to another with least squared error.

    Args:
        source: Points to be moved.
        target: Where they should be.
    """
    a, b = (p[:, 0] + 1j * p[:, 1] for p in (source, target))
    turn = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean())
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32)


def move(points: Float32[ndarray, "k 2"], matrix: Float32[ndarray, "2 3"]) -> Float32[ndarray, "k 2"]:
    """Apply an affine matrix to points.

    Args:
        points: In any unit.
        matrix: In the same unit.
    """
    return (points @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)


def upright_square(
    points: Float32[ndarray, "k 2"], five: Float32[ndarray, "5 2"], size: int
) -> Float32[ndarray, "2 3"]:
    """Return the matrix from a picture to the square around a face in which the head does not lean.

    Args:
        points: Around which the square lies: landmarks, or the corners of a box.
        five: The key points, which say how far the head leans.
        size: Side of the square in pixels.
    """
    turn = similarity(five, ARCFACE_POINTS)[:, :2]
    turn = turn / np.sqrt(np.linalg.det(turn))
    turned = points @ turn.T
    low, high = turned.min(0), turned.max(0)
    scale = size / (MARGIN * float((high - low).max()))
    shift = size / 2 - scale * (low + high) / 2
    return np.concatenate([scale * turn, shift[:, None]], 1).astype(np.float32)


def cut(
    picture: UInt8[ndarray, "h w 3"], matrix: Float32[ndarray, "2 3"], size: int, *, edge: bool = False
) -> UInt8[ndarray, "size size 3"]:
    """Cut a square out of a picture; where it shrinks much, pixels are averaged first.

    Args:
        picture: RGB or BGR.
        matrix: From the picture to the square, in pixels.
        size: Side of the square in pixels.
        edge: Whether the picture's edge goes on beyond it; else there is black.
    """
    import cv2

    times = int(1 / np.sqrt(np.linalg.det(matrix[:, :2].astype(float))))
    if times > 1:
        height, width = picture.shape[:2]
        small = (max(1, width // times), max(1, height // times))
        grow = np.array([width / small[0], height / small[1]])
        picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        shift = matrix[:, 2] + matrix[:, :2] @ ((grow - 1) / 2)
        matrix = np.concatenate([matrix[:, :2] * grow, shift[:, None]], 1)
    beyond = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    return cv2.warpAffine(picture, matrix.astype(np.float32), (size, size), flags=cv2.INTER_LINEAR, borderMode=beyond)
