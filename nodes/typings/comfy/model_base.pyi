from enum import Enum
from typing import Any

import torch
from torch import nn

from .latent_formats import LatentFormat
from .model_sampling import ModelSampling

class ModelType(Enum):
    EPS = 1
    V_PREDICTION = 2

class BaseModel(nn.Module):
    model_config: Any
    latent_format: LatentFormat
    model_sampling: ModelSampling
    diffusion_model: nn.Module

    def get_dtype(self) -> torch.dtype: ...
