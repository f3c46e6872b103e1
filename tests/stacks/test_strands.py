"""New hair has strands that fall."""

import torch

from portraittalk_core.stacks.strands import beard, head_of_hair, strand_noise, where_beards_grow, without_lips
from portraittalk_core.topology import OUTER_LIPS

from ..rendered_people import portraits

POINTS = portraits()[1][:1].float()


def test_strands_are_the_same_every_time_and_run_downwards():
    root = torch.tensor([[0.0, -0.9]])
    one, same = (strand_noise(POINTS, root, 128, length=0.2, bend=0.0) for _ in range(2))
    assert torch.equal(one, same) and abs(float(one.mean())) < 1e-4 and abs(float(one.std()) - 1) < 1e-3
    middle = one[..., 48:120, 52:76]  # below the root they fall straight
    down, aside = (middle - middle.roll(1, axis) for axis in (2, 3))
    assert down[..., 2:, 2:].abs().mean() < 0.6 * aside[..., 2:, 2:].abs().mean()


def test_a_beard_covers_what_it_is_told_to():
    picture = torch.full((1, 3, 128, 128), 0.8)
    cover = torch.zeros(1, 1, 128, 128)
    cover[..., 80:, :] = 1
    colour = torch.tensor([0.3, 0.2, 0.1]).view(1, 3, 1, 1)
    made = beard(picture, cover, colour, POINTS)
    assert torch.equal(made[..., :80, :], picture[..., :80, :])
    assert (made[..., 90:, :].mean((2, 3)) - colour[..., 0, 0]).abs().max() < 0.05
    thin = beard(picture, cover * 0.4, colour, POINTS)
    assert 0.35 < float(thin[:, 0, 90:].mean()) < 0.75 and thin[:, 0, 90:].std() > 0.02


def test_hair_of_the_head_keeps_its_colour_on_the_whole():
    colour = torch.full((1, 3, 128, 128), 0.4)
    made = head_of_hair(colour, POINTS)
    assert abs(float(made.mean()) - 0.4) < 0.01 and made.std() > 0.03


def test_lips_are_left_out():
    cover = without_lips(torch.ones(1, 1, 128, 128), POINTS)
    x, y = ((POINTS[0, list(OUTER_LIPS)].mean(0) + 1) * 64).long().tolist()
    assert cover[0, 0, y, x] < 0.05 and cover[0, 0, :40].min() == 1


def test_beards_grow_between_nose_and_jaw():
    cover = where_beards_grow(torch.ones(1, 1, 128, 128), POINTS)
    # Below the lips and on the chin; not on the tip of the nose, the brow or an eye.
    for point, share in ((17, 1.0), (199, 1.0), (4, 0.0), (151, 0.0), (33, 0.0)):
        x, y = ((POINTS[0, point] + 1) * 64).long().tolist()
        assert abs(float(cover[0, 0, y, x]) - share) < 0.15, point
