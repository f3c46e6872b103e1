"""Augmentation for face parsing: other colours, patterns, fringes, arms, places and shade.

Rendered people have none of them, or seldom; photographs do. Pictures are RGB in 0..255, segments say of each cell to
which of `topology.SEGMENTS` it belongs.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy import ndarray

from ...topology import SEGMENTS
from ..people.bank import MAP_SIZE, SIZE

_BACKGROUND, _SKIN, _HAIR, _CLOTHES, _ACCESSORY = (
    SEGMENTS.index(name) for name in ("background", "skin", "hair", "clothes", "accessory")
)
_FOREHEAD = (162, 21, 54, 103, 67, 109, 10, 338, 297, 332, 284, 251, 389)
"""Points along its upper edge, from temple to temple."""
_ENDS_FAINT = 0.35
"""How much of the hair's light and dark a lock has along it."""


def dyed(rng: np.random.Generator, picture: ndarray, segments: ndarray, segment: int) -> ndarray:
    """Give hair or clothes another colour, so that neither is known by it.

    Args:
        rng: The source of chance.
        picture: A portrait.
        segments: Of its cells.
        segment: Which of them.
    """
    share = _large((segments == segment).astype(np.float32))[..., None]
    if share.max() == 0:
        return picture
    values = picture.astype(np.float32)
    mean = (values * share).sum((0, 1)) / share.sum()
    if segment != _HAIR:
        colour = rng.uniform(10, 245, 3)
    elif rng.random() < 0.4 and (skin := segments == _SKIN).any():  # as blond hair nearly is
        sure = _large(skin.astype(np.float32)) > 0.9
        colour = values[sure].mean(0) * rng.uniform(0.5, 1.1) * rng.uniform(0.9, 1.1, 3)
    else:
        colour = rng.uniform(15, 230) * rng.uniform(0.6, 1.1, 3)
    other = np.clip((values - mean) * rng.uniform(0.6, 1.4) + colour, 0, 255)
    return (values + share * (other - values)).astype(np.uint8)


def slipped(rng: np.random.Generator, picture: ndarray, segments: ndarray) -> tuple[ndarray, ndarray]:
    """Lay the hair over the head once more, moved: rendered people seldom have a fringe.

    Args:
        rng: The source of chance.
        picture: A portrait.
        segments: Of its cells.

    Returns:
        Both with that hair.
    """
    hair = (segments == _HAIR).astype(np.float32)
    if not hair.any():
        return picture, segments
    down, aside = np.nonzero(hair)
    middle = np.array([aside.mean(), down.mean()])
    scale = rng.uniform((0.85, 0.85), (1.2, 1.45)) * [rng.choice((-1, 1)), 1]
    shift = middle + [rng.normal(0, 0.04) * MAP_SIZE, rng.uniform(-0.02, 0.16) * MAP_SIZE]
    matrix = np.array([[scale[0], 0, shift[0] - scale[0] * middle[0]], [0, scale[1], shift[1] - scale[1] * middle[1]]])
    moved = cv2.warpAffine(hair, matrix, (MAP_SIZE, MAP_SIZE)) > 0.5
    ratio = SIZE / MAP_SIZE
    half = np.full(2, 0.5 * (1 - ratio))  # pixels and cells are counted from their middles
    matrix[:, 2] = ratio * matrix[:, 2] + matrix[:, :2] @ half - half
    layer = cv2.warpAffine(np.ascontiguousarray(picture), matrix, (SIZE, SIZE), borderMode=cv2.BORDER_REPLICATE)
    share = _large(moved.astype(np.float32))[..., None]
    return (picture + share * (layer.astype(np.float32) - picture)).astype(np.uint8), np.where(moved, _HAIR, segments)


