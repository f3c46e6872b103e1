"""Hair as cards: broad ribbons that lie on the head, each painted with a dozen strands.

Guides grow from roots on the scalp, are combed and pulled down, and are kept off the skin; a card is laid along each.
Short hair and the roots of all hair are fur on the scalp itself (`STYLES[...].fur`), so that no skin shines through.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32, Int32
from numpy import ndarray
from numpy.random import Generator

from .shape import Similarity
from .surface import Surface

if TYPE_CHECKING:
    from scipy.spatial import KDTree

SKULL = np.array([0, 7.50, 0.30], np.float32)
"""The middle of the template's head, from which directions on the scalp are counted."""


@dataclass(frozen=True)
class Style:
    """How a style of hair grows; lengths in decimetres."""

    fur: float
    """Thickness of the fur on the scalp."""
    layers: int = 3
    cards: int = 0
    length: float = 0.0
    steps: int = 6
    lift: float = 0.3
    """How far a strand leaves the skin at its root, 0 to 1."""
    gravity: float = 0.4
    comb: float = 0.8
    curl: float = 0.0
    turns: float = 2.0
    width: float = 0.15
    clearance: float = 0.05
    strands: float = 9.0
    density: float = 1.0
    knot: tuple[float, float, float] | None = None
    """Where tied hair is tied: a direction of the head, seen from `SKULL`."""


STYLES: dict[str, Style] = {
    "bald": Style(0.0, 0),
    "buzz": Style(0.055, 5, density=0.95),
    "short": Style(0.10, 5, 520, 0.40, 5, lift=0.40, gravity=0.25, comb=0.9, width=0.12, clearance=0.04, strands=7),
    "side": Style(0.09, 5, 560, 0.85, 7, clearance=0.08, lift=0.50, gravity=0.40, comb=0.9, width=0.16),
    "curly": Style(
        0.20, 4, 520, 0.70, 10, lift=0.8, gravity=0.30, comb=0.25, curl=0.055, turns=2.4, width=0.13, strands=8
    ),
    "afro": Style(0.60, 10, 260, 0.66, 5, lift=1.0, gravity=0.0, comb=0.1, curl=0.05, turns=1.6, width=0.13, strands=6),
    "bob": Style(0.09, 3, 400, 1.60, 10, lift=0.22, gravity=0.72, width=0.22, clearance=0.07),
    "long": Style(0.09, 3, 400, 2.65, 13, lift=0.20, gravity=0.78, width=0.23, clearance=0.07),
    "wavy": Style(0.09, 3, 400, 2.45, 15, lift=0.24, gravity=0.70, curl=0.06, turns=2.2, width=0.22, clearance=0.08),
    "bun": Style(
        0.06, 4, 380, 0.75, 9, lift=0.06, gravity=0.0, comb=1.0, width=0.20, clearance=0.03, knot=(0.0, 0.78, -0.66)
    ),
    "ponytail": Style(
        0.06, 4, 380, 0.75, 9, lift=0.06, gravity=0.0, comb=1.0, width=0.20, clearance=0.03, knot=(0.0, 0.15, -1.0)
    ),
}


@dataclass(frozen=True)
class Cards:
    """Ribbons ready to be drawn; `v` counts vertices, two for each step of each guide."""

    points: Float32[ndarray, "v 3"]
    normals: Float32[ndarray, "v 3"]
    tangents: Float32[ndarray, "v 3"]
    card: Float32[ndarray, "v 4"]
    """Place across (-1 to 1), place along (0 to 1), a number of the card's own, openness to light."""
    indices: Int32[ndarray, "i"]


@dataclass(frozen=True)
class Head:
    """What hair needs to know of a shaped head; `g` counts corners of `Surface`."""

    points: Float32[ndarray, "g 3"]
    normals: Float32[ndarray, "g 3"]
    frame: Similarity
    """From the template's head to this one."""
    hairline: tuple[float, float]


def smoothstep(a: float, b: float, x: ndarray) -> ndarray:
    """Return 0 below `a`, 1 above `b` and a smooth cubic between."""
    t = np.clip((x - a) / (b - a), 0, 1)
    return t * t * (3 - 2 * t)


