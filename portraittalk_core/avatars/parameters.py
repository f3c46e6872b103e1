"""The numbers that describe an avatar picture, and samplers that draw them.

A picture is one row of `PARAMETERS`. Who the avatar is (`IDENTITY`), what can be edited about it (`ATTRIBUTES`),
what its face does (`EXPRESSION`), where the head is (`POSE`) and how it is lit (`LIGHT`) are separate blocks of
columns, so a clip is one row repeated with only the expression and pose columns varying.

Lengths are in head units: the face is about 0.8 wide and 1.05 tall, its middle is (0, 0), y points down.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ..errors import BadInput
from ..types import POSE as POSE_COLUMNS

IDENTITY: tuple[str, ...] = (
    *("face_width", "chin", "jaw_shape", "ear", "hairline", "fringe", "parting", "age", "freckles", "cheek"),
    *("eye_x", "eye_y", "eye_width", "eye_height", "eye_tilt", "iris", "lash"),
    *("brow_distance", "brow_thickness", "brow_arch", "brow_tilt"),
    *("nose_length", "nose_width", "nose_depth", "mouth_y", "mouth_width", "lip_upper", "lip_lower"),
    *("skin_r", "skin_g", "skin_b", "eye_r", "eye_g", "eye_b", "lip_r", "lip_g", "lip_b"),
)
"""Columns that say who the avatar is."""

ATTRIBUTES: tuple[str, ...] = (
    *("hair_r", "hair_g", "hair_b", "background_r", "background_g", "background_b"),
    *("clothes_r", "clothes_g", "clothes_b", "collar", "bokeh", "background_seed", "hair_seed"),
    *("style_short", "style_curly", "style_bob", "style_long", "style_bun"),
    *("beard_mustache", "beard_beard", "glasses_round", "glasses_square", "glasses_tone"),
)
"""Columns that a prompt may edit without changing who the avatar is."""

EXPRESSION: tuple[str, ...] = (
    *("jaw", "wide", "round", "press", "smile"),
    *("brow_raise", "brow_frown", "blink", "gaze_x", "gaze_y"),
)
"""Columns of the facial expression, those of `FaceMotion.coefficients`."""

POSE: tuple[str, ...] = POSE_COLUMNS
"""Columns of the head pose, those of `FaceMotion.pose`."""

LIGHT: tuple[str, ...] = ("light_x", "light_y", "light_strength", "light_warmth")
"""Columns of the light: where it comes from, how strong and how warm it is."""

PARAMETERS: tuple[str, ...] = IDENTITY + ATTRIBUTES + EXPRESSION + POSE + LIGHT
"""Names of all columns, in order."""

INDEX: dict[str, int] = {name: column for column, name in enumerate(PARAMETERS)}
"""Column of each name."""

AGES = {"young": 0.0, "middle aged": 0.55, "old": 1.0}
SKINS = {
    "pale": (1.00, 0.87, 0.78),
    "light": (0.97, 0.77, 0.62),
    "tan": (0.85, 0.62, 0.45),
    "brown": (0.66, 0.43, 0.29),
    "dark": (0.44, 0.28, 0.19),
}
EYES = {
    "brown": (0.36, 0.20, 0.09),
    "blue": (0.18, 0.42, 0.76),
    "green": (0.22, 0.52, 0.26),
    "grey": (0.46, 0.50, 0.54),
    "hazel": (0.58, 0.40, 0.14),
}
HAIRS = {
    "black": (0.07, 0.06, 0.07),
    "brown": (0.34, 0.20, 0.11),
    "blonde": (0.92, 0.75, 0.42),
    "red": (0.70, 0.26, 0.09),
    "grey": (0.68, 0.68, 0.70),
    "blue": (0.17, 0.32, 0.76),
    "pink": (0.93, 0.47, 0.64),
}
BACKGROUNDS = {
    "red": (0.78, 0.24, 0.22),
    "blue": (0.22, 0.42, 0.80),
    "green": (0.25, 0.60, 0.36),
    "yellow": (0.95, 0.82, 0.35),
    "purple": (0.50, 0.32, 0.70),
    "grey": (0.58, 0.60, 0.63),
    "white": (0.94, 0.94, 0.95),
    "orange": (0.95, 0.56, 0.22),
}
CLOTHES = {
    "red": (0.75, 0.15, 0.17),
    "blue": (0.16, 0.28, 0.64),
    "green": (0.14, 0.44, 0.27),
    "yellow": (0.93, 0.77, 0.25),
    "black": (0.10, 0.10, 0.12),
    "white": (0.92, 0.92, 0.93),
    "purple": (0.44, 0.22, 0.58),
}
STYLES = ("bald", "short", "curly", "bob", "long", "bun")
BEARDS = ("none", "mustache", "beard")
GLASSES = ("none", "round", "square")

TAGS: dict[str, tuple[str, ...]] = {
    "hair": tuple(HAIRS),
    "style": STYLES,
    "background": tuple(BACKGROUNDS),
    "clothes": tuple(CLOTHES),
    "beard": BEARDS,
    "glasses": GLASSES,
}
"""Values of the tags that `attributes_from_tags` takes."""

TAG_CHANCES: dict[str, tuple[float, ...]] = {"beard": (0.6, 0.2, 0.2), "glasses": (0.5, 0.25, 0.25)}

COLUMNS_OF_TAG: dict[str, tuple[str, ...]] = {
    "hair": ("hair_r", "hair_g", "hair_b"),
    "style": (*(f"style_{word}" for word in STYLES if word != "bald"), "hair_seed"),
    "background": ("background_r", "background_g", "background_b", "bokeh", "background_seed"),
    "clothes": ("clothes_r", "clothes_g", "clothes_b", "collar"),
    "beard": ("beard_mustache", "beard_beard"),
    "glasses": ("glasses_round", "glasses_square", "glasses_tone"),
}
"""The columns of `ATTRIBUTES` that belong to each tag."""

EXPRESSION_RANGES: dict[str, tuple[tuple[float, float], tuple[float, float], tuple[float, float]]] = {
    "neutral": ((-0.10, 0.15), (-0.15, 0.20), (0.0, 0.0)),
    "smiling": ((0.60, 1.00), (-0.10, 0.35), (0.0, 0.0)),
    "sad": ((-0.50, -0.32), (-0.10, 0.20), (0.0, 0.5)),
    "surprised": ((-0.05, 0.20), (0.75, 1.00), (0.0, 0.0)),
}
"""Ranges of smile, brow_raise and brow_frown of each expression: apart by enough to be told from a picture."""

EXPRESSION_CHANCES = (0.4, 0.3, 0.15, 0.15)


@dataclass(frozen=True)
class Traits:
    """A part of an avatar."""

    values: dict[str, float]
    """Numbers for some columns of `PARAMETERS`."""

    tags: dict[str, str] = field(default_factory=dict)
    """Attributes that a caption may speak of, with their values."""


def pack(*traits: Traits) -> Float[Tensor, " p"]:
    """Join traits to one row of `PARAMETERS`; of columns given twice the last counts.

    Args:
        *traits: Which give every column.

    Raises:
        BadInput: When a column is missing or unknown.
    """
    values: dict[str, float] = {}
    for part in traits:
        values |= part.values
    if values.keys() != INDEX.keys():
        wrong = ", ".join(sorted(values.keys() ^ INDEX.keys()))
        raise BadInput(
            f"`traits` must give every column of an avatar once, but got it wrong for: {wrong}. Add or rename."
        )
    return torch.tensor([values[name] for name in PARAMETERS], dtype=torch.float32)


def unpack(parameters: Float[Tensor, "b p"]) -> dict[str, Float[Tensor, " b"]]:
    """Split rows of parameters into a mapping from column name to column."""
    return {name: parameters[:, index] for name, index in INDEX.items()}


def column(parameters: Float[Tensor, "*rows p"], name: str) -> Float[Tensor, "*rows"]:
    """Return a view of one column, which may be written to."""
    return parameters[..., INDEX[name]]


def sample_identity(generator: Generator) -> Traits:
    """Draw who the avatar is: the columns `IDENTITY`; tags age, skin and eyes.

    A hidden coin makes features go together (full lips, thin brows and a narrow jaw, or the other way round), so
    that women's and men's faces both appear; nothing else depends on it.
    """
    soft = _chance(generator, 0.5)

    def draw(low: float, high: float, shift: float = 0.0) -> float:
        return _uniform(generator, low, high) + (shift if soft else 0.0)

    values = {
        "face_width": draw(0.385, 0.440, -0.010),
        "chin": draw(0.475, 0.545, -0.015),
        "jaw_shape": draw(2.30, 3.10, -0.35),
        "ear": draw(0.065, 0.090),
        "hairline": draw(-0.03, 0.04),
        "fringe": draw(0.6, 1.0) if _chance(generator, 0.35) else 0.0,
        "parting": draw(-0.22, 0.22),
        "freckles": draw(0.5, 1.0) if _chance(generator, 0.2) else 0.0,
        "cheek": draw(0.10, 0.45, 0.20),
        "eye_x": draw(0.155, 0.180),
        "eye_y": draw(-0.040, 0.015),
        "eye_width": draw(0.080, 0.095, 0.005),
        "eye_height": draw(0.046, 0.056, 0.006),
        "eye_tilt": draw(-0.06, 0.08, 0.04),
        "iris": draw(0.043, 0.050),
        "lash": draw(0.0, 0.25, 0.70),
        "brow_distance": draw(0.102, 0.120, 0.008),
        "brow_thickness": draw(0.015, 0.024, -0.006),
        "brow_arch": draw(0.012, 0.032, 0.010),
        "brow_tilt": draw(-0.22, -0.02),
        "nose_length": draw(0.155, 0.195, -0.008),
        "nose_width": draw(0.046, 0.066, -0.008),
        "nose_depth": draw(0.035, 0.070),
        "mouth_y": draw(0.290, 0.325),
        "mouth_width": draw(0.125, 0.152),
        "lip_upper": draw(0.019, 0.027, 0.008),
        "lip_lower": draw(0.026, 0.036, 0.008),
    }
    age, skin, eyes = (_pick(generator, tuple(words)) for words in (AGES, SKINS, EYES))
    values["age"] = AGES[age]
    tone = _tint(generator, SKINS[skin], 0.02)
    paint = _uniform(generator, 0.15, 0.75) if soft else _uniform(generator, 0.0, 0.15)
    bare = (tone[0] * 0.90, tone[1] * 0.62, tone[2] * 0.62)
    lips = tuple(b + (r - b) * paint for b, r in zip(bare, (0.78, 0.20, 0.26), strict=True))
    values |= _rgb("skin", tone) | _rgb("eye", _tint(generator, EYES[eyes], 0.03)) | _rgb("lip", lips)
    return Traits(values, {"age": age, "skin": skin, "eyes": eyes})


def sample_attributes(generator: Generator) -> Traits:
    """Draw hair, beard, glasses, clothes and background: the columns `ATTRIBUTES` and a tag for each of `TAGS`."""
    return attributes_from_tags({}, generator)


def attributes_from_tags(tags: Mapping[str, str], generator: Generator) -> Traits:
    """Build attributes that have the given tags; what the tags do not say is drawn.

    The draw uses the generator equally whatever the tags, so the same seed with one tag changed gives the same picture
    but for that.

    Args:
        tags: Keys and values as in `TAGS`, any subset.
        generator: Draws the rest.

    Raises:
        BadInput: When a key or a value is unknown.
    """
    for key, word in tags.items():
        if word not in TAGS.get(key, ()):
            known = ", ".join(TAGS.get(key, tuple(TAGS)))
            raise BadInput(f"`tags` must name known attributes, but got {key} = {word!r}. Known here: {known}.")
    drawn = {key: _pick(generator, words, TAG_CHANCES.get(key)) for key, words in TAGS.items()}
    chosen = drawn | dict(tags)
    values = dict.fromkeys(ATTRIBUTES, 0.0)
    values |= _rgb("hair", _tint(generator, HAIRS[chosen["hair"]], 0.015))
    values |= _rgb("background", _tint(generator, BACKGROUNDS[chosen["background"]], 0.03))
    values |= _rgb("clothes", _tint(generator, CLOTHES[chosen["clothes"]], 0.02))
    values["collar"] = float(_chance(generator, 0.5))
    values["bokeh"] = float(_chance(generator, 0.5))
    for name in ("background_seed", "hair_seed"):
        values[name] = _uniform(generator, 0.0, 6.28)
    values["glasses_tone"] = _uniform(generator, 0.0, 1.0)
    for key in ("style", "beard", "glasses"):
        name = f"{key}_{chosen[key]}"
        if name in values:
            values[name] = 1.0
    return Traits(values, chosen)


def mixed(changed: Traits, kept: Traits, keep: Collection[str]) -> Traits:
    """Return the attributes `changed`, but for the tags in `keep` everything that `kept` has of them.

    What is kept is kept to the last curl: tints and seeds as well as words.

    Args:
        changed: New attributes.
        kept: Attributes of which some stay.
        keep: Tags of those.
    """
    values = changed.values | {c: kept.values[c] for tag in keep for c in COLUMNS_OF_TAG[tag]}
    return Traits(values, changed.tags | {tag: kept.tags[tag] for tag in keep})


def sample_expression(generator: Generator) -> Traits:
    """Draw what a face does in one picture: the columns `EXPRESSION`; tag expression (see `EXPRESSION_RANGES`)."""
    word = _pick(generator, tuple(EXPRESSION_RANGES), EXPRESSION_CHANCES)
    smile, brow_raise, brow_frown = (_uniform(generator, *bounds) for bounds in EXPRESSION_RANGES[word])
    values = {
        "jaw": 0.0 if _chance(generator, 0.25) else _uniform(generator, 0.0, 1.0),
        "wide": _sometimes(generator, 0.5),
        "round": _sometimes(generator, 0.4),
        "press": _sometimes(generator, 0.15),
        "smile": smile,
        "brow_raise": brow_raise,
        "brow_frown": brow_frown,
        "blink": _sometimes(generator, 0.25),
        "gaze_x": _uniform(generator, -1.0, 1.0),
        "gaze_y": _uniform(generator, -1.0, 1.0),
    }
    if values["press"] > 0:
        values["jaw"] *= 0.15
    return Traits(values, {"expression": word})


def sample_pose(generator: Generator) -> Traits:
    """Draw a head pose within the range that the avatars are drawn for: the columns `POSE`, no tags."""
    bounds = {
        "yaw": (-0.35, 0.35),
        "pitch": (-0.25, 0.25),
        "roll": (-0.20, 0.20),
        "x": (-0.06, 0.06),
        "y": (-0.04, 0.04),
        "scale": (0.93, 1.07),
    }
    return Traits({name: _uniform(generator, *limits) for name, limits in bounds.items()})


def sample_light(generator: Generator) -> Traits:
    """Draw a light: the columns `LIGHT`, no tags."""
    bounds = {
        "light_x": (-0.7, 0.7),
        "light_y": (-0.8, -0.2),
        "light_strength": (0.35, 0.7),
        "light_warmth": (-1.0, 1.0),
    }
    return Traits({name: _uniform(generator, *limits) for name, limits in bounds.items()})


def _uniform(generator: Generator, low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _chance(generator: Generator, probability: float) -> bool:
    return _uniform(generator, 0.0, 1.0) < probability


def _sometimes(generator: Generator, probability: float) -> float:
    happens = _chance(generator, probability)
    amount = _uniform(generator, 0.1, 1.0)
    return amount if happens else 0.0


def _pick(generator: Generator, words: Sequence[str], chances: Sequence[float] | None = None) -> str:
    weights = torch.tensor(chances or [1.0] * len(words))
    return words[int(torch.multinomial(weights, 1, generator=generator))]


def _tint(generator: Generator, colour: Sequence[float], spread: float) -> tuple[float, ...]:
    return tuple(min(1.0, max(0.0, c + _uniform(generator, -spread, spread))) for c in colour)


def _rgb(name: str, colour: Sequence[float]) -> dict[str, float]:
    return {f"{name}_{channel}": float(value) for channel, value in zip("rgb", colour, strict=True)}
