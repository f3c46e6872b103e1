"""The grammar of captions: what it states, what it leaves out, and that its vocabulary is complete."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.random import Generator

from portraittalk_core.errors import BadInput
from portraittalk_core.people.caption import age_word, caption, compose, describe, tags
from portraittalk_core.people.person import BEARDS, EARRINGS, EXPRESSIONS, GARMENTS, GLASSES, HATS, STYLES, Person
from portraittalk_core.people.words import (
    AGE_WORDS,
    COLOURS,
    EDIT_WORDS,
    HAIR_WORDS,
    VALUES,
    meaning,
    meanings,
    vocabulary,
)

FIRST_WORDS = [
    "adult",
    "aged",
    "amber",
    "and",
    "astonished",
    "auburn",
    "avatar",
    "azure",
    "backdrop",
    "bald",
    "bearded",
    "beautiful",
    "blond",
    "bob",
    "bronze",
    "brunette",
    "bun",
    "bushy",
    "character",
    "cheerful",
    "chestnut",
    "circular",
    "clothes",
    "copper",
    "crimson",
    "cropped",
    "curls",
    "deep",
    "detailed",
    "drawing",
    "elderly",
    "emerald",
    "eyes",
    "fair",
    "flowing",
    "frowning",
    "gentleman",
    "ginger",
    "golden",
    "gray",
    "grinning",
    "hazel",
    "headshot",
    "hoodie",
    "image",
    "ivory",
    "jacket",
    "jet",
    "jumper",
    "knot",
    "lemon",
    "lilac",
    "mature",
    "moustache",
    "navy",
    "olive",
    "pale",
    "porcelain",
    "pullover",
    "raven",
    "rectangular",
    "relaxed",
    "scarlet",
    "serious",
    "shocked",
    "silver",
    "skin",
    "sorrowful",
    "spectacles",
    "sweater",
    "tan",
    "tanned",
    "tee",
    "viewer",
    "violet",
    "wavy",
    "wears",
    "who",
    "youthful",
]
"""Words that the first text encoder knew, of every kind; prompts of users have them."""


def seeded(seed: int = 0) -> Generator:
    return np.random.default_rng(seed)


def random_tags(rng: Generator) -> dict[str, str]:
    return {name: str(rng.choice(values)) for name, values in VALUES.items()}


@pytest.mark.slow
def test_every_word_is_in_the_vocabulary_and_every_word_is_spoken():
    rng, seen = seeded(), set()
    for _ in range(6000):
        drawn = random_tags(rng)
        text = describe(drawn, rng, {name for name in VALUES if rng.random() < 0.7})
        seen |= set(text.replace(",", " ").replace("-", " ").split())
        assert re.fullmatch(r"[a-z]+([,-]? ?[a-z]+)*", text), text
    assert seen == set(vocabulary())


def test_prompts_of_old_keep_their_words():
    assert set(FIRST_WORDS) <= set(vocabulary())


def test_a_caption_fits_into_77_tokens():
    rng = seeded(1)
    for _ in range(2000):
        text = describe({**random_tags(rng), "hat": "none"}, rng, set(VALUES))
        assert len(text.replace(",", " , ").replace("-", " ").split()) <= 75, text


def test_what_shall_be_spoken_is_spoken_and_nothing_else():
    rng = seeded(2)
    for _ in range(400):
        drawn = {**random_tags(rng), "hat": "none", "sex": "male", "age": "old"}
        wanted = {name for name in VALUES if rng.random() < 0.5}
        said = compose(drawn, rng, wanted).spoken
        assert set(said) == wanted - ({"hair"} if drawn["style"] == "bald" else set())
        for name, value in said.items():
            assert drawn[name] in value.split("|"), (name, value)
            assert value in meanings(name)


def test_an_attribute_that_is_not_spoken_leaves_no_word():
    known = {"sex": "female", "age": "child", "hair": "red", "style": "long", "clothes": "green", "background": "blue"}
    for seed in range(60):
        text = describe(known, seeded(seed), {"hair"})
        assert re.search(r"\b(red|ginger|auburn|copper)\b", text)
        assert not re.search(r"long|flowing|green|emerald|background|blue|wom|girl|lady|female|young|little|kid", text)
        text = describe(known, seeded(seed), {"sex"})
        assert re.search(r"\bfemale\b", text) and not re.search("girl|young|hair", text)
        assert re.search("girl|young|little", describe(known, seeded(seed), {"sex", "age"}))


def test_hair_and_style_are_spoken_together():
    texts = [describe({"hair": "pink", "style": "long"}, seeded(seed), {"hair", "style"}) for seed in range(60)]
    assert any("long pink hair" in text for text in texts)


def test_what_cannot_be_seen_is_not_spoken_of():
    for seed in range(40):
        assert "pink" not in describe({"hair": "pink", "style": "bald"}, seeded(seed), {"hair", "style"})
        hidden = describe({"hair": "red", "style": "short", "hat": "cap"}, seeded(seed), {"hair", "style", "hat"})
        assert "hair" not in hidden and re.search(r"cap|hat", hidden)
        below = describe({"hair": "red", "style": "wavy", "hat": "cap"}, seeded(seed), {"hair", "style", "hat"})
        assert "hair" in below
        woman = describe({"sex": "female", "beard": "none"}, seeded(seed), {"sex", "beard"})
        assert not re.search(r"beard|shaven|facial", woman)


def test_absence_is_spoken_where_it_is_asked_for():
    for seed in range(40):
        known = {"glasses": "none", "beard": "none", "hat": "none", "earrings": "none", "sex": "male", "age": "old"}
        text = describe(known, seeded(seed), set(known))
        assert re.search(r"(no|without|not wearing) (glasses|spectacles|eyeglasses)", text)
        assert re.search(r"(no|without a|not wearing a) (hat|cap)", text)
        assert re.search(r"(no|without|not wearing) (earrings|jewelry)", text)
        assert re.search(r"clean shaven|no beard|without a beard|facial hair", text)


def test_a_word_means_all_that_it_may_be():
    assert meaning("style", "short hair") == "short|side"
    assert meaning("hair", "ginger") == "red"
    assert meaning("age", "young") == "child|teenage|young"
    assert meaning("age", "young", ("child",)) == "teenage|young" in meanings("age")
    assert meaning("glasses", "") == "round|square" in meanings("glasses")


def test_the_generator_decides():
    drawn = random_tags(seeded(3))
    assert describe(drawn, seeded(5), set(VALUES)) == describe(drawn, seeded(5), set(VALUES))
    assert len({describe(drawn, seeded(seed), set(VALUES)) for seed in range(40)}) > 30


def test_fragments_make_the_text():
    made = compose(random_tags(seeded(2)), seeded(9), set(VALUES))
    assert "".join(f.text for f in made.fragments) == made.text == made.text.strip()


def test_unknown_names_are_refused():
    with pytest.raises(BadInput, match=r"`tags` must name known attributes, but got shoes"):
        describe({"shoes": "red"}, seeded(), set())
    with pytest.raises(BadInput, match=r"`hair` must be one of .*, but got 'mauve'"):
        describe({"hair": "mauve"}, seeded(), {"hair"})


def test_everything_that_people_are_drawn_with_can_be_said():
    drawn = {
        "style": STYLES, "beard": BEARDS, "glasses": GLASSES, "hat": HATS, "earrings": EARRINGS, "garment": GARMENTS,
        "expression": EXPRESSIONS,
    }  # fmt: skip
    for name, values in drawn.items():
        assert set(values) <= set(VALUES[name]), name
    assert set(tags(Person(seed=1))) == set(VALUES) - {"skin", "eyes"}


def test_a_caption_mentions_what_is_drawn():
    person = Person(
        seed=1, age=70, male=0.9, hair="white", style="short", beard="beard", glasses="round", garment="suit",
        clothes="blue", background="bookshelf", expression="smiling",
    )  # fmt: skip
    text = " | ".join(caption(person, seeded(seed), share=1.0) for seed in range(20))
    for word in ("white", "beard", "round", "blue", "bookshelf", "smiling"):
        assert word in text, word
    assert not any(f" {word} " in text for word in ("woman", "girl", "bald", "red", "green"))


def test_absence_is_seldom_mentioned():
    texts = [caption(Person(seed=1), seeded(seed)) for seed in range(300)]
    assert 0 < sum(bool(re.search(r"\b(hat|cap)\b", text)) for text in texts) < 60
    assert 0 < sum("glasses" in text or "spectacles" in text for text in texts) < 110


def test_a_bald_head_has_no_hair_colour_in_its_caption():
    person = Person(seed=1, style="bald", hair="red", clothes="blue", clothes_rgb=(0.0, 0.0, 0.3))
    for seed in range(30):
        assert not set(HAIR_WORDS["red"]) & set(caption(person, seeded(seed), 1.0).split())


def test_a_boy_is_no_man():
    boy = dataclasses.replace(Person(seed=1), age=9, male=0.9)
    texts = [caption(boy, seeded(seed), 1.0) for seed in range(40)]
    assert not any(re.search(r"\b(man|guy|adult|beard|shaven)\b", text) for text in texts)


def test_ages_and_colours_have_words():
    assert [age_word(y) for y in (8, 16, 25, 50, 80)] == ["child", "teenage", "young", "middle aged", "old"]
    assert set(AGE_WORDS) == {"child", "teenage", "young", "middle aged", "old"}
    assert COLOURS["grey"][0] == "grey"


def test_the_page_of_prompts_lists_words_of_the_grammar():
    page = (Path(__file__).resolve().parents[2] / "docs" / "tutorials" / "prompt_edits.md").read_text(encoding="utf-8")
    rows = page.split("| of | words |")[1].split("\n\n")[0].splitlines()[2:]
    spoken = {word for row in rows for word in re.findall("[a-z]+", row.split("|")[2])}
    assert len(spoken) > 60 and spoken <= set(vocabulary()) | EDIT_WORDS
