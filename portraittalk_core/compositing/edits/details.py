"""How what a prompt asks for shall look: the colour and the width of a frame, dark lenses.

The text model knows glasses as round or square. What they are like besides is read here, and drawn.
"""

from __future__ import annotations

import re
from itertools import takewhile

from ...people.palette import CLOTHES, HAIR
from ...people.words import CLOTHES_WORDS, HAIR_WORDS, IRIS_WORDS, LIP_WORDS, STYLE_WORDS

OF_GLASSES = (
    "dark lenses",
    "thin rims",
    "thick rims",
    *(f"{name} rims" for name in (*CLOTHES.colours, "gold", "silver")),
)
"""What prompts say of glasses besides their shape."""

DYES = {
    "pink": (0.60, 0.17, 0.30),
    "blue": (0.05, 0.11, 0.38),
    "green": (0.06, 0.25, 0.08),
    "purple": (0.19, 0.055, 0.34),
    "orange": (0.56, 0.17, 0.03),
}
"""Colours of hair that nobody has from birth, in linear light."""

HAIR_COLOURS = {f"{name} hair": colour for name, colour in (HAIR | DYES).items()}
"""Colours of hair that are asked for, in linear light."""

_DYE_WORDS = {
    "pink": ("pink", "rose"),
    "blue": ("blue", "navy", "azure"),
    "green": ("green", "emerald"),
    "purple": ("purple", "violet", "lilac"),
    "orange": ("orange",),
}

HAIR_COLOUR_WORDS = {name: words for name, words in HAIR_WORDS.items() if name in HAIR} | _DYE_WORDS
"""The words for each of them."""

HAIRCUTS = {f"{name} cut": name for name in STYLE_WORDS if name != "bald"}
"""Haircuts that can be drawn, and their names among `people.hair.STYLES`."""

CLOTHES_COLOURS = {f"{name} clothes": colour for name, (colour, _) in CLOTHES.colours.items()}
"""Colours of clothes that are asked for, likewise."""

HAT_COLOURS = {f"{name} hat": colour for name, (colour, _) in CLOTHES.colours.items()}
"""Colours of hats, likewise."""

EYE_COLOURS = {
    "blue eyes": (0.15, 0.26, 0.40),
    "green eyes": (0.13, 0.20, 0.085),
    "grey eyes": (0.20, 0.235, 0.25),
    "hazel eyes": (0.17, 0.10, 0.035),
    "amber eyes": (0.30, 0.14, 0.02),
    "brown eyes": (0.08, 0.032, 0.014),
    "black eyes": (0.015, 0.011, 0.009),
    "purple eyes": (0.16, 0.10, 0.30),
    "red eyes": (0.34, 0.03, 0.02),
}
"""Colours of irises that are asked for, in linear light."""

LIP_COLOURS = {
    "red lips": (0.40, 0.018, 0.028),
    "pink lips": (0.58, 0.15, 0.23),
    "orange lips": (0.56, 0.13, 0.06),
    "brown lips": (0.19, 0.065, 0.042),
    "purple lips": (0.17, 0.035, 0.16),
    "black lips": (0.014, 0.011, 0.013),
}
"""Colours of lips that are asked for, likewise."""

DETAILS = (
    *OF_GLASSES,
    *EYE_COLOURS,
    *LIP_COLOURS,
    *HAIR_COLOURS,
    *HAIRCUTS,
    "cropped",
    "curls",
    "straight",
    "fringe",
    "square lenses",
    *CLOTHES_COLOURS,
    *HAT_COLOURS,
    "a garment",
    "clothes of no colour",
)
"""All that is read here."""

BEGINNINGS = frozenset(["a", "an", "the", "with", "and", "in", "of", "has", "wearing", "her", "his"])
"""Words that no description of a thing goes back beyond."""

_SHAPE = r"(?:,? (?!and\b|with\b)\w+){0,3}"
_CUTS = {
    "afro": r"\bafro\b",
    "bun": r"\b(bun|top ?knot)\b",
    "ponytail": r"\b(ponytail|tied back hair)\b",
    "bob": rf"\bbob\b|\bshoulder[ -]length{_SHAPE} hair\b",
    "wavy": rf"\b(long|flowing){_SHAPE} (wavy|curly|curled){_SHAPE} hair\b|\b(wavy|curly){_SHAPE} long{_SHAPE} hair\b"
    rf"|\bwavy{_SHAPE} hair\b|\bwaves\b",
    "curly": rf"\bcurly{_SHAPE} hair\b|\bcurls\b|\bhair is curly\b",
    "long": rf"\b(long|flowing){_SHAPE} hair\b|\bhair is (long|straight)\b",
    "buzz": rf"\bbuzz(ed)?\b|\b(very short|cropped|shaved){_SHAPE} hair\b|\bhair is (cropped|shaved)\b|\bcrew cut\b",
    "side": rf"\b(combed|parted){_SHAPE} hair\b|\bside part(ing)?\b",
    "short": rf"\bshort{_SHAPE} hair\b|\bhair is short\b|\bpixie\b|\bshort haircut\b",
}
"""In the order in which they are looked for."""

