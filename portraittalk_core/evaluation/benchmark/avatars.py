"""The avatars benchmark: people, voices and sentences of fixed seeds that nothing was trained on, with their truth.

Every case is drawn from its two numbers alone, so that it is the same on every machine, whatever else is measured. The
voices are espeak-ng's, whose phoneme times give the true mouth; the true video is the avatar rendered with it. Head,
gaze, blinks and brows follow a process of our own, slow waves and a blink every two to five seconds.

espeak-ng remembers what it said before, and says the next sentence a little differently: every case is therefore spoken
by a fresh process, `python -m portraittalk_core.evaluation.benchmark.avatars`, which writes down what was said and how
the face moves. Who has those files needs no espeak-ng.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...avatars import parameters as traits
from ...avatars.caption import caption
from ...avatars.render import render
from ...avatars.sentences import sentence
from ...avatars.speech import HELD_OUT_VOICES, MOUTH, Phoneme, mouth_track, synthesise
from ...errors import BadMedia, MissingExtra, PortraitTalkError
from ...media.target import Partial
from ...media.video import VideoWriter
from ...types import COEFFICIENTS, POSE, SPEECH_RATE, FaceMotion, Sound

FPS = 25.0
PEOPLE, SENTENCES, LONGEST_S = 64, 2, 5.0
"""The whole benchmark: its people, the sentences of each, and where a clip is cut at the latest."""

FIRST_PERSON = 30_000_000
"""Seeds from here on are the benchmark's: training draws below 10 000 000, other benchmarks below 30 000 000."""

SILENCE_S = (0.4, 0.6)
"""Before and after the sentence, so that the mouth's rest can be judged."""

SHORTEST_S = 1.6
"""Sentences are drawn until one is spoken at least so long, as far as the cut allows."""

SWAY = {"yaw": 0.10, "pitch": 0.05, "roll": 0.04, "x": 0.015, "y": 0.010, "gaze_x": 0.15, "brow_raise": 0.10}
"""Largest stray from rest of what moves by itself, in the units of its column."""

_LID = (0.35, 0.9, 1.0, 1.0, 0.7, 0.4, 0.12)
_BLINK_AFTER_S = (2.0, 5.0)


@dataclass(frozen=True)
class AvatarCase:
    """One clip of the benchmark. person, take: its numbers; longest_s: where it is cut."""

    person: int
    take: int
    longest_s: float = LONGEST_S

    @property
    def name(self) -> str:
        """Return its name in tables and files."""
        return f"p{self.person:03d}_s{self.take}"

    @property
    def seed(self) -> int:
        """Return the seed of noise and motion for whoever makes this clip."""
        return FIRST_PERSON + 1000 * self.person + self.take


@dataclass(frozen=True)
class Person:
    """Somebody of the benchmark. row: the renderer's parameters at rest, frontal; tags: what can be said of them."""

    number: int
    row: Float[Tensor, "p"]
    tags: dict[str, str]

    @property
    def portrait(self) -> Float[Tensor, "3 256 256"]:
        """Return the picture that a model is given."""
        return render(self.row[None])[0]

    @property
    def prompt(self) -> str:
        """Return a caption that says all that can be said of the portrait."""
        return caption(self.tags, torch.Generator().manual_seed(self.number), set(self.tags))


@dataclass(frozen=True)
class Take:
    """What a clip shows and sounds like. sound: mono, 16 kHz; rows: the renderer's parameters, one a frame; voice."""

    sound: Sound
    rows: Float[Tensor, "frames p"]
    voice: str

    @property
    def motion(self) -> FaceMotion:
        """Return the true motion as a model is told it: coefficients absolute, the pose as stray from rest."""
        coefficients = torch.stack([traits.column(self.rows, name) for name in COEFFICIENTS], -1)
        pose = torch.stack([traits.column(self.rows, name) for name in POSE], -1)
        rest = self.rows.new_tensor([0.0, 0.0, 0.0, *(float(traits.column(self.rows, n)[0]) for n in POSE[3:])])
        offsets = torch.cat([pose[:, :5] - rest[:5], pose[:, 5:] / rest[5]], -1)
        return FaceMotion(coefficients, offsets, FPS)


