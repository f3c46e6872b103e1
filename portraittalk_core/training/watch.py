"""Watch a run: its curve, TensorBoard where that is installed, what makes it stop, and a warning of the machine."""

from __future__ import annotations

import csv
import json
import logging
import math
import signal
import threading
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import PortraitTalkError
from .checkpoint import State

logger = logging.getLogger(__name__)

EVERY = 25
"""Steps of which a line of the curve is the mean."""


class TrainingStopped(PortraitTalkError):
    """A run was ended because its loss went wrong."""


class Curve:
    """Means of the losses, a line every `EVERY` steps and one at the end; what the machine did is in `speed.csv`.

    The same figures go to TensorBoard, where that is installed.
    """

    def __init__(self, folder: Path, every: int = EVERY) -> None:
        """Name the run.

        Args:
            folder: Of the run.
            every: Steps of a line.
        """
        self._every, self._folder = every, folder
        self._sums: dict[str, Any] = {}
        self._count = 0
        self._last = State()
        self._rate = self._last_waited = 0.0
        self._board: Any = None
        self._begun, self._samples, self._waited = time.monotonic(), 0, 0.0

    def begin(self, state: State) -> None:
        """Go on from where a run stands: what was noted after that is forgotten.

        Args:
            state: That was reached.
        """
        step = state.step
        self._board = _tensorboard(self._folder, step)
        self._begun, self._samples = time.monotonic(), state.samples
        for name in ("curve.csv", "speed.csv", "validation.csv"):
            file = self._folder / name
            if file.exists():
                first, *rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
                known = [row for row in rows if int(row.partition(",")[0]) <= step]
                file.write_text("".join([first, *known]), encoding="utf-8")

    def add(self, state: State, losses: Mapping[str, Tensor], waited_s: float, rate: float) -> None:
        """Count a step.

        Args:
            state: After it.
            losses: Of the step.
            waited_s: Seconds for which data was waited for, over all steps.
            rate: The learning rate.
        """
        # Sums stay on the device: reading a number every step would make a GPU wait for the processor.
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1
        self._last, self._rate, self._last_waited = replace(state), rate, waited_s
        if state.step % self._every == 0:
            self._write()

    def _write(self) -> None:
        """Write a line of the steps since the last."""
        state = self._last
        means = {name: round(float(v) / self._count, 5) for name, v in self._sums.items()}
        now = time.monotonic()
        spent = max(now - self._begun, 1e-9)
        speed = {
            "rate": self._rate,
            "samples_a_second": round((state.samples - self._samples) / spent, 3),
            "waiting_share": round(min(1.0, (self._last_waited - self._waited) / spent), 4),
            "memory_gb": round(_peak_bytes() / 1e9, 3),
        }
        self._begun, self._samples, self._waited, self._sums = now, state.samples, self._last_waited, {}
        self._count = 0
        known = {"step": state.step, "samples": state.samples}
        _append(self._folder / "curve.csv", {**known, "seconds": round(state.seconds, 1), **means})
        _append(self._folder / "speed.csv", {**known, **speed})
        if self._board is not None:
            for kind, values in (("loss", means), ("speed", speed)):
                for name, value in values.items():
                    self._board.add_scalar(f"{kind}/{name}", value, state.step)

    def note(self, step: int, values: Mapping[str, float]) -> None:
        """Keep figures of validation.

        Args:
            step: That was reached.
            values: By name.
        """
        _append(self._folder / "validation.csv", {"step": step, **{k: round(v, 5) for k, v in values.items()}})
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(f"validation/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        if self._count:
            self._write()
        if self._board is not None:
            self._board.close()


def _append(file: Path, row: Mapping[str, Any]) -> None:
    fresh = not file.exists()
    with open(file, "a", newline="", encoding="utf-8") as opened:
        writer = csv.writer(opened)
        if fresh:
            writer.writerow(row)
        writer.writerow(row.values())


def _tensorboard(folder: Path, step: int) -> Any:
    """Return what writes for TensorBoard, which shows nothing that an earlier call noted after a step."""
    try:
        from torch.utils.tensorboard.writer import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)


def _peak_bytes() -> float:
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    try:
        import resource  # not on Windows
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


class Guard:
    """Ends a run whose loss is not finite, or jumps; the batches since the last look are named in a file."""

    def __init__(self, folder: Path, times: float, every: int = 10) -> None:
        """Set what a jump is.

        Args:
            folder: Of the run, where `stopped.json` is written.
            times: How many times the mean before is a jump; 0: only what is not finite ends the run.
            every: Steps between two looks, at which a GPU is waited for.
        """
        self._folder, self._times, self._every = folder, times, every
        self._recent: list[tuple[int, tuple[str, ...], Tensor]] = []
        self._mean: float | None = None

    def add(self, step: int, names: tuple[str, ...], loss: Tensor) -> None:
        """Take a step's loss, and look at those since the last look.

        Args:
            step: Its number.
            names: Of the samples in its batches.
            loss: Of the step, on its device.

        Raises:
            TrainingStopped: When a loss is not finite, or jumps.
        """
        self._recent.append((step, names, loss.detach()))
        if len(self._recent) >= self._every:
            self.look()

    def look(self) -> None:
        """Look at the losses since the last look, as before a checkpoint is written.

        Raises:
            TrainingStopped: When one is not finite, or jumps.
        """
        if not self._recent:
            return
        values = torch.stack([value.float() for _, _, value in self._recent]).tolist()
        for (number, whose, _), value in zip(self._recent, values, strict=True):
            jump = self._times and self._mean is not None and value > self._times * self._mean
            if not math.isfinite(value) or jump:
                self._stop(number, whose, value, values)
            self._mean = value if self._mean is None else 0.98 * self._mean + 0.02 * value
        self._recent.clear()

    def _stop(self, step: int, names: tuple[str, ...], value: float, values: list[float]) -> None:
        batches = [
            {"step": number, "loss": str(found), "samples": list(whose)}
            for (number, whose, _), found in zip(self._recent, values, strict=True)
        ]
        file = self._folder / "stopped.json"
        said = {"step": step, "loss": str(value), "mean": self._mean, "samples": list(names), "batches": batches}
        file.write_text(json.dumps(said, indent=1), encoding="utf-8")
        what = "is not finite" if not math.isfinite(value) else f"is {value / (self._mean or 1):.0f} times the mean"
        raise TrainingStopped(
            f"the loss of step {step} {what} ({value:g}); {file} names its samples. Look at them, lower `rate`, or "
            "raise `stop_at_spike`; the last checkpoint is from before."
        )


class Warned:
    """Whether the machine has said that it will soon be taken away."""

    def __init__(self) -> None:
        self.at: float | None = None
        """When it was said, by `time.monotonic`; None for not yet."""

    def __bool__(self) -> bool:
        return self.at is not None


@contextmanager
def warnings_of_the_machine() -> Generator[Warned, None, None]:
    """Take SIGTERM, a cluster's warning, as a wish to save and stop after the batch that runs, in this block."""
    warned = Warned()
    if threading.current_thread() is not threading.main_thread():
        yield warned
        return

    def note(_number: int, _frame: Any) -> None:
        warned.at = time.monotonic()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield warned
    finally:
        signal.signal(signal.SIGTERM, before)
