"""Pictures with and without faces, from which the face detector learns.

A detector that has only seen portraits calls everything a face, so a good part of the collages holds none: plain
and patterned surfaces, noise, shapes, and portraits whose face is hidden or which stand on their head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .data import SIDE, Album, face_box, five_points, move, to_net, warp, weather

LEVELS = ((8, 9.0, 40.0), (16, 32.0, 96.0), (32, 78.0, 420.0))
"""Stride of each grid, and the smallest and largest face (pixels) that it answers for."""


@dataclass(frozen=True)
class CollageBatch:
    """Collages and what the detector should find in them."""

    pictures: np.ndarray
    """[b, 3, 256, 256], in [-1, 1]."""

    targets: list[np.ndarray]
    """One array [b, 15, h, w] a stride: label (1 face, 0 none, -1 do not care), four distances and ten offsets in units
    of the stride."""


def collage_batch(album: Album, seed: int, step: int, size: int) -> CollageBatch:
    """Return collages with their targets; about three in ten hold no face.

    Args:
        album: From which faces are taken.
        seed: Of the run.
        step: Decides, with the seed, what is drawn.
        size: Collages.
    """
    rng = np.random.default_rng([seed, 3, step])
    collages = [collage(rng, album) for _ in range(size)]
    targets = [np.stack([assign(faces, *level) for _, faces in collages]) for level in LEVELS]
    return CollageBatch(to_net([weather(rng, picture) for picture, _ in collages]), targets)


def collage(rng: np.random.Generator, album: Album) -> tuple[np.ndarray, list[np.ndarray]]:
    """Draw one picture.

    Args:
        rng: That decides what is drawn.
        album: From which faces are taken.

    Returns:
        The picture, [256, 256, 3] in 0..255, and the 70 landmarks in pixels of each face in it.
    """
    kind = rng.random()
    if kind < 0.45:
        return _portrait(rng, album)
    if kind < 0.75:
        return _pasted(rng, album)
    if kind < 0.87:
        return scribble(rng, background(rng), int(rng.integers(0, 9))), []
    picture, faces = _portrait(rng, album)
    return _spoiled(rng, picture, faces), []


def _portrait(rng: np.random.Generator, album: Album) -> tuple[np.ndarray, list[np.ndarray]]:
    """One portrait, zoomed; sometimes letterboxed as a wide or tall picture would be."""
    i = int(rng.integers(len(album.points)))
    points, scale = album.pixels(i), float(np.exp(rng.uniform(np.log(0.45), np.log(1.7))))
    if rng.random() < 0.4:
        scale = 1.0
    left, top, right, bottom = face_box(points)
    free = SIDE - scale * np.array([right - left, bottom - top])
    place = rng.uniform(0.15, 0.85, 2) * free - scale * np.array([left, top])
    if scale == 1.0:
        place = np.zeros(2)
    matrix = np.array([[scale, 0, place[0]], [0, scale, place[1]]], np.float32)
    picture = warp(album.picture(i), matrix, SIDE, 1 if rng.random() < 0.6 else None)
    moved = move(points, matrix)
    if rng.random() < 0.3:
        edge = int(rng.uniform(0.55, 0.95) * SIDE)
        part = (slice(edge, None), slice(None)) if rng.random() < 0.5 else (slice(None), slice(edge, None))
        picture = picture.copy()
        picture[part] = 0
        limit = np.array([edge if part[1] != slice(None) else SIDE, edge if part[0] != slice(None) else SIDE])
        if np.any(face_box(moved)[2:] > limit + 3):
            return scribble(rng, background(rng), 4), []
    return picture, [moved]


def _pasted(rng: np.random.Generator, album: Album) -> tuple[np.ndarray, list[np.ndarray]]:
    """One to three portraits side by side or scattered, each in its own square or without its surroundings."""
    picture, faces, taken = scribble(rng, background(rng), int(rng.integers(0, 6))), [], []
    for _ in range(int(rng.integers(1, 4))):
        i, side = int(rng.integers(len(album.points))), int(np.exp(rng.uniform(np.log(28), np.log(200))))
        x, y = (int(rng.integers(0, SIDE - side + 1)) for _ in range(2))
        if any(x < r and left < x + side and y < b and t < y + side for left, t, r, b in taken):
            continue
        matrix = np.array([[side / SIDE, 0, 0], [0, side / SIDE, 0]], np.float32)
        picture[y : y + side, x : x + side] = _shrink(album.picture(i), side)
        faces.append(move(album.pixels(i), matrix) + [x, y])
        taken.append((x, y, x + side, y + side))
    return picture, faces


def _shrink(picture: np.ndarray, side: int) -> np.ndarray:
    import cv2

    return cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)


def _spoiled(rng: np.random.Generator, picture: np.ndarray, faces: list[np.ndarray]) -> np.ndarray:
    """Hide the faces of a portrait, or turn it upside down: not a face any more."""
    import cv2

    picture = picture.copy()
    if rng.random() < 0.25:
        return np.ascontiguousarray(picture[::-1])
    for points in faces:
        left, top, right, bottom = face_box(points) + rng.uniform(-4, 4, 4)
        centre = (int((left + right) / 2), int((top + bottom) / 2))
        axes = (max(2, int((right - left) * 0.62)), max(2, int((bottom - top) * 0.6)))
        pixel = picture[min(SIDE - 1, max(0, centre[1])), min(SIDE - 1, max(0, centre[0]))]
        colour = pixel if rng.random() < 0.6 else rng.integers(0, 256, 3)
        cv2.ellipse(picture, centre, axes, 0, 0, 360, tuple(int(c) for c in colour), -1)
    return picture


def background(rng: np.random.Generator) -> np.ndarray:
    """Return a surface: one colour, a gradient, soft blotches, stripes or noise.

    Args:
        rng: That decides which.
    """
    import cv2

    kind, first, second = rng.integers(5), rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    if kind == 0:
        mix = np.zeros((SIDE, SIDE, 1))
    elif kind == 1:
        ramp = np.linspace(0, 1, SIDE)
        mix = (ramp[:, None] * rng.uniform(-1, 1) + ramp[None] * rng.uniform(-1, 1))[..., None]
    elif kind == 2:
        cells = int(rng.integers(3, 40))
        mix = cv2.resize(rng.random((cells, cells)), (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)[..., None]
    elif kind == 3:
        y, x = np.mgrid[0:SIDE, 0:SIDE] * rng.uniform(0.02, 0.6)
        angle = rng.uniform(0, np.pi)
        mix = (np.sin(x * np.cos(angle) + y * np.sin(angle)) * 0.5 + 0.5)[..., None]
    else:
        mix = rng.random((SIDE, SIDE, 3))
    return np.clip(first + (second - first) * mix, 0, 255).astype(np.uint8)


def scribble(rng: np.random.Generator, picture: np.ndarray, count: int) -> np.ndarray:
    """Draw random ellipses, boxes, lines and circles; two dots and a line in an oval are no face either.

    Args:
        rng: That decides what is drawn.
        picture: Stays as it is.
        count: Of shapes.
    """
    import cv2

    picture = np.ascontiguousarray(picture)
    for _ in range(count):
        colour, thick = [int(c) for c in rng.integers(0, 256, 3)], int(rng.choice([-1, -1, 1, 3, 7]))
        a, b = (tuple(int(v) for v in rng.integers(0, SIDE, 2)) for _ in range(2))
        kind = rng.integers(4)
        if kind == 0:
            axes = tuple(int(v) for v in rng.integers(4, 90, 2))
            cv2.ellipse(picture, a, axes, float(rng.uniform(0, 180)), 0, 360, colour, thick)
        elif kind == 1:
            cv2.rectangle(picture, a, b, colour, thick)
        elif kind == 2:
            cv2.line(picture, a, b, colour, abs(thick))
        else:
            cv2.circle(picture, a, int(rng.integers(3, 60)), colour, thick)
    return picture


def assign(faces: list[np.ndarray], stride: int, smallest: float, largest: float) -> np.ndarray:
    """Return the target [15, h, w] of one grid, see `CollageBatch`.

    Args:
        faces: The 70 landmarks of each in pixels.
        stride: Pixels a cell.
        smallest: Face in pixels that the grid answers for.
        largest: Face in pixels that the grid answers for.
    """
    cells = SIDE // stride
    y, x = np.mgrid[0:cells, 0:cells].astype(np.float32) * stride
    target = np.zeros((15, cells, cells), np.float32)
    for points in faces:
        left, top, right, bottom = box = face_box(points)
        size = float(np.sqrt((right - left) * (bottom - top)))
        distance = np.maximum(abs(x - (left + right) / 2), abs(y - (top + bottom) / 2))
        near = distance < max(0.34 * size, 0.75 * stride)
        if not smallest <= size <= largest:
            if smallest / 1.6 <= size <= largest * 1.6:
                target[0][near & (target[0] == 0)] = -1
            continue
        core = distance <= max(0.17 * size, distance.min() + 1e-3)
        target[0][near & (target[0] == 0)] = -1
        target[0][core] = 1
        distances = np.stack([x - box[0], y - box[1], box[2] - x, box[3] - y]).clip(1) / stride
        offsets = np.concatenate([np.stack([px - x, py - y]) for px, py in five_points(points)]) / stride
        target[1:15, core] = np.concatenate([distances, offsets])[:, core]
    return target
