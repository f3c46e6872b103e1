"""The process that the motion prior learns from, and its training.

There is no recording of a person behind it: the head wanders like a damped spring pushed by noise, nods and raises
its brows where speech is stressed, looks about in jumps, and blinks 12 to 20 times a minute. Rates and durations are
textbook values (blinks: Bentivoglio et al. 1997); amplitudes are our own taste.
"""

from __future__ import annotations

import csv
import math
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from ...motion.priors import CHANNELS, RATE_HZ, MotionPrior, look_ahead
from ..descent import Descent

_SWAY = {"yaw": 0.085, "pitch": 0.045, "roll": 0.035, "x": 0.016, "y": 0.011, "smile": 0.05, "brow_raise": 0.05}
_SWAY_HZ = {"yaw": 0.16, "pitch": 0.2, "roll": 0.14, "x": 0.14, "y": 0.16, "smile": 0.07, "brow_raise": 0.15}
_BLINK_REST_S, _BLINK_MEAN_S = 0.9, 3.7
_FIXATION_S = (0.4, 3.2)
_LID = (
    (0.5, 1.0, 0.75, 0.25),
    (0.4, 1.0, 1.0, 0.6, 0.2),
    (0.5, 1.0, 1.0, 0.75, 0.4, 0.12),
    (0.35, 0.9, 1.0, 1.0, 0.7, 0.4, 0.12),
)
"""How far the lid is down at each frame of a blink of 0.16, 0.2, 0.24 or 0.28 s."""


def speech_activity(
    batch: int, frames: int, generator: torch.Generator
) -> tuple[Float[Tensor, "b frames"], Float[Tensor, "b frames"]]:
    """Draw when somebody speaks.

    Args:
        batch: Tracks.
        frames: Of each, at 25 a second.
        generator: From which they follow.

    Returns:
        Activity in [0, 1] of phrases, pauses and syllables, and where stresses begin (1 there, else 0).
    """
    talking = torch.zeros(batch, frames)
    stress = torch.zeros(batch, frames)
    for row in range(batch):
        frame, on = 0, bool(torch.rand((), generator=generator) < 0.7)
        while frame < frames:
            low, high = (20, 110) if on else (5, 45)
            length = int(torch.randint(low, high, (), generator=generator))
            talking[row, frame : frame + length] = float(on)
            for at in range(frame, min(frame + length, frames) if on else frame, 8):
                stress[row, at] = float(torch.rand((), generator=generator) < 0.18)
            frame, on = frame + length, not on
    syllables = 0.62 + 0.18 * torch.sin(
        2 * math.pi * 4.5 / RATE_HZ * torch.arange(frames)
        + 1.2 * _spring(batch, frames, 0.8, generator)
        + 6.3 * torch.rand(batch, 1, generator=generator)
    )
    louder = 0.25 * _respond(stress, torch.hann_window(9, periodic=False))
    return ((syllables + louder) * talking + 0.03).clamp(0, 1), stress


def _spring(batch: int, frames: int, hertz: float, generator: torch.Generator) -> Float[Tensor, "b frames"]:
    """Return unit-variance tracks of a critically damped spring pushed by white noise, already settled."""
    omega = 2 * math.pi * hertz
    warm = int(3 * RATE_HZ / hertz / 2)
    noise = torch.randn(batch, frames + warm, generator=generator)
    time_s = torch.arange(warm) / RATE_HZ
    response = time_s * torch.exp(-omega * time_s)
    return _respond(noise, response / response.norm())[:, warm:]


def _respond(push: Float[Tensor, "b frames"], response: Float[Tensor, "k"]) -> Float[Tensor, "b frames"]:
    padded = torch.nn.functional.pad(push[:, None], (len(response) - 1, 0))
    return torch.nn.functional.conv1d(padded, response.flip(0)[None, None])[:, 0]


def _blinks(batch: int, frames: int, generator: torch.Generator) -> Float[Tensor, "b frames"]:
    lid = torch.zeros(batch, frames)
    for row in range(batch):
        at = -_BLINK_MEAN_S * float(torch.rand((), generator=generator))
        while True:
            wait = torch.empty(()).exponential_(1 / (_BLINK_MEAN_S - _BLINK_REST_S), generator=generator)
            at += _BLINK_REST_S + float(wait)
            first = int(at * RATE_HZ)
            shape = torch.tensor(_LID[int(torch.randint(len(_LID), (), generator=generator))])
            if first >= frames:
                break
            if first >= 0:
                lid[row, first : first + len(shape)] = shape[: frames - first]
    return lid


