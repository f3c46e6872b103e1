"""Load ControlNets of SD1.5, such as ControlNetMediaPipeFace, in diffusers' and in the LDM layout."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..hosts.sd15_models import empty_controlnet
from ..nets.unet_keys import to_comfy
from .detect import Kind, expect
from .files import WeightsFile, open_weights
from .layouts import SD15_SHAPE, account, shapes_of

if TYPE_CHECKING:
    from diffusers.models.controlnets.controlnet import ControlNetModel

_HINT = "controlnet_cond_embedding."
_HINT_BLOCKS = 6


@dataclass(frozen=True)
class LoadedControlNet:
    """A ControlNet."""

    net: ControlNetModel
    """The network, frozen. Its picture is RGB in [0, 1] at eight times the latent's size."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_controlnet(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedControlNet:
    """Load a ControlNet for SD1.5.

    Args:
        path: The file, in diffusers' or the LDM layout. Which picture it was trained on is not in it:
            ControlNetMediaPipeFace wants that of `perception.face_drawing`, another file would take any.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: Unless every tensor has its place.
    """
    found = expect(path, Kind.CONTROLNET)
    file, net = open_weights(path), empty_controlnet(SD15_SHAPE)
    sizes = shapes_of(net.state_dict())
    names = _ldm_names(sizes, file) if found.layout == "ldm" else {name: name for name in sizes}
    expected = {names[own]: size for own, size in sizes.items()}
    ignored = account(path, "a ControlNet for SD1.5", expected, file.shapes)
    tensors = file.tensors(dtype)
    net.load_state_dict({own: tensors[name] for own, name in names.items()}, assign=True)
    return LoadedControlNet(net.eval().requires_grad_(False), ignored)


def _ldm_names(names: Iterable[str], file: WeightsFile) -> dict[str, str]:
    """Return the name in an LDM file of each tensor of diffusers' `ControlNetModel`."""
    prefix = "control_model." if any(name.startswith("control_model.") for name in file.shapes) else ""
    own = [name for name in names if not name.startswith("controlnet_")]
    renamed = dict(zip(own, to_comfy(dict.fromkeys(own, torch.empty(0)), SD15_SHAPE), strict=True))
    for name in names:
        module, _, kind = name.rpartition(".")
        if name.startswith(_HINT):
            # Convolutions and activations alternate in the sequence that the public files keep.
            place = {"conv_in": 0, "conv_out": 2 * _HINT_BLOCKS + 2}.get(module.removeprefix(_HINT))
            number = 2 * int(module.rpartition(".")[2]) + 2 if place is None else place
            renamed[name] = f"input_hint_block.{number}.{kind}"
        elif name.startswith("controlnet_down_blocks."):
            renamed[name] = f"zero_convs.{module.rpartition('.')[2]}.0.{kind}"
        elif name.startswith("controlnet_mid_block."):
            renamed[name] = f"middle_block_out.0.{kind}"
    return {name: prefix + there for name, there in renamed.items()}
