"""What is behind the person, painted like the blurred backgrounds of photographs, in linear light.

Each place is a function of a source of chance and of a grid of [0, 1] coordinates, y down; the lens's blur is drawn
for each picture, from nearly sharp to nothing but blobs.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from numpy.random import Generator

from .palette import WALLS

_SIZE = 288
Picture = Float32[ndarray, "h w 3"]


def paint_background(name: str, seed: int, size: int) -> Float32[ndarray, "size size 3"]:
    """Paint a wall of a colour or a place.

    Args:
        name: A colour of `palette.WALLS` or one of `palette.PLACES`.
        seed: Decides the details.
        size: Width and height in pixels.

    Returns:
        Linear light, 0 and above; the brightest parts (windows, lamps) exceed 1.
    """
    rng = np.random.default_rng([seed, 31])
    grid = np.mgrid[0:_SIZE, 0:_SIZE].astype(np.float32)[::-1] / _SIZE
    picture = _PLACES[name](rng, grid) if name in _PLACES else _wall(rng, grid, np.array(WALLS[name], np.float32))
    plain = name not in _PLACES
    sharpest = 2.5 if name in ("park", "night") else 1.0
    blur = float(np.exp(rng.uniform(np.log(sharpest), np.log(11.0))))
    picture = np.maximum(picture * (1 + (0.03 if plain else 0.10) * (0.7 * _pink(rng, 1) + 0.3 * _pink(rng, 3))), 0.002)
    picture = _defocus(picture.astype(np.float32), blur)
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    return np.ascontiguousarray(cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR), np.float32)


def _defocus(picture: Picture, radius: float) -> Picture:
    """Blur as a lens does: with a disc, so that lights become discs."""
    r = max(1, round(radius * 1.4))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * r + 1, 2 * r + 1)).astype(np.float32)
    blurred = cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT)
    return cv2.GaussianBlur(blurred, (0, 0), 0.5 + radius * 0.25)


def _pink(rng: Generator, channels: int) -> ndarray:
    octaves = (rng.normal(size=(s, s, channels)).astype(np.float32) / s**0.7 for s in (2, 4, 8, 16, 32, 64))
    total = sum(cv2.resize(o, (_SIZE, _SIZE), interpolation=cv2.INTER_CUBIC).reshape(_SIZE, _SIZE, -1) for o in octaves)
    return np.asarray(total, np.float32) * np.float32(0.6)


def _neutral(rng: Generator, low: float, high: float, chroma: float = 0.06) -> ndarray:
    """Draw a colour close to grey, warm rather than green or violet."""
    warmth, green = rng.normal() * chroma * 2, rng.normal() * chroma * 0.4
    tint = np.array([1 + warmth, 1 + green, 1 - warmth])
    return (np.exp(rng.uniform(np.log(low), np.log(high))) * tint).clip(0.003).astype(np.float32)


def _wall(rng: Generator, grid: ndarray, colour: ndarray) -> Picture:
    x, y = grid
    cx, cy = rng.uniform(-0.2, 1.2), rng.uniform(-0.3, 0.6)
    fall = np.exp(-((x - cx) ** 2 + (y - cy) ** 2) * rng.uniform(0.1, 1.2))
    shade = (0.45 + 0.75 * fall)[..., None]
    return colour * shade * (1 + 0.04 * _pink(rng, 1))


def _box(picture: Picture, rng: Generator, box: tuple[float, float, float, float], colour: ndarray) -> None:
    x0, y0, x1, y1 = (int(v * _SIZE) for v in box)
    picture[max(0, y0) : max(0, y1), max(0, x0) : max(0, x1)] = colour * rng.uniform(0.9, 1.1)


def _room(rng: Generator, grid: ndarray) -> Picture:
    x, _ = grid
    picture = _wall(rng, grid, _neutral(rng, 0.12, 0.7))
    corner = rng.uniform(0, 1)
    picture = np.where((x < corner)[..., None], picture, picture * rng.uniform(0.55, 0.9))
    floor = rng.uniform(0.7, 1.1)
    picture[int(floor * _SIZE) :] = _neutral(rng, 0.04, 0.3)
    for _ in range(rng.integers(1, 4)):  # pictures on the wall
        w, h, cx, cy = rng.uniform(0.08, 0.3), rng.uniform(0.1, 0.3), rng.random(), rng.uniform(0, 0.5)
        box = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
        _box(picture, rng, box, _neutral(rng, 0.01, 0.5))
        m = 0.015
        _box(picture, rng, (box[0] + m, box[1] + m, box[2] - m, box[3] - m), _neutral(rng, 0.05, 0.7, 0.15))
    for _ in range(rng.integers(0, 3)):  # furniture and a lamp
        cx, w, top = rng.random(), rng.uniform(0.15, 0.5), rng.uniform(0.5, 0.9)
        _box(picture, rng, (cx - w / 2, top, cx + w / 2, 1.0), _neutral(rng, 0.02, 0.4, 0.12))
    if rng.random() < 0.4:
        centre = (int(rng.random() * _SIZE), int(rng.uniform(0.1, 0.6) * _SIZE))
        cv2.circle(picture, centre, int(rng.uniform(8, 22)), (3.0, 2.4, 1.7), -1)
    return picture


def _office(rng: Generator, grid: ndarray) -> Picture:
    picture = _wall(rng, grid, _neutral(rng, 0.25, 0.7, 0.03))
    for k in range(rng.integers(2, 5)):  # glass and its frames
        x0 = rng.random() * 1.2 - 0.1
        w = rng.uniform(0.15, 0.35)
        _box(picture, rng, (x0, 0, x0 + w, rng.uniform(0.6, 1)), _neutral(rng, 0.2, 1.4, 0.05))
        _box(picture, rng, (x0 - 0.012, 0, x0 + 0.012, 1), _neutral(rng, 0.01, 0.2, 0.02))
        if k % 2:
            _box(picture, rng, (x0, 0.3, x0 + w, 0.33), _neutral(rng, 0.02, 0.3, 0.02))
    for _ in range(rng.integers(1, 5)):  # lamps on the ceiling, screens, chairs
        cx, cy = rng.random(), rng.uniform(0, 0.25)
        _box(picture, rng, (cx, cy, cx + rng.uniform(0.08, 0.25), cy + 0.03), np.array([2.4, 2.4, 2.3], np.float32))
        cx, cy = rng.random(), rng.uniform(0.6, 1)
        _box(picture, rng, (cx, cy, cx + rng.uniform(0.1, 0.3), 1), _neutral(rng, 0.008, 0.12, 0.05))
    return picture


def _bookshelf(rng: Generator, grid: ndarray) -> Picture:
    picture = np.ones((_SIZE, _SIZE, 3), np.float32) * _neutral(rng, 0.02, 0.2, 0.12)
    rows = int(rng.integers(3, 7))
    for row in range(rows):
        bottom, x = (row + 1) / rows - 0.02, 0.0
        while x < 1:
            w = rng.uniform(0.012, 0.05)
            if rng.random() < 0.88:
                top = bottom - rng.uniform(0.55, 0.88) / rows
                colour = _neutral(rng, 0.015, 0.6, 0.14) * rng.uniform(0.7, 1.3, 3)
                _box(picture, rng, (x, top, x + w * 0.93, bottom), colour.astype(np.float32))
            x += w
    return picture * (0.6 + 0.6 * np.exp(-((grid[0] - rng.random()) ** 2) * 2))[..., None]


def _window(rng: Generator, grid: ndarray) -> Picture:
    picture = _wall(rng, grid, _neutral(rng, 0.06, 0.35))
    x0, w, y1 = rng.uniform(-0.2, 0.7), rng.uniform(0.35, 0.8), rng.uniform(0.6, 1.1)
    _box(picture, rng, (x0, -0.1, x0 + w, y1), np.array([1.7, 1.85, 2.0], np.float32) * rng.uniform(0.5, 1.3))
    horizon = rng.uniform(0.3, 0.8) * y1
    _box(
        picture, rng, (x0, horizon, x0 + w, y1), _neutral(rng, 0.2, 0.7, 0.1) * np.array([0.95, 1.05, 0.9], np.float32)
    )
    for k in range(1, int(rng.integers(2, 4))):
        at = x0 + w * k / 3
        _box(picture, rng, (at - 0.01, -0.1, at + 0.01, y1), _neutral(rng, 0.2, 0.7, 0.02))
    _box(picture, rng, (x0, 0.3, x0 + w, 0.32), _neutral(rng, 0.2, 0.7, 0.02))
    return picture


def _discs(
    picture: Picture, rng: Generator, n: int, radius: tuple[float, float], colour: Callable[[], ndarray]
) -> None:
    for _ in range(n):
        centre = (int(rng.random() * _SIZE), int(rng.random() * _SIZE))
        r = max(1, int(rng.uniform(*radius)))
        cv2.ellipse(
            picture,
            centre,
            (r, max(1, int(r * rng.uniform(0.4, 1)))),
            rng.uniform(0, 180),
            0,
            360,
            colour().tolist(),
            -1,
        )


def _park(rng: Generator, grid: ndarray) -> Picture:
    leaf = (
        np.array([0.10, 0.14, 0.045])
        * rng.uniform(0.5, 1.6)
        * np.array([rng.uniform(0.9, 1.6), 1, rng.uniform(0.7, 1.4)])
    )
    picture = np.ones((_SIZE, _SIZE, 3), np.float32) * leaf.astype(np.float32) * 0.7
    sky = rng.uniform(-0.2, 0.4)
    picture[: max(0, int(sky * _SIZE))] = np.array([0.75, 0.9, 1.1]) * rng.uniform(0.6, 1.4)
    for _ in range(rng.integers(0, 5)):
        x = rng.random()
        _box(picture, rng, (x, 0, x + rng.uniform(0.01, 0.07), 1), _neutral(rng, 0.015, 0.07, 0.1))
    _discs(picture, rng, int(rng.integers(150, 500)), (2, 13), lambda: leaf * np.exp(rng.normal() * 0.8))
    _discs(picture, rng, int(rng.integers(5, 60)), (1, 6), lambda: np.array([0.9, 1.0, 0.8]) * rng.uniform(0.3, 1.4))
    ground = rng.uniform(0.65, 1.2)
    if ground < 1:
        rows = slice(int(ground * _SIZE), None)
        picture[rows] = 0.3 * picture[rows] + 0.7 * leaf.astype(np.float32) * rng.uniform(0.8, 2.2)
    return picture


def _street(rng: Generator, grid: ndarray) -> Picture:
    picture = (
        np.ones((_SIZE, _SIZE, 3), np.float32)
        * np.array([0.6, 0.66, 0.74], np.float32)
        * np.float32(rng.uniform(0.4, 1.3))
    )
    x = -0.1
    while x < 1.1:
        w, top, front = rng.uniform(0.12, 0.4), rng.uniform(-0.1, 0.45), _neutral(rng, 0.05, 0.5, 0.09)
        _box(picture, rng, (x, top, x + w, 1), front)
        step = rng.uniform(0.05, 0.1)
        for wx in np.arange(x + step / 3, x + w - step / 2, step):
            for wy in np.arange(max(top, -0.1) + step / 2, 0.8, step * 1.4):
                _box(picture, rng, (wx, wy, wx + step * 0.5, wy + step * 0.8), front * rng.uniform(0.15, 1.6))
        x += w
    _box(picture, rng, (0, rng.uniform(0.75, 1), 1, 1), _neutral(rng, 0.06, 0.3, 0.03))
    for _ in range(rng.integers(0, 6)):
        cx, cy, s = rng.random(), rng.uniform(0.65, 0.95), rng.uniform(0.05, 0.2)
        _box(picture, rng, (cx, cy, cx + s, cy + s * 0.6), _neutral(rng, 0.02, 0.6, 0.2))
    return picture


def _night(rng: Generator, grid: ndarray) -> Picture:
    picture = np.ones((_SIZE, _SIZE, 3), np.float32) * _neutral(rng, 0.006, 0.05, 0.08)
    lamps = np.array([[3.0, 2.2, 1.1], [2.6, 2.5, 2.3], [2.8, 0.5, 0.3], [0.6, 1.2, 2.6], [2.9, 1.6, 0.5]])
    _discs(picture, rng, int(rng.integers(25, 110)), (1, 4), lambda: lamps[rng.integers(0, 5)] * rng.uniform(0.2, 1.6))
    for _ in range(rng.integers(1, 5)):
        cx, cy = rng.random(), rng.uniform(0.2, 0.9)
        _box(
            picture,
            rng,
            (cx, cy, cx + rng.uniform(0.05, 0.3), cy + rng.uniform(0.05, 0.3)),
            _neutral(rng, 0.05, 0.6, 0.2),
        )
    return picture


def _brick(rng: Generator, grid: ndarray) -> Picture:
    colour = (
        np.array([0.23, 0.10, 0.065]) * rng.uniform(0.6, 1.3) if rng.random() < 0.6 else _neutral(rng, 0.2, 0.6, 0.05)
    )
    picture = np.ones((_SIZE, _SIZE, 3), np.float32) * _neutral(rng, 0.15, 0.5, 0.04)
    h = rng.uniform(0.035, 0.07)
    for row in range(int(1 / h) + 1):
        for x in np.arange(-(row % 2) * h * 1.25, 1.05, h * 2.5):
            shade = (colour * np.exp(rng.normal() * 0.22)).astype(np.float32)
            _box(picture, rng, (x + 0.004, row * h + 0.004, x + h * 2.5 - 0.004, (row + 1) * h - 0.004), shade)
    return picture * (0.5 + 0.7 * np.exp(-((grid[0] - rng.uniform(-0.2, 1.2)) ** 2)))[..., None]


def _curtain(rng: Generator, grid: ndarray) -> Picture:
    x, y = grid
    bend = x * rng.uniform(4, 14) + 0.25 * np.sin(y * 2 + rng.uniform(0, 6)) + 0.15 * _pink(rng, 1)[..., 0]
    folds = 0.55 + 0.3 * np.sin(bend * 6.283) + 0.2 * np.sin(bend * 15.1 + 1)
    return _neutral(rng, 0.05, 0.6, 0.12) * np.maximum(folds, 0.1)[..., None].astype(np.float32)


_PLACES: dict[str, Callable[[Generator, ndarray], Picture]] = {
    "room": _room,
    "office": _office,
    "bookshelf": _bookshelf,
    "window": _window,
    "park": _park,
    "street": _street,
    "night": _night,
    "brick wall": _brick,
    "curtain": _curtain,
}
