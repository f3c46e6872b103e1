"""The avatars benchmark: people, voices and sentences of fixed seeds that nothing was trained on, with their truth.

Every case is drawn from its two numbers alone, so that it is the same on every machine, whatever else is measured. The
voices are espeak-ng's, whose phoneme times give the true mouth; the true video is the avatar rendered with it. Head,
gaze, blinks and brows follow a process of our own, slow waves and a blink every two to five seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...avatars import parameters as traits
from ...avatars.caption import caption
from ...avatars.render import render
from ...types import COEFFICIENTS, POSE, SPEECH_RATE, FaceMotion, Sound
from ...voices.sentences import sentence
from ...voices.speech import HELD_OUT_VOICES, MOUTH, Phoneme, mouth_track, synthesise

FPS = 25.0
"""Frames a second of all clips."""

PEOPLE, SENTENCES, LONGEST_S = 64, 2, 5.0
"""The whole benchmark: its people, the sentences of each, and where a clip is cut at the latest, seconds."""

FIRST_PERSON = 30_000_000
"""Seeds from here on are the benchmark's: training draws below 10 000 000, other benchmarks below 30 000 000."""

SILENCE_S = (0.4, 0.6)
"""Seconds before and after the sentence, so that the mouth's rest can be judged."""

SHORTEST_S = 1.6
"""Sentences are drawn until one is spoken at least so long, as far as the cut allows."""

SWAY = {"yaw": 0.10, "pitch": 0.05, "roll": 0.04, "x": 0.015, "y": 0.010, "gaze_x": 0.15, "brow_raise": 0.10}
"""Largest stray from rest of what moves by itself, in the units of its column."""

_LID = (0.35, 0.9, 1.0, 1.0, 0.7, 0.4, 0.12)
_BLINK_AFTER_S = (2.0, 5.0)


@dataclass(frozen=True)
class AvatarCase:
    """One clip of the benchmark."""

    person: int
    """Number of the person, from 0."""

    take: int
    """Number of the person's sentence, from 0."""

    longest_s: float = LONGEST_S
    """Where the clip is cut at the latest, seconds."""

    @property
    def name(self) -> str:
        """Its name in tables and files."""
        return f"p{self.person:03d}_s{self.take}"

    @property
    def seed(self) -> int:
        """Seed of noise and motion for whoever makes this clip."""
        return FIRST_PERSON + 1000 * self.person + self.take


@dataclass(frozen=True)
class Person:
    """One person of the benchmark."""

    number: int
    """From 0."""

    row: Float[Tensor, "p"]
    """The renderer's parameters at rest, frontal."""

    tags: dict[str, str]
    """What can be said of the portrait: attribute and word."""

    @property
    def portrait(self) -> Float[Tensor, "3 256 256"]:
        """The picture that a model is given, in [-1, 1]."""
        return render(self.row[None])[0]

    @property
    def prompt(self) -> str:
        """A caption that says all that can be said of the portrait."""
        return caption(self.tags, torch.Generator().manual_seed(self.number), set(self.tags))


@dataclass(frozen=True)
class Take:
    """What a clip shows and sounds like."""

    sound: Sound
    """The speech, mono, 16 kHz."""

    rows: Float[Tensor, "frames p"]
    """The renderer's parameters of every frame."""

    voice: str
    """Of espeak-ng."""

    @property
    def motion(self) -> FaceMotion:
        """The true motion as a model takes it: coefficients absolute, the pose relative to rest."""
        coefficients = torch.stack([traits.column(self.rows, name) for name in COEFFICIENTS], -1)
        pose = torch.stack([traits.column(self.rows, name) for name in POSE], -1)
        rest = self.rows.new_tensor([0.0, 0.0, 0.0, *(float(traits.column(self.rows, n)[0]) for n in POSE[3:])])
        offsets = torch.cat([pose[:, :5] - rest[:5], pose[:, 5:] / rest[5]], -1)
        return FaceMotion(coefficients, offsets, FPS)


