"""Write the face networks as a pack: the folder of ONNX files that `insightface.app.FaceAnalysis` loads.

insightface recognises a file by its shapes: nine outputs are a detector, a 192x192 input is a landmark network
(3309 outputs: 68 points in space, 212: 106 points in the plane), a 112x112 input is a recogniser.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...perception.face import IRIS_ROWS, ROWS_106
from ...perception.face_nets import (
    DETECTOR_SIZE,
    LANDMARK_SIZE,
    RECOGNISER_SIZE,
    STRIDES,
    Detector,
    DetectorOutputs,
    Landmarker,
    Recogniser,
)
from .onnx import export_onnx

VERTICES = 1103
"""Rows of the 3309-layout; insightface uses its last 68."""

RELIEF = (-0.9, -0.85, -0.75, -0.62, -0.45, -0.28, -0.12, 0.0, 0.05)
"""Depth of jaw points 0..8, half head widths towards the viewer; 9..16 mirror them. Our definition."""


class SpacePoints(nn.Module):
    """Pad the 68 landmarks to the 3309-layout (x, y, z of 1103 vertices, the last 68 being the landmarks).

    The depths are those of a fixed relief: insightface computes the head pose from x and y alone.
    """

    choose: Tensor
    lift: Tensor
    relief: Tensor

    def __init__(self, landmarker: Landmarker):
        """Wrap a landmarker.

        Args:
            landmarker: Trained.
        """
        super().__init__()
        self.landmarker = landmarker
        self.register_buffer("choose", torch.eye(68, 70))
        self.register_buffer("lift", torch.eye(2, 3))
        self.register_buffer("relief", torch.tensor(_depths())[:, None] * torch.tensor([0.0, 0.0, 1.0]))

    def forward(self, x: Float[Tensor, "b 3 192 192"]) -> Float[Tensor, "b 3309"]:
        """Return the vertices as insightface reads them: x and y in [-1, 1], z a fixed relief.

        Args:
            x: Crops in [-1, 1].
        """
        points = torch.matmul(torch.matmul(self.choose, self.landmarker(x)), self.lift) + self.relief
        return F.pad(points.flatten(1), ((VERTICES - 68) * 3, 0))


class PlanePoints(nn.Module):
    """Lay 70 landmarks out in insightface's 106-point order; rows without a landmark of ours repeat a neighbour."""

    pick: Tensor

    def __init__(self, landmarker: Landmarker):
        """Wrap a landmarker.

        Args:
            landmarker: Trained.
        """
        super().__init__()
        self.landmarker = landmarker
        rows = {row: i for i, row in enumerate([*ROWS_106, *IRIS_ROWS])}
        pick = torch.zeros(106, 70)
        for row in range(106):
            pick[row, rows[min(rows, key=lambda known: (abs(known - row), known))]] = 1.0
        self.register_buffer("pick", pick)

    def forward(self, x: Float[Tensor, "b 3 192 192"]) -> Float[Tensor, "b 212"]:
        """Return the points as insightface reads them: x and y in [-1, 1].

        Args:
            x: Crops in [-1, 1].
        """
        return torch.matmul(self.pick, self.landmarker(x)).flatten(1)


def _depths() -> list[float]:
    jaw = [*RELIEF, *RELIEF[-2::-1]]
    nose = [0.25, 0.33, 0.42, 0.5, 0.28, 0.32, 0.36, 0.32, 0.28]
    return [*jaw, *[0.1] * 10, *nose, *[0.08] * 12, *[0.2] * 20]


def write_pack(directory: Path, landmarker: nn.Module, detector: nn.Module, recogniser: nn.Module) -> None:
    """Write `det.onnx`, `landmark_2d_106.onnx`, `landmark_3d_68.onnx` and `recogniser.onnx`.

    Args:
        directory: Of the pack; made if it is not there.
        landmarker: A trained `Landmarker`.
        detector: A trained `Detector`.
        recogniser: A trained `Recogniser`.
    """
    assert isinstance(landmarker, Landmarker) and isinstance(detector, Detector) and isinstance(recogniser, Recogniser)
    directory.mkdir(parents=True, exist_ok=True)
    crop = ("None", 3, LANDMARK_SIZE, LANDMARK_SIZE)
    export_onnx(PlanePoints(landmarker), directory / "landmark_2d_106.onnx", shape=crop, outputs={"fc1": ["None", 212]})
    export_onnx(SpacePoints(landmarker), directory / "landmark_3d_68.onnx", shape=crop, outputs={"fc1": ["None", 3309]})
    face = ("None", 3, RECOGNISER_SIZE, RECOGNISER_SIZE)
    export_onnx(recogniser, directory / "recogniser.onnx", shape=face, outputs={"embedding": ["None", 512]})
    cells = {stride: 2 * (DETECTOR_SIZE // stride) ** 2 for stride in STRIDES}
    outputs = {f"{name}_{s}": [cells[s], k] for name, k in (("score", 1), ("bbox", 4), ("kps", 10)) for s in STRIDES}
    whole = (1, 3, DETECTOR_SIZE, DETECTOR_SIZE)
    export_onnx(DetectorOutputs(detector), directory / "det.onnx", shape=whole, outputs=outputs)
