"""Pictures with and without faces, from which the face detector learns.

A detector that has only seen portraits calls everything a face, so a good part of the collages holds none: surfaces
and clutter, cups and animals, and people whose face is hidden or stands on its head.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from numpy.random import Generator

from ...perception.face_geometry import face_box, five_points, move
from ...perception.face_nets import DETECTOR_SIZE, STRIDES
from ..people.bank import SIZE
from .data import MIRROR, to_net, warp
from .people import People
from .photography import photograph
from .surfaces import clutter, lookalike, occlude, surface

SIDE = DETECTOR_SIZE

LEVELS = tuple(zip(STRIDES, (9.0, 32.0, 78.0), (40.0, 96.0, 420.0), strict=True))
"""Stride of each grid, and the smallest and largest face (pixels) that it answers for."""

SMALLEST = 11.0
"""Faces below this are neither asked for nor forbidden, pixels."""


@dataclass
class Collage:
    """A picture and the faces in it."""

    picture: UInt8[ndarray, "256 256 3"]
    """RGB in 0..255."""

    faces: list[Float32[ndarray, "478 2"]] = field(default_factory=list)
    """Points in pixels of the faces that are to be found."""

    ignored: list[Float32[ndarray, " 4"]] = field(default_factory=list)
    """Boxes of what may be found or not: faces cut off, half hidden, or too small."""

    limit: tuple[int, int] = (SIDE, SIDE)
    """Width and height of the part that is not black."""


@dataclass(frozen=True)
class CollageBatch:
    """Collages and what the detector should find in them."""

    pictures: Float32[ndarray, "b 3 256 256"]
    """In [-1, 1]."""

    targets: list[ndarray]
    """One array [b, 15, h, w] a stride: label (1 face, 0 none, -1 do not care), four distances and ten offsets in units
    of the stride."""


def collage_batch(people: People, seed: int, step: int, size: int) -> CollageBatch:
    """Return collages with their targets; about a third hold no face.

    Args:
        people: Whose faces.
        seed: Of the run.
        step: Decides, with the seed, what is drawn.
        size: Collages.
    """
    rng = np.random.default_rng([seed, 3, step])
    made = [collage(rng, people) for _ in range(size)]
    targets = [np.stack([assign(one.faces, *level, ignored=one.ignored) for one in made]) for level in LEVELS]
    return CollageBatch(to_net([one.picture for one in made]), targets)


def collage(rng: Generator, people: People) -> Collage:
    """Draw one picture, photographed.

    Args:
        rng: That decides what is drawn.
        people: Whose faces.
    """
    kind = rng.random()
    if kind < 0.35:
        made = _portrait(rng, people)
    elif kind < 0.6:
        made = _scattered(rng, people)
    elif kind < 0.7:
        made = _group(rng, people)
    elif kind < 0.82:
        made = Collage(_things(rng, people))
    else:
        made = _spoiled(rng, _portrait(rng, people) if rng.random() < 0.6 else _scattered(rng, people))
    made = _letterboxed(rng, made) if rng.random() < 0.5 else made
    small = min([_size(points) for points in made.faces], default=60.0)
    made.picture = photograph(rng, made.picture, soft_px=float(np.clip(small / 24, 0.4, 5) * rng.uniform(0.3, 1)))
    return _sorted(made)


def _size(points: ndarray) -> float:
    left, top, right, bottom = face_box(points)
    return float(np.sqrt((right - left) * (bottom - top)))


def _place(rng: Generator, people: People, i: int, size: float, middle: ndarray) -> tuple[ndarray, ndarray, bool]:
    """Return the matrix that brings a person's face to a size and place, the points there, and whether mirrored."""
    points, mirrored = people.pixels(i), bool(rng.random() < 0.5)
    if mirrored:
        points = points[MIRROR] * np.array([-1, 1], np.float32) + [SIZE - 1, 0]
    angle = np.radians(rng.normal() * 22 if rng.random() < 0.25 else rng.normal() * 6)
    scale = size / _size(points)
    squeeze = np.diag(np.exp(rng.normal(size=2) * 0.06))
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ squeeze
    left, top, right, bottom = face_box(points)
    shift = middle - turn @ np.array([left + right, top + bottom]) / 2
    matrix = np.concatenate([turn, shift[:, None]], 1).astype(np.float32)
    return matrix, move(points.astype(np.float32), matrix), mirrored


