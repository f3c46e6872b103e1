"""Small clips of a rendered face, and tools that know where it is without looking."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

from portraittalk_core.checkpoints.native import load_structure, model_folder
from portraittalk_core.evaluation.scoring.tracks import Sighting
from portraittalk_core.media.video import VideoWriter
from portraittalk_core.motion.structure import FaceFitter
from portraittalk_core.preparation.clip import Tools
from portraittalk_core.preparation.settings import Limits, Settings
from portraittalk_core.topology import IBUG
from portraittalk_core.types import Sound

from ..rendered_people import points, portraits

MESHES, PICTURES = torch.from_numpy(points()), portraits()[0]


def frames(count: int, person: int = 0) -> Tensor:
    """Return the same picture of a person [count, 3, 256, 256], every second moved by two pixels."""
    picture = PICTURES[person]
    return torch.stack([picture.roll(2 * (k % 2), -1) for k in range(count)])


def write(path: Path, pixels: Tensor, voice: Tensor | None = None, fps: float = 25.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = None if voice is None else Sound(voice[None].float(), 16_000)
    with VideoWriter(path, fps, tuple(pixels.shape[-2:]), sound, provenance=None) as writer:
        writer.append(pixels)
    return path


@dataclass
class KnownFinder:
    """Sees the face of a person in every picture that is not black."""

    person: int = 0
    name: str = "known"
    hint: str = "Look elsewhere."
    began: list[float] = field(default_factory=list)

    @contextlib.contextmanager
    def video(self, fps: float) -> Iterator[Callable[[Tensor], list[Sighting]]]:
        self.began.append(fps)
        number = 0

        def find(pixels: Tensor) -> list[Sighting]:
            nonlocal number
            mesh = MESHES[self.person] + torch.tensor([2.0 * (number % 2), 0])
            number += 1
            return [] if float(pixels.mean()) < -0.9 else [Sighting(mesh[list(IBUG)], mesh)]

        yield find


@pytest.fixture(scope="session")
def fitter() -> FaceFitter:
    return load_structure(model_folder("tiny") / "structure.safetensors")[0].eval()


@pytest.fixture
def tools(fitter) -> Tools:
    return Tools(KnownFinder(), lambda picture, mesh: torch.eye(512)[0], fitter)


@pytest.fixture(scope="session")
def settings() -> Settings:
    return Settings(size=128, validation=0.0, limits=Limits(silent=True, least_s=0.4, longest_s=0.8))
