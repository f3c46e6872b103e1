"""What a run of the people benchmark makes, and where the files of each clip lie."""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...checkpoints.hearing import RECORD
from ...checkpoints.native import model_folder
from ...errors import BadInput
from ..data.clips import Clip
from ..scoring.network_files import NetworkFiles
from .material import Material
from .people import LONGEST_S, PEOPLE, SENTENCES, PersonCase
from .variants import FULL, Variant, named


@dataclass(frozen=True)
class Settings:
    """What a run makes and how it scores. A value that cannot be is refused by `BadInput`."""

    folder: Path
    """Where everything lies."""

    model: str = "tiny"
    """What makes the clips: `tiny`, or a folder of weights."""

    device: str = "cpu"
    """Where the model runs."""

    people: int = PEOPLE
    """How many people; 1 or more."""

    sentences: int = SENTENCES
    """How many sentences of each; 1 or more."""

    longest_s: float = LONGEST_S
    """Where clips are cut at the latest, 1.5 to 30 seconds."""

    steps: int | None = None
    """Denoising steps; None for the model's own."""

    suite: str = "full"
    """See `figures.SUITES`."""

    faces: str | None = None
    """What finds the faces, see `tracks.open_finder`."""

    variants: tuple[str, ...] = (FULL.key,)
    """Keys of the variants, or `all`."""

    edits: bool = True
    """Whether prompt edits are judged too."""

    variant_people: int | None = None
    """Of how many people the variants beside the full model are made; None for all."""

    files: NetworkFiles = field(default_factory=NetworkFiles)
    """Networks that the user brought for scores."""

    def __post_init__(self) -> None:
        if self.people < 1 or self.sentences < 1:
            raise BadInput(f"`--people` must be 1 or more, but got {self.people} x {self.sentences}. Try {PEOPLE} x 2.")
        if self.variant_people is not None and not 1 <= self.variant_people <= self.people:
            raise BadInput(f"`--variant-people` must be 1 to {self.people}, but got {self.variant_people}. Try 16.")
        if not 1.5 <= self.longest_s <= 30:
            raise BadInput(f"`--seconds` must be from 1.5 to 30, but got {self.longest_s:g}. Try {LONGEST_S:g}.")
        named(self.variants)

    @property
    def cases(self) -> list[PersonCase]:
        """The clips, all sentences of a person together."""
        return [PersonCase(p, s, self.longest_s) for p in range(self.people) for s in range(self.sentences)]

    def cases_of(self, variant: Variant) -> list[PersonCase]:
        """Choose the clips of a variant.

        Args:
            variant: One of the run.

        Returns:
            The clips, those of fewer people for other variants than the full model where that was asked for.
        """
        most = self.people if variant.key == FULL.key else self.variant_people or self.people
        return [case for case in self.cases if case.person < most]

    def made_by(self) -> dict[str, Any]:
        """Name what a video depends on beside its case: model, weights, steps and device."""
        return {"model": self.model, "weights": fingerprint(self.model), "steps": self.steps, "device": self.device}


@dataclass(frozen=True)
class CaseFiles:
    """Where the files of one clip lie."""

    settings: Settings
    """Of the run."""

    case: PersonCase
    """The clip."""

    variant: Variant
    """How it is made."""

    @property
    def material(self) -> Material:
        """The files that the clip is made from; clips cut elsewhere have a folder of their own."""
        return Material(self.settings.folder / "material" / f"{self.case.longest_s:g}s", self.case)

    @property
    def video(self) -> Path:
        """The video that is scored."""
        if self.variant.key == "truth":
            return self.material.truth
        key = FULL.key if self.variant.key == "shifted-audio" else self.variant.key
        return self.settings.folder / "videos" / key / f"{self.case.name}.mp4"

    @property
    def facts(self) -> Path:
        """What was noted when it was made."""
        return self.settings.folder / "videos" / self.variant.key / f"{self.case.name}.json"

    @property
    def sound(self) -> Path:
        """The sound that it is scored with."""
        shifted = self.variant.key == "shifted-audio"
        return self.facts.with_suffix(".wav") if shifted else self.material.sound

    @property
    def made(self) -> bool:
        """Whether it is there and was made by these weights in this way."""
        if not (self.video.is_file() and self.sound.is_file()):
            return False
        return self.variant.key == "truth" or self._noted().get("made_by") == self.settings.made_by()

    @property
    def clip(self) -> Clip:
        """What is scored, with what was noted."""
        facts = {} if self.variant.key == "truth" else self._noted().get("facts", {})
        return Clip(self.video, self.case.name, self.sound, self.material.truth, facts)

    def _noted(self) -> dict[str, Any]:
        return read_json(self.facts)


@functools.cache
def fingerprint(model: str) -> str:
    """Name a model's weights: changed files, or another speech encoder that they hear with, another name.

    The face pack counts: what it finds in a photograph decides what is made of it.

    Args:
        model: `tiny`, or a folder of weights.

    Returns:
        Twelve hexadecimal digits.
    """
    digest, folder = hashlib.sha256(), model_folder(model)
    for file in (*sorted(folder.glob("*.safetensors")), *sorted((folder / "faces").glob("*.onnx"))):
        digest.update(file.read_bytes())
    if heard := read_json(folder / RECORD):  # of a file that lies elsewhere; where does not matter
        digest.update(json.dumps(heard.get("sign")).encode())
    return digest.hexdigest()[:12]


def read_json(path: Path) -> dict[str, Any]:
    """Read an object.

    Args:
        path: A JSON file.

    Returns:
        The object; {} where there is no file that holds one.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
