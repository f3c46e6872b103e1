"""Where in a picture a prompt's words act: glasses around the eyes, a beard below the nose, a place behind the head.

What a prompt does not speak of stays the photograph's, though the denoiser draws the whole picture anew.
"""

from __future__ import annotations

import re
from itertools import takewhile

import torch
from jaxtyping import Float
from torch import Tensor

from ...people.interiors import INDOORS
from ...people.palette import PLACES, WALLS
from ...people.words import PLACE_WORDS, SCENE_WORDS, WALL_WORDS
from ...topology import EYES
from .details import BEGINNINGS, DETAILS, EYE_COLOURS, HAIR_COLOUR_WORDS, LIP_COLOURS, asked_details

PAINTED = (*PLACES, *WALLS, *SCENE_WORDS)
"""Places and colours of walls that can be painted."""

REGIONS = (
    "older skin",
    "younger skin",
    "colour of the eyes",
    "colour of the lips",
    "hair",
    "long hair",
    "bald head",
    "knitted hat",
    "cap",
    "no hat",
    "earrings",
    "colour of the hair",
    "greying hair",
    "clothes",
    "shaven chin",
    "stubble",
    "mustache",
    "goatee",
    "beard",
    "no glasses",
    "round glasses",
    "square glasses",
    *(f"{name} background" for name in PAINTED),
    "background",
)
"""What prompts change in a picture, in the order of every tensor of regions and in that of the changes."""

ASKED = (*REGIONS, *DETAILS)
"""What prompts ask for: these, and how they are to look."""

_WORDS = {
    "older skin": "old older elderly aged senior",
    "younger skin": "young younger youthful",
    "square glasses": "glasses spectacles eyeglasses sunglasses",
    "stubble": "stubble",
    "mustache": "mustache moustache mustached moustached",
    "goatee": "goatee",
    "beard": "beard bearded",
    "bald head": "bald",
    "knitted hat": "hat beanie",
    "cap": "cap",
    "earrings": "earrings earring studs hoops",
    "hair": "afro bob bun ponytail curls buzz fringe bangs hairline parting",
    "colour of the hair": "blonde blond brunette ginger redhead",
    "clothes": "dressed clothes shirt t-shirt tee top sweater pullover jumper hoodie sweatshirt suit blazer jacket "
    "turtleneck blouse collar dress gown coat cardigan vest tuxedo uniform kimono robe raincoat",
    "background": "background backdrop wall front",
}
WORDS: dict[str, frozenset[str]] = {region: frozenset(words.split()) for region, words in _WORDS.items()}
"""Words that ask for another look of a region. Expressions are none: they move the face."""

_LONG = frozenset(["long", "flowing"])
_HAIRCUTS = frozenset(
    ["short", "curly", "wavy", "straight", "shaved", "cropped", "parted", "combed", "tied", "length", "shoulder-length"]
)
_HAIR_COLOURS = frozenset(word for words in HAIR_COLOUR_WORDS.values() for phrase in words for word in phrase.split())
_GLASSES = r"(glasses|spectacles|eyeglasses|sunglasses)"
_ROUND, _BARE = (
    re.compile(rf"\b(round|circular)([ -][\w-]+){{0,3}} {_GLASSES}"),
    re.compile(rf"\b(no|without)( \w+){{0,2}} {_GLASSES}"),
)
_BALD = re.compile(r"\bshaved head\b|\b(no|without)( any)? hair\b")
_MIDDLE_AGED = re.compile(r"\bmiddle[ -]aged\b")  # neither old nor young
_HATLESS = re.compile(r"\b(no|without)( (?!and\b|or\b|with\b|wearing\b)\w+){0,2} (hat|cap|beanie)\b")
_CHIN_BEARD = re.compile(r"\bchin beards?\b")
_SHAVEN = re.compile(r"shaven|\b(no|without)( an?)?( \w+)? (beard|mustache|moustache|goatee|stubble|facial hair)")

_ALSO = {
    "park": ("park", "trees", "nature", "garden"),
    "street": ("street", "city", "town", "road"),
    "night": ("night", "city lights"),
    "bookshelf": ("bookshelf", "bookshelves", "library", "books"),
    "brick wall": ("brick", "bricks"),
    "curtain": ("curtain", "curtains"),
    "office": ("office", "meeting room", "conference room"),
    "window": ("window",),
    "room": ("room", "home", "house", "apartment"),
}
"""Words of places besides those of captions."""

_OTHER_LIGHT = ("night", "autumn", "snow", "sunset")
"""Places that are rather what becomes of others under the sky: "a street at night", "a forest in autumn"."""

_RANKS = dict.fromkeys(_OTHER_LIGHT, 1) | dict.fromkeys((*INDOORS, "bookshelf", "brick wall", "curtain"), 2)
"""Which of several places counts where one of these is among them."""

_NOT_CLOTHES = frozenset(
    [
        *("lipstick", "makeup", "make-up", "eyeliner", "mascara", "eyeshadow", "shadow", "patch", "contacts"),
        *("crown", "tiara", "mask", "veil", "hijab", "headscarf", "turban", "helmet"),
        *("headphones", "earphones", "headset"),
        *("necklace", "necklaces", "jewelry", "jewellery", "ring", "watch", "tattoo", "tattoos"),
    ]
)
"""What is worn that is no clothes."""

_WORN = ("no glasses", "round glasses", "square glasses", "knitted hat", "cap", "no hat", "earrings")
_ON_HEADS = (*_WORN, "hair", "long hair")

