"""Hats are no glasses, and smooth hair is no hat."""

import pytest
import torch

from portraittalk_core.compositing.edits.hats import with_smooth_hair
from portraittalk_core.compositing.scene import Scene
from portraittalk_core.topology import SEGMENTS

from .heads import SIDE, change, segments

HAIR, ACCESSORY = SEGMENTS.index("hair"), SEGMENTS.index("accessory")


def crown(points):
    """Return where a hat would be, and its right half."""
    rows = slice(4, int((points[0, 105, 1] + 1) * SIDE / 2) - 10)
    return (rows, slice(24, 104)), (rows, slice(64, 104))


@pytest.mark.parametrize("hat", [False, True])
def test_what_has_the_colour_of_the_hair_beside_it_is_no_hat(photograph, points, caplog, hat):
    whole, right = crown(points)
    pictured = photograph.clone()
    pictured[..., whole[0], whole[1]] = torch.tensor([-0.6, -0.7, -0.75]).view(1, 3, 1, 1)
    if hat:
        pictured[..., right[0], right[1]] = torch.tensor([0.3, -0.3, -0.6]).view(1, 3, 1, 1)
    worn, nothing = segments(hair=whole, accessory=right), torch.zeros(1, 1, SIDE, SIDE)
    made = with_smooth_hair(worn, pictured, points, nothing)
    assert bool(made[0, ACCESSORY].any()) == hat and torch.equal(made.sum(1), worn.sum(1))
    made = change(pictured, photograph * 0, points, "bald head", before=worn, after=segments())
    assert ("shows a hat" in caplog.text) == hat == torch.allclose(made, pictured, atol=1e-6)


def test_the_edge_of_a_hat_is_no_glasses(photograph, points):
    whole, _ = crown(points)
    low = slice(whole[0].stop - 4, whole[0].stop + 2)  # what a hat and a frame that it nearly touches cover
    before = segments(hair=None, accessory=(slice(4, low.stop), whole[1]))
    hat = torch.zeros(1, 1, SIDE, SIDE)
    hat[..., whole[0], whole[1]] = 1
    scene = Scene(photograph, photograph, photograph, before, before, points, hat * 0 + 1, hat, hat * 0)
    assert scene.wears_hat and not scene.glasses[hat > 0].any()
    assert scene.glasses[..., whole[0].stop : low.stop, whole[1]].min() == 1
