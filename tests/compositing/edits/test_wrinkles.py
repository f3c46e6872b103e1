"""Lines of old faces."""

import torch

from portraittalk_core.compositing.edits.wrinkles import wrinkled
from portraittalk_core.topology import MIRROR

from ...rendered_people import portraits

POINTS = portraits()[1][:2].float()


def test_lines_run_beside_the_nose_and_over_the_forehead_only_on_skin():
    face = torch.full((2, 3, 192, 192), 0.6)
    skin = torch.ones_like(face[:, :1])
    made = wrinkled(face, skin, POINTS)
    dark = (face - made).mean(1)
    for row, points in enumerate(POINTS):
        pixels = ((points + 1) * 96).long()
        for one, other in ((203, 216), (423, 436)):
            x0, x1 = sorted((int(pixels[one, 0]), int(pixels[other, 0])))
            y = int(pixels[[one, other], 1].float().mean())
            assert dark[row, y, x0 - 6 : x1 + 7].max() > 0.05, "beside the nose"
        x, top, brow = int(pixels[10, 0]), int(pixels[10, 1]), int(pixels[9, 1])
        assert dark[row, top:brow, x].max() > 0.03, "on the forehead"
        x, y = pixels[4].tolist()
        assert dark[row, y, x].abs() < 0.02, "not on the tip of the nose"
    assert torch.equal(wrinkled(face, 0 * skin, POINTS), face)
    assert torch.equal(wrinkled(face, skin, POINTS), made)


def test_the_two_halves_of_a_forehead_are_not_alike():
    face = torch.full((1, 3, 256, 256), 0.6)
    points = POINTS[:1].clone()
    points[..., 0] -= points[:, [4], 0]
    mirrored = points[:, list(range(478))] * torch.tensor([-1.0, 1.0])
    for one, other in enumerate(MIRROR):  # a face that is the same on both sides
        points[:, one] = (points[:, one] + mirrored[:, other]) / 2
    shade = (wrinkled(face, torch.ones_like(face[:, :1]), points) - face).mean(1)[0]
    x0, x1 = (int((points[0, k, 0] + 1) * 128) for k in (63, 293))
    y0, y1 = (int((points[0, k, 1] + 1) * 128) for k in (10, 9))
    forehead = shade[y0 : y1 - 4, x0:x1]
    alike = torch.corrcoef(torch.stack([forehead.flatten(), forehead.flip(1).flatten()]))[0, 1]
    assert alike < 0.7, alike


def test_a_side_that_is_turned_away_has_fewer_lines():
    face, skin = torch.full((1, 3, 256, 256), 0.6), torch.ones(1, 1, 256, 256)
    points = POINTS[:1]
    turned = points.clone()
    nose = points[:, [168], 0]
    far = points[..., 0] < nose
    turned[..., 0] = torch.where(far, nose + 0.3 * (points[..., 0] - nose), points[..., 0])

    def lines(of):
        made = (face - wrinkled(face, skin, of)).clamp(min=0).mean(1)[0]
        x, top, end = int((of[0, 168, 0] + 1) * 128), *(int((of[0, k, 1] + 1) * 128) for k in (118, 212))
        return made[top:end, :x].sum() / made[top:end, x:].sum()

    assert lines(turned) < 0.4 * lines(points)


def test_a_picture_in_black_and_white_stays_so():
    face = torch.full((1, 3, 192, 192), 0.6)
    made = wrinkled(face, torch.ones_like(face[:, :1]), POINTS[:1])
    assert (made - made[:, :1]).abs().max() < 1e-5
