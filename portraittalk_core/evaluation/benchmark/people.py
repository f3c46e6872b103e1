"""The people benchmark: people, voices and sentences of fixed seeds that nothing was trained on, with their truth.

Every case is drawn from its two numbers alone, so that it is the same on every machine, whatever else is measured; its
pictures are, up to what graphics drivers do differently. The voices are espeak-ng's, whose phoneme times give the true
mouth; the true video is the person rendered with it. Head, gaze, blinks and brows follow a process of our own, slow
waves and a blink every two to five seconds.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...media.image import from_bytes
from ...motion.arkit import to_arkit
from ...people.arkit import ARKIT, INDEX
from ...people.caption import describe, tags
from ...people.framing import frame_head
from ...people.motion import resting_blendshapes
from ...people.person import Person as Drawn
from ...people.person import draw_person as draw_anybody
from ...people.renderer import Renderer
from ...people.scene import Camera, Scene, draw_scene
from ...types import COEFFICIENTS, MOUTH, SPEECH_RATE, FaceMotion, Sound
from ...voices.mouth_shapes import Phoneme, mouth_track
from ...voices.sentences import sentence
from ...voices.speech import HELD_OUT_VOICES, synthesise

FPS = 25.0
"""Frames a second of all clips."""

PEOPLE, SENTENCES, LONGEST_S = 64, 2, 5.0
"""The whole benchmark: its people, the sentences of each, and where a clip is cut at the latest, seconds."""

FIRST_PERSON = 3_000_000_000
"""Seeds from here on are the benchmark's: training draws people and what they wear below 2 000 000 000."""

SIZE = 256
"""Side of all pictures, pixels."""

SILENCE_S = (0.4, 0.6)
"""Seconds before and after the sentence, so that the mouth's rest can be judged."""

SHORTEST_S = 1.6
"""Sentences are drawn until one is spoken at least so long, as far as the cut allows."""

TURN = (6.0, 3.0, 2.5)
"""Largest yaw, pitch and roll, degrees."""

SWAY = {"gaze_x": 0.15, "brow_raise": 0.10}
"""Largest stray from rest of what moves by itself besides, in words of `motion.arkit.TO_ARKIT`."""

_LID = (0.35, 0.9, 1.0, 1.0, 0.7, 0.4, 0.12)
_BLINK_AFTER_S = (2.0, 5.0)


@dataclass(frozen=True)
class PersonCase:
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

    drawn: Drawn
    """Who it is, the face at rest."""

    @property
    def tags(self) -> dict[str, str]:
        """What can be said of the portrait: attribute and word."""
        return tags(self.drawn)

    @property
    def prompt(self) -> str:
        """A caption that says all that can be seen in the portrait."""
        seen = {name for name, value in self.tags.items() if value != "none"}
        return describe(self.tags, np.random.default_rng(self.number), seen)

    @property
    def portrait(self) -> Float[Tensor, "3 256 256"]:
        """The picture that a model is given, in [-1, 1]: frontal and at rest."""
        return self.show(torch.zeros(1, 52), torch.zeros(1, 3))[0]

    def show(
        self,
        blendshapes: Float[Tensor, "n 52"],
        rotation: Float[Tensor, "n 3"],
        worn: Drawn | None = None,
        shade: int = 0,
    ) -> Float[Tensor, "n 3 256 256"]:
        """Render true pictures.

        Args:
            blendshapes: What the face does, columns as in `types.COEFFICIENTS`.
            rotation: Yaw, pitch and roll of the head as the renderer has them, degrees.
            worn: The person in another appearance; None for their own.
            shade: Another number gives other details of the background.

        Returns:
            In [-1, 1]; light and camera are those of the portrait.
        """
        return self.film(blendshapes, rotation, worn, shade)[0]

    def film(
        self,
        blendshapes: Float[Tensor, "n 52"],
        rotation: Float[Tensor, "n 3"],
        worn: Drawn | None = None,
        shade: int = 0,
    ) -> tuple[Float[Tensor, "n 3 256 256"], Float[Tensor, "n 478 2"]]:
        """Render true pictures as `show` does, and say where the face's points are.

        Args:
            blendshapes: What the face does, columns as in `types.COEFFICIENTS`.
            rotation: Yaw, pitch and roll of the head as the renderer has them, degrees.
            worn: The person in another appearance; None for their own.
            shade: Another number gives other details of the background.

        Returns:
            Pictures and exact landmarks, both in [-1, 1].
        """
        drawn, scene = worn or self.drawn, _scene(self.drawn)
        scene = replace(scene, background=drawn.background, seed=scene.seed + shade)
        clip = _renderer().render(drawn, rendered_order(blendshapes).numpy(), rotation.numpy(), scene)
        pixels = from_bytes(torch.from_numpy(clip.pixels).permute(0, 3, 1, 2))
        return pixels, torch.from_numpy(clip.landmarks) / SIZE * 2 - 1


