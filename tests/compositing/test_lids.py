"""Lids close over the eyes that a photograph shows open."""

import pytest
import torch
from torch.nn import functional

from portraittalk_core.compositing.lashes import lash_lines
from portraittalk_core.compositing.lids import closing_eyes, lid_seams, over_lids, unfolded
from portraittalk_core.nets.dense_motion import identity_grid
from portraittalk_core.topology import EYES, MEETING_LIDS

from ..rendered_people import portraits

SIDE = 256


def opened(points, share):
    """Let the upper lids down until eyes are open by a share of what they are."""
    made = points.clone()
    for upper, lower in (pair for eye in MEETING_LIDS for pair in eye):
        made[:, upper] = torch.lerp(points[:, lower], points[:, upper], share)
    return made


@pytest.fixture
def points():
    return portraits()[1][:1].float()


def source_rows(flow, points, eye):
    """Return the rows of the photograph that a column through an eye shows, and those of the eye's edges there."""
    x = int((points[0, list(eye), 0].mean() + 1) * SIDE / 2)
    ys = (points[0, list(eye), 1] + 1) * SIDE / 2
    return (flow[0, 1, :, x] + 1) * SIDE / 2, float(ys.min()), float(ys.max())


@pytest.mark.parametrize("share", [0.0, 0.2])
@pytest.mark.parametrize("eye", EYES)
def test_nothing_of_an_eye_is_seen_when_it_shuts(points, eye, share):
    """Also where points stop a little before they meet, as those of shut eyes do."""
    flow = identity_grid(torch.zeros(1, 1, SIDE, SIDE))  # nothing moves: the eye stays
    made = over_lids(flow, closing_eyes(points, opened(points, share)))
    rows, top, bottom = source_rows(made, points, eye)
    assert int(((rows > top + 1) & (rows < bottom - 1)).sum()) <= 2 < bottom - top - 3
    assert (rows[1:] >= rows[:-1] - 0.01).all(), "nothing is folded"
    assert torch.equal(made[..., SIDE // 2 + 40 :, :], flow[..., SIDE // 2 + 40 :, :]), "the mouth stays"


@pytest.mark.parametrize("share", [0.0, 0.5, 0.7])
def test_brows_do_not_come_down_with_lids(points, share):
    """A brow may be as near to the lid as an eighth of the distance of the eyes."""
    lids = points[:, [159, 386]]
    near = 0.125 * (points[:, 263] - points[:, 33]).norm()
    brows = torch.stack([lids[..., 0], lids[..., 1] - near], -1)
    flow = identity_grid(torch.zeros(1, 1, SIDE, SIDE))
    made = over_lids(flow, closing_eyes(points, opened(points, share)))
    there = functional.grid_sample(made, brows[:, None], align_corners=False)[0, :, 0].T
    assert (there - brows[0]).norm(dim=1).max() * SIDE / 2 < 1


def test_open_and_hardly_closing_eyes_are_left_alone(points):
    flow = identity_grid(torch.zeros(1, 1, SIDE, SIDE))
    for share in (1.3, 1.0, 0.9):
        assert torch.equal(over_lids(flow, closing_eyes(points, opened(points, share))), flow)
    shut = opened(points, 0.05)
    assert not closing_eyes(shut, opened(points, 0.0)), "eyes that the photograph shows shut"


def test_each_frame_and_each_eye_closes_by_itself(points):
    both = torch.cat([points, opened(points, 0.0)])
    left = list(EYES[0])
    both[1, left] = points[0, left]
    flow = identity_grid(torch.zeros(2, 1, SIDE, SIDE)).expand(2, -1, -1, -1)
    made = over_lids(flow, closing_eyes(points, both))
    assert torch.equal(made[0], flow[0])
    left_half = slice(0, int((points[0, 133, 0] + 1) * SIDE / 2) - 12)
    assert torch.equal(made[1, :, :, left_half], flow[1, :, :, left_half]) and not torch.equal(made[1], flow[1])


def test_a_lid_that_unfolds_is_skin(points):
    """Lashes that are drawn out are stripes: the lid has the colour of the skin around, and their grain alone."""
    picture = torch.full((1, 3, SIDE, SIDE), 0.4)
    stripes = (torch.arange(SIDE) // 2 % 2) * 0.8 - 0.6
    x, top, bottom = (float(v) for v in (points[0, 159, 0], points[0, 159, 1], points[0, 145, 1]))
    left, right, top, bottom = (round((v + 1) * SIDE / 2) for v in (x - 0.07, x + 0.07, top, bottom))
    picture[..., top:bottom, left:right] = stripes[left:right]
    made, where = unfolded(picture, closing_eyes(points, opened(points, 0.0)))
    middle = (slice(None), slice(None), (top + bottom) // 2, slice(left + 4, right - 4))
    assert where[middle].min() > 0.8 and picture[middle].std() > 0.3 and made[middle].std() < 0.1
    assert abs(float(made[middle].mean()) - 0.4) < 0.35 < abs(float(picture[middle].mean()) - 0.4)
    assert torch.equal(made * (where == 0), picture * (where == 0)) and where[..., bottom + 2 :, :].max() == 0
    open_still, nowhere = unfolded(picture, closing_eyes(points, points))
    assert torch.equal(open_still, picture) and nowhere.max() == 0


def test_lashes_of_an_open_eye_do_not_stay_on_a_lid_that_shuts(points):
    """They stand before the lid as far above its edge as a tenth of the distance of the eyes."""
    picture = torch.full((1, 3, SIDE, SIDE), 0.4)
    unit = float((points[0, 263] - points[0, 33]).norm()) * SIDE / 2
    x, y = ((points[0, 159] + 1) * SIDE / 2).round().long().tolist()
    lashes = slice(y - round(0.08 * unit), y - round(0.055 * unit))
    stripes = (torch.arange(SIDE) // 2 % 2) * 0.8 - 0.6
    picture[..., lashes, x - 5 : x + 6] = stripes[x - 5 : x + 6]
    made, _ = unfolded(picture, closing_eyes(points, opened(points, 0.0)))
    inner = (slice(None), slice(None), lashes, slice(x - 3, x + 4))
    assert made[inner].std(-1).mean() < 0.5 * picture[inner].std(-1).mean()


@pytest.mark.parametrize("share", [0.0, 0.6, 1.0])
def test_lids_that_meet_have_a_line_of_lashes(points, share):
    """As dark as at the edge of the open eye, in the middle of which it is drawn; open eyes have none."""
    photograph = torch.full((1, 3, SIDE, SIDE), 0.4)
    x, y = ((points[0, 159] + 1) * SIDE / 2).round().long().tolist()
    photograph[..., y - 2 : y, :] = torch.tensor([-0.5, -0.7, -0.8]).view(3, 1, 1)
    plain, lids = torch.full((1, 3, SIDE, SIDE), 0.4), opened(points, share)
    made, where = lash_lines(plain, photograph, closing_eyes(points, lids))
    row = round(float(points[0, 145, 1] + 1) * SIDE / 2)
    line = made[0, :, row - 2 : row + 4, x - 4 : x + 5].amin((1, 2))
    if share:
        assert torch.equal(made, plain) and not where.any()
    else:
        assert (line - torch.tensor([-0.5, -0.7, -0.8])).abs().max() < 0.25
        assert torch.equal(made * (where == 0), plain * (where == 0)) and (made <= plain).all()
        assert torch.equal(lash_lines(plain - 1.3, photograph, closing_eyes(points, lids))[0], plain - 1.3), (
            "darker yet"
        )


def test_lids_meet_in_a_line_not_in_steps(points):
    picture = torch.rand(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    shut = opened(points, 0.0)
    made = lid_seams(picture, closing_eyes(points, shut))
    x, y = ((shut[0, 159] + 1) * SIDE / 2).long().tolist()
    along = slice(x - 3, x + 4)
    assert made[0, :, y, along].std() < 0.5 * picture[0, :, y, along].std()
    assert torch.equal(lid_seams(picture, closing_eyes(points, points)), picture)
