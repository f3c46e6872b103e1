import torch
from torch import Tensor, nn

class SpatialTransformer(nn.Module): ...

def optimized_attention(
    q: Tensor, k: Tensor, v: Tensor, heads: int, *, attn_precision: torch.dtype | None = None
) -> Tensor: ...
