"""A small U-Net of residual blocks, for maps that are read off pictures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from .group_norm import normed

_GROUPS = 8


class SmallUNet(nn.Module):
    """One block a level on the way down and on the way up, joined by sums.

    Args:
        inputs: Channels that come in.
        outputs: Channels that go out; before training they are zero.
        widths: Channels of the levels; each has half the side of the one before.
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.enter = nn.Conv2d(inputs, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), _Block(b)) for a, b in pairwise(widths)
        )
        self.first, self.middle = _Block(widths[0]), _Block(widths[-1])
        self.up = nn.ModuleList(
            nn.ModuleList([nn.Conv2d(b, a, 1), _Block(a)]) for a, b in reversed(list(pairwise(widths)))
        )
        self.leave = nn.Conv2d(widths[0], outputs, 3, padding=1)
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # pyright: ignore[reportArgumentType]

    def run(self, maps: Float[Tensor, "n inputs h w"]) -> Float[Tensor, "n outputs h w"]:
        """Return what it reads.

        Args:
            maps: Whose sides the levels divide.
        """
        hidden = self.first(self.enter(maps))
        kept: list[Tensor] = []
        for layer in self.down:
            kept.append(hidden)
            hidden = layer(hidden)
        hidden = self.middle(hidden)
        for layer, skip in zip(self.up, reversed(kept), strict=True):
            narrow, block = layer  # pyright: ignore[reportGeneralTypeIssues]
            hidden = functional.interpolate(narrow(hidden), scale_factor=2.0, mode="nearest")
            hidden = block(hidden + skip)
        return self.leave(hidden)


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(_GROUPS, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(functional.silu(normed(self.norm, x)))
        return x + self.second(functional.silu(hidden))
