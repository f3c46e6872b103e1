"""Checkpoints of a run: whole or not there, the newest found again, older ones kept as far as was asked for.

A checkpoint is a folder `step-00001200` of three files: `model.safetensors` (averaged weights, to be used),
`last.safetensors` (to go on with) and `state.pt`. It is written under another name and then renamed, and the file
`latest` is replaced last, so that whatever ends the program leaves the one before. What is to be used lies in the run's
own folder as well, as links to the newest.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from ..checkpoints.writing import save_state, save_tensors
from .spreading import fill, fill_state

logger = logging.getLogger(__name__)

FILES = ("model.safetensors", "last.safetensors", "state.pt")
"""Of a checkpoint."""

_LATEST = "latest"


@dataclass
class State:
    """Where a run stands."""

    step: int = 0
    """Updates done."""

    samples: int = 0
    """Frames seen, over all processes."""

    seconds: float = 0.0
    """Wall time of all calls together."""


class Checkpoints:
    """Writes and reads the checkpoints of one run."""

    def __init__(self, folder: Path, keep: int = 0) -> None:
        """Name the run.

        Args:
            folder: Of the run.
            keep: Older checkpoints that are kept beside the last.
        """
        self.folder, self._keep = folder, keep

    def newest(self) -> Path | None:
        """Return the folder that a run goes on from, None where there is none."""
        mark = self.folder / _LATEST
        if mark.exists():
            return self.folder / mark.read_text(encoding="utf-8").strip()
        return self.folder if (self.folder / "state.pt").exists() else None  # of an older version

    def read(self, trained: Mapping[str, Tensor], average: Mapping[str, Tensor], optimiser: Any) -> State:
        """Go back to the newest checkpoint.

        Args:
            trained: Weights that are learned.
            average: Averaged weights; none where the run averages nothing.
            optimiser: Of the run.

        Returns:
            Where the run stands; its beginning where there is no checkpoint.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        for left in self.folder.glob("*.part"):  # of a program that was killed while it wrote
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
        place = self.newest()
        if place is None:
            return State()
        device = next(iter(trained.values())).device
        stored = torch.load(place / "state.pt", weights_only=True, map_location=device)
        with torch.no_grad():
            for target, name in ((trained, "last.safetensors"), (average, "model.safetensors")):
                for key, value in load_file(place / name).items() if target else ():
                    if key in target:
                        fill(target[key], value)
        fill_state(optimiser, stored["optimiser"])
        logger.info("resumed at step %d", stored["step"])
        return State(stored["step"], stored["samples"], stored["seconds"])

    def write(
        self, trained: Mapping[str, Tensor], average: Mapping[str, Tensor], optimiser: Mapping[str, Any], state: State
    ) -> None:
        """Write where a run stands, on the disk itself and not only in the system's memory.

        Args:
            trained: Weights that are learned, whole.
            average: Averaged weights; where there are none the learned ones are to be used.
            optimiser: The state of the run's.
            state: Where it stands.
        """
        name = f"step-{state.step:08d}"
        part, place = self.folder / f"{name}.part", self.folder / name
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        save_tensors({k: v.detach().contiguous() for k, v in trained.items()}, part / "last.safetensors")
        if average:
            save_tensors(dict(average), part / "model.safetensors")
        else:
            os.link(part / "last.safetensors", part / "model.safetensors")
        save_state({"optimiser": optimiser, **vars(state)}, part / "state.pt")
        for file in part.iterdir():
            _to_disk(file)
        if place.exists():  # at the same step, such as a run that had nothing to do
            shutil.rmtree(place)
        os.replace(part, place)
        _replace_text(self.folder / _LATEST, name)
        for file in FILES:
            _link(place / file, self.folder / file)
        for old in sorted(self.folder.glob("step-????????"))[: -1 - self._keep]:
            if old != place:
                shutil.rmtree(old)


def _to_disk(file: Path) -> None:
    with open(file, "rb") as opened:
        os.fsync(opened.fileno())


def _replace_text(file: Path, text: str) -> None:
    part = file.with_name(file.name + ".part")
    part.write_text(text, encoding="utf-8")
    _to_disk(part)
    os.replace(part, file)


def _link(source: Path, target: Path) -> None:
    """Put a file into the run's folder: the same bytes under a second name, or a copy where the disk cannot do that."""
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    try:
        os.link(source, part)
    except OSError:
        shutil.copyfile(source, part)
    os.replace(part, target)
