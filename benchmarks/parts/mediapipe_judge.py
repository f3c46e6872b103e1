"""What MediaPipe's face landmarker reads in a picture; shared by the scripts that judge rendered people."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mediapipe as mp
import numpy as np
from mediapipe.tasks.python import BaseOptions, vision
from numpy import ndarray


@dataclass(frozen=True)
class Reading:
    """Points in pixels, scores of the 52 blendshapes by name, and the head's yaw, pitch and roll in degrees."""

    points: ndarray
    scores: dict[str, float]
    turn: ndarray


class Judge:
    """Reads single pictures.

    Args:
        task: Path of `face_landmarker_v2_with_blendshapes.task`.
    """

    def __init__(self, task: Path) -> None:
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(task)),
            output_face_blendshapes=True,
            output_facial_transformation_matrixes=True,
        )
        self._landmarker: Any = vision.FaceLandmarker.create_from_options(options)

    def read(self, picture: ndarray) -> Reading | None:
        """Return what is read in a picture [h, w, 3] of bytes, or None where no face is found."""
        image = mp.Image(image_format=mp.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        found = self._landmarker.detect(image)
        if not found.face_landmarks:
            return None
        height, width = picture.shape[:2]
        points = np.array([[p.x * width, p.y * height] for p in found.face_landmarks[0]], np.float32)
        scores = {b.category_name: float(b.score) for b in found.face_blendshapes[0]}
        return Reading(points, scores, _angles(np.array(found.facial_transformation_matrixes[0])[:3, :3]))


def _angles(r: ndarray) -> ndarray:
    """Return yaw (to the right of the picture), pitch (down) and roll of a rotation, in degrees."""
    r = r / np.cbrt(np.linalg.det(r))
    return np.degrees([np.arctan2(r[0, 2], r[2, 2]), np.arcsin(np.clip(-r[1, 2], -1, 1)), np.arctan2(r[1, 0], r[1, 1])])
