"""Rows of docs/tiny.md: sync and silence, and what a long video costs: speed, drift, memory."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time

import torch
from torch import Tensor

from portraittalk_core.errors import MissingExtra
from portraittalk_core.evaluation.benchmark.people import rotation_of
from portraittalk_core.perception.speech import resample_rows
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.training.judge import load_judge
from portraittalk_core.training.speech.train import TRACK_HZ, make_recording
from portraittalk_core.types import SPEECH_RATE, FaceMotion, Sound
from portraittalk_core.voices.speech import HELD_OUT_VOICES

from . import stream
from .motion import correlation, read
from .people import FPS, JUDGE, draw_subject
from .program import ROOT

CLIPS, CLIP_S = 8, 3.0
"""Clips of `sync`, and the seconds of each."""

MOST_LAG = 5
"""Lags that are tried both ways, frames."""

LONG_S, SHORT_S = 60.0, 10.0
"""Seconds of a long and of a short video."""

STREAMING = SamplingOptions(fusion="streaming")
"""How long videos are made: memory does not grow."""


def _recordings(count: int, seconds: float) -> list[tuple[Sound, Tensor]]:
    """Return speech of held-out voices with the true jaw track at `FPS`; [] where espeak-ng is missing."""
    found = []
    for number in range(count):
        try:
            recording = make_recording(HELD_OUT_VOICES, torch.Generator().manual_seed(1_000_000 + number))
        except MissingExtra as error:
            sys.stdout.write(f"  skipped: {error}\n")
            return []
        samples = recording.samples[: int(seconds * SPEECH_RATE)].float() / 32768
        frames = round(len(samples) / SPEECH_RATE * FPS)
        jaw = resample_rows(recording.track.float(), TRACK_HZ, FPS, frames)[:, 0]
        found.append((Sound(samples[None], SPEECH_RATE), jaw))
    return found


def _true_frames(model: PortraitTalk, number: int, motion: FaceMotion, frames: slice) -> Tensor:
    """Return what a subject looks like who moves so, through the VAE."""
    person = draw_subject(number, 1).person
    pixels = person.show(motion.coefficients[frames], rotation_of(motion.pose[frames]))
    return torch.cat([part.pixels for part in model.reconstruct(pixels)])


def _speak(model: PortraitTalk, number: int, sound: Sound) -> Tensor:
    chunks = model.generate([draw_subject(number, 1).reference], sound, "", seed=number)
    return torch.cat([chunk.pixels for chunk in chunks])


def sync(model: PortraitTalk, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Compare the mouth of the produced frames with the mouth that the sound was made with.

    Args:
        model: The tiny model.
        given: Not used.

    Returns:
        Correlation and lag of the best match; {} without espeak-ng.
    """
    scores, lags = [], []
    for number, (sound, jaw) in enumerate(_recordings(CLIPS, CLIP_S)):
        seen = read(model, _speak(model, number, sound))["jaw"]
        scores.append(correlation(seen, jaw))
        lags.append(best_lag(seen, jaw))
        sys.stdout.write(f"  clip {number}: r {scores[-1]:.3f}, lag {lags[-1]}\n")
        sys.stdout.flush()
    if not scores:
        return {}
    return {
        "sync r": {"value": sum(scores) / len(scores), "n": len(scores)},
        "sync lag, frames": {"value": float(torch.tensor(lags).float().median()), "n": len(lags)},
    }


def best_lag(seen: Tensor, true: Tensor) -> int:
    """Find the lag at which two tracks match best.

    Args:
        seen: [n].
        true: [n].

    Returns:
        By how many frames `seen` is late, up to `MOST_LAG` both ways.
    """

    def at(lag: int) -> float:
        a, b = (seen[lag:], true[: len(true) - lag]) if lag >= 0 else (seen[:lag], true[-lag:])
        return correlation(a, b)

    return max(range(-MOST_LAG, MOST_LAG + 1), key=at)


