"""MediaPipe's 478 points on the template: near which vertices, or which place on an iris, each point is."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy import ndarray

from .projection import to_pixels

if TYPE_CHECKING:
    from .actor import Actor
    from .motion import Pose

_TABLE = Path(__file__).with_name("landmarks.json")
_IRIS_RADIUS = 0.435
_RING = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))
"""MediaPipe's five points of an iris: middle, right, top, left, bottom of the picture."""

IRIS_RING: Float64[ndarray, "5 3"] = np.array(
    [[_IRIS_RADIUS * x, _IRIS_RADIUS * y, (1 - _IRIS_RADIUS**2) ** 0.5] for x, y in _RING]
)
"""The same on the unit ball of an eye that looks along z."""


@functools.cache
def landmark_vertices() -> Int[ndarray, "468"]:
    """Return the vertex of the template that is nearest to each of the points of the face's surface."""
    return np.array(json.loads(_TABLE.read_text(encoding="utf-8"))["vertices"], np.int64)


@functools.cache
def landmark_mix() -> Float32[ndarray, "468 468"]:
    """Return what moves those vertices to where MediaPipe sees its points: each row mixes vertices, and sums to 1.

    A point of MediaPipe seldom lies on a vertex, and on an outline on no fixed place of the skin; its neighbours say
    where it lies, whatever the face's shape, expression and pose.
    """
    mix = np.eye(468, dtype=np.float32)
    for row, neighbours in enumerate(json.loads(_TABLE.read_text(encoding="utf-8")).get("mix", [])):
        for neighbour, share in neighbours:
            mix[row, neighbour] += share
            mix[row, row] -= share
    return mix


def mix_landmarks(points: Float32[ndarray, "*n points d"]) -> Float32[ndarray, "*n points d"]:
    """Move points of vertices to where MediaPipe sees them; points of irises stay.

    Args:
        points: 468 of the surface, and the irises or not, in the plane or in space, in any unit.
    """
    skin = landmark_mix() @ points[..., :468, :]
    return np.concatenate([skin, points[..., 468:, :]], -2).astype(np.float32)


def project_landmarks(actor: Actor, pose: Pose, matrix: ndarray, size: int) -> Float32[ndarray, "478 2"]:
    """Return MediaPipe's points of a frame in pixels, x right and y down.

    Args:
        actor: The person.
        pose: The frame.
        matrix: The camera.
        size: Width and height of the picture in pixels.
    """
    return mix_landmarks(project_vertices(actor, pose, matrix, size))


def project_vertices(actor: Actor, pose: Pose, matrix: ndarray, size: int) -> Float32[ndarray, "478 2"]:
    """Return the vertices that are nearest to MediaPipe's points, and the points of the irises, likewise in pixels.

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
    ring = np.concatenate([IRIS_RING, np.ones((5, 1))], 1)
    both = [ring @ (pose.head @ pose.eyes[side]).T for side in ("Right", "Left")]
    return np.concatenate(both)[:, :3].astype(np.float32)
