"""Read TAESD (github.com/madebyollin/taesd), a VAE of SD1.5's latents that is thirty times smaller than its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..hosts.sd15_models import empty_small_vae
from .detect import Kind, expect
from .files import open_weights
from .layouts import account, shapes_of

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny


@dataclass(frozen=True)
class LoadedSmallVae:
    """What a TAESD file holds."""

    net: AutoencoderTiny
    """The network, frozen."""
    ignored: dict[str, str]
    """Names of the tensors that were left out, each with the reason."""


def load_small_vae(path: Path | str, dtype: torch.dtype = torch.float32) -> LoadedSmallVae:
    """Load TAESD, encoder and decoder.

    Args:
        path: The file, in diffusers' layout.
        dtype: Of the network's floating tensors.

    Raises:
        WeightsMismatch: Unless every tensor has its place.
    """
    expect(path, Kind.SMALL_VAE)
    net, file = empty_small_vae(), open_weights(path)
    expected = shapes_of(net.state_dict())
    ignored = account(path, "TAESD", expected, file.shapes)
    tensors = file.tensors(dtype)
    net.load_state_dict({name: tensors[name] for name in expected}, assign=True)
    return LoadedSmallVae(net.eval().requires_grad_(False), ignored)
