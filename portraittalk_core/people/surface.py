"""The skin as a mesh for drawing: which polygons, where they lie in the texture, and their normals."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np
from jaxtyping import Float32, Int, UInt8
from numpy import ndarray

from .anatomy import EYES, Anatomy, load_anatomy

if TYPE_CHECKING:
    import scipy.sparse as sp

UV_BOX = (0.625, 0.0, 1.0, 0.84)
"""The part of the template's texture square that holds head, neck and mouth: left, bottom, right, top."""
LOWEST = 3.9
"""Height below which the body is left out, in decimetres of the template."""
LID_RANGE = 24.0
"""Texels of the mask over which the signed distance to the opening of the eyes is stored."""


@dataclass(frozen=True)
class Surface:
    """The drawn skin; `g` counts its corners (a vertex on a seam of the texture has several), `u` template vertices."""

    used: Int[ndarray, "u"]
    """The template vertices of the skin, in ascending order; `local` and `faces` count in it."""
    local: Int[ndarray, "g"]
    """For each corner its row in `used`."""
    triangles: Int[ndarray, "t 3"]
    """Over corners."""
    uv: Float32[ndarray, "g 2"]
    """Place in the painted texture: the head takes three quarters of the width."""
    mask_uv: Float32[ndarray, "g 2"]
    """Place in `masks`."""
    texture_uv: Float32[ndarray, "g 2"]
    """Place in MakeHuman's own skin textures."""
    reference: Float32[ndarray, "g 3"]
    """Place in the template: the address at which paint is put, the same on everybody."""
    masks: UInt8[ndarray, "h w 4"]
    """Lips, signed distance to the lid margin (128 on it, higher inside the opening), mouth interior, ears."""
    to_vertices: sp.csr_matrix
    """Sums triangles into vertices: [u, t]."""
    smoothing: sp.csr_matrix
    """Mean of a vertex and its neighbours: [u, u]."""
    inside: Float32[ndarray, "g"]
    ears: Float32[ndarray, "g"]
    lips: Float32[ndarray, "g"]

    @property
    def faces(self) -> Int[ndarray, "t 3"]:
        """Triangles over rows of `used`."""
        return self.local[self.triangles]

    def normals(self, points: Float32[ndarray, "u 3"]) -> Float32[ndarray, "u 3"]:
        """Return unit normals of deformed skin vertices."""
        a, b, c = (points[self.faces[:, i]] for i in range(3))
        normals = self.to_vertices @ np.cross(b - a, c - a)
        return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


@functools.cache
def load_surface() -> Surface:
    """Build the drawn skin of the template (once a process)."""
    anatomy = load_anatomy()
    body = [c for c in anatomy.mesh.faces["body"] if _kept(anatomy, c)]
    corners = sorted({corner for polygon in body for corner in polygon})
    index = {corner: i for i, corner in enumerate(corners)}
    triangles: list[tuple[int, int, int]] = []
    for polygon in body:
        q = [index[corner] for corner in polygon]
        triangles += [(q[0], q[i], q[i + 1]) for i in range(1, len(q) - 1)]
    tris = np.array(triangles, np.int32)
    vertex = np.array([v for v, _ in corners])
    used, local = np.unique(vertex, return_inverse=True)
    texture_uv = anatomy.mesh.uv[[t for _, t in corners]]
    reference = anatomy.points[vertex]
    head = _head(tris, reference, texture_uv)
    x0, y0, x1, y1 = UV_BOX
    box = (texture_uv - [x0, y0]) / [x1 - x0, y1 - y0]
    uv = np.where(head[:, None], box * [0.75, 1], texture_uv * [0.37, 1] + [0.752, 0]).astype(np.float32)
    mask_uv = np.where(head[:, None], box, 0.0).astype(np.float32)
    masks = _masks(anatomy)
    lips, _, inside, ears = _lookup(masks, mask_uv).T / 255.0
    to_vertices, smoothing = _operators(local[tris], len(used))
    return Surface(
        used, local, tris, uv, mask_uv, texture_uv.astype(np.float32), reference, masks, to_vertices, smoothing,
        inside.astype(np.float32), ears.astype(np.float32), lips.astype(np.float32),
    )  # fmt: skip


