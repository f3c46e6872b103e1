"""The keystone: same weights, noise and noise levels give the same latents in diffusers and in ComfyUI. Chaining."""

import shutil

import pytest
import torch

from portraittalk_core import presets
from portraittalk_core.builders import noise_schedule
from portraittalk_core.checkpoints import native as weights
from portraittalk_core.diffusion.guidance import GuidanceScales
from portraittalk_core.diffusion.latent_fusion import sample_video
from portraittalk_core.diffusion.noise import FrameNoise
from portraittalk_core.diffusion.schedule import SMALLEST_ALPHA
from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.hosts.diffusers_host import DiffusersHost
from portraittalk_core.motion.geometry import placement, warp_picture
from portraittalk_core.stacks import conditions as conditioning
from portraittalk_core.stacks.denoiser import Denoiser
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import Identity, SpeechFeatures, StructureMaps

from .comfy_env import as_the_host_runs_nodes  # noqa: F401 - the first is a fixture

pytestmark = pytest.mark.comfy

FRAMES, STEPS, SIDE = 6, 3, 16
PROMPTS = PromptTrack("a man", [(0.08, "a smiling woman with red hair")], 25, FRAMES)
ALONE = ("identity", "reference", "structure", "temporal", "audio")


def unet_of(model):
    with model.host.open() as host:
        return host.unet


@pytest.fixture(scope="module")
def folder(random_model, tmp_path_factory):
    """Return the files of a model whose every branch matters."""
    folder = tmp_path_factory.mktemp("random")
    shutil.copytree(weights.ASSETS / "tiny", folder, dirs_exist_ok=True)
    parts = {"unet": unet_of(random_model), **dict(random_model.stack.adapters.named_children())}
    tensors = {f"{name}.{key}": value for name, net in parts.items() for key, value in net.state_dict().items()}
    weights.save_denoiser(folder / "denoiser.safetensors", tensors, presets.tiny())
    return folder


@pytest.fixture(scope="module")
def base(pack, folder):
    return pack("nodes.tiny_models").load_model(folder / "denoiser.safetensors")


@pytest.fixture(scope="module")
def adapters(pack, folder):
    models = pack("nodes.tiny_models")
    vae = models.load_vae(folder / "vae.safetensors")
    return pack("nodes.hosted_stack").load_tiny(str(folder), vae, models.TinyLatent(), alone=True)


@pytest.fixture(scope="module")
def scene(avatar_identity):
    """Return what the conditions are made of: latents of two references, maps, speech, embeddings."""
    generator = torch.Generator().manual_seed(2)
    landmarks = avatar_identity.landmarks + 0.01 * torch.randn(FRAMES, 1, 2, generator=generator).cumsum(0)
    maps = StructureMaps(landmarks, placement(avatar_identity.landmarks, landmarks), 25.0)
    speech = SpeechFeatures(torch.randn(FRAMES, 128, generator=generator), torch.zeros(FRAMES), 25.0)
    latents = torch.randn(2, 8, SIDE, SIDE, generator=generator)
    warped = torch.randn(FRAMES, 8, SIDE, SIDE, generator=generator)
    embeddings = torch.nn.functional.normalize(torch.randn(2, 512, generator=generator), dim=1)
    picture = torch.rand(1, 3, 8 * SIDE, 8 * SIDE, generator=generator) * 2 - 1
    identity = Identity(embeddings[:1], picture, avatar_identity.landmarks)
    return {
        "latents": latents,
        "warped": warped,
        "maps": maps,
        "speech": speech,
        "embeddings": embeddings,
        "identity": identity,
    }


def conditions(module, scene, names, adapters, unconditional):
    """Make the named conditions by the core's module, or by the pack's copy of it."""
    made = {
        "identity": lambda: module.IdentityCondition(adapters, scene["embeddings"], 0.8),
        "reference": lambda: module.ReferenceCondition(adapters, scene["latents"], unconditional, 0.9),
        "structure": lambda: module.StructureCondition(
            adapters,
            scene["maps"],
            scene["latents"][:1],
            lambda landmarks: warp_picture(scene["identity"].crops, scene["identity"].landmarks, landmarks),
            lambda rows, _: scene["warped"][rows],
            2 * SIDE,
        ),
        "temporal": lambda: module.TemporalCondition(adapters),
        "audio": lambda: module.AudioCondition(adapters, scene["speech"], 0.7),
    }
    return module.Conditions([made[name]() for name in names], keep=8)


