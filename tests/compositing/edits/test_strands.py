"""New hair has strands that fall."""

import torch

from portraittalk_core.compositing.edits.strands import head_of_hair, strand_noise

from ...rendered_people import portraits

POINTS = portraits()[1][:1].float()


def test_strands_are_the_same_every_time_and_run_downwards():
    root = torch.tensor([[0.0, -0.9]])
    one, same = (strand_noise(POINTS, root, 128, length=0.2, bend=0.0) for _ in range(2))
    assert torch.equal(one, same) and abs(float(one.mean())) < 1e-4 and abs(float(one.std()) - 1) < 1e-3
    middle = one[..., 48:120, 52:76]  # below the root they fall straight
    down, aside = (middle - middle.roll(1, axis) for axis in (2, 3))
    assert down[..., 2:, 2:].abs().mean() < 0.6 * aside[..., 2:, 2:].abs().mean()


def test_hair_of_the_head_keeps_its_colour_on_the_whole():
    colour = torch.full((1, 3, 128, 128), 0.4)
    made = head_of_hair(colour, POINTS)
    assert abs(float(made.mean()) - 0.4) < 0.01 and made.std() > 0.03
