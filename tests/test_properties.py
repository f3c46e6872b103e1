"""What must hold for every value, not for chosen ones: windows and fusion, resampling, edits, guidance, masks."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from portraittalk_core.diffusion.guidance import ORDER, GuidanceScales, combine, plan
from portraittalk_core.diffusion.windows import fusion_weights, plan_windows
from portraittalk_core.diffusion.wrapped_windows import plan_wrapped
from portraittalk_core.errors import BadConfig, BadInput
from portraittalk_core.media.audio import speech_waveform
from portraittalk_core.media.image import cut_square, from_bytes, resize, to_bytes
from portraittalk_core.media.paste_back import covered, paste_back
from portraittalk_core.media.video import frame_rate
from portraittalk_core.perception.speech import resample_rows
from portraittalk_core.stacks.prompts import PromptTrack, parse_edit, parse_edits
from portraittalk_core.training.denoiser.losses import random_regions
from portraittalk_core.types import CropPlace, Frames, Sound

hypothesis = pytest.importorskip("hypothesis", reason="NOT TESTED for every value: pip install hypothesis")
given, st = hypothesis.given, pytest.importorskip("hypothesis.strategies")
every = hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)


@st.composite
def windows_of(draw):
    window = draw(st.integers(1, 40))
    return draw(st.integers(1, 300)), window, draw(st.integers(0, window - 1))


@every
@given(windows_of(), st.floats(0, 1))
def test_windows_cover_and_weights_sum_to_one(case, progress):
    frames, window, overlap = case
    windows = plan_windows(frames, window, overlap)
    assert (windows[0].start, windows[-1].stop) == (0, frames) and {len(w) for w in windows} == {min(window, frames)}
    assert all(b.stop - a.start >= overlap and a.start > b.start for b, a in pairwise(windows))
    total, seen = torch.zeros(frames), torch.zeros(frames)
    for one, weights in zip(windows, fusion_weights(windows, progress), strict=True):
        assert (weights >= 0).all()
        total[one.frames] += weights
        seen[one.frames] += 1
    torch.testing.assert_close(total, torch.ones(frames))
    alone = [w[seen[one.frames] == 1] for one, w in zip(windows, fusion_weights(windows, progress), strict=True)]
    assert all((weights == 1).all() for weights in alone)


@every
@given(windows_of())
def test_wrapped_windows_see_every_frame_and_none_twice(case):
    frames, window, overlap = case
    found = plan_wrapped(frames, window, overlap)
    assert torch.cat(found).unique().tolist() == list(range(frames))
    assert all(len(one.unique()) == len(one) == min(window, frames) for one in found)


@every
@given(st.integers(-5, 5), st.integers(-5, 60), st.integers(-5, 60))
def test_windows_that_cannot_be_are_refused(frames, window, overlap):
    if frames >= 1 and 0 <= overlap < window:
        plan_windows(frames, window, overlap)
    else:
        with pytest.raises(BadInput):
            plan_windows(frames, window, overlap)


TEXTS = st.text("aZ 0123456789.:：-+eEinf\n\t\u2028é中", max_size=40)

SCALES = st.sampled_from([0.0, 0.5, 1.0, 1.5, 7.0]) | st.floats(0, 20)


@every
@given(SCALES, SCALES, SCALES)
def test_guidance_is_the_nested_sum_by_the_fewest_passes(text, identity, audio):
    scales = GuidanceScales(text=text, identity=identity, audio=audio)
    passes = plan(scales)
    assert sum(weight for _, weight in passes) == pytest.approx(1)
    assert len(passes) <= 1 + sum(getattr(scales, name) != 1 for name in ORDER) and len(passes) == len(set(passes))
    values = {"text": 3.0, "identity": 5.0, "audio": -2.0}  # what each condition adds, where it is seen
    added = [sum(values[name] for name in ORDER if getattr(one, name)) for one, _ in passes]
    found = float(combine(torch.tensor(added, dtype=torch.float64), [weight for _, weight in passes]))
    assert found == pytest.approx(sum(getattr(scales, name) * values[name] for name in ORDER), abs=1e-6)


@every
@given(st.integers(1, 50), st.floats(0, 1), st.floats(0, 1))
def test_guidance_acts_inside_its_interval_only(steps, one, other):
    scales = GuidanceScales(text=7, start=min(one, other), end=max(one, other))
    acting = [scales.at(step, steps) == scales for step in range(steps)]
    assert acting == sorted(acting) or acting.index(True) + sum(acting) == steps - acting[::-1].index(True)
    assert abs(sum(acting) - (scales.end - scales.start) * steps) <= 1


@every
@given(
    st.lists(st.tuples(st.floats(0, 20), TEXTS), max_size=6, unique_by=lambda e: e[0]),
    st.sampled_from([8.0, 23.976, 25.0, 60.0]),
    st.integers(1, 200),
)
def test_prompts_share_every_frame(edits, fps, frames):
    track = PromptTrack("first", edits, fps, frames)
    weights = track.weights
    assert weights.shape == (frames, len(edits) + 1) and (weights >= 0).all()
    torch.testing.assert_close(weights.sum(1), torch.ones(frames))
    for k in (0, frames - 1):  # long after an edit and before the next it holds alone
        begun = [start for start, _ in sorted(edits) if start + 0.25 <= k / fps]
        if begun and not any(begun[-1] < start <= k / fps for start, _ in edits):
            assert weights[k, len(begun)] == pytest.approx(1, abs=1e-4)


@every
@given(st.floats(0, 1e6), TEXTS.filter(str.strip))
def test_edits_are_read_as_they_were_written(start_s, text):
    assert parse_edit(f"{start_s!r}: {text}") == (start_s, text.strip())


@every
@given(TEXTS)
def test_edits_are_read_or_refused(text):
    try:
        edits = parse_edits(text)
    except BadInput:
        return
    assert all(0 <= start < math.inf and prompt == prompt.strip() != "" for start, prompt in edits)
    assert all(one < other for (one, _), (other, _) in pairwise(edits))


@every
@given(st.integers(1, 60), st.floats(1, 100), st.floats(1, 100), st.integers(1, 120), st.integers(0, 2**20))
def test_rows_resampled_stay_between_their_neighbours(rows, rate, fps, frames, seed):
    values = torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed))
    found = resample_rows(values, rate, fps, frames)
    assert found.shape == (frames, 3)
    assert (found <= values.amax(0) + 1e-5).all() and (found >= values.amin(0) - 1e-5).all()
    ramp = resample_rows(torch.arange(rows).float()[:, None], rate, fps, frames)[:, 0]
    assert (ramp.diff() >= -1e-4).all()
    torch.testing.assert_close(resample_rows(values, 25, 25, rows), values)


@every
@given(st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000, 96000]), st.integers(1, 3), st.floats(0.1, 0.5))
def test_speech_keeps_its_length_at_any_rate(rate, channels, duration_s):
    samples = 0.3 * torch.sin(torch.arange(round(rate * duration_s)) * 2 * math.pi * 200 / rate).repeat(channels, 1)
    found = speech_waveform(Sound(samples, rate))
    assert abs(len(found) - samples.shape[1] * 16000 / rate) <= 1 and found.abs().max() <= 1
    middle = found[len(found) // 4 : -len(found) // 4]
    assert float(middle.square().mean().sqrt()) == pytest.approx(0.3 / math.sqrt(2), rel=0.1)


@every
@given(st.floats(0, 130, allow_nan=False))
def test_rates_are_exact_or_refused(fps):
    if not 1 <= fps <= 120:
        with pytest.raises(BadInput):
            frame_rate(fps)
    else:
        assert abs(float(frame_rate(fps)) - fps) < 0.006


@st.composite
def places(draw):
    height, width = draw(st.integers(32, 70)), draw(st.integers(32, 70))
    side = draw(st.integers(8, 90))
    left, top = draw(st.integers(1 - side, width - 1)), draw(st.integers(1 - side, height - 1))
    return CropPlace(left, top, side, height, width)


@every
@given(places(), st.integers(0, 2**20))
def test_a_crop_that_shows_the_photograph_leaves_the_photograph(place, seed):
    photograph = torch.rand(3, place.height, place.width, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    crop = cut_square(photograph, place)
    assert crop.shape == (3, place.side, place.side)
    rows, columns = covered(place)
    assert 0 <= rows.start < rows.stop <= place.height and 0 <= columns.start < columns.stop <= place.width
    (found,) = paste_back([Frames(crop[None], 25)], photograph, place)
    torch.testing.assert_close(found.pixels[0], photograph, atol=1e-5, rtol=0)


@every
@given(places())
def test_nothing_outside_a_crop_is_touched(place):
    photograph = torch.zeros(3, place.height, place.width)
    (found,) = paste_back([Frames(torch.ones(1, 3, place.side, place.side), 25)], photograph, place)
    rows, columns = covered(place)
    outside = torch.ones(place.height, place.width, dtype=torch.bool)
    outside[rows, columns] = False
    assert (found.pixels[0][:, outside] == 0).all()
    assert found.pixels.min() >= -1e-5 and found.pixels.max() <= 1 + 1e-5


@every
@given(st.integers(1, 12), st.integers(8, 64), st.floats(0, 1), st.integers(0, 2**20))
def test_corrupted_regions_are_rectangles_of_their_size(count, size, chance, seed):
    masks = random_regions(count, size, chance, torch.Generator().manual_seed(seed))
    assert masks.shape == (count, 1, size, size) and set(masks.unique().tolist()) <= {0.0, 1.0}
    for mask in masks[:, 0]:
        rows, columns = mask.any(1), mask.any(0)
        assert torch.equal(mask.bool(), rows[:, None] & columns[None])
        sides = [int(part.sum()) for part in (rows, columns)]
        assert sides == [0, 0] or all(0.25 * size - 1 <= side <= 0.7 * size + 1 for side in sides)


@every
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**20))
def test_pictures_keep_their_range_at_any_size(height, width, tall, wide, seed):
    pixels = from_bytes(torch.randint(0, 256, (3, height, width), generator=torch.Generator().manual_seed(seed)).byte())
    assert torch.equal(from_bytes(to_bytes(pixels)), pixels)
    found = resize(pixels, tall, wide)
    assert found.shape == (3, tall, wide) and found.abs().max() <= 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@every
@given(
    st.dictionaries(
        st.sampled_from(["stage", "rate", "parts", "unet", "seed", "precision", "nosuch"]), JSON, max_size=5
    )
)
def test_configurations_are_read_or_refused(values):
    from portraittalk_core.config import ModelConfig, TrainingConfig
    from portraittalk_core.config_file import from_mapping

    for kind in (TrainingConfig, ModelConfig):
        try:
            assert isinstance(from_mapping(kind, values), kind)
        except BadConfig:
            pass
