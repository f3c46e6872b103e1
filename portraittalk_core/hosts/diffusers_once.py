"""What a U-Net computes anew at every step although it cannot change: the keys and values of text, and residuals."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ..host import Call
from ..sites import Site

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


@runtime_checkable
class KnownBeforehand(Protocol):
    """A SKIP branch, or an INPUT branch behind the mid block, that need not see the map which it adds to."""

    site: Site
    """See `host.Branch`."""

    def beforehand(self, call: Call) -> Tensor:
        """Return what is added, before the U-Net runs."""
        ...


def weights_dtype(net: nn.Module) -> torch.dtype:
    """Return the data type of a network's weights.

    diffusers' networks have a property for it, which takes milliseconds: it looks through all of them.

    Args:
        net: Of one data type.
    """
    return next(value.dtype for value in net.parameters() if value.is_floating_point())


@contextmanager
def swapped(parent: nn.Module, name: str, layer: object) -> Generator[None, None, None]:
    """Put a layer in the place of another until the context ends.

    Args:
        parent: Holds the layer.
        name: Of the layer there.
        layer: What takes its place.
    """
    before = getattr(parent, name)
    setattr(parent, name, layer)
    try:
        yield
    finally:
        setattr(parent, name, before)


class TextOnce:
    """Projects the text to a U-Net's keys and values once, as long as it is the same tensor."""

    def __init__(self, unet: UNet2DConditionModel) -> None:
        """Remember nothing yet.

        Args:
            unet: The U-Net.
        """
        names = ("to_k", "to_v")
        blocks: list[Any] = [m for path, m in unet.named_modules() if path.endswith(".attn2")]
        self._layers = [(block, name, _Remembering(getattr(block, name))) for block in blocks for name in names]

    @contextmanager
    def installed(self) -> Generator[None, None, None]:
        """Hold the remembering layers in the U-Net until the context ends; not while gradients are wanted."""
        with ExitStack() as stack:
            if not torch.is_grad_enabled():
                for parent, name, layer in self._layers:
                    if getattr(parent, name) is layer.layer:  # else somebody has put another one there since
                        stack.enter_context(swapped(parent, name, layer))
            yield


class _Remembering(nn.Module):
    """Answers the same tensor with what it answered before."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self._given: Tensor | None = None
        self._answer: Tensor | None = None

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)

    def forward(self, tokens: Tensor) -> Tensor:
        answer = self._answer
        if tokens is not self._given or answer is None:
            answer = self.layer(tokens)
            self._given, self._answer = tokens, answer
        return answer


def additional_residuals(branches: Sequence[KnownBeforehand], sites: Sequence[Site], call: Call) -> dict[str, Any]:
    """Return diffusers' own arguments for residuals that are known before the U-Net runs.

    Args:
        branches: One for every skip, and one behind the mid block.
        sites: The skips, in the order in which they are made.
        call: What the rows are.

    Returns:
        Arguments of `UNet2DConditionModel.forward`.
    """
    skips = {branch.site: branch for branch in branches if hasattr(branch, "skip")}
    (middle,) = (branch for branch in branches if hasattr(branch, "residual"))
    down = tuple(skips[site].beforehand(call) for site in sites)
    return {"down_block_additional_residuals": down, "mid_block_additional_residual": middle.beforehand(call)}
