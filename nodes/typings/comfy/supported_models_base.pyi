from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .latent_formats import LatentFormat
from .model_base import BaseModel, ModelType

class ClipTarget:
    def __init__(self, tokenizer: object, clip: object) -> None: ...

class BASE:
    unet_extra_config: dict[str, object]
    latent_format: type[LatentFormat]
    memory_usage_factor: float
    supported_inference_dtypes: Sequence[torch.dtype]

    def __init__(self, unet_config: Mapping[str, object]) -> None: ...
    def model_type(self, state_dict: Mapping[str, Tensor], prefix: str = "") -> ModelType: ...
    def inpaint_model(self) -> bool: ...
    def set_inference_dtype(self, dtype: torch.dtype, manual_cast_dtype: torch.dtype | None) -> None: ...
    def get_model(
        self, state_dict: Mapping[str, Tensor], prefix: str = "", device: torch.device | None = None
    ) -> BaseModel: ...
