"""The VAE of the tiny model and its like: small enough to stay in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ..hosts.devices import lowered

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

DECODED_AT_ONCE = 8
"""Pictures."""


@dataclass(frozen=True)
class ResidentCodec:
    """A small VAE that is read when it is first needed, and stays on its device."""

    read: Callable[[], AutoencoderTiny]
    """Gives the network, always the same."""

    device: torch.device
    """Where it is."""

    runs_while_sampling: bool = True
    """See `Codec`."""

    multiplies: torch.dtype | None = None
    """In which precision it multiplies, see `hosts.devices.fast_dtype`; None: in that of its weights."""

    @property
    def vae(self) -> AutoencoderTiny:
        """The network."""
        return self.read()

    @torch.no_grad()
    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures."""
        with lowered(self.multiplies, self.device):
            return cast(Any, self.vae.encode(pixels.to(self.device))).latents.float()

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Iterator[Float[Tensor, "k 3 s s"]]:
        """Yield the pictures of latents."""
        for part in latents.split(DECODED_AT_ONCE):
            with lowered(self.multiplies, self.device):
                pictures = cast(Any, self.vae.decode(part.to(self.device))).sample
            yield pictures.float().clamp(-1, 1).cpu()
