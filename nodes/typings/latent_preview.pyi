from collections.abc import Sequence
from typing import Protocol

import torch
from PIL.Image import Image
from torch import Tensor

class Latent2RGBPreviewer:
    def __init__(
        self, latent_rgb_factors: Sequence[Sequence[float]], latent_rgb_factors_bias: Sequence[float] | None = None
    ) -> None: ...
    def decode_latent_to_preview(self, x0: Tensor) -> Image: ...

class LatentPreviewer(Protocol):
    def decode_latent_to_preview(self, x0: Tensor) -> Image: ...

def get_previewer(device: torch.device, latent_format: object) -> LatentPreviewer | None: ...
