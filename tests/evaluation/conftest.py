"""Small videos whose face is known without looking: a finder that reads its landmarks from a table."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor

from portraittalk_core.evaluation.scoring.tracks import Sighting
from portraittalk_core.media.video import VideoWriter
from portraittalk_core.types import Sound

from ..metrics.conftest import RATE, Talk, make_talk
from ..motion.faces import faces

SIDE = 96
FPS = 25.0


@dataclass
class TableFinder:
    """Sees row i of a track in picture i, in the middle of the picture; nobody in black pictures.

    MediaPipe's points are those of one face after the other and have nothing to do with the track.
    """

    track: Tensor
    name: str = "table"
    hint: str = "Look elsewhere."

    @contextlib.contextmanager
    def video(self, fps: float) -> Iterator[Callable[[Tensor], list[Sighting]]]:
        rows = iter(zip(self.track, itertools.cycle(faces().landmarks)))

        def find(pixels: Tensor) -> list[Sighting]:
            row, mesh = next(rows)
            return [] if float(pixels.mean()) < -0.9 else [Sighting(in_pixels(row), in_pixels(mesh))]

        yield find


def in_pixels(track: Tensor) -> Tensor:
    """Put a face of unit coordinates into the middle of a picture, small enough that a border stays free."""
    return (0.25 * track.float() + 0.5) * SIDE


def pictures(frames: int, seed: int = 0, noise: float = 0.0, level: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    still = torch.rand(1, 3, SIDE, SIDE, generator=generator) * 0.2 + level
    moved = still + noise * torch.randn(frames, 3, SIDE, SIDE, generator=generator)
    return moved.clamp(-1, 1)


def write(path: Path, frames: Tensor, voice: Tensor | None, fps: float = FPS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = None if voice is None else Sound(voice[None].float(), RATE)
    with VideoWriter(path, fps, (frames.shape[-2], frames.shape[-1]), sound) as writer:
        writer.append(frames)
    return path


@pytest.fixture(scope="session")
def talk() -> Talk:
    return make_talk(3, seconds=4.0)


@pytest.fixture(scope="session")
def finder(talk) -> TableFinder:
    return TableFinder(talk.landmarks)


@pytest.fixture(scope="session")
def video(tmp_path_factory, talk) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    return write(folder / "good.mp4", pictures(len(talk.landmarks), noise=0.02), talk.voice)
