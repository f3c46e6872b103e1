"""Measure a stretch of a clip, and say by which limit it is left out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..types import CropPlace
from .settings import FPS, Limits

_SIDE = 128
_SURFACE = 468
_BULK = 0.95


@dataclass(frozen=True)
class Drop:
    """A stretch that is left out, and why."""

    start_s: float
    """Where it begins, seconds."""

    end_s: float
    """Where it ends, seconds."""

    reason: str
    """In a few words, the same for all that are left out for it."""

    value: float | None = None
    """What was measured; None where nothing was."""

    limit: float | None = None
    """What it had to keep to; None where there is no such number."""

    @property
    def record(self) -> dict[str, Any]:
        """What the clip's record holds of it."""
        rounded: dict[str, Any] = {"start_s": round(self.start_s, 2), "end_s": round(self.end_s, 2)}
        rounded["reason"] = self.reason
        if self.value is not None:
            rounded["value"] = round(self.value, 3) if math.isfinite(self.value) else None
        return rounded | ({} if self.limit is None else {"limit": self.limit})


def face_sharpness(picture: np.ndarray, points: Float[np.ndarray, "478 2"]) -> float:
    """Return how sharp a face is: the variance of the Laplacian of its luma at 128 pixels.

    Unlike `metrics.functional.sharpness` it is taken of the face alone at one size, so that clips compare: a face that
    was enlarged or filmed out of focus has little whatever its pixels.

    Args:
        picture: [h, w, 3], RGB bytes.
        points: In pixels of the picture.

    Returns:
        In squared levels of 255; 0 where the face lies outside the picture.
    """
    low = np.maximum(np.floor(points[:_SURFACE].min(0)), 0).astype(int)
    high = np.ceil(points[:_SURFACE].max(0)).astype(int)
    face = picture[low[1] : high[1], low[0] : high[0]]
    if min(face.shape[:2]) < 2:
        return 0.0
    how = cv2.INTER_AREA if min(face.shape[:2]) > _SIDE else cv2.INTER_LINEAR
    luma = cv2.cvtColor(cv2.resize(face, (_SIDE, _SIDE), interpolation=how), cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(luma, cv2.CV_32F, ksize=1).var())


def outside_share(place: CropPlace) -> float:
    """Return which share of a square lies beyond its picture.

    Args:
        place: Of the square.
    """
    across = max(0, min(place.left + place.side, place.width) - max(place.left, 0))
    down = max(0, min(place.top + place.side, place.height) - max(place.top, 0))
    return 1 - across * down / place.side**2


def measured(
    stretch: Any, widths: Float[Tensor, "f"], pose: Float[Tensor, "f 6"], place: CropPlace, likeness: float | None
) -> dict[str, float]:
    """Measure what limits are set for.

    Args:
        stretch: A `tracking.Stretch`.
        widths: Of the face, pixels of the video.
        pose: Of the head, columns of `types.POSE`.
        place: Of the square.
        likeness: Least similarity of the embeddings to their mean; None where there is none.

    Returns:
        Values by the names of `Limits`.
    """
    turns = torch.rad2deg(pose[:, :3].abs()).quantile(_BULK, dim=0).tolist()
    found = {
        "width_px": float(widths.median()),
        "sharpness": float(stretch.sharpness.quantile(0.2)),
        **dict(zip(("yaw_degrees", "pitch_degrees", "roll_degrees"), turns, strict=True)),
        "outside": outside_share(place),
        "unsure": 1 - float(stretch.sure.float().mean()),
        "rival": float(stretch.rival.float().mean()),
        "repeated": float(stretch.repeated.float().mean()),
    }
    return found if likeness is None else found | {"likeness": likeness}


REASONS = {
    "rival": "two faces",
    "unsure": "unsure of the face",
    "width_px": "face too small",
    "outside": "head at the picture's edge",
    "sharpness": "blurred",
    "yaw_degrees": "turned to the side",
    "pitch_degrees": "turned up or down",
    "roll_degrees": "tilted",
    "repeated": "frames repeat",
    "likeness": "not one person",
}
"""What a limit is called where it leaves something out, in the order in which they are asked."""

_AT_LEAST = frozenset(("width_px", "sharpness", "likeness"))


def beyond(values: dict[str, float], limits: Limits, first: int, stop: int) -> Drop | None:
    """Return the first limit that a stretch does not keep; None where it keeps all.

    Args:
        values: Of `measured`.
        limits: To keep to.
        first: Frame with which it begins.
        stop: One past its last.
    """
    for name, reason in REASONS.items():
        if name in values:
            limit, value = float(getattr(limits, name)), values[name]
            kept = value >= limit if name in _AT_LEAST else value <= limit
            if not kept:
                return Drop(first / FPS, stop / FPS, reason, value, limit)
    return None
