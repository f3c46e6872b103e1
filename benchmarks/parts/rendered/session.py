"""What a run of `benchmarks.rendered_people` was asked for, and what its parts share."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.checkpoints.native import PARTS, model_files, model_folder, second_stage
from portraittalk_core.evaluation.benchmark.variants import tiny_stack
from portraittalk_core.looks import restyled
from portraittalk_core.media.image import resize
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.types import Identity, LatentVideo, StructureMaps

from ..real.readings import Read
from .material import Truth, truth

PROMPT = "a person"
"""Says nothing that the portrait does not show."""

SIDE = 256
"""Side of all pictures, pixels."""

_NO_FACE = 512  # numbers of an embedding


@dataclass(frozen=True)
class Made:
    """Frames of a moving portrait."""

    decoded: Float[Tensor, "f 3 s s"]
    """As the denoiser drew them; where a prompt changes the photograph, only that: one frame at rest."""

    finished: Float[Tensor, "f 3 s s"]
    """With the pixels that the photograph has."""


@dataclass
class Session:
    """A model, and the people it is tried on."""

    given: argparse.Namespace
    """The command line."""

    name: str
    """Of the model: `tiny`, or its folder."""

    model: PortraitTalk
    """Of the tiny kind."""

    folder: Path
    """Of what was measured of these weights."""

    read: Read | None = None
    """MediaPipe, where it was asked for."""

    _truths: dict[int, Truth] = field(default_factory=dict[int, Truth])

    @property
    def stack(self) -> TinyStack:
        """The model's stack."""
        return tiny_stack(self.model)

    def truth(self, number: int) -> Truth:
        """Return the true pictures of a person.

        Args:
            number: From 0.
        """
        if number not in self._truths:
            self._truths.clear()  # a person's pictures are 60 MB
            self._truths[number] = truth(number, self.given.frames, self.given.work / "people")
        return self._truths[number]

    def kept(self, name: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return what was measured already, or measure it.

        Args:
            name: Of the file.
            measure: Gives what can be written as JSON.
        """
        file = self.folder / f"{name}.json"
        if self.given.again or not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(measure()))
        return json.loads(file.read_text())

    def embed(self, picture: Float[Tensor, "3 s s"]) -> list[float]:
        """Return the face pack's embedding of the face in a picture, zeros where it finds none.

        Args:
            picture: In [-1, 1].
        """
        found = self.stack.face_finder().find(picture)
        return found[0].embedding.tolist() if found else [0.0] * _NO_FACE


def make(
    model: PortraitTalk,
    identity: Identity,
    maps: StructureMaps,
    prompt: str,
    seed: int = 0,
    options: SamplingOptions | None = None,
) -> Made:
    """Make frames as the product does: what a prompt changes is drawn once, and then moved.

    Args:
        model: Of the tiny kind.
        identity: Who.
        maps: How the face moves.
        prompt: What is seen.
        seed: Of the noise.
        options: Of sampling.
    """
    stack = tiny_stack(model)
    track = PromptTrack(prompt, (), maps.fps, len(maps.landmarks))
    looks: list[list[LatentVideo]] = []

    def animate(*given: Any, **how: Any) -> Iterator[LatentVideo]:
        videos = list(model.animate(*given, **how))
        looks.append(videos)
        return iter(videos)

    rest = stack.rest(identity, maps.fps)
    look = restyled(stack, animate, identity, rest, track, SIDE, seed=seed, options=options)
    plain = options if look is identity or options is None else replace(options, cfg=None)
    videos = list(model.animate(look, maps, None, track, seed=seed, options=plain, edited=False))
    decoded = [frames for video in videos for frames in stack.decode(video)]
    used = model.draw(look, maps, None, track, SIDE, seed=seed, options=plain, edited=False)
    finished = torch.cat([f.pixels for f in stack.composite(used, look, maps, SIDE)])
    # Of the pictures of a look the first is what the prompt asks for.
    drawn = [frames for video in (looks or [[]])[0] for frames in stack.decode(video)] or decoded
    pictures = torch.cat([f.pixels for f in drawn])
    return Made(pictures if pictures.shape[-1] == SIDE else resize(pictures, SIDE, SIDE), finished)


def complete(name: str, work: Path) -> str:
    """Return a folder with every file of a model: what a folder of weights lacks is that of the shipped one.

    Args:
        name: `tiny`, or a folder that holds at least one of a model's files.
        work: Where such a folder may be put together, of links.
    """
    given = model_folder(name)
    own = [given / f"{part}.safetensors" for part in PARTS if (given / f"{part}.safetensors").is_file()]
    if name == "tiny" or not own or (len(own) == len(PARTS) and (given / "faces").is_dir()):
        return name
    folder = work / "models" / str(given.resolve()).strip("/").replace("/", "+")
    folder.mkdir(parents=True, exist_ok=True)
    files = {file.name: file for file in model_files("tiny").values()} | {file.name: file for file in own}
    if (later := second_stage(files["denoiser.safetensors"])).is_file():
        files[later.name] = later
    files["tokenizer.json"] = model_folder("tiny") / "tokenizer.json"
    files["faces"] = given / "faces" if (given / "faces").is_dir() else model_folder("tiny") / "faces"
    for link, file in files.items():
        (folder / link).unlink(missing_ok=True)
        (folder / link).symlink_to(file.resolve())
    return str(folder)
