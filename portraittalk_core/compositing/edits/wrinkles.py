"""Lines that faces get with age, drawn where the points of a face say that they run.

A few folds are deep and have soft sides; the rest is many short and shallow lines beside one another, no two of them
alike. So each area is spanned by two guides, and lines run between them.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor

from ...topology import EYES, MIRROR
from ..head_camera import face_unit
from ..masked import colourfulness, softened

Mix = tuple[int, ...]
Guide = tuple[Mix, ...]


@dataclass(frozen=True)
class Fold:
    """A deep line of a face, on both sides."""

    places: Guide
    """Points along it, each the mean of some of the face's."""
    depth: float
    """How much light it swallows."""
    width: float
    """Of its soft sides, in distances of the eyes."""
    crease: float = 0.5
    """Share of its depth that is a sharp line."""
    twins: int = 1
    """Shallower ones that run along it."""


@dataclass(frozen=True)
class Sheaf:
    """Many shallow lines between two guides."""

    first: Guide
    """Where those on one side run."""
    second: Guide
    """Where those on the other side run, in the same direction."""
    count: int
    """How many, on each side of the face."""
    depth: float
    """How much light one swallows at most."""
    width: float
    """Of a line, in distances of the eyes."""
    length: tuple[float, float]
    """Of a line, as a share of the guides."""
    within: tuple[float, float] = (0.0, 1.0)
    """The part of the guides along which they run."""
    mirrored: bool = True
    """Whether there are others on the other side; else guides go across the face."""
    down: tuple[float, float] = (0.0, 0.0)
    """How far below their points the guides run, in distances of the eyes."""


_UNDER_LID: Guide = ((25,), (110,), (24,), (23,), (22,), (26,))
_BAG: Guide = ((31,), (228,), (229,), (230,), (231,), (232,))
_CHEEKBONE: Guide = ((111, 117), (117,), (118,), (119,), (120,), (121, 128))
_JAW: Guide = ((136,), (150,), (149,), (176,), (148,), (152,), (377,), (400,), (378,), (379,), (365,))
_BROWS: Guide = ((63,), (105,), (66,), (107,), (9,), (336,), (296,), (334,), (293,))
_HAIRLINE: Guide = ((103,), (67,), (109,), (10,), (10,), (10,), (338,), (297,), (332,))

_FOLDS = (
    Fold(((129,), (129, 203), (203, 206), (206, 216), (216,), (216, 212), (212,)), 0.56, 0.055, 0.45, 2),
    Fold(((61, 57), (57, 43), (43, 202), (202, 210), (210,)), 0.34, 0.045, 0.35),
    Fold(((228,), (229, 118), (230, 119), (231, 120), (232, 121), (233, 128)), 0.24, 0.034, 0.45, 2),
    Fold(((25, 228), (110, 228), (24, 229), (23, 230), (22, 231)), 0.17, 0.022, 0.5),
    Fold(((226,), (225,), (224,), (223,), (222,)), 0.3, 0.026, 0.5),
    Fold(((9, 107), (9, 107, 55), (9, 55), (8, 55)), 0.22, 0.018, 0.6),
    Fold(((117, 123), (187, 147), (187, 192), (214, 212)), 0.18, 0.12, 0.0, 0),
    Fold(((202, 210), (210, 169), (169, 150), (150,)), 0.2, 0.07, 0.1, 0),
)
_ROWS = ((0.24, 0.14), (0.38, 0.3), (0.53, 0.34), (0.68, 0.28), (0.84, 0.18))
"""Of lines over the brows: how far up to the hair, how deep."""
_SHEAVES = (
    Sheaf(_BROWS, _HAIRLINE, 30, 0.1, 0.009, (0.06, 0.3), (0.0, 1.0), mirrored=False),
    Sheaf(((226,), (113,), (156,), (139,)), ((31,), (111,), (116,), (123,)), 11, 0.25, 0.011, (0.2, 0.7), (0.08, 1.0)),
    Sheaf(_UNDER_LID, _CHEEKBONE, 26, 0.15, 0.009, (0.15, 0.5)),
    Sheaf(((36,), (206,), (216,), (212,)), ((117,), (123,), (147,), (213,)), 34, 0.1, 0.010, (0.12, 0.45)),
    Sheaf(((164,), (164, 0), (0,)), ((92, 186), (92, 40), (40, 185)), 10, 0.2, 0.010, (0.3, 0.6), (0.25, 1.05)),
    Sheaf(((18,), (200,)), ((43,), (210,)), 8, 0.11, 0.012, (0.3, 0.6)),
    Sheaf(((43,), (202,), (210,)), ((212,), (214,), (135,)), 9, 0.12, 0.011, (0.2, 0.5)),
    Sheaf(((8,), (168,), (6,)), ((55,), (193,), (122,)), 3, 0.14, 0.012, (0.2, 0.4)),
    Sheaf(_JAW, _JAW, 14, 0.12, 0.022, (0.15, 0.5), (0.05, 0.95), mirrored=False, down=(0.25, 0.8)),
)
_STEPS = 40  # along a line
_FINE = 220  # pixels of the canvas a distance of the eyes
_EDGE = 0.4  # of a line's shadow: the light on the skin that rises below it
_DEEP = 1.2  # times as deep as is said above
_TINT = (0.85, 1.03, 1.12)  # of shadows in red, green and blue
_SIDE = (0.3, 0.75)  # distances of the eyes from nose to ear: on a side that is turned away lines would be a tangle


