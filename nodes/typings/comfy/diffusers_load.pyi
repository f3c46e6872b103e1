from collections.abc import Sequence

from .model_patcher import ModelPatcher
from .sd import CLIP, VAE

def load_diffusers(
    model_path: str, output_vae: bool, output_clip: bool, embedding_directory: Sequence[str]
) -> tuple[ModelPatcher, CLIP, VAE]: ...
