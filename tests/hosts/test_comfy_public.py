"""Networks of others in ComfyUI: hooks on the way up, then whole stacks of public files through the nodes."""

from dataclasses import asdict, replace

import pytest
import torch

from portraittalk_core.builders import noise_schedule
from portraittalk_core.config import ModelConfig
from portraittalk_core.diffusion.guidance import GuidanceScales
from portraittalk_core.diffusion.latent_fusion import sample_video
from portraittalk_core.diffusion.noise import FrameNoise
from portraittalk_core.host import Call, Pass
from portraittalk_core.hosts.diffusers_control import control_branches
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.hosts.diffusers_models import build_unet
from portraittalk_core.hosts.sd15_models import VAE_SCALE
from portraittalk_core.nets.unet_keys import comfy_config, to_comfy
from portraittalk_core.presets import ANIMATEDIFF
from portraittalk_core.sites import UNetShape
from portraittalk_core.stacks.base import Condition
from portraittalk_core.stacks.conditions import Conditions
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.prompts import PromptEmbeds

from .comfy_env import as_the_host_runs_nodes  # noqa: F401 - the first is a fixture
from .conftest import awake_control

pytestmark = pytest.mark.comfy

SMALL = UNetShape((32, 64, 64, 64), 2, (True, True, True, False), 32, 4)
FRAMES, SIDE = 3, 16
BOTH = (Pass(), Pass(text=False, identity=False))


@pytest.fixture(scope="module")
def small():
    """A U-Net of SD1.5's layout and little width."""
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(0)
        unet = build_unet(
            latent_channels=4, channels=SMALL.channels, layers=2, attention=SMALL.attention, heads=4, cross_dim=32
        )
    return unet.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def model(comfy_host, small):
    """The same as the host's MODEL, on a schedule of linear betas."""
    import comfy.latent_formats
    import comfy.model_patcher
    import comfy.supported_models_base

    class Config(comfy.supported_models_base.BASE):
        unet_extra_config = {}  # noqa: RUF012
        latent_format = comfy.latent_formats.SD15

    config = Config(comfy_config(SMALL, in_channels=4, out_channels=4))
    config.set_inference_dtype(torch.float32, None)
    made = config.get_model({}, "")
    made.diffusion_model.load_state_dict(to_comfy(small.state_dict(), SMALL))
    made.model_sampling.set_sigmas(SCHEDULE.sigmas())
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(made.eval().requires_grad_(False), load_device=cpu, offload_device=cpu)


@pytest.fixture(scope="module")
def control(small):
    with torch.inference_mode():
        return awake_control(small)


SCHEDULE = noise_schedule(replace(ModelConfig(), schedule=replace(ANIMATEDIFF, timestep_spacing="trailing")))


@pytest.fixture
def noise():
    return torch.Generator().manual_seed(1)


class Adds:
    """Adds something that depends on what is there, through one hook at one site."""

    def __init__(self, site, method, width, seed):
        self.site, self.weight = site, 0.1 * torch.randn(width, generator=torch.Generator().manual_seed(seed))
        setattr(self, method, self.add)

    def add(self, hidden, call):
        assert hidden.shape[1] == len(self.weight) and call.inputs.latents.shape[-2:] == (SIDE, SIDE)
        return torch.tanh(hidden) * self.weight[:, None, None]


def everywhere(shape):
    """A branch at every place of the hooks that only add."""
    inputs = [Adds(site, "residual", shape.input_width(site), k) for k, site in enumerate(shape.layer_sites())]
    skips = [Adds(site, "skip", shape.skip_width(site), 50 + k) for k, site in enumerate(shape.skip_sites())]
    return [Adds(None, "residual", shape.channels[0], 99), *inputs, *skips]


@pytest.fixture(scope="module")
def shape(pack):
    """`SMALL` in the pack's copy of the core, whose sites are not those of ours."""
    return pack("portraittalk_core.sites").UNetShape(**asdict(SMALL))


def distance(found, expected):
    return float((found - expected).abs().max())


@pytest.mark.parametrize("kind", ["skip", "residual"])
def test_each_place_on_every_way_is_the_same_in_both_hosts(pack, small, model, noise, capsys, kind):
    ours, theirs = DiffusersHost(small), pack("nodes.comfy_host").ComfyHost(model.model.diffusion_model, SMALL)
    inputs = torch.randn(4, 4, SIDE, SIDE, generator=noise), torch.tensor(300), torch.randn(4, 5, 32, generator=noise)
    call, worst = Call(frames=torch.arange(2), passes=BOTH), 0.0
    bare = ours.denoise(*inputs, call)
    assert distance(theirs.denoise(*inputs, call), bare) <= 1e-5
    for branch in everywhere(SMALL):
        if not hasattr(branch, kind):
            continue
        with ours.attach([branch]), theirs.attach([branch]):
            expected, found = ours.denoise(*inputs, call), theirs.denoise(*inputs, call)
        worst = max(worst, distance(found, expected))
        assert distance(expected, bare) > 1e-3, f"{branch.site} does not matter"
    with capsys.disabled():
        print(f"\n{kind} branches one by one: {worst:.1e}")
    assert worst <= 1e-4


class Given(Condition):
    """Branches made beforehand for the frames of a window."""

    def __init__(self, make):
        self.make = make

    def branches(self, host, frames, uncond, device):
        return self.make(frames)


def prompts(noise):
    return torch.randn(FRAMES, 5, 32, generator=noise), torch.randn(1, 5, 32, generator=noise)