def draw_person(number: int) -> Person:
    """Draw a person of the benchmark, frontal and at rest.

    Args:
        number: From 0; the same person for the same number.

    Returns:
        The person.
    """
    generator = torch.Generator().manual_seed(FIRST_PERSON + 1000 * number + 999)
    person, light = traits.sample_identity(generator), traits.sample_light(generator)
    appearance = traits.sample_attributes(generator)
    calm = traits.Traits(dict.fromkeys(traits.EXPRESSION, 0.0), {"expression": "neutral"})
    frontal = traits.Traits({**dict.fromkeys(traits.POSE, 0.0), "scale": 1.0})
    row = traits.pack(person, appearance, calm, frontal, light)
    return Person(number, row, {**person.tags, **appearance.tags, **calm.tags})


def draw_take(case: AvatarCase) -> Take:
    """Draw what a case says and how the person moves.

    Args:
        case: The clip.

    Returns:
        The take.

    Raises:
        MissingExtra: When there is no espeak-ng.
    """
    generator = torch.Generator().manual_seed(case.seed)
    voice = HELD_OUT_VOICES[int(torch.randint(len(HELD_OUT_VOICES), (), generator=generator))]
    samples, phonemes = _speech(voice, case.longest_s, generator)
    frames = max(2, round(len(samples) / SPEECH_RATE * FPS))
    rows = draw_person(case.person).row.repeat(frames, 1)
    track = mouth_track(phonemes, FPS, frames / FPS)
    for name, values in zip(MOUTH, track.unbind(-1), strict=True):
        traits.column(rows, name).copy_(values)
    for name, size in SWAY.items():
        traits.column(rows, name).add_(size * _wander(frames, generator))
    traits.column(rows, "blink").copy_(_blinks(frames, generator))
    return Take(Sound(samples[None], SPEECH_RATE), rows, voice)


def _speech(voice: str, longest_s: float, generator: torch.Generator) -> tuple[Tensor, list[Phoneme]]:
    """Return a sentence between two silences and its phonemes, cut at `longest_s`."""
    rate = 120 + int(torch.randint(80, (), generator=generator))
    pitch = 20 + int(torch.randint(60, (), generator=generator))
    room_s = longest_s - sum(SILENCE_S)
    spoken, phonemes = torch.zeros(0), []
    while len(spoken) < min(SHORTEST_S, room_s) * SPEECH_RATE:
        spoken, phonemes = synthesise(sentence(voice.split("+")[0], generator), voice, rate, pitch)
    spoken = spoken[: max(1, int(room_s * SPEECH_RATE))]
    spoken = spoken / spoken.abs().max().clamp(min=1e-3) * 0.9
    first, last = (torch.zeros(int(s * SPEECH_RATE)) for s in SILENCE_S)
    start_s, end_s = SILENCE_S[0], SILENCE_S[0] + len(spoken) / SPEECH_RATE
    moved = [Phoneme(p.symbol, p.start_s + start_s, min(p.end_s + start_s, end_s)) for p in phonemes]
    kept = [p for p in moved if p.end_s > p.start_s]
    around = [Phoneme("", 0.0, start_s), *kept, Phoneme("", end_s, end_s + SILENCE_S[1])]
    return torch.cat([first, spoken, last]), around


def _wander(frames: int, generator: torch.Generator) -> Float[Tensor, "frames"]:
    """Return a slow track within -1 to 1 that begins at 0: two sines of 0.1 to 0.5 Hz."""
    time_s = torch.arange(frames) / FPS
    speed, phase = 0.1 + 0.4 * torch.rand(2, generator=generator), 2 * math.pi * torch.rand(2, generator=generator)
    waves = torch.sin(2 * math.pi * speed[:, None] * time_s + phase[:, None]).mean(0)
    return (waves - waves[0]) / 2


def _blinks(frames: int, generator: torch.Generator) -> Float[Tensor, "frames"]:
    lid = torch.zeros(frames)
    low, high = _BLINK_AFTER_S
    at = int(FPS * (0.5 + (high - 0.5) * float(torch.rand((), generator=generator))))
    while at < frames:
        part = lid[at : at + len(_LID)]
        part.copy_(torch.tensor(_LID)[: len(part)])
        at += int(FPS * (low + (high - low) * float(torch.rand((), generator=generator))))
    return lid