def wrinkled(
    picture: Float[Tensor, "n 3 s s"],
    skin: Float[Tensor, "n 1 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    softness: float = 0.0,
) -> Float[Tensor, "n 3 s s"]:
    """Draw the lines of an old face.

    Args:
        picture: The face, in [0, 1].
        skin: Where they may be, in [0, 1].
        landmarks: In [-1, 1].
        softness: Of the photograph, pixels: how far it blurs a line.
    """
    rows = [_shade(points.float(), picture.shape[-1]) for points in landmarks]
    shade = softened(torch.from_numpy(np.stack(rows))[:, None].to(picture), softness)
    # Skin swallows little of the red: what is seen in a fold has been in it.
    tint = 1 + colourfulness(picture) * (picture.new_tensor(_TINT).view(1, 3, 1, 1) - 1)
    return (picture * (1 + skin * shade * tint)).clamp(0, 1)


def _shade(points: Float[Tensor, "478 2"], side: int) -> Float32[ndarray, "s s"]:
    """Return how much lighter lines make each pixel, as a share of its light."""
    unit = float(face_unit(points[None])) * side / 2
    fine = _FINE / unit
    pixels = ((points.numpy() + 1) * (side / 2) - 0.5) * fine
    low, high = pixels.min(0) - 0.2 * _FINE, pixels.max(0) + 0.2 * _FINE
    high = np.maximum(high, pixels[[152]].max(0) + [0, 0.9 * _FINE])
    wide, tall = (int(v) for v in np.ceil(high - low))
    across = pixels[list(EYES[1])].mean(0) - pixels[list(EYES[0])].mean(0)
    across = across / np.linalg.norm(across)
    down = np.array([-across[1], across[0]]) * _FINE
    canvas = _Canvas(pixels - low, down, (wide, tall))
    rng = np.random.default_rng(5)
    for fold in _FOLDS:
        canvas.fold(fold, rng)
    for share, depth in _ROWS:
        canvas.row(share, depth, rng)
    for sheaf in _SHEAVES:
        canvas.sheaf(sheaf, rng)
    place = np.array([[1 / fine, 0, low[0] / fine], [0, 1 / fine, low[1] / fine]], np.float32)
    total = cv2.GaussianBlur(canvas.total, (0, 0), max(0.3, 0.4 * fine))
    return cv2.warpAffine(total, place, (side, side), flags=cv2.INTER_LINEAR).clip(-0.45, 0.25)


class _Canvas:
    """Shadows of lines, larger than the picture."""

    def __init__(self, pixels: ndarray, down: ndarray, size: tuple[int, int]) -> None:
        self.pixels, self.down, self.size = pixels, down, size
        self.total = np.zeros(size[::-1], np.float32)
        low, high = _SIDE
        nose = pixels[168]
        across = np.array([down[1], -down[0]]) / _FINE
        aside = [sign * float((pixels[k] - nose) @ across) / _FINE for k, sign in ((234, -1), (454, 1))]
        self.shown = [float(np.clip((wide - low) / (high - low), 0, 1)) for wide in aside]

    def guide(self, places: Guide, other: bool, down: float = 0.0) -> ndarray:
        """Return points along a guide, on the other side of the face or this."""
        names = [[MIRROR[k] if other else k for k in mix] for mix in places]
        path = np.stack([self.pixels[mix].mean(0) for mix in names])
        at = np.linspace(0, len(path) - 1, _STEPS)
        line = np.stack([np.interp(at, np.arange(len(path)), path[:, k]) for k in range(2)], 1)
        for _ in range(8):
            line[1:-1] = 0.5 * line[1:-1] + 0.25 * (line[:-2] + line[2:])
        return line + down * self.down

    def fold(self, fold: Fold, rng: Generator) -> None:
        """Draw a fold and its twins on both sides."""
        for other in (False, True):
            path, much = self.guide(fold.places, other), self.shown[other] * rng.uniform(0.8, 1.1)
            path = _uneven(path, 0.006, rng)
            self._line(path, fold.depth * much * (1 - fold.crease), fold.width)
            if fold.crease:
                self._line(_uneven(path, 0.004, rng), fold.depth * much * fold.crease, 0.3 * fold.width)
            for _ in range(fold.twins):
                begin = rng.uniform(0, 0.5)
                part = _part(path, begin, begin + rng.uniform(0.3, 0.5))
                part = part + rng.normal(0, 0.5 * fold.width * _FINE, 2)
                self._line(_uneven(part, 0.008, rng), 0.3 * fold.depth * much, 0.25 * fold.width)

    def row(self, share: float, depth: float, rng: Generator) -> None:
        """Draw a line over the brows: pieces that overlap, none as long as the forehead."""
        low, high = self.guide(_BROWS, False), self.guide(_HAIRLINE, False)
        end = 0.0
        while end < 0.82:
            begin = max(0.0, end - rng.uniform(-0.12, 0.12)) if end else rng.uniform(0.0, 0.28)
            end = min(1.0, begin + rng.uniform(0.25, 0.6))
            up = share + rng.normal(0, 0.025) + rng.normal(0, 0.025) * np.linspace(-1, 1, _STEPS)[:, None]
            path = _part(low + up * (high - low), begin, end)
            middle = 1 - 0.6 * abs(begin + end - 1)
            much = depth * middle * rng.uniform(0.4, 1.1)
            path = _uneven(path, 0.012, rng)
            self._line(path, 0.5 * much, 0.03)
            self._line(path, 0.65 * much, 0.010)

    def sheaf(self, sheaf: Sheaf, rng: Generator) -> None:
        """Draw many shallow lines."""
        low, high = sheaf.within
        for other in (False, True) if sheaf.mirrored else (False,):
            one = self.guide(sheaf.first, other, sheaf.down[0])
            two = self.guide(sheaf.second, other, sheaf.down[1])
            much = self.shown[other] if sheaf.mirrored else 1.0
            for place in (np.arange(sheaf.count) + rng.uniform(0, 1, sheaf.count)) / sheaf.count:
                long = rng.uniform(*sheaf.length)
                begin = rng.uniform(low, max(low, high - long))
                path = _part(one + place * (two - one), begin, begin + long)
                depth = sheaf.depth * much * rng.uniform(0.3, 1) ** 1.5
                self._line(_uneven(path, 0.012, rng), depth, sheaf.width * rng.uniform(0.7, 1.4))

    def _line(self, line: ndarray, depth: float, width: float) -> None:
        """Add the shadow of a line, deepest in its middle, and the light on the skin below it."""
        if depth <= 0.004:
            return
        spread = width * _FINE
        margin = int(3.5 * spread) + 4
        left, top = np.floor(line.min(0)).astype(int) - margin
        right, end = np.ceil(line.max(0)).astype(int) + margin
        layer = np.zeros((end - top, right - left), np.float32)
        at = ((line - (left, top)) * 16).round().astype(np.int32)
        swell = np.sin(np.linspace(0.02, 0.98, _STEPS) * np.pi) ** 1.2
        for k in range(_STEPS - 1):
            cv2.line(layer, at[k].tolist(), at[k + 1].tolist(), float(swell[k]), 2, cv2.LINE_AA, 4)
        wider = cv2.GaussianBlur(layer, (0, 0), spread) * spread * 1.1
        shift = np.array([[1, 0, 1.3 * self.down[0] * width], [0, 1, 1.3 * self.down[1] * width]], np.float32)
        light = cv2.warpAffine(wider, shift, wider.shape[::-1])
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, self.size[0]), min(end, self.size[1])
        if x1 > x0 and y1 > y0:
            inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
            self.total[y0:y1, x0:x1] += _DEEP * depth * (_EDGE * light - wider)[inner]


def _part(line: ndarray, begin: float, end: float) -> ndarray:
    at = np.linspace(begin, end, _STEPS) * (len(line) - 1)
    return np.stack([np.interp(at, np.arange(len(line)), line[:, k]) for k in range(2)], 1)


def _uneven(line: ndarray, much: float, rng: Generator) -> ndarray:
    """Return a line that wanders a little, by some distances of the eyes."""
    knots = rng.normal(0, much * _FINE, (6, 2))
    at = np.linspace(0, 5, _STEPS)
    wander = np.stack([np.interp(at, np.arange(6), knots[:, k]) for k in range(2)], 1)
    for _ in range(6):
        wander[1:-1] = 0.5 * wander[1:-1] + 0.25 * (wander[:-2] + wander[2:])
    return line + wander
