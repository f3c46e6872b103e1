"""Options of sampling: what is left out is the stack's own, and what cannot be is refused before anything slow."""

import dataclasses
import math

import pytest

from portraittalk_core import presets
from portraittalk_core.config import SamplingConfig
from portraittalk_core.diffusion.guidance import GuidanceScales, plan
from portraittalk_core.errors import BadInput
from portraittalk_core.stacks.options import JOINT_UP_TO_S, Limits, SamplingOptions, Scales

DEFAULTS = SamplingConfig(
    steps=7,
    cfg=3.0,
    identity_scale=0.8,
    audio_scale=0.6,
    guidance_end=0.5,
    window=12,
    overlap=4,
    shared_noise=0.3,
    flicker=0.1,
)


def resolve(limits=None, duration_s=1.0, defaults=DEFAULTS, **options):
    return SamplingOptions(**options).resolve(defaults, limits or Limits(), duration_s)


def test_what_is_left_out_is_the_stacks_own():
    found = resolve()
    assert (found.steps, found.window, found.overlap, found.fusion) == (7, 12, 4, "joint")
    assert found.scales == Scales(identity=0.8, audio=0.6, reference=1.0)
    assert found.guidance == GuidanceScales(text=3.0, identity=1.0, end=0.5)
    assert (found.shared_noise, found.flicker) == (0.3, 0.1)


def test_what_is_given_counts_also_where_it_is_zero():
    found = resolve(
        steps=1, cfg=0.0, identity_scale=0.0, audio_scale=0.0, reference_scale=0.0, fusion="streaming", window=1
    )
    assert found.scales == Scales(0.0, 0.0, 0.0) and found.guidance.text == 0.0
    assert (found.steps, found.fusion, found.window, found.overlap) == (1, "streaming", 1, 0)
    assert resolve(window=12, overlap=0).overlap == 0


@pytest.mark.parametrize(("window", "overlap"), [(None, 4), (32, 4), (9, 4), (8, 4), (7, 3), (2, 1), (1, 0)])
def test_the_usual_overlap_is_at_most_half_of_the_window(window, overlap):
    assert resolve(window=window).overlap == overlap


def test_long_videos_stream_unless_the_caller_says_otherwise():
    assert resolve(duration_s=JOINT_UP_TO_S).fusion == "joint"
    assert resolve(duration_s=JOINT_UP_TO_S + 0.04).fusion == "streaming"
    assert resolve(duration_s=JOINT_UP_TO_S + 0.04, fusion="joint").fusion == "joint"
    assert resolve(fusion="streaming").fusion == "streaming"


def test_cfg_guides_the_identity_only_where_it_is_to():
    both = dataclasses.replace(DEFAULTS, guide_identity=True)
    assert resolve(defaults=both).guidance == GuidanceScales(text=3.0, identity=3.0, end=0.5)
    assert resolve(defaults=both, guide_identity=False).guidance.identity == 1.0
    assert resolve(guide_identity=True, cfg=2.0).guidance == GuidanceScales(text=2.0, identity=2.0, end=0.5)
    # The pass that is subtracted then knows neither prompt nor person; else it knows the person.
    for guided in (True, False):
        bare = plan(resolve(guide_identity=guided).guidance)[0][0]
        assert (bare.text, bare.identity) == (False, not guided)
    assert len(plan(resolve(guide_identity=True, cfg=1.0).guidance)) == 1


@pytest.mark.parametrize(("scale", "shown"), [(None, 0.8), (0.5, 0.5), (1.0, 1.0), (3.0, 1.0), (0.0, 0.0)])
def test_reference_scale_follows_identity_scale_where_the_stack_says_so(scale, shown):
    follows = Limits(reference_follows_identity=True)
    assert resolve(follows, identity_scale=scale).scales.reference == shown
    assert resolve(follows, identity_scale=scale, reference_scale=0.25).scales.reference == 0.25
    assert resolve(identity_scale=scale).scales.reference == 1.0


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"overlap": 12}, r"`overlap` must be shorter than `window` \(12 frames\), but got 12. Try 3."),
        ({"overlap": -1}, r"`overlap` must be at least 0 frames, but got -1. Try 3."),
        ({"window": 4, "overlap": 5}, r"`window` \(4 frames\), but got 5. Try 1."),
        ({"window": 33}, r"`window` must be at most 32 frames for this model, but got 33. Try 12."),
        ({"window": 0}, "`window` must be at least 1 frame, but got 0"),
        ({"identity_scale": -0.1}, "`identity_scale` must be at least 0, but got -0.1. 1 is as trained."),
        ({"audio_scale": math.nan}, "`audio_scale` must be at least 0, but got nan"),
        ({"reference_scale": 1.1}, r"`reference_scale` must lie in \[0, 1\], but got 1.1. Try 1."),
        ({"reference_scale": math.nan}, r"`reference_scale` must lie in \[0, 1\], but got nan"),
        ({"cfg": -1.0}, "`cfg` must be at least 0, but got -1"),
        ({"cfg": -1.0, "guide_identity": True}, "`cfg` must be at least 0, but got -1"),
        ({"cfg": math.nan}, "`cfg` must be at least 0, but got nan"),
        ({"fusion": "wrapped"}, "`fusion` must be joint or streaming, but got 'wrapped'"),
        ({"fusion": "cold"}, "`fusion` must be joint or streaming, but got 'cold'"),
    ],
)
def test_values_outside_their_range_are_refused_by_the_name_of_the_option(options, rule):
    with pytest.raises(BadInput, match=rule) as caught:
        resolve(Limits(window=32), **options)
    assert "\n" not in str(caught.value)


def test_the_message_says_what_sets_the_longest_window():
    limits = Limits(window=24, window_of="with this motion module")
    with pytest.raises(BadInput, match="at most 24 frames with this motion module, but got 25. Try 16."):
        limits.check_window(25)
    limits.check_window(24)
    Limits().check_window(1000)


def test_a_stack_refuses_what_it_has_nothing_for_and_says_why():
    limits = Limits(lacks={"audio_scale": "it hears nothing. Use `lip`.", "blink": "it has no lids. Leave it at 1."})
    for value in (0.5, 0.0):
        with pytest.raises(BadInput, match="`audio_scale` must stay 1: it hears nothing. Use `lip`."):
            resolve(limits, audio_scale=value)
    # What the node and the command line hand over for an option that nobody touched.
    assert resolve(limits, audio_scale=1.0).scales.audio == 1.0
    assert resolve(limits).scales.audio == 0.6
    with pytest.raises(BadInput, match="`blink` must stay 1: it has no lids"):
        limits.check(blink=0.5, lip=2.0)
    limits.check(blink=1, expression=0.5)
    assert resolve(Limits(fusions=("joint", "wrapped")), fusion="wrapped").fusion == "wrapped"


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_every_presets_defaults_resolve(name):
    config = presets.PRESETS[name]()
    found = resolve(Limits(window=config.temporal_frames), defaults=config.sampling)
    assert found.guidance.text == config.sampling.cfg and found.steps == config.sampling.steps
    assert found.guidance.identity == (config.sampling.cfg if name != "tiny" else 1.0)


def test_options_and_what_becomes_of_them_cannot_be_changed():
    for record in (SamplingOptions(), Scales(), Limits(), resolve()):
        with pytest.raises(dataclasses.FrozenInstanceError):
            record.window = 3
