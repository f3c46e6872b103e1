"""Show what is being denoised while it is: a small VAE decodes what a frame is heading for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ..checkpoints.catalogue import find, search_folders, select
from ..checkpoints.detect import Kind
from ..checkpoints.small_vae import load_small_vae
from ..errors import WeightsMismatch
from ..hosts.devices import network_dtype
from ..hosts.sd15_models import decoded
from ..types import LatentVideo
from .base import Stack
from .public import PublicStack

TAESD = "taesd"
"""The catalogue's name of the VAE that shows SD1.5's latents."""


def quick_decoder(stack: Stack, comfyui: Path | None = None) -> Callable[[Float[Tensor, "c h w"]], Tensor]:
    """Return what decodes the latents of a frame in a fraction of a step's time.

    Args:
        stack: Whose latents they are. tiny's own VAE is small and stays loaded; for the SD1.5 stacks TAESD is, whose
            ten megabytes stand beside the U-Net.
        comfyui: ComfyUI's folder, whose files are used too.

    Returns:
        A function from latents to a picture [3, s, s] in [-1, 1].

    Raises:
        WeightsMismatch: When TAESD is needed and not here.
    """
    if not isinstance(stack, PublicStack):
        return lambda latents: next(stack.decode(LatentVideo(latents[None], 25.0))).pixels[0]
    spec, device = stack.loader.spec, stack.device
    own = spec.files.get("vae") if spec.kind("vae") is Kind.SMALL_VAE else None
    path = own or find(select([TAESD])[0], search_folders(comfyui))
    if path is None:
        raise WeightsMismatch(
            "Pictures of what is being made need TAESD, which is not here. Run `portraittalk models download taesd`."
        )
    vae = load_small_vae(path, network_dtype(device)).net
    torch.nn.Module.to(vae, device)  # diffusers' own is typed for nothing

    @torch.no_grad()
    def shown(latents: Float[Tensor, "c h w"]) -> Tensor:
        return decoded(vae, latents[None].to(device, vae.dtype))[0].float().clamp(-1, 1).cpu()

    return shown
