"""What prompts change goes on around the crop: the place, clothes, long hair."""

from __future__ import annotations

import pytest
import torch

from portraittalk_core.compositing.colour_parsing import fallen_hair, with_collar
from portraittalk_core.compositing.edits.edited import edited
from portraittalk_core.compositing.edits.regions import ASKED, asked_regions
from portraittalk_core.compositing.surroundings import Surroundings
from portraittalk_core.compositing.whole_photograph import WholePhotograph, goes_beyond
from portraittalk_core.media.image import cut_square
from portraittalk_core.topology import SEGMENTS
from portraittalk_core.types import Bystander, CropPlace

from ..rendered_people import portraits

PLACES = {
    "inside": CropPlace(40, 10, 60, 160, 140),
    "beyond the left and above": CropPlace(-10, -20, 60, 100, 160),
    "beyond the right": CropPlace(100, 20, 60, 100, 150),
    "larger than the picture": CropPlace(-10, -15, 130, 100, 110),
}
SKIN, SHIRT, WALL = (torch.tensor(colour).view(3, 1, 1) for colour in ([0.4, 0.0, -0.2], [-0.6, -0.5, 0.3], [0.0] * 3))


class Standing:
    """Knows somebody by their colours, as far as a square around the head goes."""

    def segments(self, pictures, landmarks):
        shares = torch.zeros(len(pictures), len(SEGMENTS), *pictures.shape[-2:])
        for name, colour in (("skin", SKIN), ("clothes", SHIRT), ("background", WALL)):
            shares[:, SEGMENTS.index(name)] = ((pictures - colour).abs().amax(1) < 0.15).float()
        return shares


@pytest.fixture
def points():
    return portraits()[1][:1].float()


@pytest.fixture
def standing():
    """A picture of somebody in a blue shirt, where the crop lies in it, and points of the face."""
    picture = WALL.expand(3, 240, 200).clone()
    picture[:, 130:, 60:140] = SHIRT
    picture[:, 60:135, 75:125] = SKIN
    noise = torch.rand(3, 240, 200, generator=torch.Generator().manual_seed(0))
    return picture + 0.04 * (noise - 0.5), CropPlace(50, 50, 100, 240, 200)


def read(picture, place, points):
    return WholePhotograph.read(picture, place, points, Standing())


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_square_holds_the_photograph_and_the_crop(place):
    where = Surroundings.of(place)
    square = where.square
    for start, length, first in ((place.left, place.width, square.left), (place.top, place.height, square.top)):
        assert first <= min(0, start) and first + square.side >= max(length, start + place.side)
    assert where.whole.zoom == square.side / place.side and where.crop.settled is where.whole.settled
    corners = torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]])
    pixels = (where.outside(corners) + 1) / 2 * square.side + torch.tensor([square.left, square.top])
    wanted = torch.tensor([[place.left, place.top], [place.left + place.side, place.top + place.side]]).float()
    assert torch.allclose(pixels[0], wanted, atol=1e-3)
    assert torch.allclose(where.inside(where.outside(corners)), corners, atol=1e-5)


def test_crops_are_cut_out_and_put_back():
    where = Surroundings.of(CropPlace(50, 50, 100, 200, 200))
    values = torch.rand(1, 2, 200, 200, generator=torch.Generator().manual_seed(0))
    crop = where.cut(values)
    assert torch.allclose(crop, values[:, :, 50:150, 50:150], atol=1e-4)
    made = where.with_crop(torch.zeros_like(values), crop)
    assert torch.allclose(made[:, :, 52:148, 52:148], crop[:, :, 2:-2, 2:-2], atol=1e-4)
    made[:, :, 50:150, 50:150] = 0
    assert not made.any()


