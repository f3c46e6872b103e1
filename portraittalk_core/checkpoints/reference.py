"""Load AniPortrait's reference_unet: the U-Net that ReferenceNet records from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..hosts.sd15_models import empty_unet
from .detect import Kind, expect
from .files import open_weights
from .layouts import SD15_SHAPE, account, shapes_of

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

_LAST = ("conv_norm_out.", "conv_out.")


@dataclass(frozen=True)
class LoadedReference:
    """A U-Net to record from."""

    unet: UNet2DConditionModel
    """The network, frozen; a host of it is what `ReferenceNet.record` is given."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_reference_unet(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedReference:
    """Load a U-Net to record from.

    AniPortrait's file lacks the last norm and convolution, which a recording never reaches; they are zero here.

    Args:
        path: AniPortrait's reference_unet, or a whole U-Net in diffusers' layout.
        dtype: Of the floating tensors.

    Raises:
        WeightsMismatch: Unless every other tensor has its place.
    """
    expect(path, Kind.REFERENCE_UNET, Kind.UNET)
    file, unet = open_weights(path), empty_unet(SD15_SHAPE)
    sizes = shapes_of(unet.state_dict())
    absent = {name for name in sizes if name.startswith(_LAST) and name not in file.shapes}
    expected = {name: size for name, size in sizes.items() if name not in absent}
    ignored = account(path, "AniPortrait's reference_unet", expected, file.shapes)
    zeros = {name: torch.zeros(sizes[name], dtype=dtype) for name in absent}
    unet.load_state_dict(file.tensors(dtype) | zeros, assign=True)
    return LoadedReference(unet.eval().requires_grad_(False), ignored)