def scalp(reference: Float32[ndarray, "n 3"], hairline: tuple[float, float]) -> Float32[ndarray, "n"]:
    """Return by how much (in radians) points of the template lie above the hairline, as the shaders have it."""
    d = reference - SKULL
    d = d / np.linalg.norm(d, axis=1, keepdims=True)
    azimuth, elevation = np.arctan2(np.abs(d[:, 0]), d[:, 2]), np.arcsin(d[:, 1])
    front = hairline[0] - 0.10 * smoothstep(0, 0.55, azimuth) + hairline[1] * np.exp(-(((azimuth - 0.5) / 0.2) ** 2))
    back = -0.10 - 0.65 * smoothstep(1.35, 2.3, azimuth)
    t = smoothstep(0.72, 1.18, azimuth)
    return (elevation - (front * (1 - t) + back * t)).astype(np.float32)


def comb_field(directions: Float32[ndarray, "n 3"], style: str, part: float) -> Float32[ndarray, "n 3"]:
    """Return which way hair is combed at directions of the head seen from `SKULL`, not yet tangent to the skin."""
    d = directions
    n = len(d)
    top, side = smoothstep(0.45, 0.8, d[:, 1]), np.sign(d[:, 0] - part * (d[:, 1] > 0.4))
    one = np.ones(n)
    if style in ("buzz", "short"):
        comb = np.stack([0.5 * np.sign(part) * top + 0.15 * side, -0.55 * (1 - top), 0.75 * top - 0.45 * (1 - top)], 1)
    elif style == "side":
        comb = np.stack([side * (0.3 + 0.8 * top), 0.10 * top - 0.75 * (1 - top), 0.25 * top - 0.5 * (1 - top)], 1)
    elif STYLES[style].knot is not None:
        comb = np.array(STYLES[style].knot) - d
    elif style in ("afro", "curly"):
        comb = d * 0.3 + np.stack([0 * one, -0.3 * (1 - top), 0.2 * top], 1)
    else:
        comb = np.stack([side * (0.85 * top + 0.10), -one, -0.55 * (1 - 0.4 * top)], 1)
    return (comb / np.maximum(np.linalg.norm(comb, axis=1, keepdims=True), 1e-6)).astype(np.float32)


def tangent(vectors: ndarray, normals: ndarray) -> ndarray:
    """Return the unit parts of vectors that lie in the surface."""
    flat = vectors - normals * (vectors * normals).sum(1, keepdims=True)
    return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-6)


def grow_cards(surface: Surface, head: Head, name: str, fringe: bool, rng: Generator) -> Cards | None:
    """Grow the cards of a style; None for styles that are fur alone."""
    style = STYLES[name]
    if not style.cards:
        return None
    part = float(rng.choice([-1, 1])) * float(rng.uniform(0.08, 0.3))
    from scipy.spatial import KDTree

    root, normal, at = _roots(surface, head, style.cards, rng)
    d = (at - SKULL) / np.linalg.norm(at - SKULL, axis=1, keepdims=True)
    length = _lengths(d, name, style.length) * rng.uniform(0.8, 1.12, len(d))
    comb = tangent(comb_field(d, name, part), normal)
    if fringe and name in ("bob", "long", "wavy", "side", "short"):
        front = (d[:, 2] > 0.35) & (d[:, 1] > 0.42) & (np.abs(d[:, 0]) < 0.50)
        turned = np.array([0.6 * np.sign(part), -0.2, 1.0]) + rng.normal(size=(int(front.sum()), 3)) * 0.15
        comb[front] = tangent(turned, normal[front])
        length[front] = np.minimum(length[front], 0.72 * rng.uniform(0.8, 1.05, int(front.sum())))
    tree = KDTree(head.points)
    guides, outward = _grow(root, normal, comb, style, length, head, tree, rng)
    if name in ("bob", "long", "wavy"):
        keep = _off_the_face(head.frame.back(guides))
        guides, outward = guides[keep], outward[keep]
    if style.curl:
        guides = _curled(guides, outward, style, rng)
    cards = [_lay(guides, outward, style, rng)]
    if name in ("bun", "ponytail"):
        cards.append(_tail(head, name, style, rng))
    return _joined(cards)


