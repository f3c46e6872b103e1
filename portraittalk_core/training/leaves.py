"""Pictures with the statistics of photographs but without a subject: dead leaves.

Discs and polygons of random size cover one another; sizes follow a power law, as objects before a camera do, which
gives the edges and the spectrum of natural pictures (Lee, Mumford & Huang 2001). Leaves are shaded, patterned or cut
from textures, so that a network that is trained on them besides people learns cloth, leaves and walls.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from numpy.random import Generator

_SMALLEST, _LARGEST = 2.0, 90.0
_LEAVES = 260


def dead_leaves(
    rng: Generator, size: int = 256, textures: Sequence[UInt8[ndarray, "h w 3"]] = ()
) -> UInt8[ndarray, "size size 3"]:
    """Draw a picture.

    Args:
        rng: The source of chance.
        size: Side in pixels.
        textures: Pictures from which some leaves are cut.

    Returns:
        RGB in 0..255.
    """
    picture = np.full((size, size, 3), rng.uniform(0, 255), np.float32)
    base = rng.uniform(40, 215) + rng.normal(size=3) * 30
    for _ in range(int(_LEAVES * rng.uniform(0.3, 1.0))):
        radius = _SMALLEST / (1 - rng.random() * (1 - _SMALLEST / _LARGEST))  # density falls with the square
        centre = rng.uniform(-0.1, 1.1, 2) * size
        mask = np.zeros((size, size), np.uint8)
        _outline(rng, mask, centre, radius * float(rng.choice([1, 1, 2.5])))
        inside = mask > 0
        if inside.any():
            picture[inside] = _surface(rng, size, base, textures)[inside]
    blur = float(rng.choice([0.0, 0.5, 0.8, 1.5]))
    if blur:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    noise = rng.normal(size=picture.shape) * rng.choice([0, 1.5, 4.0])
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def _outline(rng: Generator, mask: ndarray, centre: ndarray, radius: float) -> None:
    if rng.random() < 0.5:
        axes = (max(1, int(radius)), max(1, int(radius * rng.uniform(0.2, 1))))
        cv2.ellipse(mask, (int(centre[0]), int(centre[1])), axes, float(rng.uniform(0, 180)), 0, 360, 1, -1)
        return
    angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
    corners = centre + radius * np.stack([np.cos(angles), np.sin(angles)], 1)
    cv2.fillPoly(mask, [corners.astype(np.int32)], 1)


def _surface(rng: Generator, size: int, base: ndarray, textures: Sequence[ndarray]) -> ndarray:
    """Return a shade, a gradient, stripes, grain or a part of a texture."""
    colour = base + rng.normal() * 60 + rng.normal(size=3) * 25
    colour = np.clip(colour.mean() + rng.uniform(0.1, 1.0) * (colour - colour.mean()), 0, 255)
    kind = rng.random()
    if textures and kind < 0.35:
        texture = textures[int(rng.integers(len(textures)))]
        y, x = (int(rng.integers(0, max(1, side - size))) for side in texture.shape[:2])
        part = cv2.resize(texture[y : y + size, x : x + size], (size, size)).astype(np.float32)
        return part * rng.uniform(0.5, 1.3) + rng.normal(size=3) * 15
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    angle = rng.uniform(0, np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    if kind < 0.6:
        shade = along[..., None] * rng.normal(size=3) * 80
    elif kind < 0.75:
        shade = np.sin(along * rng.uniform(20, 250))[..., None] * rng.normal(size=3) * 30
    elif kind < 0.9:
        cells = int(rng.integers(4, 128))
        shade = cv2.resize(rng.normal(size=(cells, cells)).astype(np.float32), (size, size))[..., None] * 25
    else:
        shade = np.zeros((size, size, 3))
    return np.clip(colour + shade, 0, 255)