def finite_schedule():
    """Return the model's schedule with the highest noise level that ComfyUI can count: infinite there is 4096."""
    schedule = noise_schedule(presets.tiny())
    schedule.alphas_cumprod = schedule.alphas_cumprod.clamp(min=SMALLEST_ALPHA)
    return schedule


FLICKER = 0.3
"""Where a video has several windows; large, for the random networks answer wildly."""


def in_diffusers(model, scene, names, window, fusion, scales, sampler, start=None):
    stack = model.stack
    given = conditions(conditioning, scene, names, stack.adapters, stack.text.encode([""]))
    denoiser = Denoiser(DiffusersHost(unet_of(model)), given, stack.encode_prompts(PROMPTS, "gray"))
    chunks = sample_video(
        denoiser.predict,
        FRAMES,
        (8, SIDE, SIDE),
        finite_schedule(),
        generator=torch.Generator().manual_seed(5),
        steps=STEPS,
        window=window,
        overlap=1,
        fusion=fusion,
        scales=scales,
        sampler=sampler,
        initial=start,
        flicker=FLICKER if window < FRAMES else 0.0,
        denoise=1.0 if start is None else 2 / STEPS,
    )
    return torch.cat([latents for _, latents in chunks])


def attached(pack, base, adapters, scene, names, guide_identity=False):
    stack = adapters.stack
    module = pack("portraittalk_core.stacks.conditions")
    given = conditions(module, scene, names, stack.adapters, stack.text.encode([""]))
    patchers = adapters.memory.patchers()
    options = {"frames": FRAMES, "guide_identity": guide_identity}
    return pack("nodes.comfy_host").attach(base, given, adapters.shape, *patchers, **options)


def sampled(model, text_encoder, cfg=1.0, sampler="dpmpp_2m", start=None):
    """Sample as the host does, at the core's noise levels."""
    import comfy.sample
    import comfy.samplers

    noise = FrameNoise((8, SIDE, SIDE), torch.Generator().manual_seed(5), shared=1.0).at(torch.arange(FRAMES))
    sigmas = noise_schedule(presets.tiny()).sigmas(STEPS)
    sigmas = sigmas if start is None else sigmas[1:]
    shown = PROMPTS.mix(text_encoder.encode(PROMPTS.prompts), torch.arange(FRAMES))
    positive, negative = [[shown, {}]], [[text_encoder.encode(["gray"]), {}]]
    chosen = comfy.samplers.sampler_object(sampler)
    first = torch.zeros_like(noise) if start is None else start
    return comfy.sample.sample_custom(model, noise, cfg, chosen, sigmas, positive, negative, first, disable_pbar=True)


SAMPLERS = {"dpm++2m": "dpmpp_2m", "ddim": "euler"}
"""The core's names and the host's for the same sampler."""


def check(
    random_model,
    pack,
    base,
    adapters,
    scene,
    names,
    window=16,
    fusion="joint",
    cfg=1.0,
    guide_identity=False,
    sampler="dpm++2m",
    start=None,
    bound=1e-4,
):
    scales = GuidanceScales(text=cfg, identity=cfg if guide_identity else 1.0)
    expected = in_diffusers(random_model, scene, names, window, fusion, scales, sampler, start)
    model = attached(pack, base, adapters, scene, names, guide_identity)
    if window < FRAMES:
        plan = pack("nodes.window_plan").WindowPlan(window, 1)
        pack("nodes.comfy_windows").add_windows(model, plan, fusion, FLICKER)
    found = sampled(model, random_model.stack.text, cfg, SAMPLERS[sampler], start)
    difference = float((found - expected).abs().max())
    print(f"{'+'.join(names) or 'bare'} {sampler} window {window} {fusion} cfg {cfg:g}: {difference:.1e}")
    assert difference <= bound
    return found


@pytest.mark.parametrize("name", ["", *ALONE])
def test_keystone_each_branch_alone(random_model, pack, base, adapters, scene, name):
    names = (name,) if name else ()
    found = check(random_model, pack, base, adapters, scene, names)
    if names:  # the branch must matter, or its equality says nothing
        assert (found - sampled(base, random_model.stack.text)).abs().max() > 1e-3


