"""ComfyUI's cross-attention with our branches, through one kernel and without."""

import importlib.util
import os

import pytest
import torch

from portraittalk_core.sites import UNetShape

pytestmark = pytest.mark.comfy

SHAPE = UNetShape(channels=(32, 64), layers=1, attention=(False, True), cross_dim=32, heads=2)

if not torch.accelerator.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed: pip install triton")
@torch.no_grad()
def test_a_slot_adds_the_same_through_a_kernel_and_never_overwrites_an_occupant(pack):
    slots, choice = pack("nodes.comfy_slots"), pack("portraittalk_core.kernels.choice")
    host, nets = pack("portraittalk_core.host"), pack("portraittalk_core.nets.attention")
    shape = pack("portraittalk_core.sites").UNetShape(**vars(SHAPE))
    keys = nets.KeyValues(32, [(site, shape.width(site)) for site in shape.adapter_sites()])
    noise = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, length, 64, generator=noise) for length in (9, 7, 7))
    tokens = torch.randn(1, 4, 32, generator=noise)
    call = host.Call(frames=torch.arange(2))

    def ran(mode, occupant=None):
        branches = [keys.branches(tokens, 0 * tokens, name, 0.5)[0] for name in ("identity", "audio")]
        running = slots.Running(branches, call, shape)
        block = slots.place(host.Hook.CROSS, branches[0].site, shape)[1]
        choice.forget()
        with choice.kernels(mode):
            out = slots.CrossSlot(occupant)(query, key, value, {"n_heads": 2, "block": block, slots.RUNNING: running})
        running.finish(out)  # raises where a branch was not reached
        return out, [key for key, good in choice._known.items() if good]

    plain, kernel = ran("off"), ran("always")
    assert not plain[1] and len(kernel[1]) == 1
    assert 0 < float((plain[0] - kernel[0]).abs().max()) < 1e-5
    zero, used = ran("always", lambda q, k, v, extra: torch.zeros_like(q))
    assert not used, "somebody else's attention runs, and not ours"
    assert not torch.allclose(zero, kernel[0], atol=1e-3) and zero.abs().max() > 1e-3
