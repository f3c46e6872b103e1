"""Hairstyles grow on heads and fall beside faces."""

import numpy as np
import pytest

from portraittalk_core.compositing.edits.hairstyles import drawn_strands, grown
from portraittalk_core.compositing.head_mesh import placed_head

from ...rendered_people import portraits

SIDE = 160
POINTS = portraits()[1][0].float().numpy() * 0.6
LIGHT = np.array([0.3, -0.6, 0.74], np.float32)
HEAD = placed_head(POINTS, SIDE)


def drawn(name):
    return drawn_strands(grown(name), HEAD, SIDE, LIGHT)


def row(point):
    return int((POINTS[point, 1] + 1) * SIDE / 2)


@pytest.mark.parametrize(("name", "longest"), [("buzz", False), ("short", False), ("curly", False), ("long", True)])
def test_hair_is_as_long_as_its_name_says_and_leaves_the_face_free(name, longest):
    share, tone = drawn(name)
    assert share.max() <= 1 and np.isfinite(tone).all()
    assert share[: row(10)].max() > 0.9, "on the head"
    assert (share[row(152) + 6 :].max() > 0.9) == longest, "below the chin"
    for point in (33, 263, 4, 13, 152, 50, 280):
        x, y = ((POINTS[point] + 1) * SIDE / 2).astype(int)
        assert share[y, x] < 0.05, point


def test_an_afro_is_wider_than_curls_and_curls_than_cropped_hair():
    wide = [(drawn(name)[0] > 0.5).any(0).sum() for name in ("buzz", "curly", "afro")]
    assert wide[0] < wide[1] < wide[2]


def test_hair_is_lighter_on_the_side_of_the_light():
    share, tone = drawn_strands(grown("short"), HEAD, SIDE, np.array([0.9, -0.2, 0.4], np.float32))
    middle = int((POINTS[10, 0] + 1) * SIDE / 2)
    left, right = (tone[:, part].sum() / share[:, part].sum() for part in (slice(0, middle), slice(middle, SIDE)))
    assert right > 1.1 * left


def test_the_same_hair_grows_each_time():
    one, other = (grown("long")[1].places for _ in range(2))
    assert (one == other).all()