def test_somebody_goes_on_below_the_crop(standing, points):
    picture, place = standing
    whole = read(picture, place, points)
    place_share, clothes = (whole.segments[0, SEGMENTS.index(name)] for name in ("background", "clothes"))
    left = -whole.where.square.left
    assert clothes[200, left + 100] > 0.9 > 0.1 > clothes[200, left + 20], "the shirt, far below the crop"
    assert place_share[20, left + 100] > 0.9 and place_share[200, left + 180] > 0.9
    known = whole.crop_parser.segments(picture[None, :, 50:150, 50:150], points)
    assert known[0, SEGMENTS.index("clothes"), -4, 50] > 0.9


def falling(hair, shirt, wall):
    """Return the square of somebody whose hair falls over the shirt, segments as read in it, and where hair is."""
    noise = 0.04 * torch.rand(1, 3, 240, 240, generator=torch.Generator().manual_seed(0)) - 0.02
    shown = torch.tensor(wall).view(3, 1, 1).expand(3, 240, 240).clone()[None]
    truth = torch.zeros(1, 1, 240, 240)
    shown[..., 130:, 60:180] = torch.tensor(shirt).view(3, 1, 1)
    for columns in (slice(70, 90), slice(150, 170)):
        shown[..., 60:200, columns] = torch.tensor(hair).view(3, 1, 1)
        truth[..., 60:200, columns] = 1
    segments = torch.zeros(1, len(SEGMENTS), 240, 240)
    for name, colour in (("hair", hair), ("clothes", shirt), ("background", wall)):
        of_it = (shown - torch.tensor(colour).view(3, 1, 1)).abs().amax(1) == 0
        segments[:, SEGMENTS.index(name)] = of_it.float()
    segments[..., 140:, :] = 0.2  # below, the network does not know
    return shown + noise, segments, truth


def test_hair_falls_as_far_as_its_colour_goes():
    where = Surroundings.of(CropPlace(70, 50, 100, 240, 240))
    picture, segments, truth = falling([-0.8, -0.9, -0.9], [0.8, 0.8, 0.8], [0.1, 0.1, 0.1])
    found = fallen_hair(picture, segments, where)
    beyond = truth[..., 110:, :]
    assert (found[..., 110:, :] * beyond).sum() > 0.9 * beyond.sum()
    assert (found * (1 - truth)).sum() < 0.1 * truth.sum()


@pytest.mark.parametrize("wall", [[-0.8, -0.9, -0.9], [-0.75, -0.8, -0.8]])
def test_hair_that_has_the_colour_of_what_is_around_it_is_left_as_it_was_read(wall):
    where = Surroundings.of(CropPlace(70, 50, 100, 240, 240))
    picture, segments, _ = falling([-0.8, -0.85, -0.9], [0.8, 0.8, 0.8], wall)
    assert not fallen_hair(picture, segments, where).any()


def test_collars_begin_where_their_colour_does(standing):
    """Near the end of its square face parsing takes a collar for skin; a shirt of the skin's colour is left alone."""
    picture, place = standing
    where = Surroundings.of(place)
    square = cut_square(picture, where.square)[None]
    parts = Standing().segments(square, None)
    skin, clothes = SEGMENTS.index("skin"), SEGMENTS.index("clothes")
    left, top = -where.square.left, -where.square.top
    collar = (slice(None), slice(None), slice(top + 137, top + 146), slice(left + 80, left + 120))
    wrong = parts.clone()
    wrong[collar] = 0
    wrong[:, [skin, clothes], collar[2], collar[3]] = torch.tensor([[0.7], [0.3]])[..., None]
    made = with_collar(square, wrong, where)
    assert made[:, clothes, collar[2], collar[3]].mean() > 0.9 and made[:, skin, collar[2], collar[3]].mean() < 0.1
    assert made[:, skin, top + 120, left + 100] > 0.9
    alike = torch.where(parts[:, [clothes]] > 0.5, square - SHIRT + SKIN, square)
    assert torch.equal(with_collar(alike, wrong, where), wrong)