@pytest.mark.parametrize("guide_identity", [False, True])
@pytest.mark.parametrize(("window", "fusion"), [(16, "joint"), (3, "joint"), (3, "streaming")])
@pytest.mark.parametrize("cfg", [1.0, 7.0])
def test_keystone_all_branches_together(random_model, pack, base, adapters, scene, window, fusion, cfg, guide_identity):
    if guide_identity and cfg == 1:
        pytest.skip("nothing is guided at 1")
    check(random_model, pack, base, adapters, scene, ALONE, window, fusion, cfg, guide_identity)


@pytest.mark.parametrize("fusion", ["joint", "streaming"])
def test_keystone_with_ddim_from_latents(random_model, pack, base, adapters, scene, fusion):
    start = torch.randn(FRAMES, 8, SIDE, SIDE, generator=torch.Generator().manual_seed(9))
    check(random_model, pack, base, adapters, scene, ALONE, 3, fusion, 7.0, sampler="ddim", start=start)


def test_keystone_with_ddim_from_nothing(random_model, pack, base, adapters, scene):
    """From the highest noise level, 4096, Euler's sum in float32 loses four digits: that is the host's arithmetic."""
    check(random_model, pack, base, adapters, scene, ALONE, sampler="ddim", bound=5e-4)


def plain(base):
    import comfy.model_management

    comfy.model_management.load_models_gpu([base])
    x = torch.randn(2, 8, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    text = torch.randn(2, 77, 128, generator=torch.Generator().manual_seed(2))
    return base.model.apply_model(x, torch.tensor([3.0, 3.0]), c_crossattn=text, transformer_options={})


def test_the_plain_model_is_bit_equal_after_a_run_and_after_a_failure(random_model, pack, base, adapters, scene):
    text, before = random_model.stack.text, plain(base)
    model = attached(pack, base, adapters, scene, ALONE)
    sampled(model, text)
    assert torch.equal(plain(base), before)

    class Interrupted(Exception):
        pass

    class Stops:
        def branches(self, host, frames, uncond, device):
            raise Interrupted

        def reset(self):
            pass

    host = pack("nodes.comfy_host")
    failing = host.attach(model, Stops(), adapters.shape, *adapters.memory.patchers())
    with pytest.raises(Interrupted):
        sampled(failing, text)
    assert torch.equal(plain(base), before)
    sampled(model, text)  # and the next run is right
    assert torch.equal(plain(base), before)


def test_two_identity_nodes_in_a_row_add_up(random_model, pack, base, adapters, scene):
    text = random_model.stack.text
    one = attached(pack, base, adapters, scene, ("identity",))
    other = {**scene, "embeddings": scene["embeddings"].flip(1)}
    both = attached(pack, one, adapters, other, ("identity",))
    first, second = sampled(one, text), sampled(both, text)
    assert (first - second).abs().max() > 1e-3
    reverse = attached(pack, attached(pack, base, adapters, other, ("identity",)), adapters, scene, ("identity",))
    torch.testing.assert_close(sampled(reverse, text), second, atol=1e-4, rtol=0)


class Foreign:
    """An attention patch of another pack: plain attention, made a little weaker, that counts its calls."""

    def __init__(self):
        self.calls = 0

    def __deepcopy__(self, memo):
        return self

    def __call__(self, q, k, v, extra):
        from comfy.ldm.modules.attention import optimized_attention

        self.calls += 1
        return 0.9 * optimized_attention(q, k, v, extra["n_heads"])


@pytest.mark.parametrize("ours_first", [True, False])
@pytest.mark.parametrize("key", [(), (0,)])
def test_a_foreign_attention_patch_runs_as_well(random_model, pack, base, adapters, scene, ours_first, key):
    """Under the block's key in either order; under our own, more specific one if it comes first."""
    if ours_first and key:
        pytest.skip("the later of two under one key replaces the earlier: that is the host's rule, see the next test")
    text, foreign = random_model.stack.text, Foreign()
    site = ("input", 3)

    def patched(model):
        clone = model.clone()
        clone.set_model_attn2_replace(foreign, *site, *key)
        return clone

    def ours(model):
        return attached(pack, model, adapters, scene, ("identity",))

    alone = sampled(ours(base), text)
    both = sampled(patched(ours(base)) if ours_first else ours(patched(base)), text)
    assert foreign.calls == STEPS
    assert (both - alone).abs().max() > 1e-4


def test_a_patch_that_replaces_ours_is_named(random_model, pack, base, adapters, scene):
    model = attached(pack, base, adapters, scene, ("identity",))
    model.set_model_attn2_replace(Foreign(), "input", 3, 0)
    error = pack("portraittalk_core.errors").SiteNotFound
    with pytest.raises(error, match="cross at input 3: another node has replaced this part"):
        sampled(model, random_model.stack.text)


def test_a_lora_before_and_after_and_a_controls_residual(random_model, pack, base, adapters, scene):
    text = random_model.stack.text
    key = "diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_q.weight"
    weight = dict(base.model.named_parameters())[key]
    patch = {key: (0.3 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(4)),)}

    def with_lora(model):
        clone = model.clone()
        assert clone.add_patches(patch) == [key]
        return clone

    unpatched = sampled(attached(pack, base, adapters, scene, ALONE), text)
    before = sampled(attached(pack, with_lora(base), adapters, scene, ALONE), text)
    after = sampled(with_lora(attached(pack, base, adapters, scene, ALONE)), text)
    assert torch.equal(before, after) and (before - unpatched).abs().max() > 1e-3
    same = attached(pack, base, adapters, scene, ALONE)
    assert torch.equal(sampled(same, text), unpatched)

    def residual(h, options):
        return h + 0.1 if options["block"] == ("input", 2) else h

    controlled = attached(pack, base, adapters, scene, ALONE)
    controlled.set_model_input_block_patch(residual)
    assert (sampled(controlled, text) - unpatched).abs().max() > 1e-3


