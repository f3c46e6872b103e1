"""Hairstyles on a photograph: they grow on the mean head as on rendered people, and are drawn hair by hair."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, cast

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ...people.hair import STYLES, Head, comb_field, grow_cards, scalp, smoothstep, tangent
from ...people.shape import Similarity, fit_similarity
from ..head_mesh import HeadMesh, PlacedHead, head_mesh, rasterised

_HAIRLINE = (0.5, 0.03)  # of the mean head, in radians: see `people.hair.scalp`
_STRANDS = {"bun": 26, "ponytail": 26, "afro": 16, "curly": 18}
_USUAL_STRANDS = 34  # of a card
_WIDEST = 0.9  # quantile of locks of a bob by how far aside they hang
_LYING = ("side", "bob", "long", "wavy", "bun", "ponytail")  # cuts whose roots lie on the skin
_FRIZZ = 0.03  # decimetres that a hair of an afro turns aside with each step
_SWAY = {"long": 0.035, "bob": 0.03, "wavy": 0.03, "ponytail": 0.03}  # decimetres that locks swing to their sides
_THICK = 0.008  # of a strand, in distances of the eyes
_FUR = {"buzz": 60000, "afro": 34000}  # hairs of fur on a scalp, where it is all there is
_USUAL_FUR = 26000
_FINE = 400  # pixels of the canvas a distance of the eyes
_LAYERS, _TONES = 18, 24
_TONE = 96.0  # level of the canvas that is the hair's own colour
_BETWEEN, _DENSE = 0.02, 0.95  # likewise, between hairs; how much of what is there is hair, too
_HIDDEN = 0.06  # in distances of the eyes: how far behind a surface hair is still drawn
_HEAD = 6.9  # height above which the template is a head


@dataclass(frozen=True)
class Strands:
    """Hairs in the head's coordinates, all of as many places."""

    places: Float32[ndarray, "n k 3"]
    light: Float32[ndarray, "n k"]
    """How much light reaches them."""
    outward: Float32[ndarray, "n k 3"]


def _frame(mesh: HeadMesh) -> Similarity:
    """Return what carries the head's coordinates, y upwards, to the renderer's template."""
    head = mesh.reference[:, 1] > _HEAD
    return fit_similarity(mesh.points[head] * np.array([1, -1, 1], np.float32), mesh.reference[head])


def grown(name: str, fringe: bool = False, seed: int = 0) -> list[Strands]:
    """Grow a hairstyle on the mean head.

    Args:
        name: Of `people.hair.STYLES`.
        fringe: Whether hair falls over the forehead.
        seed: Of every hair.
    """
    mesh, rng = head_mesh(), np.random.default_rng(seed)
    frame = _frame(mesh)
    flip = np.array([1, -1, 1], np.float32)
    points, normals = frame.place(mesh.points * flip), (mesh.normals * flip) @ frame.rotation.T.astype(np.float32)
    same = Similarity(1.0, np.eye(3), np.zeros(3))
    head = Head(points, normals, same, _HAIRLINE)
    surface = cast(Any, SimpleNamespace(triangles=mesh.triangles, reference=mesh.reference, ears=mesh.ears))
    found = [_fur(mesh, head, name, rng)]
    cards = grow_cards(surface, head, name, fringe, rng)
    if cards is not None:
        found += _split(cards, name, rng)
    back = frame.rotation.astype(np.float32)
    return [Strands(frame.back(s.places) * flip, s.light, (s.outward @ back) * flip) for s in found if len(s.places)]


