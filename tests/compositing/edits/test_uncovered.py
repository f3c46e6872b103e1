"""What hair hid of a body when it goes."""

import pytest
import torch

from portraittalk_core.compositing.edits.uncovered import shows_shoulders
from portraittalk_core.topology import SEGMENTS

from .heads import SIDE, change, segments

LOW, SIDES, FALLS = slice(100, SIDE), (slice(0, 22), slice(106, SIDE)), (slice(22, 40), slice(88, 106))
SKIN, CLOTH, HAIR = ((0.4, 0.1, 0.0), (-0.5, -0.4, 0.5), (-0.8, -0.85, -0.9))


@pytest.mark.parametrize("bare", [True, False])
def test_bare_shoulders_go_on_behind_hair(photograph, points, bare):
    """Dressed ones do as well, as they did before: in the colour of the clothes."""
    pictured, worn = photograph.clone(), segments(clothes=None)
    name, colour = ("skin", SKIN) if bare else ("clothes", CLOTH)
    parts = [(name, colour, slice(0, SIDE)), *(("hair", HAIR, columns) for columns in FALLS)]
    for part, painted, columns in parts:
        worn[:, :, LOW, columns] = 0
        worn[:, SEGMENTS.index(part), LOW, columns] = 1
        pictured[..., LOW, columns] = torch.tensor(painted).view(1, 3, 1, 1)
    assert shows_shoulders(worn[:, [SEGMENTS.index("skin")]], points) == bare
    after = segments(hair=None)
    made = change(pictured, pictured, points, "bald head", before=worn, after=after)
    for columns in FALLS:
        there = made[0, :, 118:126, columns.start + 5 : columns.stop - 5].mean((1, 2))
        assert (there - torch.tensor(colour)).abs().max() < 0.25