def test_another_place_and_other_clothes_are_seen_in_the_whole_photograph(standing, points):
    picture, place = standing
    whole = read(picture, place, points)
    drawn = torch.full((1, 3, 64, 64), -0.3)
    for prompt, changed, kept in (
        ("a person in front of a green background", (20, 20), (200, 100)),
        ("a person wearing a red shirt", (200, 100), (20, 20)),
    ):
        asked = asked_regions(prompt)[None]
        assert goes_beyond(asked)
        made = read(picture, place, points).edited(drawn, torch.full_like(drawn, 0.3), asked)
        assert made.shape == picture.shape
        for row, column in (changed, kept):
            before, after = (
                each[:, row - 5 : row + 5, column - 5 : column + 5].mean((1, 2)) for each in (picture, made)
            )
            assert ((after - before).abs().max() > 0.2) == ((row, column) == changed), (prompt, row, column)
    assert whole.picture is picture


def test_what_is_not_done_is_said_once(standing, points, caplog):
    picture, place = standing
    asked, drawn = asked_regions("a person wearing a red suit")[None], torch.full((1, 3, 64, 64), -0.3)
    whole = read(picture, place, points)
    crop, parser = picture[None, :, 50:150, 50:150], Standing()
    edited(crop, torch.full_like(crop, -0.3), -crop, asked, points, parser, whole.where.crop.said, whole.where.crop)
    whole.edited(drawn, -drawn, asked)
    assert sum("keep the cut" in record.message for record in caplog.records) == 1


def test_bystanders_stay_as_they_are(points):
    picture = WALL.expand(3, 240, 400).clone()
    for left in (50, 230):
        picture[:, 130:, left : left + 120] = SHIRT
        picture[:, 60:135, left + 35 : left + 85] = SKIN
    picture += 0.04 * (torch.rand(picture.shape, generator=torch.Generator().manual_seed(0)) - 0.5)
    places = [CropPlace(left + 10, 50, 100, 240, 400) for left in (50, 230)]
    drawn = torch.full((1, 3, 64, 64), -0.3)
    asked = asked_regions("a person wearing a red shirt in front of a green background")[None]
    for others in ((), (Bystander(places[1], points),)):
        whole = WholePhotograph.read(picture, places[0], points, Standing(), others)
        moved = (whole.edited(drawn, -drawn, asked) - picture).abs().amax(0)
        shirt, wall, their_face, their_shirt = moved[200, 110], moved[20, 20], moved[100, 290], moved[200, 290]
        assert shirt > 0.2 and wall > 0.2
        assert (their_face < 0.05 and their_shirt < 0.05) if others else their_face > 0.2


def test_what_is_of_the_face_alone_does_not_go_beyond():
    for prompt in ("a person with round glasses", "a person with a beard", "a smiling woman", ""):
        assert not goes_beyond(asked_regions(prompt)[None]), prompt
    for prompt, why in (("an old person", "grey hair may be long"), ("a man in a beanie", "hair above it goes")):
        assert goes_beyond(asked_regions(prompt)[None]), why
    assert asked_regions("")[None].shape == (1, len(ASKED))


def test_a_large_photograph_keeps_its_detail(standing, points, monkeypatch):
    picture, place = standing
    monkeypatch.setattr("portraittalk_core.compositing.whole_photograph.LARGEST", 120)
    drawn = torch.full((1, 3, 64, 64), -0.3)
    asked = asked_regions("a person wearing a red shirt")[None]
    made = read(picture, place, points).edited(drawn, -drawn, asked)
    assert made.shape == picture.shape
    wall, shirt = (slice(0, 3), slice(5, 40), slice(5, 60)), (slice(0, 3), slice(180, 230), slice(80, 120))
    assert torch.allclose(made[wall], picture[wall], atol=0.02), "nothing changes there"
    fine = [each[shirt] - each[shirt].mean((1, 2), keepdim=True) for each in (picture, made)]
    assert float((fine[0] * fine[1]).mean() / fine[0].square().mean()) > 0.4
