"""What stands between matrix products and convolutions: gates, and norms with their activation."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from .choice import compiled, either, wanted

_LARGEST_GROUP = 1 << 18  # numbers; above, one program a group leaves most of a GPU idle


def gated(projected: Float[Tensor, "*n two_c"]) -> Float[Tensor, "*n c"]:
    """Return the first half of each row times GELU of the second (GEGLU, Shazeer, arXiv 2002.05202).

    Args:
        projected: Both halves, side by side.
    """

    def plain() -> Tensor:
        value, gate = projected.chunk(2, -1)
        return value * F.gelu(gate)

    if not wanted(projected) or not projected.is_contiguous():
        return plain()
    return either("gated", projected.shape[-1], projected, lambda: _gated(projected), plain)


def _gated(projected: Tensor) -> Tensor:
    inner = projected.shape[-1] // 2
    out = projected.new_empty(*projected.shape[:-1], inner)
    rows = out.numel() // inner
    block = min(1024, 1 << (inner - 1).bit_length())
    compiled().gated[rows, -(-inner // block)](projected, out, inner, BLOCK=block, num_warps=4)
    return out


def group_norm(
    x: Float[Tensor, "n c h w"],
    groups: int,
    weight: Float[Tensor, "c"] | None,
    bias: Float[Tensor, "c"] | None,
    eps: float,
    silu: bool = False,
) -> Float[Tensor, "n c h w"]:
    """Return the group norm of a map, with SiLU behind it where that is wanted.

    Args:
        x: The map.
        groups: Of channels.
        weight: Of each channel.
        bias: Likewise.
        eps: Added to the variance.
        silu: Whether SiLU follows.
    """

    def plain() -> Tensor:
        normed = F.group_norm(x, groups, weight, bias, eps)
        return F.silu(normed) if silu else normed

    if weight is None or bias is None or not wanted(x, weight, bias) or not x.is_contiguous():
        return plain()
    if x.shape[1] % groups or x[0].numel() // groups > _LARGEST_GROUP:
        return plain()
    variant = (groups, silu, _block(x[0].numel() // groups))
    return either("group_norm", variant, x, lambda: _group_norm(x, groups, weight, bias, eps, silu), plain)


def _group_norm(x: Tensor, groups: int, weight: Tensor, bias: Tensor, eps: float, silu: bool) -> Tensor:
    rows, channels = x.shape[:2]
    out, places = torch.empty_like(x), x[0, 0].numel()
    per_group = channels // groups
    block = _block(per_group * places)
    compiled().group_norm[rows * groups,](
        x, weight, bias, out, places, per_group, eps,
        GROUPS=groups, SILU=silu, BLOCK=block, num_warps=8 if block >= 2048 else 4,
    )  # fmt: skip
    return out


def _block(size: int) -> int:
    return min(4096, 1 << (size - 1).bit_length())
