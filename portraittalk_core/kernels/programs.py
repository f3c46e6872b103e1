# pyright: reportMissingImports=false, reportUnknownParameterType=false, reportMissingParameterType=false
# pyright: reportUntypedFunctionDecorator=false
"""The kernels themselves, in Triton. Imported where Triton is installed only; the other modules say what they compute.

Capitals are constants of the compiler. Sums are kept in float32. Heads lie side by side in a row's width, as linear
layers leave them, so that nothing is transposed.
"""

import triton
import triton.language as tl


@triton.jit
def _attended(
    query, keys, values, count, key_row, value_row, columns, inside, scale,
    ROWS: tl.constexpr, KEYS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Return softmax(query keys^T) values for some queries of a head, with the softmax taken block by block."""
    peak = tl.full([ROWS], float("-inf"), tl.float32)
    total = tl.zeros([ROWS], tl.float32)
    result = tl.zeros([ROWS, WIDTH], tl.float32)
    for start in range(0, count, KEYS):
        rows = start + tl.arange(0, KEYS)
        there = rows < count
        key = tl.load(keys + rows[:, None] * key_row + columns, mask=there[:, None] & inside, other=0.0)
        value = tl.load(values + rows[:, None] * value_row + columns, mask=there[:, None] & inside, other=0.0)
        score = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
        score = tl.where(there[None, :], score, float("-inf"))
        top = tl.maximum(peak, tl.max(score, 1))
        weight = tl.exp2(score - top[:, None])
        fade = tl.exp2(peak - top)
        total = total * fade + tl.sum(weight, 1)
        added = tl.dot(weight.to(value.dtype), value, input_precision="ieee")
        result = result * fade[:, None] + added
        peak = top
    return result / total[:, None]


@triton.jit
def cross_attention(
    query, out, length, query_batch, query_row, scale,
    keys0, values0, count0, key_batch0, key_row0, value_batch0, value_row0, strength0,
    keys1, values1, count1, key_batch1, key_row1, value_batch1, value_row1, strength1,
    keys2, values2, count2, key_batch2, key_row2, value_batch2, value_row2, strength2,
    SETS: tl.constexpr, HEADS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, ROWS: tl.constexpr,
    KEYS0: tl.constexpr, KEYS1: tl.constexpr, KEYS2: tl.constexpr,
):  # fmt: skip
    """Write some rows of one head: the sum of attentions over up to three sets of keys, each with its strength."""
    head, batch = tl.program_id(1), tl.program_id(2).to(tl.int64)
    rows = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    columns = tl.arange(0, WIDTH)[None, :]
    inside = columns < DIM
    mask = (rows < length)[:, None] & inside
    at = head * DIM
    start = query + batch * query_batch + at
    asked = tl.load(start + rows[:, None] * query_row + columns, mask=mask, other=0.0)
    result = strength0 * _attended(
        asked, keys0 + batch * key_batch0 + at, values0 + batch * value_batch0 + at, count0, key_row0, value_row0,
        columns, inside, scale, ROWS, KEYS0, WIDTH,
    )  # fmt: skip
    if SETS > 1:
        result += strength1 * _attended(
            asked, keys1 + batch * key_batch1 + at, values1 + batch * value_batch1 + at, count1, key_row1, value_row1,
            columns, inside, scale, ROWS, KEYS1, WIDTH,
        )  # fmt: skip
    if SETS > 2:
        result += strength2 * _attended(
            asked, keys2 + batch * key_batch2 + at, values2 + batch * value_batch2 + at, count2, key_row2, value_row2,
            columns, inside, scale, ROWS, KEYS2, WIDTH,
        )  # fmt: skip
    place = out + (batch * length + rows[:, None]) * (HEADS * DIM) + at + columns
    tl.store(place, result.to(asked.dtype), mask=mask)


@triton.jit
def frame_attention(
    packed, shifts, out, frames, places, scale,
    HEADS: tl.constexpr, DIM: tl.constexpr, WIDTH: tl.constexpr, FRAMES: tl.constexpr,
):  # fmt: skip
    """Write one head of one place of the picture, in all frames of a clip."""
    place, head = tl.program_id(0) // HEADS, tl.program_id(0) % HEADS
    clip = tl.program_id(1).to(tl.int64)
    rows = tl.arange(0, FRAMES)
    columns = tl.arange(0, WIDTH)[None, :]
    mask = (rows < frames)[:, None] & (columns < DIM)
    whole = HEADS * DIM
    row = (clip * frames + rows[:, None]) * places + place
    at = row * (3 * whole) + head * DIM + columns
    shift = rows[:, None] * (3 * whole) + head * DIM + columns
    kind = packed.dtype.element_ty
    query = _shifted(packed + at, shifts + shift, mask).to(kind)
    key = _shifted(packed + at + whole, shifts + shift + whole, mask).to(kind)
    value = _shifted(packed + at + 2 * whole, shifts + shift + 2 * whole, mask).to(kind)
    score = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
    score = tl.where((rows < frames)[None, :], score, float("-inf"))
    weight = tl.exp2(score - tl.max(score, 1)[:, None])
    result = tl.dot(weight.to(kind), value, input_precision="ieee") / tl.sum(weight, 1)[:, None]
    tl.store(out + row * whole + head * DIM + columns, result.to(kind), mask=mask)


@triton.jit
def _shifted(values, shifts, mask):
    value = tl.load(values, mask=mask, other=0.0).to(tl.float32)
    return value + tl.load(shifts, mask=mask, other=0.0).to(tl.float32)


@triton.jit
def gated(projected, out, inner, BLOCK: tl.constexpr):
    """Write part of a row: its first half times GELU of its second half."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = columns < inner
    start = projected + row * (2 * inner) + columns
    value = tl.load(start, mask=mask, other=0.0)
    gate = tl.load(start + inner, mask=mask, other=0.0).to(tl.float32)
    opened = 0.5 * gate * (1.0 + tl.erf(gate * 0.7071067811865476))
    opened = opened.to(value.dtype).to(tl.float32)  # rounded as torch rounds it between the two operations
    tl.store(out + row * inner + columns, (value.to(tl.float32) * opened).to(value.dtype), mask=mask)


@triton.jit
def group_norm(
    values, weight, bias, out, places, per_group, eps,
    GROUPS: tl.constexpr, SILU: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Write one group of one picture. Sums are of differences from its first number, so that none is lost."""
    group = tl.program_id(0) % GROUPS
    size = per_group * places
    start = tl.program_id(0).to(tl.int64) * size
    first = tl.load(values + start).to(tl.float32)
    total, squares = tl.zeros([BLOCK], tl.float32), tl.zeros([BLOCK], tl.float32)
    for at in range(0, size, BLOCK):
        here = at + tl.arange(0, BLOCK)
        value = tl.load(values + start + here, mask=here < size, other=0.0).to(tl.float32)
        value = tl.where(here < size, value - first, 0.0)
        total += value
        squares += value * value
    mean = tl.sum(total, 0) / size
    spread = tl.rsqrt(tl.maximum(tl.sum(squares, 0) / size - mean * mean, 0.0) + eps)
    mean += first
    for at in range(0, size, BLOCK):
        here = at + tl.arange(0, BLOCK)
        channel = group * per_group + here // places
        value = tl.load(values + start + here, mask=here < size, other=0.0)
        factor = tl.load(weight + channel, mask=here < size, other=0.0).to(tl.float32)
        added = tl.load(bias + channel, mask=here < size, other=0.0).to(tl.float32)
        normed = (value.to(tl.float32) - mean) * spread * factor + added
        if SILU:
            normed = normed * tl.sigmoid(normed)
        tl.store(out + start + here, normed.to(value.dtype), mask=here < size)
