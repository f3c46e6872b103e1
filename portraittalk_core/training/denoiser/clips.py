"""What speaks in stage 2's clips: features of synthetic speech, the mouth that belongs to them, idle motion.

They are one small file, so that the machine that trains needs neither espeak-ng nor the recordings. `spoken_shots`
turns a stretch of it into shots of a person, for the renderer.

    python -m portraittalk_core.training.denoiser.clips --out runs/speech_clips.npz
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from numpy.random import Generator
from torch import Tensor

from ...errors import BadInput
from ...motion.arkit import TO_ARKIT
from ...motion.audio_to_motion import ARTICULATION_DELAY_S, delay_rows
from ...motion.priors import CHANNELS
from ...people.arkit import ARKIT, INDEX, coefficients
from ...people.motion import resting_blendshapes
from ...perception.speech import SpeechEncoder, resample_rows
from ...types import MOUTH, SPEECH_RATE
from ...voices.speech import TRAIN_VOICES
from ..motion.idle import idle_motion
from ..people.draw import Shot, draw_shots
from ..speech.augmentation import augment, uniform
from ..speech.corpus import FPS, TRACK_HZ, Recording, stored_corpus

CLEAN = 0.4
"""Chance that a recording is left as espeak-ng made it."""

SAME_APPEARANCE = 0.5
"""Chance that a clip wears what its reference wears."""

_STRAYS, _LIMITS = np.array([4.0, 3.0, 2.0]), np.array([30.0, 18.0, 15.0])
"""Degrees by which a clip's head strays from its portrait's, and which none exceeds."""

_OF_FRAMES = ("blendshapes", "rotation", "at_rest")


@dataclass(frozen=True)
class SpeechClips:
    """Recordings one after the other, a row a frame at 25 a second."""

    features: Float[Tensor, "n d"]
    """Of the speech encoder, float16."""

    mouth: Float[Tensor, "n k"]
    """Columns as in `types.MOUTH`, as late as the model's own mouths are."""

    motion: Float[Tensor, "n 10"]
    """Idle motion, columns of `motion.priors.CHANNELS`."""

    starts: list[int]
    """The first row of each recording, and the end of the last."""


