"""Painted lips."""

import pytest
import torch

from portraittalk_core.compositing.masked import grown, inside
from portraittalk_core.topology import INNER_LIPS, OUTER_LIPS, SEGMENTS

from .heads import SIDE, change, segments

SKIN, LIPS = torch.tensor([0.5, 0.2, 0.0]), torch.tensor([0.3, -0.15, -0.15])


@pytest.fixture
def points(points):
    """Of a large head, the mouth in the middle."""
    return 2.5 * (points - points[:, [13]])


@pytest.fixture
def lips(photograph, points):
    """A smooth face with lips, and where those are."""
    area = inside(points[:, list(OUTER_LIPS)], photograph) > 0.5
    shades = 0.1 * torch.rand(1, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    picture = torch.where(area, LIPS.view(3, 1, 1), SKIN.view(3, 1, 1)) + shades
    return picture, area


def shares():
    return segments(skin=(slice(0, SIDE), slice(0, SIDE)), hair=None, clothes=None)


def test_lips_take_the_colour_of_its_name_and_keep_their_lines(lips, points):
    picture, area = lips
    made = change(picture, picture, points, "colour of the lips", "red lips", before=shares())
    core, beside = area[0, 0], grown(area.float(), 0.03)[0, 0] < 0.5
    before, after = (p[0][:, core].mean(1) for p in (picture, made))
    assert after[0] - after[1] > before[0] - before[1] + 0.2
    assert (made - picture)[0][:, beside].abs().max() < 0.02
    one, other = (p[0].mean(0)[core] - p[0].mean(0)[core].mean() for p in (picture, made))
    assert float((one * other).sum() / (one.norm() * other.norm())) > 0.5


def test_teeth_are_not_painted(lips, points):
    picture, area = lips
    between = inside(points[:, list(INNER_LIPS)], picture) > 0.5
    picture = torch.where(between, torch.tensor([0.7, 0.68, 0.6]).view(3, 1, 1), picture)
    parts = shares()
    parts[:, :, between[0, 0]] = 0
    parts[:, SEGMENTS.index("teeth"), between[0, 0]] = 1
    made = change(picture, picture, points, "colour of the lips", "red lips", before=parts)
    sure = grown((~between).float(), 0.01)[0, 0] < 0.5
    moved = (made - picture)[0].abs().amax(0)
    assert not sure.any() or moved[sure].median() < 0.1
    assert moved[(area & ~between)[0, 0]].mean() > 3 * moved[between[0, 0]].mean()


def test_lips_stay_unless_a_colour_is_named(lips, points):
    picture, _ = lips
    made = change(picture, picture, points, "colour of the lips", before=shares())
    assert torch.allclose(made, picture, atol=1e-5)
