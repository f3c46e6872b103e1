"""Which faces can be made to speak: seen from the front, and large enough; one line says why others cannot."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ..errors import OutOfDomain
from ..types import Face
from .face import FaceAnalyser
from .face_geometry import NOSE_TIP
from .identity import Finder

log = logging.getLogger(__name__)

LARGEST_YAW_DEGREES = 50.0
"""A head that is turned further hides half of its face."""

LEAST_WIDTH_PX = 64.0
"""A face that is narrower shows neither lids nor teeth."""

UNSURE_SCORE = 0.8
"""Score of the detector below which a face may be painted, drawn, half hidden or hardly lit."""

TEMPLES = (234, 454)
"""Where the outline passes the ears, at the left and at the right of the picture."""

NOSE_DEPTH = 0.676
"""tan(yaw) over the offset of the nose's tip from the middle of the temples, in halves of their distance: fitted to
rendered people, whose yaw is known, up to 30 degrees; the mean error is 1.3 degrees."""


@dataclass(frozen=True)
class PortraitFinder:
    """A finder of only those faces that a portrait can be made of."""

    faces: Finder
    """Finds faces of any kind."""

    @property
    def hint(self) -> str:
        """What a user can do where no face is found."""
        return self.faces.hint

    def find(self, pixels: Float[Tensor, "3 h w"]) -> list[Face]:
        """Return the faces that can be made to speak.

        Args:
            pixels: A picture, RGB in [-1, 1], of any size.

        Returns:
            The faces, largest first; empty where there is no face at all.

        Raises:
            OutOfDomain: When there are faces, but all are too small or turned too far.
        """
        faces = self.faces
        found = faces.find(pixels, portrait=True) if isinstance(faces, FaceAnalyser) else faces.find(pixels)
        reasons = [unsuitable(face) for face in found]
        fit = [face for face, reason in zip(found, reasons) if reason is None]
        if found and not fit:
            raise OutOfDomain(str(reasons[0]))
        if fit and fit[0].score < UNSURE_SCORE:
            log.warning(
                "The detector is only %.0f %% sure of the face: a painting, a drawing or a face that is hidden in part "
                "may move badly.",
                100 * fit[0].score,
            )
        return fit


def unsuitable(face: Face) -> str | None:
    """Return why a face cannot be made to speak; None where it can.

    Args:
        face: With 478 landmarks, in pixels.
    """
    width = float(face.box[2] - face.box[0])
    if width < LEAST_WIDTH_PX:
        return (
            f"The face must be at least {LEAST_WIDTH_PX:.0f} pixels wide, but the largest in the picture has "
            f"{width:.0f}. Use a picture with more pixels."
        )
    yaw = yaw_degrees(face.landmarks)
    if abs(yaw) > LARGEST_YAW_DEGREES:
        return (
            f"The face must be turned at most {LARGEST_YAW_DEGREES:.0f} degrees to the side, but is turned "
            f"{abs(yaw):.0f}. Use a picture in which it looks towards the camera."
        )
    return None


def yaw_degrees(points: Float[Tensor, "478 2"]) -> float:
    """Return how far a head is turned to the right of the picture, roughly.

    Args:
        points: MediaPipe's, in any unit.
    """
    left, right, nose = (points[k].numpy().astype(float) for k in (*TEMPLES, NOSE_TIP))
    across = right - left
    offset = (nose - (left + right) / 2) @ across / (across @ across) * 2
    return float(np.degrees(np.arctan(NOSE_DEPTH * offset)))
