"""What a bank shows: a person in several appearances, as someone who speaks before a camera looks.

The first appearance is a short clip whose frames all know where their pixels lie in the first one. One picture has
another light and camera, for telling people apart; the others change what a prompt may change, in the same light.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from numpy.random import Generator

from ...people.actor import Actor
from ...people.arkit import ARKIT, INDEX, coefficients
from ...people.caption import age_word
from ...people.framing import frame_head
from ...people.motion import resting_blendshapes
from ...people.person import EXPRESSIONS, Person, draw_person, dress
from ...people.scene import Scene, draw_scene

EDITABLE = ("hair", "style", "background", "clothes", "beard", "glasses", "age")
"""The attributes that a prompt may change; everything else belongs to the person."""

FIELDS: dict[str, tuple[str, ...]] = {
    "hair": ("hair", "grey"),
    "style": ("style", "hairline", "fringe", "hat"),
    "background": ("background",),
    "clothes": ("clothes", "clothes_rgb", "garment", "pattern"),
    "beard": ("beard",),
    "glasses": ("glasses",),
}
"""The fields of `Person` that make up an attribute; age is more than a field."""

REDRAWN = (0.85, 0.25)
"""Chance that an attribute differs between two appearances, the one or the other: with large changes edits pay, with
small ones all else must stay."""

ALONE = {"beard": 0.2, "glasses": 0.2, "hair": 0.18, "style": 0.08, "clothes": 0.08, "background": 0.14, "age": 0.12}
"""Which attribute it is where only one differs, the smallest in the picture most often."""

_GROWN = ("young", "middle aged", "old")

ALONE_CHANCE = 0.5
"""Chance that only one attribute differs."""

_MOUTH = {
    "mouthFunnel": 0.8, "mouthPucker": 0.9, "mouthStretch": 0.8, "mouthSmile": 0.8, "mouthPress": 0.7,
    "mouthRollLower": 0.6, "mouthRollUpper": 0.5, "mouthUpperUp": 0.6, "mouthLowerDown": 0.8, "mouthFrown": 0.5,
    "mouthShrugLower": 0.5, "mouthShrugUpper": 0.4, "mouthDimple": 0.5,
}  # fmt: skip
_BROWS = {"browDown": 0.7, "browInnerUp": 0.8, "browOuterUp": 0.7, "cheekSquint": 0.5, "eyeSquint": 0.6, "eyeWide": 0.6}
_SIDEWAYS = {"mouthLeft": 0.4, "mouthRight": 0.4, "jawLeft": 0.3, "jawRight": 0.3, "jawForward": 0.3}


@dataclass(frozen=True)
class Shot:
    """A clip that is to be drawn."""

    person: Person
    """Who, with what is worn."""

    scene: Scene
    """Light, camera, background."""

    blendshapes: Float32[ndarray, "n 52"]
    """ARKit's actions of each frame, the expression added."""

    rotation: Float32[ndarray, "n 3"]
    """Yaw, pitch and roll in degrees."""

    expressions: tuple[str, ...]
    """Of each frame, in the words of captions."""

    framing: tuple[Float32[ndarray, "52"], Float32[ndarray, "3"]] | None = None
    """Blendshapes and rotation of the head that the camera frames; None is that of the first frame."""

    at_rest: Float32[ndarray, "n 52"] | None = None
    """What the face does in each frame but for the mouth, which is at rest; None where nobody asks."""

    facts: Mapping[str, ndarray] = field(default_factory=dict)
    """What else a bank keeps of each frame, by name."""


def draw_shots(seed: int, frames: int = 6, edited: int = 1, edits: int = 4) -> list[Shot]:
    """Draw everything that a bank shows of one person.

    Args:
        seed: From which all follows.
        frames: Of the first appearance.
        edited: Frames of each appearance with other attributes.
        edits: How many of those there are, at least one.

    Returns:
        The clip, the same person with other attributes, one frame in another light, and the rest of the edits.
    """
    rng = np.random.default_rng([seed, 41])
    person = draw_person(seed)
    scene = draw_scene(seed, person.background)
    first = draw_clip(rng, person, scene, frames)
    around = (first.blendshapes[0], first.rotation[0])
    others = [edit(rng, person) for _ in range(edits)]
    changed = [draw_clip(rng, p, replace(scene, background=p.background), edited, around) for p in others]
    relit = replace(person, expression="neutral")
    another_light = draw_clip(rng, relit, draw_scene(seed + 500_000_000, person.background), 1)
    return [first, changed[0], another_light, *changed[1:]]


def edit(rng: Generator, person: Person) -> Person:
    """Return the same person with another appearance.

    Args:
        rng: The source of chance.
        person: As first drawn.
    """
    if rng.random() < ALONE_CHANCE:
        name = str(rng.choice(list(ALONE), p=list(ALONE.values())))
        if name != "beard" or person.male > 0.5:
            return _changed(rng, person, {name}, surely=name)
    chance = REDRAWN[int(rng.random() < 0.5)]
    return _changed(rng, person, {name for name in EDITABLE if rng.random() < chance})


