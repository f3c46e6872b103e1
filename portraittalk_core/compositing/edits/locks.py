"""Locks of hair: how strands that grow side by side gather, taper and end one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

_FINER = 2  # places between two of a guide, so that lines of strands are bent
_ROUND = 0.8  # how far a lock is as round as a rope, in what it shows of light
_LOOSE, _LOOSER = 0.04, 2.6  # share of strands that have left their lock; how many times as far out they are
_ONE_BY_ONE = (0.78, 1.0)  # of a lock's length, at which its strands end
_MIDDLE = 0.6  # how light the middle of a tuft is beside its strands
_STRANDS_DIFFER, _LOCKS_DIFFER = 0.09, 0.2  # deviation of the logarithm of how light they are


@dataclass(frozen=True)
class Strands:
    """Hairs in the head's coordinates, all of as many places."""

    places: Float32[ndarray, "n k 3"]
    light: Float32[ndarray, "n k"]
    """How light they are beside other hairs in the same light."""
    outward: Float32[ndarray, "n k 3"]
    thick: Float32[ndarray, "n k"] | None = None
    """How thick what is drawn is, in distances of the eyes; None: a hair."""


@dataclass(frozen=True)
class LockKind:
    """How the hair of a guide gathers."""

    tufts: int = 3
    """Into which it parts."""
    strands: int = 14
    """Of a tuft."""
    gather: float = 0.45
    """How far its tufts run together towards the tip, from 0 to 1."""
    clump: float = 0.8
    """How far strands of a tuft do."""
    flat: float = 0.55
    """How thick a tuft is beside its breadth."""
    wave: float = 0.1
    """How far a tuft swings to its sides, of the guide's breadth."""
    waves: float = 1.6
    """How often it does, in radians along it over pi."""
    ends: tuple[float, float] = (0.8, 1.0)
    """Of the guide's length, where tufts end."""
    core: float = 0.75
    """How much of a tuft is so dense that nothing is seen through it, of its breadth."""


@dataclass(frozen=True)
class Guides:
    """Ribbons along which hair lies, all of as many places."""

    left: Float32[ndarray, "n k 3"]
    right: Float32[ndarray, "n k 3"]
    normal: Float32[ndarray, "n k 3"]
    """Away from the head."""


def locks_of(guides: Guides, kind: LockKind, rng: np.random.Generator) -> list[Strands]:
    """Return the strands that lie along guides, and the dense middles of their tufts.

    Args:
        guides: Where hair lies.
        kind: How it gathers.
        rng: Of every strand.
    """
    left, right, normal = (_finer(value) for value in (guides.left, guides.right, guides.normal))
    n, k, _ = left.shape
    t = np.linspace(0, 1, k)
    middle, across = (left + right) / 2, right - left
    broad = np.linalg.norm(across, axis=-1, keepdims=True)
    side = across / np.maximum(broad, 1e-6)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=-1, keepdims=True), 1e-6)
    # Of tufts [n, m, k]: where across their guide they are.
    at = (np.arange(kind.tufts) + 0.5) / kind.tufts - 0.5 + rng.normal(0, 0.25 / kind.tufts, (n, kind.tufts))
    swing = np.sin(rng.uniform(0, 6.28, (n, kind.tufts, 1)) + np.pi * kind.waves * rng.uniform(0.7, 1.3, (n, 1, 1)) * t)
    aside = at[..., None] * (1 - kind.gather * t**1.5) + kind.wave * swing * np.minimum(1, 2 * t)
    bulge = 0.6 * kind.flat * rng.uniform(-1, 1, (n, kind.tufts, 1)) * np.minimum(1, 4 * t)
    ends = rng.uniform(*kind.ends, (n, kind.tufts, 1))
    radius = 0.62 / kind.tufts * (0.6 + 0.4 * np.minimum(1, 5 * t)) * (1 - kind.clump * t**1.7)
    tone = np.exp(rng.normal(0, _LOCKS_DIFFER, (n, kind.tufts, 1)) + rng.normal(0, 0.5 * _LOCKS_DIFFER, (n, 1, 1)))

    def placed(x: ndarray, y: ndarray) -> ndarray:
        """Return places of [n, m, s, k], in breadths across and outwards."""
        wide, out = x * broad[:, None, None, :, 0], y * broad[:, None, None, :, 0]
        return middle[:, None, None] + wide[..., None] * side[:, None, None] + out[..., None] * normal[:, None, None]

    shape = (n, kind.tufts, kind.strands, 1)
    far, turn = np.sqrt(rng.random(shape)), rng.uniform(0, 6.28, shape)
    far = np.where(rng.random(shape) < _LOOSE, far * _LOOSER, far) * (1 + 0.15 * np.sin(turn + 5 * t))
    x, y = far * np.cos(turn + 0.6 * t), far * np.sin(turn + 0.6 * t)
    places = placed(aside[:, :, None] + radius * x, (bulge[:, :, None] / kind.tufts + radius * kind.flat * y))
    short = ends[..., None] * rng.uniform(*_ONE_BY_ONE, shape)
    light = tone[..., None] * np.exp(rng.normal(0, _STRANDS_DIFFER, shape)) * (1 + 0.18 * np.clip(y, -1, 1))
    out = (1 - 0.3 * _ROUND) * normal[:, None, None] + _ROUND * (
        np.clip(x, -1, 1)[..., None] * side[:, None, None] + 0.5 * np.clip(y, -1, 1)[..., None] * normal[:, None, None]
    )
    flat = (n * kind.tufts * kind.strands, k)
    places, out = (_shortened(value.reshape(*flat, 3), short.reshape(-1, 1)) for value in (places, out))
    light = np.broadcast_to(light, (*shape[:3], k)).reshape(flat)
    found = [Strands(*(value.astype(np.float32) for value in (places, light, out)))]
    if kind.core:
        places = placed(aside[:, :, None], bulge[:, :, None] / kind.tufts)[:, :, 0]
        thick = 2 * kind.core * kind.flat**0.5 * radius * broad[:, None, :, 0]
        flat = (n * kind.tufts, k)
        share = (0.86 * ends).reshape(-1, 1)
        places, out = (
            _shortened(value.reshape(*flat, 3), share)
            for value in (places, np.broadcast_to(normal[:, None], places.shape))
        )
        thick = np.broadcast_to(thick, (n, kind.tufts, k)).reshape(flat)
        light = np.broadcast_to(_MIDDLE * tone, (n, kind.tufts, k)).reshape(flat)
        found.append(Strands(*(value.astype(np.float32) for value in (places, light, out, thick))))
    return found


def _finer(values: ndarray) -> ndarray:
    """Return paths with a place between every two, on a cubic through four of them."""
    ends = np.concatenate([values[:, :1], values, values[:, -1:]], 1)
    between = (9 * (ends[:, 1:-2] + ends[:, 2:-1]) - ends[:, :-3] - ends[:, 3:]) / 16
    found = np.empty((len(values), 2 * values.shape[1] - 1, values.shape[2]), values.dtype)
    found[:, ::2], found[:, 1::2] = values, between
    return found


def _shortened(places: ndarray, share: ndarray) -> ndarray:
    """Return paths [n, k, 3] cut off at a share [n, 1] of their length, with as many places."""
    steps = places.shape[1]
    at = np.linspace(0, steps - 1, steps) * share
    low = np.minimum(at.astype(int), steps - 2)
    part = (at - low)[..., None]
    first, second = (np.take_along_axis(places, (low + k)[..., None], 1) for k in range(2))
    return first + part * (second - first)
