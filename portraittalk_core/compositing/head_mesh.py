"""A mean head as a mesh: skull, ears and neck as hair hides them, placed behind the points of a face.

It is the mean of rendered people (`training.people.mean_head` writes it), so ears and cranium are where theirs are.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from ..topology import OVAL

FILE = Path(__file__).parent.parent / "assets" / "head.npz"
"""Of the mesh."""

_RIGID = (10, 54, 284, 67, 297, 162, 389, 127, 356, 234, 454, 33, 263, 133, 362, 168, 6, 197, 5, 4, 2, 9, 151)
_AWAY = 18.0  # how far photographers stand, in distances of the eyes
_NEAR, _DOUBT = 0.4, 0.35  # over which a face's own outline bends the head, and how readily it does
_FARTHEST = 0.25  # likewise, how far at most
_SKULL = -0.7  # above the eyes, from where on skulls are higher or lower than the mean one
_MIDDLE, _HAIR_OVER = 0.7, 0.06  # where hair's top counts, and how thick it is at least
_LOWEST = 0.6  # share of the mean height above there, that is believed
_PULL = 1e-3  # towards depth that is not seen
_LARGEST = 24  # side of triangles that are filled in one go, pixels


@dataclass(frozen=True)
class HeadMesh:
    """The mean head, in distances of the eyes from between them: x right in the picture, y down, z to the viewer."""

    points: Float32[ndarray, "v 3"]
    reference: Float32[ndarray, "v 3"]
    """Places in the renderer's template, by which hair knows where it grows."""
    triangles: Int[ndarray, "t 3"]
    ears: Float32[ndarray, "v"]
    openness: Float32[ndarray, "v"]
    """Share of the surrounding light that reaches each place."""
    landmarks: Float32[ndarray, "468 3"]
    """MediaPipe's points of it."""

    @functools.cached_property
    def normals(self) -> Float32[ndarray, "v 3"]:
        """Of its surface, of length 1, outwards."""
        return vertex_normals(self.points, self.triangles)


@functools.cache
def head_mesh() -> HeadMesh:
    """Read the mean head."""
    with np.load(FILE) as kept:
        held = {name: kept[name] for name in kept.files}
    triangles = held.pop("triangles").astype(np.int32)
    return HeadMesh(triangles=triangles, **{name: value.astype(np.float32) for name, value in held.items()})


def vertex_normals(points: Float32[ndarray, "v 3"], triangles: Int[ndarray, "t 3"]) -> Float32[ndarray, "v 3"]:
    """Return outward unit normals of a mesh whose triangles are as the renderer's, mirrored.

    Args:
        points: Of the mesh.
        triangles: Likewise.
    """
    a, b, c = (points[triangles[:, k]] for k in range(3))
    flat = np.cross(b - a, c - a)
    total = np.zeros_like(points)
    for k in range(3):
        np.add.at(total, triangles[:, k], flat)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-9)


@dataclass(frozen=True)
class PlacedHead:
    """A head as a picture shows it."""

    pixels: Float32[ndarray, "v 2"]
    """Where its vertices are, in pixels."""
    depth: Float32[ndarray, "v"]
    """How near the viewer they are, in distances of the eyes."""
    view: Float32[ndarray, "3 3"]
    """Rows: right, down and towards the viewer, in the head's coordinates."""
    camera: Float32[ndarray, "4 2"]
    """Affine, from the head's coordinates to pixels."""
    unit: float
    """Pixels a distance of the eyes."""
    bent: Float32[ndarray, "v 2"]
    """By how much the face's own outline moves each vertex, pixels; in `pixels` already."""
    low: float = 1.0
    """How high the skull is, as a share of the mean one's."""

    def seen(self, places: Float32[ndarray, "*n 3"]) -> tuple[Float32[ndarray, "*n 2"], Float32[ndarray, "*n"]]:
        """Return where places about the head are seen, in pixels, and how near they are.

        Args:
            places: In the head's coordinates.
        """
        if self.low != 1:
            places = places.copy()
            above = np.minimum(places[..., 1] - _SKULL, 0)
            places[..., 1] += (self.low - 1) * above
        depth = places @ self.view[2]
        flat = places @ self.camera[:3]
        return flat / (1 - depth[..., None] / _AWAY) + self.camera[3], depth


def placed_head(
    landmarks: Float32[ndarray, "478 2"], side: int, person: Float32[ndarray, "s s"] | None = None
) -> PlacedHead:
    """Fit the mean head to the points of a face: an affine camera, and an outline that is the face's own.

    Args:
        landmarks: In [-1, 1].
        side: Of the picture, pixels.
        person: How much of each pixel is the person's skin or hair: no skull is higher. None: nobody knows.
    """
    mesh, points = head_mesh(), (landmarks + 1) * (side / 2) - 0.5
    head, wanted = mesh.landmarks[list(_RIGID)], points[list(_RIGID)]
    placed = None
    for _ in range(3):  # those that are nearer are larger
        near = 1 - (head @ placed.view[2])[:, None] / _AWAY if placed else 1.0
        origin = placed.camera[3] if placed else points[168]
        rows = np.concatenate([head, np.ones_like(head[:, :1])], 1)
        target = (wanted - origin) * near + origin
        normal = rows.T @ rows + _PULL * len(rows) * np.diag([0.0, 0.0, 1.0, 0.0])
        placed = _placed(np.linalg.solve(normal, rows.T @ target).astype(np.float32))
    assert placed is not None
    if person is not None:
        placed = replace(placed, low=_height(placed, mesh, person))
    oval = mesh.landmarks[list(OVAL)]
    missing = points[list(OVAL)] - placed.seen(oval)[0]
    long = np.linalg.norm(missing, axis=1, keepdims=True) / placed.unit
    missing = missing * np.minimum(1, _FARTHEST / np.maximum(long, 1e-6))
    apart = ((mesh.points[:, None] - oval) ** 2).sum(-1)
    near = np.exp(-apart / (2 * _NEAR**2))
    bent = near @ missing / (near.sum(1, keepdims=True) + _DOUBT)
    pixels, depth = placed.seen(mesh.points)
    return replace(placed, pixels=pixels + bent.astype(np.float32), depth=depth, bent=bent.astype(np.float32))


