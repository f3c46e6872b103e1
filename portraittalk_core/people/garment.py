"""Clothes: the body, moved outwards and smoothed, below a neckline; and collars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray
from numpy.random import Generator

from .hair import smoothstep
from .person import Person
from .solids import Solid, sheet, tube
from .surface import Surface


@dataclass(frozen=True)
class Garment:
    """Cloth over the bust; `g` counts corners of `Surface`."""

    points: Float32[ndarray, "g 3"]
    normals: Float32[ndarray, "g 3"]
    triangles: Int32[ndarray, "t 3"]
    neckline: float
    """Distance of the edge from the middle of the neck, in decimetres of the template."""
    vneck: float
    second: tuple[float, float, float]
    """Colour of stripes, or of the shirt below a jacket."""
    suit: bool
    ribbed: bool
    collars: tuple[Solid, ...]


def dress_body(
    person: Person, surface: Surface, rest: Float32[ndarray, "u 3"], weights: Float32[ndarray, "u 5"], rng: Generator
) -> Garment:
    """Return the clothes of a person.

    Args:
        person: Says which garment and its colour.
        surface: The skin.
        rest: The shaped skin at rest.
        weights: How far each vertex follows the bones.
        rng: Draws cut and second colour.
    """
    smooth = rest
    for _ in range(7):
        smooth = surface.smoothing @ smooth
    normals = surface.normals(smooth)
    heights = np.zeros(len(rest), np.float32)
    heights[surface.local] = surface.reference[:, 1]
    tight = smoothstep(5.55, 6.0, heights)[:, None]
    smooth = smooth * (1 - tight) + rest * tight
    normals = normals * (1 - tight) + surface.normals(rest) * tight
    loose = 0.055 + 0.09 * smoothstep(5.7, 4.8, heights)
    points = smooth + normals * loose[:, None]
    keep = surface.reference[:, 1][surface.triangles].min(1) < 6.08
    neckline, vneck = _cut(person, rng)
    local = surface.local
    collar = _Collar(surface, rest, surface.normals(rest), weights)
    return Garment(
        points[local].astype(np.float32),
        normals[local].astype(np.float32),
        surface.triangles[keep],
        neckline,
        vneck,
        _second(person, rng),
        person.garment == "suit",
        person.garment in ("t-shirt", "hoodie", "v-neck"),
        tuple(collar.build(person, neckline, rng)),
    )


def _cut(person: Person, rng: Generator) -> tuple[float, float]:
    if person.neckline is not None:
        return person.neckline, 0.0
    if person.garment == "v-neck":
        return float(rng.uniform(0.66, 0.80)), float(rng.uniform(1.0, 1.7))
    if person.garment in ("shirt", "suit"):
        return 0.60, 0.8 if person.garment == "shirt" else 0.0
    if person.garment == "turtleneck":
        return 0.55, 0.0
    return float(rng.uniform(0.62, 0.86)), 0.0


def _second(person: Person, rng: Generator) -> tuple[float, float, float]:
    if person.garment == "suit":
        shirts = ((0.62, 0.62, 0.62), (0.45, 0.52, 0.62), (0.6, 0.55, 0.5), (0.03, 0.03, 0.035))
        return shirts[int(rng.integers(4))]
    grey = float(rng.uniform(0.02, 0.6))
    return grey, grey, grey


class _Collar:
    """Builds collars as rows of points laid on the neck."""

    def __init__(self, surface: Surface, rest: ndarray, normals: ndarray, weights: ndarray) -> None:
        from scipy.spatial import KDTree

        reference = np.zeros_like(rest)
        reference[surface.local] = surface.reference
        neck = (
            (reference[:, 1] < 6.75)
            & (reference[:, 1] > 5.0)
            & (reference[:, 2] < 1.0)
            & (np.abs(reference[:, 0]) < 1.2)
        )
        self._rows = np.nonzero(neck)[0]
        self._tree = KDTree(reference[self._rows])
        self._rest, self._normals, self._weights = rest, normals, weights

    def wrap(self, angles: ndarray, height: ndarray, radius: float, out: float) -> tuple[ndarray, ndarray]:
        """Return a ring about the neck, `out` decimetres off the skin, and how it follows the bones."""
        target = np.stack([radius * np.sin(angles), height, radius * np.cos(angles) + 0.0], 1)
        distance, near = self._tree.query(target, k=6, workers=1)
        share = 1 / (distance + 0.03)
        share = (share / share.sum(1, keepdims=True))[..., None]
        rows = self._rows[near]
        points = ((self._rest[rows] + self._normals[rows] * out) * share).sum(1)
        weights = (self._weights[rows] * share).sum(1)
        kernel = np.array([1, 3, 4, 3, 1]) / 12
        if np.ptp(angles) > 6:
            points = np.stack([np.convolve(np.pad(points[:, k], 2, mode="wrap"), kernel, "valid") for k in range(3)], 1)
        return points.astype(np.float32), weights[:, 1:].astype(np.float32)

    def build(self, person: Person, neckline: float, rng: Generator) -> list[Solid]:
        """Return the collars of a person's garment."""
        colour = person.clothes_rgb
        if person.garment == "turtleneck":
            angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
            rows = [(5.98, 0.10), (6.08, 0.085), (6.20, 0.07), (6.32, 0.065), (6.40, 0.075), (6.43, 0.06), (6.40, 0.02)]
            return [self._tube(angles, [(h + 0.05 * np.cos(angles) * -1.6, 0.55, o) for h, o in rows], colour, True)]
        if person.garment in ("shirt", "suit"):
            white = (0.62, 0.62, 0.62) if person.garment == "suit" else colour
            return self._shirt(white, 0.13 if person.garment == "shirt" else 0.06, rng)
        if person.garment == "hoodie":
            return self._hood(colour)
        return []

    def _tube(
        self,
        angles: ndarray,
        rows: list[tuple[ndarray, float, float]],
        colour: tuple[float, float, float],
        closed: bool,
    ) -> Solid:
        wrapped = [self.wrap(angles, height, radius, out) for height, radius, out in rows]
        points = np.stack([p for p, _ in wrapped])
        weights = np.concatenate([w for _, w in wrapped])
        return Solid(*sheet(points, closed=closed), colour, 0.0, 0.9, weights, cloth=True)

    def _shirt(self, colour: tuple[float, float, float], gap: float, rng: Generator) -> list[Solid]:
        """Return a stand about the neck and the flaps that fold over it."""
        angles = np.linspace(gap, 2 * np.pi - gap, 41)
        back = 0.5 - 0.5 * np.cos(angles)  # 0 in front, 1 behind
        front = np.exp(-(((np.minimum(angles, 2 * np.pi - angles) - gap) / 0.45) ** 2))
        low = 5.92 + 0.26 * back
        drop = 0.36 + 0.26 * front
        rows = [
            (low, 0.55, 0.05),
            (low + 0.16, 0.55, 0.055),
            (low + 0.25, 0.55, 0.07),
            (low + 0.25, 0.57, 0.105),
            (low + 0.14 - 0.2 * drop, 0.60, 0.115),
            (low + 0.24 - drop, 0.68, 0.10),
        ]
        return [self._tube(angles, rows, colour, False)]

    def _hood(self, colour: tuple[float, float, float]) -> list[Solid]:
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        back = 0.5 - 0.5 * np.cos(angles)
        ring, weights = self.wrap(angles, 5.80 + 0.42 * back, 0.70, 0.10)
        points, triangles, normals = tube(ring, 0.07 + 0.10 * back, closed=True, sides=8)
        return [
            Solid(
                points,
                triangles,
                normals,
                colour,
                0.0,
                0.9,
                np.repeat(np.concatenate([weights, weights[:1]]), 8, 0) * 0.3,
                cloth=True,
            )
        ]
