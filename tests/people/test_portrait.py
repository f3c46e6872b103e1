"""Portraits of nobody: the one that comes with the package, and those that are drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.errors import BadInput
from portraittalk_core.media.image import read_image
from portraittalk_core.people.caption import tags
from portraittalk_core.people.person import AGES, ATTRIBUTES, Person, dress
from portraittalk_core.people.portrait import EXAMPLE_CAPTION, EXAMPLE_SEED, EXAMPLE_SIZE, draw_portraits
from portraittalk_core.people.words import VALUES

WOMAN = Person(seed=1, age=60, hair="grey", grey=0.3, earrings="hoops", makeup=0.4)


def dressed(person: Person = WOMAN, **asked: str) -> Person:
    return dress(person, asked, np.random.default_rng(0))


def test_the_portrait_of_the_package_is_small_and_square():
    assert read_image(ASSETS / "portrait.png").shape == (3, EXAMPLE_SIZE, EXAMPLE_SIZE)
    assert (ASSETS / "portrait.png").stat().st_size <= 400_000


def test_the_portrait_of_the_package_is_who_its_seed_draws(drawing):
    drawn, caption = draw_portraits(EXAMPLE_SEED)
    assert caption == EXAMPLE_CAPTION
    shipped = read_image(ASSETS / "portrait.png")  # its skin has the optional textures
    assert (drawn[0] - shipped).abs().mean() < 0.08


def test_pictures_of_one_person(drawing):
    three, caption = draw_portraits(4, {"hair": "red", "glasses": "none"}, size=256, count=3)
    assert three.shape == (3, 3, 256, 256) and three.min() >= -1 and three.max() <= 1
    assert "glasses" not in caption
    one, again = draw_portraits(4, {"hair": "red", "glasses": "none"}, size=256)
    assert torch.equal(one[0], three[0]) and again == caption
    assert (three[0] - three[1]).abs().mean() > 0.05


@pytest.mark.parametrize("name", sorted(ATTRIBUTES))
def test_people_get_what_is_asked_for(name):
    for value in ATTRIBUTES[name]:
        assert tags(dressed(**{name: value}))[name] == value


def test_what_is_drawn_has_words():
    assert all(set(values) <= set(VALUES[name]) for name, values in ATTRIBUTES.items())


def test_all_else_stays():
    assert dressed() == WOMAN
    assert dressed(glasses="round") == dataclasses.replace(WOMAN, glasses="round")
    blue = dressed(clothes="blue")
    assert (
        blue.clothes_rgb[2] > blue.clothes_rgb[0]
        and dataclasses.replace(blue, clothes="grey", clothes_rgb=WOMAN.clothes_rgb) == WOMAN
    )


def test_what_goes_with_an_attribute_follows_it():
    man = dressed(sex="male")
    assert (man.male, man.earrings, man.makeup) == (1 - WOMAN.male, "none", 0.0)
    assert dressed(dataclasses.replace(man, beard="beard"), sex="female").beard == "none"
    assert dressed(hair="red").grey == 0 and dressed(age="old").grey > dressed(age="young").grey == 0
    assert dressed(age="old").age == AGES["old"]
    assert dressed(dataclasses.replace(WOMAN, style="bun"), hat="cap").style == "short"


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(BadInput, match=r"`hair` must be one of black, .* but got 'blue'"):
        draw_portraits(1, {"hair": "blue"})
    with pytest.raises(BadInput, match=r"must name attributes of people, but got 'skin'"):
        draw_portraits(1, {"skin": "pale"})
