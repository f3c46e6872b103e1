"""ReferenceNet: recorded by site, offered as extra tokens, exact where there is no reference."""

import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.reference_net import ReferenceFeatures, ReferenceNet
from portraittalk_core.sites import Site

CALL = Call(frames=torch.arange(4))
CLOSE = {"atol": 1e-5, "rtol": 1e-5}


@pytest.fixture
def net(shape):
    return ReferenceNet(sites=shape.attention_sites())


@pytest.fixture
def references(noise):
    return torch.randn(2, 8, 16, 16, generator=noise), torch.randn(2, 5, 32, generator=noise)


@pytest.fixture
def features(net, host, references):
    with torch.no_grad():
        return net.record(host, *references)


@torch.no_grad()
def test_it_records_the_normed_input_of_every_self_attention(net, host, unet, references):
    seen = []
    blocks = [unet.down_blocks[1], unet.down_blocks[2], unet.mid_block, unet.up_blocks[0], unet.up_blocks[1]]
    for block in blocks:
        for attention in block.attentions:
            norm = attention.transformer_blocks[0].norm1
            norm.register_forward_hook(lambda _m, _a, out: seen.append(out))
    unet(references[0], 0, references[1])
    whole = list(seen)
    found = net.record(host, *references)
    assert list(found.tokens) == list(net.sites)
    for site, tokens in zip(net.sites, whole, strict=True):
        assert torch.equal(found.tokens[site], tokens), site


@torch.no_grad()
def test_the_pass_ends_with_the_last_site(host, unet, references):
    ran = []
    unet.up_blocks[0].register_forward_hook(lambda *_: ran.append("up"))
    found = ReferenceNet(sites=[Site("down", 1, 0), Site("mid", 0, 0)]).record(host, *references)
    assert ran == []
    assert list(found.tokens) == [Site("down", 1, 0), Site("mid", 0, 0)]


@torch.no_grad()
def test_recording_ignores_what_is_attached(net, host, references, features):
    class Disturb:
        site = None

        def residual(self, hidden, call):
            return hidden

    with host.attach([Disturb()]) as attachment:
        again = net.record(host, *references)
        assert attachment.counts == dict.fromkeys(attachment.counts, 0)
    assert all(torch.equal(again.tokens[s], features.tokens[s]) for s in net.sites)


@torch.no_grad()
def test_scale_zero_and_missing_references_are_the_bare_model(net, host, inputs, features):
    bare = host.denoise(*inputs, CALL)
    with host.attach(net.branches(features, scale=0.0)):
        assert torch.equal(host.denoise(*inputs, CALL), bare)
    with host.attach(net.branches(features, scale=1e-7)):
        torch.testing.assert_close(host.denoise(*inputs, CALL), bare, **CLOSE)
    with host.attach(net.branches(features, torch.tensor([[-1, -1]]))):
        torch.testing.assert_close(host.denoise(*inputs, CALL), bare, **CLOSE)
    with host.attach(net.branches(features)) as attachment:
        assert not torch.allclose(host.denoise(*inputs, CALL), bare, atol=1e-3)
        assert set(attachment.counts.values()) == {1}


@torch.no_grad()
def test_rows_see_their_own_references(net, host, inputs, features):
    rows = torch.tensor([[0], [1], [-1], [0]])
    with host.attach(net.branches(features, rows)):
        together = host.denoise(*inputs, CALL)
    for i in range(4):
        with host.attach(net.branches(features, rows[i : i + 1])):
            alone = host.denoise(*(t[i : i + 1] for t in inputs), Call(frames=torch.tensor([i])))
        torch.testing.assert_close(together[i : i + 1], alone, **CLOSE)


@torch.no_grad()
def test_several_references_join_in_any_order(net, host, inputs, features):
    results = []
    for rows in ([[0, 1]], [[1, 0]], [[0]]):
        with host.attach(net.branches(features, torch.tensor(rows))):
            results.append(host.denoise(*inputs, CALL))
    torch.testing.assert_close(results[0], results[1], **CLOSE)
    assert not torch.allclose(results[0], results[2], atol=1e-4)


@torch.no_grad()
def test_a_joint_guidance_batch_equals_separate_passes(net, host, inputs, features):
    bare = host.denoise(*inputs, CALL)
    twice = [torch.cat([t, t]) for t in inputs]
    with host.attach(net.branches(features)):
        joint = host.denoise(*twice, Call(frames=torch.arange(4), passes=(Pass(identity=False), Pass())))
        torch.testing.assert_close(joint[4:], host.denoise(*inputs, CALL), **CLOSE)
    torch.testing.assert_close(joint[:4], bare, **CLOSE)


def test_gradients_flow_through_the_recording(net, host, inputs, references):
    latents = references[0].requires_grad_()
    with host.attach(net.branches(net.record(host, latents, references[1]), torch.tensor([[0], [0], [-1], [0]]))):
        host.denoise(*inputs, CALL).square().mean().backward()
    assert latents.grad[0].abs().sum() > 0
    assert latents.grad[1].abs().sum() == 0


def test_bad_arguments_are_named(net, host, inputs, features):
    with pytest.raises(BadInput, match=r"`scale` must lie in \[0, 1\], but got 1.5"):
        net.branches(features, scale=1.5)
    with pytest.raises(BadInput, match="indices from -1 to 1"):
        net.branches(features, torch.tensor([[2]]))
    with pytest.raises(BadInput, match="at least one attention site"):
        ReferenceNet(sites=[])
    small = ReferenceFeatures({s: t[:, :3] for s, t in features.tokens.items()})
    with host.attach(net.branches(small)), pytest.raises(BadInput, match="as large as the denoised one"):
        host.denoise(*inputs, CALL)