def in_diffusers(small, condition, text, cfg, window):
    denoiser = Denoiser(DiffusersHost(small), condition, PromptEmbeds(*text))
    chunks = sample_video(
        denoiser.predict,
        FRAMES,
        (4, SIDE, SIDE),
        SCHEDULE,
        generator=torch.Generator().manual_seed(5),
        steps=2,
        window=window,
        overlap=1,
        scales=GuidanceScales(text=cfg, identity=cfg),
        shared_noise=0.0,
        sampler="dpm++2m",
    )
    return torch.cat([latents for _, latents in chunks])


def in_comfyui(model, text, cfg):
    import comfy.sample
    import comfy.samplers

    noise = FrameNoise((4, SIDE, SIDE), torch.Generator().manual_seed(5), shared=0.0).at(torch.arange(FRAMES))
    positive, negative = ([[rows, {}]] for rows in text)
    sampler, zeros = comfy.samplers.sampler_object("dpmpp_2m"), torch.zeros_like(noise)
    sigmas = SCHEDULE.sigmas(2)
    rows = comfy.sample.sample_custom(model, noise, cfg, sampler, sigmas, positive, negative, zeros, disable_pbar=True)
    return rows * VAE_SCALE  # a LATENT is not scaled


@pytest.mark.parametrize("window", [16, 2])
@pytest.mark.parametrize("cfg", [1.0, 5.0])
@pytest.mark.parametrize("name", ["everywhere", "control"])
def test_a_model_with_branches_on_the_way_up_gives_the_latents_of_diffusers(
    pack, small, model, shape, control, noise, capsys, name, cfg, window
):
    text, drawn = prompts(noise), torch.rand(FRAMES, 3, 8 * SIDE, 8 * SIDE, generator=noise)
    pack_control = pack("portraittalk_core.hosts.diffusers_control").control_branches

    def condition(make_control, shape):
        if name == "everywhere":
            return Given(lambda frames: everywhere(shape))
        return Given(lambda frames: make_control(control, drawn[frames], 0.7))

    expected = in_diffusers(small, Conditions([condition(control_branches, SMALL)], 4), text, cfg, window)
    host = pack("nodes.comfy_host")
    branched = host.attach(model, condition(pack_control, shape), shape, frames=FRAMES, guide_identity=True)
    if window < FRAMES:
        plan = pack("nodes.window_plan").WindowPlan(window, 1)
        pack("nodes.comfy_windows").add_windows(branched, plan, "joint")
    found, plain = in_comfyui(branched, text, cfg), in_comfyui(model, text, cfg)
    with capsys.disabled():
        print(f"\n{name} cfg {cfg:g} window {window}: {distance(found, expected):.1e}")
    assert distance(found, expected) <= 1e-4 * float(expected.std())
    assert distance(found, plain) > 0.1
    assert torch.equal(in_comfyui(model, text, cfg), plain), "the plain model has a trace of ours"


@pytest.mark.parametrize("ours_first", [True, False])
def test_a_foreign_output_patch_changes_what_we_have_added(pack, model, shape, noise, ours_first):
    """As FreeU does: it scales the map and the skip. It must see what ours added, as with the host's ControlNets."""
    text, host = prompts(noise), pack("nodes.comfy_host")
    skips = shape.skip_sites()
    constants = {site: 0.3 * torch.randn(shape.skip_width(site), 1, 1, generator=noise) for site in skips}

    class Constant:
        def __init__(self, site):
            self.site = site

        def skip(self, hidden, call):
            return constants[self.site].expand_as(hidden)

    class Middle:
        site = skips[-1]

        def residual(self, hidden, call):
            return torch.full_like(hidden, 0.2)

    def freeu(h, skip, options):
        return 1.2 * h, 0.6 * skip

    def by_hand(h, skip, options):
        number = options["block"][1]
        site = skips[::-1][number]
        return h + (0 if number else 0.2), skip + constants[site]

    def with_freeu(given):
        clone = given.clone()
        clone.set_model_output_block_patch(freeu)
        return clone

    def with_ours(given):
        return host.attach(given, Given(lambda frames: [*map(Constant, constants), Middle()]), shape, frames=FRAMES)

    reference = model.clone()
    reference.set_model_output_block_patch(by_hand)
    expected = in_comfyui(with_freeu(reference), text, 5.0)
    found = in_comfyui(with_freeu(with_ours(model)) if ours_first else with_ours(with_freeu(model)), text, 5.0)
    assert distance(found, expected) <= 1e-5 * float(expected.std())
    assert distance(found, in_comfyui(with_freeu(model), text, 5.0)) > 0.1
    assert distance(found, in_comfyui(with_ours(model), text, 5.0)) > 0.1


def test_a_branch_on_the_way_up_that_is_never_reached_is_named(pack, model, shape, noise):
    host = pack("nodes.comfy_host")
    branched = host.attach(model, Given(lambda frames: everywhere(shape)), shape, frames=FRAMES)
    patches = branched.model_options["transformer_options"]["patches"]
    patches["output_block_patch"] = []  # as a node would that replaces the list
    error = pack("portraittalk_core.errors").SiteNotFound
    with pytest.raises(error, match="the model never ran input at output 0, .*skip at output 11"):
        in_comfyui(branched, prompts(noise), 1.0)


def test_places_that_a_unet_lacks_are_named(pack, shape):
    host, hooks = pack("nodes.comfy_host"), pack("portraittalk_core.host").Hook
    error = pack("portraittalk_core.errors").SiteNotFound
    down = shape.layer_sites()[0]
    for hook, site in ((hooks.SKIP, down), (hooks.SKIP, None), (hooks.CROSS, shape.layer_sites()[6])):
        with pytest.raises(error, match=f"A `{hook.value}` branch must be at one of"):
            host.place(hook, site, shape)
    assert host.place(hooks.INPUT, None, shape) != host.place(hooks.INPUT, down, shape)
