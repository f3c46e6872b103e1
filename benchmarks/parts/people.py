"""People, motions and voices that nothing was trained on, and what is true of them."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from portraittalk_core.evaluation.benchmark.people import Person, draw_person, rendered_order
from portraittalk_core.motion.arkit import blendshapes as blendshapes_of
from portraittalk_core.motion.arkit import to_arkit
from portraittalk_core.people.person import Person as Drawn
from portraittalk_core.people.points import Crowd
from portraittalk_core.topology import IBUG
from portraittalk_core.training.people.draw import edit

FIRST_SEED = 3_100_000_000
"""Of the people; training draws below, the people benchmark between."""

FPS = 25.0
"""Frames a second of their clips."""


@dataclass(frozen=True)
class Subject:
    """One held-out person."""

    person: Person
    """Who it is, at rest."""

    blendshapes: Tensor
    """What the face does in a clip in the same appearance, [frames, 52]."""

    rotation: Tensor
    """Yaw, pitch and roll of that clip as the renderer has them, degrees, [frames, 3]."""

    stranger: Drawn
    """The person in another appearance."""

    @property
    def number(self) -> int:
        """From 0."""
        return self.person.number

    @functools.cached_property
    def reference(self) -> Tensor:
        """The portrait that a model is given, [3, 256, 256] in [-1, 1]."""
        return self.person.portrait

    @functools.cached_property
    def enrolment(self) -> Tensor:
        """Another picture of the person, in another appearance, by which the judge is to know them, [3, 256, 256]."""
        smile, turn = blendshapes_of(mouthSmile=0.4, jawOpen=0.15)[None], torch.tensor([[9.0, -4.0, 2.0]])
        return self.person.show(smile, turn, self.stranger)[0]

    @functools.cached_property
    def clip(self) -> tuple[Tensor, Tensor]:
        """The true frames [frames, 3, 256, 256] and their exact landmarks [frames, 478, 2], both in [-1, 1]."""
        return self.person.film(self.blendshapes, self.rotation)

    def caption(self) -> str:
        """Say all that can be seen of the person."""
        return self.person.prompt


def draw_subject(number: int, frames: int) -> Subject:
    """Draw a person and a clip in which everything moves smoothly and independently.

    Args:
        number: From 0; the same person and clip for the same number.
        frames: Of the clip.

    Returns:
        The person.
    """
    generator, person = torch.Generator().manual_seed(FIRST_SEED + number), draw_person(number, FIRST_SEED)
    rng = np.random.default_rng([FIRST_SEED, number])
    other = edit(rng, person.drawn)
    while other.hair == person.drawn.hair:
        other = edit(rng, person.drawn)
    moved = {name: low + (high - low) * _wander(frames, generator) for name, (low, high) in _RANGES.items()}
    turns = [moved.pop(name) for name in ("yaw", "pitch", "roll")]
    moved["blink"] = _blinks(frames, generator)
    return Subject(person, to_arkit(moved), torch.stack(turns, 1), replace(other, expression="neutral"))


def far_points(drawn: Drawn, blendshapes: Tensor, rotation: Tensor) -> Tensor:
    """Return the exact points of a face that nobody draws, seen from far away.

    Args:
        drawn: Whose face it is.
        blendshapes: What it does, [frames, 52], columns as in `types.COEFFICIENTS`.
        rotation: Yaw, pitch and roll as the renderer has them, degrees, [frames, 3].

    Returns:
        iBUG's 68 points and the irises, [frames, 70, 2].
    """
    who = np.zeros(len(blendshapes), np.int64)
    world = Crowd([drawn]).world(who, rendered_order(blendshapes).numpy(), rotation.numpy())[:, list(IBUG), :2]
    return torch.from_numpy(world * np.float32([1, -1])).double()


_RANGES = {
    "jawOpen": (0.0, 0.72),
    "mouthStretch": (0.0, 0.25),
    "mouthPucker": (0.0, 0.44),
    "gaze_x": (-0.5, 0.5),
    "yaw": (-16.0, 16.0),
    "pitch": (-10.0, 10.0),
    "roll": (-8.0, 8.0),
}
"""Of ARKit's blendshapes and words of `motion.arkit.TO_ARKIT`, and of the head's angles in degrees."""


def _wander(frames: int, generator: torch.Generator) -> Tensor:
    """Return a smooth track that touches 0 and 1: three sines of 0.4 to 3 Hz."""
    time_s = torch.arange(frames) / FPS
    draw = torch.rand(3, 2, generator=generator)
    track = sum(torch.sin(2 * torch.pi * (f * (0.4 + 0.9 * a) * time_s + b)) for f, (a, b) in enumerate(draw, 1))
    assert isinstance(track, Tensor)
    return (track - track.min()) / (track.max() - track.min()).clamp(min=1e-6)


def _blinks(frames: int, generator: torch.Generator) -> Tensor:
    shape = torch.tensor([0.35, 0.9, 1.0, 1.0, 0.7, 0.4, 0.12])
    lid = torch.zeros(frames)
    at = int(torch.randint(3, 9, (), generator=generator))
    while at < frames - len(shape):
        lid[at : at + len(shape)] = shape
        at += len(shape) + int(torch.randint(6, 16, (), generator=generator))
    return lid
