"""The occlusion map: what is mixed into the prediction, where, and for whom."""

import pytest
import torch

from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.occlusion_net import OcclusionNet

CALL = Call(frames=torch.arange(4))
ALPHAS = torch.linspace(0.999, 0.0, 1000)


@pytest.fixture
def net(shape, request):
    last = shape.layer_sites()[-1]
    fade = getattr(request, "param", 1.0)
    return OcclusionNet(site=last, width=shape.width(last), latent_channels=8, alphas=ALPHAS, fade=fade)


@pytest.fixture
def pictures(noise):
    return torch.randn(4, 8, 16, 16, generator=noise), torch.randn(1, 8, 16, 16, generator=noise)


def insist(net, share):
    """Give everything to one share: 0 the denoiser's own, 1 the warped reference, 2 the reference as it is."""
    with torch.no_grad():
        net.shares.bias.copy_(torch.eye(3)[share] * 200 - 100)


def clean(velocity, noisy, timestep):
    alpha = ALPHAS[timestep].view(-1, 1, 1, 1)
    return alpha.sqrt() * noisy - (1 - alpha).sqrt() * velocity


@torch.no_grad()
@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("net", [1.0, 2.0], indirect=True)
def test_where_a_picture_is_visible_the_answer_moves_to_it_by_a_power_of_sigma(net, host, inputs, pictures, share):
    bare = clean(host.denoise(*inputs, CALL), *inputs[:2])
    insist(net, share)
    with host.attach(net.branches(*pictures)) as attachment:
        found = clean(host.denoise(*inputs, CALL), *inputs[:2])
    assert list(attachment.counts.values()) == [2]
    weight = ((1 - ALPHAS[inputs[1]]) ** (net._fade / 2)).view(-1, 1, 1, 1)
    wanted = torch.lerp(bare, pictures[share - 1].expand_as(bare), weight)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert torch.allclose(found[3], pictures[share - 1].expand_as(bare)[3], atol=1e-4)  # pure noise: nothing but it


@torch.no_grad()
def test_the_denoisers_own_answer_can_stay_and_is_most_at_first(net, host, inputs, pictures):
    bare = host.denoise(*inputs, CALL)
    with host.attach(net.branches(*pictures)):
        begun = host.denoise(*inputs, CALL)
    assert 0 < (begun - bare).abs().mean() < 0.5 * bare.std() + 0.5
    insist(net, 0)
    with host.attach(net.branches(*pictures)):
        torch.testing.assert_close(host.denoise(*inputs, CALL), bare)


@torch.no_grad()
def test_who_knows_no_reference_sees_none(net, host, inputs, pictures):
    insist(net, 1)
    bare = host.denoise(*inputs, CALL)
    with host.attach(net.branches(*pictures, torch.tensor([1.0, 0.0, 1.0, 0.0]))):
        found = host.denoise(*inputs, CALL)
    assert torch.equal(found[1::2], bare[1::2]) and not torch.allclose(found[::2], bare[::2])
    passes = (Pass(), Pass(identity=False))
    twice = [torch.cat([t, t]) for t in inputs]
    with host.attach(net.branches(*pictures)):
        found = host.denoise(*twice, Call(frames=torch.arange(4), passes=passes))
    torch.testing.assert_close(found[4:], bare)
    assert not torch.allclose(found[:4], bare)


def test_it_learns_from_what_it_sees(net, host, inputs, pictures):
    torch.nn.init.normal_(net.shares.weight, std=0.1)
    with host.attach(net.branches(*pictures)):
        host.denoise(*inputs, CALL).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
