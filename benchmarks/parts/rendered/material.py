"""The true pictures of held-out people, drawn once and kept: a clip, and every edit in two poses."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from portraittalk_core import people as drawing
from portraittalk_core.evaluation.benchmark import people as benchmark
from portraittalk_core.evaluation.benchmark.people import Person, pose_of, resting
from portraittalk_core.media.image import from_bytes, to_bytes
from portraittalk_core.motion.arkit import blendshapes
from portraittalk_core.people.person import dress
from portraittalk_core.types import FaceMotion

from ..people import FIRST_SEED, FPS, Subject, draw_subject
from .wanted import Edit, edits_of

POSES = (({}, (0.0, 0.0, 0.0)), ({"jawOpen": 0.35, "mouthSmile": 0.2, "eyeLookOutLeft": 0.2}, (10.0, -3.0, 3.0)))
"""In which edits are looked at: at rest, as the portrait is, and turned with an open mouth."""


@dataclass(frozen=True)
class EditTruth:
    """What an edit should look like."""

    edit: Edit
    """What is asked for."""

    after: Float[Tensor, "poses 3 s s"]
    """The person so changed, in each of `POSES`."""

    shown: dict[str, Float[Tensor, "3 s s"]]
    """By word, the person at rest with it: the own word, those that obey, and others."""


@dataclass(frozen=True)
class Truth:
    """The true pictures of one person."""

    subject: Subject
    """Who."""

    clip: Float[Tensor, "f 3 s s"]
    """Everything moves; the first frame is the portrait, in [-1, 1]."""

    points: Float[Tensor, "f 478 2"]
    """Exact points of the clip, in pixels."""

    enrolment: Float[Tensor, "3 s s"]
    """Another picture of the person, otherwise dressed, by which they are to be known."""

    before: Float[Tensor, "poses 3 s s"]
    """The person as they are, in each of `POSES`."""

    edits: list[EditTruth]
    """What prompts change."""

    @property
    def portrait(self) -> Float[Tensor, "3 s s"]:
        """What the model is given."""
        return self.clip[0]

    @property
    def motion(self) -> FaceMotion:
        """The clip's motion, at rest in its first frame."""
        return clip_motion(self.subject)


def clip_motion(subject: Subject) -> FaceMotion:
    """Return what a person's clip commands, after one frame at rest.

    Args:
        subject: Who.
    """
    shapes, rotation = (torch.cat([torch.zeros_like(v[:1]), v]) for v in (subject.blendshapes, subject.rotation))
    return FaceMotion(shapes.float(), pose_of(rotation.float()), FPS)


def posed(added: Float[Tensor, "#poses 52"] | None = None) -> FaceMotion:
    """Return the motion of `POSES`.

    Args:
        added: An expression on top.
    """
    shapes = torch.cat([blendshapes(**values)[None] for values, _ in POSES])
    if added is not None:
        shapes = (shapes + added.cpu()).clamp(0, 1)
    return FaceMotion(shapes, pose_of(torch.tensor([turn for _, turn in POSES])), FPS)


def truth(number: int, frames: int, folder: Path) -> Truth:
    """Return the true pictures of a person, drawn where they are not kept.

    Args:
        number: From 0.
        frames: Of the clip that move.
        folder: Where pictures are kept.
    """
    subject = draw_subject(number, frames)
    asked = edits_of(subject.person)
    key = hashlib.sha256(str((drawn_by(), asked)).encode()).hexdigest()[:8]
    file = folder / f"{number}_{frames}_{key}.npz"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        arrays = {name: _levels(value) for name, value in _draw(subject, asked).items()}
        part = file.with_suffix(".part.npz")
        np.savez(part, **arrays)  # pyright: ignore[reportArgumentType]
        part.replace(file)
    with np.load(file) as kept:
        held = {name: _tensor(kept[name]) for name in kept.files}
    before = held["before"]
    edits = [
        EditTruth(e, held[f"{e.kind} after"], {word: held.get(f"{e.kind} {word}", before[0]) for word in e.words})
        for e in asked
    ]
    return Truth(subject, held["clip"], held["points"], held["enrolment"], before, edits)


@functools.cache
def drawn_by() -> str:
    """Name the renderer: another one, another name, so that pictures of two are never mixed."""
    digest = hashlib.sha256(str((FIRST_SEED, POSES)).encode())
    files = [Path(benchmark.__file__), *Path(drawing.__file__).parent.rglob("*")]
    for file in sorted(file for file in files if file.is_file() and file.suffix != ".pyc"):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _levels(value: Tensor) -> UInt8[np.ndarray, "..."]:
    return (to_bytes(value) if value.shape[-3:-2] == (3,) else value).numpy()


def _tensor(kept: np.ndarray) -> Tensor:
    value = torch.from_numpy(kept)
    return from_bytes(value) if value.dtype == torch.uint8 else value


def _draw(subject: Subject, asked: list[Edit]) -> dict[str, Tensor]:
    person, motion = subject.person, clip_motion(subject)
    rotation = torch.cat([torch.zeros(1, 3), subject.rotation.float()])
    pixels, points = person.film(motion.coefficients, rotation)
    size = pixels.shape[-1]
    drawn = {"clip": pixels, "points": ((points + 1) / 2 * size).float(), "enrolment": subject.enrolment}
    shapes, turns = posed().coefficients, torch.tensor([turn for _, turn in POSES])
    drawn["before"] = person.show(shapes, turns)
    for edit in asked:
        after = _wearing(person, edit.tag, edit.word, shapes, turns)
        drawn |= {f"{edit.kind} after": after, f"{edit.kind} {edit.word}": after[0]}
        for word in edit.words:
            if word not in (edit.own, edit.word):
                drawn[f"{edit.kind} {word}"] = _wearing(person, edit.tag, word, shapes[:1], turns[:1])[0]
    return drawn


def _wearing(person: Person, tag: str, word: str, shapes: Tensor, turns: Tensor) -> Float[Tensor, "n 3 s s"]:
    """Render a person with one attribute as a word has it, in the portrait's light."""
    worn = dress(person.drawn, {tag: word}, np.random.default_rng([FIRST_SEED + person.number, 100]))
    return person.show((shapes + resting(worn)).clamp(0, 1), turns, replace(worn, expression="neutral"))
