"""Steps without inner layers: what runs, what is the same, and when the whole U-Net runs all the same."""

import pytest
import torch

from portraittalk_core.host import Call, DeepFeatures, Pass
from portraittalk_core.hosts.diffusers_control import control_branches
from portraittalk_core.sites import Site
from portraittalk_core.stacks.base import Condition
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.prompts import PromptEmbeds

from .conftest import awake_control
from .test_diffusers_host import Output, everywhere, fingerprint

FRAMES = torch.arange(4)


def ran(unet, run):
    """Return the blocks that ran, by name."""
    seen, handles = [], []
    blocks = {f"down.{k}": b for k, b in enumerate(unet.down_blocks)} | {"mid": unet.mid_block}
    blocks |= {f"up.{k}": b for k, b in enumerate(unet.up_blocks)}
    for name, block in blocks.items():
        handles.append(block.register_forward_hook(lambda *_, name=name: seen.append(name)))
    out = run()
    for handle in handles:
        handle.remove()
    return out, seen


@torch.no_grad()
def test_with_the_same_inputs_the_outer_layers_give_the_same(host, unet, shape, inputs):
    """What was kept is then what the inner layers would give: the bits are those of the whole U-Net."""
    deep, before = DeepFeatures(), fingerprint(unet)
    branches = everywhere(shape)[:-1]  # but for OUTPUT
    with host.attach(branches) as attachment:
        whole = host.denoise(*inputs, Call(frames=FRAMES))
        kept, all_blocks = ran(unet, lambda: host.denoise(*inputs, Call(frames=FRAMES, deep=deep)))
        counts = dict(attachment.counts)
        again, outer = ran(unet, lambda: host.denoise(*inputs, Call(frames=FRAMES, deep=deep)))
    assert torch.equal(whole, kept) and torch.equal(whole, again)
    assert len(all_blocks) == 7 and outer == ["down.0", "up.2"]
    last = len(shape.channels) - 1
    for branch in branches:
        outer = branch.site is None or (branch.site.stage, branch.site.block) in (("down", 0), ("up", last))
        assert attachment.counts[branch] == counts[branch] + outer
    assert fingerprint(unet) == before


@torch.no_grad()
def test_a_controlnet_rests_and_what_it_gave_the_outer_layers_is_used_again(host, unet, inputs, noise):
    control = awake_control(unet)
    times, deep = [], DeepFeatures()
    control.conv_in.register_forward_hook(lambda *_: times.append(1))
    with host.attach(control_branches(control, torch.rand(4, 3, 128, 128, generator=noise))):
        whole, again = (host.denoise(*inputs, Call(frames=FRAMES, deep=deep)) for _ in range(2))
        later = host.denoise(inputs[0] + 0.1, *inputs[1:], Call(frames=FRAMES, deep=deep))
    assert len(times) == 1 and torch.equal(whole, again)
    assert not torch.equal(later, whole), "the outer layers see the noise of their own step"


@torch.no_grad()
def test_who_needs_inner_layers_gets_the_whole_unet(host, unet, inputs):
    for site, blocks in ((Site("mid", 0, 0), 7), (Site("up", 2, 0), 2)):
        deep = DeepFeatures()
        with host.attach([Output(site)]):
            host.denoise(*inputs, Call(frames=FRAMES, deep=deep))
            _, seen = ran(unet, lambda deep=deep: host.denoise(*inputs, Call(frames=FRAMES, deep=deep)))
        assert len(seen) == blocks
    odd = inputs[0][..., :14, :14], *inputs[1:]
    deep = DeepFeatures()
    for _ in range(2):
        _, seen = ran(unet, lambda: host.denoise(*odd, Call(frames=FRAMES, deep=deep)))
        assert len(seen) == 7


def test_with_gradients_the_whole_unet_runs(host, unet, inputs):
    deep = DeepFeatures()
    host.denoise(*inputs, Call(frames=FRAMES, deep=deep))
    assert deep.hidden is None


class Nothing(Condition):
    def branches(self, host, frames, uncond, device):
        return []


@pytest.mark.parametrize(("streams", "expected"), [(False, "WWooWWoo"), (True, "WWWWWWWW")])
def test_every_so_many_steps_of_a_window_are_whole(host, unet, noise, streams, expected):
    """Two windows in turns: W whole, o outer layers only; of other passes nothing is used again."""
    text = torch.randn(1, 5, 32, generator=noise)
    prompts = PromptEmbeds(text, text, None)
    denoiser = Denoiser(host, Nothing(), prompts, reuse=2, streams=streams)
    both = (Pass(), Pass(text=False))
    plan = [(both, k) for k in (0, 4, 0, 4)] + [((Pass(),), k) for k in (0, 4, 0, 4)]
    found = ""
    for step, (passes, start) in enumerate(plan):
        latents = torch.randn(4, 8, 16, 16, generator=noise)

        def run(latents=latents, step=step, start=start, passes=passes):
            return denoiser.predict(latents, torch.tensor(900 - step), torch.arange(start, start + 4), passes)

        found += "W" if len(ran(unet, run)[1]) == 7 else "o"
    assert found == expected
