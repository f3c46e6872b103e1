"""The picture of a score: what is in the curves is drawn where it belongs."""

import pytest
import torch

from portraittalk_core.metrics.functional import adfd
from portraittalk_core.metrics.functional.dynamics import facial_dynamics
from portraittalk_core.metrics.plot import Agreement, describe_offset, draw_score

from .conftest import RATE

MOUTH, VOICE, SHADE, BAR = ((0xC2, 0x41, 0x0C), (0x25, 0x63, 0xEB), (0xEC, 0xEF, 0xF3), (0x0F, 0x76, 0x6E))


@pytest.fixture(scope="module")
def found(talks):
    return adfd(talks[0].landmarks, talks[0].voice.float(), RATE, 25.0)


def curves(steps, **given):
    flat = {"hz": 25, "mouth": [0.5] * steps, "voice": [0.25] * steps, "silent": [0] * steps}
    return flat | given


def where(picture, colour, top=232, tolerance=40):
    """Return x and y of the pixels of a colour below the head."""
    levels = (picture.movedim(0, -1) * 127.5 + 127.5)[top:]
    rows, columns = ((levels - torch.tensor(colour)).abs().amax(-1) < tolerance).nonzero().unbind(1)
    return columns, rows + top


def test_curves_are_high_where_they_are_one_and_broken_where_unknown(found):
    mouth = [1.0] * 50 + [None] * 25 + [0.0] * 26
    picture = draw_score(found, curves(101, mouth=mouth, silent=[0] * 75 + [1] * 26))
    assert picture.shape[2] == 1200 and picture.abs().max() <= 1
    x, y = where(picture, MOUTH)
    left, right = x < 36 + 0.5 * 1128, x > 36 + 0.74 * 1128
    assert bool((left | right).all()), "nothing is drawn where the mouth is unknown"
    assert int(y[left].max()) < 242 and int(y[right].min()) > 440
    assert int(where(picture[:, :450], SHADE, tolerance=3)[0].min()) > 36 + 0.72 * 1128
    assert len(where(picture, VOICE)[0]) > 1000


def test_long_clips_have_more_rows_and_two_minutes_at_most(found):
    heights = [draw_score(found, curves(round(25 * s))).shape[1] for s in (5, 20, 21, 60, 120, 500)]
    assert heights[0] == heights[1] and heights[1] < heights[3] < heights[4] == heights[5]
    assert draw_score(found, {}).shape[1] < heights[0]


def test_the_head_shows_parts_and_the_peak(found, talks):
    dynamics = facial_dynamics(talks[0].landmarks, talks[0].voice.float(), RATE, 25.0)
    picture = draw_score(found, {}, Agreement(dynamics.lags_s, dynamics.curve, 25.0))
    x, y = where(picture[:, :172], MOUTH, 0)
    stem = x[y > 110]
    assert len(stem) and bool(((stem - (760 + 1164) / 2).abs() < 8).all()), "in time: the peak is in the middle"
    bars, y = where(picture, BAR, 0)
    spatial = bars[(y >= 38) & (y < 54) & (bars < 600)]
    assert int(spatial.max()) == pytest.approx(330 + 260 * found.spatial, abs=3)


@pytest.mark.parametrize(
    "offset, words", [(None, "unscored"), (0, "in time"), (1, "late by 1 frame"), (-3, "early by 3 frames")]
)
def test_the_offset_in_words(offset, words):
    assert describe_offset(offset).endswith(words)
