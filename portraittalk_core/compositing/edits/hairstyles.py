"""Hairstyles on a photograph: they grow on the mean head as on rendered people, and fall in locks."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from scipy.ndimage import uniform_filter1d

from ...people.hair import STYLES, Cards, Head, comb_field, grow_cards, scalp, smoothstep, tangent
from ...people.shape import Similarity, fit_similarity
from ..head_mesh import HeadMesh, head_mesh
from .curls import curled_mass
from .falling import Fall, falling
from .hair_light import openness
from .locks import Guides, LockKind, Strands, locks_of

_HAIRLINE = (0.5, 0.03)  # of the mean head, in radians: see `people.hair.scalp`
_TIED = LockKind(3, 12, gather=0.0, clump=0.05, flat=0.12, wave=0.02, core=0.4)
_LOCKS = {
    "bob": LockKind(3, 14, gather=0.2, clump=0.3, wave=0.05, ends=(0.94, 1.0)),
    "short": LockKind(2, 9, gather=0.3, clump=0.6, wave=0.05, core=0.0),
    "side": LockKind(3, 9, gather=0.3, clump=0.6, wave=0.06, core=0.6),
    "curly": LockKind(1, 18, gather=0.0, clump=0.55, flat=0.8, wave=0.0),
    "bun": _TIED,
    "ponytail": _TIED,
}
_USUAL_LOCKS = LockKind()
_FALLS = {
    "bob": Fall(1.75, uneven=0.06, layered=0.1, inwards=0.5, full=0.2),
    "long": Fall(3.3, uneven=0.25),
    "wavy": Fall(3.1, uneven=0.25, full=0.22, wave=0.13, long=1.5),
}
_LYING = ("side", "bob", "long", "wavy", "bun", "ponytail")  # cuts whose roots lie on the skin
_FUR = {"buzz": 60000}  # hairs of fur on a scalp, where it is all there is
_USUAL_FUR = 26000
_LONGEST_FUR = {"afro": 0.07}  # decimetres, below curls that are drawn themselves
_HEAD = 6.9  # height above which the template is a head
_TIPS = 0.35  # in distances of the eyes: how far below the end of a picture tips are at most, on the whole
_EVEN = 5  # places along a strand over which light is evened out: it is known in cells
_COUNTED = 40000  # places by which the density of hair is known


@dataclass(frozen=True)
class Hair:
    """Hair on the mean head."""

    strands: list[Strands]
    opened: list[Float32[ndarray, "n k ways"]]
    """Of `hair_light.openness`, for each place of each strand."""


def _frame(mesh: HeadMesh) -> Similarity:
    """Return what carries the head's coordinates, y upwards, to the renderer's template."""
    head = mesh.reference[:, 1] > _HEAD
    return fit_similarity(mesh.points[head] * np.array([1, -1, 1], np.float32), mesh.reference[head])


@functools.lru_cache(maxsize=4)
def grown(name: str, fringe: bool = False, room: tuple[float, float] = (9.0, 9.0), seed: int = 0) -> Hair:
    """Grow a hairstyle on the mean head.

    Args:
        name: Of `people.hair.STYLES`.
        fringe: Whether hair falls over the forehead.
        room: How far above and below the eyes there is a picture, in their distance: no hair goes on for long beyond.
        seed: Of every hair.
    """
    mesh, rng = head_mesh(), np.random.default_rng(seed)
    frame = _frame(mesh)
    flip = np.array([1, -1, 1], np.float32)
    points, normals = frame.place(mesh.points * flip), (mesh.normals * flip) @ frame.rotation.T.astype(np.float32)
    same = Similarity(1.0, np.eye(3), np.zeros(3))
    head = Head(points, normals, same, _HAIRLINE)
    surface = cast(Any, SimpleNamespace(triangles=mesh.triangles, reference=mesh.reference, ears=mesh.ears))
    back = frame.rotation.astype(np.float32)

    def placed(places: ndarray, directions: ndarray) -> tuple[ndarray, ndarray]:
        return (frame.back(places) * flip).astype(np.float32), ((directions @ back) * flip).astype(np.float32)

    fur = _fur(mesh, head, name, rng)
    found = [Strands(*_swapped(placed(fur.places, fur.outward), fur.light))]
    locks = _LOCKS.get(name, _USUAL_LOCKS)
    if name in _FALLS:
        fall = replace(_FALLS[name], end=min(_FALLS[name].end, room[1] + _TIPS))
        found += locks_of(falling(mesh, _HAIRLINE, fall, fringe, rng), locks, rng)
    elif name == "afro":
        found.append(curled_mass(mesh, _HAIRLINE, room[0], rng))
    elif (cards := grow_cards(surface, head, name, fringe, rng)) is not None:
        for guides in _guides(cards):
            left, normal = placed(guides.left, guides.normal)
            right, _ = placed(guides.right, guides.normal)
            found += locks_of(Guides(left, right, normal), locks, rng)
    found = [part for part in found if len(part.places)]
    every = np.concatenate([part.places.reshape(-1, 3) for part in found if part.thick is None])
    every = every[:: max(1, len(every) // _COUNTED)]
    opened = [openness(part.places.reshape(-1, 3), every).reshape(*part.places.shape[:2], -1) for part in found]
    even = [uniform_filter1d(part, min(_EVEN, part.shape[1]), 1, mode="nearest") for part in opened]
    return Hair(found, even)


def _swapped(both: tuple[ndarray, ndarray], light: ndarray) -> tuple[ndarray, ndarray, ndarray]:
    return both[0], light, both[1]


def _guides(cards: Cards) -> list[Guides]:
    """Return cards as guides, those of as many places together.

    Args:
        cards: Of `people.hair.grow_cards`.
    """
    starts = np.nonzero(np.diff(np.concatenate([[2.0], cards.card[::2, 1]])) < 0)[0]
    ends = np.append(starts[1:], len(cards.card) // 2)
    found: list[Guides] = []
    for steps in np.unique(ends - starts):
        rows = (starts[ends - starts == steps])[:, None] + np.arange(steps)
        normal = (cards.normals[2 * rows] + cards.normals[2 * rows + 1]) / 2
        found.append(Guides(cards.points[2 * rows], cards.points[2 * rows + 1], normal))
    return found


def _fur(mesh: HeadMesh, head: Head, name: str, rng: np.random.Generator) -> Strands:
    """Return the short hair on the scalp."""
    style, tris = STYLES[name], mesh.triangles
    a, b, c = (head.points[tris[:, k]] for k in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1) * (scalp(mesh.reference[tris].mean(1), head.hairline) > -0.25)
    area = area * (mesh.ears[tris].max(1) < 0.3) * (mesh.reference[tris].mean(1)[:, 1] > 6.3)
    pick = rng.choice(len(tris), _FUR.get(name, _USUAL_FUR), p=area / area.sum())
    uv = rng.random((len(pick), 2))
    uv[uv.sum(1) > 1] = 1 - uv[uv.sum(1) > 1]
    weights = np.concatenate([1 - uv.sum(1, keepdims=True), uv], 1)[..., None]
    root, normal, at = ((x[tris[pick]] * weights).sum(1) for x in (head.points, head.normals, mesh.reference))
    above = scalp(at.astype(np.float32), head.hairline)
    grows = rng.random(len(above)) < smoothstep(-0.06, 0.13, above + rng.normal(0, 0.03, len(above)))
    root, normal, at, above = root[grows], normal[grows], at[grows], above[grows]
    d = at - np.array([0, 7.5, 0.3])
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    fur = min(style.fur, _LONGEST_FUR.get(name, style.fur))
    length = fur * (0.30 + 0.70 * smoothstep(-0.3, 0.5, d[:, 1])) * (0.25 + 0.75 * smoothstep(0.0, 0.35, above))
    curly = name == "curly"
    if curly:
        length = fur * (0.2 + 0.8 * smoothstep(-0.02, 0.35, above))
    comb = tangent(comb_field(d.astype(np.float32), name, 0.2), normal)
    steps = 9 if curly else 4
    t = np.linspace(0, 1, steps)[None, :, None]
    long = (length * rng.uniform(0.7, 1.1, len(length)))[:, None, None]
    up, aside = (0.3 * t, 2.4 * t) if name in _LYING else (0.7 * t, 0.7 * t) if name == "buzz" else (t, 0.6 * t**2)
    places = root[:, None] + long * (up * normal[:, None] + aside * comb[:, None])
    places = places + rng.normal(0, 0.18, (len(root), 1, 3)) * long * t
    if curly:
        places = places + 0.028 * np.cumsum(rng.normal(0, 1, places.shape), 1) * np.minimum(1, 4 * t)
    light = (0.45 + 0.55 * t[..., 0]) * np.exp(rng.normal(0, 0.16, (len(root), 1)))
    if curly:  # the middle of so much hair is dark
        light = light * (0.55 + 0.45 * t[..., 0])
    return Strands(places.astype(np.float32), light.astype(np.float32), np.broadcast_to(normal[:, None], places.shape))
