"""IdentityNet: the public layout, the public numbers, and the rules of branches."""

import pytest
import torch
from torch.nn import functional as F

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call, Pass
from portraittalk_core.nets.identity_net import IdentityNet

CALL = Call(frames=torch.arange(4))


@pytest.fixture
def net(shape):
    torch.manual_seed(3)
    return IdentityNet(token_dim=32, sites=[(s, shape.width(s)) for s in shape.adapter_sites()], tokens=4)


@pytest.fixture
def faces(noise):
    return F.normalize(torch.randn(3, 512, generator=noise), dim=-1)


def test_keys_are_those_of_the_public_files(net):
    names = set(net.state_dict())
    assert {"image_proj.proj.0.weight", "image_proj.proj.2.bias", "image_proj.norm.weight"} <= names
    numbers = sorted({int(n.split(".")[1]) for n in names if n.startswith("ip_adapter.")})
    assert numbers == [1, 3, 5, 7, 9, 11, 13]
    assert {n.split(".", 2)[2] for n in names if n.startswith("ip_adapter.")} == {"to_k_ip.weight", "to_v_ip.weight"}


@torch.no_grad()
def test_numbers_are_those_of_diffusers_own_faceid_loader(net, host, inputs, faces):
    latents, timestep, text = inputs
    with host.attach(net.branches(faces, scale=0.7)):
        ours = host.denoise(latents, timestep, text, CALL)
    state = net.state_dict()
    public = {
        part: {k.split(".", 1)[1]: v for k, v in state.items() if k.startswith(part)}
        for part in ("image_proj", "ip_adapter")
    }
    host.unet._load_ip_adapter_weights([public])
    for processor in host.unet.attn_processors.values():
        if hasattr(processor, "scale"):
            processor.scale = [0.7]
    condition = {"image_embeds": [faces.expand(4, -1, -1)]}
    theirs = host.unet(latents, timestep, encoder_hidden_states=text, added_cond_kwargs=condition).sample
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_scale_zero_is_the_bare_model_and_small_scales_come_close(net, host, inputs, faces):
    bare = host.denoise(*inputs, CALL)
    with host.attach(net.branches(faces, scale=0.0)):
        assert torch.equal(host.denoise(*inputs, CALL), bare)
    with host.attach(net.branches(faces, scale=1e-7)):
        torch.testing.assert_close(host.denoise(*inputs, CALL), bare, atol=1e-5, rtol=1e-5)
    with host.attach(net.branches(faces)) as attachment:
        assert not torch.allclose(host.denoise(*inputs, CALL), bare, atol=1e-4)
        assert set(attachment.counts.values()) == {1}


@torch.no_grad()
def test_references_join_along_tokens_in_any_order(net, host, inputs, faces):
    assert net.tokens(faces).shape == (1, 12, 32)
    results = []
    for embeddings in (faces, faces.flip(0), faces[:1]):
        with host.attach(net.branches(embeddings)):
            results.append(host.denoise(*inputs, CALL))
    torch.testing.assert_close(results[0], results[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(results[0], results[2], atol=1e-4)


@torch.no_grad()
def test_rows_have_their_own_person(net, host, inputs, noise):
    rows = F.normalize(torch.randn(4, 1, 512, generator=noise), dim=-1)
    with host.attach(net.branches(rows)):
        together = host.denoise(*inputs, CALL)
    for i in range(4):
        with host.attach(net.branches(rows[i])):
            alone = host.denoise(*(t[i : i + 1] for t in inputs), Call(frames=torch.tensor([i])))
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_joint_guidance_batch_equals_separate_passes(net, host, inputs, faces):
    passes = (Pass(), Pass(identity=False))
    twice = [torch.cat([t, t]) for t in inputs]
    with host.attach(net.branches(faces)):
        joint = host.denoise(*twice, Call(frames=torch.arange(4), passes=passes))
        for i, one in enumerate(passes):
            alone = host.denoise(*inputs, Call(frames=torch.arange(4), passes=(one,)))
            torch.testing.assert_close(joint[4 * i : 4 * i + 4], alone, atol=1e-5, rtol=1e-5)
    with host.attach(net.branches(torch.zeros_like(faces))):
        zero = host.denoise(*inputs, CALL)
    torch.testing.assert_close(joint[4:], zero, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(512,), (2, 128), (0, 512)])
def test_other_shapes_are_refused(net, size):
    with pytest.raises(BadInput, match=r"`embeddings` must be \[references, 512\]"):
        net.branches(torch.zeros(size))