def _roots(surface: Surface, head: Head, n: int, rng: Generator) -> tuple[ndarray, ndarray, ndarray]:
    """Spread roots over the scalp, evenly but not regularly; returns points, normals, places in the template."""
    tris, reference = surface.triangles, surface.reference
    above = scalp(reference, head.hairline)
    a, b, c = (head.points[tris[:, i]] for i in range(3))
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    share = area * np.clip(above[tris].mean(1) * 8 + 0.2, 0, 1) * (surface.ears[tris].max(1) < 0.3)
    share *= reference[tris][:, :, 1].min(1) > 6.6
    edges = np.concatenate([[0], np.cumsum(share)])
    pick = np.searchsorted(edges, (np.arange(n) + rng.random(n)) / n * edges[-1], side="right") - 1
    uv = rng.random((n, 2))
    uv[uv.sum(1) > 1] = 1 - uv[uv.sum(1) > 1]
    weights = np.concatenate([1 - uv.sum(1, keepdims=True), uv], 1)[..., None]
    root, normal, at = ((x[tris[pick]] * weights).sum(1) for x in (head.points, head.normals, reference))
    return root, normal / np.linalg.norm(normal, axis=1, keepdims=True), at


def _lengths(d: ndarray, name: str, length: float) -> ndarray:
    upper = smoothstep(-0.25, 0.65, d[:, 1])
    if name == "short":
        return length * (0.25 + 0.75 * upper)
    if name == "side":
        return length * (0.22 + 0.78 * upper)
    if name in ("bun", "ponytail"):
        return np.maximum(0.25, 0.98 * np.linalg.norm(d - np.array(STYLES[name].knot), axis=1))
    if name in ("curly", "afro"):
        return length * (0.6 + 0.4 * upper)
    return length * (0.85 + 0.3 * smoothstep(0.45, 0.8, d[:, 1]))


def _grow(
    root: ndarray,
    normal: ndarray,
    comb: ndarray,
    style: Style,
    length: ndarray,
    head: Head,
    tree: KDTree,
    rng: Generator,
) -> tuple[ndarray, ndarray]:
    """Return guides [n, steps + 1, 3] and the outward direction at each of their points."""
    step = (length / style.steps)[:, None]
    p, d = root + normal * 0.01, normal * style.lift + comb * style.comb + rng.normal(size=root.shape) * 0.05
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    layer = rng.random((len(root), 1))  # outer and inner hair
    points, outward = [p], [normal]
    for i in range(style.steps):
        pull = style.gravity * (0.45 + 0.55 * min(1.0, 2 * i / style.steps))
        if style.knot is not None:
            d = head.frame.place(SKULL + np.array(style.knot)) - p
        d = d + np.array([0, -pull, 0]) + comb * style.comb * 0.3 * (1 - i / style.steps)
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        p = p + d * step
        _, near = tree.query(p, workers=1)
        m = head.normals[near]
        gap = ((p - head.points[near]) * m).sum(1, keepdims=True)
        want = style.clearance * (0.4 + 1.5 * layer) * (1 + 1.5 * style.lift * min(1.0, i / 2))
        push = np.maximum(0, want - gap) if style.knot is None else want - gap
        p = p + m * push
        d = np.where(push > 0, d - m * np.minimum(0, (d * m).sum(1, keepdims=True)), d)
        d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-6)
        away = p - head.frame.place([[0, 7.3, 0.2]])
        away[:, 1] *= 0.35
        out = m * np.clip(1.4 - 3 * gap, 0, 1) + away / np.maximum(np.linalg.norm(away, axis=1, keepdims=True), 1e-6)
        points.append(p)
        outward.append(out / np.linalg.norm(out, axis=1, keepdims=True))
    return np.stack(points, 1).astype(np.float32), np.stack(outward, 1).astype(np.float32)


def _off_the_face(guides: ndarray) -> ndarray:
    """Tell which guides keep out of the face, in the template's space."""
    x, y, z = np.abs(guides[..., 0]), guides[..., 1], guides[..., 2]
    across = (x < 0.50 + 0.25 * (y < 6.9)) & (z > 0.95 - 0.45 * (y < 6.9)) & (y < 7.44) & (y > 6.1)
    return np.logical_not(np.any(across, axis=1))


def _curled(guides: ndarray, outward: ndarray, style: Style, rng: Generator) -> ndarray:
    n, k, _ = guides.shape
    t = np.linspace(0, 1, k)[None, :, None]
    turn = 6.283 * style.turns * t * rng.uniform(0.8, 1.2, (n, 1, 1)) + rng.uniform(0, 6.283, (n, 1, 1))
    along = np.gradient(guides, axis=1)
    side = np.cross(along, outward)
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-6)
    size = style.curl * smoothstep(0.05, 0.5, t) * rng.uniform(0.6, 1.2, (n, 1, 1))
    return (guides + size * (side * np.cos(turn) + outward * np.sin(turn))).astype(np.float32)


