"""Hats stay, faces below them may wear glasses, and smooth hair is no hat."""

import pytest
import torch

from portraittalk_core.compositing.edits.hats import with_smooth_hair
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


def test_faces_below_hats_may_wear_glasses(photograph, points, caplog):
    """The edge of a hat is near the eyes."""
    whole, _ = crown(points)
    low = (slice(whole[0].start, int((points[0, 105, 1] + 1) * SIDE / 2) - 2), whole[1])
    bare = change(photograph, photograph, points, "round glasses", before=segments(hair=None))
    made = change(photograph, photograph, points, "round glasses", before=segments(hair=None, accessory=low))
    assert "such glasses already" not in caplog.text
    eye = int((points[0, 159, 1] + 1) * SIDE / 2)
    rims = (bare - photograph)[..., eye - 4 : eye + 16, :].abs()
    assert float((made - photograph)[..., eye - 4 : eye + 16, :].abs().sum()) > 0.8 * float(rims.sum()) > 0
