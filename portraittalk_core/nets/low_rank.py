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


@dataclass(frozen=True)
class LowRankPatch:
    """What is added to one projection: `up(down(x))` to its result, `up @ down` to its weight.

    site, attention, projection: which linear layer; a host translates, as it does for branches.
    """

    site: Site
    attention: Literal["attn1", "attn2"]
    projection: Projection
    down: Float[Tensor, "rank in"]
    up: Float[Tensor, "out rank"]

    @property
    def module(self) -> str:
        """The layer's name in a diffusers U-Net."""
        return f"{transformer_name(self.site)}.{self.attention}.{self.projection}"

    def added(self, inputs: Float[Tensor, "*b in"]) -> Float[Tensor, "*b out"]:
        """Return what is added to the layer's result."""
        return F.linear(F.linear(inputs, self.down.to(inputs)), self.up.to(inputs))

    def delta(self) -> Float[Tensor, "out in"]:
        """Return what is added to the layer's weight."""
        return self.up @ self.down


def transformer_name(site: Site) -> str:
    """Return the name in a diffusers U-Net of the transformer block at a site."""
    block = "mid_block" if site.stage == "mid" else f"{site.stage}_blocks.{site.block}"
    return f"{block}.attentions.{site.layer}.transformer_blocks.0"


def comfy_names(patches: Sequence[LowRankPatch], shape: UNetShape) -> dict[str, LowRankPatch]:
    """Return the patches by the weight that each changes in ComfyUI's `UNetModel`.

    For example `input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight`; its model patcher wants
    `diffusion_model.` before it. Raises `WeightsMismatch` for a site that the shape lacks.
    """
    by_up = to_comfy({f"{patch.module}.weight": patch.up for patch in patches}, shape)
    return dict(zip(by_up, patches, strict=True))
