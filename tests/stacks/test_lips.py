"""Lips close over the teeth that a photograph shows."""

import pytest
import torch

from portraittalk_core.motion.geometry import eye_distance, mouth_opening
from portraittalk_core.nets.dense_motion import identity_grid
from portraittalk_core.stacks.lips import lip_edges, lips_as_seen, over_lips, shut
from portraittalk_core.topology import INNER_LIPS, MEETING_LIPS, SEGMENTS

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
    made = shut(white, torch.ones(2, 1, SIDE, SIDE), edges, both)
    assert (made[0, :, row, column] < edges.colour).all(), "darker than lips are"
    assert torch.equal(made[1], white[1]), "a mouth that is open shows teeth"
    assert torch.equal(made[0, :, : row - 20], white[0, :, : row - 20])
    assert torch.equal(shut(white, torch.zeros(2, 1, SIDE, SIDE), edges, both), white), "there are none"


def test_lips_between_which_nothing_is_seen_meet(points):
    apart, wide = opened(points, 0.05), opened(points, 0.2)
    nothing = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    mouth = nothing.clone()
    mouth[:, SEGMENTS.index("mouth")] = 0.5
    made = lips_as_seen(nothing, apart)
    assert float(mouth_opening(made)) < 0.007 < 0.04 < float(mouth_opening(apart))
    elsewhere = [k for k in range(478) if k not in INNER_LIPS]
    assert torch.equal(made[:, elsewhere], apart[:, elsewhere])
    middles = [[(p[:, a] + p[:, b]) / 2 for a, b in MEETING_LIPS] for p in (made, apart)]
    assert torch.allclose(*(torch.stack(m) for m in middles), atol=1e-6)
    assert torch.allclose(lips_as_seen(mouth, apart), apart, atol=1e-6), "a mouth is seen"
    assert torch.allclose(lips_as_seen(nothing, wide), wide, atol=1e-6), "points are never so wrong"
    shut_already = opened(points, 0.001)
    assert torch.allclose(lips_as_seen(nothing, shut_already), shut_already, atol=1e-6), "nothing is pulled apart"
