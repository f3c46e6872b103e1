"""The occlusion map: what is mixed into the prediction, where, and for whom, whatever the U-Net predicts."""

import pytest
import torch

from portraittalk_core.diffusion.schedule import NoiseSchedule
from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.occlusion_net import _GAIN, OcclusionNet

CALL = Call(frames=torch.arange(4))
SCHEDULES = {
    "v": NoiseSchedule(),
    "epsilon": NoiseSchedule(prediction_type="epsilon", rescale_betas_zero_snr=False),
    "sample": NoiseSchedule(prediction_type="sample"),
}


@pytest.fixture
def net(shape, request):
    last = shape.layer_sites()[-1]
    kind, fade = getattr(request, "param", ("v", 1.0))
    return OcclusionNet(site=last, width=shape.width(last), latent_channels=8, schedule=SCHEDULES[kind], fade=fade)


@pytest.fixture
def pictures(noise):
    return torch.randn(4, 8, 16, 16, generator=noise), torch.randn(1, 8, 16, 16, generator=noise)


def insist(net, share):
    """Give everything to one share: 0 the denoiser's own, 1 the warped reference, 2 the reference as it is."""
    with torch.no_grad():
        net.shares.bias.copy_(torch.eye(3)[share] * 200 - 100)


@torch.no_grad()
@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("net", [(kind, fade) for kind in SCHEDULES for fade in (1.0, 2.0)], indirect=True)
def test_where_a_picture_is_visible_the_answer_moves_to_it_by_a_power_of_sigma(net, host, inputs, pictures, share):
    schedule, (latents, timestep, _) = net._schedule, inputs
    bare = schedule.to_x0(latents, host.denoise(*inputs, CALL), timestep)
    insist(net, share)
    with host.attach(net.branches(*pictures)) as attachment:
        found = schedule.to_x0(latents, host.denoise(*inputs, CALL), timestep)
    assert list(attachment.counts.values()) == [2]
    weight = ((1 - schedule.alphas_cumprod[timestep]) ** (net._fade / 2)).view(-1, 1, 1, 1)
    wanted = torch.lerp(bare, pictures[share - 1].expand_as(bare), weight)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-4)
    if not schedule.alphas_cumprod[-1]:  # pure noise: nothing but the picture
        assert torch.allclose(found[3], pictures[share - 1].expand_as(bare)[3], atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("net", [("v", 1.0), ("v", 2.0)], indirect=True)
def test_for_velocity_it_is_the_formula_that_the_shipped_weights_learned_with(net, noise):
    """Bit by bit: v' = v + sigma^(fade - 1) * what the clean latents move by."""
    predicted, noisy, warped = torch.randn(3, 4, 8, 16, 16, generator=noise)
    features, reference = torch.randn(4, 32, 16, 16, generator=noise), torch.randn(1, 8, 16, 16, generator=noise)
    torch.nn.init.normal_(net.shares.weight, std=0.1, generator=noise)
    for timestep in (torch.tensor([0, 10, 600, 999]), torch.tensor(600), torch.tensor([7.0, 300.0, 999.0, 1000.0])):
        alphas = NoiseSchedule().alphas_cumprod
        alpha = alphas[timestep.long().clamp(0, 999)].expand(4).view(-1, 1, 1, 1)
        signal, sigma = alpha.sqrt(), (1 - alpha).sqrt()
        clean = signal * noisy - sigma * predicted
        seen = torch.cat([torch.nn.functional.silu(net.norm(features)), clean, warped, reference.expand_as(warped)], 1)
        shares = (_GAIN * net.shares(torch.nn.functional.silu(net.enter(seen)))).softmax(1)
        moved = shares[:, 1:2] * (clean - warped) + shares[:, 2:3] * (clean - reference)
        wanted = predicted + sigma ** (net._fade - 1) * moved
        present = torch.ones(4, 1, 1, 1)
        found = net.blend(predicted, features, noisy, timestep, warped, reference.expand_as(warped), present)
        assert torch.equal(found, wanted)


def test_a_fade_below_one_is_refused(shape):
    with pytest.raises(BadInput, match="`fade` must be 1 or more"):
        OcclusionNet(site=shape.layer_sites()[-1], width=32, latent_channels=8, schedule=SCHEDULES["v"], fade=0.5)


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


@pytest.mark.parametrize("net", [(kind, 1.0) for kind in SCHEDULES], indirect=True)
def test_it_learns_from_what_it_sees(net, host, inputs, pictures):
    torch.nn.init.normal_(net.shares.weight, std=0.1)
    with host.attach(net.branches(*pictures)):
        host.denoise(*inputs, CALL).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
