"""Lines that faces get with age, drawn where the points of a face say that they run."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from ...topology import EYES, MIRROR
from ..head_camera import face_unit
from ..masked import softened

Mix = tuple[int, ...]


@dataclass(frozen=True)
class Line:
    """A line of a face; it is drawn on both sides."""

    places: tuple[Mix, ...]
    """Points along it, each the mean of some of the face's."""
    depth: float
    """How much light it swallows."""
    width: float
    """Of its shadow, in distances of the eyes."""
    down: float = 0.0
    """How far below those points it runs, in distances of the eyes."""


_LOWER_LID = tuple((k,) for k in (33, 163, 144, 145, 153, 154))
_LINES = (
    Line(((49, 129), (203, 49), (203, 206), (206, 216), (216, 212), (212,)), 0.34, 0.04),
    Line(((61, 57), (57, 43), (43, 202), (204, 202), (210, 211)), 0.24, 0.03),
    Line(_LOWER_LID, 0.17, 0.02, 0.12),
    Line(_LOWER_LID[1:], 0.13, 0.03, 0.24),
    Line(_LOWER_LID[2:], 0.08, 0.014, 0.17),
    Line(((33,), (33, 130), (226, 130), (226, 31), (31, 111)), 0.16, 0.015, 0.03),
    Line(((130, 226), (226, 35), (35, 143), (143,)), 0.24, 0.015, 0.0),
    Line(((130, 226), (226, 113), (113, 156), (156, 139)), 0.2, 0.015, 0.06),
    Line(((226, 35), (35, 31), (143, 111), (116,)), 0.18, 0.015, 0.05),
    Line(((9, 107), (9, 55), (8, 55)), 0.19, 0.02),
    Line(((226,), (225,), (224,), (223,), (222,)), 0.26, 0.024, 0.0),
    Line(((50, 101), (205, 36), (205, 187), (207, 187), (214,)), 0.13, 0.03, 0.02),
    Line(((187, 147), (187, 213), (192, 214), (135, 138)), 0.13, 0.026, 0.0),
    Line(((43, 202), (210,), (169, 210), (150, 169)), 0.16, 0.04, 0.02),
    Line(((167,), (167, 37), (37,)), 0.13, 0.011),
    Line(((165,), (165, 39), (39,)), 0.15, 0.011),
    Line(((92,), (92, 40), (40,)), 0.15, 0.011),
    Line(((186, 92), (186, 40), (40, 185)), 0.12, 0.011),
    Line(((136,), (150,), (149,), (148,), (152,)), 0.1, 0.035, 0.33),
    Line(((136,), (150,), (149,), (148,), (152,)), 0.08, 0.03, 0.6),
)
_BROWS = (70, 63, 105, 66, 107, 9, 336, 296, 334, 293, 300)
_HAIRLINE = (54, 103, 67, 109, 10, 10, 10, 338, 297, 332, 284)
_FOREHEAD = (
    (0.24, 0.2),
    (0.4, 0.28),
    (0.56, 0.26),
    (0.72, 0.2),
    (0.86, 0.12),
)  # how far from the brows to the hair; how deep
_STEPS = 40  # along a line
_FINE = 220  # pixels of the canvas a distance of the eyes
_EDGE = 0.45  # of a line's shadow: the light on the skin that rises below it


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
    return (picture * (1 + skin * shade)).clamp(0, 1)


def _shade(points: Float[Tensor, "478 2"], side: int) -> Float32[ndarray, "s s"]:
    """Return how much lighter lines make each pixel, as a share of its light."""
    unit = float(face_unit(points[None])) * side / 2
    fine = _FINE / unit
    pixels = ((points.numpy() + 1) * (side / 2) - 0.5) * fine
    low, high = pixels.min(0) - 0.2 * _FINE, pixels.max(0) + 0.2 * _FINE
    wide, tall = (int(v) for v in np.ceil(high - low))
    across = pixels[list(EYES[1])].mean(0) - pixels[list(EYES[0])].mean(0)
    across = across / np.linalg.norm(across)
    down = np.array([-across[1], across[0]]) * _FINE
    rng = np.random.default_rng(0)
    total = np.zeros((tall, wide), np.float32)
    for path, depth, width in _paths(pixels - low, down):
        line = _smooth(path, rng)
        layer = np.zeros((tall, wide), np.float32)
        swell = np.sin(np.linspace(0.08, 1, _STEPS) ** 0.7 * np.pi) * rng.uniform(0.75, 1.15, _STEPS)
        at = (line * 16).round().astype(np.int32)
        for k in range(_STEPS - 1):
            cv2.line(layer, at[k].tolist(), at[k + 1].tolist(), float(swell[k]), 2, cv2.LINE_AA, 4)
        spread = width * _FINE
        shadow = cv2.GaussianBlur(layer, (0, 0), spread * 0.35) * spread * 0.5
        wider = cv2.GaussianBlur(layer, (0, 0), spread * 0.9) * spread
        shift = np.array([[1, 0, 0.9 * down[0] * width], [0, 1, 0.9 * down[1] * width]], np.float32)
        total += depth * (_EDGE * cv2.warpAffine(wider, shift, (wide, tall)) - 0.75 * shadow - 0.6 * wider)
    place = np.array([[1 / fine, 0, low[0] / fine], [0, 1 / fine, low[1] / fine]], np.float32)
    total = cv2.GaussianBlur(total, (0, 0), max(0.3, 0.4 * fine))
    return cv2.warpAffine(total, place, (side, side), flags=cv2.INTER_LINEAR).clip(-0.5, 0.3)


def _paths(pixels: ndarray, down: ndarray) -> list[tuple[ndarray, float, float]]:
    paths: list[tuple[ndarray, float, float]] = []
    for line in _LINES:
        for other in (False, True):
            names = [[MIRROR[k] if other else k for k in mix] for mix in line.places]
            path = np.stack([pixels[mix].mean(0) for mix in names]) + line.down * down
            paths.append((path, line.depth, line.width))
    brows, hair = pixels[list(_BROWS)], pixels[list(_HAIRLINE)]
    for share, depth in _FOREHEAD:
        paths.append((brows[1:-1] + share * (hair - brows)[1:-1], depth, 0.02))
    return paths


def _smooth(path: ndarray, rng: np.random.Generator) -> ndarray:
    """Return a line through some points, a little uneven."""
    at = np.linspace(0, len(path) - 1, _STEPS)
    line = np.stack([np.interp(at, np.arange(len(path)), path[:, k]) for k in range(2)], 1)
    for _ in range(6):
        line[1:-1] = 0.5 * line[1:-1] + 0.25 * (line[:-2] + line[2:])
    wave = np.cumsum(rng.normal(0, 1, (_STEPS, 2)), 0)
    return line + 0.0035 * _FINE * (wave - wave.mean(0)) / 3
