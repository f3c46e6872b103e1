"""Hats that people wear in photographs: prompts leave them alone, whole."""

from __future__ import annotations

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
_SURE = 0.4  # share from which on a pixel is one


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
    worn = segments[:, SEGMENTS.index("accessory")] * (1 - eyes[:, 0])
    person = 1 - segments[:, SEGMENTS.index("background")]
    rows = np.arange(side)[:, None]
    hats = np.zeros((len(segments), 1, side, side), np.float32)
    for row, (unit, points) in enumerate(zip(face_unit(landmarks), landmarks, strict=True)):
        pixels = float(unit) * side / 2
        brow = (float(points[list(_BROWS), 1].min()) + 1) * side / 2
        above = rows < brow - 0.2 * pixels
        found = (worn[row].cpu().numpy() > _SURE) & above
        if found.sum() < _LEAST * pixels**2:
            continue
        # What of the person lies above the lowest of the hat is hat, too.
        columns = np.nonzero(found.any(0))[0]
        within = np.zeros_like(found)
        within[:, columns.min() : columns.max() + 1] = True
        whole = (person[row].cpu().numpy() > 0.5) & (rows < np.nonzero(found.any(1))[0].max()) & within
        kept = _largest(whole & above)
        hull = cv2.convexHull(np.argwhere(kept)[:, ::-1].astype(np.int32))
        cv2.fillConvexPoly(hats[row, 0], hull, 1.0, cv2.LINE_AA)
    return blurred(torch.from_numpy(hats).to(segments), 0.003)


def _largest(mask: np.ndarray) -> np.ndarray:
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return mask if count < 2 else labels == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