def _shown(picture: ndarray, mirrored: bool, size: float) -> ndarray:
    """Return a person's picture, mirrored where asked for, and softened so that shrinking it does not alias."""
    picture = np.ascontiguousarray(picture[:, ::-1]) if mirrored else picture
    soft = 2 * round(70 / size) - 1
    return cv2.blur(picture, (soft, soft)) if soft > 1 else picture


def _portrait(rng: Generator, people: People) -> Collage:
    """One person in their own surroundings, from a small figure to a face that fills the picture."""
    i = int(rng.integers(len(people.bank)))
    size = float(np.exp(rng.uniform(np.log(35), np.log(235))))
    middle = SIDE / 2 + np.clip(rng.normal(size=2) * 0.22, -0.6, 0.6) * max(SIDE - size, 50)
    matrix, points, mirrored = _place(rng, people, i, size, middle)
    source = _shown(people.bank.picture(i), mirrored, size)
    if rng.random() < 0.5:
        picture = warp(source, matrix, SIDE, cv2.BORDER_REPLICATE if rng.random() < 0.7 else None)
    else:
        picture = _things(rng, people)
        _paste(picture, source, matrix, None)
    if rng.random() < 0.25:
        picture = occlude(rng, picture, points)
    return Collage(picture, [points])


def _paste(picture: ndarray, source: ndarray, matrix: ndarray, cover: ndarray | None) -> None:
    """Lay a person over a picture: cut out, or in the square of their own picture."""
    side = source.shape[0]
    corners = move(np.array([[0, 0], [side, 0], [0, side], [side, side]], np.float32), matrix)
    left, top = np.floor(corners.min(0)).clip(0, SIDE).astype(int)
    right, bottom = np.ceil(corners.max(0)).clip(0, SIDE).astype(int)
    if right <= left or bottom <= top:
        return
    shifted, size = matrix - np.array([[0, 0, left], [0, 0, top]], np.float32), (int(right - left), int(bottom - top))
    share = cv2.warpAffine(np.ones((side, side), np.float32) if cover is None else cover, shifted, size)
    laid, part = cv2.warpAffine(source, shifted, size), picture[top:bottom, left:right]
    part[:] = (part + (laid.astype(np.float32) - part) * share[..., None]).astype(np.uint8)


def _scattered(rng: Generator, people: People) -> Collage:
    """Several people of any size over something else."""
    made, taken = Collage(_things(rng, people)), []
    largest = float(np.exp(rng.uniform(np.log(16), np.log(150))))
    for _ in range(int(rng.integers(1, 8))):
        size = largest * float(np.exp(rng.uniform(-0.8, 0)))
        middle = rng.uniform(0, SIDE, 2)
        if any(np.abs(middle - other).max() < 0.8 * (size + near) for other, near in taken):
            continue
        _lay(rng, people, made, size, middle)
        taken.append((middle, size))
    return made


def _lay(rng: Generator, people: People, made: Collage, size: float, middle: ndarray) -> None:
    i = int(rng.integers(len(people.bank)))
    matrix, points, mirrored = _place(rng, people, i, size, middle)
    cover = people.cover(i) if rng.random() < 0.8 else None
    cover = cover[:, ::-1].copy() if cover is not None and mirrored else cover
    _paste(made.picture, _shown(people.bank.picture(i), mirrored, size), matrix, cover)
    made.faces.append(points)


def _group(rng: Generator, people: People) -> Collage:
    """Rows of people of one size, the lower ones before the upper ones."""
    made = Collage(_things(rng, people))
    size = float(np.exp(rng.uniform(np.log(13), np.log(50))))
    step = size * np.array([rng.uniform(1.5, 2.4), rng.uniform(1.5, 2.6)])
    for y in np.arange(rng.uniform(0.2, 1.2) * size, SIDE, step[1]):
        for x in np.arange(rng.uniform(0, 1) * size, SIDE, step[0]):
            if rng.random() < 0.8 and len(made.faces) < 40:
                spot = np.array([x, y]) + rng.normal(size=2) * 0.15 * size
                _lay(rng, people, made, size * float(np.exp(rng.normal() * 0.06)), spot)
    return made


