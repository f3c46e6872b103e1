"""AudioNet: what a frame hears."""

import pytest
import torch
from torch import nn

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.audio_net import AudioNet

CALL = Call(frames=torch.arange(4))


@pytest.fixture
def net(shape):
    torch.manual_seed(9)
    return AudioNet(
        feature_dim=12, token_dim=32, sites=[(s, shape.width(s)) for s in shape.adapter_sites()], tokens=3, window=2
    )


def wake(net):
    for layer in net.audio_adapter.layers.values():
        nn.init.normal_(layer.to_v_ip.weight, std=0.3)
    return net


@torch.no_grad()
def test_a_frame_hears_two_frames_to_either_side(net, noise):
    features = torch.randn(12, 12, generator=noise)
    before = net.tokens(features)
    features[6] += 1
    changed = (net.tokens(features) != before).flatten(1).any(1).nonzero().flatten()
    assert before.shape == (12, 3, 32)
    assert changed.tolist() == [4, 5, 6, 7, 8]


@torch.no_grad()
def test_clips_end_where_they_end(net, noise):
    clips = torch.randn(2, 5, 12, generator=noise)
    torch.testing.assert_close(net.tokens(clips), torch.cat([net.tokens(clips[0]), net.tokens(clips[1])]))


@torch.no_grad()
def test_untrained_or_at_scale_zero_it_is_the_bare_model(net, host, inputs, noise):
    features, bare = torch.randn(4, 12, generator=noise), host.denoise(*inputs, CALL)
    with host.attach(net.branches(features)) as attachment:
        assert torch.equal(host.denoise(*inputs, CALL), bare)
        assert set(attachment.counts.values()) == {1}
    assert wake(net).branches(features, scale=0.0) == []
    with host.attach(net.branches(features)):
        assert not torch.allclose(host.denoise(*inputs, CALL), bare, atol=1e-4)


@torch.no_grad()
def test_a_window_takes_its_own_frames_and_passes_without_audio_hear_zeros(net, host, inputs, noise):
    wake(net)
    features = torch.randn(20, 12, generator=noise)
    frames = torch.tensor([7, 8, 9, 10])
    twice = [torch.cat([t, t]) for t in inputs]
    with host.attach(net.branches(features)):
        joint = host.denoise(*twice, Call(frames=frames, passes=(Pass(), Pass(audio=False))))
    with host.attach(net.branches(features[5:13])):
        torch.testing.assert_close(joint[:4], host.denoise(*inputs, Call(frames=frames - 5)), atol=1e-5, rtol=1e-5)
    with host.attach(net.branches(torch.zeros(4, 12))):
        torch.testing.assert_close(joint[4:], host.denoise(*inputs, CALL), atol=1e-5, rtol=1e-5)


def test_other_features_are_refused(net):
    with pytest.raises(BadInput, match=r"`features` must be \[frames, 12\]"):
        net.branches(torch.zeros(4, 13))
