"""PORTRAITTALK: what a model adds to a U-Net, loaded for ComfyUI."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from torch import Tensor, nn

from ..portraittalk_core import builders
from ..portraittalk_core.config import ModelConfig
from ..portraittalk_core.nets.animate_net import AnimateNet
from ..portraittalk_core.nets.identity_net import IdentityNet
from ..portraittalk_core.nets.reference_net import ReferenceNet
from ..portraittalk_core.preparation import Preparation
from ..portraittalk_core.sites import UNetShape
from ..portraittalk_core.weights import load_adapters, model_files


class AdapterNets(nn.Module):
    """The networks that run beside the U-Net, as one module that the host moves and frees."""

    def __init__(self, identity_net: IdentityNet, animate_net: AnimateNet) -> None:
        super().__init__()
        self.identity_net, self.animate_net = identity_net, animate_net


@dataclass(frozen=True)
class Adapters:
    """The value of a PORTRAITTALK socket.

    patcher: of `nets`; vae: the model's own, as the host's class, None for adapters that go with a stock checkpoint;
    nobody: tokens of the empty prompt, [1, tokens, dim].
    """

    config: ModelConfig
    shape: UNetShape
    nets: AdapterNets
    patcher: comfy.model_patcher.ModelPatcher
    reference_net: ReferenceNet
    preparation: Preparation
    nobody: Tensor
    vae: Any = None

    def get_models(self) -> list[comfy.model_patcher.ModelPatcher]:
        """Return what the host shall know of when it counts memory."""
        return [self.patcher]


def load(model: str, vae: Any = None) -> Adapters:
    """Load the adapters of a model, `tiny` or a folder. Raises `BadInput` and `WeightsMismatch`."""
    config, identity_net, animate_net = load_adapters(model_files(model)["denoiser"])
    nets = castable(AdapterNets(identity_net, animate_net))
    patcher = comfy.model_patcher.ModelPatcher(
        nets,
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    preparation = Preparation.load(model, config.name, config.size)
    return Adapters(
        config=config,
        shape=builders.unet_shape(config),
        nets=nets,
        patcher=patcher,
        reference_net=builders.reference_net(config),
        preparation=preparation,
        nobody=preparation.text.encode([""]),
        vae=vae,
    )


def castable(net: AdapterNets) -> AdapterNets:
    """Replace layers by the host's, which fetch and cast their weights when they run (low memory, half precision)."""
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            made = _host_layer(layer)
            if made is not None:
                made.weight, made.bias = layer.weight, layer.bias
                setattr(parent, name, made.requires_grad_(False))
    return net


def _host_layer(layer: Any) -> Any:
    """Return the host's empty layer of the same kind, None for what holds no weights of its own."""
    ops, empty = comfy.ops.manual_cast, {"device": torch.device("meta")}
    if type(layer) is nn.Linear:
        return ops.Linear(layer.in_features, layer.out_features, bias=layer.bias is not None, **empty)
    if type(layer) is nn.LayerNorm:
        return ops.LayerNorm(layer.normalized_shape, eps=layer.eps, **empty)
    if type(layer) is nn.GroupNorm:
        return ops.GroupNorm(layer.num_groups, layer.num_channels, eps=layer.eps, **empty)
    if type(layer) is nn.Conv2d:
        return ops.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            stride=layer.stride,
            padding=layer.padding,
            bias=layer.bias is not None,
            **empty,
        )
    return None


def available() -> list[str]:
    """Return the names of models to choose from: `tiny` is shipped, others lie in ComfyUI's models/portraittalk."""
    import folder_paths

    folders = [Path(folder) for folder in folder_paths.get_folder_paths("portraittalk")]
    found = {file.parent for folder in folders if folder.is_dir() for file in folder.glob("*/denoiser.safetensors")}
    return ["tiny", *sorted(folder.name for folder in found)]


def located(name: str) -> str:
    """Return `tiny` or the path of the folder of that name under models/portraittalk."""
    import folder_paths

    if name == "tiny":
        return name
    for folder in folder_paths.get_folder_paths("portraittalk"):
        if (Path(folder) / name).is_dir():
            return str(Path(folder) / name)
    return name
