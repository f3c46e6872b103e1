"""Train what listens: the tiny speech encoder and audio-to-motion, end to end and in noise, then the motion prior.

The teachers are espeak-ng and flite with known phoneme times (`voices`).
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...checkpoints.native import load_motion, load_speech_encoder
from ...checkpoints.writing import save_tensors
from ...motion.audio_to_motion import AudioToMotion
from ...motion.priors import MotionPrior
from ...perception.speech import TINY_SPEECH, SpeechEncoder, build_wav2vec2, initialise_filters
from ...voices.flite import VOICES
from ...voices.speech import HELD_OUT_VOICES, TRAIN_VOICES
from ..descent import Descent
from ..motion.idle import train_prior
from .corpus import RECORDED, column_spread, make_batch, stored_corpus
from .losses import Pupil
from .scores import evaluate_speech

logger = logging.getLogger(__name__)


def build_tiny_listener(seed: int, start: Path | None = None) -> tuple[SpeechEncoder, AudioToMotion]:
    """Return the tiny encoder and audio-to-motion with fresh weights.

    Args:
        seed: Of the weights.
        start: Folder of a speech encoder to begin with.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # module initialisers draw from the global generator; the fork puts it back
        model = build_wav2vec2(**TINY_SPEECH)
        initialise_filters(model)
        first: Any = model.feature_extractor.conv_layers[0]
        first.layer_norm.weight.data.fill_(2.0)
        a2m = AudioToMotion(dim=TINY_SPEECH["hidden_size"], closures=True)
    if start is None:
        return SpeechEncoder(model), a2m
    known = load_speech_encoder(start / "speech.safetensors")
    return known.requires_grad_(True), a2m


def train_speech(
    out_dir: Path,
    seed: int = 0,
    minutes: float = 60.0,
    steps: int = 1800,
    batch: int = 12,
    learning_rate: float = 1.5e-3,
    work_dir: Path = Path("runs/speech"),
    prior_steps: int = 1200,
    start: Path | None = None,
) -> dict[str, float]:
    """Train encoder, audio-to-motion and prior; writes `speech.safetensors` and `motion.safetensors`.

    Calling again with the same arguments resumes.

    Args:
        out_dir: Where files go.
        seed: Of corpus, batches and first weights.
        minutes: Of espeak-ng's speech; flite's comes on top, see `corpus.RECORDED`.
        steps: Of encoder and audio-to-motion.
        batch: Crops a step.
        learning_rate: Highest.
        work_dir: Of the corpus, made once, the checkpoint and the curve `speech.csv`.
        prior_steps: Of the prior.
        start: Folder of a speech encoder to begin with and of a prior, which stays as it is. A denoiser whose stage 2
            has been trained knows what its own encoder says, and no other's.

    Returns:
        Scores on held-out voices and sentences, see `evaluate_speech`.
    """
    corpus = [
        *stored_corpus(work_dir / f"corpus_{seed}_{minutes:g}.pt", minutes, TRAIN_VOICES, seed),
        *stored_corpus(work_dir / f"recorded_{seed}_{minutes:g}.pt", minutes * RECORDED, VOICES, seed + 104_729),
    ]
    held_out = stored_corpus(work_dir / "held_out.pt", 3.0, HELD_OUT_VOICES, seed + 7919)
    encoder, a2m = build_tiny_listener(seed, start)
    spread = column_spread(corpus)

    pupil = Pupil(encoder, a2m)

    def loss(step: int) -> Tensor:
        pupil.train()
        batch_ = make_batch(corpus, batch, torch.Generator().manual_seed(seed * 7_368_787 + step))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step)  # dropout draws from the global generator; the fork puts it back
            return pupil.loss(batch_, spread)

    descend(pupil, loss, lambda: evaluate_speech(encoder, a2m, held_out), learning_rate, steps, work_dir / "speech")
    known = load_motion(start / "motion.safetensors")[1] if start is not None else None
    prior = known or train_prior(seed=seed, steps=prior_steps, work_dir=work_dir)
    save_listener(out_dir, encoder, a2m, prior)
    return evaluate_speech(encoder, a2m, held_out)


def descend(
    module: nn.Module,
    loss: Callable[[int], Tensor],
    scores: Callable[[], dict[str, float]],
    rate: float,
    steps: int,
    path: Path,
) -> None:
    """Train, with a checkpoint and a line of the curve every 200 steps; what was interrupted goes on.

    Args:
        module: What is trained.
        loss: Of a step.
        scores: What the curve shows beside the loss.
        rate: The highest learning rate.
        steps: In all.
        path: Of checkpoint and curve, without `.pt` and `.csv`.
    """
    descent = Descent(module, rate, steps)
    step = descent.resume(path.with_suffix(".pt"))
    while step < steps:
        found = loss(step)
        descent.step(found)
        step += 1
        if step % 200 == 0 or step == steps:
            record_scores(path.with_suffix(".csv"), step, {"loss": found.item(), **scores()})
            descent.save(path.with_suffix(".pt"), step)


def save_listener(out_dir: Path, encoder: SpeechEncoder, a2m: AudioToMotion, prior: MotionPrior) -> None:
    """Write both files in half precision, each with its configuration as JSON in the metadata.

    Args:
        out_dir: Where files go.
        encoder: Trained.
        a2m: Trained with it.
        prior: Trained.
    """
    _save(encoder.model, encoder.config, out_dir / "speech.safetensors")
    save_motion(out_dir, a2m, prior)


def save_motion(out_dir: Path, a2m: AudioToMotion, prior: MotionPrior) -> None:
    """Write motion.safetensors alone; as `save_listener`.

    Args:
        out_dir: Where it goes.
        a2m: Trained.
        prior: Trained.
    """
    joined = torch.nn.ModuleDict({"audio_to_motion": a2m, "prior": prior})
    configs = {"audio_to_motion": a2m.config, "prior": prior.config}
    _save(joined, configs, out_dir / "motion.safetensors")


def _save(module: nn.Module, config: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: v.detach().half().contiguous() for k, v in module.state_dict().items()}
    save_tensors(tensors, path, {"config": json.dumps(config)})


def record_scores(path: Path, step: int, scores: dict[str, float]) -> None:
    """Add a line to a curve.

    Args:
        path: A CSV file.
        step: Of the training.
        scores: By name, the same ones each time.
    """
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(["step", *scores])
        writer.writerow([step, *(f"{value:.5f}" for value in scores.values())])
    logger.info("step %d: %s", step, scores)