def rendered_order(blendshapes: Float[Tensor, "n 52"]) -> Float[Tensor, "n 52"]:
    """Put blendshapes into the renderer's order, which is not that of motion.

    Args:
        blendshapes: Columns as in `types.COEFFICIENTS`.

    Returns:
        Columns as in `people.arkit.ARKIT`.
    """
    return blendshapes[:, [COEFFICIENTS.index(name) for name in ARKIT]]


def resting(drawn: Drawn) -> Float[Tensor, "1 52"]:
    """Return what a person's own expression is, columns as in `types.COEFFICIENTS`.

    Args:
        drawn: Who.
    """
    return torch.from_numpy(resting_blendshapes(drawn))[None][:, [INDEX[name] for name in COEFFICIENTS]]


@functools.cache
def _renderer() -> Renderer:
    return Renderer(SIZE)


@functools.lru_cache(maxsize=8)
def _scene(drawn: Drawn) -> Scene:
    """Return any light, and a camera that frames the head as training pictures do and spoils nothing."""
    scene = draw_scene(drawn.seed, drawn.background)
    focal_mm = float(np.clip(scene.camera.focal_mm, 50, 110))
    camera = Camera(focal_mm=focal_mm, elevation=scene.camera.elevation, blur=0.1, noise=0.0, jpeg=None)
    at_rest = (resting_blendshapes(drawn), np.zeros(3, np.float32))
    return frame_head(_renderer().actor(drawn), replace(scene, camera=camera), *at_rest, SIZE)


@dataclass(frozen=True)
class Take:
    """What a clip shows and sounds like."""

    sound: Sound
    """The speech, mono, 16 kHz."""

    blendshapes: Float[Tensor, "frames 52"]
    """What the face does, columns as in `types.COEFFICIENTS`."""

    rotation: Float[Tensor, "frames 3"]
    """Yaw, pitch and roll of the head as the renderer has them (degrees; roll to the left of the picture)."""

    voice: str
    """Of espeak-ng."""

    @property
    def motion(self) -> FaceMotion:
        """The true motion as a model takes it: blendshapes absolute, the pose relative to rest."""
        return FaceMotion(self.blendshapes, pose_of(self.rotation), FPS)


def pose_of(rotation: Float[Tensor, "frames 3"]) -> Float[Tensor, "frames 6"]:
    """Return poses of a head that only turns, as `types.POSE` has them.

    Args:
        rotation: Yaw, pitch and roll as the renderer has them, degrees.
    """
    angles = torch.deg2rad(rotation) * rotation.new_tensor([1.0, 1.0, -1.0])
    return torch.cat([angles, rotation.new_tensor([0.0, 0.0, 1.0]).expand(len(rotation), 3)], 1)


def rotation_of(pose: Float[Tensor, "frames 6"]) -> Float[Tensor, "frames 3"]:
    """Return how the renderer has poses turn a head; where it lies and how large it is are left out.

    Args:
        pose: As `types.POSE` has it.

    Returns:
        Yaw, pitch and roll in degrees.
    """
    return torch.rad2deg(pose[:, :3]) * pose.new_tensor([1.0, 1.0, -1.0])


def draw_person(number: int, first: int = FIRST_PERSON) -> Person:
    """Draw a person of the benchmark, frontal and at rest.

    Args:
        number: From 0; the same person for the same number.
        first: Seed of person 0.

    Returns:
        The person.
    """
    return Person(number, replace(draw_anybody(first + number), expression="neutral"))


def draw_take(case: PersonCase) -> Take:
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
    track = mouth_track(phonemes, FPS, frames / FPS)
    words = dict(zip(MOUTH, track.unbind(-1), strict=True))
    words |= {name: size * _wander(frames, generator) for name, size in SWAY.items()}
    words["blink"] = _blinks(frames, generator)
    rotation = torch.stack([size * _wander(frames, generator) for size in TURN], 1)
    return Take(Sound(samples[None], SPEECH_RATE), to_arkit(words), rotation, voice)


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