def silence(model: PortraitTalk, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure the mouth's opening in silences as a share of the clip's range, on clips with a second of silence.

    The gap of the lips is 0 where they touch; a reading below 0 is the reader's noise and counts as closed. The ceiling
    is the same reading of true renderings, whose mouths are closed: what is left is the reader's own. `above least`
    counts from the clip's least reading instead of from 0, as this row did at first: that adds the reader's largest
    error.

    Args:
        model: The tiny model.
        given: Not used.

    Returns:
        Per cent; {} without espeak-ng.
    """
    shares: dict[str, list[float]] = {"value": [], "ceiling": [], "above least": [], "above least, ceiling": []}
    for number, (sound, _) in enumerate(_recordings(4, 2.0)):
        quiet = torch.zeros(1, SPEECH_RATE)
        samples = torch.cat([sound.samples[:, :SPEECH_RATE], quiet, sound.samples[:, SPEECH_RATE:]], 1)
        sound = Sound(samples, SPEECH_RATE)
        motion = model.stack.move(model.stack.listen(sound), seed=number)
        videos = {"value": _speak(model, number, sound), "ceiling": _true_frames(model, number, motion, slice(None))}
        for name, frames in videos.items():
            seen = read(model, frames)["jaw"]
            # Between the words' own endings: 0.2 s after the voice stops and before it starts again.
            inside = seen[round(1.2 * FPS) : round(1.8 * FPS)]
            low, high = seen.min(), seen.quantile(0.98)
            span = (high - low).clamp(min=1e-6)
            shares[name].append(float(inside.clamp(min=0).mean() / span))
            more = "above least" if name == "value" else "above least, ceiling"
            shares[more].append(float((inside - low).mean() / span))
    if not shares["value"]:
        return {}
    means = {name: 100 * sum(found) / len(found) for name, found in shares.items()}
    return {"silence, % of range": {**means, "n": len(shares["value"])}}


def speed(model: PortraitTalk, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Measure wall seconds for each second of video at 25 fps, default steps, after a warm-up.

    Args:
        model: The tiny model.
        given: Not used.

    Returns:
        The row.
    """
    (sound, _), *_ = _recordings(1, 4.0) or [(Sound(torch.zeros(1, 4 * SPEECH_RATE), SPEECH_RATE), torch.zeros(0))]
    _speak(model, 0, Sound(sound.samples[:, :SPEECH_RATE], SPEECH_RATE))
    start = time.monotonic()
    frames = _speak(model, 0, sound)
    return {"seconds per second": {"value": (time.monotonic() - start) / (len(frames) / FPS), "n": 1}}


def drift(model: PortraitTalk, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Compare the last second of 60 with the first, streaming: who it is, by the judge, and sharpness.

    The person is also asked of the face pack's recogniser, which conditions the model. The ceiling is the same of the
    true renderings of that motion, through the VAE: a head that has turned meanwhile looks less like itself, to both.

    Args:
        model: The tiny model.
        given: Not used.

    Returns:
        The rows, without the judge's where there is none.
    """
    (sound, _), *_ = _recordings(1, 8.0) or [(Sound(torch.zeros(1, 8 * SPEECH_RATE), SPEECH_RATE), torch.zeros(0))]
    times = int(LONG_S * SPEECH_RATE / sound.samples.shape[1]) + 1
    long = Sound(sound.samples.repeat(1, times)[:, : int(LONG_S * SPEECH_RATE)], SPEECH_RATE)
    motion = model.stack.move(model.stack.listen(long), seed=0)
    chunks = model.generate([draw_subject(0, 1).reference], long, "", motion=motion, options=STREAMING)
    first, last = [], []
    for chunk in chunks:
        for frame in chunk.pixels:
            if len(first) < FPS:
                first.append(frame)
            last = [*last[-int(FPS) + 1 :], frame]
    made = torch.stack(first), torch.stack(last)
    second = round(FPS)
    true = tuple(_true_frames(model, 0, motion, part) for part in (slice(0, second), slice(-second, None)))
    softer, softer_true = (100 * (sharpness(other) / sharpness(one) - 1) for one, other in (made, true))
    found = {
        "recogniser: drift of identity": {
            "value": _alike(*(_recognised(model, part) for part in made)),
            "ceiling": _alike(*(_recognised(model, part) for part in true)),
            "n": 1,
        },
        "drift: sharpness, %": {"value": softer, "ceiling": softer_true, "n": 1},
    }
    if JUDGE.exists():
        judge = load_judge(JUDGE)
        found["drift: identity"] = {
            "value": _alike(*(judge.embed(part).mean(0) for part in made)),
            "ceiling": _alike(*(judge.embed(part).mean(0) for part in true)),
            "n": 1,
        }
    return found


def _alike(one: Tensor, other: Tensor) -> float:
    """Return the cosine similarity of two vectors."""
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def _recognised(model: PortraitTalk, frames: Tensor) -> Tensor:
    find = model.stack.face_finder().find
    return torch.stack([find(frame)[0].embedding for frame in frames]).mean(0)


def sharpness(frames: Tensor) -> float:
    """Measure sharpness as the mean size of the Laplacian of the brightness.

    Args:
        frames: [n, 3, h, w] in [-1, 1].

    Returns:
        Comparable for pictures of one size.
    """
    gray = frames.mean(1, keepdim=True)
    kernel = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]]).view(1, 1, 3, 3)
    return float(torch.nn.functional.conv2d(gray, kernel).abs().mean())


def memory(model: PortraitTalk, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Compare the peak resident memory of a process that streams 60 s with that of one that streams 10 s.

    Args:
        model: Not used; each process loads its own.
        given: `model`, its name.

    Returns:
        The row.
    """
    known = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(part for part in (str(ROOT), known) if part)
    peaks = [
        int(
            subprocess.check_output(
                [sys.executable, "-m", stream.__name__, str(seconds), given.model],
                env={**os.environ, "PYTHONPATH": paths},
            ).split()[-1]
        )
        for seconds in (LONG_S, SHORT_S)
    ]
    return {"memory 60 s / 10 s": {"value": peaks[0] / peaks[1], "n": 1}}