def _split(cards: Any, name: str, rng: np.random.Generator) -> list[Strands]:
    """Return the strands that cards are painted with."""
    starts = np.nonzero(np.diff(np.concatenate([[2.0], cards.card[::2, 1]])) < 0)[0]
    ends = np.append(starts[1:], len(cards.card) // 2)
    count = _STRANDS.get(name, _USUAL_STRANDS)
    found: list[Strands] = []
    for steps in np.unique(ends - starts):
        rows = (starts[ends - starts == steps])[:, None] + np.arange(steps)
        wide = np.abs(cards.points[2 * rows, 0]).max(1)
        rows = rows[wide <= np.quantile(wide, _WIDEST)] if name == "bob" else rows  # ears spread some
        left, right = cards.points[2 * rows], cards.points[2 * rows + 1]
        normal = (cards.normals[2 * rows] + cards.normals[2 * rows + 1]) / 2
        light = cards.card[2 * rows, 3]
        across = np.sort(rng.uniform(-0.15, 1.15, (len(rows), count)), 1)
        t = np.linspace(0, 1, steps)[None, None, :, None]
        turn = rng.uniform(0, 6.28, (len(rows), count, 1, 1)) + 5 * t
        wander = rng.normal(0, 0.12, (len(rows), count, 1, 1)) * np.sin(turn)
        way = across[..., None, None] + wander * t
        places = left[:, None] + way * (right - left)[:, None]
        # Strands lie in a lock as thick as a third of its breadth, and end one by one.
        broad = np.linalg.norm(right - left, axis=-1, keepdims=True)[:, None]
        depth = rng.uniform(-0.22, 0.12, (len(rows), count, 1, 1))
        places = places + depth * broad * normal[:, None] * np.minimum(1, 3 * t)
        short = rng.uniform(0.72, 1.0, (len(rows), count, 1))
        places = _shortened(places, short)
        shade = light[:, None] * np.exp(rng.normal(0, 0.13, (len(rows), count, 1))) * (1 + 0.9 * depth[..., 0])
        shade = shade * np.exp(rng.normal(0, 0.2, (len(rows), 1, 1)))  # locks differ more than strands
        sway = _SWAY.get(name, 0.0) * np.sin(rng.uniform(0, 6.28, (len(rows), 1, 1, 1)) + 7 * t) * t
        places = places + sway * broad / np.maximum(broad.mean(), 1e-6) * (right - left)[:, None] / broad
        out = np.broadcast_to(normal[:, None], places.shape)
        places, out, shade = (_finer(values) for values in (places, out, shade[..., None]))
        if name == "afro":
            frizz = np.cumsum(rng.normal(0, 1, places.shape), 2)
            places = places + _FRIZZ * (frizz - frizz[:, :, :1])
        flat = (len(rows) * count, places.shape[2])
        kinds = (places.reshape(*flat, 3), shade.reshape(flat), out.reshape(*flat, 3))
        found.append(Strands(*(values.astype(np.float32) for values in kinds)))
    return found


def _finer(values: ndarray) -> ndarray:
    """Return paths with a place between every two, on a cubic through four of them."""
    ends = np.concatenate([values[:, :, :1], values, values[:, :, -1:]], 2)
    between = (9 * (ends[:, :, 1:-2] + ends[:, :, 2:-1]) - ends[:, :, :-3] - ends[:, :, 3:]) / 16
    found = np.empty((*values.shape[:2], 2 * values.shape[2] - 1, values.shape[3]), values.dtype)
    found[:, :, ::2], found[:, :, 1::2] = values, between
    return found


def _shortened(places: ndarray, share: ndarray) -> ndarray:
    """Return paths cut off at a share of their length, with as many places."""
    steps = places.shape[2]
    at = np.linspace(0, steps - 1, steps) * share
    low = np.minimum(at.astype(int), steps - 2)
    part = (at - low)[..., None]
    first, second = (np.take_along_axis(places, (low + k)[..., None], 2) for k in range(2))
    return first + part * (second - first)


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
    length = style.fur * (0.30 + 0.70 * smoothstep(-0.3, 0.5, d[:, 1])) * (0.25 + 0.75 * smoothstep(0.0, 0.35, above))
    curly = name in ("afro", "curly")
    if curly:
        length = style.fur * (0.2 + 0.8 * smoothstep(-0.02, 0.35, above))
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


def drawn_strands(
    strands: list[Strands], head: PlacedHead, side: int, light: Float32[ndarray, "3"]
) -> Float32[ndarray, "2 s s"]:
    """Draw hairs, those that are nearer over those behind, and none that the head hides.

    Args:
        strands: Of `grown`.
        head: Where the head is.
        side: Of the picture, pixels.
        light: Which way it comes from, in the head's coordinates.

    Returns:
        How much of each pixel is hair, and that times how light it is, the hair's own colour being 1.
    """
    mesh = head_mesh()
    _, surface = rasterised(head.pixels, head.depth, mesh.triangles, mesh.ears[:, None], side)
    parts = [_segments(part, head, surface, light) for part in strands]
    lines, depth, tone = (np.concatenate(found) for found in zip(*parts, strict=True))
    usual = float(np.average(tone))
    fine = int(np.clip(np.ceil(_FINE / head.unit), 1, 6))
    canvas = np.zeros((side * fine, side * fine), np.uint8)
    at = ((lines + 0.5) * fine * 16 - 8).round().astype(np.int32)
    level = np.clip(tone / usual * _TONE, 8, 255)
    step = np.floor((level - 8) / 248 * _TONES).clip(0, _TONES - 1).astype(int)
    order = np.argsort(np.argsort(depth)) * _LAYERS // max(1, len(depth))
    thick = max(1, round(_THICK * head.unit * fine))
    rng = np.random.default_rng(1)
    group = order * _TONES + step
    sort = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[sort], np.unique(group))
    groups = np.split(sort, bounds[1:])
    for layer in range(_LAYERS):
        mine = [g for g in groups if group[g[0]] // _TONES == layer]
        rng.shuffle(mine)  # or the lightest would lie on all others
        for rows in mine:
            value = int(8 + (group[rows[0]] % _TONES + 0.5) / _TONES * 248)
            cv2.polylines(canvas, list(at[rows]), False, value, thick, cv2.LINE_8, 4)
    there = (canvas > 0).astype(np.float32)
    planes = (there, canvas.astype(np.float32))
    share, tone = (cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes)
    near = cv2.GaussianBlur(np.stack([share, tone], -1), (0, 0), max(0.5, _BETWEEN * head.unit))
    more = np.clip(_DENSE * near[..., 0] - share, 0, 1)  # of the hair below, between those that are drawn
    tone = tone + more * near[..., 1] / np.maximum(near[..., 0], 1e-3)
    share = share + more
    return np.stack([share, tone * share.sum() / max(float(tone.sum()), 1e-6)])


def _segments(
    strands: Strands, head: PlacedHead, surface: Float32[ndarray, "s s"], light: Float32[ndarray, "3"]
) -> tuple[ndarray, ndarray, ndarray]:
    """Return what of hairs is seen as lines of two points, how near it is and how light."""
    from scipy.spatial import KDTree

    side = len(surface)
    pixels, depth = head.seen(strands.places)
    near = KDTree(head_mesh().points).query(strands.places[:, 0])[1]
    pixels = pixels + head.bent[near][:, None]
    way = np.diff(strands.places, axis=1)
    way = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    middle, nearness = (pixels[:, 1:] + pixels[:, :-1]) / 2, (depth[:, 1:] + depth[:, :-1]) / 2
    out = strands.outward[:, 1:] / np.maximum(np.linalg.norm(strands.outward[:, 1:], axis=-1, keepdims=True), 1e-6)
    tone = _lit(way, out, light, head.view[2]) * (strands.light[:, 1:] + strands.light[:, :-1]) / 2
    at = middle.round().astype(int).clip(0, side - 1)
    seen = nearness > surface[at[..., 1], at[..., 0]] - _HIDDEN
    seen &= ((middle > -20) & (middle < side + 20)).all(-1)
    lines = np.stack([pixels[:, :-1], pixels[:, 1:]], 2)
    return lines[seen], nearness[seen], tone[seen]


def _lit(way: ndarray, out: ndarray, light: ndarray, view: ndarray) -> ndarray:
    """Return how light hairs are: Kajiya and Kay's model (1989), as rendered people's hair has it."""
    along, seen = way @ light, way @ view
    sines = np.sqrt(np.maximum(0, 1 - along**2)), np.sqrt(np.maximum(0, 1 - seen**2))
    wrap = np.clip((out @ light + 0.35) / 1.35, 0, 1)
    gloss = np.maximum(0, sines[0] * sines[1] - along * seen) ** 14
    return wrap * (0.55 + 0.45 * sines[0]) + 0.4 + 0.7 * wrap * gloss
