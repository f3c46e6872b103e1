"""The diffusers host: hooks that come and go without a trace."""

import pytest
import torch
from torch import nn

from portraittalk_core.errors import BadInput, SiteNotFound
from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts import diffusers_hooks
from portraittalk_core.hosts.diffusers_host import shape_of
from portraittalk_core.sites import Site

CALL = Call(frames=torch.arange(4))


class Cross:
    def __init__(self, site, value=0.1):
        self.site, self.value = site, value

    def cross(self, query, heads, call):
        assert heads == 4
        return torch.full_like(query, self.value)


class Self_:
    def __init__(self, site, extra=lambda hidden: hidden[:, :3] * 2):
        self.site, self.extra = site, extra

    def tokens(self, hidden, call):
        return self.extra(hidden)


class After:
    def __init__(self, site, function=lambda h: h * 1.5):
        self.site, self.function = site, function

    def after(self, hidden, call):
        return self.function(hidden)


class Input:
    def __init__(self, site, value=0.1):
        self.site, self.value, self.width = site, value, None

    def residual(self, hidden, call):
        self.width = hidden.shape[1]
        return torch.full_like(hidden, self.value)


class Skip:
    def __init__(self, site, value=0.1):
        self.site, self.value, self.width = site, value, None

    def skip(self, hidden, call):
        self.width = hidden.shape[1]
        return torch.full_like(hidden, self.value)


class Output:
    """Acts on the prediction, and remembers that it saw its layer before."""

    def __init__(self, site, value=0.1):
        self.site, self.value, self.seen = site, value, []

    def after(self, hidden, call):
        self.seen.append("features")
        return hidden

    def output(self, predicted, call):
        self.seen.append("prediction")
        return predicted + self.value


class Broken:
    site = Site("mid", 0, 0)

    def after(self, hidden, call):
        raise RuntimeError("deliberate")


def everywhere(shape):
    return [
        *(Cross(s) for s in shape.attention_sites()),
        *(Self_(s) for s in shape.attention_sites()),
        *(After(s) for s in shape.layer_sites()),
        *(Input(s) for s in [None, *shape.layer_sites()]),
        *(Skip(s) for s in shape.skip_sites()),
        Output(shape.layer_sites()[-1]),
    ]


def run(unet, inputs):
    latents, timestep, text = inputs
    with torch.no_grad():
        return unet(latents, timestep, text).sample


def fingerprint(unet):
    """Everything on the U-Net that a host could leave behind."""
    hooks = {
        name: (len(m._forward_hooks), len(m._forward_pre_hooks))
        for name, m in unet.named_modules()
        if m._forward_hooks or m._forward_pre_hooks
    }
    return {name: id(p) for name, p in unet.attn_processors.items()}, hooks


def test_shape_is_read_from_the_unet(unet, shape):
    assert shape_of(unet) == shape


def test_an_output_branch_has_the_last_word_and_sees_its_layer_before(host, shape, inputs, unet):
    branch = Output(shape.layer_sites()[-1], 0.25)
    with host.attach([branch]) as attachment, torch.no_grad():
        out = host.denoise(*inputs, CALL)
    assert torch.equal(out, run(unet, inputs) + 0.25)
    assert branch.seen == ["features", "prediction"] and attachment.counts == {branch: 2}


def test_shape_refuses_other_layouts():
    from diffusers import UNet2DConditionModel

    other = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(32, 32),
        layers_per_block=1,
        down_block_types=("SimpleCrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        mid_block_type=None,
        cross_attention_dim=32,
    )
    with pytest.raises(BadInput, match="layout of SD1.5"):
        shape_of(other)


@torch.no_grad()
def test_without_branches_the_host_is_the_stock_unet(host, unet, inputs):
    assert torch.equal(host.denoise(*inputs, CALL), run(unet, inputs))


@torch.no_grad()
def test_every_branch_is_called_and_detaching_restores_bit_for_bit(host, unet, shape, inputs):
    before, marks = run(unet, inputs), fingerprint(unet)
    branches = everywhere(shape)
    with host.attach(branches) as attachment:
        changed = host.denoise(*inputs, CALL)
        assert attachment.counts == {b: 2 if isinstance(b, Output) else 1 for b in branches}
        assert torch.equal(run(unet, inputs), before), "the U-Net called directly must be bare"
    assert not torch.allclose(changed, before)
    assert torch.equal(host.denoise(*inputs, CALL), before)
    assert fingerprint(unet) == marks
    attachment.detach()


