"""Train what listens: the tiny speech encoder and audio-to-motion, end to end and in noise, then the motion prior.

The teachers are espeak-ng and flite with known phoneme times (`voices`). Every batch is drawn from a generator seeded
by its number, so a resumed run sees what an uninterrupted one would.
"""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...checkpoints.native import load_motion, load_speech_encoder
from ...checkpoints.writing import save_state, save_tensors
from ...motion.audio_to_motion import AudioToMotion
from ...motion.priors import MotionPrior
from ...perception.speech import TINY_SPEECH, SpeechEncoder, build_wav2vec2, initialise_filters, resample_rows
from ...types import MOUTH, SPEECH_RATE
from ...voices.flite import VOICES
from ...voices.sentences import sentence
from ...voices.speech import HELD_OUT_VOICES, TRAIN_VOICES, Phoneme, mouth_track, synthesise
from ..descent import Descent
from ..motion.idle import train_prior
from .augmentation import augment, uniform, warp
from .scores import FPS, TRACK_HZ, correlation, evaluate_speech

logger = logging.getLogger(__name__)

RECORDING_S = 9.0
LOUD = 0.5
"""Chance of loud noise or music, see `augmentation.augment`."""

RECORDED = 0.75
"""Minutes of flite's voices, which were built from recordings, for each minute of espeak-ng's."""


@dataclass(frozen=True)
class Recording:
    """Synthetic speech with its mouth."""

    samples: Tensor
    """int16 at 16 kHz, [n]."""

    track: Tensor
    """The mouth at `TRACK_HZ`, columns as in `types.MOUTH`, float16, [m, 13]."""


def make_recording(voices: tuple[str, ...], generator: torch.Generator) -> Recording:
    """Return about nine seconds of one voice: sentences with pauses of 0.05 to 1.2 s between them.

    Args:
        voices: As `synthesise` knows them, one of which speaks.
        generator: That decides voice, sentences and pauses.
    """
    voice = voices[int(torch.randint(len(voices), (), generator=generator))]
    rate, pitch = int(uniform(105, 225, generator)), int(uniform(10, 90, generator))
    pieces: list[Tensor] = []
    phonemes: list[Phoneme] = []
    now = 0.0
    while now < RECORDING_S:
        pause_s = uniform(0.05, 1.2, generator) if pieces else uniform(0, 0.6, generator)
        pieces.append(torch.zeros(int(pause_s * SPEECH_RATE)))
        start = now + len(pieces[-1]) / SPEECH_RATE
        phonemes.append(Phoneme("", now, start))
        sound, spoken = synthesise(sentence(voice.split("+")[0], generator), voice, rate, pitch)
        pieces.append(sound)
        phonemes += [Phoneme(p.symbol, start + p.start_s, start + p.end_s) for p in spoken]
        now = start + len(sound) / SPEECH_RATE
    samples = torch.cat(pieces)
    samples = samples / samples.abs().max().clamp(min=1e-3) * 0.9
    track = mouth_track(joined_pauses(phonemes), TRACK_HZ, len(samples) / SPEECH_RATE)
    return Recording((samples * 32767).short(), track.half())


def joined_pauses(phonemes: list[Phoneme]) -> list[Phoneme]:
    """Join pauses that touch, so that their length is judged as a whole.

    Args:
        phonemes: In order.
    """
    merged: list[Phoneme] = []
    for phoneme in phonemes:
        if merged and merged[-1].symbol == "" and phoneme.symbol == "":
            merged[-1] = Phoneme("", merged[-1].start_s, phoneme.end_s)
        else:
            merged.append(phoneme)
    return merged


def make_corpus(minutes: float, voices: tuple[str, ...], seed: int) -> list[Recording]:
    """Return recordings.

    Args:
        minutes: Of all together.
        voices: As `synthesise` knows them.
        seed: Of the recordings.
    """
    corpus: list[Recording] = []
    total_s = 0.0
    while total_s < minutes * 60:
        corpus.append(make_recording(voices, torch.Generator().manual_seed(seed * 1_000_003 + len(corpus))))
        total_s += len(corpus[-1].samples) / SPEECH_RATE
    return corpus


