"""What light, cameras, printers and files do to a picture: how rendered people come to look like photographed ones.

A network that has seen clean pictures alone takes their cleanness for granted. Everything here is drawn at random and
far stronger than what a renderer's own camera does, so that photographs lie within what was seen.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from numpy.random import Generator

Picture = UInt8[ndarray, "h w 3"]

_RESIZING = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)


def photograph(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """Return a picture as it could have been photographed, printed or stored.

    Args:
        rng: Decides what happens.
        picture: RGB in 0..255.
        soft_px: Width of the largest detail, in pixels, that may be lost.
    """
    for chance, change in _STEPS:
        if rng.random() < chance:
            picture = change(rng, picture, soft_px)
    return picture


def _shine(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """Light from one side, a lamp, or the edge of a shadow."""
    height, width = picture.shape[:2]
    angle = rng.uniform(0, 2 * np.pi)
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    along = x * np.cos(angle) + y * np.sin(angle)
    kind = rng.random()
    if kind < 0.5:
        gain = np.exp(rng.uniform(0.1, 0.9) * along)
    elif kind < 0.75:
        cx, cy = rng.uniform(-0.8, 0.8, 2)
        gain = 0.6 + rng.uniform(0.3, 1.2) * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) * rng.uniform(1, 6))
    else:
        edge = np.clip((along - rng.uniform(-0.5, 0.5)) * np.exp(rng.uniform(1, 4)), -1, 1)
        gain = 1 + rng.uniform(0.15, 0.6) * edge
    return _bytes(picture * gain[..., None].astype(np.float32))


def _develop(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """Exposure, gamma, contrast and colour cast, as one curve a channel."""
    levels = np.linspace(0, 1, 256)[:, None]
    gamma = np.exp(rng.normal() * 0.3 + rng.normal(size=3) * 0.06)
    gain = np.exp(rng.normal() * 0.22 + rng.normal(size=3) * rng.choice([0.03, 0.18]))
    contrast, middle = np.exp(rng.normal() * 0.22), rng.uniform(0.35, 0.6)
    lift = rng.uniform(0, 0.18) if rng.random() < 0.25 else 0.0
    curve = ((levels**gamma * gain) - middle) * contrast + middle
    return cv2.LUT(picture, _bytes((lift + (1 - lift) * curve) * 255)[:, None])


def _saturate(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    grey = cv2.cvtColor(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    share = rng.uniform(0, 1.7)
    return cv2.addWeighted(picture, share, grey, 1 - share, 0)


def _monochrome(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """Grey as film of some sensitivity to colours has it, sometimes toned."""
    grey = picture.astype(np.float32) @ rng.dirichlet([3, 4, 2]).astype(np.float32)
    tone = np.array([1, 1, 1]) if rng.random() < 0.6 else 1 + rng.uniform(0, 0.25) * np.array([0.5, 0, -1])
    return _bytes(grey[..., None] * tone.astype(np.float32))


def _paint(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """Smooth without losing edges, as paint or a beauty filter does, or reduce the number of tones."""
    kind, side = rng.random(), 1 + 2 * int(np.clip(soft_px, 1, 3))
    if kind < 0.45:
        return cv2.medianBlur(picture, side)
    if kind < 0.85:
        return cv2.bilateralFilter(picture, 7, rng.uniform(20, 70), 1 + soft_px)
    step = int(rng.integers(12, 48))
    return (picture // step) * step + step // 2


def _defocus(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.25, 0.3 + 0.5 * soft_px))


def _shake(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    side = 2 * int(rng.integers(1, 2 + round(soft_px))) + 1
    kernel = np.zeros((side, side), np.float32)
    angle = rng.uniform(0, np.pi)
    offset = np.array([np.cos(angle), np.sin(angle)]) * side / 2
    middle = np.array([side // 2, side // 2])
    ends = [tuple(int(v) for v in np.round(middle + sign * offset)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(picture, -1, kernel / kernel.sum())


def _shrink(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """Fewer pixels, brought back to as many."""
    height, width = picture.shape[:2]
    factor = np.exp(rng.uniform(0, np.log(1 + soft_px)))
    size = (max(8, round(width / factor)), max(8, round(height / factor)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if rng.random() < 0.5:
        small = _file(rng, _grain(rng, small, soft_px) if rng.random() < 0.5 else small, soft_px)
    return cv2.resize(small, (width, height), interpolation=int(rng.choice(_RESIZING[1:3])))


def _sharpen(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    soft = cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.8, 2.5))
    share = rng.uniform(0.3, 1.5)
    return cv2.addWeighted(picture, 1 + share, soft, -share, 0)


def _grain(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """Noise: of each pixel or in blotches, coloured or not."""
    height, width = picture.shape[:2]
    size = 1 if rng.random() < 0.6 else rng.uniform(1, 3)
    shape = (int(height / size) + 1, int(width / size) + 1, 3 if rng.random() < 0.6 else 1)
    noise = (rng.standard_normal(shape, np.float32) * np.exp(rng.uniform(0, 3.1))).reshape(shape)
    if size > 1:
        noise = cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR).reshape(height, width, -1)
    return _bytes(picture + noise[:height, :width])


def _print(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """A half-tone screen, woven canvas, or the lines of a video picture."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(2.2, 2.5 + soft_px)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    screen = np.sin(u * 2 * np.pi / period) + (np.sin(v * 2 * np.pi / period) if rng.random() < 0.7 else 0)
    return _bytes(picture + rng.uniform(5, 35) * screen[..., None])


def _vignette(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    height, width = picture.shape[:2]
    cx, cy = rng.normal(size=2) * 0.15
    y, x = np.linspace(-1, 1, height)[:, None] - cy, np.linspace(-1, 1, width)[None] - cx
    shade = 1 - rng.uniform(0.2, 0.8) * np.clip((x**2 + y**2) / 2, 0, 1)
    return _bytes(picture * shade[..., None].astype(np.float32))


def _file(rng: Generator, picture: Picture, soft_px: float) -> Picture:
    """What a JPEG keeps."""
    quality = int(rng.integers(18 if soft_px > 1.5 else 45, 92))
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded


def _bytes(values: ndarray) -> UInt8[ndarray, "..."]:
    return np.clip(values, 0, 255).astype(np.uint8)


_STEPS: tuple[tuple[float, Callable[[Generator, Picture, float], Picture]], ...] = (
    (0.35, _shine),
    (0.8, _develop),
    (0.35, _saturate),
    (0.2, _monochrome),
    (0.1, _paint),
    (0.25, _defocus),
    (0.08, _shake),
    (0.35, _shrink),
    (0.12, _sharpen),
    (0.35, _grain),
    (0.04, _print),
    (0.12, _vignette),
    (0.35, _file),
)
"""Chance of each change, in the order in which they happen."""