def _lay(guides: ndarray, outward: ndarray, style: Style, rng: Generator, taper: float = 0.45) -> Cards:
    """Lay a card along each guide, flat on the head."""
    n, k, _ = guides.shape
    t = np.linspace(0, 1, k, dtype=np.float32)
    tan = np.gradient(guides, axis=1)
    tan /= np.maximum(np.linalg.norm(tan, axis=2, keepdims=True), 1e-6)
    side = np.cross(tan, outward)
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-6)
    normal = np.cross(side, tan)
    normal *= np.sign((normal * outward).sum(2, keepdims=True) + 1e-9)
    width = style.width * rng.uniform(0.7, 1.25, (n, 1)) * (0.75 + 0.25 * smoothstep(0, 0.2, t) - taper * t**2)[None]
    both = np.stack([guides - side * width[..., None] / 2, guides + side * width[..., None] / 2], 2)
    depth = rng.random((n, 1))
    near = np.linalg.norm(guides - guides[:, :1], axis=2)
    light = np.clip(0.42 + 0.58 * np.minimum(1, near / 0.45), 0, 1) * (0.78 + 0.22 * depth)
    across = np.broadcast_to(np.array([-1, 1], np.float32), (n, k, 2))
    columns = [
        np.repeat(x[:, :, None], 2, 2) for x in (np.broadcast_to(t, (n, k)), np.repeat(rng.random((n, 1)), k, 1), light)
    ]
    card = np.stack([across, *columns], -1)
    # A card bends over the head: its edges face a little outwards to the sides.
    bent = np.stack([normal - 0.35 * side, normal + 0.35 * side], 2)
    bent = bent + 0.8 * outward[:, :, None]
    bent /= np.linalg.norm(bent, axis=-1, keepdims=True)
    base = (np.arange(n)[:, None] * k + np.arange(k - 1)[None])[..., None] * 2
    index = np.concatenate([base + [0, 1, 2], base + [2, 1, 3]], -1).astype(np.int32)
    flat = [x.reshape(-1, x.shape[-1]).astype(np.float32) for x in (both, bent, np.repeat(tan[:, :, None], 2, 2), card)]
    return Cards(flat[0], flat[1], flat[2], flat[3], index.reshape(-1))


def _tail(head: Head, name: str, style: Style, rng: Generator) -> Cards:
    """Return the knot on the head, or the tail that hangs behind it."""
    n, k = (150, 8) if name == "bun" else (90, 12)
    if name == "bun":
        u = rng.normal(size=(n, 3))
        u /= np.linalg.norm(u, axis=1, keepdims=True)
        v = np.cross(u, rng.normal(size=(n, 3)))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        a = np.linspace(0, 2.0, k)[None, :, None]
        out = u[:, None] * np.cos(a) + v[:, None] * np.sin(a)
        guides = np.array([0, 8.36, -0.42]) + 0.34 * out * rng.uniform(0.85, 1.05, (n, 1, 1))
    else:
        t = np.linspace(0, 1, k)[None, :, None]
        spread = rng.normal(size=(n, 1, 3)) * [0.16, 0.08, 0.10]
        sway = rng.normal(size=(n, 1, 3)) * [0.10, 0.1, 0.06]
        path = np.concatenate(
            [
                0.25 * np.sin(t * 2.5) * rng.choice([-1, 1]),
                7.75 - 0.25 * t - 2.2 * t**1.6,
                -0.95 - 0.9 * np.sin(t * 2.2) * (1 - 0.45 * t),
            ],
            -1,
        )
        guides = path + spread * np.sin(np.minimum(t * 3, 1) * 1.57) + sway * t
        out = spread + np.array([0, 0.1, -0.2]) + 0 * guides
        out = out / np.linalg.norm(out, axis=-1, keepdims=True)
    placed = head.frame.place(guides).astype(np.float32)
    return _lay(placed, (out @ head.frame.rotation.T).astype(np.float32), style, rng, taper=0.3)


def _joined(parts: list[Cards]) -> Cards:
    starts = np.cumsum([0, *(len(p.points) for p in parts[:-1])])
    stacked = [np.concatenate(x) for x in zip(*((p.points, p.normals, p.tangents, p.card) for p in parts))]
    indices = np.concatenate([p.indices + s for p, s in zip(parts, starts)]).astype(np.int32)
    return Cards(stacked[0], stacked[1], stacked[2], stacked[3], indices)
