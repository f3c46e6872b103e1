"""Temporal attention: AnimateDiff's layout, zero at the start, one frame's norm at a time."""

import pytest
import torch
from torch import nn

from portraittalk_core.errors import BadInput
from portraittalk_core.host import Call
from portraittalk_core.nets.temporal import TemporalNet, TemporalTransformer

CALL = Call(frames=torch.arange(4))


@pytest.fixture
def net(shape):
    torch.manual_seed(7)
    sites = [(s, shape.width(s)) for s in shape.layer_sites()]
    return TemporalNet(sites=sites, heads=4, max_frames=6)


def wake(net):
    for name, parameter in net.named_parameters():
        if name.endswith("proj_out.weight"):
            nn.init.normal_(parameter, std=0.1)
    return net


def test_keys_are_those_of_the_public_files(net):
    """28 tensors a module, named as listed for mm_sd_v15_v2 (with the mid block)."""
    names = set(net.state_dict())
    assert len(names) == 28 * 10
    block = "temporal_transformer.transformer_blocks.0"
    for expected in (
        "down_blocks.0.motion_modules.0.temporal_transformer.norm.weight",
        f"mid_block.motion_modules.0.{block}.attention_blocks.1.to_out.0.bias",
        f"up_blocks.2.motion_modules.1.{block}.attention_blocks.0.pos_encoder.pe",
        f"up_blocks.0.motion_modules.0.{block}.ff.net.0.proj.weight",
        f"up_blocks.0.motion_modules.0.{block}.ff.net.2.bias",
        f"up_blocks.0.motion_modules.0.{block}.norms.1.weight",
        f"up_blocks.0.motion_modules.0.{block}.ff_norm.bias",
    ):
        assert expected in names
    assert net.state_dict()[f"mid_block.motion_modules.0.{block}.attention_blocks.0.pos_encoder.pe"].shape == (1, 6, 64)


@torch.no_grad()
def test_untrained_or_at_scale_zero_it_is_the_bare_model(net, host, inputs):
    bare = host.denoise(*inputs, CALL)
    with host.attach(net.branches()) as attachment:
        assert torch.equal(host.denoise(*inputs, CALL), bare)
        assert list(attachment.counts.values()) == [1] * 10
    assert wake(net).branches(scale=0.0) == []
    with host.attach(net.branches()):
        assert not torch.allclose(host.denoise(*inputs, CALL), bare, atol=1e-4)


@torch.no_grad()
def test_the_numbers_are_diffusers_motion_module_with_a_norm_for_each_frame(noise):
    """diffusers normalises all frames together; frames of equal statistics make both the same."""
    from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D

    ours = TemporalTransformer(width=32, heads=4, max_frames=6)
    nn.init.normal_(ours.proj_out.weight, std=0.1)
    theirs = AnimateDiffTransformer3D(
        num_attention_heads=4,
        attention_head_dim=8,
        in_channels=32,
        activation_fn="geglu",
        attention_bias=False,
        double_self_attention=True,
        positional_embeddings="sinusoidal",
        num_positional_embeddings=6,
        norm_num_groups=32,
    )
    names = {"attention_blocks.0": "attn1", "attention_blocks.1": "attn2", "ff_norm": "norm3"}
    names |= {"norms.0": "norm1", "norms.1": "norm2"}
    state = {}
    for key, tensor in ours.state_dict().items():
        if "pos_encoder" not in key:
            for old, new in names.items():
                key = key.replace(old, new)
            state[key] = tensor
    missing = theirs.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all("pos_embed" in key for key in missing.missing_keys)
    frame = torch.randn(1, 1, 32, 3, 3, generator=noise)
    clip = torch.cat([frame.flip(-1), frame, frame.flip(-2), frame.transpose(-1, -2)], 1)
    expected = theirs(clip[0], num_frames=4)
    torch.testing.assert_close(clip[0] + ours(clip)[0], expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_group_norm_sees_one_frame_at_a_time(noise):
    module = TemporalTransformer(width=32, heads=4, max_frames=6)
    seen = []
    module.proj_in.register_forward_hook(lambda _m, args, _o: seen.append(args[0]))
    clip = torch.randn(1, 3, 32, 4, 4, generator=noise)
    module(clip)
    module(clip * torch.tensor([1.0, 9.0, 0.2])[None, :, None, None, None])
    torch.testing.assert_close(seen[0], seen[1], atol=1e-3, rtol=1e-3)


@torch.no_grad()
def test_clips_in_a_batch_do_not_see_each_other(net, host, inputs):
    wake(net)
    with host.attach(net.branches()):
        together = host.denoise(*inputs, Call(frames=torch.arange(4), clip=2))
        whole = host.denoise(*inputs, CALL)
        first = host.denoise(*(t[:2] for t in inputs), Call(frames=torch.arange(2)))
    torch.testing.assert_close(together[:2], first, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(whole[:2], first, atol=1e-4)


@torch.no_grad()
def test_positions_count_from_the_start_of_the_window(net, host, inputs):
    wake(net)
    with host.attach(net.branches()):
        early, late = (host.denoise(*inputs, Call(frames=torch.arange(4) + start)) for start in (0, 100))
    assert torch.equal(early, late)


def test_windows_that_are_too_long_or_uneven_are_refused(net, host, inputs):
    wide = [torch.cat([t, t]) for t in inputs]
    with host.attach(net.branches()):
        with pytest.raises(BadInput, match="at most 6, but got 8"):
            host.denoise(*wide, Call(frames=torch.arange(8)))
        with pytest.raises(BadInput, match="must divide the 4 frames"):
            host.denoise(*inputs, Call(frames=torch.arange(4), clip=3))
