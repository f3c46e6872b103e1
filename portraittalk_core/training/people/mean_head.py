"""Write the mean head that edits place behind a face: `python -m portraittalk_core.training.people.mean_head`."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Int
from numpy import ndarray

from ...compositing.head_mesh import FILE, rasterised, vertex_normals
from ...people.landmarks import landmark_vertices, mix_landmarks
from ...people.person import draw_person
from ...people.shape import fit_similarity, shape_person
from ...people.surface import load_surface
from ...topology import EYES

_PEOPLE = 60  # adults whose heads are averaged
_LOWEST = 4.6  # height below which the body is left out, in decimetres of the template
_DIRECTIONS = 96  # from which light may come
_SHADOW = 128  # side of the picture of what each of them sees
_ADULT = 18.0  # years


def main() -> None:
    """Average the heads of rendered people and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=FILE)
    given = parser.parse_args()
    np.savez_compressed(given.out, **mean_head())  # pyright: ignore[reportArgumentType]


def mean_head() -> dict[str, ndarray]:
    """Return the arrays of `head_mesh.HeadMesh`."""
    surface = load_surface()
    reference = np.zeros((len(surface.used), 3), np.float32)
    reference[surface.local] = surface.reference
    ears, inside = (np.zeros(len(surface.used), np.float32) for _ in range(2))
    np.maximum.at(ears, surface.local, surface.ears)
    np.maximum.at(inside, surface.local, surface.inside)
    head = reference[:, 1] > 6.9
    shapes = []
    for person in filter(lambda p: p.age > _ADULT, map(draw_person, range(3 * _PEOPLE))):
        points = shape_person(person)[surface.used]
        frame = fit_similarity(points[head], reference[head])
        shapes.append(frame.place(points))
    points = np.mean(shapes[:_PEOPLE], 0)
    points = (points + points[_mirrored(reference)] * [-1, 1, 1]) / 2
    rows = np.searchsorted(surface.used, landmark_vertices())
    landmarks = mix_landmarks(points[rows][None])[0]
    left, right = (landmarks[list(eye)].mean(0) for eye in EYES)
    turn = np.array([1, -1, 1]) / np.linalg.norm(right - left)
    middle = (left + right) / 2
    points, landmarks = ((value - middle) * turn for value in (points, landmarks))
    kept = (inside < 0.3) & (reference[:, 1] > _LOWEST)
    number = np.cumsum(kept) - 1
    triangles = surface.faces[kept[surface.faces].all(1)]
    triangles = number[triangles][:, ::-1]  # the turn to y downwards mirrors
    points = points[kept].astype(np.float32)
    return {
        "points": points.astype(np.float16),
        "reference": reference[kept].astype(np.float16),
        "triangles": triangles.astype(np.uint16),
        "ears": ears[kept].astype(np.float16),
        "openness": _openness(points, triangles).astype(np.float16),
        "landmarks": landmarks.astype(np.float16),
    }


def _mirrored(points: Float32[ndarray, "v 3"]) -> Int[ndarray, "v"]:
    from scipy.spatial import KDTree

    return np.asarray(KDTree(points).query(points * [-1, 1, 1])[1])


def _openness(points: Float32[ndarray, "v 3"], triangles: Int[ndarray, "t 3"]) -> Float32[ndarray, "v"]:
    """Return the share of the light from everywhere that reaches each vertex, by the cosine."""
    normals = vertex_normals(points, triangles)
    number = np.arange(_DIRECTIONS) + 0.5
    height, turn = 1 - 2 * number / _DIRECTIONS, number * np.pi * (1 + 5**0.5)
    flat = np.sqrt(1 - height**2)
    total, reached = (np.zeros(len(points), np.float32) for _ in range(2))
    scale, middle = _SHADOW / (2.1 * np.linalg.norm(points - points.mean(0), axis=1).max()), points.mean(0)
    for way in np.stack([flat * np.cos(turn), height, flat * np.sin(turn)], 1):
        aside = np.cross(way, [0.31, 0.2, 0.93])
        aside /= np.linalg.norm(aside)
        pixels = (points - middle) @ np.stack([aside, np.cross(way, aside)], 1) * scale + _SHADOW / 2
        depth = points @ way
        _, near = rasterised(pixels, depth, triangles, depth[:, None], _SHADOW)
        at = pixels.round().astype(int).clip(0, _SHADOW - 1)
        cosine = np.maximum(normals @ way, 0)
        total += cosine
        reached += cosine * (depth > near[at[:, 1], at[:, 0]] - 0.06)
    return reached / np.maximum(total, 1e-6)


if __name__ == "__main__":
    main()
