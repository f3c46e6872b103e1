from collections.abc import Mapping
from typing import Protocol

import torch
from torch import nn

class Operations(Protocol):
    """A class of `comfy.ops`."""

    def Embedding(self, count: int, width: int, *, dtype: torch.dtype, device: torch.device) -> nn.Embedding: ...

class CLIPTextModel(nn.Module):
    def __init__(
        self, config_dict: Mapping[str, int], dtype: torch.dtype, device: torch.device, operations: Operations
    ) -> None: ...
    def set_input_embeddings(self, embeddings: nn.Module) -> None: ...