def _changed(rng: Generator, person: Person, names: set[str], surely: str | None = None) -> Person:
    """Take some attributes from a stranger of the same sex, about the same age; their own age becomes another."""
    if "age" in names and person.age > 19:
        other_ages = [word for word in _GROWN if word != age_word(person.age)]
        person = dress(person, {"age": str(rng.choice(other_ages))}, rng)
    other = person
    for _ in range(40):
        other = draw_person(int(rng.integers(1_000_000_000, 2_000_000_000)))
        fits = (other.male > 0.5) == (person.male > 0.5) and abs(other.age - person.age) < 25
        if fits and (surely in (None, "age") or getattr(other, surely) != getattr(person, surely)):
            break
    fields = {field: getattr(other, field) for name in names for field in FIELDS.get(name, ())}
    return replace(person, **fields)


def draw_clip(
    rng: Generator, person: Person, scene: Scene, frames: int, around: tuple[ndarray, ndarray] | None = None
) -> Shot:
    """Draw what a person does in some frames.

    Args:
        rng: The source of chance.
        person: Who, with what is worn.
        scene: Light, camera, background.
        frames: How many.
        around: Blendshapes and rotation of a frame that these belong to; None: the first one is a portrait of its own.
    """
    shapes: list[ndarray] = []
    turns: list[ndarray] = []
    moods: list[str] = []
    mood = person.expression
    for i in range(frames):
        first = i == 0 and around is None
        if not first and rng.random() < 0.3:
            mood = str(rng.choice(EXPRESSIONS, p=[0.5, 0.3, 0.1, 0.1]))
        centre = turns[0] if turns else around[1] if around else None
        shapes.append(
            np.clip(sample_expression(rng, first) + resting_blendshapes(replace(person, expression=mood)), 0, 1)
        )
        turns.append(sample_turn(rng, centre))
        moods.append(mood)
    for row in shapes:  # lips that roll in over a gap no jaw made turn inside out
        row[INDEX["mouthClose"]] = min(row[INDEX["mouthClose"]], row[INDEX["jawOpen"]])
    return Shot(person, scene, np.stack(shapes).astype(np.float32), np.stack(turns).astype(np.float32), tuple(moods))


def sample_turn(rng: Generator, centre: ndarray | None) -> ndarray:
    """Draw a head pose: a portrait's, or one as speech leaves it, which seldom goes far."""
    any_pose = np.clip(rng.normal(size=3) * [11, 6.5, 5], [-28, -16, -14], [28, 16, 14])
    if centre is None:
        return any_pose * (0.5 if rng.random() < 0.5 else 1.0)
    which = rng.random()
    if which < 0.3:
        return centre + rng.normal(size=3) * [0.7, 0.7, 0.4]
    if which < 0.75:
        return np.clip(centre + rng.normal(size=3) * [5, 3.5, 2.5], -30, 30)
    return any_pose


def sample_expression(rng: Generator, portrait: bool) -> Float32[ndarray, "52"]:
    """Draw mouth, lids, gaze and brows as in speech; a portrait's mouth is closed more often."""
    values: dict[str, float] = {}
    speaking = rng.random() > (0.6 if portrait else 0.1)
    if speaking:
        values["jawOpen"] = float(rng.beta(1.2, 2.0)) if rng.random() < 0.75 else 0.0
        if rng.random() < 0.25:
            values["mouthClose"] = values["jawOpen"] * float(rng.random())
        values |= {k: top * float(rng.random()) for k, top in _MOUTH.items() if rng.random() < 0.16}
        values |= {k: top * float(rng.random()) for k, top in _SIDEWAYS.items() if rng.random() < 0.04}
    lids = rng.random()
    if lids < (0.03 if portrait else 0.13):
        values["eyeBlink"] = 1.0
    elif lids < (0.1 if portrait else 0.3):
        values["eyeBlink"] = float(rng.random())
    values |= {k: top * float(rng.random()) for k, top in _BROWS.items() if rng.random() < 0.15}
    row = coefficients(values)
    if rng.random() < 0.3:  # the two sides of a face never do quite the same
        row = row * rng.uniform(0.75, 1.25, len(ARKIT)).astype(np.float32)
    side, up = rng.normal(size=2) * [0.3, 0.2] * (0.4 if portrait else 1.0)
    _look(row, float(np.clip(side, -1, 1)), float(np.clip(up, -1, 1)))
    return row


def _look(row: ndarray, side: float, up: float) -> None:
    """Turn both eyes, to the right of the picture and up where positive."""
    names = ("eyeLookOutLeft", "eyeLookInRight") if side > 0 else ("eyeLookInLeft", "eyeLookOutRight")
    names += ("eyeLookUpLeft", "eyeLookUpRight") if up > 0 else ("eyeLookDownLeft", "eyeLookDownRight")
    for name, value in zip(names, (side, side, up, up), strict=True):
        row[INDEX[name]] = max(row[INDEX[name]], abs(value))


def framed(actor: Actor, shot: Shot, size: int) -> Scene:
    """Return the scene with a camera that frames the shot's head as `perception.framing` does.

    What a finder of faces gets wrong is drawn as well: some pictures are a little larger or off the middle.

    Args:
        actor: The person, on the graphics side.
        shot: What is drawn.
        size: Side of the pictures in pixels.
    """
    rng = np.random.default_rng([shot.person.seed, shot.scene.seed % 1_000_003, 43])
    zoom, (right, down) = float(np.exp(rng.normal() * 0.07)), (rng.normal(size=2) * 0.035).tolist()
    blendshapes, rotation = shot.framing or (shot.blendshapes[0], shot.rotation[0])
    return frame_head(actor, shot.scene, blendshapes, rotation, size, zoom, (right, down))
