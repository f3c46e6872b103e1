"""Attention over short sequences: decoupled cross-attention, and attention over the frames of a clip."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .choice import compiled, either, wanted

KeySet = tuple[Float[Tensor, "b m c"], Float[Tensor, "b m c"], float]
"""Keys, values, and how strongly they count."""

MOST_SETS = 3
"""Of keys, in one kernel: text, identity, audio."""

MOST_FRAMES = 64
"""That one clip may have."""

_WIDEST_HEAD = 256
_LOG2_E = math.log2(math.e)


def decoupled(
    query: Float[Tensor, "b l c"], sets: Sequence[KeySet], heads: int, plain: Callable[[], Tensor]
) -> Float[Tensor, "b l c"]:
    """Return the sum of attentions over several sets of keys, by one kernel where that can run.

    `sum_i strength_i * softmax(q k_i^T / sqrt(c / heads)) v_i`: PortraitTalk's decoupled cross-attention
    (arXiv 2412.07754), of which the query is read once and the result written once.

    Args:
        query: Of all of them.
        sets: Keys and values; rows that the batch shares may be expanded.
        heads: Side by side in the width.
        plain: The same in torch.
    """
    tensors = [tensor for key, value, _ in sets for tensor in (key, value)]
    dim = query.shape[-1] // heads
    fits = 1 <= len(sets) <= MOST_SETS and dim <= _WIDEST_HEAD and all(t.shape[1] for t in tensors)
    if not fits or not wanted(query, *tensors):
        return plain()
    sizes = [_block(key.shape[1], dim) for key, _, _ in sets]
    variant = (heads, dim, *sizes)
    return either("cross_attention", variant, query, lambda: _decoupled(query, sets, heads, sizes), plain)


def _decoupled(query: Tensor, sets: Sequence[KeySet], heads: int, sizes: Sequence[int]) -> Tensor:
    batch, length, width = query.shape
    query = _dense_rows(query)
    dim = width // heads
    out = torch.empty_like(query, memory_format=torch.contiguous_format)
    given: list[Any] = []
    for key, value, strength in sets:
        key, value = _dense_rows(key), _dense_rows(value)
        given += [key, value, key.shape[1], *key.stride()[:2], *value.stride()[:2], float(strength)]
    filler = [query, query, 0, 0, 0, 0, 0, 0.0] * (MOST_SETS - len(sets))  # of sets that the compiler leaves out
    padded = _power(dim)
    rows = 64 if padded <= 128 else 32
    compiled().cross_attention[-(-length // rows), heads, batch](
        query, out, length, *query.stride()[:2], _LOG2_E / math.sqrt(dim), *given, *filler,
        SETS=len(sets), HEADS=heads, DIM=dim, WIDTH=padded, ROWS=rows,
        **{f"KEYS{k}": size for k, size in enumerate([*sizes, 16, 16][:MOST_SETS])},
        num_warps=4, num_stages=1,
    )  # fmt: skip
    return out


def over_frames(
    packed: Float[Tensor, "clips frames places c3"], shifts: Float[Tensor, "frames c3"], heads: int
) -> Float[Tensor, "clips frames places c"]:
    """Return attention over the frames of a clip, of every place by itself, without moving a place's frames together.

    Args:
        packed: Queries, keys and values, side by side, in the order in which pictures lie in memory.
        shifts: What is added to them in each frame: positions, projected.
        heads: Of the attention, side by side in each of the three.
    """

    def plain() -> Tensor:
        clips, frames, places, _ = packed.shape
        parts = (packed + shifts[:, None]).chunk(3, -1)
        # clips f p (heads d) -> clips p heads f d
        q, k, v = (part.unflatten(-1, (heads, -1)).permute(0, 2, 3, 1, 4) for part in parts)
        mixed = torch.nn.functional.scaled_dot_product_attention(q, k, v)
        return mixed.permute(0, 3, 1, 2, 4).reshape(clips, frames, places, -1)

    frames, dim = packed.shape[1], packed.shape[-1] // (3 * heads)
    if frames > MOST_FRAMES or dim > _WIDEST_HEAD or not wanted(packed, shifts):
        return plain()
    variant = (heads, dim, _power(frames))
    return either("frame_attention", variant, packed, lambda: _over_frames(packed, shifts, heads), plain)


def _over_frames(packed: Tensor, shifts: Tensor, heads: int) -> Tensor:
    packed, shifts = packed.contiguous(), shifts.contiguous()
    clips, frames, places, width = packed.shape
    dim = width // (3 * heads)
    out = packed.new_empty(clips, frames, places, width // 3)
    padded, height = _power(dim), _power(frames)
    compiled().frame_attention[places * heads, clips](
        packed, shifts, out, frames, places, _LOG2_E / math.sqrt(dim),
        HEADS=heads, DIM=dim, WIDTH=padded, FRAMES=height,
        num_warps=1 if height * padded <= 2048 else 4, num_stages=1,
    )  # fmt: skip
    return out


def _dense_rows(tensor: Tensor) -> Tensor:
    """Return a tensor whose rows lie in one piece each; the batch may be expanded."""
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()


def _power(number: int) -> int:
    """Return the next power of two, at least what a matrix unit takes."""
    return max(16, 1 << (number - 1).bit_length())


def _block(keys: int, dim: int) -> int:
    """Return how many keys are looked at together: all where they are few, as many as fast memory holds."""
    return min(_power(keys), 64 if dim <= 128 else 32)