_SOFT = 0.12
"""Width of the edges of regions, in distances of the eyes."""


def asked_regions(prompt: str) -> Float[Tensor, "asked"]:
    """Say which of `ASKED` a prompt asks for, 1 or 0 each.

    Args:
        prompt: In the words of captions.
    """
    text = _MIDDLE_AGED.sub("", prompt.lower().replace("-haired", " hair"))
    shaven = _SHAVEN.search(text)
    if shaven:
        text = text.replace(shaven[0], "")
    text = _BALD.sub("bald", _CHIN_BEARD.sub("goatee", text))
    hatless = _HATLESS.search(text)
    if hatless:
        text = text.replace(hatless[0], "")
    spoken = re.findall(r"[a-z-]+", text)
    words = set(spoken)
    asked = {region for region, known in WORDS.items() if words & known}
    place = _place(text)
    if place is not None:
        asked = asked - {"background"} | {f"{place} background"}
    if "square glasses" in asked and (_BARE.search(text) or _ROUND.search(text)):
        asked = asked - {"square glasses"} | {"no glasses" if _BARE.search(text) else "round glasses"}
    for at in (k for k, word in enumerate(spoken) if word == "hair"):
        of_it = set(takewhile(lambda word: word not in BEGINNINGS, reversed(spoken[:at])))
        of_it |= set(spoken[at + 2 : at + 5]) if spoken[at + 1 : at + 2] == ["is"] else set()
        asked |= {"hair"} if of_it & _HAIRCUTS and not of_it & _LONG else set()
        asked |= {"long hair"} if of_it & _LONG else set()
        asked |= {"colour of the hair"} if of_it & _HAIR_COLOURS else set()
    if hatless:
        asked.add("no hat")
    if shaven:
        asked.add("shaven chin")
    if "older skin" in asked and "colour of the hair" not in asked:
        asked.add("greying hair")
    if "wearing" in words and not asked & {*_ON_HEADS, "clothes"} and not words & _NOT_CLOTHES:
        asked.add("clothes")
    asked |= (details := asked_details(text))
    asked |= {"colour of the eyes"} if details & set(EYE_COLOURS) else set()
    asked |= {"colour of the lips"} if details & set(LIP_COLOURS) else set()
    return torch.tensor([float(name in asked) for name in ASKED])


def _place(text: str) -> str | None:
    """Return which place a prompt speaks of; of several, the last one that is known."""
    phrases = [(name, phrase) for name, known in (*PLACE_WORDS.items(), *_ALSO.items()) for phrase in known]
    phrases += [(name, phrase) for name, known in SCENE_WORDS.items() for phrase in known]
    phrases += [
        (name, f"{word} {noun}")
        for name, words in WALL_WORDS.items()
        for word in words
        for noun in ("background", "backdrop", "wall")
    ]
    found = [
        (_RANKS.get(name, 0), seen.end(), len(phrase), name)
        for name, phrase in phrases
        for seen in re.finditer(rf"\b{phrase}\b(?! hair)", text)
    ]
    if not any(name in _OTHER_LIGHT for *_, name in found):
        found = [(0, end, length, name) for _, end, length, name in found]
    return max(found)[3] if found else None


def region_maps(landmarks: Float[Tensor, "n 478 2"], size: int) -> Float[Tensor, "n regions size size"]:
    """Return where the regions of heads lie, in [0, 1].

    Args:
        landmarks: In [-1, 1].
        size: Side of the maps.
    """
    left, right = (landmarks[:, list(eye)].mean(1) for eye in EYES)
    across = right - left
    axis = (torch.arange(size, device=landmarks.device, dtype=landmarks.dtype) * 2 + 1) / size - 1
    grid = torch.stack([axis[None].expand(size, -1), axis[:, None].expand(-1, size)], -1)
    away = grid - ((left + right) / 2)[:, None, None]
    unit = across.square().sum(-1).clamp(min=1e-6)[:, None, None]
    right_of = (away * across[:, None, None]).sum(-1) / unit
    below = (away[..., 1] * across[:, None, None, 0] - away[..., 0] * across[:, None, None, 1]) / unit

    def box(sides: float, top: float, bottom: float) -> Tensor:
        return _soft(sides - right_of.abs()) * _soft(below - top) * _soft(bottom - below)

    def oval(middle: float, wide: float, high: float) -> Tensor:
        distance = (right_of / wide).square() + ((below - middle) / high).square()
        return _soft((1 - distance.clamp(min=1e-6).sqrt()) * min(wide, high))

    around = 1 - oval(0.75, 0.9, 1.2)
    # In distances of the eyes from between them: the mouth is 1.1 below, the chin 1.9, the cheeks 1.2 beside.
    return torch.stack(
        [
            oval(0.6, 1.2, 1.6),
            oval(0.6, 1.2, 1.6),
            box(1.2, -0.5, 0.6),
            box(1.4, 0.4, 2.4),
            *[around] * 9,
            _soft(below - 1.8),
            *[box(1.4, 0.4, 2.4)] * 5,
            *[box(1.5, -0.6, 0.8)] * 3,
            *[1 - oval(0.6, 1.1, 1.4)] * (len(PAINTED) + 1),
        ],
        1,
    )


def _soft(inside: Tensor) -> Tensor:
    return (inside / _SOFT + 0.5).clamp(0, 1)
