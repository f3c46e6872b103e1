"""Finely curled hair: a soft mass of short curls around the head, denser within than at its outline."""

from __future__ import annotations

import numpy as np
from numpy import ndarray

from ...people.hair import SKULL, scalp, smoothstep
from ..head_mesh import HeadMesh
from .falling import scattered
from .locks import Strands

# In distances of the eyes.
_CURLS, _PLACES = 32000, 13
_HIGH = 1.0  # how far from the scalp the mass reaches above a head
_LOWEST = 0.6  # of that height, that a mass has where there is no room for more
_ROUND = (0.028, 0.058)  # radius of a curl
_TURNS = (0.8, 1.5)  # of what is seen of one
_LONG = 0.06  # how far it runs along its axis meanwhile
_UNEVEN = 0.05  # of the mass's outline
_WITHIN = 0.45  # power of how far out curls are: those within are hidden
_SKULL = 1.9  # height of the mean head's crown above the eyes
_MIDDLE = np.array([0.0, -0.45, -1.35])  # from which hair stands away


def curled_mass(mesh: HeadMesh, hairline: tuple[float, float], room: float, rng: np.random.Generator) -> Strands:
    """Return the curls of an afro.

    Args:
        mesh: The head.
        hairline: See `people.hair.scalp`.
        room: How far above the eyes there is a picture: a mass that would be cut off is smaller.
        rng: Of every curl.
    """
    root, normal, at = scattered(mesh, hairline, _CURLS, rng)
    above = scalp(at.astype(np.float32), hairline)
    grows = above + rng.normal(0, 0.03, len(above)) > 0
    root, normal, at, above = root[grows], normal[grows], at[grows], above[grows]
    n = len(root)
    d = (at - SKULL) / np.linalg.norm(at - SKULL, axis=1, keepdims=True)
    out = root - _MIDDLE
    out = 0.8 * out / np.linalg.norm(out, axis=1, keepdims=True) + 0.2 * normal
    high = _HIGH * (0.55 + 0.45 * smoothstep(-0.25, 0.65, d[:, 1])) * (0.12 + 0.88 * smoothstep(-0.02, 0.4, above))
    high = high * float(np.clip((room - _SKULL) / (1.1 * _HIGH), _LOWEST, 1))
    lumps = _lumps(d, rng)
    high = high * (1 + 0.07 * lumps) + _UNEVEN * rng.normal(0, 1, n) * high / _HIGH
    far = rng.random(n) ** _WITHIN
    start = root + out * (far * high)[:, None] + rng.normal(0, 0.03, (n, 3))
    return Strands(*(value.astype(np.float32) for value in _coils(start, out, far, rng)))


def _coils(start: ndarray, out: ndarray, far: ndarray, rng: np.random.Generator) -> tuple[ndarray, ndarray, ndarray]:
    n = len(start)
    axis = out + rng.normal(0, 0.6, (n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    one = np.cross(axis, rng.normal(0, 1, (n, 3)))
    one /= np.linalg.norm(one, axis=1, keepdims=True)
    other = np.cross(axis, one)
    t = np.linspace(0, 1, _PLACES)[None, :, None]
    turn = 6.283 * t * rng.uniform(*_TURNS, (n, 1, 1))
    wide = rng.uniform(*_ROUND, (n, 1, 1)) * (1 - 0.3 * t)
    ring = np.cos(turn) * one[:, None] + np.sin(turn) * other[:, None]
    places = start[:, None] + wide * ring + _LONG * t * axis[:, None]
    light = np.exp(rng.normal(0, 0.16, (n, 1))) * (0.8 + 0.2 * far[:, None])
    outward = 0.7 * out[:, None] + 0.5 * ring
    return places, np.broadcast_to(light, places.shape[:2]), outward


def _lumps(d: ndarray, rng: np.random.Generator) -> ndarray:
    """Return smooth noise of mean 0 on a sphere, from some waves."""
    ways = rng.normal(0, 6.0, (12, 3))
    return np.cos(d @ ways.T + rng.uniform(0, 6.28, 12)).mean(1) * np.sqrt(24)
