"""Heads in space: what is behind a face."""

import torch

from portraittalk_core.compositing.edits.cranium import cranium, knitted
from portraittalk_core.compositing.head_camera import face_unit, head_camera, seen

from ...rendered_people import portraits

POINTS = portraits()[1].float()
SIDE = 96
LIKE = torch.zeros(len(POINTS), 3, SIDE, SIDE)


def test_the_camera_sees_points_of_the_head_where_they_are():
    camera = head_camera(POINTS)
    places = torch.tensor([[0.0, -0.05, 0.171], [-0.726, -0.02, -0.03], [0.726, -0.02, -0.03]])
    away = (seen(camera, places) - POINTS[:, [168, 33, 263]]).norm(dim=-1)
    assert (away.mean(1) / face_unit(POINTS)).max() < 0.2


def test_a_cranium_ends_where_the_forehead_is_and_above_it():
    head = cranium(POINTS, LIKE)
    for row, points in enumerate(POINTS):
        x, y = ((points[151] + 1) * SIDE / 2).long().tolist()
        assert head.share[row, 0, y, x] == 1 and head.beyond[row, 0, y, x] < 0 and head.facing[row, 0, y, x] > 0.5
        away = head.places[row, :, y, x] - torch.tensor([0.0, -0.589, 0.207])
        assert away.norm() < 0.45
        x, y = ((points[152] + 1) * SIDE / 2).long().tolist()
        assert head.share[row, 0, min(y, SIDE - 1), x] == 0
        top = head.share[row, 0].nonzero()[:, 0].min()
        assert top < (points[10, 1] + 1) * SIDE / 2 - 2
    assert torch.allclose(head.normals.norm(dim=1), torch.ones(len(POINTS), SIDE, SIDE), atol=1e-4)
    wide = cranium(POINTS, LIKE, 0.15)
    assert (wide.share >= head.share - 1e-4).all() and wide.share.sum() > 1.1 * head.share.sum()


def test_a_knitted_hat_is_above_the_brows():
    hat, share = knitted(LIKE, POINTS, torch.tensor(0.6))
    for row, points in enumerate(POINTS):
        x, y = ((points[10] + 1) * SIDE / 2).long().tolist()
        assert share[row, 0, max(y - 6, 0), x] > 0.9
        for point in (33, 263, 4):
            x, y = ((points[point] + 1) * SIDE / 2).long().tolist()
            assert share[row, 0, y, x] == 0, point
    assert hat[share.expand_as(hat) > 0.9].std() > 0.02, "it has ribs"


def test_wool_has_a_colour_only_where_the_picture_has_colours():
    grey = torch.full_like(LIKE, 0.5)
    red = grey + torch.tensor([0.2, -0.1, -0.1]).view(1, 3, 1, 1)
    for picture, least, most in ((red, 0.2, 1.0), (grey, 0.0, 1e-3)):
        hat, share = knitted(picture, POINTS, torch.tensor(0.6), (0.7, 0.2, 0.2))
        spread = (hat.amax(1, keepdim=True) - hat.amin(1, keepdim=True))[share > 0.9].mean()
        assert least <= spread <= most
