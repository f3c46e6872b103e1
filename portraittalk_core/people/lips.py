"""Lips that come forward about a round hole, as people's do in *who*: what MakeHuman's `mouthFunnel` lacks."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float32, Float64, Int
from numpy import ndarray

from ..topology import INNER_LIPS, OUTER_LIPS
from .anatomy import Anatomy
from .landmarks import landmark_vertices

_INNER, _OUTER = (0.48, 0.5), (0.52, 1.25)
"""Of the ellipses on which the rims and the edges of the red lie: the width, as a share of that at rest, and the
height, as a share of the width. At a command of 0.6 lips are then as narrow and as high as those of people in whom
MediaPipe reads about as much: of two thirds of their width at rest, and nine tenths as high as they are wide."""
_POINTED = (0.6, 0.5)
"""How pointed the two are at the corners: the power of an ellipse is 0.5, that of a lens larger."""
_REACH = 0.10
"""How far from the lips skin goes along, in decimetres along the surface."""
_BLUR = 0.035
"""How near one another, likewise, vertices of the lips are that together say where the skin beside them goes."""


def rounding(anatomy: Anatomy, offsets: Float32[ndarray, "v 3"]) -> Float32[ndarray, "v 3"]:
    """Return what a movement lacks for the lips to lie on two ellipses, one in the other.

    How far lips come forward, and where the middle of the mouth goes, stays the movement's. Alone it keeps the lips
    shut beside the corners and opens them in the middle: a diamond with two tails, whose red becomes thin.

    Args:
        anatomy: The template.
        offsets: The movement, decimetres.
    """
    rings = [landmark_vertices()[list(ring)] for ring in (INNER_LIPS, OUTER_LIPS)]
    rest = [anatomy.points[ring].astype(np.float64) for ring in rings]
    rest[0][11:] = rest[0][9:0:-1]  # at rest the rims are a crack apart; people's meet
    moved = [points + offsets[ring] for points, ring in zip(rest, rings)]
    middle = float(moved[0][[5, 15], 1].mean())
    wanted = [
        _on_ellipse(was, now, middle, *shape)
        for was, now, shape in zip(rest, moved, ((*_INNER, _POINTED[0]), (*_OUTER, _POINTED[1])))
    ]
    missing = np.concatenate(wanted) - np.concatenate(moved)
    apart = _along_surface(anatomy, np.concatenate(rings))
    nearest = apart.min(0)
    near = np.nonzero(nearest < 3 * _REACH)[0]
    shares = np.exp(-0.5 * np.square((apart[:, near] - nearest[near]) / _BLUR))
    shares *= np.exp(-0.5 * np.square(nearest[near] / _REACH)) / shares.sum(0)
    out = np.zeros_like(offsets)
    out[near] = shares.T @ missing
    return out


def _on_ellipse(
    rest: Float64[ndarray, "20 3"],
    moved: Float64[ndarray, "20 3"],
    middle: float,
    width: float,
    height: float,
    pointed: float,
) -> Float64[ndarray, "20 3"]:
    """Return where the points of a ring lie on an ellipse; it begins and has its eleventh point at the corners."""
    half = width * np.ptp(rest[:, 0]) / 2
    across = np.clip(rest[:, 0] / np.abs(rest[[0, 10], 0]).mean(), -1, 1)
    side = np.where(np.arange(len(rest)) < 11, 1.0, -1.0)
    tall = height * half * (1 - across**2) ** pointed
    return np.stack([half * across, middle + side * tall, moved[:, 2]], 1)


def _along_surface(anatomy: Anatomy, ring: Int[ndarray, "r"]) -> Float64[ndarray, "r v"]:
    """Return how far vertices are from some, along the edges of the template."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import dijkstra

    pairs = {
        (a[0], b[0])
        for polygons in anatomy.mesh.faces.values()
        for polygon in polygons
        for a, b in itertools.pairwise((*polygon, polygon[0]))
    }
    a, b = np.array(sorted(pairs)).T
    lengths = np.linalg.norm(anatomy.points[a] - anatomy.points[b], axis=1).clip(1e-6)
    graph = sp.csr_matrix((lengths, (a, b)), shape=(len(anatomy.points),) * 2)
    return dijkstra(graph, directed=False, indices=ring, limit=4 * _REACH)
