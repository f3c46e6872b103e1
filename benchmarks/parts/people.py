"""People, motions and voices that nothing was trained on, and what is true of them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from portraittalk_core.avatars import parameters as traits
from portraittalk_core.avatars.caption import caption
from portraittalk_core.avatars.landmarks import landmarks
from portraittalk_core.avatars.render import render
from portraittalk_core.checkpoints.native import ASSETS

FIRST_SEED = 1_000_000
"""Of the people; training draws below."""

FPS = 25.0
"""Frames a second of their clips."""

JUDGE = ASSETS / "judge.safetensors"
"""The network that says who a picture shows and what they wear."""

EDITS = ("background", "hair", "clothes", "glasses", "beard", "expression")
"""Attributes that the benchmark edits, one at a time; `expression` is edited to a smile."""


@dataclass(frozen=True)
class Subject:
    """One held-out person."""

    number: int
    """From 0."""

    reference: Tensor
    """The portrait that a model is given, [3, 256, 256] in [-1, 1]."""

    tags: dict[str, str]
    """What can be said of the portrait: attribute and word."""

    rows: Tensor
    """The renderer's parameters of a clip in the same appearance, [frames, p]."""

    enrolment: Tensor
    """Another picture of the person, in another appearance, by which the judge is to know them, [3, 256, 256]."""

    def truth(self) -> Tensor:
        """Render the true frames of the clip, [frames, 3, 256, 256] in [-1, 1]."""
        return torch.cat([render(part) for part in self.rows.split(8)])

    def landmarks(self) -> Tensor:
        """Compute the exact landmarks of the clip, [frames, 70, 2] in [-1, 1]."""
        return landmarks(self.rows)

    def column(self, name: str) -> Tensor:
        """Take what the clip commands of a coefficient or of the pose.

        Args:
            name: Of the renderer's parameter.

        Returns:
            [frames].
        """
        return traits.column(self.rows, name)

    def caption(self) -> str:
        """Say all that can be said of the person and the clip's appearance."""
        return caption(self.tags, torch.Generator().manual_seed(self.number), set(self.tags))

    def wearing(self, tag: str, word: str) -> Tensor:
        """Render the true picture of an edit.

        Args:
            tag: The attribute, one of `EDITS`.
            word: What it becomes.

        Returns:
            [1, 3, 256, 256] in [-1, 1].
        """
        row = self.rows[:1].clone()
        if tag == "expression":
            low, high = traits.EXPRESSION_RANGES[word][0]
            changed = {"smile": (low + high) / 2}
        else:
            known = {key: self.tags[key] for key in traits.TAGS}
            drawn = traits.attributes_from_tags({**known, tag: word}, torch.Generator().manual_seed(self.number))
            changed = drawn.values
        for name, value in {**dict.fromkeys(traits.EXPRESSION, 0.0), **changed}.items():
            row[:, traits.INDEX[name]] = value
        return render(row)

    def edit(self, tag: str, generator: torch.Generator) -> tuple[str, str]:
        """Draw what an edit asks for.

        Args:
            tag: The attribute, one of `EDITS`.
            generator: Of the draw.

        Returns:
            A word that differs from what the person wears, and a prompt that asks for it.
        """
        if tag == "expression":
            wanted = "smiling"
        else:
            words = [
                w for w in traits.TAGS[tag] if w != self.tags[tag] and not (tag in ("glasses", "beard") and w == "none")
            ]
            wanted = words[int(torch.randint(len(words), (), generator=generator))]
        return wanted, caption({**self.tags, tag: wanted}, generator, {tag})


def draw_subject(number: int, frames: int) -> Subject:
    """Draw a person and a clip in which everything moves smoothly and independently.

    Args:
        number: From 0; the same person and clip for the same number.
        frames: Of the clip.

    Returns:
        The person.
    """
    generator = torch.Generator().manual_seed(FIRST_SEED + number)
    person, light = traits.sample_identity(generator), traits.sample_light(generator)
    appearance, other = traits.sample_attributes(generator), traits.sample_attributes(generator)
    tags = {**person.tags, **appearance.tags}
    if tags["hair"] == other.tags["hair"]:
        other = traits.attributes_from_tags({"hair": "blue" if tags["hair"] != "blue" else "red"}, generator)
    calm = traits.Traits(dict.fromkeys(traits.EXPRESSION, 0.0), {"expression": "neutral"})
    reference = traits.pack(person, appearance, calm, _frontal(generator), light)
    enrolment = traits.pack(person, other, traits.sample_expression(generator), traits.sample_pose(generator), light)
    rows = reference.repeat(frames, 1)
    for name, (low, high) in _RANGES.items():
        rows[:, traits.INDEX[name]] = low + (high - low) * _wander(frames, generator)
    rows[:, traits.INDEX["blink"]] = _blinks(frames, generator)
    pictures = render(torch.stack([reference, enrolment]))
    return Subject(number, pictures[0], {**tags, "expression": "neutral"}, rows, pictures[1])


_RANGES = {
    "jaw": (0.0, 0.9),
    "wide": (0.0, 0.5),
    "round": (0.0, 0.4),
    "yaw": (-0.28, 0.28),
    "pitch": (-0.18, 0.18),
    "roll": (-0.14, 0.14),
    "x": (-0.03, 0.03),
    "y": (-0.02, 0.02),
    "gaze_x": (-0.5, 0.5),
}


def _frontal(generator: torch.Generator) -> traits.Traits:
    pose = traits.sample_pose(generator)
    return traits.Traits({k: v if k == "scale" else 0.4 * v for k, v in pose.values.items()})


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
