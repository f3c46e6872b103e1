"""From the sound alone: does the mouth follow the voice, is it closed in silence? And the memory of a long video."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import torch
from torch import Tensor

from portraittalk_core.errors import MissingExtra
from portraittalk_core.evaluation.benchmark.people import rotation_of
from portraittalk_core.evaluation.benchmark.variants import tiny_stack
from portraittalk_core.perception.speech import resample_rows
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.training.speech.corpus import TRACK_HZ, make_recording
from portraittalk_core.types import SPEECH_RATE, Sound
from portraittalk_core.voices.speech import HELD_OUT_VOICES

from .. import stream
from ..people import FPS, draw_subject
from ..program import ROOT, say
from .clips import read
from .scores import best_lag, correlation
from .session import Session

CLIPS, CLIP_S = 4, 2.4
"""Clips of `sync`, and the seconds of each."""

QUIET, QUIET_S = 2, 2.0
"""Clips of `silence`, and how much is spoken in each, around a second of silence."""

LONG_S, SHORT_S = 60.0, 10.0
"""Seconds of a long and of a short video."""


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


def _speak(model: PortraitTalk, number: int, sound: Sound) -> Tensor:
    chunks = model.generate([draw_subject(number, 1).reference], sound, "", seed=number)
    return torch.cat([chunk.pixels for chunk in chunks])


def measure(session: Session) -> dict[str, Any]:
    """Make people speak who hear held-out voices, and read their mouths.

    Args:
        session: What was asked for.

    Returns:
        `sync` and `silence`; neither without espeak-ng.
    """
    return {
        name: session.kept(name, lambda m=make: m(session.model))
        for name, make in (("sync", sync), ("silence", silence))
    }


def sync(model: PortraitTalk) -> dict[str, Any]:
    """Compare the mouth of the produced frames with the mouth that the sound was made with.

    Args:
        model: Of the tiny kind.

    Returns:
        Correlation and lag of the best match of each clip.
    """
    scores, lags = [], []
    for number, (sound, jaw) in enumerate(_recordings(CLIPS, CLIP_S)):
        seen = read(tiny_stack(model), _speak(model, number, sound))[0]["jaw"]
        scores.append(correlation(seen, jaw))
        lags.append(best_lag(seen, jaw))
        say(f"  clip {number}: r {scores[-1]:.3f}, lag {lags[-1]}")
    return {"r": scores, "lag": lags}


def silence(model: PortraitTalk) -> dict[str, Any]:
    """Measure the mouth's opening in silences as a share of the clip's range, on clips with a second of silence.

    The gap of the lips is 0 where they touch; a reading below 0 is the reader's noise and counts as closed. The ceiling
    is the same reading of true renderings, whose mouths are closed: what is left is the reader's own.

    Args:
        model: Of the tiny kind.

    Returns:
        `share` and `ceiling` of each clip, per cent.
    """
    shares: dict[str, list[float]] = {"share": [], "ceiling": []}
    for number, (sound, _) in enumerate(_recordings(QUIET, QUIET_S)):
        quiet = torch.zeros(1, SPEECH_RATE)
        samples = torch.cat([sound.samples[:, :SPEECH_RATE], quiet, sound.samples[:, SPEECH_RATE:]], 1)
        sound = Sound(samples, SPEECH_RATE)
        motion = model.stack.move(model.stack.listen(sound), seed=number)
        true = draw_subject(number, 1).person.show(motion.coefficients, rotation_of(motion.pose))
        for name, frames in (("share", _speak(model, number, sound)), ("ceiling", true)):
            seen = read(tiny_stack(model), frames)[0]["jaw"]
            # Between the words' own endings: 0.2 s after the voice stops and before it starts again.
            inside = seen[round(1.2 * FPS) : round(1.8 * FPS)]
            span = (seen.quantile(0.98) - seen.min()).clamp(min=1e-6)
            shares[name].append(100 * float(inside.clamp(min=0).mean() / span))
    return shares


def memory(session: Session) -> dict[str, Any]:
    """Compare the peak resident memory of a process that streams 60 s with that of one that streams 10 s.

    Args:
        session: Of which only the model's name counts; each process loads its own.

    Returns:
        `long` and `short`, KiB.
    """
    known = os.environ.get("PYTHONPATH", "")
    paths = os.pathsep.join(part for part in (str(ROOT), known) if part)
    peaks = [
        int(
            subprocess.check_output(
                [sys.executable, "-m", stream.__name__, str(seconds), session.name],
                env={**os.environ, "PYTHONPATH": paths},
            ).split()[-1]
        )
        for seconds in (LONG_S, SHORT_S)
    ]
    return {"long": peaks[0], "short": peaks[1]}
