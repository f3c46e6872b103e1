"""AnimateNet: its parts together on one U-Net."""

import pytest
import torch

from portraittalk_core.diffusion.schedule import NoiseSchedule
from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.animate_net import AnimateNet, IdentityAttention
from portraittalk_core.nets.structure_encoder import structure_input

CALL = Call(frames=torch.arange(4))


@pytest.fixture
def net(shape):
    torch.manual_seed(11)
    return AnimateNet(
        shape=shape, latent_channels=8, feature_dim=12, structure_width=32, temporal_heads=4, schedule=NoiseSchedule()
    )


def test_every_part_is_called_and_learns(net, host, inputs, noise):
    maps = net.structure(
        structure_input(
            torch.rand(4, 7, 32, 32, generator=noise),
            torch.eye(2, 3).expand(4, 2, 3),
            torch.randn(4, 6, generator=noise),
            torch.randn(1, 8, 16, 16, generator=noise),
            torch.rand(4, 3, 128, 128, generator=noise),
            torch.randn(4, 8, 16, 16, generator=noise),
        )
    )
    branches = [
        *net.structure.branches(maps),
        *net.identity.branches(torch.randn(4, 1, 512, generator=noise)),
        *net.temporal.branches(),
        *net.audio.branches(torch.randn(2, 2, 12, generator=noise)),
    ]
    with host.attach(branches) as attachment:
        out = host.denoise(*inputs, Call(frames=torch.arange(4), clip=2))
    assert set(attachment.counts.values()) == {1}
    out.square().mean().backward()
    for part in (net.structure, net.identity, net.temporal, net.audio):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters()), type(part).__name__


@torch.no_grad()
def test_identity_attention_in_a_joint_guidance_batch(net, host, inputs, noise):
    faces = torch.randn(2, 512, generator=noise)
    bare = host.denoise(*inputs, CALL)
    twice = [torch.cat([t, t]) for t in inputs]
    assert net.identity.branches(faces, scale=0.0) == []
    with host.attach(net.identity.branches(faces)):
        joint = host.denoise(*twice, Call(frames=torch.arange(4), passes=(Pass(), Pass(identity=False))))
        torch.testing.assert_close(joint[:4], host.denoise(*inputs, CALL), atol=1e-5, rtol=1e-5)
    with host.attach(net.identity.branches(torch.zeros(2, 512))):
        torch.testing.assert_close(joint[4:], host.denoise(*inputs, CALL), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(joint[:4], bare, atol=1e-5)
    assert not torch.allclose(joint[:4], joint[4:], atol=1e-6)


def test_identity_attention_refuses_scales_it_has_no_meaning_for(shape):
    net = IdentityAttention(token_dim=32, sites=[(s, shape.width(s)) for s in shape.attention_sites()])
    with pytest.raises(BadInput, match=r"`scale` in \[0, 1\], but got \[1, 512\] and 2"):
        net.branches(torch.zeros(1, 512), scale=2)