def with_fringe(
    rng: np.random.Generator, picture: ndarray, points: ndarray, segments: ndarray
) -> tuple[ndarray, ndarray]:
    """Let locks fall over the forehead: whole fringes, swept ones, and a few strands.

    Args:
        rng: The source of chance.
        picture: A portrait.
        points: Of the face, in [-1, 1].
        segments: Of its cells.

    Returns:
        Picture and segments with the locks.
    """
    hair = picture[:: SIZE // MAP_SIZE, :: SIZE // MAP_SIZE][segments == _HAIR]
    colour = np.median(hair, 0) if len(hair) > 100 else rng.uniform(10, 220) * rng.uniform(0.6, 1.1, 3)
    pixels = (points + 1) * SIZE / 2
    high = np.linalg.norm(pixels[168] - pixels[10])
    edge, middle = pixels[list(_FOREHEAD)], pixels[168]
    down = (pixels[152] - pixels[10]) / max(np.linalg.norm(pixels[152] - pixels[10]), 1e-6)
    aside = np.array([-down[1], down[0]])
    length, sweep = rng.uniform(0.35, 1.1) * high, rng.normal(0, 0.5) * high
    first, last = (0.0, 1.0) if rng.random() < 0.6 else sorted(rng.uniform(0, 1, 2))
    parting = rng.uniform(0, 1) if rng.random() < 0.4 else -1.0  # from which locks fall to both sides
    layer, mask = picture.copy(), np.zeros((SIZE, SIZE), np.uint8)
    for at in rng.uniform(first, last, int(rng.integers(12, 300))):
        k = at * (len(edge) - 1)
        start = edge[int(k)] + (k % 1) * (edge[min(int(k) + 1, len(edge) - 1)] - edge[int(k)])
        start = start + (start - middle) * rng.uniform(0.0, 0.3)
        side = abs(sweep) * np.sign(parting - at) if parting >= 0 else sweep
        way = down * length * rng.uniform(0.6, 1.2) + aside * (side + rng.normal(0, 0.08) * high)
        bend = aside * rng.normal(0, 0.1) * high
        share = np.linspace(0, 1, 12)[:, None]
        line = start + share * way + 4 * share * (1 - share) * bend
        width = max(1, round(rng.uniform(0.01, 0.07) * high))
        light = rng.uniform(0.65, 1.45)
        for k in range(len(line) - 1):
            (x, y), (right, down_to) = (16 * line[k : k + 2]).astype(int).tolist()
            shade = np.clip(colour * light * (1 + _ENDS_FAINT * (k / len(line) - 0.5)), 0, 255)
            cv2.line(layer, (x, y), (right, down_to), shade.tolist(), width, cv2.LINE_AA, 4)
            cv2.line(mask, (x, y), (right, down_to), (255,), width, cv2.LINE_AA, 4)
    layer = cv2.GaussianBlur(layer, (0, 0), rng.uniform(0.4, 1.2))
    soft = cv2.GaussianBlur(mask, (0, 0), 0.8)[..., None].astype(np.float32) / 255
    made = (picture + soft * (layer.astype(np.float32) - picture)).astype(np.uint8)
    return made, np.where(cv2.resize(mask, (MAP_SIZE, MAP_SIZE), interpolation=cv2.INTER_AREA) > 127, _HAIR, segments)


def before_place(picture: ndarray, segments: ndarray, place: ndarray) -> ndarray:
    """Put somebody before another place.

    Args:
        picture: A portrait.
        segments: Of its cells.
        place: As large.
    """
    share = _large((segments != _BACKGROUND).astype(np.float32))[..., None]
    return (place + share * (picture.astype(np.float32) - place)).astype(np.uint8)


def patterned(picture: ndarray, segments: ndarray, pattern: ndarray) -> ndarray:
    """Print a picture on clothes; their folds stay.

    Args:
        picture: A portrait.
        segments: Of its cells.
        pattern: What is printed.
    """
    share = _large((segments == _CLOTHES).astype(np.float32))[..., None]
    if share.max() == 0:
        return picture
    values = picture.astype(np.float32)
    light = values.mean(2, keepdims=True)
    mean = (light * share).sum() / share.sum()
    printed = np.clip(pattern * (light + 8) / (mean + 8), 0, 255)
    return (values + share * (printed - values)).astype(np.uint8)


def wall_alike(rng: np.random.Generator, picture: ndarray, segments: ndarray) -> ndarray:
    """Return a wall that is lit from one side, as light as hair or clothes are.

    Args:
        rng: The source of chance.
        picture: A portrait.
        segments: Of its cells.
    """
    like = segments == (_HAIR if rng.random() < 0.4 else _CLOTHES)
    if not like.any():
        like = segments == _SKIN
    colour = (
        picture[:: SIZE // MAP_SIZE, :: SIZE // MAP_SIZE][like].mean(0) * rng.uniform(0.7, 1.3) + rng.normal(size=3) * 6
    )
    down, aside = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    light = 1 + rng.uniform(-0.4, 0.4) * down + rng.uniform(-0.4, 0.4) * aside
    grain = cv2.GaussianBlur(rng.normal(size=(SIZE, SIZE)).astype(np.float32), (0, 0), rng.uniform(0.6, 6))
    light = light + grain / grain.std() * rng.uniform(0, 0.15)
    return np.clip(light[..., None] * colour, 0, 255).astype(np.float32)


def with_arm(rng: np.random.Generator, picture: ndarray, segments: ndarray) -> tuple[ndarray, ndarray]:
    """Lay a bare arm, or one in a sleeve, before the person; its hand is near the head.

    Args:
        rng: The source of chance.
        picture: A portrait.
        segments: Of its cells.

    Returns:
        Both with the arm.
    """
    skin = picture[:: SIZE // MAP_SIZE, :: SIZE // MAP_SIZE][segments == _SKIN]
    if len(skin) < 20:
        return picture, segments
    colour = np.median(skin, 0) * rng.uniform(0.85, 1.15)
    side = rng.choice((-1, 1))
    hand = np.array([0.5 + side * rng.uniform(0.08, 0.3), rng.uniform(0.6, 0.85)]) * SIZE
    elbow = np.array([0.5 + side * rng.uniform(0.0, 0.6), rng.uniform(1.0, 1.2)]) * SIZE
    width = rng.uniform(0.07, 0.13) * SIZE
    along = (hand - elbow) / np.linalg.norm(hand - elbow)
    limbs = [(elbow, hand, width), (hand, hand + along * width * 0.4, 1.25 * width)]
    spread = rng.uniform(0.08, 0.35)
    for finger in range(4):
        angle = (finger - 1.5) * spread
        way = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) @ along
        limbs.append((hand, hand + way * width * rng.uniform(1.4, 2.2), width * 0.3))
    values, found = picture.astype(np.float32), segments.copy()
    sleeve = rng.uniform(0.2, 0.8) if rng.random() < 0.5 else 0.0
    cloth = rng.uniform(10, 245, 3)
    down, aside = np.mgrid[:SIZE, :SIZE]
    here = np.stack([aside, down], 2)
    light = rng.uniform(-1, 1)
    for start, end, thick in limbs:
        axis = end - start
        share = np.clip(((here - start) @ axis) / max(axis @ axis, 1e-6), 0, 1)
        away = here - (start + share[..., None] * axis)
        across = (away @ np.array([-axis[1], axis[0]])) / max(np.linalg.norm(axis), 1e-6) / (thick / 2)
        inside = np.linalg.norm(away, axis=2) < thick / 2
        round_ = np.sqrt(np.clip(1 - across**2, 0, 1))
        lit = 0.45 + 0.5 * round_ + 0.25 * light * across
        sleeved = (share < sleeve) & (thick == width)
        drawn = np.where(sleeved[..., None], cloth, colour) * lit[..., None]
        soft = cv2.GaussianBlur(inside.astype(np.float32), (0, 0), 0.8)[..., None]
        values = values + soft * (drawn - values)
        cells = slice(SIZE // MAP_SIZE // 2, None, SIZE // MAP_SIZE)
        found = np.where(inside[cells, cells], np.where(sleeved[cells, cells], _CLOTHES, _SKIN), found)
    return np.clip(values, 0, 255).astype(np.uint8), found.astype(segments.dtype)


def shaded(rng: np.random.Generator, picture: ndarray) -> ndarray:
    """Let the light fall off to one side.

    Args:
        rng: The source of chance.
        picture: A portrait.
    """
    angle = rng.uniform(0, 2 * np.pi)
    down, aside = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    along = np.cos(angle) * aside + np.sin(angle) * down
    edge, width = rng.uniform(-0.4, 0.6), rng.uniform(0.15, 1.0)
    dark = rng.uniform(0.2, 0.7)
    light = dark + (1 - dark) / (1 + np.exp((along - edge) / (width / 4)))
    return (picture * light[..., None]).astype(np.uint8)


def _large(share: ndarray) -> ndarray:
    return cv2.resize(share, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)


def cut_place(rng: np.random.Generator, place: ndarray) -> ndarray:
    """Cut a square out of a place, often out of focus.

    Args:
        rng: The source of chance.
        place: A picture.
    """
    side = int(rng.uniform(0.3, 1.0) * min(place.shape[:2]))
    top, left = (int(rng.integers(0, length - side + 1)) for length in place.shape[:2])
    cut = cv2.resize(place[top : top + side, left : left + side], (SIZE, SIZE), interpolation=cv2.INTER_AREA)
    return cv2.GaussianBlur(cut, (0, 0), rng.uniform(0.5, 6)) if rng.random() < 0.5 else cut