def stored_corpus(path: Path, minutes: float, voices: tuple[str, ...], seed: int) -> list[Recording]:
    """Return the corpus kept in a file, made first if it is not there.

    Args:
        path: Of the file.
        minutes: Of all recordings together.
        voices: As `synthesise` knows them.
        seed: Of the recordings.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        corpus = make_corpus(minutes, voices, seed)
        save_state([(r.samples, r.track) for r in corpus], path)
    return [Recording(*pair) for pair in torch.load(path, weights_only=True)]


def _crop(corpus: list[Recording], seconds: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return a warped crop of a random recording, with its track at `TRACK_HZ`."""
    recording = corpus[int(torch.randint(len(corpus), (), generator=generator))]
    factor = 2 ** uniform(-0.28, 0.28, generator)
    need_s = seconds * factor + 0.02
    first = uniform(0, max(0.0, len(recording.samples) / SPEECH_RATE - need_s - 0.02), generator)
    begin, row = int(first * TRACK_HZ) * SPEECH_RATE // TRACK_HZ, int(first * TRACK_HZ)
    sound = recording.samples[begin : begin + int(need_s * SPEECH_RATE)].float() / 32768
    sound, track = warp(sound, recording.track[row : row + int(need_s * TRACK_HZ) + 1].float(), factor)
    return sound[: int(seconds * SPEECH_RATE)], track[: int(seconds * TRACK_HZ)]


def make_batch(
    corpus: list[Recording], size: int, generator: torch.Generator, loud: float = LOUD
) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b frames k"]]:
    """Draw crops of recordings; their length differs between batches.

    Args:
        corpus: From which they are cut.
        size: Crops.
        generator: That decides which, and how they are degraded.
        loud: Chance of loud noise or music, see `augment`.

    Returns:
        Augmented sound at 16 kHz, and the mouth at `FPS`.
    """
    frames = 5 * (11 + int(torch.randint(12, (), generator=generator)))
    seconds = frames / FPS
    sounds, mouths = [], []
    for _ in range(size):
        sound, track = _crop(corpus, seconds, generator)
        babble = None
        if uniform(0, 1, generator) < 0.3:
            voices = 1 + int(torch.randint(4, (), generator=generator))
            babble = torch.stack([_crop(corpus, seconds, generator)[0] for _ in range(voices)]).sum(0)
        if uniform(0, 1, generator) < 0.04:  # no speech at all: whatever sounds, the mouth stays closed
            sound, track = sound * 0 + 1e-4 * torch.randn(sound.shape, generator=generator), track * 0
        sounds.append(augment(sound, generator, babble, loud))
        mouths.append(resample_rows(track, TRACK_HZ, FPS, frames))
    return torch.stack(sounds), torch.stack(mouths)


def column_spread(corpus: list[Recording]) -> Float[Tensor, "k"]:
    """Return the standard deviation of each column of the mouths of a corpus, at least 0.01.

    Args:
        corpus: Of recordings.
    """
    return torch.cat([recording.track.float() for recording in corpus]).std(0).clamp(min=0.01)


def speech_loss(found: Float[Tensor, "b f k"], wanted: Float[Tensor, "b f k"], spread: Float[Tensor, "k"]) -> Tensor:
    """Return the squared error of places and of velocities, and what correlation lacks; the jaw counts four times.

    Args:
        found: The mouth, as it was heard.
        wanted: As it was.
        spread: In whose units each column is measured, so that lips count as the jaw does.
    """
    weight = torch.tensor([4.0 if name == "jawOpen" else 1.0 for name in MOUTH])
    weight = weight / weight.mean()
    place = (((found - wanted) / spread).square() * weight).mean()
    speed = (((found.diff(dim=1) - wanted.diff(dim=1)) / spread).square() * weight).mean()
    moving = (wanted.std(1) > 0.2 * spread) * weight
    shape = ((1 - correlation(found.mT, wanted.mT)) * moving).mean()
    return place + 2 * speed + 0.3 * shape


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
        a2m = AudioToMotion(dim=TINY_SPEECH["hidden_size"])
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
        minutes: Of espeak-ng's speech; flite's comes on top, see `RECORDED`.
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

    def loss(step: int) -> Tensor:
        encoder.train()
        a2m.train()
        generator = torch.Generator().manual_seed(seed * 7_368_787 + step)
        sound, wanted = make_batch(corpus, batch, generator)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(step)  # dropout draws from the global generator; the fork puts it back
            found = a2m(resample_rows(encoder(sound), SPEECH_RATE / encoder.stride, FPS, wanted.shape[1]))
        return speech_loss(found, wanted, spread)

    modules = nn.ModuleDict({"encoder": encoder.model, "a2m": a2m})
    descend(modules, loss, lambda: evaluate_speech(encoder, a2m, held_out), learning_rate, steps, work_dir / "speech")
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