def draw_person(number: int) -> Person:
    """Return person `number` of the benchmark, frontal and at rest."""
    generator = torch.Generator().manual_seed(FIRST_PERSON + 1000 * number + 999)
    person, light = traits.sample_identity(generator), traits.sample_light(generator)
    look = traits.sample_attributes(generator)
    calm = traits.Traits(dict.fromkeys(traits.EXPRESSION, 0.0), {"expression": "neutral"})
    frontal = traits.Traits({**dict.fromkeys(traits.POSE, 0.0), "scale": 1.0})
    row = traits.pack(person, look, calm, frontal, light)
    return Person(number, row, {**person.tags, **look.tags, **calm.tags})


def draw_take(case: AvatarCase) -> Take:
    """Return what a case says and how the person moves; raises `MissingExtra` without espeak-ng."""
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


@dataclass(frozen=True)
class Material:
    """The files of a case, in the folder of all cases."""

    folder: Path
    case: AvatarCase

    @property
    def truth(self) -> Path:
        """Return the true video, with its sound."""
        return self.folder / f"{self.case.name}.mp4"

    @property
    def sound(self) -> Path:
        """Return the speech, uncompressed: 16 bits, 16 kHz."""
        return self.folder / f"{self.case.name}.wav"

    @property
    def said(self) -> Path:
        """Return what was said and how the face moves: the sound, the renderer's rows and the voice."""
        return self.folder / f"{self.case.name}.safetensors"

    @property
    def done(self) -> bool:
        """Say whether nothing is left to make."""
        return all(path.is_file() for path in (self.truth, self.sound, self.said))

    def take(self) -> Take:
        """Return what was made; raises `BadMedia` for a file that is no such."""
        try:
            with safe_open(self.said, "pt") as file:
                voice = json.loads((file.metadata() or {})["take"])["voice"]
                rows, samples = file.get_tensor("rows"), file.get_tensor("samples")
        except Exception as error:  # safetensors raises its own errors, of a class without a base of ours
            raise BadMedia(f"`{self.said}` cannot be read ({error}). Delete it, and it is made again.") from error
        return Take(Sound(samples[None].float() / 32768, SPEECH_RATE), rows, voice)

    def make(self) -> None:
        """Speak, render and write what is missing; half-written files never have the final name.

        Raises `MissingExtra` without espeak-ng.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.said.is_file():
            _speak_elsewhere(self)
        take = self.take()
        if not self.sound.is_file():
            write_wave(self.sound, take.sound)
        if not self.truth.is_file():
            frames = torch.cat([render(part) for part in take.rows.split(8)])
            write_frames(self.truth, frames, take.sound)

    def speak(self) -> None:
        """Draw the case in this process and write `said`; see the module's docstring for why this is not `make`."""
        take = draw_take(self.case)
        samples = (take.sound.samples[0] * 32767).round().short()
        with Partial(self.said) as partial:
            save_file({"rows": take.rows, "samples": samples}, partial, {"take": json.dumps({"voice": take.voice})})


def _speak_elsewhere(material: Material) -> None:
    case, root = material.case, str(Path(__file__).resolve().parents[3])
    known = os.environ.get("PYTHONPATH")
    ended = subprocess.run(
        [sys.executable, "-m", __name__, str(case.person), str(case.take), str(case.longest_s), str(material.folder)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([root, known] if known else [root])},
        capture_output=True,
        text=True,
        check=False,
    )
    if not material.said.is_file():
        lines = ended.stderr.strip().splitlines() or ["no message"]
        kind = MissingExtra if ended.returncode == _LACKS else BadMedia
        raise kind(lines[-1] if kind is MissingExtra else f"The speech of {case.name} cannot be made: {lines[-1]}")


_LACKS = 3
"""Exit code of the process that speaks where espeak-ng is missing."""


def write_wave(path: Path, sound: Sound) -> None:
    """Write a sound as WAV, 16 bits, in one step."""
    import soundfile

    with Partial(path) as partial:
        soundfile.write(partial, sound.samples.T.numpy(), sound.sample_rate, subtype="PCM_16", format="WAV")


def write_frames(path: Path, frames: Float[Tensor, "n 3 h w"], sound: Sound) -> None:
    """Write a video at the benchmark's rate, H.264 as `generate` writes it."""
    with VideoWriter(path, FPS, (frames.shape[-2], frames.shape[-1]), sound) as writer:
        writer.append(frames)


def _main(person: str, take: str, longest_s: str, folder: str) -> int:
    torch.set_num_threads(1)
    try:
        Material(Path(folder), AvatarCase(int(person), int(take), float(longest_s))).speak()
    except PortraitTalkError as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return _LACKS if isinstance(error, MissingExtra) else 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
