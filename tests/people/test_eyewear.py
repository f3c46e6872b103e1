"""Glasses of rendered people and of prompts have one geometry."""

import numpy as np
import pytest

from portraittalk_core.people.eyewear import (
    EYE_DEPTH,
    EYE_HEIGHT,
    EYES_APART,
    SQUARE_WIDE,
    draw_glasses,
    place_glasses,
)


@pytest.mark.parametrize("shape", ["round", "square"])
def test_lenses_are_before_both_eyes_and_a_bridge_joins_them(shape):
    glasses = draw_glasses(shape, np.random.default_rng(3))
    worn = place_glasses(glasses, {1: EYES_APART, -1: EYES_APART}, EYE_HEIGHT, EYE_DEPTH)
    left, right = worn.lenses[1], worn.lenses[-1]
    assert np.allclose(left * [-1, 1, 1], right)
    assert left[:, 0].min() > 0 and left[:, 2].min() > EYE_DEPTH
    assert left[:, 0].min() < EYES_APART < left[:, 0].max() and left[:, 1].min() < EYE_HEIGHT < left[:, 1].max()
    assert abs(worn.bridge[-1, 0] - left[:, 0].min()) < 1e-6
    assert worn.temples[1][-2, 2] < EYE_DEPTH < worn.temples[1][0, 2]


def test_what_is_square_is_wide_and_what_is_drawn_twice_is_the_same():
    square, again = (draw_glasses("square", np.random.default_rng(7)) for _ in range(2))
    assert square == again and SQUARE_WIDE[0] <= square.half[0] <= SQUARE_WIDE[1]
    ring = draw_glasses("round", np.random.default_rng(7)).outline(64)
    assert np.ptp(np.hypot(*ring.T)) < 1e-9
    corner = square.outline(64) / square.half
    assert np.abs(corner).min(1).max() > 0.8
