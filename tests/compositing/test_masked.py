"""Colours of parts of pictures stay inside their masks."""

import pytest
import torch

from portraittalk_core.compositing.masked import (
    blurred,
    filled,
    inside,
    luma,
    mean_of,
    recoloured,
    softened,
    softness,
    surface_colour,
)


def noise(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("reach", [0.004, 0.05, 0.3])
def test_a_blur_keeps_what_is_even_and_evens_the_rest(reach):
    even = torch.full((1, 2, 64, 64), 0.3)
    assert torch.allclose(blurred(even, reach), even, atol=1e-5)
    rough = noise(1, 1, 64, 64)
    assert blurred(rough, reach).std() < 0.6 * rough.std()
    assert blurred(rough, reach).shape == rough.shape


def test_what_is_unknown_is_filled_from_what_is_near():
    values, known = noise(1, 3, 64, 64), torch.zeros(1, 1, 64, 64)
    values[..., :32], values[..., 32:] = 0.2, 0.8
    known[..., :20], known[..., 44:] = 1, 1
    made = filled(values + (1 - known) * 5, known)
    assert torch.allclose(made * known, values * known, atol=1e-4), "what is known stays"
    assert float((made[..., 22] - 0.2).abs().max()) < 0.1 and float((made[..., 42] - 0.8).abs().max()) < 0.1
    assert made.max() < 1, "nothing of the unknown shines through"
    assert torch.isfinite(filled(values, torch.zeros_like(known))).all()


def test_a_mean_counts_what_has_weight():
    values = torch.cat([torch.full((1, 3, 4, 2), 0.25), torch.full((1, 3, 4, 2), 9.0)], 3)
    weight = torch.cat([torch.ones(1, 1, 4, 2), torch.zeros(1, 1, 4, 2)], 3)
    assert torch.allclose(mean_of(values, weight), torch.full((1, 3, 1, 1), 0.25))
    assert torch.equal(mean_of(values, weight * 0), torch.zeros(1, 3, 1, 1))


def test_the_same_colour_again_changes_nothing_and_another_keeps_the_shades():
    surface = 0.3 + 0.1 * noise(1, 1, 32, 32) + torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    old = surface.mean((2, 3), keepdim=True)
    same = recoloured(surface, old, old)
    assert (same - surface).abs().max() < 0.06  # colours that differ among strands lose half of that
    new = torch.tensor([0.7, 0.2, 0.1]).view(1, 3, 1, 1)
    made = recoloured(surface, old, new)
    assert torch.allclose(made.mean((2, 3), keepdim=True), new, atol=0.03)
    shades = torch.stack([luma(made).flatten(), luma(surface).flatten()])
    assert torch.corrcoef(shades)[0, 1] > 0.99
    black = recoloured(surface, old, torch.full_like(old, 0.02))
    assert luma(black).std() < 0.6 * luma(surface).std(), "black has hardly any shades"


def test_what_is_inside_an_outline():
    square = torch.tensor([[[-0.5, -0.5], [0.5, -0.5], [0.5, 0.5], [-0.5, 0.5]]])
    share = inside(square, torch.zeros(1, 3, 64, 64))
    assert share.shape == (1, 1, 64, 64) and abs(float(share.mean()) - 0.25) < 0.03
    assert share[..., 18:46, 18:46].min() == 1 and share[..., :14, :].max() == 0


def test_a_blurred_picture_is_known_for_one():
    sharp, where = noise(1, 1, 96, 96).expand(1, 3, -1, -1), torch.ones(1, 1, 96, 96)
    found = [softness(softened(sharp, pixels), where) for pixels in (0.0, 0.6, 1.5)]
    assert found[0] < 0.5 and found == sorted(found) and found[2] > 0.8
    assert torch.equal(softened(sharp, 0.1), sharp) and abs(float(softened(sharp, 1.5).mean() - sharp.mean())) < 0.01


def test_where_two_surfaces_meet_each_has_its_own_colour():
    side = 96
    picture = torch.full((1, 3, side, side), 0.1)
    picture[..., side // 2 :] = 0.9
    shade = torch.linspace(-0.05, 0.05, side).view(1, 1, side, 1)
    found = surface_colour(picture + shade, torch.ones(1, 1, side, side), 0.05)
    assert (found - picture).abs().max() < 0.09, "no mixture at the edge"
    stripes = picture[..., :1].expand_as(picture) + 0.1 * (torch.arange(side) % 4 > 1)
    even = surface_colour(stripes, torch.ones(1, 1, side, side), 0.05)
    assert even[..., 10:-10].std(-1).max() < 0.02, "a pattern is one surface"
