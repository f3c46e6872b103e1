"""Rims of glasses: how thick they are where, and how light falls on what is rounded.

A line of one colour and one width is a drawing of glasses. Real frames are heavier above than below, and their edges
are rounded, so that light from above lies on one side of each.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from ...people.eyewear import Eyewear

_HEAVIER, _CORNER, _TAPER = 0.22, 0.3, 0.05
"""Of plastic rims, as shares: how much thicker they are above than in the middle, and in the outer upper corner; how
much narrower square lenses are below."""
_BEVEL = {True: 1.0, False: 0.6}  # share of a rim's half width that is rounded: all of a wire
_ABOVE, _BEFORE = 0.8, 0.62  # of where the light comes from
_SHADED, _DIFFUSE = 0.3, 0.6  # how light plastic is that no light falls on, and how much what does adds
_GLOSS, _GLOSSY = 0.75, 26  # of plastic, and its exponent
_HORIZON = 0.1  # of metal, which mirrors a bright sky, a dark horizon and a floor
_MIRRORED = ((-1.0, 1.35), (-0.35, 1.55), (-0.05, 0.75), (0.2, 0.5), (0.7, 0.95), (1.0, 0.8))
_METAL_GLOSS, _METAL_GLOSSY = 0.75, 14


def rim_of(curve: Float64[ndarray, "k 3"], kind: Eyewear) -> tuple[Float64[ndarray, "k 3"], Float64[ndarray, "k 3"]]:
    """Return where a rim ends outwards and inwards.

    Args:
        curve: Its middle, of `people.eyewear.place_glasses`.
        kind: Of the glasses.
    """
    middle = curve.mean(0)
    high = (curve[:, 1] - middle[1]) / kind.half[1]
    out = np.sign(middle[0]) * (curve[:, 0] - middle[0]) / kind.half[0]
    curve = curve.copy()
    if kind.power > 2:
        curve[:, 0] = middle[0] + (curve[:, 0] - middle[0]) * (1 + _TAPER * high)
    way = np.roll(curve, -1, 0) - np.roll(curve, 1, 0)
    normal = np.stack([way[:, 1], -way[:, 0]], 1)
    normal = normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    normal = normal * np.sign((normal * (curve - middle)[:, :2]).sum(1, keepdims=True))
    much = np.ones(len(curve))
    if not kind.metal:
        much = 1 + _HEAVIER * high + _CORNER * np.clip(high, 0, 1) * np.clip(out, 0, 1)
    step = np.concatenate([kind.rim * much[:, None] * normal, np.zeros((len(curve), 1))], 1)
    return curve + step, curve - step


def relief(
    there: UInt8[ndarray, "h w"], half: float, metal: bool, aside: float
) -> tuple[Float32[ndarray, "h w"], Float32[ndarray, "h w"]]:
    """Return how far a frame is lit and how much it shines, each 255 where it is as light as its colour or white.

    Args:
        there: Where it is, 255.
        half: Half of a rim's width, pixels.
        metal: Whether it mirrors what is around.
        aside: From where the light comes: -1 is the left.
    """
    inner = cv2.distanceTransform((there > 127).astype(np.uint8), cv2.DIST_L2, 5)
    inner = cv2.GaussianBlur(inner, (0, 0), max(0.5, 0.2 * half))
    steep = 1 - np.clip(inner / max(_BEVEL[metal] * half, 1e-3), 0, 1)
    dx, dy = cv2.Sobel(inner, cv2.CV_32F, 1, 0), cv2.Sobel(inner, cv2.CV_32F, 0, 1)
    long = np.maximum(np.hypot(dx, dy), 1e-3)
    x, y = -steep * dx / long, -steep * dy / long
    z = np.sqrt(np.maximum(1 - x**2 - y**2, 0))
    light = np.array([0.6 * aside, -_ABOVE, _BEFORE])
    light = light / np.linalg.norm(light)
    falls = np.maximum(x * light[0] + y * light[1] + z * light[2], 0)
    half_way = light + [0, 0, 1]
    half_way = half_way / np.linalg.norm(half_way)
    gloss = np.maximum(x * half_way[0] + y * half_way[1] + z * half_way[2], 0)
    share = there.astype(np.float32)
    if metal:
        heights, levels = zip(*_MIRRORED, strict=True)
        lit, shine = (
            np.interp(np.asarray(y, np.float32) - _HORIZON, heights, levels),
            _METAL_GLOSS * gloss**_METAL_GLOSSY,
        )
    else:
        lit, shine = _SHADED + _DIFFUSE * falls, _GLOSS * gloss**_GLOSSY
    return (share * lit).astype(np.float32), (share * shine).astype(np.float32)


class Canvas:
    """A part of a picture, in which a pixel is several."""

    def __init__(self, low: ndarray, size: ndarray, fine: int) -> None:
        """Begin.

        Args:
            low: Its first column and row in the picture.
            size: Its columns and rows there.
            fine: How many of its own each of them is.
        """
        self._low, self._size, self._fine = low, size, fine

    def empty(self) -> UInt8[ndarray, "h w"]:
        """Return a layer with nothing in it."""
        return np.zeros((int(self._size[1]) * self._fine, int(self._size[0]) * self._fine), np.uint8)

    def _at(self, pixels: ndarray) -> ndarray:
        inside = (pixels + 0.5 - self._low) * self._fine - 0.5
        return (inside * 16).round().astype(np.int32)[:, None]

    def line(self, layer: ndarray, pixels: ndarray, thick: float, closed: bool) -> None:
        """Draw a line.

        Args:
            layer: Of `empty`.
            pixels: Places of the picture.
            thick: In pixels of the picture.
            closed: Whether it ends where it begins.
        """
        cv2.polylines(layer, [self._at(pixels)], closed, 255, max(1, round(thick * self._fine)), cv2.LINE_AA, 4)

    def fill(self, layer: ndarray, pixels: ndarray, level: int = 255) -> None:
        """Fill an outline.

        Args:
            layer: Of `empty`.
            pixels: Places of the picture.
            level: What it is filled with.
        """
        cv2.fillPoly(layer, [self._at(pixels)], level, cv2.LINE_AA, 4)

    def in_picture(self, layer: ndarray, side: int) -> Float32[ndarray, "s s"]:
        """Return a layer as a picture, in [0, 1].

        Args:
            layer: 255 is 1.
            side: Of the picture.
        """
        whole = np.zeros((side, side), np.float32)
        (left, top), (wide, high) = self._low, self._size
        small = cv2.resize(layer, (int(wide), int(high)), interpolation=cv2.INTER_AREA)
        whole[top : top + high, left : left + wide] = small.astype(np.float32) / 255
        return whole
