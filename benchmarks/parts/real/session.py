"""What a run of `benchmarks.real_people` was asked for, and what its parts share."""

from __future__ import annotations

import argparse
import contextlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from portraittalk_core.errors import NoFaceFound, OutOfDomain
from portraittalk_core.media.image import cut_square, read_image
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.types import Identity

from .looking import Photograph
from .material import PICTURES, clips, files, may_be_shown, read_clip
from .readings import Read

WIDEST_YAW = 45.0
"""Degrees; a photograph that is turned further is a profile."""


@dataclass(frozen=True)
class Portrait:
    """A photograph that can speak."""

    photograph: Photograph
    """The picture, and what MediaPipe reads in its crop."""

    identity: Identity
    """What the model sees of it."""

    public: bool
    """Whether it may be published."""


@dataclass
class Session:
    """The model, MediaPipe, and the people."""

    given: argparse.Namespace
    """The command line."""

    model: PortraitTalk
    """Tiny."""

    read: Read
    """MediaPipe."""

    folder: Path
    """Of what was made by these weights."""

    page: Path
    """Where the tables go; the sheet that is published stands beside it."""

    @property
    def stack(self) -> Any:
        """The model's stack, whose networks are looked into."""
        return self.model.stack

    def wanted(self, name: str) -> bool:
        """Say whether a clip or a portrait was asked for.

        Args:
            name: Of its file.
        """
        return not self.given.only or any(name.startswith(part) for part in self.given.only)

    @cached_property
    def looked_at(self) -> tuple[list[Portrait], dict[str, str]]:
        """The photographs that can speak, and why others cannot."""
        usable: list[Portrait] = []
        others: dict[str, str] = {}
        public = may_be_shown(self.given.portraits)
        for path in files(self.given.portraits, PICTURES):
            pixels = read_image(path)
            try:
                identity = self.stack.identify([pixels])
            except (NoFaceFound, OutOfDomain) as error:
                others[path.stem] = str(error)
                continue
            place = identity.places[0]
            reading = self.read(cut_square(pixels, place))
            if reading is None:
                others[path.stem] = "MediaPipe finds no face in the crop"
            elif abs(float(reading.turn[0])) > WIDEST_YAW:
                others[path.stem] = f"a profile: MediaPipe reads a yaw of {float(reading.turn[0]):.0f} degrees"
            else:
                points = identity.landmarks.new_tensor(reading.points)
                usable.append(Portrait(Photograph(path.stem, pixels, place, points), identity, path.name in public))
        return usable, others

    @property
    def portraits(self) -> list[Portrait]:
        """The photographs that can speak and were asked for."""
        return [p for p in self.looked_at[0] if self.wanted(p.photograph.name)]

    @cached_property
    def gallery(self) -> dict[str, Float[Tensor, "512"]]:
        """The face pack's embedding of every photograph and of every clip's first frame, by name."""
        found = {p.photograph.name: p.identity.embeddings[0].cpu() for p in self.looked_at[0]}
        for path in clips(self.given.clips):
            first = read_clip(path, 1)
            with contextlib.suppress(NoFaceFound):  # the clip is then left out, and says so
                found[path.stem] = self.stack.identify([first.frame(0)]).embeddings[0].cpu()
        return found
