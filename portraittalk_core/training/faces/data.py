"""Pictures for the face networks: an album of rendered people, and the crops and collages cut from it.

Every batch is a function of (seed, step), so an interrupted training resumes with the very batches it would have
seen.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt8

log = logging.getLogger(__name__)

SIDE = 256
"""Side of an album picture, pixels."""

PEOPLE_A_CHUNK = 16

ARCFACE_POINTS = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]], np.float32
)
"""Where ArcFace wants eyes, nose tip and mouth corners in its 112x112 crop (deepinsight/insightface, face_align)."""

MIRROR = np.array(
    [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31]
    + [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    + [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65, 69, 68]
)
"""The landmark that each of the 70 becomes in a mirrored picture."""

Draw = Callable[[int, int, int], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""(seed, people, views) -> pictures uint8 [people * views, 256, 256, 3] RGB, landmarks [people * views, 70, 2], and
the traits that make each person, [people, k]."""


@dataclass(frozen=True)
class Album:
    """Rendered people on disk."""

    chunks: list[np.ndarray]
    """Pictures uint8, RGB; each chunk is mapped into memory and holds `PEOPLE_A_CHUNK` people."""

    points: Float32[np.ndarray, "n 70 2"]
    """Exact landmarks in [-1, 1]."""

    traits: Float32[np.ndarray, "people k"]
    """What makes each person."""

    views: int
    """Pictures of each person, the first two alike but for expression, pose and light."""

    @property
    def people(self) -> int:
        """How many people there are."""
        return len(self.points) // self.views

    def picture(self, i: int) -> UInt8[np.ndarray, "256 256 3"]:
        """Return a picture, RGB in 0..255.

        Args:
            i: Its number.
        """
        size = PEOPLE_A_CHUNK * self.views
        return np.asarray(self.chunks[i // size][i % size])

    def pixels(self, i: int) -> Float32[np.ndarray, "70 2"]:
        """Return landmarks as OpenCV counts pixels: the centre of the first one is (0, 0).

        Args:
            i: The picture's number.
        """
        return (self.points[i] + 1) * (SIDE / 2) - 0.5


def open_album(directory: Path, *, seed: int, people: int, views: int, draw: Draw) -> Album:
    """Open an album, drawing what is missing.

    Args:
        directory: Where it lies.
        seed: Of the people.
        people: A multiple of 16.
        views: Pictures of each.
        draw: Draws people that are missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    chunks, points, traits = [], [], []
    for k in range(people // PEOPLE_A_CHUNK):
        file, facts = directory / f"{seed}-{k:04d}.npy", directory / f"{seed}-{k:04d}.npz"
        if not file.exists():
            frames, landmarks, person = draw(seed * 100_003 + k, PEOPLE_A_CHUNK, views)
            np.savez(facts, points=landmarks, traits=person)
            partial = file.with_suffix(".part.npy")
            np.save(partial, frames)
            partial.replace(file)
            log.info("album %s: drew %d of %d people", directory.name, (k + 1) * PEOPLE_A_CHUNK, people)
        chunks.append(np.load(file, mmap_mode="r"))
        with np.load(facts) as known:
            points.append(known["points"])
            traits.append(known["traits"])
    return Album(chunks, np.concatenate(points), np.concatenate(traits), views)


def face_box(points: Float32[np.ndarray, "70 2"]) -> Float32[np.ndarray, " 4"]:
    """Return left, top, right, bottom around the 68 landmarks, with a fifth of their height more of forehead.

    Our definition: the landmark crop is 1.5 times the box, so a tight box means more pixels a landmark.

    Args:
        points: The landmarks, in any unit, which is the box's.
    """
    low, high = points[:68].min(0), points[:68].max(0)
    return np.array([low[0], low[1] - 0.2 * (high[1] - low[1]), high[0], high[1]], np.float32)


def five_points(points: Float32[np.ndarray, "70 2"]) -> Float32[np.ndarray, "5 2"]:
    """Return the key points that ArcFace aligns with: eye centres, nose tip, mouth corners.

    Args:
        points: The landmarks, in any unit.
    """
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])


def similarity(source: Float32[np.ndarray, "k 2"], target: Float32[np.ndarray, "k 2"]) -> np.ndarray:
    """Return the 2x3 matrix of the similarity that takes one set of points to another with least squared error.

    Args:
        source: Points to be moved.
        target: Where they should be.
    """
    a, b = (p[:, 0] + 1j * p[:, 1] for p in (source, target))
    turn = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean())
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], np.float32)


def move(points: Float32[np.ndarray, "k 2"], matrix: np.ndarray) -> Float32[np.ndarray, "k 2"]:
    """Apply an affine matrix to points.

    Args:
        points: In any unit.
        matrix: 2x3.
    """
    return points @ matrix[:, :2].T + matrix[:, 2]


def warp(picture: np.ndarray, matrix: np.ndarray, size: int, border: int | None = None) -> np.ndarray:
    """Cut a square out of a picture as insightface does: bilinear.

    Args:
        picture: [h, w, 3].
        matrix: 2x3, from the picture to the square, in pixels.
        size: Side of the square in pixels.
        border: OpenCV's border mode; None is black beyond the edge.
    """
    import cv2

    return cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT if border is None else border)


def weather(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Degrade a picture lightly: resolution, JPEG, gain and colour, noise, gray.

    Args:
        rng: That decides how.
        picture: In 0..255.
    """
    import cv2

    side = picture.shape[0]
    if rng.random() < 0.25:
        small = max(16, int(side * rng.uniform(0.35, 0.9)))
        picture = cv2.resize(cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if rng.random() < 0.3:
        quality = int(rng.integers(30, 96))
        encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        picture = np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))
    if rng.random() < 0.04:
        picture = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    out = picture.astype(np.float32)
    if rng.random() < 0.6:
        out = (out - 128) * rng.uniform(0.75, 1.25) + 128 + rng.uniform(-25, 25) + rng.uniform(-12, 12, 3)
    if rng.random() < 0.4:
        out = out + rng.normal(0, rng.uniform(1, 10), out.shape).astype(np.float32)
    return np.clip(out, 0, 255).astype(np.float32)


def to_net(pictures: list[np.ndarray]) -> Float32[np.ndarray, "b 3 h w"]:
    """Stack pictures of 0..255 as channels-first values in [-1, 1].

    Args:
        pictures: [h, w, 3] each.
    """
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2), np.float32) / 127.5 - 1


