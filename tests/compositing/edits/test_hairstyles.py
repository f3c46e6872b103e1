"""Hairstyles grow on heads and fall beside faces."""

import cv2
import numpy as np
import pytest

from portraittalk_core.compositing.edits.hair_drawing import drawn_strands
from portraittalk_core.compositing.edits.hairstyles import grown
from portraittalk_core.compositing.head_mesh import head_mesh, placed_head, rasterised

from ...rendered_people import portraits

SIDE = 160
POINTS = portraits()[1][0].float().numpy() * 0.6
LIGHT = np.array([0.3, -0.6, 0.74], np.float32)
HEAD = placed_head(POINTS, SIDE)
DEPTH = rasterised(HEAD.pixels, HEAD.depth, head_mesh().triangles, head_mesh().ears[:, None], SIDE)[1]


def drawn(name, light=LIGHT):
    return drawn_strands(grown(name), HEAD, DEPTH, light)


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
    share, tone = drawn("short", np.array([0.9, -0.2, 0.4], np.float32))
    middle = int((POINTS[10, 0] + 1) * SIDE / 2)
    left, right = (tone[:, part].sum() / share[:, part].sum() for part in (slice(0, middle), slice(middle, SIDE)))
    assert right > 1.1 * left


def test_the_same_hair_grows_each_time():
    one = grown("long").strands[1].places
    grown.cache_clear()
    assert (grown("long").strands[1].places == one).all()


def beside_the_jaw(planes):
    """Return what is drawn between eyes and chin, beside the face."""
    return [plane[row(168) : row(152) - 8] for plane in planes]


@pytest.mark.parametrize("name", ["bob", "long", "wavy"])
def test_hair_that_falls_hides_what_is_behind_it(name):
    share = np.concatenate(beside_the_jaw(drawn(name)[:1]))
    within = cv2.erode((share > 0.3).astype(np.uint8), np.ones((7, 7)), borderValue=0) > 0
    assert within.sum() > 150
    assert np.quantile(share[within], 0.02) > 0.9


def test_hair_behind_the_neck_gets_less_light_than_hair_before_the_shoulders():
    hair = grown("long")
    places, opened = (
        np.concatenate([part.reshape(-1, part.shape[-1]) for part in parts])
        for parts in ([strands.places for strands in hair.strands], hair.opened)
    )
    low = (places[:, 1] > 1.0) & (places[:, 1] < 2.0)
    behind = low & (np.abs(places[:, 0]) < 0.6) & (places[:, 2] < -2.2)
    before = low & (places[:, 2] > -1.2)
    assert before.sum() > 1000 and behind.sum() > 1000
    assert opened[behind].mean() < 0.6 * opened[before].mean()


def test_longer_hair_ends_where_the_picture_ends():
    ends = [grown("long", False, room).strands[1].places[:, -1, 1] for room in ((9.0, 2.0), (9.0, 9.0))]
    assert ends[0].max() < 3.0 < ends[1].max()


def test_an_afro_is_a_soft_mass_and_no_ring_of_spikes():
    share, _ = drawn("afro")
    assert (share > 0.4).sum() > 0.8 * (share > 0.05).sum(), "it ends soon"
    outline = cv2.findContours((share > 0.4).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    longest = max(outline, key=len)
    hull = cv2.convexHull(longest)
    assert cv2.arcLength(longest, True) < 1.75 * cv2.arcLength(hull, True)
