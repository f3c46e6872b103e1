"""Matrices of turning and projecting. All act on columns; angles are degrees."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray


def rotation(yaw: float, pitch: float, roll: float) -> Float64[ndarray, "3 3"]:
    """Return the rotation of a head.

    Args:
        yaw: Positive turns the face to the right of the picture.
        pitch: Positive nods down.
        roll: Positive tilts the head to the left of the picture.
    """
    (cy, cp, cr), (sy, sp, sr) = np.cos(np.radians([yaw, pitch, roll])), np.sin(np.radians([yaw, pitch, roll]))
    turn = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    nod = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    tilt = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return turn @ nod @ tilt


def about(turn: Float64[ndarray, "3 3"], pivot: ndarray) -> Float64[ndarray, "4 4"]:
    """Return the rotation about a point."""
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = turn, pivot - turn @ pivot
    return matrix


def perspective(eye: ndarray, target: ndarray, fov: float, near: float, far: float) -> Float64[ndarray, "4 4"]:
    """Return the matrix from the world to the clip space of a camera at `eye` that looks at `target`, y up.

    The fourth coordinate of a projected point is its depth along the axis, in the world's unit.
    """
    forward = (target - eye) / np.linalg.norm(target - eye)
    side = np.cross(forward, [0, 1, 0])
    side /= np.linalg.norm(side)
    view = np.eye(4)
    view[:3, :3] = [side, np.cross(side, forward), -forward]
    view[:3, 3] = -view[:3, :3] @ eye
    t = 1 / np.tan(np.radians(fov) / 2)
    depth = (far + near) / (near - far), 2 * far * near / (near - far)
    return np.array([[t, 0, 0, 0], [0, t, 0, 0], [0, 0, *depth], [0, 0, -1, 0]]) @ view


def parallel(direction: ndarray, centre: ndarray, radius: float) -> Float64[ndarray, "4 4"]:
    """Return the clip matrix of a view from `direction` that sees a ball of `radius` about `centre`."""
    d = direction / np.linalg.norm(direction)
    side = np.cross([0, 1, 0] if abs(d[1]) < 0.95 else [1, 0, 0], d)
    side /= np.linalg.norm(side)
    matrix = np.eye(4)
    matrix[:3, :3] = np.array([side, np.cross(d, side), -d]) / radius
    matrix[:3, 3] = -matrix[:3, :3] @ centre
    return matrix


def to_pixels(points: ndarray, matrix: ndarray, size: int) -> Float32[ndarray, "n 2"]:
    """Project points of the world to pixels, x to the right and y down, (0, 0) the corner of the first pixel."""
    clip = points @ matrix[:, :3].T + matrix[:, 3]
    return ((clip[:, :2] / clip[:, 3:] * [0.5, -0.5] + 0.5) * size).astype(np.float32)


def sphere(n: int) -> Float64[ndarray, "n 3"]:
    """Return directions spread evenly over the sphere (a Fibonacci spiral)."""
    i = np.arange(n) + 0.5
    height, angle = 1 - 2 * i / n, np.pi * (1 + 5**0.5) * i
    radius = np.sqrt(1 - height**2)
    return np.stack([radius * np.cos(angle), height, radius * np.sin(angle)], 1)
