from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .model_patcher import ModelPatcher

class CLIP:
    tokenizer: object
    cond_stage_model: Any

    def __init__(self, target: object) -> None: ...
    def tokenize(self, text: str) -> dict[str, list[list[tuple[int, float]]]]: ...
    def encode_from_tokens_scheduled(
        self, tokens: Mapping[str, list[list[tuple[int, float]]]]
    ) -> list[tuple[Tensor, dict[str, Any]]]:
        """Each entry is a list of two in truth."""
        ...

class VAE:
    first_stage_model: nn.Module
    patcher: ModelPatcher
    device: torch.device

    def __init__(self, sd: Mapping[str, Tensor], *, dtype: torch.dtype | None = None) -> None: ...
    def encode(self, pixel_samples: Tensor) -> Tensor: ...
    def decode(self, samples_in: Tensor) -> Tensor: ...
    def throw_exception_if_invalid(self) -> None: ...

def load_checkpoint_guess_config(
    ckpt_path: str,
    output_vae: bool = True,
    output_clip: bool = True,
    *,
    embedding_directory: Sequence[str] | None = None,
    output_model: bool = True,
) -> tuple[ModelPatcher, CLIP, VAE, object]: ...
def load_text_encoder_state_dicts(state_dicts: Sequence[dict[str, Tensor]]) -> CLIP: ...
def load_diffusion_model_state_dict(sd: Mapping[str, Tensor]) -> ModelPatcher | None: ...
def load_lora_for_models(
    model: ModelPatcher, clip: CLIP | None, lora: Mapping[str, Tensor], strength_model: float, strength_clip: float
) -> tuple[ModelPatcher, CLIP | None]: ...
