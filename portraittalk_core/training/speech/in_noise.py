"""Train audio-to-motion on, for speech in rain, wind and music; the speech encoder and the prior stay as they are.

The denoiser hears what the encoder says too, so an encoder that changes would ask for all of it to be trained anew.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ...checkpoints.native import load_motion, load_speech_encoder
from ...motion.audio_to_motion import AudioToMotion
from ...perception.speech import SpeechEncoder, resample_rows
from ...types import SPEECH_RATE
from ...voices.speech import HELD_OUT_VOICES, TRAIN_VOICES
from .augmentation import augment
from .train import (
    FPS,
    TRACK_HZ,
    Recording,
    correlation,
    descend,
    evaluate_speech,
    make_batch,
    record_scores,
    save_listener,
    speech_loss,
    stored_corpus,
)

LOUD = 0.6
"""Chance of loud noise or music, see `augmentation.augment`."""


def train_in_noise(
    out_dir: Path,
    start: Path,
    seed: int = 0,
    minutes: float = 10.0,
    steps: int = 300,
    batch: int = 12,
    learning_rate: float = 1e-3,
    work_dir: Path = Path("runs/speech"),
) -> dict[str, float]:
    """Train audio-to-motion on; writes `motion.safetensors`, and `speech.safetensors` as it was.

    Calling again with the same arguments resumes.

    Args:
        out_dir: Where files go.
        start: Folder of the files to begin with, or `motion.safetensors` in it.
        seed: Of corpus and batches.
        minutes: Of synthetic speech.
        steps: Of training.
        batch: Crops a step.
        learning_rate: Highest.
        work_dir: Of the corpus, made once, the checkpoint and the curve `in_noise.csv`.

    Returns:
        Scores on held-out voices, clean and in noise.
    """
    corpus = stored_corpus(work_dir / f"corpus_{seed}_{minutes:g}.pt", minutes, TRAIN_VOICES, seed)
    held_out = stored_corpus(work_dir / "held_out.pt", 3.0, HELD_OUT_VOICES, seed + 7919)
    folder = start if start.is_dir() else start.parent
    encoder = load_speech_encoder(folder / "speech.safetensors")
    a2m, prior = load_motion(folder / "motion.safetensors")
    a2m.train().requires_grad_(True)

    def loss(step: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 7_368_787 + 500_000 + step)
        sound, wanted = make_batch(corpus, batch, generator, LOUD)
        with torch.no_grad():
            hidden = resample_rows(encoder(sound), SPEECH_RATE / encoder.stride, FPS, wanted.shape[1])
        return speech_loss(a2m(hidden), wanted)

    def scores() -> dict[str, float]:
        return scores_in_noise(encoder, a2m, held_out)

    path = work_dir / "in_noise"
    if not path.with_suffix(".pt").exists():
        record_scores(path.with_suffix(".csv"), 0, {"loss": float("nan"), **scores()})
    descend(a2m, loss, scores, learning_rate, steps, path)
    save_listener(out_dir, encoder, a2m, prior)
    return scores()


@torch.no_grad()
def scores_in_noise(encoder: SpeechEncoder, a2m: AudioToMotion, corpus: list[Recording]) -> dict[str, float]:
    """Score whole recordings, clean and degraded, each always in the same way.

    Args:
        encoder: Listens.
        a2m: Moves the mouth.
        corpus: Recordings that were not trained on.

    Returns:
        What `evaluate_speech` says of clean ones; `loud_r_jaw` in noise and music, and `loud_rest`, how far the jaw is
        open there where it should be shut.
    """
    found = evaluate_speech(encoder, a2m, corpus)
    r: list[float] = []
    rest: list[float] = []
    for number, recording in enumerate(corpus):
        sound = augment(recording.samples.float() / 32768, torch.Generator().manual_seed(number), None, 1.0)
        frames = round(len(recording.samples) / SPEECH_RATE * FPS)
        jaw = a2m(encoder.encode(sound, FPS, frames).hidden)[:, 0]
        wanted = resample_rows(recording.track.float(), TRACK_HZ, FPS, frames)[:, 0]
        r.append(float(correlation(jaw, wanted)))
        rest.append(float(jaw[wanted < 0.01].mean()))
    return {**found, "loud_r_jaw": sum(r) / len(r), "loud_rest": sum(rest) / len(rest)}
