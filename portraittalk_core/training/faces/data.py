"""Crops of rendered people for the landmark network and the recogniser.

Every batch is a function of (seed, step), so an interrupted training resumes with the very batches it would have
seen.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from numpy.random import Generator

from ... import topology
from ...perception.face_geometry import ARCFACE_POINTS, MARGIN, face_box, five_points, similarity
from ...perception.face_nets import LANDMARK_SIZE, RECOGNISER_SIZE
from .people import People
from .photography import photograph
from .reshaping import bend
from .surfaces import occlude, overgrow, surface

MIRROR = np.array(topology.MIRROR)
"""The landmark that each of the 478 becomes in a mirrored picture."""


def warp(picture: ndarray, matrix: ndarray, size: int, border: int | None = None) -> ndarray:
    """Cut a square out of a picture as insightface does: bilinear.

    Args:
        picture: [h, w, 3].
        matrix: 2x3, from the picture to the square, in pixels.
        size: Side of the square in pixels.
        border: OpenCV's border mode; None is black beyond the edge.
    """
    return cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT if border is None else border)


def to_net(pictures: list[ndarray]) -> Float32[ndarray, "b 3 h w"]:
    """Stack pictures of 0..255 as channels-first values in [-1, 1].

    Args:
        pictures: [h, w, 3] each.
    """
    return np.ascontiguousarray(np.stack(pictures).transpose(0, 3, 1, 2), np.float32) / 127.5 - 1


def landmark_batch(people: People, seed: int, step: int, size: int) -> tuple[ndarray, ndarray]:
    """Draw crops around faces as a detector, or a first look, places them, mirrored half the time.

    Args:
        people: Whose faces.
        seed: Of the run.
        step: Decides, with the seed, what is drawn.
        size: Crops.

    Returns:
        Crops [b, 3, 192, 192] in [-1, 1], and their landmarks [b, 478, 2] in [-1, 1].
    """
    rng = np.random.default_rng([seed, 1, step])
    made = [landmark_crop(rng, people, int(i)) for i in rng.choice(len(people.bank), size, p=people.turned_first)]
    return to_net([crop for crop, _ in made]), np.stack([points for _, points in made])


def landmark_crop(rng: Generator, people: People, i: int) -> tuple[ndarray, Float32[ndarray, "478 2"]]:
    """Cut one face out of its picture, and change it as photographs differ from renderings.

    Args:
        rng: Decides how.
        people: Whose faces.
        i: The picture's number.

    Returns:
        The crop [192, 192, 3] in 0..255, and its landmarks in [-1, 1].
    """
    side, points = LANDMARK_SIZE, people.pixels(i)
    left, top, right, bottom = face_box(points)
    width = max(right - left, bottom - top) * MARGIN * float(np.exp(rng.uniform(-0.28, 0.2)))
    centre = np.array([left + right, top + bottom]) / 2 + np.clip(rng.normal(size=2) * 0.05, -0.15, 0.15) * width
    angle = np.radians(rng.uniform(-60, 60) if rng.random() < 0.15 else rng.normal() * 13)
    # Faces are narrower and wider, and lean more, than a renderer draws them.
    shape = np.diag(np.exp(rng.normal(size=2) * [0.06, 0.03])) + [[0, rng.normal() * 0.05], [0, 0]]
    turn = side / width * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ shape
    matrix = np.eye(3)
    matrix[:2] = np.concatenate([turn, -(turn @ centre)[:, None]], 1)
    tilted = np.array([[1, 0, side / 2], [0, 1, side / 2], [0, 0, 1]]) @ _tilt(rng, side) @ matrix
    border = int(rng.choice([cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE]))
    crop = cv2.warpPerspective(people.bank.picture(i), tilted, (side, side), borderMode=border)
    moved = cv2.perspectiveTransform(points[None].astype(np.float64), tilted)[0]
    if rng.random() < 0.5:
        crop, moved = np.ascontiguousarray(crop[:, ::-1]), moved[MIRROR] * [-1, 1] + [side - 1, 0]
    if rng.random() < 0.7:
        crop, moved = bend(rng, crop, moved)
    if rng.random() < 0.12:
        crop = overgrow(rng, crop, moved.astype(np.float32))
    if rng.random() < 0.35:
        crop = occlude(rng, crop, moved.astype(np.float32))
    crop = photograph(rng, crop, soft_px=float(rng.choice([0.5, 1.5, 3.0, 5.0])))
    if rng.random() < 0.12:
        crop = _cut_off(rng, crop)
    return crop, ((moved + 0.5) / (side / 2) - 1).astype(np.float32)


def _tilt(rng: Generator, side: int) -> ndarray:
    """Return a homography about the origin that makes one side of a face smaller, as turned heads have it."""
    tilt = np.eye(3)
    tilt[2, :2] = np.clip(rng.normal(size=2) * [0.14, 0.07], -0.4, 0.4) / side
    return tilt


def _cut_off(rng: Generator, crop: ndarray) -> ndarray:
    """Let the picture end inside the crop."""
    crop, side = crop.copy(), crop.shape[0]
    edge = int(rng.uniform(0.02, 0.28) * side)
    fill = 0 if rng.random() < 0.6 else rng.integers(0, 256, 3) if rng.random() < 0.6 else surface(rng, side)[:edge]
    turned = np.rot90(crop, int(rng.integers(4)))
    turned[:edge] = fill
    return crop


def aligned(people: People, i: int, rng: Generator | None) -> ndarray:
    """Return a picture aligned for the recogniser, [112, 112, 3] in 0..255.

    Args:
        people: Whose faces.
        i: The picture's number.
        rng: Aligns as an imprecise detector would, and photographs anew; None does neither.
    """
    points = five_points(people.pixels(i))
    if rng is None:
        return warp(people.bank.picture(i), similarity(points, ARCFACE_POINTS), RECOGNISER_SIZE)
    scale = np.ptp(points[:, 1]) / 40
    points = points + rng.normal(size=(5, 2)) * 0.8 * scale + rng.normal(size=2) * 0.6 * scale
    matrix = similarity(points.astype(np.float32), ARCFACE_POINTS)
    picture = people.bank.picture(i)
    if rng.random() < 0.2:
        picture = occlude(rng, picture.copy(), people.pixels(i))
    crop = warp(picture, matrix, RECOGNISER_SIZE)
    return photograph(rng, crop, soft_px=float(rng.choice([0.5, 1.0, 2.0])))


def lookalikes(rng: Generator, traits: Float32[ndarray, "people k"], count: int) -> ndarray:
    """Choose different people, most of them in groups of eight who are like each other.

    Among people drawn at random, skin and eye colour tell nearly all apart; lookalikes ask for more.

    Args:
        rng: That decides whom.
        traits: Of all people, standardised.
        count: How many are chosen.
    """
    pool = rng.permutation(len(traits))
    taken = list(pool[: count // 4])
    while len(taken) < count:
        rest = np.setdiff1d(pool[: max(2 * count, len(pool) // 2)], taken)
        near = np.square(traits[rest] - traits[rng.choice(rest)]).sum(1).argsort()[:8]
        taken += list(rest[near])
    return np.array(taken[:count])


def recogniser_batch(people: People, seed: int, step: int, count: int) -> tuple[ndarray, ndarray]:
    """Draw two pictures of each of some people, most often of two appearances.

    Args:
        people: From whom they are taken.
        seed: Of the run.
        step: Decides, with the seed, what is drawn.
        count: How many people.

    Returns:
        Crops [2 * count, 3, 112, 112] in [-1, 1], all first ones before all second ones, and the standardised traits
        [count, k].
    """
    rng = np.random.default_rng([seed, 2, step])
    who = lookalikes(rng, people.bank.traits, count)
    pairs = [_pair(rng, people, int(person)) for person in who]
    crops: list[ndarray] = []
    for k in (0, 1):
        for pair in pairs:
            crop = aligned(people, pair[k], rng)
            crops.append(crop[:, ::-1] if rng.random() < 0.3 else crop)
    return to_net(crops), people.bank.traits[who].astype(np.float32)


def _pair(rng: Generator, people: People, person: int) -> tuple[int, int]:
    """Choose two pictures; those that differ in what is worn or in light teach the most."""
    rows = np.array(people.rows(person))
    kinds = people.bank.appearance[rows]
    present = np.unique(kinds)
    first, second = (rng.choice(present, 2, replace=False) if len(present) > 1 else present.repeat(2))[:2]
    if rng.random() < 0.15:
        second = first
    one = int(rng.choice(rows[kinds == first]))
    others = rows[(kinds == second) & (rows != one)]
    return one, int(rng.choice(others)) if len(others) else one
