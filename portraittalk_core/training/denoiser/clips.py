"""The speech half of stage 2's data: features of synthetic speech, the mouth that belongs to them, idle motion.

It is one small file, so that the machine that trains needs neither espeak-ng nor the recordings.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...avatars.speech import TRAIN_VOICES
from ...motion.audio_to_motion import ARTICULATION_DELAY_S, MOUTH, delay_rows
from ...motion.priors import CHANNELS
from ...perception.speech import SpeechEncoder, resample_rows
from ...types import COEFFICIENTS, POSE, SPEECH_RATE
from ..motion.idle import idle_motion
from ..speech.augmentation import augment, uniform
from ..speech.train import FPS, TRACK_HZ, Recording, stored_corpus

CLEAN = 0.4
"""Chance that a recording is left as espeak-ng made it."""

SIGNED = {"smile": (-0.5, 1.0), "brow_raise": (-0.5, 1.0), "gaze_x": (-1.0, 1.0), "gaze_y": (-1.0, 1.0)}
"""Ranges of what avatars do that are not [0, 1]."""


@dataclass(frozen=True)
class SpeechClips:
    """Recordings one after the other, a row a frame at 25 a second."""

    features: Float[Tensor, "n d"]
    """Of the speech encoder, float16."""

    mouth: Float[Tensor, "n 4"]
    """jaw, wide, round, press, as late as the model's own mouths are."""

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


def draw_clip(
    clips: SpeechClips, frames: int, generator: torch.Generator
) -> tuple[Float[Tensor, "frames 10"], Float[Tensor, "frames 6"], Float[Tensor, "frames d"]]:
    """Draw a random stretch of one recording.

    Args:
        clips: From which it is taken.
        frames: Of the stretch.
        generator: That decides which.

    Returns:
        Coefficients (`types.COEFFICIENTS`), pose offsets (`types.POSE`; the scale is a factor) and speech features.
    """
    spans = [(a, b) for a, b in zip(clips.starts, clips.starts[1:]) if b - a >= frames]
    first, end = spans[int(torch.randint(len(spans), (), generator=generator))]
    at = first + int(torch.randint(end - first - frames + 1, (), generator=generator))
    column: dict[str, Tensor] = dict(zip(MOUTH, clips.mouth[at : at + frames].float().unbind(-1), strict=True))
    free: dict[str, Tensor] = dict(zip(CHANNELS, clips.motion[at : at + frames].float().unbind(-1), strict=True))
    zero = torch.zeros(frames)
    coefficients = [
        column.get(name, free.get(name, zero)).clamp(*SIGNED.get(name, (0.0, 1.0))) for name in COEFFICIENTS
    ]
    pose = [free[name] if name in free else zero + 1.0 for name in POSE]
    return torch.stack(coefficients, -1), torch.stack(pose, -1), clips.features[at : at + frames].float()


def main() -> None:
    """Write the file that `training.recipe --speech` reads."""
    from ...checkpoints.native import load_speech_encoder, model_files

    parser = argparse.ArgumentParser(description="Write the speech features that stage 2 trains on.")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--work", type=Path, default=Path("runs/speech"), help="where the corpus lies or will lie")
    parser.add_argument("--minutes", type=float, default=60.0, help="of speech in the corpus")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    corpus = stored_corpus(
        given.work / f"corpus_{given.seed}_{given.minutes:g}.pt", given.minutes, TRAIN_VOICES, given.seed
    )
    encoder = load_speech_encoder(model_files("tiny")["speech"])
    save_speech_clips(make_speech_clips(encoder, corpus, given.seed), given.out)


if __name__ == "__main__":
    main()
