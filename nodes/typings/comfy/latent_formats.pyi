from torch import Tensor

class LatentFormat:
    scale_factor: float
    latent_channels: int
    latent_rgb_factors: list[list[float]] | None
    latent_rgb_factors_bias: list[float] | None

    def process_in(self, latent: Tensor) -> Tensor: ...
    def process_out(self, latent: Tensor) -> Tensor: ...

class SD15(LatentFormat): ...
