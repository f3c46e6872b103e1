"""A model that draws nothing, and a folder with a picture and a sound, for commands that generate."""

from __future__ import annotations

import sys
import types as python_types
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch

from portraittalk_core.media.image import write_image
from portraittalk_core.motion.geometry import draw_lines
from portraittalk_core.perception.identity import identify
from portraittalk_core.perception.suitability import PortraitFinder
from portraittalk_core.types import CropPlace, FaceMotion, Frames, StructureMaps


class FakeStack:
    def draw(self, maps, size):
        return draw_lines(maps.landmarks, size).expand(-1, 3, -1, -1)


class FakeModel:
    """Records what it is given and yields grey frames in chunks of ten."""

    calls: ClassVar[list[dict]] = []
    error: type[BaseException] | None = None
    places: ClassVar[tuple[CropPlace, ...]] = ()
    portrait = None
    finder = None
    size = (32, 48)
    stack = FakeStack()

    @classmethod
    def load(cls, name, **options):
        cls.calls.append({"model": name, **options})
        return cls()

    def generate(self, images, sound, prompt, **options):
        self.calls.append({"images": images, "sound": sound, "prompt": prompt, **options})
        count = sound.frame_count(options["fps"])
        if options["on_motion"]:
            pose = torch.tensor([0.0, 0, 0, 0, 0, 1]).expand(count, 6)
            spoken = FaceMotion(torch.full((count, 52), 0.25), pose, float(options["fps"]))
            motion = options.get("motion")
            options["on_motion"](spoken if motion is None else motion(spoken) if callable(motion) else motion)
        if self.finder:
            identify(images, PortraitFinder(self.finder), face=options["face"])
        options["on_identity"](python_types.SimpleNamespace(places=self.places, portrait=self.portrait))
        if options["on_structure"]:
            landmarks = torch.rand(count, 478, 2, generator=torch.Generator().manual_seed(0)) - 0.5
            options["on_structure"](StructureMaps(landmarks, torch.zeros(count, 2, 3), options["fps"]))
        for start in range(0, count, 10):
            if start and self.error:
                raise self.error("no face here")
            options["on_step"](start, count)
            yield Frames(
                torch.linspace(-1, 1, count)[start : start + 10, None, None, None].expand(-1, 3, *self.size), 25
            )


@pytest.fixture
def model(monkeypatch):
    fake = type("Fake", (FakeModel,), {"calls": []})
    module = python_types.ModuleType("portraittalk_core.pipeline")
    module.PortraitTalk = fake
    monkeypatch.setitem(sys.modules, "portraittalk_core.pipeline", module)
    return fake


@pytest.fixture
def folder(tmp_path):
    write_image(tmp_path / "a.png", torch.rand(3, 64, 64) * 2 - 1)
    soundfile.write(tmp_path / "s.wav", 0.1 * np.sin(np.arange(32000) / 10), 16000)
    return tmp_path
