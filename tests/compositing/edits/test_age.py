"""Older and younger faces, and what greys with them."""

import torch

from portraittalk_core.compositing.edits import age, ageing, removal
from portraittalk_core.compositing.masked import blurred, inside
from portraittalk_core.topology import OVAL, SEGMENTS

from .heads import SIDE, change, fine, segments


def test_age_deepens_lines_and_youth_smooths_them(photograph, points):
    old, young = (change(photograph, photograph, points, region) for region in ("older skin", "younger skin"))
    there = (slice(None), slice(None), slice(50, 62), slice(44, 84))
    deviation = {name: float(fine(p)[there].std()) for name, p in (("old", old), ("is", photograph), ("young", young))}
    assert deviation["old"] > 1.15 * deviation["is"] > 1.3 * deviation["young"]
    assert torch.allclose(old[..., 122:, :], photograph[..., 122:, :], atol=1e-6), "a chin sags, clothes do not"
    assert torch.allclose(young[..., 122:, :], photograph[..., 122:, :], atol=1e-6)


def test_hair_greys_in_strands_and_takes_the_colour_of_its_name(photograph, points):
    hair = (..., slice(6, 36), slice(28, 100))
    photograph = photograph.clone()
    strands = torch.rand(photograph[hair].shape[-1], generator=torch.Generator().manual_seed(0))
    photograph[hair] = 0.1 * strands - 0.9
    grey = change(photograph, photograph, points, "greying hair")[hair]
    assert grey.mean() > photograph[hair].mean() + 0.1 and grey.std() > 1.5 * photograph[hair].std()
    brown = torch.full_like(photograph, -0.4)
    named, drawn = (change(photograph, brown, points, "colour of the hair", *more)[hair] for more in (["red hair"], []))
    assert (named[:, 0] - named[:, 2]).mean() > (drawn[:, 0] - drawn[:, 2]).mean() + 0.1


def test_a_red_scarf_that_is_taken_for_hair_does_not_grey(photograph, points):
    photograph = photograph.clone()
    scarf, hair = (..., slice(6, 36), slice(28, 80)), (..., slice(6, 36), slice(84, 100))
    photograph[scarf] = torch.tensor([0.2, -0.8, -0.7]).view(3, 1, 1)
    photograph[hair] = torch.tensor([0.1, -0.1, -0.4]).view(3, 1, 1)
    grey = change(photograph, photograph, points, "greying hair")
    assert (grey - photograph)[scarf][..., 4:-4, 4:-4].abs().max() < 0.05
    assert colour(grey[hair]) < 0.75 * colour(photograph[hair])


def test_young_hair_is_not_grey_unless_its_colour_is_named_or_all_is_black_and_white(photograph, points):
    hair = (..., slice(10, 32), slice(32, 96))
    photograph = photograph.clone()
    photograph[hair] = torch.tensor([0.32, 0.3, 0.28]).view(3, 1, 1)
    brown = change(photograph, photograph, points, "younger skin")[hair]
    assert colour(brown) > colour(photograph[hair]) + 0.1 and brown.mean() < photograph[hair].mean() - 0.3
    white = change(photograph, photograph, points, "younger skin", "white hair")[hair]
    assert torch.allclose(white, photograph[hair], atol=0.02)
    black = photograph.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert torch.allclose(change(black, black, points, "younger skin")[hair], black[hair], atol=0.02)


def test_a_jaw_that_sags_before_dark_hair_does_not_grey_with_it(photograph, points):
    face = inside(points[:, list(OVAL)], photograph)
    photograph = torch.where(face > 0.5, -0.3, torch.full_like(photograph, -0.8))
    before = torch.zeros(1, len(SEGMENTS), SIDE, SIDE)
    before[:, SEGMENTS.index("skin")], before[:, SEGMENTS.index("hair")] = face[:, 0], 1 - face[:, 0]
    sagged = change(photograph, photograph, points, "older skin", before=before)
    assert (sagged - photograph).max() > 0.4, "the jaw is wider"
    both = change(photograph, photograph, points, "older skin", "greying hair", before=before)
    assert both.max() < sagged.max() + 0.2


def colour(picture):
    return (picture[:, 0] - picture[:, 2]).mean()


def test_brows_grey_with_the_hair(photograph, points):
    skin = segments(skin=(slice(0, SIDE), slice(0, SIDE)), hair=(slice(0, 6), slice(0, SIDE)), clothes=None)
    x, y = ((points[0, [105, 66, 52, 53]].mean(0) + 1) * SIDE / 2).long().tolist()
    brow = (..., slice(y - 1, y + 2), slice(x - 3, x + 4))
    photograph = torch.full_like(photograph, 0.3)
    photograph[brow] = torch.tensor([-0.4, -0.6, -0.8]).view(3, 1, 1)
    grey = change(photograph, photograph, points, "greying hair", before=skin)
    assert colour(grey[brow]) < 0.7 * colour(photograph[brow]) and grey[brow].mean() > photograph[brow].mean()
    assert (grey - photograph)[..., y + 20 :, :].abs().max() < 1e-5


def test_rounding_makes_no_beard_of_a_smooth_face(photograph, points, monkeypatch):
    def rounded(values, reach):
        return blurred(values, reach) - 1e-9  # means of squares come out so where all of them are nearly 0

    monkeypatch.setattr(removal, "blurred", rounded)
    monkeypatch.setattr(ageing, "blurred", rounded)
    monkeypatch.setattr(age, "blurred", rounded)
    wide = segments(skin=(slice(40, SIDE), slice(24, 104)), clothes=None)
    even = torch.full_like(photograph, 0.2)
    for region in ("shaven chin", "older skin", "younger skin"):
        assert torch.isfinite(change(even, even, points, region, before=wide)).all()