def _gaze(batch: int, frames: int, generator: torch.Generator) -> Float[Tensor, "b frames 2"]:
    """Return fixations joined by jumps of one or two frames; mostly near the viewer's eyes, at times well aside."""
    gaze = torch.zeros(batch, frames, 2)
    for row in range(batch):
        frame, last = 0, torch.zeros(2)
        while frame < frames:
            low, high = (int(s * RATE_HZ) for s in _FIXATION_S)
            length = int(torch.randint(low, high, (), generator=generator))
            size = torch.tensor([0.32, 0.18] if torch.rand((), generator=generator) < 0.2 else [0.06, 0.04])
            target = (torch.randn(2, generator=generator) * size).clamp(-0.8, 0.8)
            gaze[row, frame : frame + length] = target
            gaze[row, frame] = 0.35 * last + 0.65 * target
            frame, last = frame + length, target
    return gaze


def idle_motion(
    batch: int, frames: int, generator: torch.Generator
) -> tuple[Float[Tensor, "b frames channels"], Float[Tensor, "b frames"]]:
    """Draw motions, and the speech activity that they belong to.

    Args:
        batch: Motions.
        frames: Of each, at 25 a second.
        generator: From which they follow.

    Returns:
        Motions in the order of `motion.priors.CHANNELS`, and activity in [0, 1].
    """
    lively, stress = speech_activity(batch, frames, generator)
    slow = _respond(lively, torch.full((20,), 1 / 20))
    track = {
        name: size * (0.55 + 0.7 * slow) * _spring(batch, frames, _SWAY_HZ[name], generator)
        for name, size in _SWAY.items()
    }
    nod = _respond(
        stress * (0.03 + 0.06 * torch.rand(stress.shape, generator=generator)), torch.hann_window(13, periodic=False)
    )
    lift = stress * (torch.rand(stress.shape, generator=generator) < 0.45) * 0.45
    track["pitch"] = track["pitch"] + nod
    track["y"] = track["y"] + 0.15 * nod
    track["brow_raise"] = track["brow_raise"] + _respond(lift, torch.hann_window(17, periodic=False))
    track["smile"] = track["smile"] + 0.05
    gaze = _gaze(batch, frames, generator)
    track["gaze_x"], track["gaze_y"] = gaze.unbind(-1)
    track["blink"] = _blinks(batch, frames, generator)
    return torch.stack([track[name] for name in CHANNELS], -1), lively


def train_prior(
    seed: int = 0,
    steps: int = 1200,
    batch: int = 32,
    frames: int = 96,
    learning_rate: float = 3e-3,
    work_dir: Path = Path("runs/speech"),
) -> MotionPrior:
    """Fit the prior to the process by maximum likelihood; writes the curve `prior.csv`.

    The inputs are jittered a little, so that the prior finds its way back when its own draws stray.

    Args:
        seed: Of motions, batches and first weights.
        steps: Of the optimiser.
        batch: Clips a step.
        frames: Of a clip.
        learning_rate: Highest.
        work_dir: Of the curve.
    """
    generator = torch.Generator().manual_seed(seed + 31_337)
    motion, lively = idle_motion(96, 3000, generator)
    heard = look_ahead(lively)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # initialisers draw from the global generator; the fork puts it back
        prior = MotionPrior()
    prior.spread.copy_(motion.std((0, 1)))
    prior.step.copy_(motion.diff(dim=1).std((0, 1)))
    descent = Descent(prior, learning_rate, steps, betas=(0.9, 0.999), decay=1e-3)
    curve: list[tuple[int, float]] = []
    for step in range(steps):
        row = torch.randint(len(motion), (batch,), generator=generator)
        first = torch.randint(1, motion.shape[1] - frames - 1, (batch,), generator=generator)
        at = first[:, None] + torch.arange(-1, frames)
        clip = motion[row[:, None], at]
        jitter = torch.randn(clip[:, :-1].shape, generator=generator)
        before = clip[:, :-1] + 0.03 * prior.spread * jitter * (torch.rand(batch, 1, 1, generator=generator) < 0.5)
        previous = motion[row[:, None], at[:, :-1] - 1]
        params, _ = prior(before, clip[:, :-1] - previous, heard[row[:, None], at[:, 1:]])
        loss = prior.negative_log_likelihood(params, clip[:, 1:] - before).mean()
        descent.step(loss)
        if step % 50 == 49 or step == steps - 1:
            curve.append((step + 1, loss.item()))
    work_dir.mkdir(parents=True, exist_ok=True)
    with (work_dir / "prior.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("step", "nats_per_frame"), *curve])
    return prior
