"""Glasses sit before the eyes and turn with the head."""

import pytest
import torch

from portraittalk_core.compositing.edits.glasses import GLASSES, glasses_of, shows_glasses, with_glasses
from portraittalk_core.topology import EYES

from ...rendered_people import portraits

POINTS = portraits()[1].float()
SIDE = 192


@pytest.mark.parametrize("kind", GLASSES)
def test_rims_go_around_the_eyes(kind):
    face = torch.full((len(POINTS), 3, SIDE, SIDE), 0.7)
    made = with_glasses(face, POINTS, GLASSES[kind], torch.zeros_like(face[:, :1]))
    dark = made.mean(1) < 0.6
    for row, points in enumerate(POINTS):
        for eye in EYES:
            x, y = ((points[list(eye)].mean(0) + 1) * SIDE / 2).long().tolist()
            assert not dark[row, y, x], "one sees through"
            assert dark[row, :, x].nonzero().min() < y < dark[row, :, x].nonzero().max()
        nose, chin = (int((points[k, 1] + 1) * SIDE / 2) for k in (4, 152))
        assert not dark[row, max(nose, (nose + chin) // 2) :].any()


def test_temples_are_hidden_by_hair_and_what_is_square_is_not_round():
    face, points = torch.full((1, 3, SIDE, SIDE), 0.7), POINTS[:1]
    bare = torch.zeros_like(face[:, :1])
    open_, hidden = (with_glasses(face, points, GLASSES["square glasses"], hair) for hair in (bare, bare + 1))
    assert (open_ < 0.4).sum() > 1.02 * (hidden < 0.4).sum() > 0
    other = with_glasses(face, points, GLASSES["round glasses"], bare)
    assert (other - open_).abs().mean() > 0.005


def test_rims_that_are_seen_are_worn():
    worn = torch.zeros(1, 1, SIDE, SIDE)
    assert not shows_glasses(worn, POINTS[:1])
    worn[..., 60:66, 40:150] = 1
    assert shows_glasses(worn, POINTS[:1])
    nose = int((POINTS[0, 168, 0] + 1) * SIDE / 2)
    worn[..., nose:] = 0
    worn[..., 50:90, 40:nose] = 1
    assert not shows_glasses(worn, POINTS[:1]), "paint around one eye"


def test_frames_have_the_colour_and_the_width_and_lenses_the_darkness_that_are_asked_for():
    face, points = torch.tensor([0.8, 0.65, 0.55]).view(1, 3, 1, 1).expand(1, 3, SIDE, SIDE), POINTS[:1]
    bare = torch.zeros_like(face[:, :1])

    def worn(*details):
        return with_glasses(face, points, glasses_of("square glasses", details), bare)[0]

    plain, yellow, thick, dark = worn(), worn("yellow rims"), worn("thick rims"), worn("dark lenses")
    frame = plain.mean(0) < 0.4
    assert (yellow[0] - yellow[2])[frame].mean() > 0.2 > (plain[0] - plain[2])[frame].abs().mean()
    assert (thick.mean(0) < 0.4).sum() > 1.25 * frame.sum()
    x, y = ((points[0, list(EYES[0])].mean(0) + 1) * SIDE / 2).long().tolist()
    assert dark[:, y, x].max() < 0.4 < plain[:, y, x].min(), "one does not see through"
