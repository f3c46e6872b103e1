"""Hair that falls: from a parting, past the face, and over or behind the shoulders of the mean head."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ...people.hair import SKULL, comb_field, scalp, smoothstep, tangent
from ..head_mesh import HeadMesh
from .locks import Guides

# In distances of the eyes, in the head's coordinates, where nothing else is said.
_STEP = 0.2  # of a path
_MOST = 44  # steps
_PLACES = 16  # of a guide
_FACE = np.array([(-1.2, 0.5), (-0.75, 0.84), (0.0, 1.17), (0.6, 1.15), (1.4, 0.98), (1.9, 0.85), (2.6, 0.7)])
"""How far to the sides hair keeps off a face, by how far below the eyes."""
_BESIDE = -1.0  # depth from which on there is a face to keep off
_NAPE, _CHEST = (
    1.3,
    0.2,
)  # below the eyes, from where on hair goes before or behind a shoulder; how much it is drawn there
_SHOULDERS, _ACROSS = (
    2.1,
    np.array([0.25, 1, 1], np.float32),
)  # where they begin; hair does not slide off to their sides
_EAR = 0.3  # from which on a vertex is one's
_AROUND = 12  # vertices, whose mean is the surface
_BEFORE = 0.9  # share of hair from before the ears that falls before the shoulders


@dataclass(frozen=True)
class Fall:
    """How hair of a haircut falls."""

    end: float
    """How far below the eyes it ends."""
    uneven: float = 0.12
    """How much ends differ."""
    layered: float = 0.5
    """How much higher hair from before the face ends."""
    guides: int = 460
    lift: float = 0.45
    """How far hair rises from the scalp at its root."""
    fall: float = 0.34
    """How soon it bends down."""
    full: float = 0.16
    """How far from the head it lies."""
    width: float = 0.34
    """Of a guide."""
    inwards: float = 0.0
    """How far its ends turn towards the neck."""
    wave: float = 0.03
    """How far it swings."""
    long: float = 1.9
    """Of such a wave."""


def falling(
    mesh: HeadMesh, hairline: tuple[float, float], kind: Fall, fringe: bool, rng: np.random.Generator
) -> Guides:
    """Let hair fall from the mean head.

    Args:
        mesh: The head.
        hairline: See `people.hair.scalp`.
        kind: How it falls.
        fringe: Whether hair falls over the forehead.
        rng: Of every guide.
    """
    part = float(rng.choice([-1, 1])) * float(rng.uniform(0.1, 0.18))
    root, normal, at = scattered(mesh, hairline, kind.guides, rng)
    d = (at - SKULL) / np.linalg.norm(at - SKULL, axis=1, keepdims=True)
    flip = np.array([1, -1, 1], np.float32)
    comb = tangent(comb_field(d.astype(np.float32), "long", part) * flip, normal)
    front = smoothstep(-0.2, 0.6, d[:, 2])
    ends = kind.end + rng.normal(0, kind.uneven, len(d)) - kind.layered * front * rng.uniform(0.3, 1.0, len(d))
    if fringe:
        over = (d[:, 2] > 0.35) & (d[:, 1] > 0.42) & (np.abs(d[:, 0]) < 0.5)
        forward = np.array([0.5 * np.sign(part), 0.3, 1.0]) + rng.normal(0, 0.15, (int(over.sum()), 3))
        comb[over] = tangent(forward, normal[over])
        ends[over] = -0.42 + rng.normal(0, 0.07, int(over.sum()))
    side = np.sign(d[:, 0] - part * (d[:, 1] > 0.4))
    before = rng.random(len(d)) < _BEFORE * smoothstep(-0.45, -0.05, d[:, 2])
    paths, outward = _fallen(mesh, root, normal, comb, ends, side, before, kind, rng, fringe)
    return _ribbons(_waved(paths, outward, kind, rng), outward, kind, rng)


def scattered(
    mesh: HeadMesh, hairline: tuple[float, float], count: int, rng: np.random.Generator
) -> tuple[Float32[ndarray, "n 3"], Float32[ndarray, "n 3"], Float32[ndarray, "n 3"]]:
    """Return roots that are spread over the scalp, their normals and their places in the template.

    Args:
        mesh: The head.
        hairline: See `people.hair.scalp`.
        count: How many.
        rng: Of every root.
    """
    tris, reference = mesh.triangles, mesh.reference
    above = scalp(reference, hairline)
    a, b, c = (mesh.points[tris[:, k]] for k in range(3))
    share = np.linalg.norm(np.cross(b - a, c - a), axis=1) * np.clip(above[tris].mean(1) * 8 + 0.2, 0, 1)
    share = share * (mesh.ears[tris].max(1) < 0.3) * (reference[tris][:, :, 1].min(1) > 6.6)
    edges = np.concatenate([[0], np.cumsum(share)])
    pick = np.searchsorted(edges, (np.arange(count) + rng.random(count)) / count * edges[-1], side="right") - 1
    uv = rng.random((count, 2))
    uv[uv.sum(1) > 1] = 1 - uv[uv.sum(1) > 1]
    weights = np.concatenate([1 - uv.sum(1, keepdims=True), uv], 1)[..., None]
    root, normal, at = ((x[tris[pick]] * weights).sum(1) for x in (mesh.points, mesh.normals, reference))
    return root, normal / np.linalg.norm(normal, axis=1, keepdims=True), at


def _fallen(
    mesh: HeadMesh,
    root: ndarray,
    normal: ndarray,
    comb: ndarray,
    ends: ndarray,
    side: ndarray,
    before: ndarray,
    kind: Fall,
    rng: np.random.Generator,
    fringe: bool,
) -> tuple[ndarray, ndarray]:
    """Return paths down to where they end, and what is outwards along them."""
    from scipy.spatial import KDTree

    solid = np.nonzero(mesh.ears < _EAR)[0]  # which hair presses flat
    tree, skin = KDTree(mesh.points[solid]), mesh.points[solid]
    normals = mesh.normals[solid] * np.where(skin[:, 1:2] > _SHOULDERS, _ACROSS, 1)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    n = len(root)
    away = (kind.full * (0.35 + 1.1 * rng.random(n)))[:, None]
    p, d = root + 0.02 * normal, kind.lift * normal + 0.8 * comb + rng.normal(0, 0.05, root.shape)
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    points, outward = [p], [normal]
    where = np.where(before, 1.0, -1.0)
    for step in range(_MOST):
        low = smoothstep(_NAPE, _NAPE + 0.9, p[:, 1])
        tip = smoothstep(0.55, 0.0, ends - p[:, 1]) * kind.inwards
        pull = np.stack([-0.5 * tip * np.sign(p[:, 0]), np.full(n, kind.fall), _CHEST * low * where], 1)
        d = d + pull + comb * 0.3 * max(0.0, 1 - step / 6)
        d /= np.linalg.norm(d, axis=1, keepdims=True)
        p = p + _STEP * d
        _, near = tree.query(p, _AROUND, workers=1)
        m = normals[near].mean(1)
        m = m / np.linalg.norm(m, axis=1, keepdims=True)
        gap = ((p[:, None] - skin[near]) * m[:, None]).sum(2).mean(1, keepdims=True)
        rise = min(1.0, (step + 1) / 3) * (1 + 0.6 * kind.lift)
        push = np.maximum(0, away * rise - gap)
        p = p + m * push
        d = np.where(push > 0, d - m * np.minimum(0, (d * m).sum(1, keepdims=True)), d)
        keeps = np.interp(p[:, 1], _FACE[:, 0], _FACE[:, 1]) + 0.5 * away[:, 0]
        inside = (p[:, 2] > _BESIDE) & (np.abs(p[:, 0]) < keeps) & (p[:, 1] > -1.2) & ~(fringe & (ends < 0))
        p[:, 0] = np.where(inside, p[:, 0] + 0.7 * (side * keeps - p[:, 0]), p[:, 0])
        d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-6)
        out = p - np.array([0, 0, -1.3])
        out[:, 1] *= 0.3
        out = out / np.linalg.norm(out, axis=1, keepdims=True) + m * np.clip(1.4 - 2 * gap, 0, 1)
        points.append(p)
        outward.append(out / np.linalg.norm(out, axis=1, keepdims=True))
    return _cut(np.stack(points, 1), np.stack(outward, 1), ends)


def _cut(paths: ndarray, outward: ndarray, ends: ndarray) -> tuple[ndarray, ndarray]:
    """Cut paths where they first are as low as they end; all get as many places."""
    below = paths[..., 1] > ends[:, None]
    last = np.where(below.any(1), below.argmax(1), paths.shape[1] - 1).clip(2)
    at = np.linspace(0, 1, _PLACES) * last[:, None]
    low = np.minimum(at.astype(int), paths.shape[1] - 2)
    part = (at - low)[..., None]

    def cut(values: ndarray) -> ndarray:
        one, two = (np.take_along_axis(values, (low + k)[..., None], 1) for k in range(2))
        return one + part * (two - one)

    return cut(paths), cut(outward)


def _waved(paths: ndarray, outward: ndarray, kind: Fall, rng: np.random.Generator) -> ndarray:
    """Let paths swing to their sides, those beside one another alike."""
    along = np.gradient(paths, axis=1)
    length = np.cumsum(np.linalg.norm(along, axis=2), 1)[..., None]
    side = np.cross(along, outward)
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-6)
    phase = 2.2 * paths[:, :1, :1] + 1.4 * paths[:, :1, 2:] + rng.normal(0, 0.9, (len(paths), 1, 1))
    turn = 6.283 * length / (kind.long * rng.uniform(0.85, 1.15, (len(paths), 1, 1))) + phase
    size = kind.wave * smoothstep(0.6, 2.2, length) * rng.uniform(0.6, 1.3, (len(paths), 1, 1))
    return paths + size * (side * np.sin(turn) + 0.6 * outward * np.cos(turn))


def _ribbons(paths: ndarray, outward: ndarray, kind: Fall, rng: np.random.Generator) -> Guides:
    along = np.gradient(paths, axis=1)
    side = np.cross(along, outward)
    side /= np.maximum(np.linalg.norm(side, axis=2, keepdims=True), 1e-6)
    half = kind.width / 2 * rng.uniform(0.7, 1.25, (len(paths), 1, 1))
    return Guides(paths - half * side, paths + half * side, outward)
