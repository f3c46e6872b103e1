"""Talking faces with exact landmarks and a voice made from their own mouths, so that the truth is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

RATE = 16_000

FACE = Path(__file__).with_name("talk.json")
"""A face in space: `rest`, and how far each word of a motion moves its points; `make_talk.py` drew it."""


@dataclass(frozen=True)
class Talk:
    """A talking face: landmarks [frames, 70, 2], its voice at 16 kHz, frame rate, and what moves it."""

    landmarks: Tensor
    voice: Tensor
    fps: float
    columns: dict[str, Tensor]


def syllables(seconds: float, generator: torch.Generator) -> Tensor:
    """Return how far a mouth opens, 1000 values a second: syllables of unlike length and size, and pauses."""
    track = torch.zeros(round(seconds * 1000))
    at = int(torch.randint(200, 600, (), generator=generator))
    since_pause = 0
    while at < len(track) - 700:
        length = int(torch.randint(100, 480, (), generator=generator))
        track[at : at + length] = (0.3 + 0.7 * float(torch.rand((), generator=generator))) * torch.hann_window(length)
        at, since_pause = at + length, since_pause + 1
        if since_pause > 3 and float(torch.rand((), generator=generator)) < 0.25:
            at, since_pause = at + 800, 0
    return track


def make_talk(seed: int, seconds: float = 6.0, fps: float = 25.0, moves: bool = True) -> Talk:
    generator = torch.Generator().manual_seed(0x9E3779B97F4A7C15 * (seed + 1) % 2**62)  # near seeds draw alike
    mouth = syllables(seconds, generator)
    frames = round(seconds * fps)
    when = (torch.arange(frames) + 0.5) / fps
    opening = mouth[(when * 1000).long()]
    sway = [torch.sin(6.28 * (0.15 + 0.1 * k) * when + k + seed) for k in range(4)]
    columns = {"jaw": opening, "wide": 0.4 * opening, "blink": ((when % 2.5) < 0.12).float()}
    if moves:
        columns |= {"yaw": 0.15 * sway[0], "pitch": 0.08 * sway[1], "roll": 0.06 * sway[2]}
        columns["brow_raise"] = 0.3 * sway[3].clamp(min=0)
    return Talk(project(columns, frames, generator), voice_of(mouth, seconds), fps, columns)


def project(columns: dict[str, Tensor], frames: int, generator: torch.Generator) -> Tensor:
    """Return the points [frames, 70, 2] of somebody's face that moves as the columns say, seen from far away."""
    found = json.loads(FACE.read_text(encoding="utf-8"))
    face = {name: torch.tensor(values, dtype=torch.float64).view(70, 3) for name, values in found.items()}
    points = face["rest"].expand(frames, -1, -1)
    for name in columns.keys() & face.keys():
        points = points + columns[name].double()[:, None, None] * face[name]
    points = points * (1 + 0.08 * torch.randn(3, generator=generator, dtype=torch.float64))
    yaw, pitch, roll = (columns.get(name, torch.zeros(frames)).double()[:, None] for name in ("yaw", "pitch", "roll"))
    x, y, z = points.unbind(-1)
    y, z = y * pitch.cos() + z * pitch.sin(), z * pitch.cos() - y * pitch.sin()
    x = x * yaw.cos() + z * yaw.sin()
    return 0.4 * torch.stack([x * roll.cos() - y * roll.sin(), x * roll.sin() + y * roll.cos()], -1)


def voice_of(mouth: Tensor, seconds: float) -> Tensor:
    """Return a buzz whose level follows the mouth, 20 ms ahead of it as in speech, over a faint hiss."""
    time = torch.arange(round(seconds * RATE)) / RATE
    buzz = sum(torch.sin(6.2832 * 120 * k * time + k * k) / k**0.5 for k in range(1, 40))
    ahead = mouth[((time + 0.02) * 1000).long().clamp(max=len(mouth) - 1)]
    level = torch.where(ahead > 0.02, 10 ** (1.5 * (ahead - 1)), torch.zeros_like(ahead))
    hiss = torch.randn(len(time), generator=torch.Generator().manual_seed(0))
    return 0.05 * level * buzz + 1e-5 * hiss


def late(sound: Tensor, by_s: float) -> Tensor:
    count = round(by_s * RATE)
    if count >= 0:
        return torch.cat([torch.zeros(count), sound[: len(sound) - count]])
    return torch.cat([sound[-count:], torch.zeros(-count)])


@pytest.fixture(scope="session")
def talks() -> list[Talk]:
    return [make_talk(seed) for seed in range(4)]
