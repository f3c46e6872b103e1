"""Where a prompt's words act."""

import pytest
import torch

from portraittalk_core.checkpoints.native import load_text_encoder, model_folder
from portraittalk_core.compositing.edits.details import OF_GLASSES
from portraittalk_core.compositing.edits.glasses import RIM_COLOURS, RIMS
from portraittalk_core.compositing.edits.regions import ASKED, REGIONS, asked_regions, region_maps
from portraittalk_core.topology import EYES, OUTER_LIPS

from ...rendered_people import portraits

SIZE = 64


@pytest.mark.parametrize(
    ("prompt", "regions"),
    [
        ("a smiling old woman", {"older skin", "greying hair"}),
        ("an old woman, her hair is short and red", {"older skin", "colour of the hair", "hair"}),
        ("a smiling young woman", {"younger skin"}),
        ("a smiling woman", set()),
        ("A man wearing round glasses.", {"round glasses"}),
        ("a man with spectacles", {"square glasses"}),
        ("a man without his round glasses", {"no glasses"}),
        ("somebody wearing red", {"clothes"}),
        ("a bearded man in front of a bookshelf", {"beard", "bookshelf background"}),
        ("a man with parted hair", {"hair"}),
        ("a woman with shoulder length hair", {"hair"}),
        ("a woman with a bob, wearing earrings and a blue t-shirt", {"hair", "earrings", "clothes"}),
        ("a woman wearing a hat", {"knitted hat"}),
        ("a woman wearing a cap", {"cap"}),
        ("a woman without a hat", {"no hat"}),
        ("a man with red hair", {"colour of the hair"}),
        ("a red-haired man", {"colour of the hair"}),
        ("a blonde woman", {"colour of the hair"}),
        ("a man with long red hair", {"long hair", "colour of the hair"}),
        ("a man with long hair", {"long hair"}),
        ("a man with short hair", {"hair"}),
        ("a man in a black shirt with long hair", {"long hair", "clothes"}),
        ("a man with no hair", {"bald head"}),
        ("a bald man", {"bald head"}),
        ("a man with a short beard in a long queue", {"beard"}),
        ("a clean shaven man", {"shaven chin"}),
        ("a man without a beard, with glasses", {"shaven chin", "square glasses"}),
        ("a man with a moustache", {"mustache"}),
        ("a man with a chin beard", {"goatee"}),
        ("a man with light stubble", {"stubble"}),
        ("a man in a garden", {"park background"}),
        ("a man, plain white background", {"white background"}),
        ("a man in front of a navy wall", {"blue background"}),
        ("a man at night, indoors", {"room background"}),
        ("a man on a beach", {"beach background"}),
        ("a woman in a red dress", {"clothes"}),
        ("a man wearing a black tuxedo", {"clothes"}),
        ("a woman with blue eyes", {"colour of the eyes"}),
        ("a green-eyed man with blonde hair", {"colour of the eyes", "colour of the hair"}),
        ("a woman with red lips", {"colour of the lips"}),
        ("a woman wearing lipstick", {"colour of the lips"}),
        ("a woman wearing a crown", set()),
        ("a man with his eyes closed", set()),
        ("a woman wearing green eye shadow", set()),
        ("a man before a colourful background", {"background"}),
    ],
)
def test_words_ask_for_regions(prompt, regions):
    assert asked_of(prompt) & set(REGIONS) == regions


@pytest.mark.parametrize("prompt", ["", "a person"])
def test_no_prompt_leaves_the_photograph_alone(prompt):
    assert asked_of(prompt) == set()
    text = load_text_encoder(model_folder("tiny") / "text.safetensors")
    assert max(map(abs, text.expression_of(prompt).values())) < 0.01


def asked_of(prompt):
    return {name for name, asked in zip(ASKED, asked_regions(prompt), strict=True) if asked}


@pytest.mark.parametrize(
    ("prompt", "details"),
    [
        ("a person wearing glasses", set()),
        ("a man with thick round gray glasses", {"thick rims", "grey rims"}),
        ("a woman in yellow sunglasses", {"yellow rims", "dark lenses"}),
        ("a woman with glasses with a thin gold frame", {"thin rims", "gold rims"}),
        ("a man with dark lenses and red glasses", {"dark lenses", "red rims"}),
        ("a man in a red shirt with black-rimmed glasses", {"black rims", "red clothes"}),
        ("a man with short auburn hair", {"red hair", "short cut"}),
        ("a woman with long, dark wavy hair", {"black hair", "wavy cut"}),
        ("a woman with long hair and a curly dog", {"long cut"}),
        ("his hair is cropped", {"buzz cut", "cropped"}),
        ("a man with straight hair", {"straight"}),
        ("a man with rectangular black glasses", {"square lenses", "black rims"}),
        ("a man with a buzz cut", {"buzz cut"}),
        ("a woman with a bob with bangs", {"bob cut", "fringe"}),
        ("a person with pink hair", {"pink hair"}),
        ("an elderly woman with dark brown hair", {"dark brown hair"}),
        ("a brunette woman wearing red", {"brown hair", "red clothes"}),
    ],
)
def test_words_say_how_things_look(prompt, details):
    assert asked_of(prompt) - set(REGIONS) == details


