"""Describe an avatar in a small grammar of English.

The grammar is the world of words of the tiny model: its text encoder knows exactly `VOCABULARY`. Every value has a
first word, spoken half of the time, and synonyms that share the other half, so that the model learns them all.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from ..errors import BadInput

T = TypeVar("T")

_DRAWS = 256
"""Random numbers a caption may use; the longest uses about 120. One tensor draw a caption is what makes it quick."""

_GREY = ("grey", "gray")
_PURPLE = ("purple", "violet", "lilac")
_RED = ("red", "crimson", "scarlet")
_BLUE = ("blue", "navy", "azure")
_GREEN = ("green", "emerald")
_YELLOW = ("yellow", "lemon")

WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "age": {
        "young": ("young", "youthful"),
        "middle aged": ("middle aged", "mature"),
        "old": ("old", "elderly", "aged"),
    },
    "skin": {
        "pale": ("pale", "ivory", "porcelain"),
        "light": ("light", "fair"),
        "tan": ("tan", "tanned", "olive", "bronze"),
        "brown": ("brown",),
        "dark": ("dark", "black", "deep"),
    },
    "eyes": {
        "brown": ("brown", "dark"),
        "blue": ("blue",),
        "green": ("green", "emerald"),
        "grey": _GREY,
        "hazel": ("hazel", "amber"),
    },
    "hair": {
        "black": ("black", "raven", "jet black", "dark"),
        "brown": ("brown", "brunette", "chestnut"),
        "blonde": ("blonde", "blond", "golden"),
        "red": ("red", "ginger", "auburn", "copper"),
        "grey": (*_GREY, "silver", "white"),
        "blue": ("blue", "navy"),
        "pink": ("pink",),
    },
    "background": {
        "red": _RED,
        "blue": _BLUE,
        "green": _GREEN,
        "yellow": _YELLOW,
        "purple": _PURPLE,
        "grey": _GREY,
        "white": ("white", "plain white"),
        "orange": ("orange",),
    },
    "clothes": {
        "red": _RED,
        "blue": _BLUE,
        "green": _GREEN,
        "yellow": _YELLOW,
        "black": ("black", "dark"),
        "white": ("white",),
        "purple": _PURPLE,
    },
    "glasses": {"round": ("round", "circular"), "square": ("square", "rectangular")},
}
"""How the value of an attribute is spoken where it is one adjective."""

_LENGTH = {"short": ("short", "cropped"), "curly": ("curly", "wavy"), "long": ("long", "flowing")}
_CUT = {"bob": ("bob", "bob haircut", "bob cut"), "bun": ("bun", "hair bun", "top knot")}
_GARMENTS = ("shirt", "sweater", "top", "jacket", "blouse", "pullover", "hoodie", "jumper", "tee")
_EYEWEAR = ("glasses", "spectacles", "eyeglasses")
_BALD = ("bald head", "no hair", "shaved head")
_BEARD = {
    "none": ("clean shaven face", "no beard", "no facial hair"),
    "mustache": ("mustache", "moustache"),
    "beard": ("beard", "full beard", "bushy beard"),
}
_FEELING = {
    "neutral": ("neutral expression", "neutral", "calm", "neutral face", "serious", "not smiling", "relaxed"),
    "smiling": ("smiling", "happy", "cheerful", "grinning", "with a smile", "happy expression", "smiling face"),
    "sad": ("sad", "unhappy", "frowning", "sad expression", "sad face", "sorrowful", "with a frown"),
    "surprised": ("surprised", "astonished", "shocked", "surprised expression", "amazed", "with raised eyebrows"),
}
_PREFIX = (
    "portrait of",
    "a portrait of",
    "a photo of",
    "photo of",
    "a picture of",
    "picture of",
    "an image of",
    "a close up of",
    "headshot of",
    "a studio portrait of",
    "a video of",
    "a drawing of",
)
_NOUN = ("person", "man", "woman", "lady", "guy", "gentleman", "human", "character", "avatar", "adult", "face")
_FILLER = (
    "talking",
    "speaking",
    "looking at the camera",
    "talking to the camera",
    "speaking to the viewer",
    "soft light",
    "studio light",
    "high quality",
    "very detailed",
    "sharp focus",
    "beautiful",
    "indoors",
)

VALUES: dict[str, tuple[str, ...]] = {
    "age": tuple(WORDS["age"]),
    "skin": tuple(WORDS["skin"]),
    "eyes": tuple(WORDS["eyes"]),
    "hair": tuple(WORDS["hair"]),
    "style": ("bald", "short", "curly", "bob", "long", "bun"),
    "background": tuple(WORDS["background"]),
    "clothes": tuple(WORDS["clothes"]),
    "beard": ("none", "mustache", "beard"),
    "glasses": ("none", "round", "square"),
    "expression": tuple(_FEELING),
}
"""Every attribute the grammar speaks of and the values it can have."""

ANY_GLASSES = "any"
"""What `Fragment.spoken["glasses"]` holds where glasses were spoken of without their shape."""


@dataclass(frozen=True)
class Fragment:
    """A stretch of a caption."""

    text: str
    """Its words, with their leading comma or connective."""

    spoken: dict[str, str]
    """The attributes that are known once it is read, with their values."""


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
        """Every attribute that the caption states, with its value."""
        return {name: value for f in self.fragments for name, value in f.spoken.items()}


def caption(tags: Mapping[str, str], generator: torch.Generator, mention: Collection[str] | None = None) -> str:
    """Describe an avatar in lower case.

    Hair colour and style are spoken together unless only one of them is mentioned; a bald head has no hair colour.
    The shape of glasses is sometimes left out.

    Args:
        tags: Attribute to value, as in `VALUES`.
        generator: Draws the words.
        mention: Attributes that may be spoken of; None: all.

    Raises:
        BadInput: For an unknown attribute or value.
    """
    return compose(tags, generator, mention).text


def compose(tags: Mapping[str, str], generator: torch.Generator, mention: Collection[str] | None = None) -> Caption:
    """Describe an avatar as `caption` does, keeping what each fragment states.

    Args:
        tags: Attribute to value, as in `VALUES`.
        generator: Draws the words.
        mention: Attributes that may be spoken of; None: all.

    Raises:
        BadInput: For an unknown attribute or value.
    """
    _check(tags, mention)
    wanted = {name: value for name, value in tags.items() if mention is None or name in mention}
    return _Speaker(generator, tags).compose(wanted)


class _Speaker:
    """Draws words; one object a caption. A phrase is (connective, text, spoken)."""

    def __init__(self, generator: torch.Generator, tags: Mapping[str, str]) -> None:
        self.draws = iter(torch.rand(_DRAWS, generator=generator, dtype=torch.float64).tolist())
        self.tags = tags

    def chance(self, probability: float) -> bool:
        return next(self.draws) < probability

    def among(self, items: Sequence[T]) -> T:
        return items[int(next(self.draws) * len(items))]

    def word(self, items: Sequence[str]) -> str:
        """Draw the first item half of the time."""
        return items[0] if self.chance(0.5) else self.among(items)

    def compose(self, wanted: dict[str, str]) -> Caption:
        rest = dict(wanted)
        head: list[Fragment] = []
        if not wanted or self.chance(0.85):
            head = [self.head(rest)]
        phrases = [p for p in (self.phrase(name, rest) for name in list(rest)) if p is not None]
        if self.chance(0.15):
            phrases.append(("", self.among(_FILLER), {}))
        shuffled = sorted((next(self.draws), i) for i in range(len(phrases)))
        return Caption(tuple(self.joined(head, [phrases[i] for _, i in shuffled])))

    def head(self, rest: dict[str, str]) -> Fragment:
        """Return "portrait of a smiling young person"; attributes spoken here are taken out of `rest`."""
        adjectives: list[str] = []
        spoken: dict[str, str] = {}
        if "expression" in rest and self.chance(0.2):
            spoken["expression"] = rest.pop("expression")
            plain = [w for w in _FEELING[spoken["expression"]] if " " not in w]
            adjectives.append(self.word(plain))
        if "age" in rest and self.chance(0.85):
            spoken["age"] = rest.pop("age")
            adjectives.append(self.word(WORDS["age"][spoken["age"]]))
        if rest.get("style") == "bald" and self.chance(0.6):
            spoken["style"] = rest.pop("style")
            rest.pop("hair", None)
            adjectives.append("bald")
        if rest.get("beard") in ("none", "beard") and self.chance(0.3):
            spoken["beard"] = rest.pop("beard")
            adjectives.append("bearded" if spoken["beard"] == "beard" else "clean shaven")
        bearded = self.tags.get("beard", "none") != "none"
        noun = self.among(("person", "man", "guy", "gentleman")) if bearded else self.word(_NOUN)
        text = with_article(" ".join([*adjectives, noun]))
        if self.chance(0.1):
            text = text.split(" ", 1)[1]
        return Fragment(f"{self.word(_PREFIX)} {text}" if self.chance(0.7) else text, spoken)

    def phrase(self, name: str, rest: Mapping[str, str]) -> tuple[str, str, dict[str, str]] | None:
        """Return the phrase of one attribute, or None where another attribute's phrase speaks of it."""
        if name in ("hair", "style"):
            return self.hair(name, rest)
        value = rest[name]
        spoken = {name: value}
        if name == "expression":
            return "", self.word(_FEELING[value]), spoken
        if name == "age":
            word = self.word(WORDS["age"][value])
            return ("", word, spoken) if self.chance(0.8) else ("", f"the person is {word}", spoken)
        if name == "beard":
            text = self.word(_BEARD[value])
            bare = text.startswith("no ")
            if value == "none" and self.chance(0.3):
                return "", self.among(("clean shaven", "without a beard", "without facial hair")), spoken
            return "with", text if bare else with_article(text), spoken
        if name == "glasses":
            return self.glasses(value)
        return self.coloured(name, self.word(WORDS[name][value]), spoken)

    def hair(self, name: str, rest: Mapping[str, str]) -> tuple[str, str, dict[str, str]] | None:
        style, colour = rest.get("style"), rest.get("hair")
        if self.tags.get("style") == "bald":
            if name == "hair" and style is not None:
                return None
            text = self.word(_BALD) if self.chance(0.6) else "bald"
            phrase = text if text.startswith("no ") else with_article(text)
            return ("", text, {"style": "bald"}) if text == "bald" else ("with", phrase, {"style": "bald"})
        if name == "hair" and style is not None:
            return None
        shade = self.word(WORDS["hair"][colour]) if colour else ""
        spoken = {k: v for k, v in (("style", style), ("hair", colour)) if v}
        if style in _CUT:
            cut = self.word(_CUT[style])
            if style == "bun" and self.chance(0.5):
                return "with", f"{shade} hair in {with_article(cut.removeprefix('hair '))}".strip(), spoken
            return "with", with_article(f"{shade} {cut}".strip()), spoken
        length = self.word(_LENGTH[style]) if style else ""
        if self.chance(0.1):
            shades = " and ".join(w for w in (length, shade) if w)
            return "", f"{self.among(('the', 'his', 'her'))} hair is {shades}", spoken
        noun = "curls" if style == "curly" and self.chance(0.15) else "hair"
        return "with", " ".join(w for w in (length if noun == "hair" else "", shade, noun) if w), spoken

    def glasses(self, value: str) -> tuple[str, str, dict[str, str]]:
        noun = self.word(_EYEWEAR)
        if value == "none":
            form = self.among(("with", "without", "not"))
            text = {"with": f"no {noun}", "without": f"without {noun}", "not": f"not wearing {noun}"}[form]
            return "with" if form == "with" else "", text, {"glasses": value}
        connective = self.among(("wearing", "wearing", "with"))
        if self.chance(0.25):
            return connective, noun, {"glasses": ANY_GLASSES}
        text = f"{self.word(WORDS['glasses'][value])} {noun}"
        return connective, text, {"glasses": value}

    def coloured(self, name: str, word: str, spoken: dict[str, str]) -> tuple[str, str, dict[str, str]]:
        """Return a phrase about skin, eyes, background or clothes."""
        said = self.chance(0.1)
        owner = self.word(("the", "his", "her"))
        if name == "skin":
            return ("", f"{owner} skin is {word}", spoken) if said else ("with", f"{word} skin", spoken)
        if name == "eyes":
            return ("", f"{owner} eyes are {word}", spoken) if said else ("with", f"{word} eyes", spoken)
        if name == "background":
            noun = self.word(("background", "backdrop", "wall"))
            if said:
                return "", f"the {noun} is {word}", spoken
            place = self.among(("", "", "in front of", "against", "on"))
            return "", f"{place} {with_article(f'{word} {noun}')}" if place else f"{word} {noun}", spoken
        garment = self.word(_GARMENTS)
        if said:
            return "", f"{owner} {garment} is {word}", spoken
        if self.chance(0.2):
            return self.among((("wearing", word, spoken), ("", f"dressed in {word}", spoken)))
        if self.chance(0.15):
            return "wearing", f"{word} clothes", spoken
        return "wearing", with_article(f"{word} {garment}"), spoken

    def joined(self, head: list[Fragment], phrases: list[tuple[str, str, dict[str, str]]]) -> Iterator[Fragment]:
        """Link phrases by commas, "and" and their connectives."""
        yield from head
        plain = self.chance(0.3)
        last, started = "", bool(head)  # `last` is "" only right after the head
        for connective, text, spoken in phrases:
            link = "" if not started else ", "
            if plain and connective and not (connective == "wearing" and " " not in text):
                text = re.sub(r"^an? ", "", text)
            elif connective and connective == last:
                link = self.among((", ", " and "))
            elif connective:
                link = " " if head and not last and self.chance(0.6) else link
                who = started and self.chance(0.1)
                text = f"{_relative(connective) if who else connective} {text}"
            elif started and self.chance(0.1):
                link = " and "
            last, started = connective or ",", True
            yield Fragment(link + text, spoken)


