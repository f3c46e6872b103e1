"""Brows, hair by hair, where something hid them: they lie along the brow and rise at its inner end."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from ...topology import BROWS, LOWER_BROWS
from ..head_camera import face_unit
from ..masked import softened

_HAIRS = 420  # of a brow
_LENGTH, _WIDTH = 0.085, 0.005  # of a hair, in distances of the eyes
_RISE = 1.1  # radians at the inner end, from which hairs lie down
_OPACITY = 0.6
_FINE = 4  # pixels of the canvas a pixel


def with_brows(
    picture: Float[Tensor, "n 3 s s"],
    where: Float[Tensor, "n 1 s s"],
    colour: Float[Tensor, "n 3 #s #s"],
    landmarks: Float[Tensor, "n 478 2"],
    softness: float = 0.0,
) -> Float[Tensor, "n 3 s s"]:
    """Draw brows.

    Args:
        picture: The face, in [0, 1].
        where: They may be.
        colour: Of their hairs.
        landmarks: In [-1, 1].
        softness: Of the photograph, pixels: how far it blurs a line.
    """
    rows = [_drawn(points.float(), picture.shape[-1]) for points in landmarks.cpu()]
    share = softened(torch.from_numpy(np.stack(rows))[:, None].to(picture), softness)
    return picture + _OPACITY * where * share * (colour - picture)


def _drawn(points: Float[Tensor, "478 2"], side: int) -> Float32[ndarray, "s s"]:
    """Return the share of hairs of each pixel."""
    rng = np.random.default_rng(3)
    unit = float(face_unit(points[None])) * side / 2
    pixels = (points.numpy() + 1) * (side / 2) - 0.5
    middle = pixels[168]
    canvas = np.zeros((side * _FINE, side * _FINE), np.uint8)
    for top, low in zip(BROWS, LOWER_BROWS, strict=True):
        upper, lower = pixels[list(top)], pixels[list(low)]
        if np.linalg.norm(upper[0] - middle) > np.linalg.norm(upper[-1] - middle):
            upper, lower = upper[::-1], lower[::-1]  # from the nose outwards
        along = rng.beta(1.15, 1.25, _HAIRS)
        across = np.clip(rng.normal(0.5, 0.3, _HAIRS), -0.15, 1.15)
        roots = (1 - across)[:, None] * _at(upper, along) + across[:, None] * _at(lower, along)
        way = _at(upper, np.minimum(along + 0.1, 1)) - _at(upper, np.maximum(along - 0.1, 0))
        way = way / np.linalg.norm(way, axis=1, keepdims=True).clip(1e-3)
        up = np.stack([way[:, 1], -way[:, 0]], 1)
        up = up * np.where(up[:, 1:] > 0, -1, 1)  # towards the top of the picture
        # Lower hairs rise, upper ones fall, and they meet.
        angle = _RISE * (1 - along) ** 2 + 0.35 * (2 * across - 1) + rng.normal(0, 0.15, _HAIRS)
        ends = np.cos(angle)[:, None] * way + np.sin(angle)[:, None] * up
        length = _LENGTH * unit * rng.uniform(0.5, 1.1, _HAIRS)[:, None] * (1 - 0.4 * along)[:, None]
        lines = np.stack([roots, roots + 0.5 * length * ends, roots + length * (0.85 * ends + 0.15 * way)], 1)
        strokes = ((lines + 0.5) * _FINE * 16).round().astype(np.int32)
        cv2.polylines(canvas, list(strokes), False, 255, max(1, round(_WIDTH * unit * _FINE)), cv2.LINE_AA, 4)
    return cv2.resize(canvas.astype(np.float32) / 255, (side, side), interpolation=cv2.INTER_AREA)


def _at(line: ndarray, share: ndarray) -> ndarray:
    at = share * (len(line) - 1)
    return np.stack([np.interp(at, np.arange(len(line)), line[:, k]) for k in range(2)], 1)
