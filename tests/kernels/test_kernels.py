"""Each kernel against the same in float64, on odd sizes."""

import pytest
import torch
from torch.nn import functional as F

from portraittalk_core.kernels import choice
from portraittalk_core.kernels.attention import decoupled, over_frames
from portraittalk_core.kernels.elementwise import gated, group_norm

HALF = {torch.float32: 2e-6, torch.float16: 2e-3, torch.bfloat16: 2e-2}


def close(found, exact, dtype):
    assert found.dtype == dtype and found.shape == exact.shape
    apart = (found.double() - exact).abs().max() / exact.abs().max()
    assert float(apart) < 2 * HALF[dtype], float(apart)


def alone(monkeypatch):
    """Let a kernel's first use go unchecked, so that only it can have made the result."""
    monkeypatch.setattr(choice, "_agree", lambda made, expected: True)


def textbook(query, key, value, heads):
    q, k, v = (t.double().unflatten(-1, (heads, -1)).transpose(1, 2) for t in (query, key, value))
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


@pytest.mark.parametrize(
    ("dtype", "heads", "dim", "length", "keys"),
    [
        (torch.float32, 2, 40, 37, (77, 16, 4)),
        (torch.float32, 1, 160, 5, (77, 3)),
        (torch.float16, 2, 80, 19, (1, 130)),
        (torch.float32, 3, 5, 7, (9,)),
    ],
)
def test_decoupled_cross_attention(place, noise, monkeypatch, dtype, heads, dim, length, keys):
    def made(*shape):
        return torch.randn(*shape, generator=noise).to(place, dtype)

    alone(monkeypatch)
    query = made(2, length, heads * dim)
    sets = [
        (made(2, count, heads * dim), made(1, count, heads * dim).expand(2, -1, -1), strength)
        for count, strength in zip(keys, (1.0, 0.5, 1.7), strict=False)
    ]
    found = decoupled(query, sets, heads, lambda: query)
    exact = sum(strength * textbook(query, key, value, heads) for key, value, strength in sets)
    close(found, exact, dtype)


@pytest.mark.parametrize(
    ("dtype", "heads", "dim", "clips", "frames", "places"),
    [
        (torch.float32, 2, 40, 2, 16, 3),
        (torch.float32, 1, 160, 1, 5, 2),
        (torch.float16, 2, 80, 1, 32, 2),
        (torch.float32, 3, 5, 2, 7, 3),
    ],
)
def test_attention_over_frames(place, noise, monkeypatch, dtype, heads, dim, clips, frames, places):
    packed = torch.randn(clips, frames, places, 3 * heads * dim, generator=noise).to(place, dtype)
    shifts = torch.randn(frames, 3 * heads * dim, generator=noise).to(place, dtype)
    alone(monkeypatch)
    found = over_frames(packed, shifts, heads)
    parts = (packed.double() + shifts.double()[:, None]).transpose(1, 2).flatten(0, 1).chunk(3, -1)
    exact = textbook(*parts, heads).unflatten(0, (clips, places)).transpose(1, 2)
    close(found, exact, dtype)
    with choice.kernels("off"):
        close(over_frames(packed, shifts, heads), exact, dtype)


@pytest.mark.parametrize("shape", [(3, 5, 14), (1, 2, 2600)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gated(place, noise, monkeypatch, shape, dtype):
    projected = 3 * torch.randn(*shape, generator=noise).to(place, dtype)
    alone(monkeypatch)
    value, gate = projected.double().chunk(2, -1)
    close(gated(projected), value * F.gelu(gate), dtype)


@pytest.mark.parametrize("silu", [False, True])
@pytest.mark.parametrize(("shape", "groups"), [((2, 12, 5, 7), 4), ((1, 8, 40, 33), 2)])
def test_group_norm(place, noise, monkeypatch, shape, groups, silu):
    x = (torch.randn(*shape, generator=noise) + 100).to(place)  # far from zero: squares alone would lose it
    weight, bias = (torch.randn(shape[1], generator=noise).to(place) for _ in range(2))
    alone(monkeypatch)
    exact = F.group_norm(x.double(), groups, weight.double(), bias.double(), 1e-5)
    found = group_norm(x, groups, weight, bias, 1e-5, silu)
    torch.testing.assert_close(found.double(), F.silu(exact) if silu else exact, atol=1e-4, rtol=1e-5)


def test_a_kernel_that_is_wrong_or_does_not_compile_is_not_used(place, noise, monkeypatch, caplog):
    x = torch.randn(2, 8, generator=noise).to(place)
    ran = []

    def broken():
        ran.append(1)
        raise RuntimeError("Failed to find C compiler.\nPlease specify one.")

    for name, fused in (("wrong", lambda: x + 1), ("broken", broken), ("nan", lambda: x * float("nan"))):
        for _ in range(2):
            assert torch.equal(choice.either(name, (), x, fused, x.clone), x)
    assert len(ran) == 1
    half = torch.full((8,), float("inf"), dtype=torch.float16, device=place)
    assert torch.equal(choice.either("overflows as torch does", (), half, half.clone, half.clone), half)
    large = torch.zeros(3 << 20, device=place)
    wrong = large.clone()
    wrong[5::4096] = 1  # one column of many rows
    assert not choice.either("column", (), large, lambda: wrong, large.clone).any()
    assert [r.getMessage() for r in caplog.records] == [
        "The kernel wrong gives another result here; going on without it.",
        "The kernel broken cannot run here (Failed to find C compiler.); going on without it.",
        "The kernel nan gives another result here; going on without it.",
        "The kernel column gives another result here; going on without it.",
    ]
    choice.forget()
