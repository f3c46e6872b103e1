"""Low-rank corrections (LoRA) to the attention projections of a U-Net, named by site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..sites import Site, UNetShape
from .unet_keys import to_comfy

Projection = Literal["to_q", "to_k", "to_v", "to_out.0"]
"""A linear layer of an attention, as diffusers names it."""


@dataclass(frozen=True)
class LowRankPatch:
    """What is added to one projection: `up(down(x))` to its result, which is `up @ down` to its weight."""

    site: Site
    """Which layer's transformer; a host translates, as it does for branches."""

    attention: Literal["attn1", "attn2"]
    """Self-attention or cross-attention."""

    projection: Projection
    """Which linear layer of it."""

    down: Float[Tensor, "rank in"]
    """Weight of the first factor."""

    up: Float[Tensor, "out rank"]
    """Weight of the second."""

    @property
    def module(self) -> str:
        """The layer's name in a diffusers U-Net."""
        return f"{transformer_name(self.site)}.{self.attention}.{self.projection}"

    def added(self, inputs: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        """Return what is added to the layer's result, given what the layer was given."""
        return F.linear(F.linear(inputs, self.down.to(inputs)), self.up.to(inputs))


def transformer_name(site: Site) -> str:
    """Return the name in a diffusers U-Net of the transformer block at a site."""
    block = "mid_block" if site.stage == "mid" else f"{site.stage}_blocks.{site.block}"
    return f"{block}.attentions.{site.layer}.transformer_blocks.0"


def comfy_names(patches: Sequence[LowRankPatch], shape: UNetShape) -> dict[str, LowRankPatch]:
    """Return the patches by the weight that each changes in ComfyUI's `UNetModel`.

    Args:
        patches: Of a U-Net of this shape.
        shape: Of the U-Net.

    Returns:
        Names such as `input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight`; ComfyUI's model patcher wants
        `diffusion_model.` before them.

    Raises:
        WeightsMismatch: For a site that the shape lacks.
    """
    by_up = to_comfy({f"{patch.module}.weight": patch.up for patch in patches}, shape)
    return dict(zip(by_up, patches, strict=True))
