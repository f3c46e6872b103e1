"""SD1.5's VAE with the face of the tiny model's: latents as the denoiser sees them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .sd15_models import decoded, empty_vae, encoded

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL


class KlVae(nn.Module):
    """Encodes pictures to the means of SD1.5's latents, scaled to unit variance, and back.

    Args:
        vae: The network.
    """

    def __init__(self, vae: AutoencoderKL) -> None:
        super().__init__()
        self.vae = vae

    @classmethod
    def empty(cls) -> KlVae:
        """Return one whose weights are to be filled, with memory for them."""
        with torch.device("meta"):
            made = cls(empty_vae())
        return made.to_empty(device="cpu")

    @property
    def config(self) -> dict[str, Any]:
        """What is asked of it: `latent_channels`."""
        return {"latent_channels": int(self.vae.config["latent_channels"])}

    def encode(self, pixels: Float[Tensor, "n 3 h w"]) -> Any:
        """Return an object whose `latents` are those of pictures in [-1, 1]."""
        return SimpleNamespace(latents=encoded(self.vae, pixels))

    def decode(self, latents: Float[Tensor, "n 4 h w"]) -> Any:
        """Return an object whose `sample` is the pictures of latents."""
        return SimpleNamespace(sample=decoded(self.vae, latents))