@torch.no_grad()
def test_hooks_are_made_once_a_video_and_know_the_call_that_runs(host, shape, inputs, monkeypatch):
    """However many steps and windows: sites are looked up and hooks are made at the first, and serve the others."""
    looked_up, made, calls = [], [], []
    find, make = diffusers_hooks.layer_at, diffusers_hooks._after_hook
    monkeypatch.setattr(diffusers_hooks, "layer_at", lambda *given: (looked_up.append(given), find(*given))[1])
    monkeypatch.setattr(diffusers_hooks, "_after_hook", lambda run: (made.append(run), make(run))[1])

    class Listening(After):
        def after(self, hidden, call):
            calls.append(call.frames)
            return super().after(hidden, call)

    branches = [*everywhere(shape), Listening(shape.layer_sites()[0])]
    windows = [Call(frames=torch.arange(4) + start) for start in (0, 2, 4)]
    with host.attach(branches):
        first = host.denoise(*inputs, windows[0])
        count = len(looked_up), len(made)
        assert count[0] > len(shape.layer_sites()) and count[1] > len(shape.layer_sites())
        assert all(torch.equal(host.denoise(*inputs, window), first) for window in windows[1:])
        assert (len(looked_up), len(made)) == count
    assert [frames.tolist() for frames in calls] == [window.frames.tolist() for window in windows]


@torch.no_grad()
def test_an_exception_in_the_forward_leaves_nothing_behind(host, unet, shape, inputs):
    before, marks = run(unet, inputs), fingerprint(unet)
    with pytest.raises(RuntimeError, match="deliberate"), host.attach([*everywhere(shape), Broken()]):
        host.denoise(*inputs, CALL)
    assert fingerprint(unet) == marks
    assert torch.equal(host.denoise(*inputs, CALL), before)


@torch.no_grad()
@pytest.mark.parametrize("kind", [Cross, Self_, After, Input, Skip])
def test_each_hook_at_each_site_changes_the_result(host, shape, inputs, kind):
    bare = host.denoise(*inputs, CALL)
    sites = shape.attention_sites() if kind in (Cross, Self_) else shape.layer_sites()
    sites = shape.skip_sites() if kind is Skip else sites
    for site in sites:
        with host.attach([kind(site)]):
            assert not torch.equal(host.denoise(*inputs, CALL), bare), site


@torch.no_grad()
def test_neutral_branches_change_nothing(host, shape, inputs):
    bare = host.denoise(*inputs, CALL)
    neutral = [
        *(Cross(s, 0.0) for s in shape.attention_sites()),
        *(Self_(s, lambda hidden: None) for s in shape.attention_sites()),
        *(After(s, lambda h: h) for s in shape.layer_sites()),
        *(Input(s, 0.0) for s in [None, *shape.layer_sites()]),
        *(Skip(s, 0.0) for s in shape.skip_sites()),
    ]
    with host.attach(neutral):
        assert torch.equal(host.denoise(*inputs, CALL), bare)


