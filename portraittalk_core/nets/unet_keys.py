"""Translate U-Net weights between diffusers and the LDM layout that ComfyUI's `UNetModel` keeps.

The layout is that of latent diffusion (github.com/CompVis/latent-diffusion, `openaimodel.py`): input, middle and
output blocks numbered in running order, with up- and downsamplers as blocks or sub-blocks of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from ..errors import BadInput, WeightsMismatch
from ..sites import Site, UNetShape

_RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}

_ENDS = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}


def comfy_block(site: Site, shape: UNetShape) -> tuple[str, int]:
    """Return ComfyUI's address of a site: a kind of block and its number, for example `("input", 4)`.

    Args:
        site: A layer.
        shape: Of the U-Net.
    """
    if site.stage == "mid":
        return "middle", 0
    per_level = shape.layers + 1
    if site.stage == "down":
        return "input", 1 + per_level * site.block + site.layer
    return "output", per_level * site.block + site.layer


def comfy_config(shape: UNetShape, *, in_channels: int, out_channels: int) -> dict[str, object]:
    """Return the keyword arguments with which ComfyUI's `UNetModel` has the given shape.

    Args:
        shape: Of the U-Net.
        in_channels: Channels of what it is given.
        out_channels: Channels of what it predicts.

    Raises:
        BadInput: Unless every level's width is a multiple of the first.
    """
    first = shape.channels[0]
    if any(c % first for c in shape.channels):
        raise BadInput(f"`channels` must be multiples of the first, but got {shape.channels}. Try (64, 128, 256).")
    return {
        "image_size": 32,
        "in_channels": in_channels,
        "out_channels": out_channels,
        "model_channels": first,
        "num_res_blocks": [shape.layers] * len(shape.channels),
        "channel_mult": tuple(c // first for c in shape.channels),
        "transformer_depth": [int(a) for a in shape.attention for _ in range(shape.layers)],
        "transformer_depth_output": [int(a) for a in shape.attention for _ in range(shape.layers + 1)],
        "transformer_depth_middle": 1,
        "num_heads": shape.heads,
        "num_head_channels": -1,
        "use_spatial_transformer": True,
        "use_linear_in_transformer": False,
        "context_dim": shape.cross_dim,
        "legacy": False,
        "use_temporal_attention": False,
        "adm_in_channels": None,
        "use_checkpoint": False,
    }


def shape_from_comfy(config: Mapping[str, Any], heads: int) -> UNetShape:
    """Return the shape of ComfyUI's `UNetModel` with these keyword arguments.

    Args:
        config: The keyword arguments, as ComfyUI keeps them in `model_config.unet_config`.
        heads: Of its attentions.

    Raises:
        BadInput: For layouts that have no sites here: other than SD1.5's, with several transformer blocks a layer or
            layer counts that change from level to level.
    """
    layers, depths, levels = config["num_res_blocks"], config["transformer_depth"], len(config["channel_mult"])
    count = layers if isinstance(layers, int) else layers[0]
    per_level = [tuple(depths[count * k : count * (k + 1)]) for k in range(levels)]
    even = isinstance(layers, int) or len(set(layers)) == 1
    if not even or any(depth not in ((0,) * count, (1,) * count) for depth in per_level):
        raise BadInput(
            f"The model must have the layout of SD1.5, but has {layers} layers and {depths} transformer blocks a "
            "level. Use a checkpoint of the SD1.5 family."
        )
    channels = tuple(config["model_channels"] * m for m in config["channel_mult"])
    return UNetShape(channels, count, tuple(bool(d[0]) for d in per_level), config["context_dim"], heads)


def to_comfy(state: Mapping[str, Tensor], shape: UNetShape) -> dict[str, Tensor]:
    """Rename a diffusers U-Net's tensors for ComfyUI's `UNetModel`; the tensors are not copied.

    Args:
        state: Tensors, all or some, by their diffusers names.
        shape: Of the U-Net.

    Returns:
        The same tensors in the same order, by their LDM names.

    Raises:
        WeightsMismatch: Naming the first of the tensors that have no place in a U-Net of this shape.
    """
    modules = _modules(shape)
    renamed: dict[str, Tensor] = {}
    foreign: list[str] = []
    for key, tensor in state.items():
        prefix = next((p for p in _prefixes(key) if p in modules), None)
        if prefix is None:
            foreign.append(key)
        else:
            renamed[modules[prefix] + key[len(prefix) :]] = tensor
    if foreign:
        raise WeightsMismatch(
            f"The weights must be those of a U-Net of this shape in diffusers' layout, but {len(foreign)} tensors "
            f"have no place, first {', '.join(sorted(foreign)[:3])}. Give the shape of the U-Net they come from."
        )
    return renamed


def _modules(shape: UNetShape) -> dict[str, str]:
    """Return the module names, diffusers to LDM, under which tensors live."""
    names = dict(_ENDS)
    attention = set(shape.attention_sites())
    for site in shape.layer_sites():
        kind, number = comfy_block(site, shape)
        here = "mid_block" if site.stage == "mid" else f"{site.stage}_blocks.{site.block}"
        there = "middle_block" if kind == "middle" else f"{kind}_blocks.{number}"
        _add_resnet(names, f"{here}.resnets.{site.layer}", f"{there}.0")
        if site in attention:
            names[f"{here}.attentions.{site.layer}"] = f"{there}.1"
    _add_resnet(names, "mid_block.resnets.1", "middle_block.2")
    per_level = shape.layers + 1
    for level in range(len(shape.channels) - 1):
        names[f"down_blocks.{level}.downsamplers.0.conv"] = f"input_blocks.{per_level * (level + 1)}.0.op"
        last = Site("up", level, shape.layers)
        place = 2 if last in attention else 1
        names[f"up_blocks.{level}.upsamplers.0.conv"] = f"output_blocks.{comfy_block(last, shape)[1]}.{place}.conv"
    return names


def _add_resnet(names: dict[str, str], here: str, there: str) -> None:
    names.update({f"{here}.{ours}": f"{there}.{theirs}" for ours, theirs in _RESNET.items()})


def _prefixes(key: str) -> list[str]:
    """Return the module names that a key may belong to, longest first."""
    parts = key.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, 0, -1)]
