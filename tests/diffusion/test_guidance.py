"""Guidance over three conditions: the formula, and the fewest passes that give it."""

import itertools

import pytest
import torch

from portraittalk_core.diffusion.guidance import GuidanceScales, combine, plan
from portraittalk_core.errors import BadInput
from portraittalk_core.host import Pass

FULL = Pass()
NONE = Pass(text=False, identity=False, audio=False)
ONLY_IDENTITY = Pass(text=False, identity=True, audio=False)
NO_AUDIO = Pass(text=True, identity=True, audio=False)


def test_three_scales_follow_the_formula():
    scales = GuidanceScales(text=3.0, identity=2.0, audio=5.0)
    assert plan(scales) == [(NONE, -1.0), (ONLY_IDENTITY, -1.0), (NO_AUDIO, -2.0), (FULL, 5.0)]


def test_weights_sum_to_one():
    for text, identity, audio in itertools.product((0.0, 0.5, 1.0, 2.0, 7.5), repeat=3):
        weights = [weight for _, weight in plan(GuidanceScales(text=text, identity=identity, audio=audio))]
        assert sum(weights) == pytest.approx(1.0)
        assert 0.0 not in weights


@pytest.mark.parametrize(
    ("scales", "expected"),
    [
        (GuidanceScales(), [(FULL, 1.0)]),
        (GuidanceScales(text=3.0), [(Pass(text=False), -2.0), (FULL, 3.0)]),
        (GuidanceScales(identity=2.0), [(Pass(identity=False), -1.0), (FULL, 2.0)]),
        (GuidanceScales(text=3.0, identity=3.0, audio=3.0), [(NONE, -2.0), (FULL, 3.0)]),
        (GuidanceScales(audio=0.0), [(Pass(audio=False), 1.0)]),
        (GuidanceScales(text=0.0, identity=0.0, audio=0.0), [(NONE, 1.0)]),
    ],
)
def test_fewest_passes(scales: GuidanceScales, expected: list):
    assert plan(scales) == expected


def test_combining_equals_the_formula():
    generator = torch.Generator().manual_seed(0)
    none, identity, text, full = torch.randn(4, 3, 2, 4, 4, generator=generator)
    scales = GuidanceScales(text=3.0, identity=2.0, audio=5.0)
    weights = [weight for _, weight in plan(scales)]
    expected = none + 2 * (identity - none) + 3 * (text - identity) + 5 * (full - text)
    torch.testing.assert_close(combine(torch.cat([none, identity, text, full]), weights), expected)


def test_one_pass_is_untouched():
    prediction = torch.randn(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    assert combine(prediction, [1.0], rescale=0.7) is prediction


def test_rescaling_restores_the_spread():
    bare, full = torch.randn(2, 3, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    guided = combine(torch.cat([bare, full]), [-6.0, 7.0])
    assert guided.std() > 5
    rescaled = combine(torch.cat([bare, full]), [-6.0, 7.0], rescale=1.0)
    torch.testing.assert_close(rescaled.std((1, 2, 3)), full.std((1, 2, 3)))


def test_guidance_acts_inside_its_interval_only():
    scales = GuidanceScales(text=3.0, start=0.25, end=0.5)
    assert [len(plan(scales.at(step, 8))) for step in range(8)] == [1, 1, 2, 2, 1, 1, 1, 1]
    assert [len(plan(GuidanceScales(text=3.0).at(step, 4))) for step in range(4)] == [2, 2, 2, 2]


def test_bad_values_are_refused():
    with pytest.raises(BadInput, match=r"`text` scale must be at least 0, but got -1"):
        GuidanceScales(text=-1)
    with pytest.raises(BadInput, match=r"`identity` scale must be at least 0, but got nan"):
        GuidanceScales(identity=float("nan"))
    with pytest.raises(BadInput, match=r"`start` and `end` of guidance .* but got 0.8 and 0.2"):
        GuidanceScales(start=0.8, end=0.2)
    with pytest.raises(BadInput, match=r"`rescale` must lie in \[0, 1\], but got 2"):
        GuidanceScales(rescale=2)
    with pytest.raises(BadInput, match=r"the same rows for each of 2 passes, but got 3 rows"):
        combine(torch.zeros(3, 1), [-1.0, 2.0])
