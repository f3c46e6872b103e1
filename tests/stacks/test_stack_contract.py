"""What every stack keeps to: the form of the protocol, what is composed, what a scale of 0 means, and letting go."""

import inspect
from dataclasses import fields, is_dataclass, replace

import pytest
import torch

from portraittalk_core.host import Call, hooks_of
from portraittalk_core.stacks import base, conditions, mesh_conditions
from portraittalk_core.stacks.base import Condition, Stack
from portraittalk_core.stacks.conditions import Conditions
from portraittalk_core.stacks.loaded_codec import LoadedCodec
from portraittalk_core.stacks.options import SamplingOptions, Scales
from portraittalk_core.stacks.public import PublicStack
from portraittalk_core.stacks.resident_codec import ResidentCodec
from portraittalk_core.stacks.tiny import TinyStack

from .small_stacks import BOTH, FRAMES, sd15_case, tiny_case

NAMES = ("tiny", "sd15-portraittalk", "sd15-magictalk")

RECIPES = {
    "tiny": (
        "IdentityCondition",
        "ReferenceCondition",
        "TemporalCondition",
        "StructureCondition",
        "AudioCondition",
    ),
    "sd15-portraittalk": ("FixedBranches", "DrawnFaceCondition", "FixedBranches"),
    "sd15-magictalk": (
        "RecordedReference",
        "FixedBranches",
        "DrawnFaceCondition",
        "FixedBranches",
        "TextBesideCondition",
    ),
}
"""Whole recipes, in the order in which branches add up."""

PLACES = {
    "tiny": {"identity": 0, "reference": 1, "audio": 4},
    "sd15-portraittalk": {"identity": 0},
    "sd15-magictalk": {"reference": 0, "identity": 1},
}
"""Where in its recipe the network of each scale stands."""


@pytest.fixture(params=NAMES)
def case(request):
    if request.param == "tiny":
        return tiny_case(request.getfixturevalue("random_model"), request.getfixturevalue("avatar_identity"))
    return sd15_case(request.param)


@pytest.fixture
def tiny(random_model, avatar_identity):
    return tiny_case(random_model, avatar_identity)


@pytest.fixture(params=NAMES[1:])
def sd15(request):
    return sd15_case(request.param)


def names(made):
    return tuple(type(condition).__name__ for condition in made)


# The form.


def members(protocol):
    return {name: value for name, value in vars(protocol).items() if not name.startswith("_")}


def form(function):
    """Parameters of a method without their annotations: each stack has records of its own."""
    return [(p.name, p.kind, p.default) for p in inspect.signature(function).parameters.values()]


def test_the_protocol_says_what_the_documents_say():
    wanted = "config device schedule limits identify listen move structure encode decode conditions release with_codec"
    assert set(wanted.split()) <= set(members(Stack))


@pytest.mark.parametrize(
    ("made", "protocol"),
    [(TinyStack, Stack), (PublicStack, Stack), (ResidentCodec, base.Codec), (LoadedCodec, base.Codec)],
)
def test_methods_and_signatures_are_those_of_the_protocol(made, protocol):
    assert is_dataclass(made)
    with pytest.raises(AttributeError):
        made.__setattr__(object.__new__(made), "config", None)  # a value: nothing in it is replaced
    values = {field.name for field in fields(made)}
    for name, wanted in members(protocol).items():
        if isinstance(wanted, property):
            assert name in values or isinstance(getattr(made, name), property), name
        else:
            assert form(getattr(made, name)) == form(wanted), name
    for name in getattr(protocol, "__annotations__", {}):
        assert name in values, name


def test_conditions_have_the_form_of_their_base():
    found = [
        value
        for module in (conditions, mesh_conditions)
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Condition) and value.__module__ == module.__name__
    ]
    assert len(found) >= 9
    for made in found:
        for name, wanted in members(Condition).items():
            if callable(wanted):
                assert form(getattr(made, name)) == form(wanted), (made, name)


def test_properties_answer(case):
    stack = case.stack
    assert stack.config.name == case.name and stack.device == torch.device("cpu")
    assert stack.schedule.prediction_type == stack.config.schedule.prediction_type
    assert stack.limits.window == stack.config.temporal_frames and "joint" in stack.limits.fusions
    sampling = SamplingOptions().resolve(stack.config.sampling, stack.limits, 1.0)
    assert sampling.scales == Scales() and sampling.window <= stack.limits.window


def test_latents_and_pictures_belong_to_the_configuration(case):
    stack = case.stack
    config, crops = stack.config, case.identity.crops[:1]
    with torch.no_grad():
        latents = stack.encode(crops)
    side = config.size // config.vae_factor
    assert latents.shape == (1, config.unet.latent_channels, side, side)
    assert stack.draw(case.maps, 64).shape == (FRAMES, 3, 64, 64)
    frames = list(stack.decode(base.LatentVideo(latents.repeat(2, 1, 1, 1), 25.0)))
    pixels = torch.cat([part.pixels for part in frames])
    assert pixels.shape == (2, 3, config.size, config.size) and not pixels.is_inference()
    assert pixels.min() >= -1 and pixels.max() <= 1 and frames[0].fps == 25.0


