"""Hats that people wear in photographs: prompts leave them alone, whole."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...topology import SEGMENTS
from ..head_camera import face_unit
from ..masked import blurred

_LEAST = 0.4  # squares of the distance of the eyes that a hat has in a picture
_BROWS = (105, 334)
_FOREHEAD = 0.2  # distances of the eyes above brows, from where on it is one
_SURE = 0.4  # share from which on a pixel is one
_HAIR, _SOME_HAIR = 0.6, 0.1  # share from which on a pixel is surely hair; squares of the distance of the eyes of it
_ALIKE = 9.0  # CIE Lab: hats of six pictures were 16 to 46 from their hair, smooth hair and a veil of three 1 to 8
_TEMPLES = 0.3  # distances of the eyes below brows, down to which such hair goes


def with_smooth_hair(
    segments: Float[Tensor, "n segments s s"],
    pictures: Float[Tensor, "n 3 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    eyes: Float[Tensor, "n 1 s s"],
) -> Float[Tensor, "n segments s s"]:
    """Return shares in which combed, shining hair is hair, of which face parsing takes parts for a hat.

    A hat has hardly ever the colour of the hair below it.

    Args:
        segments: Shares of `topology.SEGMENTS`.
        pictures: In [-1, 1].
        landmarks: In [-1, 1].
        eyes: Around the eyes, where accessories are glasses.
    """
    hair, accessory = SEGMENTS.index("hair"), SEGMENTS.index("accessory")
    made = segments
    for row, (found, brow, pixels) in enumerate(_above_brows(segments, landmarks, eyes)):
        sure = segments[row, hair].cpu().numpy() > _HAIR
        if found.sum() < _LEAST * pixels**2 or sure.sum() < _SOME_HAIR * pixels**2:
            continue
        shown = (pictures[row].float().cpu().permute(1, 2, 0) + 1) / 2
        lab = cv2.cvtColor(np.ascontiguousarray(shown.clamp(0, 1).numpy()), cv2.COLOR_RGB2LAB)
        if np.linalg.norm(lab[found].mean(0) - lab[sure].mean(0)) < _ALIKE:
            rows = torch.arange(segments.shape[-1]).to(segments)[:, None]
            mistaken = segments[row, accessory] * (1 - eyes[row, 0]) * (rows < brow + _TEMPLES * pixels)
            made = made.clone() if made is segments else made
            made[row, hair] += mistaken
            made[row, accessory] -= mistaken
    return made


def hat_of(
    segments: Float[Tensor, "n segments s s"], landmarks: Float[Tensor, "n 478 2"], eyes: Float[Tensor, "n 1 s s"]
) -> Float[Tensor, "n 1 s s"]:
    """Return where people wear hats: nowhere, or a whole one.

    Parts of a hat that look like the place behind it, as a white crown before a white wall, are between others, for
    hats have hardly any dents.

    Args:
        segments: Shares of `topology.SEGMENTS`.
        landmarks: In [-1, 1].
        eyes: Around the eyes, where accessories are glasses.
    """
    side = segments.shape[-1]
    person = 1 - segments[:, SEGMENTS.index("background")]
    rows = np.arange(side)[:, None]
    hats = np.zeros((len(segments), 1, side, side), np.float32)
    for row, (found, brow, pixels) in enumerate(_above_brows(segments, landmarks, eyes)):
        if found.sum() < _LEAST * pixels**2:
            continue
        # What of the person lies above the lowest of the hat is hat, too.
        columns = np.nonzero(found.any(0))[0]
        within = np.zeros_like(found)
        within[:, columns.min() : columns.max() + 1] = True
        whole = (person[row].cpu().numpy() > 0.5) & (rows < np.nonzero(found.any(1))[0].max()) & within
        kept = _largest(whole & (rows < brow - _FOREHEAD * pixels))
        hull = cv2.convexHull(np.argwhere(kept)[:, ::-1].astype(np.int32))
        cv2.fillConvexPoly(hats[row, 0], hull, 1.0, cv2.LINE_AA)
    return blurred(torch.from_numpy(hats).to(segments), 0.003)


def _above_brows(
    segments: Float[Tensor, "n segments s s"], landmarks: Float[Tensor, "n 478 2"], eyes: Float[Tensor, "n 1 s s"]
) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield where people wear something above their brows, those's height, and the distance of the eyes, pixels."""
    side = segments.shape[-1]
    worn = segments[:, SEGMENTS.index("accessory")] * (1 - eyes[:, 0])
    rows = np.arange(side)[:, None]
    for row, (unit, points) in enumerate(zip(face_unit(landmarks), landmarks, strict=True)):
        pixels = float(unit) * side / 2
        brow = (float(points[list(_BROWS), 1].min()) + 1) * side / 2
        yield (worn[row].cpu().numpy() > _SURE) & (rows < brow - _FOREHEAD * pixels), brow, pixels


def _largest(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return mask if count < 2 else labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
