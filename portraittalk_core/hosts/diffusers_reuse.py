"""Run only the outer layers of a U-Net, on what its inner layers gave some steps ago.

After DeepCache (Ma et al., arXiv 2312.00858): from one step to the next the inner features hardly change, and the outer
ones carry the detail. Outer are the first block on the way down and the last on the way up.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor, nn

from ..host import Branch, DeepFeatures, Hook, hooks_of
from ..sites import Site, UNetShape
from .diffusers_once import swapped

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class InnerLayers:
    """The layers of a U-Net that a step may leave out."""

    def __init__(self, unet: UNet2DConditionModel, shape: UNetShape) -> None:
        """Change nothing yet.

        Args:
            unet: The U-Net.
            shape: Of it.
        """
        self._unet, self._shape = unet, shape

    def spared(self, deep: DeepFeatures | None, branches: list[Branch], side: int) -> bool:
        """Say whether a step can leave the inner layers out: there is something to go on, and nobody needs them.

        Args:
            deep: Of the call.
            branches: All that are attached; one that sees an inner layer and acts on the prediction needs it.
            side: Of the latents; where it does not halve evenly the U-Net asks skips for their sizes.
        """
        if deep is None or deep.hidden is None or len(self._shape.channels) < 2:
            return False
        even = side % 2 ** (len(self._shape.channels) - 1) == 0
        return even and all(Hook.OUTPUT not in hooks_of(b) or self.is_outer(b.site) for b in branches)

    def is_outer(self, site: Site | None) -> bool:
        """Say whether a site is in the layers that always run.

        Args:
            site: Of a branch; None is before or behind all layers.
        """
        last = len(self._shape.channels) - 1
        return site is None or (site.stage, site.block) in (("down", 0), ("up", last))

    @contextmanager
    def watched(self, deep: DeepFeatures) -> Generator[None, None, None]:
        """Keep what the inner layers give in the run of this context.

        Args:
            deep: Where.
        """

        def keep(_module: nn.Module, _args: Any, kwargs: dict[str, Any]) -> None:
            deep.hidden = kwargs["hidden_states"]

        last = self._unet.up_blocks[-1]
        handle = last.register_forward_pre_hook(keep, with_kwargs=True)
        try:
            yield
        finally:
            handle.remove()

    @contextmanager
    def left_out(self, deep: DeepFeatures) -> Generator[None, None, None]:
        """Let the U-Net run without its inner layers until the context ends.

        Args:
            deep: Full of what they gave.
        """
        unet: Any = self._unet
        with ExitStack() as stack:
            for k in range(1, len(unet.down_blocks)):
                stack.enter_context(swapped(unet.down_blocks, str(k), _Down(unet.down_blocks[k])))
            stack.enter_context(swapped(unet, "mid_block", _Through()))
            for k in range(len(unet.up_blocks) - 1):
                stack.enter_context(swapped(unet.up_blocks, str(k), _Up(unet.up_blocks[k], deep)))
            yield

    def residuals(self, deep: DeepFeatures) -> dict[str, Any]:
        """Return a ControlNet's residuals for a step without inner layers: of those that it gave last, the outer ones.

        Args:
            deep: Which has them; none without a ControlNet.
        """
        if not deep.residuals:
            return {}
        nothing = deep.residuals[0].new_zeros(())
        others = len(self._shape.skip_sites()) - len(deep.residuals)
        down = (*deep.residuals, *(nothing,) * others)
        return {"down_block_additional_residuals": down, "mid_block_additional_residual": nothing}


class _Down(nn.Module):
    """A block on the way down that does nothing, and says that it has made its skips."""

    has_cross_attention = False

    def __init__(self, block: Any) -> None:
        super().__init__()
        self._skips = len(block.resnets) + len(block.downsamplers or ())

    def forward(self, hidden_states: Tensor, **_: object) -> tuple[Tensor, tuple[Tensor, ...]]:
        return hidden_states, (hidden_states.new_zeros(()),) * self._skips


class _Through(nn.Module):
    has_cross_attention = False

    def forward(self, hidden: Tensor, *_: object, **__: object) -> Tensor:
        return hidden


class _Up(nn.Module):
    """A block on the way up that hands over what was kept."""

    has_cross_attention = False

    def __init__(self, block: Any, deep: DeepFeatures) -> None:
        super().__init__()
        self.resnets = range(len(block.resnets))  # the U-Net counts them
        self._deep = deep

    def forward(self, **_: object) -> Tensor:
        return cast(Tensor, self._deep.hidden)