def _relative(connective: str) -> str:
    return {"with": "who has", "wearing": "who wears"}[connective]


def with_article(phrase: str) -> str:
    """Return the phrase after "a" or "an"."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


def _check(tags: Mapping[str, str], mention: Collection[str] | None) -> None:
    foreign = sorted({*tags, *(mention or ())} - set(VALUES))
    if foreign:
        raise BadInput(f"`tags` must name known attributes, but got {', '.join(foreign)}. Known: {', '.join(VALUES)}.")
    for name, value in tags.items():
        if value not in VALUES[name]:
            raise BadInput(f"`{name}` must be one of {', '.join(VALUES[name])}, but got {value!r}.")


def _vocabulary() -> tuple[str, ...]:
    spoken = [*_GARMENTS, *_EYEWEAR, *_BALD, *_PREFIX, *_NOUN, *_FILLER]
    for table in (*WORDS.values(), _LENGTH, _CUT, _BEARD, _FEELING):
        spoken += [word for words in table.values() for word in words]
    spoken += ["bald bearded clean shaven without facial hair his her the is are who has wears curls skin eyes"]
    spoken += ["background backdrop wall in front of against on dressed clothes and with wearing not no a an"]
    return tuple(sorted({word for text in spoken for word in text.split()}))


VOCABULARY: tuple[str, ...] = _vocabulary()
"""Every word the grammar can speak, in alphabetical order; the comma comes on top."""