def _height(placed: PlacedHead, mesh: HeadMesh, person: Float32[ndarray, "s s"]) -> float:
    """Return how high a skull may be below the hair that is seen, as a share of the mean one's."""
    pixels, _ = placed.seen(mesh.points)
    right, down = (placed.camera[:3, k] for k in range(2))
    axis = np.stack([right[:2], down[:2]], 1)  # of the plane of the face, from its x and y to pixels
    rows, columns = np.nonzero(person > 0.5)
    flat = (np.stack([columns, rows], 1) - placed.camera[3]) @ np.linalg.inv(axis)
    middle = np.abs(flat[:, 0]) < _MIDDLE
    edge = rows[middle] < 2
    if not middle.any() or edge.any():
        return 1.0
    top = flat[middle, 1].min() + _HAIR_OVER
    skull = ((pixels - placed.camera[3]) @ np.linalg.inv(axis))[:, 1].min()
    return float(np.clip((top - _SKULL) / (skull - _SKULL), _LOWEST, 1))


def _placed(camera: Float32[ndarray, "4 2"]) -> PlacedHead:
    right, down = camera[:3, 0], camera[:3, 1]
    unit = float(np.sqrt(np.linalg.norm(right) * np.linalg.norm(down)))
    near = np.cross(right, down)
    near = near / np.linalg.norm(near) * np.sign(near[2] or 1)
    view = np.stack([right / np.linalg.norm(right), down / np.linalg.norm(down), near])
    nothing = np.zeros((0, 2), np.float32)
    return PlacedHead(nothing, nothing[:, 0], view.astype(np.float32), camera, unit, nothing)


def rasterised(
    pixels: Float32[ndarray, "v 2"],
    depth: Float32[ndarray, "v"],
    triangles: Int[ndarray, "t 3"],
    values: Float32[ndarray, "v k"],
    side: int,
) -> tuple[Float32[ndarray, "s s k"], Float32[ndarray, "s s"]]:
    """Fill a mesh, what is nearest before the rest.

    Args:
        pixels: Where vertices are.
        depth: How near they are.
        triangles: Of the mesh.
        values: Of the vertices.
        side: Of the picture.

    Returns:
        The values at each pixel, and the depth, -inf where there is nothing.
    """
    corners = pixels[triangles]
    low, high = np.floor(corners.min(1)).astype(int), np.ceil(corners.max(1)).astype(int)
    shown = ((high >= 0) & (low < side)).all(1)
    size = (high - low).max(1) + 1
    found: list[tuple[ndarray, ndarray, ndarray]] = []
    for least, most in ((0, 6), (6, 12), (12, _LARGEST), (_LARGEST, 4 * _LARGEST), (4 * _LARGEST, 10**6)):
        rows = np.nonzero(shown & (size > least) & (size <= most))[0]
        for part in np.array_split(rows, max(1, len(rows) * min(most, side) ** 2 // 2_000_000)) if len(rows) else []:
            found.append(_samples(corners[part], low[part], int(size[part].max()), side, part))
    index, number, weights = (np.concatenate(parts) for parts in zip(*found, strict=True))
    near = (depth[triangles[number]] * weights).sum(1)
    order = np.argsort(near, kind="stable")  # of those that are assigned to one pixel the last stays
    top = np.full(side * side, -1)
    top[index[order]] = order
    there = np.nonzero(top >= 0)[0]
    best = top[there]
    picture = np.zeros((side * side, values.shape[1]), np.float32)
    picture[there] = np.einsum("nc,nck->nk", weights[best], values[triangles[number[best]]])
    nearest = np.full(side * side, -np.inf, np.float32)
    nearest[there] = near[best]
    return picture.reshape(side, side, -1), nearest.reshape(side, side)


def _samples(
    corners: Float32[ndarray, "t 3 2"], low: Int[ndarray, "t 2"], size: int, side: int, numbers: Int[ndarray, "t"]
) -> tuple[Int[ndarray, "n"], Int[ndarray, "n"], Float32[ndarray, "n 3"]]:
    """Return the pixels inside some triangles, which triangle each is of, and its barycentric weights."""
    grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1).reshape(-1, 2)
    at = low[:, None] + grid
    a, b, c = (corners[:, k][:, None] for k in range(3))

    def area(p: ndarray, q: ndarray, r: ndarray) -> ndarray:
        return (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])

    whole = area(a, b, c)
    whole = np.where(np.abs(whole) < 1e-9, np.float32(1e-9), whole)
    middle = at.astype(np.float32)
    weights = np.stack([area(middle, b, c), area(a, middle, c), area(a, b, middle)], -1) / whole[..., None]
    inside = np.asarray((weights >= -1e-4).all(-1) & ((at >= 0) & (at < side)).all(-1))
    which, _ = np.nonzero(inside)
    place = at[inside]
    return place[:, 1] * side + place[:, 0], numbers[which], weights[inside].astype(np.float32)
