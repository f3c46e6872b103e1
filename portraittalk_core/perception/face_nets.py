"""The three tiny face networks: detector, landmarks, recogniser.

They are trained by `training.faces` and shipped as ONNX files which `insightface.app.FaceAnalysis` loads, so each
follows that package's contract for its inputs and outputs. Inputs are RGB in [-1, 1].
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .. import topology

DETECTOR_SIZE = 256
"""Side of the detector's square input, pixels."""

LANDMARK_SIZE = 192
"""Side of the landmark network's input, pixels; insightface recognises landmark networks by it."""

RECOGNISER_SIZE = 112
"""Side of the recogniser's input, pixels."""

STRIDES = (8, 16, 32)
"""Pixels a cell of each of the detector's three grids."""


class Unit(nn.Sequential):
    """A convolution, batch normalisation and, by default, rectification.

    Args:
        inputs: Channels that come in.
        outputs: Channels that come out.
        stride: Of the convolution.
        kernel: Side of its kernel; the input is padded to keep its size.
        rectify: Whether negative values become 0.
    """

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, kernel: int = 3, rectify: bool = True):
        layers: list[nn.Module] = [
            nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]
        super().__init__(*layers, *([nn.ReLU()] if rectify else []))


class Residual(nn.Module):
    """Two 3x3 convolutions that are added to the input.

    Args:
        channels: Of input and output.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.first = Unit(channels, channels)
        self.second = Unit(channels, channels, rectify=False)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Return the rectified sum."""
        return F.relu(x + self.second(self.first(x)))


