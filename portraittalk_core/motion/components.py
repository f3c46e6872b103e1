"""Small networks over the points of a face: what they have in common, and vectors to vectors."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..types import LANDMARKS


class ResidualMLP(nn.Module):
    """A network from vectors to vectors with pre-normalised residual blocks; it starts as the zero function.

    Args:
        inputs: Width of what comes in.
        outputs: Width of what comes out.
        width: Of the blocks.
        blocks: How many.
    """

    def __init__(self, inputs: int, outputs: int, width: int, blocks: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
            for _ in range(blocks)
        )
        self.leave = nn.Linear(width, outputs)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n outputs"]:
        """Return the vectors that belong to `x`."""
        hidden = self.enter(x)
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.leave(nn.functional.gelu(hidden))


class Components(nn.Module):
    """Principal components of faces: what landmarks say, without what no face does.

    Args:
        count: Of the components.
    """

    mean: Tensor
    """The mean face [956]."""
    matrix: Tensor
    """From deviations to components of about unit variance [956, count]."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(2 * LANDMARKS))
        self.register_buffer("matrix", torch.zeros(2 * LANDMARKS, count))

    def forward(self, points: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n count"]:
        """Return the components of faces in one frame of reference."""
        return (points.flatten(1) - self.mean) @ self.matrix
