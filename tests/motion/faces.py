"""Points of rendered people that no training sees: six of them, four views of each; see `draw_faces`."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

AT_REST, TOOTHY, SPEAKING, ASLEEP = range(4)
"""The views of a person."""


@dataclass(frozen=True)
class Faces:
    """A row a face: view k of person i is row 4 i + k."""

    landmarks: torch.Tensor
    """[24, 478, 2] in [-1, 1]."""

    coefficients: torch.Tensor
    """[24, 52]."""

    pose: torch.Tensor
    """[24, 6]."""

    def view(self, number: int) -> torch.Tensor:
        """Return one view of everybody, [6, 478, 2]."""
        return self.landmarks[number::4]


def faces() -> Faces:
    """Read them."""
    with np.load(Path(__file__).with_name("faces.npz")) as stored:
        names = ("landmarks", "coefficients", "pose")
        return Faces(*(torch.from_numpy(stored[name].astype(np.float32)) for name in names))
