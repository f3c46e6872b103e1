"""Describe a person in a small grammar of English.

Captions of pictures and prompts of users are of one kind: a subject, phrases about what can be seen, now and then a
filler, in any order. What is left out is drawn as well: real captions never name everything.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from ..errors import BadInput
from .person import Person
from .words import (
    ABSENCE,
    AGE_WORDS,
    BEARD_WORDS,
    CHILD_NOUNS,
    CLOTHES_WORDS,
    EYE_WORDS,
    EYEWEAR,
    FEELING_WORDS,
    FILLERS,
    GARMENT_WORDS,
    HAIR_WORDS,
    HAT_WORDS,
    JEWEL_WORDS,
    LENS_WORDS,
    NEUTRAL_CHILD_NOUNS,
    NEUTRAL_NOUNS,
    NOUNS,
    PLACE_WORDS,
    PREFIXES,
    SKIN_WORDS,
    STYLE_WORDS,
    VALUES,
    WALL_WORDS,
    meaning,
    with_article,
)

_DRAWS = 256
"""Random numbers a caption may use; the longest uses about 130. One draw a caption is what makes it quick."""

_BELOW_A_HAT = ("bob", "long", "wavy")
"""Styles of hair that a hat does not hide."""

_SELDOM_ABSENT = {"glasses": 0.3, "hat": 0.1, "earrings": 0.1, "beard": 0.6}
"""How often `caption` speaks of what is not there, of the times at which it would speak of what is."""


@dataclass(frozen=True)
class Fragment:
    """A stretch of a caption."""

    text: str
    """Its words, with their leading comma or connective."""

    spoken: dict[str, str]
    """The attributes that are known once it is read, with what it says of them, see `words.meaning`."""


@dataclass(frozen=True)
class Caption:
    """A caption in its fragments, from which a text encoder can be supervised word by word."""

    fragments: tuple[Fragment, ...]
    """In the order of reading."""

    @property
    def text(self) -> str:
        """The whole caption."""
        return "".join(f.text for f in self.fragments)

    @property
    def spoken(self) -> dict[str, str]:
        """Every attribute that the caption states, with what it says of it."""
        return {name: value for f in self.fragments for name, value in f.spoken.items()}


def tags(person: Person) -> dict[str, str]:
    """Return what a picture of a person shows, attribute to value."""
    return {
        "sex": "male" if person.male > 0.5 else "female",
        "age": age_word(person.age),
        "hair": person.hair,
        "style": person.style,
        "beard": person.beard,
        "glasses": person.glasses,
        "hat": person.hat,
        "earrings": person.earrings,
        "garment": person.garment,
        "clothes": person.clothes,
        "background": person.background,
        "expression": person.expression,
    }


def age_word(years: float) -> str:
    """Return the key of `AGE_WORDS` for an age."""
    ends = ((13, "child"), (19, "teenage"), (38, "young"), (60, "middle aged"))
    return next((word for end, word in ends if years < end), "old")


def caption(person: Person, rng: Generator, share: float = 0.6) -> str:
    """Describe a person in lower case.

    Args:
        person: Who is drawn.
        rng: Draws what is spoken of, in which words and in which order.
        share: How often an attribute is spoken of.

    Returns:
        Something like "a photo of an old man with short grey hair, wearing round glasses, in front of a bookshelf".
    """
    known = tags(person)
    coins = rng.random(len(known)).tolist()
    chances = {n: share * (_SELDOM_ABSENT.get(n, 1.0) if v == "none" else 1.0) for n, v in known.items()}
    chances["sex"] = max(share, 0.8)
    spoken = {name for (name, chance), coin in zip(chances.items(), coins, strict=True) if coin < chance}
    return describe(known, rng, spoken)


def describe(tags: Mapping[str, str], rng: Generator, spoken: Collection[str]) -> str:
    """Describe a person of whom tags are known, in lower case.

    Everything that shall be spoken of is, but what cannot be seen: the colour of no hair, hair under a hat that hides
    it, the beard of women and children.

    Args:
        tags: Attribute to value, as `tags` returns them; those that are missing are not known.
        rng: Draws the words and their order.
        spoken: The attributes to speak of. Without "sex" the subject is a person.

    Raises:
        BadInput: For an unknown attribute or value.
    """
    return compose(tags, rng, spoken).text


def compose(tags: Mapping[str, str], rng: Generator, spoken: Collection[str]) -> Caption:
    """Describe a person as `describe` does, keeping what each fragment states.

    Args:
        tags: Attribute to value, as in `words.VALUES`.
        rng: Draws the words and their order.
        spoken: The attributes to speak of.

    Raises:
        BadInput: For an unknown attribute or value.
    """
    _check(tags, spoken)
    hidden = unseen(tags)
    wanted = {name: tags[name] for name in VALUES if name in tags and name in spoken and name not in hidden}
    return _Speaker(rng, tags).compose(wanted)


def unseen(tags: Mapping[str, str]) -> set[str]:
    """Return the attributes of which a picture shows nothing.

    Those are hair under a hat, its colour where there is none, and the beard of those who have none by nature.

    Args:
        tags: Attribute to value.
    """
    hidden: set[str] = set()
    if tags.get("hat", "none") != "none" and tags.get("style") not in _BELOW_A_HAT:
        hidden |= {"hair", "style"}
    if tags.get("style") == "bald":
        hidden.add("hair")
    if tags.get("beard") == "none" and (tags.get("sex") == "female" or tags.get("age") in ("child", "teenage")):
        hidden.add("beard")
    return hidden


def _check(tags: Mapping[str, str], spoken: Collection[str]) -> None:
    foreign = sorted({*tags, *spoken} - set(VALUES))
    if foreign:
        raise BadInput(f"`tags` must name known attributes, but got {', '.join(foreign)}. Known: {', '.join(VALUES)}.")
    for name, value in tags.items():
        if value not in VALUES[name]:
            raise BadInput(f"`{name}` must be one of {', '.join(VALUES[name])}, but got {value!r}.")


@dataclass(frozen=True)
class _Phrase:
    """What one attribute, or two that go together, is described by."""

    connective: str
    """ "with", "wearing" or nothing."""
    text: str
    spoken: dict[str, str]


class _Speaker:
    """Draws words; one object a caption."""

    def __init__(self, rng: Generator, tags: Mapping[str, str]) -> None:
        self.draws = iter(rng.random(_DRAWS).tolist())
        self.tags = tags
        self.owner = "the"

    def chance(self, probability: float) -> bool:
        return next(self.draws) < probability

    def among(self, items: Sequence[str]) -> str:
        return items[int(next(self.draws) * len(items))]

    def word(self, items: Sequence[str]) -> str:
        """Draw the first item half of the time."""
        return items[0] if self.chance(0.5) else self.among(items)

    def compose(self, wanted: Mapping[str, str]) -> Caption:
        rest = dict(wanted)
        head: list[Fragment] = []
        if not wanted or "sex" in wanted or self.chance(0.85):
            head = [self.head(rest)]
        phrases = [p for p in (self.phrase(name, rest) for name in list(rest)) if p is not None]
        if self.chance(0.15):
            phrases.append(_Phrase("", self.among(FILLERS), {}))
        order = sorted((next(self.draws), i) for i in range(len(phrases)))
        if self.chance(0.4):
            order = sorted((i, i) for i in range(len(phrases)))
        return Caption(tuple(self.joined(head, [phrases[i] for _, i in order])))

    def head(self, rest: dict[str, str]) -> Fragment:
        """Return "portrait of a smiling young person"; attributes spoken here are taken out of `rest`."""
        adjectives: list[str] = []
        spoken: dict[str, str] = {}
        if "expression" in rest and self.chance(0.2):
            spoken["expression"] = rest.pop("expression")
            adjectives.append(self.word([w for w in FEELING_WORDS[spoken["expression"]] if " " not in w]))
        aged = "age" in rest and self.chance(0.85)
        child = self.tags.get("age") == "child"
        noun = self.noun(rest, child, aged)
        if aged:
            age = rest.pop("age")
            if noun in ("boy", "girl", "child", "kid"):
                spoken["age"] = age
            if "age" not in spoken or self.chance(0.5):
                adjectives.append(self.word(AGE_WORDS[age]))
                grown = noun not in NEUTRAL_NOUNS or noun == "adult"
                spoken.setdefault("age", meaning("age", adjectives[-1], ("child",) if grown else ()))
        if (sex := rest.pop("sex", None)) is not None:
            spoken["sex"] = sex
            self.owner = self.among(("the", "his" if sex == "male" else "her"))
        if rest.get("style") == "bald" and self.chance(0.6):
            spoken["style"] = rest.pop("style")
            adjectives.append("bald")
        if rest.get("beard") in ("none", "beard") and self.chance(0.3):
            spoken["beard"] = rest.pop("beard")
            adjectives.append("bearded" if spoken["beard"] == "beard" else "clean shaven")
        text = with_article(" ".join([*adjectives, noun]))
        if self.chance(0.1):
            text = text.split(" ", 1)[1]
        return Fragment(f"{self.word(PREFIXES)} {text}" if self.chance(0.7) else text, spoken)

    def noun(self, rest: Mapping[str, str], child: bool, aged: bool) -> str:
        """Return what the person is called, telling neither sex nor childhood where these are not to be spoken of."""
        sex = rest.get("sex")
        if child and aged:
            return self.word(CHILD_NOUNS[sex] if sex else NEUTRAL_CHILD_NOUNS)
        if sex:
            return self.word(NOUNS[sex]) if not child else NOUNS[sex][-1]
        return self.word([noun for noun in NEUTRAL_NOUNS if not (child and noun == "adult")])

    def phrase(self, name: str, rest: Mapping[str, str]) -> _Phrase | None:
        """Return the phrase of one attribute, or None where another attribute's phrase speaks of it."""
        if name in ("hair", "style"):
            return self.hair(name, rest)
        if name in ("clothes", "garment"):
            return self.clothes(name, rest)
        value = rest[name]
        if name in ABSENCE:
            return self.worn(name, value)
        if name in ("skin", "eyes"):
            return self.part(name, value)
        if name == "expression":
            return _Phrase("", self.word(FEELING_WORDS[value]), {name: value})
        if name == "background":
            return self.place(value)
        if name == "beard":
            return self.beard(value)
        word = self.word(AGE_WORDS[value])
        text = word if self.chance(0.8) else f"the person is {word}"
        return _Phrase("", text, {"age": meaning("age", word)})

    def hair(self, name: str, rest: Mapping[str, str]) -> _Phrase | None:
        style, colour = rest.get("style"), rest.get("hair")
        if name == "hair" and style is not None:
            return None
        if style == "bald":
            text = self.word(STYLE_WORDS["bald"])
            phrase = text if text.startswith("no ") else with_article(text)
            return _Phrase("with", phrase, {"style": style}) if self.chance(0.6) else _Phrase("", "bald", {name: style})
        shade = self.word(HAIR_WORDS[colour]) if colour else ""
        spoken = {"hair": meaning("hair", shade)} if shade else {}
        if style is None:
            return self.said(f"hair is {shade}", spoken) or _Phrase("with", f"{shade} hair", spoken)
        text = self.word(STYLE_WORDS[style])
        spoken["style"] = meaning("style", text)
        if text == "side parting":
            return _Phrase("with", f"{shade} hair with a side parting".strip(), spoken)
        if text == "curls" or text.startswith("hair in"):
            return _Phrase("with", f"{shade} {text}".strip(), spoken)
        if text.endswith(" hair"):
            length = text.removesuffix(" hair")
            both = " and ".join(word for word in (length, shade) if word)
            phrase = " ".join(word for word in (length, shade, "hair") if word)
            return self.said(f"hair is {both}", spoken) or _Phrase("with", phrase, spoken)
        return _Phrase("with", with_article(f"{shade} {text}".strip()), spoken)

    def said(self, text: str, spoken: dict[str, str]) -> _Phrase | None:
        """Return, now and then, a phrase that is a sentence of its own."""
        return _Phrase("", f"{self.owner} {text}", spoken) if self.chance(0.1) else None

    def clothes(self, name: str, rest: Mapping[str, str]) -> _Phrase | None:
        garment, colour = rest.get("garment"), rest.get("clothes")
        if name == "clothes" and garment is not None:
            return None  # the garment's phrase speaks of both
        shade = self.word(CLOTHES_WORDS[colour]) if colour else ""
        spoken = {"clothes": meaning("clothes", shade)} if shade else {}
        if garment is None:
            if self.chance(0.3):
                return self.said(f"clothes are {shade}", spoken) or _Phrase("", f"dressed in {shade}", spoken)
            return _Phrase("wearing", self.word((shade, f"{shade} clothes")), spoken)
        thing = self.word(GARMENT_WORDS[garment])
        spoken["garment"] = meaning("garment", thing)
        sentence = self.said(f"{thing} is {shade}", spoken) if shade and " and " not in thing else None
        return sentence or _Phrase("wearing", with_article(f"{shade} {thing}".strip()), spoken)

    def worn(self, name: str, value: str) -> _Phrase:
        """Return a phrase about glasses, a hat or earrings."""
        if value == "none":
            thing = self.word(ABSENCE[name])
            form = self.among(("with no", "without", "not wearing"))
            article = "a " if name == "hat" and form != "with no" else ""
            if form == "with no":
                return _Phrase("with", f"no {thing}", {name: value})
            return _Phrase("", f"{form} {article}{thing}", {name: value})
        if name == "glasses":
            shape = self.word(LENS_WORDS[value]) if self.chance(0.65) else ""
            phrase = f"{shape} {self.word(EYEWEAR)}".strip()
            return _Phrase(self.among(("wearing", "wearing", "with")), phrase, {name: meaning(name, shape)})
        word = self.word((HAT_WORDS if name == "hat" else JEWEL_WORDS)[value])
        phrase = with_article(word) if name == "hat" else word
        return _Phrase(self.among(("wearing", "wearing", "with")), phrase, {name: meaning(name, word)})

    def beard(self, value: str) -> _Phrase:
        text = self.word(BEARD_WORDS[value])
        if value == "none" and self.chance(0.3):
            words = ("clean shaven", "without a beard", "without facial hair")
            return _Phrase("", self.among(words), {"beard": value})
        bare = text.startswith("no ") or text.endswith("stubble")
        return _Phrase("with", text if bare else with_article(text), {"beard": value})

    def part(self, name: str, value: str) -> _Phrase:
        """Return a phrase about skin or eyes."""
        word = self.word((SKIN_WORDS if name == "skin" else EYE_WORDS)[value])
        spoken = {name: meaning(name, word)}
        verb = "is" if name == "skin" else "are"
        return self.said(f"{name} {verb} {word}", spoken) or _Phrase("with", f"{word} {name}", spoken)

    def place(self, value: str) -> _Phrase:
        if value in PLACE_WORDS:
            text = self.word(PLACE_WORDS[value])
            return _Phrase("", text, {"background": meaning("background", text)})
        word, noun = self.word(WALL_WORDS[value]), self.word(("background", "backdrop", "wall"))
        spoken = {"background": meaning("background", word)}
        if self.chance(0.08):
            return _Phrase("", f"the {noun} is {word}", spoken)
        where = self.among(("", "", "in front of", "against", "on"))
        return _Phrase("", f"{where} {with_article(f'{word} {noun}')}" if where else f"{word} {noun}", spoken)

    def joined(self, head: list[Fragment], phrases: list[_Phrase]) -> Iterator[Fragment]:
        """Link phrases by commas, "and" and their connectives."""
        yield from head
        plain = self.chance(0.25)
        last, started = "", bool(head)  # `last` is "" only right after the head
        for phrase in phrases:
            link, connective, text = ", " if started else "", phrase.connective, phrase.text
            if plain and connective and not (connective == "wearing" and " " not in text):
                text = re.sub(r"^an? ", "", text)
            elif connective and connective == last:
                link = self.among((", ", " and "))
            elif connective:
                link = " " if head and not last and self.chance(0.6) else link
                who = started and self.chance(0.1)
                text = f"{_RELATIVE[connective] if who else connective} {text}"
            elif started and self.chance(0.1):
                link = " and "
            last, started = connective or ",", True
            yield Fragment(link + text, phrase.spoken)


_RELATIVE = {"with": "who has", "wearing": "who wears"}
