"""Describe a person in a small grammar of English.

Every value has a first word, spoken half of the time, and synonyms that share the other half, so that a text encoder
learns them all. What is left out is drawn as well: real captions never name everything.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

from numpy.random import Generator

from .palette import PLACES
from .person import Person

_GREY = ("grey", "gray")
COLOURS: dict[str, tuple[str, ...]] = {
    "black": ("black", "dark"),
    "white": ("white",),
    "grey": _GREY,
    "blue": ("blue", "navy", "azure"),
    "red": ("red", "crimson", "scarlet"),
    "green": ("green", "emerald"),
    "yellow": ("yellow", "lemon"),
    "purple": ("purple", "violet", "lilac"),
    "brown": ("brown", "chocolate"),
    "pink": ("pink", "rose"),
    "beige": ("beige", "cream", "sand"),
    "orange": ("orange",),
}
HAIR_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("black", "raven", "jet black", "dark"),
    "dark brown": ("dark brown", "brown", "brunette", "dark"),
    "brown": ("brown", "brunette", "chestnut", "light brown"),
    "blonde": ("blonde", "blond", "golden", "fair"),
    "red": ("red", "ginger", "auburn", "copper"),
    "grey": (*_GREY, "silver"),
    "white": ("white", "silver", "snowy"),
}
STYLE_WORDS: dict[str, tuple[str, ...]] = {
    "bald": ("bald head", "shaved head", "no hair"),
    "buzz": ("buzz cut", "very short hair", "cropped hair"),
    "short": ("short hair", "cropped hair"),
    "side": ("short combed hair", "short hair", "side parting"),
    "curly": ("curly hair", "curls"),
    "afro": ("afro", "afro hair", "curly hair"),
    "bob": ("bob", "bob haircut", "shoulder length hair"),
    "long": ("long hair", "long straight hair", "flowing hair"),
    "wavy": ("long wavy hair", "wavy hair", "long hair"),
    "bun": ("hair in a bun", "bun", "top knot"),
    "ponytail": ("ponytail", "hair in a ponytail", "tied back hair"),
}
AGE_WORDS: dict[str, tuple[str, ...]] = {
    "child": ("young", "little"),
    "teenage": ("teenage", "young"),
    "young": ("young", "youthful"),
    "middle aged": ("middle aged", "mature"),
    "old": ("old", "elderly", "aged", "older"),
}
GARMENT_WORDS: dict[str, tuple[str, ...]] = {
    "t-shirt": ("t-shirt", "tee", "top", "shirt"),
    "v-neck": ("v-neck sweater", "sweater", "pullover", "top"),
    "shirt": ("shirt", "collared shirt", "blouse"),
    "turtleneck": ("turtleneck", "turtleneck sweater", "jumper"),
    "hoodie": ("hoodie", "sweatshirt", "hooded top"),
    "suit": ("suit", "jacket and tie", "blazer"),
}
BEARD_WORDS: dict[str, tuple[str, ...]] = {
    "none": ("clean shaven face", "no beard", "no facial hair"),
    "stubble": ("stubble", "light stubble", "short stubble"),
    "mustache": ("mustache", "moustache"),
    "goatee": ("goatee", "chin beard"),
    "beard": ("beard", "full beard", "bushy beard"),
}
FEELING_WORDS: dict[str, tuple[str, ...]] = {
    "neutral": ("neutral expression", "calm", "neutral face", "serious", "not smiling", "relaxed"),
    "smiling": ("smiling", "happy", "cheerful", "with a smile", "happy expression"),
    "sad": ("sad", "unhappy", "frowning", "sad expression", "with a frown"),
    "surprised": ("surprised", "astonished", "surprised expression", "amazed", "with raised eyebrows"),
}
PLACE_WORDS: dict[str, tuple[str, ...]] = {
    "room": ("in a room", "indoors", "at home", "in a living room"),
    "office": ("in an office", "at work", "indoors"),
    "bookshelf": ("in front of a bookshelf", "in a library", "in front of books"),
    "window": ("in front of a window", "next to a window"),
    "park": ("in a park", "outdoors", "in front of trees", "in a garden"),
    "street": ("on a street", "in a city", "outdoors"),
    "night": ("at night", "in front of city lights"),
    "brick wall": ("in front of a brick wall", "against a brick wall"),
    "curtain": ("in front of a curtain", "against a curtain"),
}
_EYEWEAR = ("glasses", "spectacles", "eyeglasses")
_LENSES: dict[str, tuple[str, ...]] = {"round": ("round", "circular"), "square": ("square", "rectangular")}
_HATS: dict[str, tuple[str, ...]] = {"beanie": ("beanie", "knitted hat", "hat"), "cap": ("cap", "baseball cap", "hat")}
_JEWELS: dict[str, tuple[str, ...]] = {"studs": ("earrings", "stud earrings"), "hoops": ("earrings", "hoop earrings")}
_PREFIX = (
    "a photo of",
    "portrait of",
    "a portrait of",
    "photo of",
    "a picture of",
    "a close up of",
    "headshot of",
    "a video of",
)
_NEUTRAL_NOUNS = ("person", "human", "face")
_FILLER = (
    "talking",
    "speaking",
    "looking at the camera",
    "talking to the camera",
    "soft light",
    "high quality",
    "sharp focus",
)
_SIDES = ("in front of a {} background", "against a {} wall", "{} background", "on a {} backdrop", "{} backdrop")


def tags(person: Person) -> dict[str, str]:
    """Return what a picture of a person shows, attribute to value."""
    return {
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
    return _Speaker(person, rng, share).speak()


class _Speaker:
    """Draws words; one object a caption."""

    def __init__(self, person: Person, rng: Generator, share: float) -> None:
        self._person, self._rng, self._share = person, rng, share

    def speak(self) -> str:
        phrases = [
            self._hair(),
            self._beard(),
            self._glasses(),
            self._extras(),
            self._clothes(),
            self._feeling(),
            self._place(),
        ]
        spoken = [p for p in phrases if p and self._chance(self._share)]
        if self._chance(0.15):
            spoken.append(self._word(_FILLER))
        order = self._rng.permutation(len(spoken))
        if self._chance(0.6):
            order = sorted(order)
        return ", ".join([self._head(), *(spoken[i] for i in order)])

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _word(self, words: Sequence[str]) -> str:
        """Draw the first word half of the time."""
        return words[0] if self._chance(0.5) else words[int(self._rng.integers(len(words)))]

    def _head(self) -> str:
        person, age = self._person, age_word(self._person.age)
        man = person.male > 0.5
        nouns = (
            ("boy",)
            if man and age == "child"
            else ("girl",)
            if age == "child"
            else ("man", "guy")
            if man
            else ("woman", "lady")
        )
        noun = self._word((*nouns, *_NEUTRAL_NOUNS[:1])) if self._chance(0.8) else self._word(_NEUTRAL_NOUNS)
        adjective = self._word(AGE_WORDS[age]) if self._chance(0.6) else ""
        phrase = with_article(f"{adjective} {noun}".strip())
        return f"{self._word(_PREFIX)} {phrase}" if self._chance(0.7) else phrase

    def _hair(self) -> str:
        person = self._person
        if person.hat != "none" and person.style not in ("bob", "long", "wavy"):
            return ""
        style = self._word(STYLE_WORDS[person.style])
        if person.style == "bald":
            return f"with {style}" if style.startswith("no ") else f"with {with_article(style)}"
        shade = self._word(HAIR_WORDS[person.hair])
        if self._chance(0.15):
            return f"with {shade} hair"
        if style.endswith("hair") or style == "curls":
            first, _, last = style.rpartition(" ")
            return f"with {first} {shade} {last}".replace("  ", " ").strip()
        if style.startswith("hair in"):
            return f"with {shade} {style}"
        return f"with {with_article(f'{shade} {style}')}"

    def _beard(self) -> str:
        if self._person.male <= 0.5:
            return ""
        text = self._word(BEARD_WORDS[self._person.beard])
        return f"with {text}" if text.startswith("no ") or text.endswith("stubble") else f"with {with_article(text)}"

    def _glasses(self) -> str:
        kind = self._person.glasses
        if kind == "none":
            return self._word(("without glasses", "no glasses")) if self._chance(0.3) else ""
        shape = f"{self._word(_LENSES[kind])} " if self._chance(0.6) else ""
        return f"{self._word(('wearing', 'with'))} {shape}{self._word(_EYEWEAR)}"

    def _extras(self) -> str:
        if self._person.hat != "none":
            return f"wearing {with_article(self._word(_HATS[self._person.hat]))}"
        return f"wearing {self._word(_JEWELS[self._person.earrings])}" if self._person.earrings != "none" else ""

    def _clothes(self) -> str:
        shade, thing = self._word(COLOURS[self._person.clothes]), self._word(GARMENT_WORDS[self._person.garment])
        if self._chance(0.2):
            return f"dressed in {shade}"
        return f"wearing {with_article(f'{shade} {thing}')}"

    def _feeling(self) -> str:
        return self._word(FEELING_WORDS[self._person.expression])

    def _place(self) -> str:
        name = self._person.background
        if name in PLACES:
            return self._word(PLACE_WORDS[name])
        return self._word(_SIDES).format(self._word(COLOURS[name]))


def with_article(phrase: str) -> str:
    """Return the phrase after "a" or "an"."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """Return every word that the grammar can speak, in alphabetical order."""
    tables = (
        COLOURS, HAIR_WORDS, STYLE_WORDS, AGE_WORDS, GARMENT_WORDS, BEARD_WORDS, FEELING_WORDS, PLACE_WORDS,
        _LENSES, _HATS, _JEWELS,
    )  # fmt: skip
    texts = [text for table in tables for words in table.values() for text in words]
    texts += [*_EYEWEAR, *_PREFIX, *_NEUTRAL_NOUNS, *_FILLER, *(side.format("") for side in _SIDES)]
    texts += ["a an with without no wearing dressed in hair boy girl man guy woman lady"]
    return tuple(sorted({word for text in texts for word in text.split()}))
