"""Haircuts on a photograph: new hair has its colour and light, and what is before hair stays."""

import torch
from torch.nn import functional

from portraittalk_core.compositing.edits.details import HAIR_COLOURS
from portraittalk_core.compositing.edits.hair_colours import hair_of_colour
from portraittalk_core.topology import SEGMENTS

from .heads import SIDE, change, segments

FACE = (slice(40, 96), slice(36, 92))


def falling(low):
    """Return segments of hair that falls beside a face down to a row."""
    found = segments(hair=(slice(4, low), slice(10, 118)))
    found[:, :, FACE[0], FACE[1]] = 0
    found[:, SEGMENTS.index("skin"), FACE[0], FACE[1]] = 1
    return found


def of(found, name):
    return found[0, SEGMENTS.index(name)] == 1


def chin_of(points):
    return int((points[0, 152, 1] + 1) * SIDE / 2)


def drawn_beside_the_face(made, photograph):
    """Return where hair has been drawn that is not at its own edge, below the eyes."""
    changed = (made - photograph)[0].abs().amax(0) > 0.05
    inner = -functional.max_pool2d(-changed.float()[None, None], 5, 1, 2)[0, 0] > 0
    inner[:60] = False
    inner[:, 40:88] = False
    return inner


def test_long_hair_takes_the_place_of_short_hair_and_has_its_colour(photograph, points):
    photograph = photograph.clone()
    short = falling(chin_of(points) - 20)
    photograph[0][:, of(short, "hair")] = -0.5
    made = change(photograph, photograph, points, "long hair", before=short)
    inside = (..., slice(60, 84), slice(54, 74))
    assert torch.allclose(made[inside], photograph[inside], atol=0.02), "the face stays"
    grown = drawn_beside_the_face(made, photograph) & (torch.arange(SIDE) > chin_of(points))[:, None]
    assert grown.sum() > 40 and abs(float(made[0][:, grown].mean()) + 0.5) < 0.25


def test_long_hair_has_light_and_dark_though_the_old_hair_showed_none(photograph, points):
    photograph = photograph.clone()
    photograph[..., 4:40, 24:104] = -0.5
    made = change(photograph, photograph, points, "long hair")
    light = functional.avg_pool2d((made + 1).mean(1, keepdim=True) / 2, 3, 1, 1)[0, 0]
    there = drawn_beside_the_face(made, photograph)
    lines = [line[where] for line, where in zip(light[60:92], there[60:92], strict=True) if where.sum() > 12]
    assert len(lines) > 20
    assert torch.stack([line.std() / line.mean() for line in lines]).mean() > 0.2


def test_new_hair_has_the_colour_of_its_word_at_once(photograph, points):
    photograph = photograph.clone()
    photograph[..., 4:40, 24:104] = -0.9
    made = change(photograph, photograph, points, "long hair", "colour of the hair", "blonde hair")
    skin = segments()[:, [SEGMENTS.index("skin")]]
    named = hair_of_colour(HAIR_COLOURS["blonde hair"], (photograph + 1) / 2, skin)[0, :, 0, 0]
    there = drawn_beside_the_face(made, photograph)
    assert (((made + 1) / 2)[0][:, there].mean(1) - named).abs().max() < 0.12


def test_hair_on_a_grey_photograph_is_grey(photograph, points):
    grey = photograph.mean(1, keepdim=True).expand(-1, 3, -1, -1).contiguous()
    for words in (("long hair",), ("hair", "afro cut"), ("long hair", "colour of the hair", "red hair")):
        made = change(grey, grey, points, *words)
        assert (made - made.mean(1, keepdim=True)).abs().max() < 0.02, words


def hand_beside(photograph, points):
    """Return a head whose hair is black, a hand of its skin in it, and where that is."""
    photograph = photograph.clone()
    worn = falling(SIDE)
    photograph[0][:, of(worn, "hair")] = -0.9
    photograph[0][:, of(worn, "background")] = -0.3
    middle = int((points[0, 17, 1] + 1) * SIDE / 2)
    hand = (..., slice(middle - 4, middle + 22), slice(12, 26))
    photograph[hand] = photograph[0, :, 60:80, 50:78].mean((1, 2)).view(3, 1, 1)
    return photograph, worn, hand


def test_a_hand_before_hair_stays(photograph, points):
    pictured, worn, hand = hand_beside(photograph, points)
    for words in (("hair", "buzz cut"), ("hair", "bob cut"), ("bald head",), ("red background",)):
        made = change(pictured, pictured, points, *words, before=worn)
        inner = (..., slice(hand[1].start + 3, hand[1].stop - 3), slice(hand[2].start + 3, hand[2].stop - 3))
        assert (made - pictured)[inner].abs().max() < 0.05, words
        assert (made - pictured).abs().mean() > 0.02


def test_locks_that_were_taken_for_the_place_go_with_the_hair(photograph, points):
    photograph = photograph.clone()
    worn = falling(90)
    photograph[0][:, of(worn, "background")] = 0.6
    photograph[0][:, of(worn, "hair")] = -0.8
    photograph[..., 90:, :] = 0.6
    lock = (..., slice(93, 99), slice(12, 20))
    photograph[lock] = -0.1  # thin: half of each pixel is place, and as light as skin
    worn[:, :, 96:] = 0
    worn[:, SEGMENTS.index("background"), 90:] = 1
    worn[:, 1:, 90:] = 0
    made = change(photograph, photograph, points, "hair", "buzz cut", before=worn)
    assert made[lock].mean() > 0.3


def test_where_hair_hid_all_clothes_they_are_those_that_were_drawn(photograph, points):
    """Not black: nobody knows what is below hair that falls to the picture's end."""
    worn, bare = falling(SIDE), segments()
    worn[:, :, 96:] = 0
    worn[:, SEGMENTS.index("hair"), 96:] = 1
    drawn = photograph.clone()
    drawn[..., 96:, :] = torch.tensor([-0.2, 0.2, 0.7]).view(3, 1, 1)
    made = change(photograph, drawn, points, "bald head", before=worn, after=bare)
    shoulders = made[0, :, 116:, 8:28].mean((1, 2))
    assert shoulders[2] > shoulders[0] + 0.5 and shoulders.mean() > -0.2
