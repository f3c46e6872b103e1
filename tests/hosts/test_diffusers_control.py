"""A ControlNet through our hooks: the numbers of diffusers, and no trace afterwards."""

import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts.diffusers_control import control_branches
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.sites import Site

from ..checkpoints.public_files import SD15, layout, random_tensors, write_pickle
from .conftest import awake_control

BOTH = (Pass(), Pass(text=False, identity=False))


@pytest.fixture
def control(unet):
    return awake_control(unet)


def by_diffusers(unet, net, inputs, pictures, scale=1.0):
    latents, timestep, text = inputs
    down, mid = net(latents, timestep, text, controlnet_cond=pictures, conditioning_scale=scale, return_dict=False)
    return unet(latents, timestep, text, down_block_additional_residuals=down, mid_block_additional_residual=mid).sample


@torch.no_grad()
@pytest.mark.parametrize("scale", [1.0, 0.6])
def test_latents_are_those_of_diffusers(host, unet, control, inputs, noise, scale):
    drawn = torch.rand(2, 3, 128, 128, generator=noise)
    call = Call(frames=torch.arange(2), passes=BOTH)
    bare = host.denoise(*inputs, call)
    with host.attach(control_branches(control, drawn, scale)) as attachment:
        found = host.denoise(*inputs, call)
        again = host.denoise(*inputs, call)
    assert set(attachment.counts.values()) == {2} and len(attachment.counts) == len(host.shape.skip_sites()) + 1
    expected = by_diffusers(unet, control, inputs, torch.cat([drawn, drawn]), scale)
    assert torch.equal(found, expected) and torch.equal(again, expected)
    assert not torch.allclose(found, bare, atol=1e-2)
    assert torch.equal(host.denoise(*inputs, call), bare)


@torch.no_grad()
def test_the_net_runs_once_a_call_and_anew_for_each(host, control, inputs, noise):
    ran = []
    handle = control.register_forward_hook(lambda *_: ran.append(1))
    call = Call(frames=torch.arange(4))
    with host.attach(control_branches(control, torch.rand(1, 3, 128, 128, generator=noise))):
        one = host.denoise(*inputs, call)
        other = host.denoise(inputs[0] + 1, *inputs[1:], call)
    handle.remove()
    assert len(ran) == 2 and not torch.equal(one, other)


@torch.no_grad()
def test_an_exception_in_the_net_leaves_the_unet_bare(host, unet, control, inputs):
    call = Call(frames=torch.arange(4))
    before = host.denoise(*inputs, call)
    with (
        pytest.raises(BadInput, match="must be 128x128, .* but are 64x64"),
        host.attach(control_branches(control, torch.zeros(4, 3, 64, 64))),
    ):
        host.denoise(*inputs, call)  # pictures half as large as they must be
    assert torch.equal(host.denoise(*inputs, call), before)


def test_wrong_arguments_are_one_line(control):
    with pytest.raises(BadInput, match=r"multiples of 8, but got \[3, 64, 64\]"):
        control_branches(control, torch.zeros(3, 64, 64))
    assert control_branches(control, torch.zeros(1, 3, 64, 64), scale=0) == []
    (*_, middle) = control_branches(control, torch.zeros(1, 3, 64, 64))
    assert middle.site == Site("up", 0, 0)
    with pytest.raises(BadInput, match="does not set `Call.inputs`"):
        middle.residual(torch.zeros(1), Call(frames=torch.arange(1)))


@pytest.mark.slow
@pytest.mark.parity
@torch.no_grad()
def test_the_public_layout_at_full_width(tmp_path, noise, capsys):
    from portraittalk_core.checkpoints.structure import load_controlnet
    from portraittalk_core.hosts.sd15_models import empty_unet

    net = load_controlnet(write_pickle(tmp_path / "a.bin", random_tensors(layout("controlnet_sd15_diffusers"), 9))).net
    unet = empty_unet(SD15)
    unet.load_state_dict(random_tensors(layout("aniportrait_denoising_unet")), assign=True)
    unet = unet.eval().requires_grad_(False)
    inputs = (
        torch.randn(2, 4, 8, 8, generator=noise),
        torch.tensor([7, 700]),
        torch.randn(2, 77, 768, generator=noise),
    )
    drawn = torch.rand(1, 3, 64, 64, generator=noise)
    host, call = DiffusersHost(unet), Call(frames=torch.arange(1), passes=BOTH)
    bare = host.denoise(*inputs, call)
    with host.attach(control_branches(net, drawn)):
        found = host.denoise(*inputs, call)
    # One picture for both halves, as ours has it: of a picture for each, convolutions round otherwise on some CPUs.
    expected = by_diffusers(unet, net, inputs, drawn)
    difference, effect = float((found - expected).abs().max()), float((expected - bare).abs().max())
    with capsys.disabled():
        print(f"\nControlNet at full width: max difference {difference:.1e}; effect {effect:.2f}")
    assert difference == 0 and effect > 0.1 and torch.equal(host.denoise(*inputs, call), bare)
