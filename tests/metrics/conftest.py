"""Talking avatars with exact landmarks and a voice made from their own mouths, so that the truth is known."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from portraittalk_core.avatars import parameters as traits
from portraittalk_core.avatars.landmarks import landmarks

RATE = 16_000


@dataclass(frozen=True)
class Talk:
    """A talking avatar: landmarks [frames, 70, 2], its voice at 16 kHz, frame rate, and what moves it."""

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
    people = (traits.sample_identity(generator), traits.sample_attributes(generator), traits.sample_light(generator))
    calm = traits.Traits(dict.fromkeys(traits.EXPRESSION, 0.0))
    frontal = traits.Traits({**dict.fromkeys(traits.POSE, 0.0), "scale": 1.0})
    rows = traits.pack(*people, calm, frontal).repeat(frames, 1)
    for name, values in columns.items():
        traits.column(rows, name).copy_(values)
    return Talk(landmarks(rows).double(), voice_of(mouth, seconds), fps, columns)


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
