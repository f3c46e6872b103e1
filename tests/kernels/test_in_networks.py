"""Networks and hosts give the same with kernels as without."""

import pytest
import torch
from torch import nn

from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts.diffusers_control import control_branches
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.kernels import choice
from portraittalk_core.nets.attention import KeyValues
from portraittalk_core.nets.temporal import TemporalNet
from portraittalk_core.sites import UNetShape

SHAPE = UNetShape(channels=(32, 64), layers=1, attention=(False, True), cross_dim=32, heads=2)
PASSES = (Pass(), Pass(text=False, identity=False))


def same(with_kernels, without):
    apart = (with_kernels - without).abs().max() / without.abs().max()
    assert 0 < float(apart) < 1e-3, float(apart)  # equal to the bit: no kernel ran


def awake(net):
    for value in net.parameters():
        if not value.any():
            nn.init.normal_(value, std=0.1)
    return net.eval().requires_grad_(False)


@pytest.fixture
def unet():
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNet2DConditionModel(
            sample_size=8,
            in_channels=4,
            out_channels=4,
            block_out_channels=SHAPE.channels,
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=2,
            norm_num_groups=2,
        )
    return net.eval().requires_grad_(False)


def branches(noise):
    with torch.random.fork_rng():
        torch.manual_seed(2)
        temporal = awake(TemporalNet(sites=[(s, SHAPE.width(s)) for s in SHAPE.layer_sites()][1:2], heads=2))
        keys = KeyValues(32, [(s, SHAPE.width(s)) for s in SHAPE.adapter_sites()]).requires_grad_(False)
    person, voice = torch.randn(1, 4, 32, generator=noise), torch.randn(2, 3, 32, generator=noise)
    nothing = torch.zeros(1, 4, 32)
    return [
        *keys.branches(person, nothing, "identity", 0.7),
        *keys.branches(voice, nothing[:, :3], "audio", 1.0),
        *temporal.branches(),
    ]


@torch.no_grad()
def test_the_diffusers_host(place, unet, noise):
    from diffusers.models.controlnets.controlnet import ControlNetModel

    control = awake(ControlNetModel.from_unet(unet))
    for part in (unet, control):
        part.to(place)
    latents, text = torch.randn(4, 4, 4, 4, generator=noise), torch.randn(4, 7, 32, generator=noise)
    inputs = [t.to(place) for t in (latents, torch.tensor(500), text)]
    call = Call(frames=torch.arange(2), passes=PASSES, in_order=True)
    host, drawn = DiffusersHost(unet), torch.rand(2, 3, 32, 32, generator=noise)
    before = {name: id(layer) for name, layer in unet.named_modules()}, dict(unet.attn_processors)
    with host.attach([*branches(noise), *control_branches(control, drawn.to(place))]) as attachment:
        found = host.denoise(*inputs, call)
        assert set(attachment.counts.values()) == {1}
        used = {key[0] for key, good in choice._known.items() if good}
        with choice.kernels("off"):
            without = host.denoise(*inputs, call)
        assert set(attachment.counts.values()) == {2}
        known = dict(choice._known)
        host.denoise(inputs[0] + 0.1, torch.tensor(400).to(place), *inputs[2:], call)
        with host.attach(branches(noise)):  # others, as for the next window
            host.denoise(*inputs, call)
    assert choice._known == known, "nothing is compiled or checked anew after the first window"
    same(found, without)
    assert used == {"cross_attention", "frame_attention", "gated", "group_norm"}
    assert before == ({name: id(layer) for name, layer in unet.named_modules()}, dict(unet.attn_processors))


@torch.no_grad()
def test_a_foreign_attention_processor_stays(place, unet, noise):
    from diffusers.models.attention_processor import AttnProcessor

    unet.set_attn_processor(AttnProcessor())
    inputs = torch.randn(2, 4, 4, 4, generator=noise), torch.tensor(500), torch.randn(2, 7, 32, generator=noise)
    host = DiffusersHost(unet)
    with host.attach(branches(noise)[:1]) as attachment:
        host.denoise(*inputs, Call(frames=torch.arange(2)))
    assert list(attachment.counts.values()) == [1]
    assert "cross_attention" not in {key[0] for key in choice._known}


def test_where_gradients_are_wanted_plain_torch_runs(place, unet, noise):
    module = TemporalNet(sites=[(SHAPE.layer_sites()[0], 32)], heads=2)
    (branch,) = module.branches()
    hidden = torch.randn(2, 32, 3, 3, generator=noise)
    branch.after(hidden, Call(frames=torch.arange(2))).sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in module.parameters())
    assert not choice._known
