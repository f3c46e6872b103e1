"""SD1.5's VAE, or TAESD in its place, in memory only while it works."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..hosts.at_once import rows_that_fit, run_at_once
from ..hosts.sd15_models import decoded, encoded
from .loader import NetworkLoader

_FACTOR = 8


@dataclass(frozen=True)
class LoadedCodec:
    """A VAE of SD1.5's latents, read when it is asked for.

    Its decoder is what needs most memory a pixel: as many pictures at once as an accelerator's free memory holds, and
    one at a time on a CPU.
    """

    loader: NetworkLoader
    """Reads it."""

    most_at_once: int = 16
    """Pictures; 1 where memory is short."""

    runs_while_sampling: bool = False
    """See `Codec`."""

    @torch.no_grad()
    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures: the mean of what the encoder says, scaled."""
        with self.loader.load("vae") as (vae,):

            def latents(rows: Tensor) -> Tensor:
                return encoded(vae, rows.to(self.loader.device, vae.dtype))

            return torch.cat(list(run_at_once(pixels, latents, self._at_once(pixels.shape[-2:], vae.dtype)))).float()

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Iterator[Float[Tensor, "k 3 s s"]]:
        """Yield the pictures of latents, some at a time."""
        with self.loader.load("vae") as (vae,):

            def pictures(rows: Tensor) -> Tensor:
                made = decoded(vae, rows.to(self.loader.device, vae.dtype))
                return self.loader.wait(made.float().clamp(-1, 1))

            size = [_FACTOR * side for side in latents.shape[-2:]]
            yield from run_at_once(latents, pictures, self._at_once(size, vae.dtype))

    def _at_once(self, size: Sequence[int], dtype: torch.dtype) -> int:
        """Return how many pictures fit: the largest maps have 256 channels at full size, and there are four at once."""
        row_bytes = 4 * 256 * size[0] * size[1] * dtype.itemsize
        return rows_that_fit(self.loader.device, row_bytes, self.most_at_once)
