"""Meshes of things that people wear, from a few simple forms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

from .teeth import vertex_normals


@dataclass(frozen=True)
class Solid:
    """A mesh of one material."""

    points: Float32[ndarray, "v 3"]
    triangles: Int32[ndarray, "t 3"]
    normals: Float32[ndarray, "v 3"]
    tint: tuple[float, float, float]
    """Linear light."""
    gloss: float
    """0 is cloth, 1 is metal."""
    openness: float = 1.0
    """How much of the surroundings' light arrives."""
    weights: Float32[ndarray, "v 4"] | None = None
    """How far vertices follow the four bones above the bust; None for the head alone."""
    cloth: bool = False


def grid_triangles(rows: int, columns: int, closed: bool) -> Int32[ndarray, "t 3"]:
    """Return triangles over points laid out in rows, the columns closed to a ring or not."""
    last = columns if closed else columns - 1
    i = np.arange(rows - 1)[:, None] * columns + np.arange(last)[None]
    j = np.arange(rows - 1)[:, None] * columns + (np.arange(last)[None] + 1) % columns
    first, second = np.stack([i, j, i + columns], -1), np.stack([j, j + columns, i + columns], -1)
    return np.concatenate([first.reshape(-1, 3), second.reshape(-1, 3)]).astype(np.int32)


def sheet(points: Float32[ndarray, "r c 3"], closed: bool = False) -> tuple[ndarray, ndarray, ndarray]:
    """Return points, triangles and normals of a surface given as rows of points."""
    rows, columns, _ = points.shape
    flat, triangles = points.reshape(-1, 3).astype(np.float32), grid_triangles(rows, columns, closed)
    return flat, triangles, vertex_normals(flat, triangles)


def tube(
    path: Float32[ndarray, "n 3"], radius: float | ndarray, closed: bool, sides: int = 6, flat: float = 1.0
) -> tuple[ndarray, ndarray, ndarray]:
    """Return a tube about a path.

    Args:
        path: Points of the middle line.
        radius: One radius, or one for each point.
        closed: Whether the path is a ring.
        sides: Corners of the cross-section.
        flat: Height of the cross-section over its depth.
    """
    n = len(path)
    ahead, behind = (np.roll(path, s, 0) for s in (-1, 1))
    if not closed:
        ahead[-1], behind[0] = path[-1], path[0]
    along = ahead - behind
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    side = np.cross(along, [0.05, 0.12, 1.0])
    side /= np.maximum(np.linalg.norm(side, axis=1, keepdims=True), 1e-9)
    other = np.cross(side, along)
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    r = np.broadcast_to(np.asarray(radius, np.float64), (n,))[:, None, None]
    ring = path[:, None] + r * (
        flat * np.cos(angle)[None, :, None] * side[:, None] + np.sin(angle)[None, :, None] * other[:, None]
    )
    if closed:
        ring = np.concatenate([ring, ring[:1]])
    return sheet(ring.astype(np.float32), closed=True)


def ball(centre: ndarray, radius: float, n: int = 8) -> tuple[ndarray, ndarray, ndarray]:
    """Return a sphere."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, n, endpoint=False), np.linspace(0, np.pi, n))
    out = np.stack([np.sin(v) * np.cos(u), np.cos(v), np.sin(v) * np.sin(u)], -1)
    points, triangles, _ = sheet((centre + radius * out).astype(np.float32), closed=True)
    return points, triangles, out.reshape(-1, 3).astype(np.float32)
