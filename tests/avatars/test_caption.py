"""The caption grammar: what it states, what it leaves out, and that its vocabulary is complete."""

import re

import pytest
import torch

from portraittalk_core.avatars.caption import ANY_GLASSES, VALUES, VOCABULARY, caption, compose
from portraittalk_core.errors import BadInput


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_tags(generator: torch.Generator) -> dict[str, str]:
    return {k: v[int(torch.randint(len(v), (), generator=generator))] for k, v in VALUES.items()}


def test_every_word_is_in_the_vocabulary_and_every_word_is_spoken():
    generator, seen = seeded(), set()
    for _ in range(4000):
        text = caption(random_tags(generator), generator)
        seen |= set(text.replace(",", " ").split())
        assert re.fullmatch(r"[a-z]+(,? [a-z]+)*", text), text
    assert seen == set(VOCABULARY)


def test_all_tags_are_spoken_unless_limited():
    generator = seeded(1)
    for _ in range(300):
        tags = random_tags(generator)
        expected = {k: v for k, v in tags.items() if not (k == "hair" and tags["style"] == "bald")}
        spoken = compose(tags, generator).spoken
        if spoken["glasses"] == ANY_GLASSES:
            expected["glasses"] = ANY_GLASSES
        assert spoken == expected


def test_mention_limits_what_is_spoken():
    tags = {"hair": "red", "style": "long", "clothes": "green", "background": "blue"}
    for seed in range(50):
        text = caption(tags, seeded(seed), mention={"hair"})
        assert re.search(r"\b(red|ginger|auburn|copper)\b", text)
        assert not re.search(r"long|flowing|shirt|green|background|blue", text)
        assert not re.search(r"red|ginger|auburn|copper", caption(tags, seeded(seed), mention={"style"}))
        assert compose(tags, seeded(seed), mention=()).spoken == {}


def test_hair_and_style_are_spoken_together():
    tags = {"hair": "pink", "style": "long"}
    texts = [caption(tags, seeded(seed)) for seed in range(60)]
    assert any("long pink hair" in text for text in texts)
    assert all(len(compose(tags, seeded(seed)).fragments) <= 3 for seed in range(60))


def test_bald_has_no_hair_colour():
    for seed in range(60):
        for mention in (None, {"hair"}, {"style"}):
            text = caption({"hair": "pink", "style": "bald"}, seeded(seed), mention)
            assert "pink" not in text
            assert re.search(r"bald|no hair|shaved head", text)


def test_absence_is_spoken():
    for seed in range(40):
        text = caption({"glasses": "none", "beard": "none"}, seeded(seed))
        assert re.search(r"(no|without|not wearing) (glasses|spectacles|eyeglasses)", text)
        assert re.search(r"clean shaven|no beard|without a beard|facial hair", text)


def test_the_generator_decides():
    tags = random_tags(seeded(3))
    assert caption(tags, seeded(5)) == caption(tags, seeded(5))
    assert len({caption(tags, seeded(seed)) for seed in range(40)}) > 30


def test_fragments_make_the_text():
    made = compose(random_tags(seeded(2)), seeded(9))
    assert "".join(f.text for f in made.fragments) == made.text == made.text.strip()


def test_unknown_names_are_refused():
    with pytest.raises(BadInput, match=r"`tags` must name known attributes, but got hat"):
        caption({"hat": "red"}, seeded())
    with pytest.raises(BadInput, match=r"`hair` must be one of .*, but got 'mauve'"):
        caption({"hair": "mauve"}, seeded())
