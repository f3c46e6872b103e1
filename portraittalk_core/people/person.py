"""Who is drawn: a person at random, and what can be said of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.random import Generator

from ..errors import BadInput
from .anatomy import load_anatomy
from .palette import CLOTHES, HAIR, PLACES, SCENES, WALLS, Colour

Local = tuple[tuple[str, float], ...]

STYLES: tuple[str, ...] = ("bald", "buzz", "short", "side", "curly", "afro", "bob", "long", "wavy", "bun", "ponytail")
BEARDS: tuple[str, ...] = ("none", "stubble", "mustache", "goatee", "beard")
GLASSES: tuple[str, ...] = ("none", "round", "square")
GARMENTS: tuple[str, ...] = ("t-shirt", "v-neck", "shirt", "turtleneck", "hoodie", "suit")
HATS: tuple[str, ...] = ("none", "beanie", "cap")
EARRINGS: tuple[str, ...] = ("none", "studs", "hoops")
EXPRESSIONS: tuple[str, ...] = ("neutral", "smiling", "sad", "surprised")
_NOT_BELOW_HATS = ("afro", "bun")
IRISES: tuple[str, ...] = ("brown", "dark", "hazel", "green", "blue", "grey")

AGES: dict[str, float] = {"child": 10.0, "teenage": 16.0, "young": 27.0, "middle aged": 48.0, "old": 72.0}
"""Years that stand for the words of captions."""

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "sex": ("female", "male"),
    "age": tuple(AGES),
    "hair": tuple(HAIR),
    "style": STYLES,
    "beard": BEARDS,
    "glasses": GLASSES,
    "hat": HATS,
    "earrings": EARRINGS,
    "garment": GARMENTS,
    "clothes": tuple(CLOTHES.colours),
    "background": (*WALLS, *PLACES),
    "expression": EXPRESSIONS,
}
"""What can be drawn on demand, attribute to values; the same words as in captions."""


@dataclass(frozen=True)
class Person:
    """A person who does not exist; everything that a picture shows of them besides motion, light and camera."""

    seed: int
    """Decides the details that no attribute names: freckles, strands, folds."""
    age: float = 30.0
    """Years, 6 to 90."""
    male: float = 0.1
    """0 is the female and 1 the male end of the shapes."""
    ancestry: tuple[float, float, float] = (0.0, 0.0, 1.0)
    """Shares of the African, Asian and Caucasian shapes; they sum to 1."""
    muscle: float = 0.5
    weight: float = 0.5
    local: Local = field(default=(), repr=False)
    """Strengths of single shapes of the face."""
    melanin: float = 0.25
    """How much melanin the skin holds, 0.05 (pale) to 1.5 (dark)."""
    blood: float = 0.35
    freckles: float = 0.0
    moles: float = 0.3
    oil: float = 0.9
    makeup: float = 0.0
    eyeliner: float = 0.0
    skin_texture: float = 0.0
    """Which of the optional skin textures, 0 to 1, where a folder of textures is given."""
    iris: str = "brown"
    hair: str = "brown"
    style: str = "short"
    hairline: float = 0.50
    fringe: bool = False
    grey: float = 0.0
    brow: float = 1.0
    """Thickness of the brows."""
    beard: str = "none"
    glasses: str = "none"
    hat: str = "none"
    earrings: str = "none"
    garment: str = "t-shirt"
    neckline: float | None = None
    """How far from the middle of the neck clothes begin, in decimetres of the template; None as the garment has it."""
    clothes: str = "grey"
    """Name of the colour of the garment."""
    clothes_rgb: Colour = (0.2, 0.2, 0.2)
    """Linear light."""
    pattern: int = 0
    """0 plain, 1 stripes, 2 checks, 3 heather."""
    background: str = "grey"
    """A plain colour or a place, of `palette.SCENES`."""
    expression: str = "neutral"


def draw_person(seed: int) -> Person:
    """Draw a person at random; the same seed gives the same person.

    Colours of skin, hair and eyes lean on ancestry only loosely, so that a model meets every combination.
    """
    rng = np.random.default_rng([seed, 18])
    ancestry = rng.dirichlet([0.4] * 3)
    pale = bool(ancestry[2] > 0.5)
    age = float(rng.choice([rng.uniform(8, 18), rng.uniform(18, 45), rng.uniform(45, 85)], p=[0.12, 0.53, 0.35]))
    male = float(np.clip(rng.choice([0.08, 0.92]) + rng.normal() * 0.08, 0, 1))
    man = male > 0.5
    adult_man = man and age > 17
    melanin = 1.05 * ancestry[0] + 0.34 * ancestry[1] + 0.17 * ancestry[2] + rng.normal() * 0.12
    hair = _hair(rng, age, pale)
    style = _style(rng, man, age, ancestry[0] > 0.5)
    hat = str(rng.choice(HATS, p=[0.93, 0.04, 0.03])) if style not in _NOT_BELOW_HATS else "none"
    clothes, clothes_rgb = CLOTHES.draw(rng)
    return Person(
        seed=seed,
        age=age,
        male=male,
        ancestry=(float(ancestry[0]), float(ancestry[1]), float(ancestry[2])),
        muscle=float(rng.uniform(0.3, 0.7)),
        weight=float(np.clip(rng.normal(0.5, 0.16), 0.12, 0.92)),
        local=draw_shape(rng),
        melanin=float(np.clip(melanin, 0.05, 1.4)),
        blood=float(rng.uniform(0.27, 0.46)),
        freckles=float(max(0.0, rng.normal(-0.15, 0.5)) * (melanin < 0.4)),
        moles=float(rng.uniform(0, 1)),
        oil=float(rng.uniform(0.5, 1.25)),
        makeup=0.0 if man or age < 16 else float(np.clip(rng.normal(0.2, 0.35), 0, 0.8)),
        eyeliner=0.0 if man or age < 16 else float(np.clip(rng.normal(0.1, 0.4), 0, 0.9)),
        skin_texture=float(rng.random()),
        iris=str(rng.choice(IRISES, p=[0.32, 0.06, 0.2, 0.12, 0.22, 0.08] if pale else [0.55, 0.4, 0.05, 0, 0, 0])),
        hair=hair,
        style=style,
        hairline=float(0.50 + rng.normal() * 0.04 + (0.12 * rng.random() if adult_man and age > 35 else 0)),
        fringe=bool(rng.random() < 0.35),
        grey=float(np.clip((age - 42) / 60 * rng.random() * 1.5, 0, 0.7)),
        brow=float(rng.uniform(0.75, 1.1) + 0.25 * man),
        beard=str(rng.choice(BEARDS, p=[0.42, 0.24, 0.08, 0.08, 0.18])) if adult_man else "none",
        glasses=str(rng.choice(GLASSES, p=[0.74, 0.12, 0.14])),
        hat=hat,
        earrings="none" if man else str(rng.choice(EARRINGS, p=[0.6, 0.22, 0.18])),
        garment=str(rng.choice(GARMENTS, p=[0.3, 0.14, 0.2, 0.12, 0.1, 0.14])),
        clothes=clothes,
        clothes_rgb=clothes_rgb,
        pattern=int(rng.choice(4, p=[0.55, 0.12, 0.1, 0.23])),
        background=SCENES.draw(rng),
        expression=str(rng.choice(EXPRESSIONS, p=[0.55, 0.25, 0.1, 0.1])),
    )


def check_attributes(tags: Mapping[str, str]) -> None:
    """Make sure that people can be drawn with these attributes.

    Args:
        tags: Attribute to value.

    Raises:
        BadInput: For an attribute or a value that `ATTRIBUTES` does not have.
    """
    for name, value in tags.items():
        if name not in ATTRIBUTES:
            raise BadInput(f"`tags` must name attributes of people, but got {name!r}. Known: {', '.join(ATTRIBUTES)}.")
        if value not in ATTRIBUTES[name]:
            raise BadInput(
                f"`{name}` must be one of {', '.join(ATTRIBUTES[name])}, but got {value!r}. Choose of these."
            )


def dress(person: Person, tags: Mapping[str, str], rng: Generator) -> Person:
    """Return the same person with attributes that are asked for; all else stays.

    What goes with an attribute follows it unless it is asked for too: another sex has another haircut, neither beard
    nor earrings nor make-up, age greys the hair, and what no hat is worn with gives way to it.

    Args:
        person: Who.
        tags: Attribute to value, as in `ATTRIBUTES`.
        rng: Draws what words leave open.

    Raises:
        BadInput: For an unknown attribute or value.
    """
    check_attributes(tags)
    changes: dict[str, Any] = {k: v for k, v in tags.items() if k not in ("sex", "age")}
    if "age" in tags:
        years = AGES[tags["age"]]
        changes = {"age": years, "grey": float(np.clip((years - 42) / 60, 0, 0.7)), **changes}
        changes = {**({"beard": "none"} if years < 17 else {}), **changes}
    if "sex" in tags and (tags["sex"] == "male") != (person.male > 0.5):
        style = _style(rng, tags["sex"] == "male", changes.get("age", person.age), person.ancestry[0] > 0.5)
        bare = {"beard": "none", "earrings": "none", "makeup": 0.0, "eyeliner": 0.0}
        changes = {"male": 1 - person.male, "style": style, **bare, **changes}
    if "hair" in tags:
        changes["grey"] = 0.0
    if "clothes" in tags:
        changes["clothes_rgb"] = CLOTHES.shade(tags["clothes"], rng)
    if tags.get("hat", "none") != "none" and changes.get("style", person.style) in _NOT_BELOW_HATS:
        changes["style"] = "short"
    return replace(person, **changes)


def _hair(rng: Generator, age: float, pale: bool) -> str:
    if age > 48 and rng.random() < (age - 42) / 40:
        return str(rng.choice(["grey", "white"]))
    names = [name for name in HAIR if name not in ("grey", "white")]
    chances = [0.14, 0.3, 0.2, 0.26, 0.1] if pale else [0.68, 0.24, 0.03, 0.03, 0.02]
    return str(rng.choice(names, p=chances))


def _style(rng: Generator, man: bool, age: float, african: bool) -> str:
    if man:
        styles = ["buzz", "short", "short", "short", "side", "side", "curly", "long"]
        styles += ["bald"] if age > 25 else []
        styles += ["bald", "buzz"] if age > 50 else []
    else:
        styles = ["bob", "long", "wavy", "side", "bun", "ponytail", "curly", "long", "wavy", "bob"]
        styles += ["short", "curly"] if age > 55 else []
    styles += ["afro", "buzz", "curly"] if african else []
    return str(rng.choice(styles))


_PAIRS = (("decr", "incr"), ("down", "up"), ("in", "out"), ("backward", "forward"), ("compress", "uncompress"))
_SHARE = {
    "asym": 0.45,
    "ears": 0.8,
    "neck": 0.4,
    "head": 0.55,
    "mouth": 0.36,
    "eyes": 0.5,
    "eyebrows": 0.35,
    "forehead": 0.5,
    "chin": 0.8,
}


def draw_shape(rng: Generator, strength: float = 0.26, asymmetry: float = 0.06) -> Local:
    """Draw strengths of the single shapes of a face.

    Shapes that are opposites of each other exclude each other; left and right go together up to `asymmetry`.

    Args:
        rng: The source of chance.
        strength: Standard deviation of a shape; 0.35 already gives caricatures.
        asymmetry: How far the two sides differ, as a share of `strength`.

    Returns:
        Pairs of shape and strength, 0 to 0.7.
    """
    stems: dict[str, dict[int, list[str]]] = {}
    for name in load_anatomy().local:
        shape, sign = stem(name)
        stems.setdefault(shape, {}).setdefault(sign, []).append(name)
    out: list[tuple[str, float]] = []
    for shape, signs in sorted(stems.items()):
        scale = strength * _SHARE.get(shape.split("/")[0], 1.0)
        value = float(np.clip(rng.normal() * scale, -0.7, 0.7))
        if len(signs) == 1:
            value = abs(value) * 0.4
        for name in signs.get(1 if value > 0 else -1, signs[min(signs)]):
            out.append((name, max(0.0, abs(value) + float(rng.normal()) * asymmetry * scale)))
    return tuple(out)


def stem(name: str) -> tuple[str, int]:
    """Return the name of a shape without its side and direction, and the direction (-1 or 1).

    Args:
        name: Of `anatomy.Anatomy.local`.
    """
    folder, leaf = name.split("/")
    shape = folder + "/" + (leaf[2:] if leaf[:2] in ("l-", "r-") else leaf)
    for lower, upper in _PAIRS:
        for sign, word in ((-1, lower), (1, upper)):
            if shape.endswith("-" + word):
                return shape[: -len(word)] + lower, sign
    return shape, 1
