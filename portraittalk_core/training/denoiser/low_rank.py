"""Learn matrices of low rank beside a U-Net's attentions (LoRA, Hu et al., arXiv 2106.09685) while it stays itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...checkpoints.writing import save_tensors

_DOWN, _UP = ".lora_down.weight", ".lora_up.weight"
_LAYER = re.compile(r"\.attn[12]\.to_(q|k|v|out\.0)$")


def is_low_rank(name: str) -> bool:
    """Say whether a parameter is of such a matrix.

    Args:
        name: Of the parameter.
    """
    return name.endswith((_DOWN, _UP))


def add_low_rank(unet: nn.Module, rank: int) -> None:
    """Put matrices beside the projections of every attention; they add nothing until they are learned.

    Args:
        unet: Of diffusers.
        rank: Of the matrices.
    """
    layers = [module for name, module in unet.named_modules() if _LAYER.search(name)]
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        place = {"device": layer.weight.device, "dtype": layer.weight.dtype}
        layer.lora_down = nn.Linear(layer.in_features, rank, bias=False, **place)  # pyright: ignore[reportAttributeAccessIssue]
        layer.lora_up = nn.Linear(rank, layer.out_features, bias=False, **place)  # pyright: ignore[reportAttributeAccessIssue]
        nn.init.normal_(layer.lora_down.weight, std=1 / rank)
        nn.init.zeros_(layer.lora_up.weight)
        layer.register_forward_hook(_beside)


def _beside(layer: Any, inputs: tuple[Tensor, ...], out: Tensor) -> Tensor:
    return out + layer.lora_up(layer.lora_down(inputs[0]))


def folded(stored: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights as a network takes them: without matrices of its own it has them added to its weights.

    Args:
        stored: Weights of a file.
        own: Of the network.
    """
    found = dict(stored)
    for name in stored:
        if name.endswith(_DOWN) and name not in own:
            layer = name.removesuffix(_DOWN)
            base = own.get(f"{layer}.weight")
            up, down = stored.get(layer + _UP), found.pop(name)
            if base is None or up is None or base.shape != (len(up), down.shape[1]):
                found[name] = down  # of another network, which the caller will say
                continue
            del found[layer + _UP]
            found[f"{layer}.weight"] = found.get(f"{layer}.weight", base.detach()) + (up @ down).to(base)
    return found


def export_low_rank(path: Path, tensors: Mapping[str, Tensor]) -> int:
    """Write what is low-rank of a run as a LoRA file in the layout that ComfyUI, diffusers and A1111 read (kohya's).

    Args:
        path: Of the file.
        tensors: Of the run's weights.

    Returns:
        How many layers it changes.
    """
    found: dict[str, Tensor] = {}
    for name, value in tensors.items():
        if name.startswith("unet.") and is_low_rank(name):
            layer, end = (name.removesuffix(_DOWN), _DOWN) if name.endswith(_DOWN) else (name.removesuffix(_UP), _UP)
            key = "lora_unet_" + layer.removeprefix("unet.").replace(".", "_")
            found[key + end] = value.half().contiguous()
            if end == _DOWN:
                found[f"{key}.alpha"] = torch.tensor(float(len(value)))
    if found:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_tensors(found, path)
    return len(found) // 3
