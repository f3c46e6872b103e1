"""The words in which people are described: every value of every attribute, with its synonyms.

The first word of a value is spoken half of the time, the others share the rest. A word may stand for several values
("short hair" is `short` as well as `side`): what is meant then is all of them, see `meaning`.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

Table = dict[str, tuple[str, ...]]

_GREY = ("grey", "gray")
COLOURS: Table = {
    "black": ("black", "dark"),
    "white": ("white", "plain white"),
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
CLOTHES_WORDS: Table = {name: words for name, words in COLOURS.items() if name not in ("beige", "orange", "white")} | {
    "white": ("white",)
}
WALL_WORDS: Table = {name: words for name, words in COLOURS.items() if name != "pink"}
PLACE_WORDS: Table = {
    "room": ("in a room", "indoors", "at home", "in a living room"),
    "office": ("in an office", "at work", "indoors"),
    "bookshelf": ("in front of a bookshelf", "in a library", "in front of books"),
    "window": ("in front of a window", "next to a window", "by a window"),
    "park": ("in a park", "outdoors", "outside", "in front of trees", "in a garden", "in nature"),
    "street": ("on a street", "in a city", "outdoors", "outside"),
    "night": ("at night", "in front of city lights"),
    "brick wall": ("in front of a brick wall", "against a brick wall"),
    "curtain": ("in front of a curtain", "against a curtain"),
}
HAIR_WORDS: Table = {
    "black": ("black", "raven", "jet black", "dark"),
    "dark brown": ("dark brown", "brown", "brunette", "dark"),
    "brown": ("brown", "brunette", "chestnut", "light brown"),
    "blonde": ("blonde", "blond", "golden", "fair"),
    "red": ("red", "ginger", "auburn", "copper"),
    "grey": (*_GREY, "silver"),
    "white": ("white", "silver", "snowy"),
    "blue": ("blue", "navy"),
    "pink": ("pink",),
}
STYLE_WORDS: Table = {
    "bald": ("bald head", "shaved head", "no hair"),
    "buzz": ("buzz cut", "very short hair", "cropped hair"),
    "short": ("short hair", "cropped hair"),
    "side": ("short combed hair", "short hair", "side parting"),
    "curly": ("curly hair", "curls"),
    "afro": ("afro", "afro hair", "curly hair"),
    "bob": ("bob", "bob haircut", "bob cut", "shoulder length hair"),
    "long": ("long hair", "long straight hair", "flowing hair"),
    "wavy": ("long wavy hair", "wavy hair", "long hair"),
    "bun": ("hair in a bun", "bun", "hair bun", "top knot"),
    "ponytail": ("ponytail", "hair in a ponytail", "tied back hair"),
}
AGE_WORDS: Table = {
    "child": ("young", "little"),
    "teenage": ("teenage", "young"),
    "young": ("young", "youthful"),
    "middle aged": ("middle aged", "mature"),
    "old": ("old", "elderly", "aged", "older", "senior"),
}
GARMENT_WORDS: Table = {
    "t-shirt": ("t-shirt", "tee", "top", "shirt", "tshirt"),
    "v-neck": ("v-neck sweater", "sweater", "pullover", "top"),
    "shirt": ("shirt", "collared shirt", "blouse"),
    "turtleneck": ("turtleneck", "turtleneck sweater", "jumper"),
    "hoodie": ("hoodie", "sweatshirt", "hooded top"),
    "suit": ("suit", "jacket and tie", "blazer", "jacket"),
}
BEARD_WORDS: Table = {
    "none": ("clean shaven face", "no beard", "no facial hair"),
    "stubble": ("stubble", "light stubble", "short stubble"),
    "mustache": ("mustache", "moustache"),
    "goatee": ("goatee", "chin beard"),
    "beard": ("beard", "full beard", "bushy beard"),
}
FEELING_WORDS: Table = {
    "neutral": (
        "neutral expression", "calm", "neutral", "neutral face", "serious", "not smiling", "relaxed", "calm face",
    ),
    "smiling": (
        "smiling", "happy", "cheerful", "grinning", "laughing", "with a smile", "happy expression", "smiling face",
    ),
    "sad": ("sad", "unhappy", "sorrowful", "sad expression", "sad face", "with a sad look"),
    "surprised": (
        "surprised", "astonished", "shocked", "surprised expression", "amazed", "with raised eyebrows", "raised brows",
    ),
    "angry": ("angry", "frowning", "with a frown", "angry expression", "angry face", "furious", "annoyed", "grumpy"),
}  # fmt: skip
SKIN_WORDS: Table = {
    "pale": ("pale", "ivory", "porcelain"),
    "light": ("light", "fair"),
    "tan": ("tan", "tanned", "olive", "bronze"),
    "brown": ("brown",),
    "dark": ("dark", "black", "deep"),
}
EYE_WORDS: Table = {
    "brown": ("brown", "dark"),
    "blue": ("blue",),
    "green": ("green", "emerald"),
    "grey": _GREY,
    "hazel": ("hazel", "amber"),
}
LENS_WORDS: Table = {"round": ("round", "circular"), "square": ("square", "rectangular")}
EYEWEAR = ("glasses", "spectacles", "eyeglasses")
HAT_WORDS: Table = {"beanie": ("beanie", "knitted hat", "hat"), "cap": ("cap", "baseball cap", "hat")}
JEWEL_WORDS: Table = {"studs": ("earrings", "stud earrings"), "hoops": ("earrings", "hoop earrings", "hoops")}
SCENE_WORDS: Table = {
    "beach": ("beach", "sea", "seaside", "ocean", "shore", "coast", "seashore"),
    "snow": ("snow", "snowy", "snowing", "winter", "ski slope"),
    "mountains": ("mountains", "mountain", "alps", "hills"),
    "forest": ("forest", "woods", "woodland", "jungle"),
    "autumn": ("autumn", "autumnal"),
    "meadow": ("meadow", "field", "countryside", "flowers", "grass"),
    "desert": ("desert", "dunes"),
    "sky": ("sky", "clouds"),
    "sunset": ("sunset", "sunrise", "dusk", "dawn", "golden hour"),
    "space": ("in space", "outer space", "stars", "galaxy"),
    "kitchen": ("kitchen",),
    "cafe": ("cafe", "café", "restaurant", "bar", "pub", "coffee shop"),
    "classroom": ("classroom", "school", "blackboard", "chalkboard"),
    "stage": ("stage", "concert", "theatre", "theater", "nightclub"),
    "studio": ("in a studio", "in the studio", "studio background", "studio backdrop", "photo studio"),
    "hospital": ("hospital", "clinic", "corridor", "hallway"),
    "christmas": ("christmas", "xmas"),
}
"""Places that only prompts speak of: they are painted without the text model, see `scenery` and `interiors`."""

IRIS_WORDS: Table = {
    "blue": ("blue", "azure", "sapphire", "turquoise"),
    "green": ("green", "emerald"),
    "grey": ("grey", "gray", "silver"),
    "hazel": ("hazel",),
    "amber": ("amber", "golden", "gold", "yellow"),
    "brown": ("brown", "chestnut"),
    "black": ("black", "dark"),
    "purple": ("purple", "violet"),
    "red": ("red", "crimson"),
}
"""Colours that eyes are given; captions speak of those that people have."""
LIP_WORDS: Table = {
    "red": ("red", "scarlet", "crimson", "ruby", "cherry"),
    "pink": ("pink", "rose", "rosy"),
    "orange": ("orange", "coral", "peach"),
    "brown": ("brown", "nude"),
    "purple": ("purple", "violet", "plum", "burgundy"),
    "black": ("black",),
}
"""Colours of painted lips."""

EDIT_WORDS = frozenset(
    [
        *(word for table in (IRIS_WORDS, LIP_WORDS) for words in table.values() for word in words),
        *("eye", "eyed", "lip", "lips", "lipstick", "gloss"),
        *("dress", "gown", "coat", "cardigan", "vest", "tuxedo", "uniform", "kimono", "robe", "raincoat", "tie"),
        *(word for phrases in SCENE_WORDS.values() for phrase in phrases for word in phrase.split()),
        "sunglasses",
        "tinted",
        "shaded",
        "mirrored",
        "lens",
        "lenses",
        "frame",
        "frames",
        "rim",
        "rims",
        "framed",
        "rimmed",
        "thin",
        "fine",
        "wire",
        "delicate",
        "slim",
        "thick",
        "chunky",
        "bold",
        "heavy",
        "wide",
        "gold",
        "silver",
        "metal",
        "steel",
        "tortoiseshell",
        "tortoise",
        "horn",
        "sun",
    ]
)
"""Words of prompts that captions never speak: they are read and drawn without the text model."""

NOUNS: Table = {"male": ("man", "guy", "gentleman", "male"), "female": ("woman", "lady", "female")}
CHILD_NOUNS: Table = {"male": ("boy",), "female": ("girl",)}
NEUTRAL_NOUNS = ("person", "human", "face", "character", "adult", "avatar")
NEUTRAL_CHILD_NOUNS = ("child", "kid", "person")
PREFIXES = (
    "a photo of",
    "portrait of",
    "a portrait of",
    "photo of",
    "photograph of",
    "a photograph of",
    "a picture of",
    "picture of",
    "an image of",
    "a close up of",
    "headshot of",
    "a studio portrait of",
    "a video of",
    "a drawing of",
)
FILLERS = (
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
)
ABSENCE: dict[str, tuple[str, ...]] = {
    "glasses": EYEWEAR,
    "hat": ("hat", "cap"),
    "earrings": ("earrings", "jewelry"),
}
"""What an attribute of value `none` is without."""

TABLES: dict[str, Table] = {
    "sex": NOUNS,
    "age": AGE_WORDS,
    "skin": SKIN_WORDS,
    "eyes": EYE_WORDS,
    "hair": HAIR_WORDS,
    "style": STYLE_WORDS,
    "beard": BEARD_WORDS,
    "glasses": {"none": (), **{name: (*words, "") for name, words in LENS_WORDS.items()}},
    "hat": {"none": (), **HAT_WORDS},
    "earrings": {"none": (), **JEWEL_WORDS},
    "garment": GARMENT_WORDS,
    "clothes": CLOTHES_WORDS,
    "background": {**WALL_WORDS, **PLACE_WORDS},
    "expression": FEELING_WORDS,
}
"""Attribute to value to words, in the order in which they are spoken. Of glasses "" is no shape at all."""

VALUES: dict[str, tuple[str, ...]] = {name: tuple(table) for name, table in TABLES.items()}
"""Every attribute that can be spoken of and its values: those of drawn people, and what prompts know besides."""


_LINKS = (
    "a an and with wearing in front of against on dressed clothes not no the is are his her who has wears",
    "bald bearded clean shaven without facial hair parting skin eyes background backdrop wall",
)


def meaning(attribute: str, word: str, excluded: Iterable[str] = ()) -> str:
    """Return what a word says of an attribute: the value, or all values that it may be, joined by "|".

    Args:
        attribute: Of `TABLES`.
        word: As it stands in the table.
        excluded: Values that cannot be meant.
    """
    left_out = set(excluded)
    return "|".join(v for v, words in TABLES[attribute].items() if word in words and v not in left_out)


@functools.cache
def meanings(attribute: str) -> tuple[str, ...]:
    """Return everything that captions can say of an attribute, its values first."""
    table = TABLES[attribute]
    found = [meaning(attribute, word) for words in table.values() for word in words]
    if attribute == "age":  # "a young woman" is no child
        found += [meaning(attribute, word, ("child",)) for words in table.values() for word in words]
    return tuple(dict.fromkeys([*table, *(text for text in found if text)]))


@functools.cache
def vocabulary() -> tuple[str, ...]:
    """Return every word that captions can speak, hyphens split, in alphabetical order."""
    tables = (*TABLES.values(), CHILD_NOUNS, LENS_WORDS, ABSENCE)
    texts = [text for table in tables for words in table.values() for text in words]
    texts += [*EYEWEAR, *NEUTRAL_NOUNS, *NEUTRAL_CHILD_NOUNS, *PREFIXES, *FILLERS]
    texts += _LINKS
    return tuple(sorted({word for text in texts for word in text.replace("-", " ").split()}))


def with_article(phrase: str) -> str:
    """Return the phrase after "a" or "an"."""
    return f"{'an' if phrase[0] in 'aeiou' else 'a'} {phrase}"
