"""Teeth and gums, built from numbers, in the space of the template."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray

_WIDTHS = (0.086, 0.068, 0.076, 0.070, 0.068, 0.095, 0.095)
"""From the middle incisor to the second molar of the upper jaw, in decimetres."""
_LOWER = (0.66, 0.80, 0.80, 0.95, 0.95, 0.95, 0.95)
_RADIUS = 0.27
_ENAMEL = np.array([0.70, 0.63, 0.53])
_GUM = np.array([0.38, 0.125, 0.115])


@dataclass(frozen=True)
class Jaw:
    """One row of teeth with its gum."""

    points: Float32[ndarray, "v 3"]
    triangles: Int32[ndarray, "t 3"]
    tint: Float32[ndarray, "v 3"]
    normals: Float32[ndarray, "v 3"]


@functools.cache
def build_jaws() -> dict[str, Jaw]:
    """Return the upper and the lower row in the template's space."""
    return {"upper": _jaw(6.568, 1.0, 1.428, 0.112, upper=True), "lower": _jaw(6.602, -1.0, 1.405, 0.098, upper=False)}


def vertex_normals(points: Float32[ndarray, "v 3"], triangles: Int32[ndarray, "t 3"]) -> Float32[ndarray, "v 3"]:
    """Return unit normals, each the mean over the triangles about a vertex, weighted by area."""
    a, b, c = (points[triangles[:, i]] for i in range(3))
    cross = np.cross(b - a, c - a)
    normals = np.stack([np.bincount(triangles.ravel(), np.repeat(cross[:, k], 3), len(points)) for k in range(3)], 1)
    return (normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _jaw(edge: float, sign: float, front: float, height: float, upper: bool) -> Jaw:
    points, triangles, tints, base = [], [], [], 0
    for side in (-1, 1):
        reached = 0.0
        for k, width in enumerate(_WIDTHS):
            width *= 1.0 if upper else _LOWER[k]
            angle = min((reached + width / 2) / 0.34, 1.35)
            reached += width
            middle = edge + sign * height / 2 + (0.008 if upper and k == 1 else 0)
            centre = np.array([side * _RADIUS * np.sin(angle), middle, front - 0.42 * (1 - np.cos(angle))])
            p, t = _tooth(width * 1.03, height * (1.06 if k == 2 else 1), 0.075)
            p[:, 1] *= -sign
            turn = side * angle * 0.95
            r = np.array([[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]])
            root = np.clip(p[:, 1:2] * sign / height + 0.5, 0, 1)  # 0 at the biting edge
            points.append(p @ r.T + centre)
            triangles.append(t + base)
            tints.append(_ENAMEL * (1 - 0.16 * root) * (1 - np.array([0, 0.02, 0.06]) * root) * (1 - 0.02 * k))
            base += len(p)
    gum, gum_triangles = _gum(edge, sign, front, height)
    points.append(gum)
    triangles.append(gum_triangles + base)
    tints.append(np.tile(_GUM, (len(gum), 1)))
    p, t = np.concatenate(points).astype(np.float32), np.concatenate(triangles).astype(np.int32)
    return Jaw(p, t, np.concatenate(tints).astype(np.float32), vertex_normals(p, t))


def _tooth(width: float, height: float, depth: float, around: int = 8, rows: int = 6) -> tuple[ndarray, ndarray]:
    """Return a rounded box, the biting edge at the top."""
    u, v = np.meshgrid(np.linspace(0, 2 * np.pi, around, endpoint=False), np.linspace(-1, 1, rows))
    profile = (1 - np.abs(v) ** 4) ** 0.35
    x, z = (np.sign(c) * np.abs(c) ** 0.62 for c in (np.cos(u), np.sin(u)))
    columns = [x * profile * width * (0.46 + 0.05 * v), v * height / 2, z * profile * depth * (0.42 - 0.16 * v)]
    i = np.arange(rows - 1)[:, None] * around + np.arange(around)[None]
    j = np.arange(rows - 1)[:, None] * around + (np.arange(around)[None] + 1) % around
    faces = [np.stack([i, j, i + around], -1).reshape(-1, 3), np.stack([j, j + around, i + around], -1).reshape(-1, 3)]
    return np.stack(columns, -1).reshape(-1, 3), np.concatenate(faces)


def _gum(edge: float, sign: float, front: float, height: float, n: int = 25) -> tuple[ndarray, ndarray]:
    angle = np.linspace(-1.35, 1.35, n)
    rows = ((0.0, 0.03), (0.03, 0.045), (0.10, 0.05), (0.22, 0.01), (0.24, -0.10))
    bands = [
        np.stack(
            [
                np.sin(angle) * (_RADIUS + out - 0.03),
                np.full(n, edge + sign * (height * 0.86 + up)),
                front + out - 0.035 - 0.42 * (1 - np.cos(angle)),
            ],
            1,
        )
        for up, out in rows
    ]
    i = (np.arange(len(rows) - 1)[:, None] * n + np.arange(n - 1)[None]).ravel()
    return np.concatenate(bands), np.concatenate(
        [np.stack([i, i + 1, i + n], 1), np.stack([i + 1, i + n + 1, i + n], 1)]
    )