def enlarge(x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h2 w2"]:
    """Double height and width by repeating cells."""
    return F.interpolate(x, scale_factor=2.0, mode="nearest")


class Detector(nn.Module):
    """A detector of faces in a 256x256 picture with the output contract of SCRFD: nine maps, two anchors a cell.

    Both anchors of a cell carry the same prediction: faces do not overlap enough to need two, and
    insightface's non-maximum suppression merges them. Distances and offsets are in units of the stride.

    Args:
        widths: Channels of the five levels, from the finest.
    """

    def __init__(self, *, widths: tuple[int, int, int, int, int] = (8, 24, 48, 64, 96)):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(Unit(3, a, stride=2), Unit(a, b, stride=2))
        self.fine = nn.Sequential(Unit(b, c, stride=2), Unit(c, c))
        self.middle = nn.Sequential(Unit(c, d, stride=2), Residual(d))
        self.coarse = nn.Sequential(Unit(d, e, stride=2), Residual(e))
        self.to_middle = Unit(e, d, kernel=1)
        self.to_fine = Unit(d, c, kernel=1)
        self.heads = nn.ModuleList(self._head(n, c) for n in (c, d, e))

    @staticmethod
    def _head(inputs: int, width: int) -> nn.Sequential:
        last = nn.Conv2d(width, 15, 1)
        # Nearly every cell is empty: start with scores near 0.02, or the first steps are spent on learning that.
        nn.init.constant_(cast(Tensor, last.bias)[:1], -4.0)
        return nn.Sequential(Unit(inputs, width), last)

    def forward(self, x: Float[Tensor, "b 3 256 256"]) -> tuple[Float[Tensor, "b 15 h w"], ...]:
        """Return raw maps of a picture.

        Args:
            x: RGB in [-1, 1].

        Returns:
            One map a stride of `STRIDES`: score logit, four log distances, ten key point offsets.
        """
        fine = self.fine(self.stem(x))
        middle = self.middle(fine)
        coarse = self.coarse(middle)
        middle = middle + enlarge(self.to_middle(coarse))
        fine = fine + enlarge(self.to_fine(middle))
        return tuple(head(level) for head, level in zip(self.heads, (fine, middle, coarse)))


class DetectorOutputs(nn.Module):
    """The detector with SCRFD's nine outputs: scores, distances and key points for each stride.

    Args:
        detector: Gives the raw maps.
    """

    def __init__(self, detector: Detector):
        super().__init__()
        self.detector = detector

    def forward(self, x: Float[Tensor, "1 3 256 256"]) -> tuple[Float[Tensor, "cells k"], ...]:
        """Return three scores in [0, 1], three of distances and three of key points, in units of the stride."""
        maps = self.detector(x)
        scores = tuple(self._rows(m[:, 0:1].sigmoid(), 1) for m in maps)
        boxes = tuple(self._rows(m[:, 1:5].exp(), 4) for m in maps)
        points = tuple(self._rows(m[:, 5:15], 10) for m in maps)
        return scores + boxes + points

    @staticmethod
    def _rows(m: Float[Tensor, "1 k h w"], width: int) -> Float[Tensor, "cells k"]:
        return torch.cat([m, m], 1).permute(0, 2, 3, 1).reshape(-1, width)


class Landmarker(nn.Module):
    """A network that places 478 landmarks in a 192x192 crop: heat maps for some of them carry all.

    An hourglass draws a heat map for each anchor, a point that the eye can find (margins of lids and lips, irises,
    brows, nose, outline). Its expected coordinates (integral regression, arXiv 1711.08229) are finer than the cells and
    learn from far fewer pictures than a fully connected layer does. All points are then sums of anchors, one matrix for
    x and y alike, so that a face that is turned, squeezed or shifted is lifted as well as an upright one.

    Args:
        widths: Channels of the five levels, from the finest.
        anchors: Number of heat maps.
    """

    grid: Tensor

    def __init__(
        self,
        *,
        widths: tuple[int, int, int, int, int] = (16, 32, 64, 112, 144),
        anchors: int = len(topology.ANCHORS),
    ):
        super().__init__()
        a, b, c, d, e = widths
        self.stem = nn.Sequential(Unit(3, a, stride=2), Unit(a, b, stride=2))
        self.down1 = nn.Sequential(Unit(b, c, stride=2), Residual(c))
        self.down2 = nn.Sequential(Unit(c, d, stride=2), Residual(d), Residual(d))
        self.down3 = nn.Sequential(Unit(d, e, stride=2), Residual(e), Residual(e))
        self.up3 = Unit(e, d, kernel=1)
        self.up2 = Unit(d, c, kernel=1)
        self.up1 = Unit(c, b, kernel=1)
        self.fuse2 = Residual(c)
        self.fuse1 = Residual(b)
        self.heat = nn.Parameter(torch.randn(anchors, b) / b**0.5)
        self.lift = nn.Parameter(torch.full((topology.POINTS, anchors), 1 / anchors))
        self.register_buffer("grid", cell_centres(LANDMARK_SIZE // 4), persistent=False)

    def features(self, x: Float[Tensor, "b 3 192 192"]) -> Float[Tensor, "b c cells"]:
        """Return what is known of each cell, cells row by row."""
        x1 = self.stem(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        x3 = x3 + enlarge(self.up3(self.down3(x3)))
        x2 = self.fuse2(x2 + enlarge(self.up2(x3)))
        return self.fuse1(x1 + enlarge(self.up1(x2))).flatten(2)

    def forward(self, x: Float[Tensor, "b 3 192 192"]) -> Float[Tensor, "b 956"]:
        """Return x and y of each point in insightface's crop coordinates: pixel (as OpenCV counts) = (v + 1) * 96."""
        heat = torch.softmax(torch.matmul(self.heat, self.features(x)), -1)
        return torch.matmul(self.lift, torch.matmul(heat, self.grid)).flatten(1)


def cell_centres(cells: int) -> Float[Tensor, "n 2"]:
    """Return x, y of the centres of a square grid of cells over [-1, 1], row by row."""
    centres = (torch.arange(cells) + 0.5) / cells * 2 - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)


class Recogniser(nn.Module):
    """A network that embeds an ArcFace-aligned 112x112 face; only the direction of the result carries meaning.

    Args:
        widths: Channels of the four levels, from the finest.
        dim: Of the embedding.
    """

    def __init__(self, *, widths: tuple[int, int, int, int] = (16, 32, 64, 128), dim: int = 512):
        super().__init__()
        a, b, c, d = widths
        self.body = nn.Sequential(
            Unit(3, a, stride=2),
            Unit(a, b, stride=2),
            Residual(b),
            Unit(b, c, stride=2),
            Residual(c),
            Unit(c, d, stride=2),
            Residual(d),
            # A 7x7 depthwise convolution keeps where things are; an average would forget it.
            nn.Conv2d(d, d, 7, groups=d),
        )
        self.project = nn.Linear(d, dim)

    def forward(self, x: Float[Tensor, "b 3 112 112"]) -> Float[Tensor, "b dim"]:
        """Return the embedding, of any length, of faces in RGB in [-1, 1]."""
        return self.project(self.body(x).flatten(1))