def landmark_batch(album: Album, seed: int, step: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw crops with jittered boxes, mirrored half the time.

    Args:
        album: From which faces are taken.
        seed: Of the run.
        step: Decides, with the seed, what is drawn.
        size: Crops.

    Returns:
        Crops [b, 3, 192, 192] in [-1, 1], and their landmarks in [-1, 1].
    """
    rng = np.random.default_rng([seed, 1, step])
    crops, targets = [], []
    for i in rng.integers(0, len(album.points), size):
        points = album.pixels(i)
        left, top, right, bottom = face_box(points)
        side = max(right - left, bottom - top) * 1.5 * rng.uniform(0.85, 1.18)
        centre = np.array([left + right, top + bottom]) / 2 + rng.uniform(-0.08, 0.08, 2) * side / 1.5
        crop, moved = _turned_crop(rng, album.picture(i), points, centre, 192 / side, 192)
        crops.append(weather(rng, crop) if rng.random() < 0.6 else crop.astype(np.float32))
        targets.append(moved / 96 - 1)
    return to_net(crops), np.stack(targets).astype(np.float32)


def _turned_crop(
    rng: np.random.Generator, picture: np.ndarray, points: np.ndarray, centre: np.ndarray, scale: float, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Scale about `centre`, turn a little, mirror half the time."""
    angle = rng.normal(0, 0.08)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.concatenate([turn, (size / 2 - turn @ centre)[:, None]], 1)
    crop = warp(picture, matrix, size, 1 if rng.random() < 0.3 else None)
    moved = move(points, matrix)
    if rng.random() < 0.5:
        crop, moved = crop[:, ::-1], moved[MIRROR] * [-1, 1] + [size - 1, 0]
    return np.ascontiguousarray(crop), moved


def aligned(album: Album, i: int, rng: np.random.Generator | None) -> np.ndarray:
    """Return a picture aligned for the recogniser, [112, 112, 3] in 0..255.

    Args:
        album: Of the picture.
        i: Its number.
        rng: Aligns as an imprecise detector would, and degrades; None does neither.
    """
    points = five_points(album.pixels(i))
    if rng is None:
        return warp(album.picture(i), similarity(points, ARCFACE_POINTS), 112).astype(np.float32)
    scale = np.ptp(points[:, 1]) / 40
    points = points + rng.normal(0, 1.1, (5, 2)) * scale + rng.normal(0, 0.9, 2) * scale
    crop = warp(album.picture(i), similarity(points.astype(np.float32), ARCFACE_POINTS), 112)
    return weather(rng, crop) if rng.random() < 0.5 else crop.astype(np.float32)


def lookalikes(rng: np.random.Generator, traits: Float32[np.ndarray, "people k"], count: int) -> np.ndarray:
    """Choose different people, most of them in groups of eight who are like each other.

    Among people drawn at random, skin and eye colour tell nearly all apart; lookalikes ask for more.

    Args:
        rng: That decides whom.
        traits: Of all people, standardised.
        count: How many are chosen.
    """
    pool = rng.permutation(len(traits))
    chosen = list(pool[: count // 4])
    while len(chosen) < count:
        rest = np.setdiff1d(pool[: max(2 * count, len(pool) // 2)], chosen)
        near = np.square(traits[rest] - traits[rng.choice(rest)]).sum(1).argsort()[:8]
        chosen += list(rest[near])
    return np.array(chosen[:count])


def recogniser_batch(album: Album, seed: int, step: int, people: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw two pictures of each of some people.

    Args:
        album: From which they are taken.
        seed: Of the run.
        step: Decides, with the seed, what is drawn.
        people: How many.

    Returns:
        Crops [2 * people, 3, 112, 112] in [-1, 1], all first ones before all second ones, and the traits
        [people, k] scaled to zero mean and unit deviation.
    """
    rng = np.random.default_rng([seed, 2, step])
    traits = (album.traits - album.traits.mean(0)) / (album.traits.std(0) + 1e-6)
    chosen = lookalikes(rng, traits, people)
    pairs = [rng.choice(album.views, 2, replace=False) for _ in chosen]
    crops = []
    for k in (0, 1):
        for person, pair in zip(chosen, pairs):
            crop = aligned(album, person * album.views + pair[k], rng)
            crops.append(crop[:, ::-1] if rng.random() < 0.3 else crop)
    return to_net(crops), traits[chosen].astype(np.float32)