@torch.no_grad()
def test_self_attention_over_whole_copies_of_its_tokens_is_itself(host, shape, inputs):
    bare = host.denoise(*inputs, CALL)
    with host.attach([Self_(s, lambda h: h.repeat(1, 2, 1)) for s in shape.attention_sites()]):
        torch.testing.assert_close(host.denoise(*inputs, CALL), bare, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_cross_adds_before_the_output_projection(host, unet, inputs):
    """With text values of zero the attention's output is `to_out` of the branch alone."""
    attention = unet.mid_block.attentions[0].transformer_blocks[0].attn2
    nn.init.zeros_(attention.to_v.weight)
    seen = []
    handle = attention.register_forward_hook(lambda _m, _a, out: seen.append(out))
    with host.attach([Cross(Site("mid", 0, 0), 0.3)]):
        host.denoise(*inputs, CALL)
    handle.remove()
    torch.testing.assert_close(seen[0], attention.to_out[0](torch.full_like(seen[0], 0.3)))


@torch.no_grad()
def test_the_first_input_residual_is_part_of_the_skip(host, unet, inputs):
    """Adding to the first map is the same as a larger bias of `conv_in`."""
    with host.attach([Input(None, 0.25)]):
        added = host.denoise(*inputs, CALL)
    unet.conv_in.bias += 0.25
    torch.testing.assert_close(added, run(unet, inputs))


@torch.no_grad()
def test_input_residuals_see_the_running_map_only(host, shape, inputs):
    branches = [Input(s) for s in shape.layer_sites()]
    with host.attach(branches):
        host.denoise(*inputs, CALL)
    assert [b.width for b in branches] == [shape.input_width(b.site) for b in branches]


@torch.no_grad()
def test_skips_are_those_that_diffusers_adds_residuals_to(host, unet, shape, inputs):
    branches = [Skip(site, 0.05 * (k + 1)) for k, site in enumerate(shape.skip_sites())]
    with host.attach([*branches, Input(Site("up", 0, 0), 0.3)]):
        found = host.denoise(*inputs, CALL)
    assert [b.width for b in branches] == [shape.skip_width(b.site) for b in branches]
    skips = []
    handle = unet.conv_in.register_forward_hook(lambda _m, _a, out: skips.append(out))
    handles = [b.register_forward_hook(lambda _m, _a, out: skips.extend(out[1])) for b in unet.down_blocks]
    unet(*inputs)
    for h in (handle, *handles):
        h.remove()
    residuals = [torch.full_like(skip, 0.05 * (k + 1)) for k, skip in enumerate(skips)]
    middle = torch.full((4, 64, 4, 4), 0.3)
    latents, timestep, text = inputs
    expected = unet(
        latents, timestep, text, down_block_additional_residuals=residuals, mid_block_additional_residual=middle
    ).sample
    assert torch.equal(found, expected)


@torch.no_grad()
def test_attachments_stack_and_detach_in_any_order(host, inputs):
    site = Site("mid", 0, 0)
    first, second = host.attach([After(site, lambda h: h + 1)]), host.attach([After(site, lambda h: h * 2)])
    both = host.denoise(*inputs, CALL)
    with host.attach([]):
        first.detach()
    only = host.denoise(*inputs, CALL)
    second.detach()
    with host.attach([After(site, lambda h: (h + 1) * 2)]):
        assert torch.equal(host.denoise(*inputs, CALL), both)
    with host.attach([After(site, lambda h: h * 2)]):
        assert torch.equal(host.denoise(*inputs, CALL), only)


@torch.no_grad()
def test_a_bare_host_shares_the_unet_and_has_no_branches(host, unet, inputs):
    with host.attach([Input(None)]):
        assert torch.equal(host.bare().denoise(*inputs, CALL), run(unet, inputs))


@pytest.mark.parametrize(
    "branch", [Cross(Site("down", 0, 0)), Self_(Site("up", 9, 0)), After(Site("down", 0, 7)), Cross(None), After(None)]
)
def test_an_unknown_site_is_named_with_the_valid_ones(host, branch):
    with pytest.raises(SiteNotFound, match=rf"(?s)down\.1\.0.*but got {branch.site}"):
        host.attach([branch])


def test_only_layers_on_the_way_up_join_skips(host):
    with pytest.raises(SiteNotFound, match=r"`skip` branch must be at one of up\.2\.1, .* but got down\.1\.0"):
        host.attach([Skip(Site("down", 1, 0))])


def test_the_precision_is_that_of_the_weights(host, unet):
    assert host.dtype == next(unet.parameters()).dtype == host.bare().dtype


def test_what_is_no_branch_is_refused(host):
    with pytest.raises(BadInput, match="must have `site`"):
        host.attach([object()])


@torch.no_grad()
def test_a_branch_that_is_never_reached_is_an_error(host, unet, inputs):
    unet.mid_block.forward = lambda hidden, *args, **kwargs: hidden
    with host.attach([After(Site("mid", 0, 0))]), pytest.raises(SiteNotFound, match=r"never visited mid\.0\.0"):
        host.denoise(*inputs, CALL)


def test_the_batch_must_be_passes_times_frames(host, inputs):
    with pytest.raises(BadInput, match=r"2 x 4 rows, but got 4"):
        host.denoise(*inputs, Call(frames=torch.arange(4), passes=(Pass(), Pass(text=False))))


def test_gradient_checkpointing_is_refused(host, unet, inputs):
    unet.enable_gradient_checkpointing()
    with host.attach([Input(None)]), pytest.raises(BadInput, match="gradient checkpointing"):
        host.denoise(*inputs, CALL)


def test_gradients_reach_what_branches_hold(host, shape, inputs):
    weights = [nn.Parameter(torch.zeros(())) for _ in range(4)]
    site = shape.attention_sites()[0]
    branches = [Cross(site), Self_(site, lambda h: h + weights[1]), After(site, lambda h: h + weights[2]), Input(None)]
    branches[0].cross = lambda q, heads, call: q * weights[0]
    branches[3].residual = lambda h, call: h * weights[3]
    with host.attach(branches):
        host.denoise(*inputs, CALL).square().mean().backward()
    assert all(w.grad is not None and w.grad != 0 for w in weights)
