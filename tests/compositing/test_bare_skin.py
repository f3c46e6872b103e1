"""Bare shoulders and arms are told from clothes."""

import torch

from portraittalk_core.compositing.bare_skin import bare_skin

SIDE = 96
SKIN, BLUE, BEIGE = (torch.tensor(c).view(3, 1, 1) for c in ([0.75, 0.52, 0.42], [0.2, 0.3, 0.6], [0.55, 0.38, 0.3]))


def bare(below, arm=None, pattern=False, read=None):
    """A face above, something below it that face parsing takes for clothes, and an arm in it."""
    picture = SKIN.expand(3, SIDE, SIDE).clone()
    picture[:, 48:] = below
    if arm is not None:
        picture[:, 60:90, 10:30] = arm
    if pattern:
        picture[:, 48:] *= (0.5 + 0.8 * (torch.arange(48) // 4 % 2)).view(1, 48, 1)
    picture = picture + 0.02 * (torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) - 0.5)
    face = torch.zeros(1, 1, SIDE, SIDE)
    face[:, :, :48] = 1
    found = bare_skin(picture[None], face, 1 - face, None if read is None else read * (1 - face))[0, 0]
    return float(found[54:, 40:].mean()), float(found[65:85, 14:26].mean())


def test_arms_before_a_shirt_are_skin_and_the_shirt_is_not():
    shirt, arm = bare(BLUE, SKIN * torch.tensor([0.8, 0.75, 0.68]).view(3, 1, 1))  # in the shade, and warmer
    assert shirt < 0.05 < 0.7 < arm


def test_shoulders_that_go_on_from_the_neck_are_bare_and_what_an_edge_parts_is_not():
    assert bare(SKIN * 0.97)[0] > 0.8
    assert bare(BEIGE)[0] < 0.1, "a shirt of skin's hue"


def test_a_pattern_is_no_skin():
    assert bare(SKIN * 0.97, pattern=True)[0] < 0.2


def test_what_face_parsing_reads_as_skin_is_skin_where_its_hue_is_one():
    assert bare(SKIN * 0.97, pattern=True, read=1.0)[0] > 0.8, "a chain, a shade: not smooth, yet skin"
    assert bare(BLUE, read=1.0)[0] < 0.05, "of another hue it is none"
    assert bare(BEIGE, read=0.3)[0] < 0.1, "nobody is sure"


def test_what_is_far_darker_than_a_face_is_no_skin_whatever_is_read():
    for dark in (0.12, 0.25):
        assert bare(SKIN * dark, arm=SKIN * dark * 1.1, read=1.0)[0] < 0.1, dark
    grey = torch.full((3, SIDE, SIDE), 0.55)
    face = torch.zeros(1, 1, SIDE, SIDE)
    face[:, :, :48] = 1
    grey[:, 48:] = 0.4
    assert bare_skin(grey[None], face, 1 - face, 1 - face)[0, 0, 60:].mean() < 0.1, "without colours nobody can say"
