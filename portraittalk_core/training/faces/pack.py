"""Write the face networks as a pack: the folder of ONNX files that `insightface.app.FaceAnalysis` loads.

insightface recognises a file by its shapes: nine outputs are a detector, a 192x192 input is a landmark network whose
task it names by half its outputs (956: `landmark_2d_478`), a 112x112 input is a recogniser.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor, nn

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
from ...topology import POINTS
from .onnx import export_onnx, start_from_onnx

FILES = {"landmarks": "landmark_2d_478.onnx", "detector": "det.onnx", "recogniser": "recogniser.onnx"}


def write_pack(directory: Path, nets: Mapping[str, nn.Module]) -> None:
    """Write `landmark_2d_478.onnx`, `det.onnx` and `recogniser.onnx`, or those of them whose network is given.

    Args:
        directory: Of the pack; made if it is not there.
        nets: Trained `Landmarker`, `Detector` and `Recogniser`, by the names `landmarks`, `detector`, `recogniser`.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for name, net in nets.items():
        _WRITERS[name](directory, net)


def start_from_pack(directory: Path, name: str, net: nn.Module, example: Tensor) -> None:
    """Give a network the weights that a pack has of it, to train it further.

    Args:
        directory: Of the pack.
        name: `landmarks`, `detector` or `recogniser`.
        net: Changed.
        example: A batch of its inputs, in [-1, 1].
    """
    whole = DetectorOutputs(net) if isinstance(net, Detector) else net
    start_from_onnx(whole, directory / FILES[name], example)


def _write_landmarker(directory: Path, net: nn.Module) -> None:
    assert isinstance(net, Landmarker)
    crop = ("None", 3, LANDMARK_SIZE, LANDMARK_SIZE)
    export_onnx(net, directory / FILES["landmarks"], shape=crop, outputs={"fc1": ["None", 2 * POINTS]})


def _write_detector(directory: Path, net: nn.Module) -> None:
    assert isinstance(net, Detector)
    cells = {stride: 2 * (DETECTOR_SIZE // stride) ** 2 for stride in STRIDES}
    outputs = {f"{name}_{s}": [cells[s], k] for name, k in (("score", 1), ("bbox", 4), ("kps", 10)) for s in STRIDES}
    whole = (1, 3, DETECTOR_SIZE, DETECTOR_SIZE)
    export_onnx(DetectorOutputs(net), directory / FILES["detector"], shape=whole, outputs=outputs)


def _write_recogniser(directory: Path, net: nn.Module) -> None:
    assert isinstance(net, Recogniser)
    face = ("None", 3, RECOGNISER_SIZE, RECOGNISER_SIZE)
    export_onnx(net, directory / FILES["recogniser"], shape=face, outputs={"embedding": ["None", 512]})


_WRITERS: dict[str, Callable[[Path, nn.Module], None]] = {
    "landmarks": _write_landmarker,
    "detector": _write_detector,
    "recogniser": _write_recogniser,
}
