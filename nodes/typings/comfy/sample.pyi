from collections.abc import Callable, Sequence

from torch import Tensor

from .model_patcher import ModelPatcher

def prepare_noise(latent_image: Tensor, seed: int, noise_inds: Sequence[int] | None = None) -> Tensor: ...
def sample(
    model: ModelPatcher,
    noise: Tensor,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Sequence[object],
    negative: Sequence[object],
    latent_image: Tensor,
    *,
    denoise: float = 1.0,
    noise_mask: Tensor | None = None,
    callback: Callable[[int, Tensor, Tensor, int], None] | None = None,
    disable_pbar: bool = False,
    seed: int | None = None,
) -> Tensor: ...