def _kept(anatomy: Anatomy, polygon: list[tuple[int, int]]) -> bool:
    points = anatomy.points[[v for v, _ in polygon]]
    return bool(points[:, 1].min() > LOWEST and np.abs(points[:, 0]).max() < 3.0)


def _head(tris: ndarray, reference: ndarray, uv: ndarray) -> ndarray:
    """Tell which corners lie on an island of the texture that belongs to the head or the mouth."""
    import scipy.sparse as sp
    from scipy.sparse.csgraph import connected_components

    edges = tris[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    graph = sp.csr_matrix((np.ones(len(edges)), edges.T), (len(uv),) * 2)
    _, island = connected_components(graph)
    return np.isin(island, np.unique(island[(reference[:, 1] > 6.9) & (uv[:, 0] > 0.6)]))


def _operators(faces: ndarray, n: int) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    import scipy.sparse as sp

    m = len(faces)
    ones = np.ones(3 * m, np.float32)
    to_vertices = sp.csr_matrix((ones, (faces.ravel(), np.repeat(np.arange(m), 3))), (n, m))
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    graph = sp.csr_matrix((np.ones(len(edges), np.float32), edges.T), (n, n))
    graph = ((graph + graph.T) > 0).astype(np.float32) + sp.eye_array(n).astype(np.float32)
    smoothing = sp.diags(1 / np.asarray(graph.sum(1)).ravel()).astype(np.float32) @ graph
    return to_vertices, sp.csr_matrix(smoothing)


def _masks(anatomy: Anatomy) -> UInt8[ndarray, "h w 4"]:
    """Read the masks of lips, lids, mouth interior and ears; rows go upwards, as textures of OpenGL do."""
    folder = anatomy.folder / "mpfb2" / "textures"
    names = ("mpfb_lips", "mpfb_eyelids", "mpfb_inside-mouth", "mpfb_ears")
    planes = [cv2.imread(str(folder / f"{name}.jpg"), cv2.IMREAD_GRAYSCALE) for name in names]
    crops = [_crop(plane) for plane in planes if plane is not None]
    lids = (crops[1] > 127).astype(np.uint8)
    signed = cv2.distanceTransform(lids, cv2.DIST_L2, 5) - cv2.distanceTransform(1 - lids, cv2.DIST_L2, 5)
    crops[1] = np.clip(128 + signed * (127 / LID_RANGE), 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(np.ascontiguousarray(np.stack(crops, -1)), (0, 0), 1.2).astype(np.uint8)


def _crop(plane: ndarray) -> ndarray:
    height, width = plane.shape
    x0, y0, x1, y1 = UV_BOX
    return plane[int((1 - y1) * height) : int((1 - y0) * height), int(x0 * width) : int(x1 * width)][::-1]


def _lookup(masks: ndarray, uv: ndarray) -> ndarray:
    limit = np.array(masks.shape[1::-1]) - 1
    at = (uv * limit).round().astype(int).clip(0, limit)
    return masks[at[:, 1], at[:, 0]].astype(np.float32)


def eye_centre(points: Float32[ndarray, "v 3"], side: str) -> tuple[Float32[ndarray, "3"], float]:
    """Return centre and radius of an eyeball of a shaped template.

    Args:
        points: All vertices of the template, shaped.
        side: "Left" or "Right", of the person.

    Returns:
        The centre and the radius in decimetres.
    """
    lo, hi = EYES[side]
    ball = points[lo:hi]
    centre = (ball.min(0) + ball.max(0)) / 2
    return centre, float(np.linalg.norm(ball - centre, axis=1).mean())
