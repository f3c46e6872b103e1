"""MediaPipe's 478 points on the template: which vertex, or which place on an iris, each point is."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from .actor import Actor
from .motion import Pose
from .projection import to_pixels

_TABLE = Path(__file__).with_name("landmarks.json")
_IRIS_RADIUS = 0.435
_RING = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
"""MediaPipe's five points of an iris: middle, right, top, left, bottom of the picture."""


@functools.cache
def landmark_vertices() -> Int[ndarray, "468"]:
    """Return the vertex of the template for each of the points of the face's surface."""
    return np.array(json.loads(_TABLE.read_text())["vertices"], np.int64)


def project_landmarks(actor: Actor, pose: Pose, matrix: ndarray, size: int) -> Float32[ndarray, "478 2"]:
    """Return MediaPipe's points of a frame in pixels, x right and y down.

    Args:
        actor: The person.
        pose: The frame.
        matrix: The camera.
        size: Width and height of the picture in pixels.
    """
    rows = np.searchsorted(actor.surface.used, landmark_vertices())
    skin = actor.rig.posed(pose)[rows]
    return to_pixels(np.concatenate([skin, iris_points(pose)]), matrix, size)


def iris_points(pose: Pose) -> Float32[ndarray, "10 3"]:
    """Return the points of the two irises in the world: first the eye at the left of the picture, as MediaPipe does."""
    depth = float(np.sqrt(1 - _IRIS_RADIUS**2))
    ring = np.array([[_IRIS_RADIUS * x, _IRIS_RADIUS * y, depth, 1] for x, y in _RING])
    both = [ring @ (pose.head @ pose.eyes[side]).T for side in ("Right", "Left")]
    return np.concatenate(both)[:, :3].astype(np.float32)