def _things(rng: Generator, people: People) -> UInt8[ndarray, "256 256 3"]:
    """Something without a face: a surface, what stands behind people, or clutter that reminds of faces."""
    kind = rng.random()
    if kind < 0.45:
        corner = people.bank.picture(int(rng.integers(len(people.bank))))[: SIZE // 4, : SIZE // 5]
        corner = np.ascontiguousarray(corner[:, ::-1] if rng.random() < 0.5 else corner)
        picture = cv2.resize(corner, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
    else:
        picture = surface(rng, SIDE)
    if rng.random() < 0.3:
        picture = clutter(rng, picture, int(rng.integers(1, 12)))
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 4))):
            picture = lookalike(rng, picture)
    return picture


def _spoiled(rng: Generator, made: Collage) -> Collage:
    """Hide every face, or turn all upside down: not faces any more."""
    if rng.random() < 0.3:
        return Collage(np.ascontiguousarray(made.picture[::-1]))
    picture = made.picture.copy()
    for points in made.faces:
        left, top, right, bottom = face_box(points)
        middle = (np.array([left + right, top + bottom]) / 2 + rng.uniform(-0.05, 0.05, 2) * (right - left)).astype(int)
        axes = (max(2, int((right - left) * 0.58)), max(2, int((bottom - top) * 0.58)))
        mask = np.zeros((SIDE, SIDE), np.uint8)
        cv2.ellipse(mask, (int(middle[0]), int(middle[1])), axes, 0, 0, 360, 255, -1)
        at = points[151].clip(0, SIDE - 1).astype(int)
        fill = picture[at[1], at[0]] if rng.random() < 0.6 else surface(rng, SIDE)[mask > 0]
        picture[mask > 0] = fill
    return Collage(picture)


def _letterboxed(rng: Generator, made: Collage) -> Collage:
    """Black below or right of the picture, as wide and tall ones come to the detector."""
    share = rng.uniform(0.4, 1)
    wide = bool(rng.random() < 0.5)
    matrix = np.array([[1, 0, 0], [0, share, 0]] if wide else [[share, 0, 0], [0, 1, 0]], np.float32)
    if rng.random() < 0.7:  # cut, not squeezed
        edge = int(share * SIDE)
        picture = made.picture.copy()
        picture[(slice(edge, None), slice(None)) if wide else (slice(None), slice(edge, None))] = 0
        return Collage(picture, made.faces, limit=(SIDE, edge) if wide else (edge, SIDE))
    if share < 0.8:
        return made
    limit = (SIDE, int(share * SIDE)) if wide else (int(share * SIDE), SIDE)
    return Collage(warp(made.picture, matrix, SIDE), [move(points, matrix) for points in made.faces], limit=limit)


def _sorted(made: Collage) -> Collage:
    """Set faces aside that are cut off or hidden by later ones or by the picture's edge, and those that are tiny."""
    limit, kept, boxes = np.array(made.limit), list[ndarray](), [face_box(points) for points in made.faces]
    for number, points in enumerate(made.faces):
        five, box, size = five_points(points), boxes[number], _size(points)
        covered = number + 1 < len(boxes) and _overlap(box, np.stack(boxes[number + 1 :])) > 0.12
        inside = ((points > -0.5) & (points < limit)).all(1).mean()
        if inside < 0.35 and not ((five > 0) & (five < limit)).all(1).any():
            continue
        if covered or size < SMALLEST or inside < 0.85 or not ((five > 1) & (five < limit - 1)).all():
            made.ignored.append(box)
        else:
            kept.append(points)
    made.faces = kept
    return made


def _overlap(box: Float32[ndarray, " 4"], others: Float32[ndarray, "k 4"]) -> float:
    """Return how much of a box the others cover, the one that covers most."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    return float(((high - low).clip(0).prod(1) / (box[2:] - box[:2]).prod()).max())


def assign(
    faces: list[ndarray], stride: int, smallest: float, largest: float, ignored: list[ndarray] | None = None
) -> Float32[ndarray, "15 h w"]:
    """Return the target of one grid, see `CollageBatch`.

    Args:
        faces: The landmarks of each in pixels.
        stride: Pixels a cell.
        smallest: Face in pixels that the grid answers for.
        largest: Face in pixels that the grid answers for.
        ignored: Boxes of what may be found or not.
    """
    cells = SIDE // stride
    y, x = np.mgrid[0:cells, 0:cells].astype(np.float32) * stride
    target = np.zeros((15, cells, cells), np.float32)
    for left, top, right, bottom in ignored or ():
        inside = (x > left - stride) & (x < right + stride) & (y > top - stride) & (y < bottom + stride)
        target[0][inside] = -1
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
