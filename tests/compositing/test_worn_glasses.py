"""Frames of glasses stay before lids that close."""

import pytest
import torch

from portraittalk_core.compositing.layers import before_plate, taken_apart
from portraittalk_core.compositing.lids import with_open_lids
from portraittalk_core.nets.dense_motion import DenseMotion, identity_grid
from portraittalk_core.topology import EYES, MEETING_LIDS, SEGMENTS

from ..rendered_people import portraits

SIDE = 256


@pytest.fixture
def points():
    return portraits()[1][:1].float()


def shut(points):
    made = points.clone()
    for upper, lower in (pair for eye in MEETING_LIDS for pair in eye):
        made[:, upper] = points[:, lower]
    return made


def bar(points):
    """Return rows and columns of a frame's upper rim, just above the eyes."""
    eyes = (points[0, [k for eye in EYES for k in eye]] + 1) * SIDE / 2
    (left, top), (right, _) = eyes.amin(0).int().tolist(), eyes.amax(0).int().tolist()
    return slice(top - 5, top - 1), slice(left - 4, right + 4)


@pytest.mark.parametrize("found", [True, False])
def test_a_frame_stays_when_lids_close_behind_it(points, found):
    """And where face parsing does not find it, lids take it along: what is tested can fail."""
    rows, columns = bar(points)
    portrait, segments = torch.full((3, SIDE, SIDE), 0.3), torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    portrait[:, rows, columns] = -1
    segments[:, SEGMENTS.index("skin")] = 1
    if found:
        segments[:, :, rows, columns] = 0
        segments[:, SEGMENTS.index("accessory"), rows, columns] = 1
    layers = taken_apart(portrait, segments, points, 128)
    assert (layers.glasses is not None) == found
    shares = torch.zeros(1, 3, 128, 128)
    shares[:, 1] = 1
    motion = DenseMotion(identity_grid(torch.zeros(1, 1, 128, 128)), shares)
    made = before_plate(torch.zeros(1, 3, SIDE, SIDE), layers, motion, shut(points), None).pixels[0]
    below = slice(rows.stop + 1, rows.stop + 16)
    there, taken = (made[:, rows, columns] + 1).amax(), float((made[0, below, columns] < 0).sum())
    assert (there < 0.15 and taken == 0) == found
    open_eyes = before_plate(torch.zeros(1, 3, SIDE, SIDE), layers, motion, points, None).pixels[0]
    assert torch.allclose(open_eyes, portrait, atol=1e-4)


def test_lids_that_close_leave_their_points(points):
    """Only those, and only as far as eyes close; heads that move take them along."""
    moved = shut(points) + 0.1
    made = with_open_lids(points, moved)
    assert torch.allclose(made, points + 0.1, atol=1e-4)
    assert torch.equal(with_open_lids(points, points), points)
