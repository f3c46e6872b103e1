"""Let torch compile what no branch acts in: residual and feed-forward layers of a U-Net, most of its arithmetic.

Attention is left alone: branches come and go there in every step, and each time would be compiled anew.
"""

from __future__ import annotations

from typing import Any

from torch import nn


def compile_layers(unet: Any) -> int:
    """Let layers of a U-Net be compiled when they first run; names of weights stay.

    Args:
        unet: Of diffusers.

    Returns:
        How many layers.
    """
    chosen: list[nn.Module] = []
    for block in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        attentions = getattr(block, "attentions", None)
        if attentions is None:  # branches act after its residual layers
            continue
        chosen += block.resnets
        chosen += [layer.ff for attention in attentions for layer in attention.transformer_blocks]
    for layer in chosen:
        layer.compile()
    return len(chosen)
