"""What cannot change from step to step is computed once, to the same bits."""

from itertools import pairwise

import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts import devices
from portraittalk_core.hosts.devices import fast_dtype
from portraittalk_core.hosts.diffusers_control import control_branches
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.nets.attention import KeyValue, TokenCross
from portraittalk_core.sites import Site

from .conftest import awake_control

CALL = Call(frames=torch.arange(4))


def text_layers(unet):
    return [
        getattr(m, name) for path, m in unet.named_modules() if path.endswith(".attn2") for name in ("to_k", "to_v")
    ]


def counted(layers):
    ran: list[int] = []
    return ran, [layer.register_forward_hook(lambda *_: ran.append(1)) for layer in layers]


@torch.no_grad()
def test_text_is_projected_once_as_long_as_it_is_the_same(host, unet, inputs):
    latents, timestep, text = inputs
    wanted = [unet(latents + k, timestep, text).sample for k in range(2)]
    layers = text_layers(unet)
    ran, handles = counted(layers)
    found = [host.denoise(latents + k, timestep, text, CALL) for k in range(2)]
    assert len(ran) == len(layers) > 0
    host.denoise(latents, timestep, text + 1, CALL)
    assert len(ran) == 2 * len(layers)
    for handle in handles:
        handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    assert all(a is b for a, b in zip(layers, text_layers(unet), strict=True)), "the U-Net is as it was"


def test_gradients_are_never_those_of_an_earlier_call(host, unet, inputs):
    ran, handles = counted(text_layers(unet))
    for _ in range(2):
        host.denoise(*inputs, CALL)
    for handle in handles:
        handle.remove()
    assert len(ran) == 2 * len(text_layers(unet))


@torch.no_grad()
def test_a_controlnet_looks_at_its_pictures_once(host, unet, inputs, noise):
    control = awake_control(unet)
    ran, (handle,) = counted([control.controlnet_cond_embedding])
    with host.attach(control_branches(control, torch.rand(4, 3, 128, 128, generator=noise))):
        one, same = (host.denoise(*inputs, CALL) for _ in range(2))
    handle.remove()
    assert len(ran) == 1 and torch.equal(one, same)
    assert not isinstance(control.controlnet_cond_embedding, torch.nn.Identity)


@torch.no_grad()
def test_two_controlnets_add_up(host, unet, inputs, noise):
    control, drawn = awake_control(unet), torch.rand(4, 3, 128, 128, generator=noise)
    results = []
    for scales in ((), (0.5,), (0.5, 0.5)):
        branches = [control_branches(control, drawn, scale) for scale in scales]
        with host.attach([branch for part in branches for branch in part]):
            results.append(host.denoise(*inputs, CALL))
    assert all(float((a - b).abs().max()) > 1e-3 for a, b in pairwise(results))


def test_rows_in_order_are_not_copied():
    values = torch.randn(3, 5)
    picked, taken = (Call(frames=torch.arange(3), in_order=order).batch(values) for order in (False, True))
    assert torch.equal(picked, taken) and taken.data_ptr() == values.data_ptr() != picked.data_ptr()
    assert torch.equal(Call(frames=torch.arange(2), in_order=True).batch(values), values[:2])  # more rows than frames


@torch.no_grad()
def test_what_all_frames_share_is_repeated_once(monkeypatch):
    layer = KeyValue(6, 8)
    branch = TokenCross(Site("mid", 0, 0), layer, torch.randn(1, 2, 6), torch.randn(1, 2, 6), "identity", 1.0)
    ran: list[int] = []
    batch = Call.batch
    monkeypatch.setattr(Call, "batch", lambda self, *args: ran.append(1) or batch(self, *args))
    both = Call(frames=torch.arange(3), passes=(Pass(), Pass(identity=False)))
    query = torch.randn(6, 4, 8)
    one, same = (branch.cross(query, 2, both) for _ in range(2))
    assert len(ran) == 2 and torch.equal(one, same)  # keys and values
    assert not torch.equal(branch.cross(query, 2, Call(frames=torch.arange(6)))[3:], one[3:])
    assert len(ran) == 4


@torch.no_grad()
def test_a_host_may_multiply_in_another_precision(unet, inputs):
    exact, fast = (DiffusersHost(unet, dtype).denoise(*inputs, CALL) for dtype in (None, torch.bfloat16))
    assert fast.dtype == exact.dtype == torch.float32 and not torch.equal(fast, exact)
    assert float((fast - exact).square().mean().sqrt()) < 0.02 * float(exact.square().mean().sqrt())
    assert torch.equal(DiffusersHost(unet, torch.bfloat16).bare().denoise(*inputs, CALL), fast)


def test_precision_is_lowered_only_where_the_processor_has_it(monkeypatch):
    for native in (False, True):
        monkeypatch.setattr(devices.torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        monkeypatch.setattr(devices.torch.cpu, "_is_amx_tile_supported", lambda: False, raising=False)
        assert fast_dtype("cpu") == (torch.bfloat16 if native else None)
        assert fast_dtype("cpu", "float32") is None and fast_dtype("meta") is None
    with pytest.raises(BadInput, match="`precision` must be auto or float32, but got 'half'"):
        fast_dtype("cpu", "half")
