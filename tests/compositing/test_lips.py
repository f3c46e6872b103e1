"""Lips close over the teeth that a photograph shows."""

from dataclasses import replace

import pytest
import torch

from portraittalk_core.compositing.lip_points import frames_of_eyes, lips_as_seen
from portraittalk_core.compositing.lips import evened_along, lip_edges, over_lips, seamed, shut
from portraittalk_core.compositing.masked import inside
from portraittalk_core.motion.geometry import eye_distance, mouth_opening
from portraittalk_core.nets.dense_motion import identity_grid
from portraittalk_core.topology import INNER_LIPS, MEETING_LIPS, OUTER_LIPS, SEGMENTS

from ..rendered_people import portraits

SIDE = 256
PICTURE = torch.tensor([0.2, -0.4, -0.4]).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE)
"""All lips."""


def opened(points, by):
    """Move the points of the inner lips apart, in distances of the eyes."""
    made = points.clone()
    down = by * float(eye_distance(points)[0]) / 2
    for upper, lower in MEETING_LIPS:
        middle = (points[:, upper] + points[:, lower]) / 2
        made[:, upper], made[:, lower] = middle, middle
        made[:, upper, 1] -= down
        made[:, lower, 1] += down
    return made


@pytest.fixture
def points():
    return portraits()[1][:1].float()


