"""Decoupled cross-attention: text, and what branches add to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, cast, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..host import Call, CrossBranch
from .attention import KeySet, decoupled
from .choice import wanted


def attend(
    query: Float[Tensor, "b l c"], key: Float[Tensor, "b m c"], value: Float[Tensor, "b m c"], heads: int
) -> Float[Tensor, "b l c"]:
    """Compute multi-head attention of projected tokens: `softmax(q k^T / sqrt(c / heads)) v`.

    On a CPU the fused kernel of torch 2.13 is never slower than plain matrix products, also for 4 to 16 tokens, and
    twice as fast in training.

    Args:
        query: Of the l tokens that look.
        key: Of the m tokens that are looked at, as wide as the query.
        value: Of those, likewise.
        heads: A divisor of the width c.

    Returns:
        One row for each query; the heads' results lie side by side.
    """
    q, k, v = (t.unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value))
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


@runtime_checkable
class OwnKeys(Protocol):
    """A CROSS branch that is attention to tokens of its own, which one kernel may run together with the text's."""

    def key_set(self, call: Call, dtype: torch.dtype) -> KeySet:
        """Return its keys, values and strength.

        Args:
            call: What the rows are.
            dtype: Of the query.
        """
        ...


def cross_attention(
    query: Float[Tensor, "b l c"],
    key: Float[Tensor, "b m c"],
    value: Float[Tensor, "b m c"],
    heads: int,
    branches: Sequence[CrossBranch],
    call: Call,
    plain: Callable[[Tensor, Tensor, Tensor, int], Tensor] = attend,
) -> Float[Tensor, "b l c"]:
    """Return what a cross-attention gives before its output projection, with what branches add.

    This is the one place where both hosts sum the decoupled attentions of text, identity and audio.

    Args:
        query: Projected.
        key: Of the text.
        value: Of the text.
        heads: Side by side in the width.
        branches: In the order in which they add up.
        call: What the rows are.
        plain: The host's own attention, for where there is no kernel.
    """

    def apart() -> Tensor:
        out = plain(query, key, value, heads)
        for branch in branches:
            out = out + branch.cross(query, heads, call)
        return out

    if not branches or not wanted(query, key, value) or not all(hasattr(b, "key_set") for b in branches):
        return apart()
    sets = [branch.key_set(call, query.dtype) for branch in cast("Sequence[OwnKeys]", branches)]
    return decoupled(query, [(key, value, 1.0), *sets], heads, apart)
