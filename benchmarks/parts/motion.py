"""Rows of docs/tiny.md: does the picture follow the motion? Mouth, head and eyes, likeness, stillness."""

from __future__ import annotations

import argparse
import json
import sys

import torch
from torch import Tensor

from portraittalk_core.evaluation.benchmark.variants import tiny_stack
from portraittalk_core.motion.geometry import eye_opening, mouth_opening, placement
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import LANDMARKS, StructureMaps

from .people import FPS, Subject, draw_subject

QUANTITIES = ("jaw", "yaw", "pitch", "roll", "blink")
"""What is read off pictures."""


def measure(model: PortraitTalk, given: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Make a clip of every person from the exact landmarks of the commanded motion, and read it.

    Args:
        model: The tiny model.
        given: `people`, `frames` of each clip, and the folder `work`.

    Returns:
        By the row's name: `value`, `ceiling` where there is one, `n`.
    """
    rows = [one(model, number, given) for number in range(given.people)]
    found = {
        f"{name} r": {"value": _mean(rows, name), "ceiling": _mean(rows, f"{name} ceiling"), "n": len(rows)}
        for name in QUANTITIES
    }
    found["likeness, dB"] = {"value": _mean(rows, "likeness"), "n": len(rows)}
    found["stillness, of 255"] = {"value": _mean(rows, "stillness"), "n": len(rows)}
    return found


def _mean(rows: list[dict[str, float]], name: str) -> float:
    return sum(row[name] for row in rows) / len(rows)


def one(model: PortraitTalk, number: int, given: argparse.Namespace) -> dict[str, float]:
    """Make and read the clip of one person, unless that was done already.

    Args:
        model: The tiny model.
        number: Of the person.
        given: See `measure`.

    Returns:
        Correlations with the commanded motion and their ceilings, likeness in dB, stillness in levels of 255.
    """
    file = given.work / f"motion_{number}_{given.frames}.json"
    if file.exists():
        return json.loads(file.read_text())
    subject = draw_subject(number, given.frames)
    truth, produced = subject.clip[0], produce(model, subject, subject.caption())
    through = torch.cat([f.pixels for f in model.reconstruct(truth)])
    asked = {name: subject.column(name) for name in QUANTITIES}
    seen, best = read(model, produced), read(model, through)
    row = {name: correlation(seen[name], asked[name]) for name in QUANTITIES}
    row |= {f"{name} ceiling": correlation(best[name], asked[name]) for name in QUANTITIES}
    row["likeness"] = float(-10 * ((produced - through) / 2).square().mean((1, 2, 3)).log10().mean())
    still = (truth.std(0).amax(0) < 1e-4)[None].expand(3, -1, -1)
    row["stillness"] = float(produced.std(0)[still].mean() * 127.5)
    file.write_text(json.dumps(row))
    sys.stdout.write(f"  person {number}: " + ", ".join(f"{k} {v:.3f}" for k, v in row.items()) + "\n")
    sys.stdout.flush()
    return row


def produce(model: PortraitTalk, subject: Subject, prompt: str = "") -> Tensor:
    """Make a subject's clip from its exact landmarks.

    Args:
        model: The tiny model.
        subject: The person and the clip.
        prompt: What it shows.

    Returns:
        [frames, 3, 256, 256] in [-1, 1].
    """
    identity = model.stack.identify([subject.reference])
    points = subject.clip[1]
    maps = StructureMaps(points, placement(identity.landmarks[:1], points), FPS)
    prompts = PromptTrack(prompt, (), FPS, len(points))
    videos = model.animate(identity, maps, None, prompts, seed=subject.number)
    return torch.cat([frames.pixels for video in videos for frames in model.stack.decode(video)])


def read(model: PortraitTalk, frames: Tensor) -> dict[str, Tensor]:
    """Read mouth, head and eyes off pictures by the face pack; a frame without a face repeats the one before.

    Args:
        model: The tiny model, whose detector and fitter read.
        frames: [n, 3, h, w] in [-1, 1].

    Returns:
        By the names of `QUANTITIES`, [n]; angles in radians.
    """
    stack = tiny_stack(model)
    points: list[Tensor] = []
    for frame in frames:
        faces = stack.faces.find(frame)
        before = points[-1] if points else torch.zeros(LANDMARKS, 2)
        points.append(faces[0].landmarks / frame.shape[-1] * 2 - 1 if faces else before)
    landmarks = torch.stack(points)
    _, pose = stack.fitter(landmarks)
    return {
        "jaw": mouth_opening(landmarks),
        "yaw": pose[:, 0],
        "pitch": pose[:, 1],
        "roll": pose[:, 2],
        "blink": -eye_opening(landmarks),
    }


def correlation(a: Tensor, b: Tensor) -> float:
    """Compute Pearson's r.

    Args:
        a: [n].
        b: [n].

    Returns:
        -1 to 1; 0 where one side does not move.
    """
    a, b = a.double() - a.double().mean(), b.double() - b.double().mean()
    return float((a * b).sum() / (a.norm() * b.norm()).clamp(min=1e-9))