@pytest.fixture
def smiling(points):
    """A mouth that is open by a tenth, and teeth that reach a little beyond its points."""
    open_points = opened(points, 0.1)
    segments = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    inner = (open_points[0, list(INNER_LIPS)] + 1) * SIDE / 2
    (left, top), (right, bottom) = inner.amin(0).round().int().tolist(), inner.amax(0).round().int().tolist()
    segments[:, SEGMENTS.index("teeth"), top - 2 : bottom + 2, left + 6 : right - 6] = 1
    return open_points, segments, (top - 2, bottom + 2, (left + right) // 2)


def test_a_photograph_with_shut_lips_has_no_edges(points):
    assert lip_edges(PICTURE, torch.zeros(1, len(SEGMENTS), SIDE, SIDE), opened(points, 0.0)) is None


def test_edges_are_where_the_teeth_end(smiling):
    open_points, segments, _ = smiling
    edges = lip_edges(PICTURE, segments, open_points)
    pixel = 2 / SIDE / float(eye_distance(open_points)[0])
    assert edges.opening == pytest.approx(float(mouth_opening(open_points)[0]))
    assert 1 * pixel < float(edges.beyond[:, 16].min()) and float(edges.beyond[:, 16].max()) < 6 * pixel
    assert edges.beyond.shape[0] == 2 and edges.beyond.min() >= 0


def test_a_mouth_as_open_as_in_the_photograph_is_left_alone(smiling):
    open_points, segments, _ = smiling
    flow = identity_grid(torch.zeros(1, 1, SIDE, SIDE))
    same = over_lips(flow, lip_edges(PICTURE, segments, open_points), open_points)
    assert torch.equal(same, flow)


def test_nothing_between_the_lips_is_seen_when_they_meet(smiling, points):
    open_points, segments, (top, bottom, column) = smiling
    shut = opened(points, 0.0)
    flow = identity_grid(torch.zeros(2, 1, SIDE, SIDE)).repeat(2, 1, 1, 1)  # nothing moves: teeth stay
    made = over_lips(flow, lip_edges(PICTURE, segments, open_points), torch.cat([open_points, shut]))
    assert torch.equal(made[0], flow[0]), "each frame by itself"
    source = (made[1, 1, :, column] + 1) * SIDE / 2
    inside = (source > top + 1) & (source < bottom - 1)
    assert int(inside.sum()) <= 2 < bottom - top - 4
    assert torch.equal(made[1, :, :, :40], flow[1, :, :, :40]) and torch.equal(made[1, :, :80], flow[1, :, :80])
    assert (source[1:] >= source[:-1] - 0.01).all(), "nothing is folded"


def test_a_tooth_that_is_left_between_lips_that_meet_gets_their_colour(smiling, points):
    open_points, segments, (_, _, column) = smiling
    edges = lip_edges(PICTURE, segments, open_points)
    assert torch.allclose(edges.colour, PICTURE[0, :, 0, 0], atol=1e-6)
    white = torch.ones(2, 3, SIDE, SIDE)
    both = torch.cat([opened(points, 0.0), open_points])
    row = int((both[0, list(MEETING_LIPS[0]), 1].mean() + 1) * SIDE / 2)
    still = identity_grid(white).expand(2, -1, -1, -1)
    toothed = replace(edges, inside=torch.ones(1, SIDE, SIDE))
    made = shut(white, still, toothed, both)
    assert (made[0, :, row, column] < edges.colour).all(), "darker than lips are"
    assert torch.equal(made[1], white[1]), "a mouth that is open shows teeth"
    assert torch.equal(made[0, :, : row - 20], white[0, :, : row - 20])
    toothless = replace(edges, inside=torch.zeros(1, SIDE, SIDE))
    assert torch.equal(shut(white, still, toothless, both), white), "there are none"


def test_lips_meet_in_a_line_not_in_dashes(smiling, points):
    """Where every second pixel of the line is black, all of them become darker, and nothing else changes."""
    open_points, segments, _ = smiling
    edges = lip_edges(PICTURE, segments, open_points)
    both = torch.cat([opened(points, 0.0), open_points])
    frames = PICTURE.repeat(2, 1, 1, 1)
    middle = both[0, list(MEETING_LIPS[4])].mean(0)
    x, y = ((middle + 1) * SIDE / 2).long().tolist()
    frames[:, :, y, x - 8 : x + 8 : 2] = -1
    made = seamed(frames, edges, both)
    line, was = made[0, 0, y, x - 4 : x + 4], frames[0, 0, y, x - 4 : x + 4]
    assert line.max() - line.min() < 0.2 * (was.max() - was.min())
    assert was.min() < line.mean() < was.max()
    assert torch.equal(made[1], frames[1]), "an open mouth has no such line"
    assert torch.equal(made[0, :, : y - 16], frames[0, :, : y - 16])
    even = PICTURE.repeat(2, 1, 1, 1)
    assert torch.allclose(seamed(even, edges, both), even, atol=1e-6)


def test_a_photograph_whose_lips_hardly_part_is_itself(smiling, points):
    _, segments, _ = smiling
    hardly = opened(points, 0.03)
    noise = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    edges = lip_edges(PICTURE, segments, hardly)
    assert torch.equal(seamed(noise, edges, hardly), noise)
    assert not torch.equal(seamed(noise, edges, opened(points, 0.01)), noise)


def test_lips_between_which_nothing_is_seen_meet(points):
    apart, wide = opened(points, 0.05), opened(points, 0.2)
    nothing = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    mouth = nothing.clone()
    mouth[:, SEGMENTS.index("mouth")] = 0.5
    made = lips_as_seen(PICTURE, nothing, apart)
    assert float(mouth_opening(made)) < 0.007 < 0.04 < float(mouth_opening(apart))
    elsewhere = [k for k in range(478) if k not in INNER_LIPS]
    assert torch.equal(made[:, elsewhere], apart[:, elsewhere])
    middles = [[(p[:, a] + p[:, b]) / 2 for a, b in MEETING_LIPS] for p in (made, apart)]
    assert torch.allclose(*(torch.stack(m) for m in middles), atol=1e-6)
    assert torch.allclose(lips_as_seen(PICTURE, mouth, apart), apart, atol=1e-6), "a mouth is seen"
    assert torch.allclose(lips_as_seen(PICTURE, nothing, wide), wide, atol=1e-6), "points are never so wrong"
    shut_already = opened(points, 0.001)
    assert torch.allclose(lips_as_seen(PICTURE, nothing, shut_already), shut_already, atol=1e-6), (
        "nothing is pulled apart"
    )


def band(points, first, last):
    """Return rows between the lips of opened points: shares of the way from the upper to the lower ones."""
    upper, lower = (float(points[0, list(half), 1].mean() + 1) * SIDE / 2 for half in zip(*MEETING_LIPS, strict=True))
    return slice(round(upper + first * (lower - upper)), round(upper + last * (lower - upper)))


def test_shut_lips_meet_in_the_dark_line_between_them(points):
    apart = opened(points, 0.08)
    picture = PICTURE.clone()
    picture[:, :, band(apart, 0.05, 0.25)] = -0.95
    made = lips_as_seen(picture, torch.zeros(1, len(SEGMENTS), SIDE, SIDE), apart)
    assert float(mouth_opening(made)) < 0.007
    upper, lower = (apart[:, list(half), 1].mean() for half in zip(*MEETING_LIPS, strict=True))
    met = made[:, list(INNER_LIPS[1:10]), 1].mean()
    assert float((met - upper) / (lower - upper)) == pytest.approx(0.15, abs=0.12)


def test_dark_lips_that_look_like_a_mouth_are_shut(points):
    apart = opened(points, 0.08)
    mouth = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    mouth[:, SEGMENTS.index("mouth")] = 0.21
    light = PICTURE.clone()
    light[:, :, band(apart, 0.1, 0.4)] = -0.95  # a dark line, and lip below it
    dark = PICTURE.clone()
    dark[:, :, band(apart, 0.1, 0.9)] = -0.95  # an open mouth
    shut_one, open_one = (float(mouth_opening(lips_as_seen(picture, mouth, apart))) for picture in (light, dark))
    assert shut_one < 0.02 < 0.06 < open_one


def test_points_that_lie_on_teeth_go_to_the_lips(points):
    little = opened(points, 0.05)
    ends = band(little, -0.4, 1.4)
    teeth = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    teeth[:, SEGMENTS.index("teeth"), ends.start + 1 : ends.stop - 1] = 1  # segments are a pixel narrower
    picture = PICTURE.clone()
    picture[:, :, ends] = 0.8
    made = lips_as_seen(picture, teeth, little)
    assert float(mouth_opening(made)) == pytest.approx(1.8 * 0.05, abs=0.015)
    at_corners = [INNER_LIPS[0], INNER_LIPS[10]]
    assert torch.equal(made[:, at_corners], little[:, at_corners])
    no_teeth = torch.zeros_like(teeth)
    no_teeth[:, SEGMENTS.index("mouth")] = teeth[:, SEGMENTS.index("teeth")]
    picture[:, :, ends] = torch.tensor([0.6, -0.1, -0.1])[:, None, None]
    assert torch.equal(lips_as_seen(picture, no_teeth, little), little), "lips are taken for a mouth"


@pytest.mark.parametrize(
    ("between", "opening"), [(None, 0.006), ([0.6, 0.5, 0.4], 0.08), ([-0.95, -0.98, -0.98], 0.08)]
)
def test_painted_lips_meet_where_the_upper_one_ends(points, between, opening):
    """Face parsing takes them for a mouth. Something pale between them is teeth, and something dark is a mouth."""
    apart = opened(points, 0.08)
    mouth = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    mouth[:, SEGMENTS.index("mouth"), band(apart, -0.1, 1.1)] = 0.5
    picture = torch.tensor([0.55, -0.35, -0.25])[:, None, None].expand(1, 3, SIDE, SIDE).clone()
    picture[:, :, band(apart, -0.1, 0.6)] = torch.tensor([0.3, -0.7, -0.6])[:, None, None]
    picture[:, :, band(apart, 0.6, 1.1)] = torch.tensor([0.6, -0.6, -0.4])[:, None, None]
    if between is not None:
        picture[:, :, band(apart, 0.1, 0.9)] = torch.tensor(between)[:, None, None]
    made = lips_as_seen(picture, mouth, apart)
    assert float(mouth_opening(made)) == pytest.approx(opening, abs=0.003 if between is None else 0.02)
    upper, lower = (apart[:, list(half), 1].mean() for half in zip(*MEETING_LIPS, strict=True))
    met = (made[:, list(INNER_LIPS[1:10]), 1].mean() - upper) / (lower - upper)
    assert between is not None or float(met) == pytest.approx(0.6, abs=0.15)


@pytest.mark.parametrize(("last", "tooth", "opening"), [(0.5, False, 0.006), (0.9, False, 0.08), (0.5, True, 0.08)])
def test_a_thin_dark_line_is_where_lips_meet(points, last, tooth, opening):
    """Without colours, and though face parsing takes it for a mouth. A thick one is one, and so is one with teeth."""
    apart = opened(points, 0.08)
    mouth = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    mouth[:, SEGMENTS.index("mouth")] = 0.3
    picture = torch.zeros(1, 3, SIDE, SIDE)
    picture[:, :, band(apart, 0.1, last)] = -0.8
    if tooth:
        picture[:, :, band(apart, 0.5, 0.75)] = 0.6
        picture[:, :, band(apart, 0.75, 1.0)] = -0.6
    assert float(mouth_opening(lips_as_seen(picture, mouth, apart))) == pytest.approx(opening, abs=0.004)


def test_lips_that_meet_stay_so_whatever_face_parsing_says_of_teeth(points):
    apart = opened(points, 0.08)
    segments = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    segments[:, [SEGMENTS.index("mouth"), SEGMENTS.index("teeth")]] = 0.2
    picture = torch.zeros(1, 3, SIDE, SIDE)
    picture[:, :, band(apart, 0.1, 0.5)] = -0.8
    assert float(mouth_opening(lips_as_seen(picture, segments, apart))) < 0.01


@pytest.mark.parametrize("red", [True, False])
def test_red_lips_that_face_parsing_takes_for_a_mouth_are_lips(points, red):
    """Beyond teeth that are seen; lips that are no redder than skin do not tell, and face parsing is believed."""
    apart = opened(points, 0.06)
    lips = torch.tensor([0.2, -0.7, -0.7]) if red else torch.tensor([0.2, -0.3, -0.4])
    picture = torch.tensor([0.4, 0.0, -0.1])[:, None, None].repeat(1, 1, SIDE, SIDE).view(1, 3, SIDE, SIDE)
    red_part = inside(apart[:, list(OUTER_LIPS)], picture).bool().expand(-1, 3, -1, -1)
    picture = torch.where(red_part, lips.view(1, 3, 1, 1), picture)
    picture[:, :, band(apart, 0.0, 1.0)] = 0.6
    segments = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    segments[:, SEGMENTS.index("teeth"), band(apart, 0.0, 1.0)] = 1
    segments[:, SEGMENTS.index("mouth")] = red_part[:, 0] * (1 - segments[:, SEGMENTS.index("teeth")])
    made = lips_as_seen(picture, segments, apart)
    assert (float(mouth_opening(made)) < 0.075) == red
    edges = lip_edges(picture, segments, made)
    assert edges is not None and (float(edges.beyond.median()) < 0.02) == red


@pytest.mark.parametrize("shines", [False, True])
def test_teeth_that_face_parsing_takes_for_skin_are_seen(points, shines):
    """Warm light makes them yellow, but less red than lips and skin. What shines on the lower lip alone is no tooth."""
    apart = opened(points, 0.03)
    skin, lips, white = ([0.6, 0.1, -0.2], [0.4, -0.2, -0.4], [0.7, 0.5, 0.3])
    picture = torch.tensor(skin)[:, None, None].repeat(1, 1, SIDE, SIDE).view(1, 3, SIDE, SIDE)
    red_part = inside(apart[:, list(OUTER_LIPS)], picture).bool().expand(-1, 3, -1, -1)
    picture = torch.where(red_part, torch.tensor(lips).view(1, 3, 1, 1), picture)
    picture[:, :, band(apart, -0.2, 0.2)] = torch.tensor([-0.5, -0.7, -0.75])[:, None, None]
    picture[:, :, band(apart, *((1.2, 2.0) if shines else (0.2, 2.0)))] = torch.tensor(white)[:, None, None]
    segments = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    segments[:, SEGMENTS.index("skin")] = 1
    made = lips_as_seen(picture, segments, apart)
    edges = lip_edges(picture, segments, made)
    assert (float(mouth_opening(made)) < 0.01) == shines and (edges is None) == shines
    if not shines:
        lower = frames_of_eyes(apart).local(apart[:, [13, 14]])[0, :, 1]
        end = frames_of_eyes(apart).local(made[:, [14]])[0, 0, 1]
        assert float(end) == pytest.approx(float(lower[0] + 2 * (lower[1] - lower[0])), abs=0.012)


def test_points_that_lie_on_lips_come_in_to_the_teeth(points):
    apart = opened(points, 0.08)
    picture = torch.tensor([0.6, 0.1, -0.1])[:, None, None].repeat(1, 1, SIDE, SIDE).view(1, 3, SIDE, SIDE)
    red_part = inside(apart[:, list(OUTER_LIPS)], picture).bool().expand(-1, 3, -1, -1)
    picture = torch.where(red_part, torch.tensor([0.3, -0.4, -0.3]).view(1, 3, 1, 1), picture)
    picture[:, :, band(apart, 0.3, 1.0)] = torch.tensor([0.8, 0.75, 0.7])[:, None, None]
    made = lips_as_seen(picture, torch.zeros(1, len(SEGMENTS), SIDE, SIDE), apart)
    assert float(mouth_opening(made)) == pytest.approx(0.7 * 0.08, abs=0.012)
    assert torch.allclose(made[:, [14]], apart[:, [14]], atol=0.02), "the lower ones are where teeth end"


def test_a_line_that_is_not_in_a_part_evens_nothing_out(points):
    picture = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    beyond = torch.tensor([[[5.0, 5.0], [6.0, 5.0], [7.0, 5.0], [8.0, 5.0]]])
    part = (slice(3, 9), slice(4, 9))
    made = evened_along(picture, frames_of_eyes(points), beyond, part, torch.tensor(1.0))
    assert torch.equal(made, picture[:, part[0], part[1]])