# What is composed.


def test_the_whole_recipe_stands_in_its_order(case):
    made = case.conditions()
    assert names(made) == RECIPES[case.name]
    with case.model.host.open() as host:
        for condition in made:
            found = condition.branches(host, torch.arange(2), True, torch.device("cpu"))
            assert found and all(hooks_of(branch) for branch in found)


def test_what_is_left_out_is_not_composed(case):
    stack, recipe = case.stack, RECIPES[case.name]
    still = stack.conditions(case.identity)
    assert names(still) == recipe[: len(PLACES[case.name].keys() - {"audio"})]
    moving = stack.conditions(case.identity, case.maps, case.features)
    text = sum(name.startswith("Text") for name in recipe)
    assert names(moving) == recipe[: len(recipe) - text]
    assert names(stack.conditions(case.identity, prompts=case.embeds)) == names(still) + recipe[len(recipe) - text :]


def test_what_is_left_out_is_not_even_read(sd15):
    stack, loader = sd15.stack, sd15.stack.loader
    stack.conditions(sd15.identity)
    assert not {"structure", "temporal", "text_beside", "unet"} & set(loader.reads)
    loader.reads.clear()
    assert stack.conditions(sd15.identity, scales=Scales(0, 0, 0)) == [] == loader.reads
    stack.conditions(sd15.identity, sd15.maps, scales=Scales(0, 0, 0))
    assert loader.reads == ["structure", "temporal"]


# Scales.


@torch.no_grad()
def test_nothing_composed_is_the_bare_model_bit_for_bit(case):
    read = case.stack.cross_attention(case.embeds, case.identity)
    made = case.stack.conditions(case.identity, scales=Scales(0, 0, 0))
    assert made == []
    frames = torch.arange(FRAMES)
    with case.model.host.open() as host:
        call = Call(frames=frames, passes=BOTH, clip=FRAMES)
        text = read.batch(BOTH, frames)
        bare = host.denoise(case.latents().repeat(2, 1, 1, 1), torch.tensor(500), text, call)
    assert torch.equal(case.predict(made), bare)
    assert not torch.allclose(case.predict(case.conditions()), bare, atol=1e-3)


@pytest.mark.parametrize("scale", ["identity", "reference", "audio"])
def test_a_scale_of_zero_leaves_its_network_out_bit_for_bit(case, scale):
    full = case.conditions()
    less = case.conditions(scales=replace(Scales(), **{scale: 0.0}))
    place = PLACES[case.name].get(scale)
    if place is None:
        assert names(less) == names(full)  # a scale of what the stack does not have
        return
    assert names(less) == names(full[:place] + full[place + 1 :])
    without = case.predict(full[:place] + full[place + 1 :])
    assert torch.equal(case.predict(less), without)
    assert not torch.allclose(case.predict(full), without, atol=1e-4)


@pytest.mark.slow
def test_scales_lie_between_nothing_and_the_whole(case):
    for scale, place in PLACES[case.name].items():
        full, half = case.conditions(), case.conditions(scales=replace(Scales(), **{scale: 0.5}))
        none = case.predict(full[:place] + full[place + 1 :])
        near, far = ((case.predict(made) - none).norm() for made in (half, full))
        assert 0 < near < far, scale


# What a host has to know.


def test_all_networks_that_run_while_sampling_are_listed(tiny):
    made = tiny.conditions()
    assert set(Conditions(made).networks) == {tiny.stack.adapters, tiny.stack.warp.net}
    assert not Conditions(made).patches
    assert not made[1].networks  # ReferenceNet runs the U-Net, which the host holds anyway


def test_what_the_loader_keeps_is_listed_and_nothing_else_is_held(sd15):
    made = sd15.conditions()
    kept = {"structure", "temporal"} | ({"text_beside"} if sd15.name == "sd15-magictalk" else set())
    listed = Conditions(made).networks
    assert sd15.stack.loader.held() == kept and len(listed) == len(kept)
    assert {id(net) for net in listed} == {id(sd15.stack.loader.keep(name)) for name in kept}


def test_patches_are_listed_and_the_unet_runs_with_them():
    case = sd15_case("sd15-portraittalk")
    made = case.conditions()
    assert [patch.module.rsplit(".", 2)[-2:] for patch in Conditions(made).patches] == [
        ["attn1", "to_q"],
        ["to_out", "0"],
    ]
    assert Conditions(case.conditions(scales=Scales(identity=0.0))).patches == []
    unpatched = [mesh_conditions.FixedBranches(made[0].branches(None, torch.arange(1), True, "cpu")), *made[1:]]
    assert not torch.allclose(case.predict(made), case.predict(unpatched), atol=1e-3)


# Another VAE.


class HostsCodec:
    """A host's VAE: that of the stack, and it notes when it is asked."""

    def __init__(self, codec, runs_while_sampling, steps=()):
        self.codec, self.runs_while_sampling, self.steps = codec, runs_while_sampling, steps
        self.encoded = []  # (pictures, steps done before)

    def encode(self, pixels):
        self.encoded.append((len(pixels), len(self.steps)))
        return self.codec.encode(pixels)

    def decode(self, latents):
        return self.codec.decode(latents)


