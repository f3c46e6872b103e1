"""Rims are heavier above than below, and light lies on their upper edges."""

import numpy as np

from portraittalk_core.compositing.edits.glasses import GLASSES, glasses_of
from portraittalk_core.compositing.edits.rims import relief, rim_of
from portraittalk_core.people.eyewear import EYE_DEPTH, EYE_HEIGHT, EYES_APART, place_glasses


def thickness(kind):
    curve = place_glasses(kind, {1: EYES_APART, -1: EYES_APART}, EYE_HEIGHT, EYE_DEPTH, 72).lenses[1]
    outer, inner = rim_of(curve, kind)
    wide = np.linalg.norm(outer - inner, axis=1)
    return wide[curve[:, 1].argmax()], wide[curve[:, 1].argmin()], outer


def test_plastic_is_heavier_above_and_square_lenses_are_narrower_below():
    above, below, outer = thickness(GLASSES["square glasses"])
    assert above > 1.3 * below
    rows = [outer[abs(outer[:, 1] - outer[:, 1].mean() - level) < 0.03, 0] for level in (0.1, -0.1)]
    assert np.ptp(rows[0]) > 1.03 * np.ptp(rows[1])


def test_wires_are_as_thick_everywhere():
    above, below, _ = thickness(glasses_of("round glasses", {"gold rims"}))
    assert abs(above - below) < 1e-6


def test_light_from_above_lies_on_the_upper_edge_and_comes_from_its_side():
    bar = np.zeros((60, 60), np.uint8)
    bar[20:40, 10:50] = 255
    for metal in (False, True):
        lit, shine = relief(bar, 10, metal, 0.0)
        assert lit[24, 30] > 1.1 * lit[36, 30] > 0
        assert shine[20:40, 30].argmax() < 10
        assert not lit[bar == 0].any()
    left, right = (relief(bar.T, 10, False, aside)[0] for aside in (-1.0, 1.0))
    assert left[30, 24] > left[30, 36]
    assert right[30, 24] < right[30, 36]