_GARMENTS = frozenset(
    [
        "suit",
        "blazer",
        "jacket",
        "hoodie",
        "sweatshirt",
        "dress",
        "turtleneck",
        "sweater",
        "pullover",
        "jumper",
        "blouse",
        "coat",
        "gown",
        "cardigan",
        "vest",
        "tuxedo",
        "uniform",
        "kimono",
        "robe",
        "raincoat",
    ]
)
_CLOTHES = _GARMENTS | frozenset(["shirt", "t-shirt", "tshirt", "tee", "top", "clothes", "clothing", "collar"])
_DRESSED = re.compile(
    r"\b(?:wearing|wears|dressed in|clothes (?:is|are)|in) ([a-z]+)\b"
    r"(?! \w*(?:hair|glasses|lipstick|lips|wall|background))"
)
_ALONE = frozenset(["blonde", "blond", "brunette", "ginger"])  # which speak of hair whatever follows
_EYES, _LIPS = r"eye[sd]?(?![ -]?(?:shadow|liner|patch|lashes|brows))", "lips|lipstick|lip gloss"
_FRAMES = frozenset(["frame", "frames", "rim", "rims", "framed", "rimmed"])
_LENSES = frozenset(["lens", "lenses"])
_HATS = frozenset(["hat", "beanie"])
_WORDS = {
    "dark lenses": "sunglasses dark tinted shaded mirrored",
    "thin rims": "thin fine wire delicate slim",
    "thick rims": "thick chunky bold heavy wide",
    "gold rims": "gold golden",
    "silver rims": "silver metal wire steel",
    "brown rims": "brown tortoiseshell tortoise horn chocolate",
}
_COLOURS = {f"{name} rims": frozenset(words) for name, words in CLOTHES_WORDS.items()}
_FRAME_WORDS = {
    name: frozenset(_WORDS.get(name, "").split()) | _COLOURS.get(name, frozenset()) - {"dark"} for name in OF_GLASSES
}
_SQUARE = re.compile(r"\b(square|rectangular)([ -][\w-]+){0,3} (glasses|spectacles|eyeglasses|sunglasses)\b")
_PAIRS = frozenset(["glasses", "spectacles", "eyeglasses", "sunglasses"])


def asked_details(prompt: str) -> set[str]:
    """Return which of `DETAILS` a prompt speaks of.

    Args:
        prompt: In lower case.
    """
    spoken = re.findall(r"[a-z]+", prompt)
    asked: set[str] = set()
    for place, word in enumerate(spoken):
        if word not in _PAIRS | _FRAMES | _LENSES:
            continue
        of_it = {word, *takewhile(lambda other: other not in BEGINNINGS, reversed(spoken[:place]))}
        said = {name for name, words in _FRAME_WORDS.items() if of_it & words}
        asked |= said & {"dark lenses"} if word in _LENSES else said - ({"dark lenses"} if word in _FRAMES else set())
    asked |= {"square lenses"} if _SQUARE.search(prompt) else set()
    return (
        asked | _of_the_face(prompt) | _hair_colour(prompt) | _haircut(prompt) | _clothes(prompt) | _hat_colour(spoken)
    )


def _of_the_face(prompt: str) -> set[str]:
    """Return the colours of eyes and of lips that a prompt names; lipstick is red where it names none."""
    asked: set[str] = set()
    for kind, things, table in (("eyes", _EYES, IRIS_WORDS), ("lips", _LIPS, LIP_WORDS)):
        found: list[tuple[int, str]] = []
        for name, words in table.items():
            said = "|".join(words)
            # Of "dark green eyes" the last word counts.
            pattern = rf"\b(?:{said})(?:[ -](?!and\b)\w+)?[ -](?:{things})\b|\b(?:{things}) (?:is|are) (?:{said})\b"
            found += [(seen.start(), name) for seen in re.finditer(pattern, prompt)]
        asked |= {f"{max(found)[1]} {kind}"} if found else set()
    if re.search(r"\blipstick\b", prompt) and not any(f"{name} lips" in asked for name in LIP_WORDS):
        asked.add("red lips")
    return asked


def _haircut(prompt: str) -> set[str]:
    """Return the haircut that a prompt names, how strictly, and whether it has a fringe."""
    said = {"fringe"} if re.search(r"\b(fringe|bangs)\b", prompt) else set[str]()
    said |= {word for word in ("cropped", "curls") if re.search(rf"\b{word}\b", prompt)}
    said |= {"straight"} if re.search(rf"\bstraight{_SHAPE} hair\b|\bhair is straight\b", prompt) else set()
    for name, pattern in _CUTS.items():
        if re.search(pattern, prompt):
            return said | {f"{name} cut"}
    return said


def _clothes(prompt: str) -> set[str]:
    """Return the colour of clothes that a prompt names, or that they have none, and whether it names a cut of them."""
    spoken = re.findall(r"[a-z-]+", prompt)
    said: set[str] = set()
    for place, word in enumerate(spoken):
        if word in _CLOTHES:
            said |= {word, *takewhile(lambda other: other not in BEGINNINGS, reversed(spoken[:place]))}
    colours = said | set(_DRESSED.findall(prompt))
    asked = {f"{name} clothes" for name, words in CLOTHES_WORDS.items() if colours & set(words)}
    asked |= {"clothes of no colour"} if said and not asked else set()
    return asked | ({"a garment"} if said & _GARMENTS else set())


def _hat_colour(spoken: list[str]) -> set[str]:
    """Return the colour of a hat that a prompt names."""
    said: set[str] = set()
    for place in (place for place, word in enumerate(spoken) if word in _HATS):
        said |= set(takewhile(lambda other: other not in BEGINNINGS, reversed(spoken[:place])))
    return {f"{name} hat" for name, words in CLOTHES_WORDS.items() if said & (set(words) - {"dark"})}


def _hair_colour(prompt: str) -> set[str]:
    """Return the colour of hair that a prompt names: of several, the one whose word is the longest and first."""
    found = [
        (-len(word), -(words.index(word) == 0), f"{name} hair")
        for name, words in HAIR_COLOUR_WORDS.items()
        for word in words
        if re.search(rf"\b{word}(,? \w+){{0,2}} hair\b|\bhair is( \w+ and)? {word}\b", prompt)
        or (word in _ALONE and re.search(rf"\b{word}\b", prompt))
    ]
    return {min(found)[2]} if found else set()
