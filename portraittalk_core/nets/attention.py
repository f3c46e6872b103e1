"""Attention and the small modules that several networks are made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..host import Call, CrossBranch
from ..kernels.attention import KeySet
from ..kernels.cross import attend
from ..kernels.elementwise import gated
from ..sites import Site


class GatedFeedForward(nn.Module):
    """Widens tokens fourfold behind a gate (GEGLU, Shazeer, arXiv 2002.05202) and narrows them.

    State-dict keys are those of diffusers' `FeedForward`.

    Args:
        width: Of the tokens, in and out.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleList([_Gated(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)])

    def forward(self, tokens: Float[Tensor, "*n c"]) -> Float[Tensor, "*n c"]:
        """Return the tokens after both layers; what they were is not added."""
        return self.net[2](self.net[0](tokens))


class _Gated(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, tokens: Float[Tensor, "*n c"]) -> Float[Tensor, "*n inner"]:
        return gated(self.proj(tokens))


class TokenProjection(nn.Module):
    """Turns one vector into tokens: Linear, GELU, Linear, LayerNorm.

    The layout (`proj.0`, `proj.2`, `norm`) is that of the public IP-Adapter FaceID files.

    Args:
        input_dim: Width of the vector.
        token_dim: Width of a token.
        tokens: How many one vector becomes.
        hidden_dim: Width between the linear layers.
    """

    def __init__(self, *, input_dim: int, token_dim: int, tokens: int, hidden_dim: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.proj = nn.Sequential(
            nn.Linear(input_dim, hidden_dim), nn.GELU(), nn.Linear(hidden_dim, token_dim * tokens)
        )
        self.norm = nn.LayerNorm(token_dim)

    def forward(self, vectors: Float[Tensor, "*n input"]) -> Float[Tensor, "*n tokens token"]:
        """Return the tokens of each vector."""
        return self.norm(self.proj(vectors).unflatten(-1, (self.tokens, -1)))


class KeyValue(nn.Module):
    """Projects tokens to the keys and values of one cross-attention, without bias.

    The layout (`to_k_ip`, `to_v_ip`) is that of the public IP-Adapter files.

    Args:
        token_dim: Width of a token.
        width: Of the cross-attention's queries.
    """

    def __init__(self, token_dim: int, width: int) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(token_dim, width, bias=False)
        self.to_v_ip = nn.Linear(token_dim, width, bias=False)

    def forward(self, tokens: Float[Tensor, "n m token"]) -> tuple[Float[Tensor, "n m c"], Float[Tensor, "n m c"]]:
        """Return keys and values."""
        return self.to_k_ip(tokens), self.to_v_ip(tokens)


class KeyValues(nn.ModuleDict):
    """One `KeyValue` for each cross-attention, numbered as in the public IP-Adapter files: 1, 3, 5, ...

    Args:
        token_dim: Width of a token.
        sites: The cross-attentions and their widths, in the order of `UNetShape.adapter_sites()`.
    """

    def __init__(self, token_dim: int, sites: Iterable[tuple[Site, int]]) -> None:
        layers = {site: KeyValue(token_dim, width) for site, width in sites}
        super().__init__({str(2 * k + 1): layer for k, layer in enumerate(layers.values())})
        self.layers = layers

    def branches(
        self,
        given: Float[Tensor, "n m token"],
        absent: Float[Tensor, "1 m token"],
        condition: Literal["text", "identity", "audio"],
        scale: float,
    ) -> list[CrossBranch]:
        """Return a CROSS branch for every site; see `TokenCross`.

        Args:
            given: Tokens, one row for each frame of the video or a single row for all.
            absent: Tokens of the passes that do not see `condition`.
            condition: Which field of `host.Pass` decides.
            scale: Multiplies what is added.
        """
        return [TokenCross(site, layer, given, absent, condition, scale) for site, layer in self.layers.items()]


class TokenCross:
    """Adds `scale * Attn(q, tokens)` to a cross-attention: the decoupled branch of IP-Adapter (arXiv 2308.06721).

    Keys and values are projected once, here; a step only picks rows.

    Args:
        site: The cross-attention.
        layer: Projects tokens to its keys and values.
        given: Tokens, one row for each frame of the video or a single row for all.
        absent: Tokens of the passes that do not see `condition`.
        condition: Which field of `host.Pass` decides.
        scale: Multiplies what is added.
    """

    def __init__(
        self,
        site: Site,
        layer: KeyValue,
        given: Float[Tensor, "n m token"],
        absent: Float[Tensor, "1 m token"],
        condition: Literal["text", "identity", "audio"],
        scale: float,
    ) -> None:
        self.site = site
        self._given, self._absent = layer(given), layer(absent)
        self._condition: Literal["text", "identity", "audio"] = condition
        self._scale = scale
        self._kept: tuple[object, list[Tensor]] = (None, [])

    def cross(self, query: Float[Tensor, "b l c"], heads: int, call: Call) -> Float[Tensor, "b l c"]:
        """Return what is added; see `host.CrossBranch`."""
        key, value = self._rows(call, query.dtype)
        added = attend(query, key, value, heads)
        return added if self._scale == 1 else self._scale * added

    def key_set(self, call: Call, dtype: torch.dtype) -> KeySet:
        """Return keys, values and strength; see `kernels.cross.OwnKeys`."""
        key, value = self._rows(call, dtype)
        return key, value, self._scale

    def _rows(self, call: Call, dtype: torch.dtype) -> list[Tensor]:
        """Return keys and values of the batch; what all frames share is repeated once for all steps."""
        shared = len(self._given[0]) == 1
        wanted = (call.passes, len(call.frames), dtype)
        if shared and self._kept[0] == wanted:
            return self._kept[1]
        pairs = zip(self._given, self._absent, strict=True)
        rows = [call.batch(given, absent, self._condition).to(dtype) for given, absent in pairs]
        if shared:
            self._kept = (wanted, rows)
        return rows


def has_learned(net: nn.Module, last: str) -> bool:
    """Say whether a network has begun to learn: whether its last layers have left zero.

    They begin at zero, so that an untrained network adds nothing; until they have left it, it costs time for nothing.

    Args:
        net: A network.
        last: The name that its last layers share, for example `proj_out`.
    """
    return any(bool(value.any()) for name, value in net.named_parameters() if f"{last}." in name)
