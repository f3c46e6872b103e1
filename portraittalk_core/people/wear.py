"""Glasses, hats and earrings, placed in the template's space and carried onto a person's head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy import ndarray
from numpy.random import Generator

from .eyewear import draw_glasses, place_glasses
from .hair import Head, scalp
from .person import Person
from .solids import Solid, ball, sheet, tube
from .surface import Surface


@dataclass(frozen=True)
class Worn:
    """What is worn on the head; lenses are drawn apart, for one sees through them."""

    solids: tuple[Solid, ...] = ()
    lenses: tuple[Solid, ...] = ()
    dark: float = 0.0
    """How much light the lenses swallow."""


def dress_head(person: Person, surface: Surface, head: Head, eyes: dict[str, ndarray], rng: Generator) -> Worn:
    """Return glasses, hat and earrings of a person.

    Args:
        person: Says what is worn.
        surface: The skin of the template.
        head: The shaped head.
        eyes: Centres of the eyeballs on the shaped head.
        rng: Draws colours and sizes.
    """
    frames, lenses, dark = _glasses(person, head, eyes, rng) if person.glasses != "none" else ([], [], 0.0)
    solids = [*frames]
    if person.hat != "none":
        solids += _hat(person, surface, head, rng)
    if person.earrings != "none":
        solids += _earrings(person, surface, head, rng)
    return Worn(tuple(solids), tuple(lenses), dark)


def _glasses(
    person: Person, head: Head, eyes: dict[str, ndarray], rng: Generator
) -> tuple[list[Solid], list[Solid], float]:
    glasses = draw_glasses(person.glasses, rng)
    place, shine = head.frame.place, 1.0 if glasses.metal else 0.5
    radius = glasses.rim * head.frame.scale
    centres = {side: head.frame.back(centre) for side, centre in eyes.items()}
    apart = {1: float(centres["Left"][0]), -1: float(centres["Right"][0])}
    height, depth = (float(np.mean([c[k] for c in centres.values()])) for k in (1, 2))
    worn = place_glasses(glasses, apart, height, depth)
    solids: list[Solid] = []
    lenses: list[Solid] = []
    for sign, curve in worn.lenses.items():
        solids.append(Solid(*tube(place(curve), radius, closed=True), glasses.tint, shine))
        lenses.append(_lens(place(curve)))
        solids.append(Solid(*tube(place(worn.temples[sign]), 0.85 * radius, closed=False), glasses.tint, shine))
    solids.append(Solid(*tube(place(worn.bridge), radius, closed=False), glasses.tint, shine))
    return solids, lenses, glasses.dark


def _lens(curve: ndarray) -> Solid:
    middle = curve.mean(0)
    points, triangles, normals = sheet(
        np.stack([curve, 0.5 * (curve + middle), np.tile(middle, (len(curve), 1))]), closed=True
    )
    normals *= np.sign(normals[:, 2:3] + 1e-9)
    bulge = (points - middle) * 1.2
    normals = normals + np.concatenate([bulge[:, :2], 0 * bulge[:, :1]], 1)
    return Solid(points, triangles, normals / np.linalg.norm(normals, axis=1, keepdims=True), (1.0, 1.0, 1.0), 1.0)


def _hat(person: Person, surface: Surface, head: Head, rng: Generator) -> list[Solid]:
    """Return a hat: the scalp, moved outwards; a cap has a brim."""
    shade = np.exp(rng.uniform(np.log(0.012), np.log(0.35))) * np.clip(1 + rng.normal(size=3) * 0.35, 0.2, 2)
    tint = (float(shade[0]), float(shade[1]), float(shade[2]))
    line = (0.40, 0.0) if person.hat == "beanie" else (0.46, 0.0)
    above = scalp(surface.reference, line)
    d = surface.reference - [0, 7.5, 0.3]
    elevation = np.arcsin(d[:, 1] / np.linalg.norm(d, axis=1))
    above = np.minimum(above, elevation - 0.16) if person.hat == "beanie" else np.minimum(above, elevation - 0.30)
    rows = above[surface.triangles].min(1) > 0
    used, flat = np.unique(surface.triangles[rows], return_inverse=True)
    thick = 0.13 + 0.10 * np.clip(above[used, None] * 2, 0, 1) + 0.03 * np.exp(-((above[used, None] / 0.10) ** 2))
    middle = head.frame.place([0, 7.6, 0.25])
    out = head.points[used] - middle
    out /= np.linalg.norm(out, axis=1, keepdims=True)
    points = (head.points[used] + (0.5 * head.normals[used] + 0.5 * out) * thick * head.frame.scale).astype(np.float32)
    triangles = flat.reshape(-1, 3).astype(np.int32)
    solids = [Solid(points, triangles, _smooth_normals(points, middle, head.normals[used]), tint, 0.0)]
    if person.hat == "cap":
        across, out = (a.T for a in np.meshgrid(np.linspace(-1, 1, 13), np.linspace(0, 1, 4), indexing="ij"))
        x = (0.66 + 0.05 * out) * np.sin(across * 1.25)
        y = 8.03 - 0.13 * out - 0.16 * across**2
        z = 0.55 + 0.76 * np.cos(across * 1.1) + 0.72 * out * np.cos(across * 1.15)
        rows_out = np.stack([x, y, z], -1)
        solids.append(Solid(*sheet(head.frame.place(rows_out)), tint, 0.0))
    return solids


def _smooth_normals(points: ndarray, middle: ndarray, normals: ndarray) -> ndarray:
    out = points - middle
    out = 0.6 * out / np.linalg.norm(out, axis=1, keepdims=True) + 0.4 * normals
    return (out / np.linalg.norm(out, axis=1, keepdims=True)).astype(np.float32)


def _earrings(person: Person, surface: Surface, head: Head, rng: Generator) -> list[Solid]:
    tint = ((0.75, 0.55, 0.22), (0.7, 0.7, 0.7), (0.6, 0.58, 0.52))[int(rng.integers(3))]
    size = (
        float(rng.uniform(0.028, 0.042) if person.earrings == "studs" else rng.uniform(0.10, 0.22)) * head.frame.scale
    )
    solids: list[Solid] = []
    for sign in (-1, 1):
        ear = np.nonzero((surface.ears > 0.5) & (np.sign(surface.reference[:, 0]) == sign))[0]
        lobe = ear[np.argmin(surface.reference[ear, 1] - 0.15 * surface.reference[ear, 2])]
        at = head.points[lobe] + [sign * 0.012, 0.035, 0.02]
        if person.earrings == "studs":
            solids.append(Solid(*ball(at, size), tint, 1.0))
            continue
        angle = np.linspace(0, 2 * np.pi, 18, endpoint=False)
        ring = at + size * np.stack([0.25 * np.sin(angle), -1 + np.cos(angle), 0.9 * np.sin(angle)], 1)
        solids.append(Solid(*tube(ring, 0.012, closed=True, sides=5), tint, 1.0))
    return solids
