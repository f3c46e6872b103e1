"""How a head is framed: the square that training pictures show of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ..topology import STEADY

SIZE = 0.36
"""Usual size of a face in a crop, as `face_frame` measures it: the head with its hair and a part of the shoulders."""

CENTRE = (0.0, -0.12)
"""Usual place of the middle of its steady points, in the crop's [-1, 1]."""


def face_frame(points: Float32[ndarray, "478 2"]) -> tuple[Float32[ndarray, "2"], float]:
    """Measure where a face lies, whatever its expression.

    Args:
        points: MediaPipe's, in any unit.

    Returns:
        The middle of its steady points, and their root mean square distance from it, in that unit.
    """
    steady = np.asarray(points, np.float32)[list(STEADY)]
    centre = steady.mean(0)
    return centre, float(np.sqrt(np.square(steady - centre).sum(1).mean()))
