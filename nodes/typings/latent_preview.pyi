"""What is used of ComfyUI's `latent_preview`."""

from collections.abc import Sequence

import torch
from PIL.Image import Image

class LatentPreviewer:
    def decode_latent_to_preview(self, x0: torch.Tensor) -> Image: ...

class Latent2RGBPreviewer(LatentPreviewer):
    def __init__(
        self, latent_rgb_factors: Sequence[Sequence[float]], latent_rgb_factors_bias: Sequence[float] | None = None
    ) -> None: ...

def get_previewer(device: torch.device, latent_format: object) -> LatentPreviewer | None: ...
def preview_to_image(latent_image: torch.Tensor) -> Image: ...
