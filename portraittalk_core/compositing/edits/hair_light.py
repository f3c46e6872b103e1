"""Light on hair: strands throw shadows on one another, and shine in bands across them."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from scipy.ndimage import gaussian_filter

from ..head_mesh import head_mesh

_CELL = 0.09  # of the grid in which hair is counted, in distances of the eyes
_SPREAD = 1.0  # over which it is evened out, cells
_OPAQUE = 0.5  # how much light a usual depth of a cell of hair takes, as a logarithm
_SKIN = 3.0  # likewise, of a head
_GAMMA = 1.8  # of pictures, less what film and eyes make of dark hair
_WAYS = np.array(
    [[0, -1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1], [0, 0.8, 0.6]], np.float32
)  # from which light comes that is known
_SKY = np.array([0.34, 0.16, 0.16, 0.3, 0.04, 0.0], np.float32)
"""Of them, in the light of a room."""


def openness(places: Float32[ndarray, "n 3"], hair: Float32[ndarray, "m 3"]) -> Float32[ndarray, "n ways"]:
    """Return how much of the light from each of some ways reaches places, past hair and the head.

    Args:
        places: In the head's coordinates.
        hair: Places that are evenly spread over the hair, likewise.
    """
    mesh = head_mesh()
    a, b, c = (mesh.points[mesh.triangles[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    solid = (a + b + c) / 3
    points = np.concatenate([hair, solid])
    cells = len(np.unique((hair / (2 * _CELL)).round().astype(np.int32), axis=0)) * 8
    weight = np.concatenate([np.full(len(hair), _OPAQUE * cells / len(hair)), _SKIN * area / _CELL**2])
    found: list[ndarray] = []
    for way in _WAYS:
        turned = _basis(way)
        at, there = points @ turned.T, places @ turned.T
        low = at.min(0) - 3 * _CELL
        size = ((at.max(0) - low) / _CELL).astype(int) + 4
        index = ((at - low) / _CELL).astype(int)
        grid = np.bincount(np.ravel_multi_index(tuple(index.T), tuple(size)), weight, int(size.prod())).reshape(size)
        grid = gaussian_filter(grid.astype(np.float32), _SPREAD, mode="constant")
        above = np.cumsum(grid[:, :, ::-1], 2)[:, :, ::-1]
        # What lies between a place and the light begins a cell and a half away.
        u, v, w = np.clip(((there - low) / _CELL + (0, 0, 1.5)).astype(int), 0, size - 1).T
        found.append(np.exp(-above[u, v, w]))
    return np.stack(found, 1).astype(np.float32)


def _basis(way: Float32[ndarray, "3"]) -> Float32[ndarray, "3 3"]:
    """Return three directions at right angles, the last of which is given."""
    other = np.array([1.0, 0, 0]) if abs(way[0]) < 0.5 else np.array([0, 1.0, 0])
    one = np.cross(way, other)
    one = one / np.linalg.norm(one)
    return np.stack([one, np.cross(way, one), way]).astype(np.float32)


def lit(
    way: Float32[ndarray, "*n 3"],
    out: Float32[ndarray, "*n 3"],
    opened: Float32[ndarray, "*n ways"],
    light: Float32[ndarray, "3"],
    view: Float32[ndarray, "3"],
) -> Float32[ndarray, "*n"]:
    """Return how light hairs are: two bands of shine (Marschner et al., 2003; Scheuermann, 2004) and scattered light.

    Args:
        way: Along which they run, from the root, of length 1.
        out: Away from the head and from the middle of their lock, likewise.
        opened: Of `openness`.
        light: Where it comes from.
        view: Where it is seen from.
    """
    near = np.maximum(_WAYS @ light, 0) ** 3
    direct = opened @ (near / near.sum())
    room = opened @ _SKY
    half = (light + view) / np.linalg.norm(light + view)
    along = way @ light
    sine = np.sqrt(np.maximum(0, 1 - along**2))
    wrap = np.clip((out @ light + 0.4) / 1.4, 0, 1)
    first, second = (_band(way, out, half, shift, sharp) for shift, sharp in ((-0.12, 45), (0.16, 12)))
    linear = 0.62 * room + direct * wrap * (0.75 * sine + 0.55 * second + 0.42 * first) + 0.04
    return linear ** (1 / _GAMMA)


def _band(way: ndarray, out: ndarray, half: ndarray, shift: float, sharp: float) -> ndarray:
    bent = way + shift * out
    along = (bent @ half) / np.maximum(np.linalg.norm(bent, axis=-1), 1e-6)
    return np.maximum(0, 1 - along**2) ** (sharp / 2)
