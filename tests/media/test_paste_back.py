"""Frames of a crop go back into their photograph: what lies outside stays, what lies inside meets it without a seam."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

import portraittalk_core as pt
from portraittalk_core.media.image import cut_square, resize, to_bytes, to_pil
from portraittalk_core.media.paste_back import COLOUR_LIMIT, FEATHER, covered, paste_back, paste_over
from portraittalk_core.media.resampling import enlarged
from portraittalk_core.media.video import probe, read_video
from portraittalk_core.perception.identity import identify
from portraittalk_core.types import CropPlace, Face, Frames

PLACES = {
    "inside": CropPlace(90, 30, 120, 200, 320),
    "tall, beyond the left and above": CropPlace(-20, -30, 140, 400, 150),
    "beyond the right and below": CropPlace(250, 130, 100, 201, 321),
    "larger than the picture": CropPlace(-15, -25, 250, 200, 220),
}


def photograph(place: CropPlace) -> torch.Tensor:
    """Return a smooth picture, so that resizing changes little, with noise outside the crop."""
    y, x = torch.meshgrid(
        torch.linspace(-0.5, 0.5, place.height), torch.linspace(-0.6, 0.6, place.width), indexing="ij"
    )
    picture = torch.stack([x, y, -x])
    noise = 0.2 * torch.rand(3, place.height, place.width, generator=torch.Generator().manual_seed(0))
    return picture + noise * outside(place)


def outside(place: CropPlace) -> torch.Tensor:
    mask = torch.ones(place.height, place.width, dtype=torch.bool)
    mask[max(0, place.top) : place.top + place.side, max(0, place.left) : place.left + place.side] = False
    return mask


def paste(crop: torch.Tensor, place: CropPlace, count: int = 1) -> torch.Tensor:
    frames = [Frames(crop[None], 25.0)] * count
    return torch.cat([part.pixels for part in paste_back(frames, photograph(place), place)])


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("size", [64, 128])
def test_outside_is_the_photograph_to_the_bit_and_the_crop_itself_changes_nothing(place, size):
    picture = photograph(place)
    crop = resize(cut_square(picture, place), size, size)
    out = paste(crop, place)[0]
    assert out.shape == picture.shape
    assert torch.equal(out[:, outside(place)], picture[:, outside(place)])
    assert (out - picture).abs().max() < 0.03  # resizing


@pytest.mark.parametrize("levels", [False, True])
def test_frames_go_into_the_photograph_that_they_bring(levels):
    place = PLACES["inside"]
    given, changed = photograph(place), photograph(place).flip(0)
    crops = [cut_square(picture, place)[None] for picture in (given, changed)]
    frames = [Frames(crops[0], 25.0), Frames(crops[1], 25.0, photograph=changed), Frames(crops[0], 25.0)]
    made = torch.cat([part.pixels for part in paste_back(frames, given, place, levels)])
    wanted = torch.stack([to_bytes(picture) if levels else picture for picture in (given, changed, given)])
    assert torch.equal(made[:, :, outside(place)], wanted[:, :, outside(place)])
    assert (made.float() - wanted.float()).abs().max() < (4 if levels else 0.03), "crops are those of their photographs"
    with pytest.raises(pt.BadInput, match="photograph"):
        next(paste_back([Frames(crops[0], 25.0, photograph=given[:, 1:])], given, place))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_tint_is_taken_away_and_the_middle_is_the_frame(place):
    picture = photograph(place)
    crop = cut_square(picture, place)
    tinted = (crop + torch.tensor([0.05, -0.04, 0.03])[:, None, None]).clone()
    side = place.side
    tinted[:, side // 2 - 8 : side // 2 + 8, side // 2 - 8 : side // 2 + 8] = 0.9
    out = paste(tinted, place)[0]
    seam = place.left <= 0 and place.top <= 0 and place.side >= max(place.height, place.width)
    there = torch.zeros(side, side, dtype=torch.bool)
    there[side // 2 - 8 : side // 2 + 8, side // 2 - 8 : side // 2 + 8] = True
    whole = torch.zeros(place.height, place.width, dtype=torch.bool)
    rows = slice(max(0, place.top), min(place.height, place.top + side))
    columns = slice(max(0, place.left), min(place.width, place.left + side))
    inner = there[max(0, -place.top) :, max(0, -place.left) :]
    whole[rows, columns] = inner[: rows.stop - rows.start, : columns.stop - columns.start]
    assert out[:, whole].mean() > 0.8, "what the model drew is there"
    if not seam:  # with nothing to compare, nothing is changed
        assert (out - picture)[:, ~whole].abs().max() < 0.012


def test_another_background_is_not_spread_over_the_face():
    place = PLACES["inside"]
    out = paste(torch.full((3, 120, 120), 1.0), place)[0]
    middle = out[:, place.top + 50 : place.top + 70, place.left + 50 : place.left + 70]
    assert (middle - 1).abs().max() <= COLOUR_LIMIT + 1e-6


def test_the_edge_is_feathered():
    place = PLACES["inside"]
    picture = photograph(place)
    crop = cut_square(picture, place) + 0.6
    out = paste(crop, place)[0] - picture
    row = out[0, place.top + 60, place.left : place.left + 60]
    width = round(FEATHER * place.side)
    assert row[0] < 0.02 and row[width] > 0.5 and bool((row[: width + 1].diff() >= 0).all())


def test_the_shift_does_not_flicker():
    place = PLACES["inside"]
    crop = cut_square(photograph(place), place)
    tints = 0.03 * torch.randn(20, 3, 1, 1, generator=torch.Generator().manual_seed(0))
    frames = [Frames((crop + tint)[None], 25.0) for tint in tints.clamp(-0.06, 0.06)]
    out = torch.cat([part.pixels for part in paste_back(frames, photograph(place), place)])
    middle = out[:, 0, place.top + 60, place.left + 60] - tints[:, 0, 0, 0].clamp(-0.06, 0.06)
    assert middle.diff().abs().max() < 0.3 * tints[:, 0, 0, 0].diff().abs().max()


def test_where_nothing_moves_a_large_photograph_stays_as_sharp_as_it_is():
    place = PLACES["inside"]
    picture = torch.rand(3, place.height, place.width, generator=torch.Generator().manual_seed(1)) * 2 - 1
    small = resize(cut_square(picture, place), 60, 60)
    moved = small.clone()
    moved[:, 26:34, 26:34] *= -1
    frames = [Frames(torch.stack([small, moved, small]), 25.0)]
    first, second, third = torch.cat([part.pixels for part in paste_back(frames, picture, place)])
    assert torch.equal(first, picture), "as long as nothing moves"
    middle = torch.zeros(place.height, place.width, dtype=torch.bool)
    middle[place.top + 40 : place.top + 80, place.left + 40 : place.left + 80] = True
    assert torch.equal(second[:, ~middle], picture[:, ~middle])
    assert float((second - picture)[:, middle].abs().mean()) > 0.1
    inner = (slice(None), slice(place.top + 54, place.top + 66), slice(place.left + 54, place.left + 66))
    softer = enlarged(small[None], (place.side, place.side), cubic=True)[0, :, 54:66, 54:66].clamp(-1, 1)
    assert torch.allclose(third[inner], softer, atol=0.01), "what has moved does not become sharper when it rests"


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_a_writer_gets_the_same_pictures_as_bytes(place):
    frames = [Frames(torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(2)) * 2 - 1, 25.0)]
    floats, levels = (
        torch.cat([part.pixels for part in paste_back(frames, photograph(place), place, levels=asked)])
        for asked in (False, True)
    )
    assert levels.dtype == torch.uint8 and torch.equal(levels, to_bytes(floats))


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_the_part_that_the_crop_covers_is_all_that_changes(place):
    picture, crop = photograph(place), torch.full((3, 64, 64), 0.4)
    whole = paste(crop, place, 2)
    parts = torch.cat([part.pixels for part in paste_over([Frames(crop[None], 25.0)] * 2, picture, place)])
    rows, columns = covered(place)
    assert parts.shape == (2, 3, rows.stop - rows.start, columns.stop - columns.start)
    assert torch.equal(whole[:, :, rows, columns], parts)
    assert not outside(place)[rows, columns].any() and int((~outside(place)).sum()) == parts[0, 0].numel()


def test_frames_keep_number_rate_and_model_and_come_one_by_one():
    place = CropPlace(500, 300, 400, 2160, 3840)
    picture = torch.zeros(3, 2160, 3840)
    asked = []

    def frames():
        for start in range(3):
            asked.append(start)
            yield Frames(torch.full((2, 3, 64, 64), 0.5), 30.0, "tiny")

    parts = paste_back(frames(), picture, place)
    first = next(parts)
    assert asked == [0] and first.pixels.shape == (1, 3, 2160, 3840) and (first.fps, first.model) == (30.0, "tiny")
    assert sum(len(part.pixels) for part in parts) == 5


def test_what_does_not_fit_is_named():
    place, picture = PLACES["inside"], photograph(PLACES["inside"])
    frames = [Frames(torch.zeros(1, 3, 64, 64), 25.0)]
    with pytest.raises(pt.BadInput, match="`photograph` must be the picture of `place`, 320 x 200, but has 300 x 200"):
        next(paste_back(frames, picture[:, :, :300], place))
    with pytest.raises(pt.BadInput, match="`place` must touch the picture"):
        next(paste_back(frames, picture, CropPlace(320, 0, 50, 200, 320)))
    with pytest.raises(pt.BadInput, match="`frames` must be square, but got 64 x 32"):
        next(paste_back([Frames(torch.zeros(1, 3, 32, 64), 25.0)], picture, place))


def test_odd_sides_are_padded_by_the_writer_alone(tmp_path):
    place = PLACES["beyond the right and below"]
    crop = cut_square(photograph(place), place)
    pt.write_video(tmp_path / "a.mp4", paste_back([Frames(crop[None], 25.0)] * 3, photograph(place), place))
    info = probe(tmp_path / "a.mp4")
    assert (info.width, info.height, info.frames) == (322, 202, 3)
    pixels = torch.cat([part.pixels for part in read_video(tmp_path / "a.mp4")[0]])
    assert (pixels[:, :, :201, :321] - photograph(place)).abs().mean() < 0.05
    pt.write_video(f"{tmp_path}/folder/", paste_back([Frames(crop[None], 25.0)], photograph(place), place))
    with Image.open(tmp_path / "folder" / "00000.png") as picture:
        assert picture.size == (321, 201)


class Finds:
    """Finds the face of the `portrait` where it was put."""

    hint = ""

    def __init__(self, landmarks):
        self.landmarks = landmarks

    def find(self, pixels):
        return [Face(torch.tensor([0.0, 0, 9, 9]), self.landmarks, 0.9, torch.eye(512)[0])]


@pytest.mark.parametrize(
    ("size", "corner", "scale"),
    [
        ((900, 400), (500, 100), 1.0),
        ((300, 800), (20, 450), 1.0),
        ((400, 400), (140, 140), 1.0),
        ((500, 420), (-40, 0), 2),
    ],
    ids=["wide", "tall", "off-centre", "close"],
)
@pytest.mark.parametrize("turned", [False, True])
def test_an_avatar_in_a_larger_picture(tmp_path, portrait, size, corner, scale, turned):
    avatar, points = portrait
    side = round(256 * scale)
    canvas = torch.linspace(-0.5, 0.5, size[0]).expand(3, size[1], size[0]).clone()
    big = resize(avatar, side, side)
    left, top = corner
    rows, columns = min(side, size[1] - top), min(side + min(0, left), size[0] - max(0, left))
    canvas[:, top : top + rows, max(0, left) : max(0, left) + columns] = big[
        :, :rows, max(0, -left) : max(0, -left) + columns
    ]
    picture = to_pil(canvas)
    path = tmp_path / "a.png"
    if turned:  # as a telephone writes it: on its side, with a note
        exif = Image.Exif()
        exif[0x0112] = 6
        picture.transpose(Image.Transpose.ROTATE_90).save(path, exif=exif)
    else:
        picture.save(path)
    photo = pt.read_image(path, longest_side=None)
    assert photo.shape[1:] == (size[1], size[0])
    identity = identify([photo], Finds((points + 1) / 2 * side + torch.tensor([left, top]).float()))
    (place,) = identity.places
    assert not place.whole and (place.height, place.width) == (size[1], size[0])
    out = torch.cat([part.pixels for part in pt.paste_back([Frames(identity.crops, 25.0)], photo, place)])[0]
    assert torch.equal(out[:, outside(place)], photo[:, outside(place)])
    assert (out - photo).abs().mean() < 0.02


def test_a_portrait_that_comes_back_whole_says_so(portrait):
    avatar, points = portrait
    identity = identify([avatar, avatar], Finds((points + 1) * 128))
    assert [place.whole for place in identity.places] == [True, True]
    out = next(paste_back([Frames(identity.crops[:1], 25.0)], avatar, identity.places[0])).pixels[0]
    assert torch.equal(out, avatar)
