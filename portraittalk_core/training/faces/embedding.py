"""Embed rendered faces with the shipped recogniser, on any device, from exact landmarks.

Training needs the embedding of a hundred thousand pictures. What generation does for one portrait (find the face,
align it by five points, run the ONNX recogniser) is done here for whole batches in torch, and gives the same up to
the error of the predicted landmarks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor

from ...errors import WeightsMismatch
from ...perception.face_geometry import ARCFACE_POINTS, MOUTH_CORNERS, NOSE_TIP
from ...topology import EYES

_SIZE = 112


class EmbedFrames:
    """The shipped recogniser, for batches of frames whose landmarks are known."""

    def __init__(self, faces: Path, device: torch.device | str, *, jitter_px: float = 0.0) -> None:
        """Load the recogniser.

        Args:
            faces: Folder of the face pack.
            device: That computes.
            jitter_px: Standard deviation of an error added to each of the five points, in pixels of a 256x256 picture,
                as predicted landmarks have it.
        """
        self._run = load_onnx(faces / "recogniser.onnx", device)
        self._target = torch.from_numpy(ARCFACE_POINTS).to(device)
        self._jitter_px = jitter_px

    @torch.no_grad()
    def __call__(
        self,
        pixels: Float[Tensor, "b 3 s s"] | UInt8[Tensor, "b 3 s s"],
        landmarks: Float[Tensor, "b 478 2"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "b 512"]:
        """Return unit embeddings.

        Args:
            pixels: In [-1, 1], or uint8 in [0, 255].
            landmarks: In [-1, 1].
            generator: Of the jitter.
        """
        if pixels.dtype == torch.uint8:
            pixels = pixels.float() / 127.5 - 1
        points = five_points(landmarks)
        if self._jitter_px:
            noise = torch.randn(points.shape, generator=generator, device=points.device)
            points = points + noise * (self._jitter_px / 128)
        return F.normalize(self._run(align(pixels, points, self._target)), dim=1)


def five_points(landmarks: Float[Tensor, "b 478 2"]) -> Float[Tensor, "b 5 2"]:
    """Return eye centres, nose tip and mouth corners.

    Args:
        landmarks: In any unit.
    """
    eyes = [landmarks[:, list(eye)].mean(1) for eye in EYES]
    return torch.stack([*eyes, *(landmarks[:, k] for k in (NOSE_TIP, *MOUTH_CORNERS))], 1)


def align(
    pixels: Float[Tensor, "b 3 s s"], points: Float[Tensor, "b 5 2"], target: Float[Tensor, "5 2"]
) -> Float[Tensor, "b 3 112 112"]:
    """Cut the square in which the similarity of least squares puts five points at their places.

    Beyond the picture its edge goes on, as generation has it.

    Args:
        pixels: In [-1, 1].
        points: In [-1, 1].
        target: Their places in the square, pixels as OpenCV counts.
    """
    to = (target + 0.5) / (_SIZE / 2) - 1
    a, b = (torch.view_as_complex(p.contiguous()) for p in (to.expand_as(points), points))
    a_mean, b_mean = a.mean(1, keepdim=True), b.mean(1, keepdim=True)
    a, b = a - a_mean, b - b_mean
    turn = (a.conj() * b).sum(1) / (a.conj() * a).sum(1).real
    # The mapping from output to input is fitted here; for five points it is insightface's, inverted, to within 1e-2 px
    # where the fit is good, since both minimise the same residual seen from the other side.
    shift = b_mean[:, 0] - turn * a_mean[:, 0]
    theta = torch.stack([turn.real, -turn.imag, shift.real, turn.imag, turn.real, shift.imag], 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [len(pixels), 3, _SIZE, _SIZE], align_corners=False)
    return F.grid_sample(pixels, grid, padding_mode="border", align_corners=False)


def load_onnx(file: Path, device: torch.device | str) -> Any:
    """Return an ONNX graph of plain layers as a torch function.

    Args:
        file: The ONNX file.
        device: That computes.

    Raises:
        WeightsMismatch: When the graph has other operators.
    """
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(str(file)).graph
    fixed = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()).to(device) for t in graph.initializer}
    unknown = {node.op_type for node in graph.node} - {*_OPERATORS}
    if unknown:
        raise WeightsMismatch(f"{file}: has operators that training cannot run: {', '.join(sorted(unknown))}.")

    def run(x: Tensor) -> Tensor:
        values = {**fixed, graph.input[0].name: x}
        for node in graph.node:
            options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            values[node.output[0]] = _OPERATORS[node.op_type]([values[name] for name in node.input], options)
        return values[graph.output[0].name]

    return run


def _conv(x: list[Tensor], o: dict[str, Any]) -> Tensor:
    return F.conv2d(x[0], x[1], x[2], stride=o["strides"], padding=o["pads"][:2], groups=o.get("group", 1))


_OPERATORS: dict[str, Callable[[list[Tensor], dict[str, Any]], Tensor]] = {
    "Cast": lambda x, o: x[0].float(),
    "Conv": _conv,
    "Relu": lambda x, o: x[0].relu(),
    "Add": lambda x, o: x[0] + x[1],
    "Reshape": lambda x, o: x[0].flatten(1),
    "Gemm": lambda x, o: F.linear(x[0], x[1], x[2]),
    "Identity": lambda x, o: x[0],
}
