"""Translate the names of SD1.5's VAE between diffusers and the LDM layout.

The layout is that of latent diffusion (github.com/CompVis/latent-diffusion, `autoencoder.py`): the decoder counts its
levels from the finest, diffusers from the first that runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LEVELS = 4
"""Resolutions of SD1.5's VAE."""

_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}

_DEPRECATED = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

_PLACES: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r"mid_block\.resnets\.(\d)", lambda found: f"mid.block_{int(found[1]) + 1}"),
    (r"mid_block\.attentions\.0", lambda found: "mid.attn_1"),
    (r"down_blocks\.(\d)\.resnets\.(\d)", lambda found: f"down.{found[1]}.block.{found[2]}"),
    (r"down_blocks\.(\d)\.downsamplers\.0", lambda found: f"down.{found[1]}.downsample"),
    (r"up_blocks\.(\d)\.resnets\.(\d)", lambda found: f"up.{LEVELS - 1 - int(found[1])}.block.{found[2]}"),
    (r"up_blocks\.(\d)\.upsamplers\.0", lambda found: f"up.{LEVELS - 1 - int(found[1])}.upsample"),
    (r"conv_norm_out", lambda found: "norm_out"),
    (r"conv_shortcut", lambda found: "nin_shortcut"),
)


def ldm_name(name: str) -> str:
    """Return the LDM name of a tensor of diffusers' `AutoencoderKL`.

    Args:
        name: For example `encoder.mid_block.attentions.0.to_q.weight`, which gives `encoder.mid.attn_1.q.weight`.
    """
    if ".attentions.0." in name:
        name = _swap(name, _ATTENTION)
    for pattern, place in _PLACES:
        name = re.sub(pattern, place, name)
    return name


def deprecated_name(name: str) -> str:
    """Return a tensor's name in files of diffusers before 0.15: `query` for `to_q`, `proj_attn` for `to_out.0`.

    Args:
        name: Its name today.
    """
    return _swap(name, _DEPRECATED) if ".attentions.0." in name else name


def is_attention_weight(name: str) -> bool:
    """Say whether a tensor, by its diffusers name, is a matrix here and a 1 x 1 convolution in the LDM layout."""
    return ".attentions.0.to_" in name and name.endswith(".weight")


def _swap(name: str, names: dict[str, str]) -> str:
    place, _, layer = name.partition(".attentions.0.")
    module, _, kind = layer.rpartition(".")
    return f"{place}.attentions.0.{names.get(module, module)}.{kind}"