def test_all_that_is_said_of_glasses_can_be_drawn():
    assert {"dark lenses", *RIMS, *RIM_COLOURS} == set(OF_GLASSES)


@pytest.fixture(scope="module")
def maps():
    points = portraits()[1][:4].float()
    return points, region_maps(points, SIZE)


def at(maps, frame, region, point):
    x, y = ((point + 1) / 2 * SIZE).long().clamp(0, SIZE - 1).tolist()
    return float(maps[frame, REGIONS.index(region), y, x])


def test_regions_lie_where_their_names_say(maps):
    points, found = maps
    assert found.shape == (4, len(REGIONS), SIZE, SIZE) and found.min() >= 0 and found.max() <= 1
    for frame in range(4):
        for eye in EYES:
            middle = points[frame, list(eye)].mean(0)
            assert at(found, frame, "no glasses", middle) == 1
            assert at(found, frame, "hair", middle) == at(found, frame, "background", middle) == 0
        lips = points[frame, list(OUTER_LIPS)].mean(0)
        assert at(found, frame, "beard", lips) == 1 and at(found, frame, "no glasses", lips) == 0
        for corner in (torch.tensor([-0.97, -0.97]), torch.tensor([0.97, -0.97])):
            assert at(found, frame, "background", corner) == 1 and at(found, frame, "clothes", corner) == 0
        below = torch.tensor([0.0, 0.98])
        assert at(found, frame, "clothes", below) == 1 and at(found, frame, "no glasses", below) == 0


def test_regions_turn_with_the_head(maps):
    points, found = maps
    turned = torch.stack([-points[..., 1], points[..., 0]], -1)  # a quarter turn
    assert torch.allclose(region_maps(turned, SIZE), found.rot90(-1, (2, 3)), atol=1e-3)


def test_colours_of_clothes_are_those_of_garments_alone():
    said = {
        "a man in a blue suit": {"blue clothes", "a garment"},
        "a lady, dressed in green": {"green clothes"},
        "a woman with red hair in a white t-shirt": {"white clothes"},
        "a man in a black suit and a red tie": {"black clothes", "a garment"},
        "a man wearing a green tie": set(),
        "a man in front of a red wall": set(),
        "a man wearing black glasses": set(),
    }
    for prompt, wanted in said.items():
        assert {name for name in asked_of(prompt) if name.endswith(" clothes") or name == "a garment"} == wanted
        assert "clothes of no colour" not in asked_of(prompt)
    for prompt in ("a man wearing a suit", "a woman in a t-shirt"):
        assert "clothes of no colour" in asked_of(prompt)


@pytest.mark.parametrize(
    ("prompt", "colours"),
    [
        ("a blue-eyed woman with crimson lips in a black dress", {"blue eyes", "red lips", "black clothes"}),
        ("her eyes are grey, her lips are pink", {"grey eyes", "pink lips"}),
        ("a man with dark green eyes", {"green eyes"}),
        ("a woman wearing red lipstick and golden eyes", {"red lips", "amber eyes"}),
        ("a woman wearing lipstick", {"red lips"}),
        ("a one-eyed man with red glasses", {"red rims"}),
    ],
)
def test_colours_of_eyes_and_lips_are_theirs_alone(prompt, colours):
    said = asked_of(prompt) - set(REGIONS) - {"a garment"}
    assert said == colours
    encoder = load_text_encoder(model_folder("tiny") / "text.safetensors")
    assert not [word for word in encoder.unknown_words(prompt) if word != "one"], "nothing of it is ignored"


def test_the_colour_of_a_hat_is_the_hats_alone():
    def said(prompt):
        found = asked_regions(prompt)
        return {name for name, much in zip(ASKED, found.tolist(), strict=True) if much}

    assert said("a woman wearing a dark red beanie") == {"knitted hat", "red hat"}
    both = said("a man with a blue hat and a green shirt")
    assert {"blue hat", "green clothes"} <= both and not both & {"green hat", "blue clothes"}
    assert not said("a man without a red hat") & {"red hat", "knitted hat"}
    assert {"no glasses", "knitted hat"} <= said("a man without glasses and with a hat")