def make_speech_clips(encoder: SpeechEncoder, corpus: list[Recording], seed: int) -> SpeechClips:
    """Encode a corpus, part of it degraded as recordings are, and draw idle motion of the same length.

    Args:
        encoder: Of the model that stage 2 trains.
        corpus: Synthetic speech with its mouth.
        seed: Of degradation and idle motion.
    """
    features, mouths, starts = [], [], [0]
    for number, recording in enumerate(corpus):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
        sound = recording.samples.float() / 32768
        if uniform(0, 1, generator) >= CLEAN:
            sound = augment(sound, generator)
        frames = round(len(sound) / SPEECH_RATE * FPS)
        features.append(encoder.encode(sound, FPS, frames).hidden.half())
        track = resample_rows(recording.track.float(), TRACK_HZ, FPS, frames)
        mouths.append(delay_rows(track, ARTICULATION_DELAY_S * FPS).half())  # as late as the model's own mouths are
        starts.append(starts[-1] + frames)
    generator = torch.Generator().manual_seed(seed)
    motion = idle_motion(-(-starts[-1] // 2000), 2000, generator)[0].flatten(0, 1)[: starts[-1]].half()
    return SpeechClips(torch.cat(features), torch.cat(mouths), motion, starts)


def save_speech_clips(clips: SpeechClips, path: Path) -> None:
    """Write clips as one npz file.

    Args:
        clips: To be written.
        path: Of the file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: getattr(clips, name).numpy() for name in ("features", "mouth", "motion")}
    with path.open("wb") as file:
        np.savez(file, starts=np.array(clips.starts), **arrays)


def load_speech_clips(path: Path) -> SpeechClips:
    """Read what `save_speech_clips` wrote.

    Args:
        path: Of the file.
    """
    with np.load(path) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in ("features", "mouth", "motion")}
        return SpeechClips(**arrays, starts=stored["starts"].tolist())


def spoken_shots(seed: int, clips: SpeechClips, frames: int) -> list[Shot]:
    """Return what is drawn of a person who speaks: a portrait, and a clip of what a training voice says.

    The clip continues the portrait's shot where the person wears the same in both, which gives it maps; else it is a
    shot of its own before the same camera. Facts of each frame are `heard`, the row of the speech (-1 for the
    portrait), and `spoken`, its mouth.

    Args:
        seed: From which all follows.
        clips: Of which one stretch is spoken.
        frames: Of the clip.
    """
    rng = np.random.default_rng([seed, 53])
    portrait, other, _ = draw_shots(seed, frames=1, edits=1)
    same = rng.random() < SAME_APPEARANCE
    mood = portrait.person.expression
    first = draw_stretch(clips, frames, rng)
    rows = slice(first, first + frames)
    mouth, idle = clips.mouth[rows].float().numpy(), clips.motion[rows].float().numpy()
    free: dict[str, ndarray] = dict(zip(CHANNELS, idle.T, strict=True))
    face = blendshapes(free) + resting_blendshapes(portrait.person)
    said = face + blendshapes(dict(zip(MOUTH, mouth.T, strict=True)))
    # Yaw and pitch as everywhere; the renderer's roll tilts to the left of the picture.
    offsets = np.degrees(np.stack([free["yaw"], free["pitch"], -free["roll"]], 1))
    rest = portrait.rotation[0] * rng.uniform(0.5, 1) + rng.normal(size=3) * _STRAYS
    clip = replace(
        portrait if same else other,
        blendshapes=_lawful(said),
        rotation=np.clip(rest + offsets, -_LIMITS, _LIMITS).astype(np.float32),
        expressions=(mood,) * frames,
        at_rest=_lawful(face),
        facts={"heard": np.arange(first, first + frames), "spoken": mouth.astype(np.float16)},
    )
    facts = {"heard": np.array([-1]), "spoken": np.zeros((1, len(MOUTH)), np.float16)}
    portrait = replace(portrait, at_rest=portrait.blendshapes, facts=facts)
    if not same:
        return [portrait, replace(clip, framing=(portrait.blendshapes[0], portrait.rotation[0]))]
    joined = {name: np.concatenate([facts[name], clip.facts[name]]) for name in facts}
    arrays = {name: np.concatenate([getattr(portrait, name), getattr(clip, name)]) for name in _OF_FRAMES}
    return [replace(portrait, **arrays, expressions=portrait.expressions + clip.expressions, facts=joined)]


def draw_stretch(clips: SpeechClips, frames: int, rng: Generator) -> int:
    """Return the first row of a random stretch inside one recording.

    Args:
        clips: From which it is taken.
        frames: Of the stretch.
        rng: The source of chance.

    Raises:
        BadInput: When no recording is as long.
    """
    spans = [(a, b) for a, b in zip(clips.starts, clips.starts[1:], strict=False) if b - a >= frames]
    if not spans:
        raise BadInput(f"`clips` must have a recording of {frames} frames or more, but got none. Make more speech.")
    first, end = spans[int(rng.integers(len(spans)))]
    return first + int(rng.integers(end - first - frames + 1))


def blendshapes(words: Mapping[str, Float32[ndarray, "frames"]]) -> Float32[ndarray, "frames 52"]:
    """Say in the renderer's blendshapes what the motion networks say.

    Args:
        words: A track a word of `motion.arkit.TO_ARKIT`, or a blendshape of `types.MOUTH`; others (the head's) say
            nothing here.

    Returns:
        Sums, not yet cut at 1; columns as in `people.arkit.ARKIT`.
    """
    rows = np.zeros((len(next(iter(words.values()))), len(ARKIT)), np.float32)
    for name, table in (TO_ARKIT | {name: {name: 1.0} for name in MOUTH}).items():
        track = words.get(name.lstrip("-"))
        if track is not None:
            rows += np.maximum(-track if name.startswith("-") else track, 0)[:, None] * coefficients(table)
    return rows


def _lawful(rows: Float32[ndarray, "n 52"]) -> Float32[ndarray, "n 52"]:
    """Return blendshapes in [0, 1] whose lips close no more than the jaw opens them."""
    rows = np.clip(rows, 0, 1).astype(np.float32)
    close, jaw = INDEX["mouthClose"], INDEX["jawOpen"]
    rows[:, close] = np.minimum(rows[:, close], rows[:, jaw])
    return rows


def main() -> None:
    """Write the file that clips are drawn with and stage 2 trains on."""
    from ...checkpoints.native import ASSETS

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz", help="features, mouths, idle motion")
    parser.add_argument("--work", type=Path, default=Path("runs/speech"), help="where the corpus lies or will lie")
    parser.add_argument("--minutes", type=float, default=60.0, help="of speech in the corpus (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the corpus (0)")
    parser.add_argument(
        "--encoder",
        type=Path,
        default=ASSETS / "tiny" / "speech.safetensors",
        help="a speech encoder (the shipped one)",
    )
    given = parser.parse_args()
    write_speech_clips(given.out, given.encoder, given.work, given.minutes, given.seed)


def write_speech_clips(out: Path, encoder: Path, work: Path, minutes: float, seed: int) -> None:
    """Synthesise a corpus of training voices, unless it is there, and write what clips need of it.

    Args:
        out: The file.
        encoder: The speech encoder of the model that stage 2 trains.
        work: Where the corpus lies or will lie.
        minutes: Of speech.
        seed: Of the corpus, its degradation and idle motion.
    """
    from ...checkpoints.native import load_speech_encoder

    corpus = stored_corpus(work / f"corpus_{seed}_{minutes:g}.pt", minutes, TRAIN_VOICES, seed)
    save_speech_clips(make_speech_clips(load_speech_encoder(encoder), corpus, seed), out)


if __name__ == "__main__":
    main()