def test_freeu_works_on_top(random_model, pack, comfy_host, base, adapters, scene):
    comfy_host.load_extra_nodes()
    model = attached(pack, base, adapters, scene, ALONE)
    freeu = comfy_host.node("FreeU")
    if hasattr(freeu, "execute"):
        result = freeu.execute(model=model, b1=1.3, b2=1.4, s1=0.9, s2=0.2)
        changed = result.result[0] if hasattr(result, "result") else result[0]
    else:
        changed = freeu().patch(model, 1.3, 1.4, 0.9, 0.2)[0]
    text = random_model.stack.text
    # FreeU looks for SD1.5's channel counts; on this narrower model it must at least do no harm.
    assert torch.isfinite(sampled(changed, text)).all()


def test_what_was_recorded_is_dropped_between_runs(random_model, pack, base, adapters, scene):
    """A LoRA that is changed after the reference was recorded must show in the next run of the same graph."""
    text = random_model.stack.text
    model = attached(pack, base, adapters, scene, ("reference",))
    sampled(model, text)
    key = "diffusion_model.input_blocks.1.0.in_layers.2.weight"
    weight = dict(base.model.named_parameters())[key]
    changed = model.clone()
    changed.add_patches({key: (torch.randn(weight.shape, generator=torch.Generator().manual_seed(4)),)})
    fresh_base = base.clone()
    fresh_base.add_patches({key: (torch.randn(weight.shape, generator=torch.Generator().manual_seed(4)),)})
    fresh = attached(pack, fresh_base, adapters, scene, ("reference",))
    assert torch.equal(sampled(changed, text), sampled(fresh, text))


def test_a_latent_of_another_length_and_a_foreign_model_are_refused(random_model, pack, base, adapters, scene):
    import comfy.sample

    errors = pack("portraittalk_core.errors")
    model = attached(pack, base, adapters, scene, ("structure",))
    latent, text = torch.zeros(4, 8, SIDE, SIDE), random_model.stack.text.encode(["a"])
    with pytest.raises(errors.BadInput, match="one frame for each of the motion's 6, but got 4"):
        comfy.sample.sample(
            model, latent, 1, 1.0, "euler", "simple", [[text, {}]], [[text, {}]], latent, disable_pbar=True
        )
    other = adapters.shape.__class__((32, 64), 1, (True, True), 128, 4)
    with pytest.raises(errors.WeightsMismatch, match="Load a model and adapters that belong together"):
        pack("nodes.comfy_host").attach(base, object(), other, *adapters.memory.patchers())
    assert errors.WeightsMismatch is not WeightsMismatch  # two copies of the core, as under ComfyUI