def test_with_codec_shares_everything_else(case):
    stack = case.stack
    codec = HostsCodec(stack.codec, True)
    other = stack.with_codec(codec)
    assert type(other) is type(stack) and other.codec is codec is not stack.codec
    for field in fields(stack):
        if field.name != "codec":
            assert getattr(other, field.name) is getattr(stack, field.name), field.name
    with torch.no_grad():
        assert torch.equal(other.encode(case.identity.crops), stack.encode(case.identity.crops))
    assert codec.encoded == [(len(case.identity.crops), 0)]


@pytest.mark.parametrize(("window", "overlap"), [(FRAMES, 0), (3, 1)])
def test_a_codec_that_may_not_run_while_sampling_has_encoded_before(tiny, window, overlap):
    """A host has one place for big networks: its VAE would throw the U-Net out."""
    options = SamplingOptions(steps=2, window=window, overlap=overlap)
    results, codecs = [], []
    for runs in (True, False):
        steps = []
        codecs.append(HostsCodec(tiny.stack.codec, runs, steps))
        model = type(tiny.model)(tiny.stack.with_codec(codecs[-1]), tiny.model.host)
        video = replace(tiny, model=model).animate(
            options=options, on_step=lambda done, total, steps=steps: steps.append(done)
        )
        if not runs:
            before = list(codecs[-1].encoded)
        results.append(torch.cat([part.latents for part in video]))
    during, beforehand = codecs
    assert [count for count, _ in beforehand.encoded] == [1, FRAMES] and beforehand.encoded == before
    assert during.encoded[0] == (1, 0) and sum(count for count, _ in during.encoded[1:]) == FRAMES
    assert max(count for count, _ in during.encoded) == window  # what windows share is encoded once
    torch.testing.assert_close(*results, rtol=0, atol=1e-3)  # convolutions round otherwise in batches of another size


@pytest.mark.slow
def test_few_steps_and_reuse(sd15):
    def made(**options):
        return torch.cat([part.latents for part in sd15.animate(options=SamplingOptions(steps=2, cfg=1.0, **options))])

    whole, few, reused = made(), made(sampler="lcm"), made(reuse=2)
    for other in (few, reused):
        assert other.shape == whole.shape and torch.isfinite(other).all()
        assert float((other - whole).abs().max()) > 1e-3


def test_no_vae_is_held_while_an_sd15_stack_samples(sd15):
    held = []
    video = sd15.animate(on_step=lambda done, total: held.append(sd15.stack.loader.held()))
    assert torch.isfinite(torch.cat([part.latents for part in video])).all() and held
    # What only looks at prompts and pictures is gone as well.
    assert all(found <= {"unet", "structure", "temporal", "text_beside"} for found in held)
    assert sd15.stack.loader.reads.count("unet") == 1


# Letting go.


def test_everything_is_let_go_before_the_last_latents_are_decoded(sd15):
    for part in sd15.animate():
        assert sd15.stack.loader.held() == set()
        for _ in sd15.stack.decode(part):
            assert sd15.stack.loader.held() == {"vae"}
    assert sd15.stack.loader.held() == set()


def test_everything_is_let_go_when_a_network_cannot_be_read(sd15):
    loader = sd15.stack.loader
    loader.missing = "temporal"  # after the structure network, which is kept
    with pytest.raises(OSError, match="temporal is gone"):
        sd15.animate()
    assert "structure" in loader.reads and loader.held(collect=True) == set()


def test_everything_is_let_go_when_the_unet_cannot_be_read(sd15):
    loader = sd15.stack.loader
    loader.missing = "unet"
    with pytest.raises(OSError, match="unet is gone"):
        list(sd15.animate())
    assert loader.held(collect=True) == set()


@pytest.mark.slow
def test_everything_is_let_go_when_somebody_interrupts(sd15):
    loader = sd15.stack.loader

    def stop(done, total):
        assert {"unet", "structure", "temporal"} <= loader.held()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(sd15.animate(on_step=stop))
    assert loader.held(collect=True) == set()
    # And the model is of use again.
    assert len(torch.cat([part.latents for part in sd15.animate()])) == FRAMES


def test_everything_is_let_go_when_a_stream_is_left_half_way(sd15):
    loader = sd15.stack.loader
    video = sd15.animate(options=SamplingOptions(fusion="streaming", window=2, overlap=0))
    assert len(next(video).latents) == 2 and "unet" in loader.held()
    video.close()
    assert loader.held(collect=True) == set()


def test_networks_are_read_again_when_they_are_needed(sd15):
    first = torch.cat([part.latents for part in sd15.animate(seed=3)])
    reads = list(sd15.stack.loader.reads)
    again = torch.cat([part.latents for part in sd15.animate(seed=3)])
    assert torch.equal(first, again) and sd15.stack.loader.reads == 2 * reads


def test_tiny_keeps_its_networks(tiny):
    made = tiny.conditions()
    before = tiny.predict(made)
    tiny.stack.release()
    assert torch.equal(tiny.predict(made), before)
