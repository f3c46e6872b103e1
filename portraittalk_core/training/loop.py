"""The training loop. One loop serves every stage: what a stage updates is a value, not a branch in the code.

Accelerate drives it: one CPU, several processes of one thread each (which a small CPU prefers to one process of
several threads), one GPU or many. Everything random is drawn from a generator that is seeded by the step, so a
resumed run repeats what an uninterrupted one would have done, number for number.
"""

from __future__ import annotations

import copy
import csv
import logging
import math
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..config import TrainingConfig
from .optimiser import MuonAdamW
from .progress import plot_curve, progress_bar

logger = logging.getLogger(__name__)

Batches = Callable[[int, int, int, torch.device], Iterable[Any]]
"""Yields the batches of steps from a first one on, for one of several ranks, on a device."""


@dataclass
class State:
    """Where a run stands."""

    step: int = 0
    """Updates done."""

    samples: int = 0
    """Frames seen, over all processes."""

    seconds: float = 0.0
    """Wall time of all calls together."""


def train(
    module: nn.Module,
    batches: Batches,
    config: TrainingConfig,
    out: Path,
    max_steps: int | None = None,
    *,
    by_time: bool = False,
) -> State:
    """Train a module until the time or the steps are over.

    Continues from `out` when it holds a checkpoint. Writes `model.safetensors` (the averaged weights, to be used),
    `last.safetensors` and `state.pt` (to resume), `curve.csv` and `curve.png`. A Ctrl-C writes a checkpoint and is
    passed on.

    Args:
        module: Takes a batch and a generator on the batch's device, and returns its losses, of which `loss` is
            minimised. Parameters that need no gradient stay as they are.
        batches: What it is trained on.
        config: Of the run; `minutes` counts this call alone.
        out: Folder of checkpoint and curve.
        max_steps: Steps in all, those before included.
        by_time: Let a learning rate that falls fall with the time, to its end when `minutes` are over, for machines
            whose speed nobody knows. A resumed run then repeats nothing number for number.

    Returns:
        Where the run stands.
    """
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=config.precision, cpu=not torch.accelerator.is_available())
    torch.manual_seed(config.seed)
    module.to(accelerator.device)
    trained = {n: p for n, p in module.named_parameters() if p.requires_grad}
    optimiser = MuonAdamW(trained.values(), config.rate, betas=(0.95, 0.98), weight_decay=config.weight_decay)
    average = {n: p.detach().clone() for n, p in trained.items()}
    state = _resume(out, trained, average, optimiser)
    wrapped, optimiser = accelerator.prepare(module, optimiser)
    curve = _Curve(out / "curve.csv") if accelerator.is_main_process else None
    source = iter(batches(state.step, accelerator.process_index, accelerator.num_processes, accelerator.device))
    start, saved, begun = time.monotonic(), time.monotonic(), state.seconds
    total = None if max_steps is None else max_steps - state.step
    end_s = begun + config.minutes * 60 if by_time else None
    try:
        with progress_bar(total, config.minutes, accelerator.is_main_process) as bar:
            while max_steps is None or state.step < max_steps:
                state.seconds = begun + time.monotonic() - start
                # Processes agree on when to stop, or the last one would wait for the others for ever.
                if _agreed(accelerator, state.seconds - begun >= config.minutes * 60):
                    break
                losses = _update(accelerator, wrapped, optimiser, next(source), config, state, end_s)
                _follow(average, trained, min(config.ema, (state.step + 1) / (state.step + 10)))
                if curve is not None:
                    curve.add(state, losses)
                    bar(losses)
                    if time.monotonic() - saved > config.save_every_s:
                        saved = time.monotonic()
                        _save(out, trained, average, optimiser, state)
    finally:
        if curve is not None:
            curve.close()
            _save(out, trained, average, optimiser, state)
            plot_curve(out / "curve.csv", out / "curve.png")
    return state


def _update(
    accelerator: Any,
    module: nn.Module,
    optimiser: Any,
    batch: Any,
    config: TrainingConfig,
    state: State,
    end_s: float | None,
) -> dict[str, Tensor]:
    rank, ranks = accelerator.process_index, accelerator.num_processes
    generator = torch.Generator(accelerator.device).manual_seed((config.seed << 40) + state.step * ranks + rank)
    for group in optimiser.param_groups:
        group["lr"] = _rate(config, state, end_s)
    losses = module(batch, generator)
    optimiser.zero_grad()
    accelerator.backward(losses["loss"])
    accelerator.clip_grad_norm_(module.parameters(), config.clip_gradient)
    optimiser.step()
    state.step += 1
    state.samples += config.refs * config.targets * config.clip * ranks
    return {name: value.detach() for name, value in losses.items()}


def _rate(config: TrainingConfig, state: State, end_s: float | None) -> float:
    """Return the learning rate: a warm-up, then a cosine down to `final_rate` at `config.steps`, if that is set.

    Where `end_s` is given, the cosine ends at that time instead.
    """
    warm = min(1.0, (state.step + 1) / max(config.warmup, 1))
    if not config.steps:
        return config.rate * warm
    progress = min(1.0, state.step / config.steps if end_s is None else state.seconds / max(end_s, 1e-9))
    return warm * (config.final_rate + (config.rate - config.final_rate) * 0.5 * (1 + math.cos(math.pi * progress)))


def _agreed(accelerator: Any, stop: bool) -> bool:
    if accelerator.num_processes == 1:
        return stop
    return bool(accelerator.reduce(torch.tensor(float(stop), device=accelerator.device), "sum") > 0)


def _follow(average: dict[str, Tensor], trained: Mapping[str, Tensor], decay: float) -> None:
    with torch.no_grad():
        torch._foreach_lerp_(list(average.values()), [trained[n].detach() for n in average], 1 - decay)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


def _resume(out: Path, trained: Mapping[str, Tensor], average: dict[str, Tensor], optimiser: Any) -> State:
    file = out / "state.pt"
    out.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        return State()
    stored = torch.load(file, weights_only=True, map_location=next(iter(trained.values())).device)
    with torch.no_grad():
        for target, name in ((trained, "last.safetensors"), (average, "model.safetensors")):
            for key, value in load_file(out / name).items():
                if key in target:
                    target[key].copy_(value)
    optimiser.load_state_dict(stored["optimiser"])
    logger.info("resumed at step %d", stored["step"])
    return State(stored["step"], stored["samples"], stored["seconds"])


def _save(
    out: Path, trained: Mapping[str, Tensor], average: Mapping[str, Tensor], optimiser: Any, state: State
) -> None:
    """Write each file under another name first: a run that is cut off keeps the checkpoint it had."""
    stored = {"optimiser": copy.copy(optimiser.state_dict()), **vars(state)}
    writers: tuple[tuple[str, Callable[[Path], None]], ...] = (
        ("last.safetensors", lambda p: save_file({k: v.detach().contiguous().cpu() for k, v in trained.items()}, p)),
        ("model.safetensors", lambda p: save_file({k: v.contiguous().cpu() for k, v in average.items()}, p)),
        ("state.pt", lambda p: torch.save(stored, p)),
    )
    for name, write in writers:
        part = out / f"{name}.part"
        write(part)
        os.replace(part, out / name)


class _Curve:
    """Means of the losses, a line every 25 steps."""

    def __init__(self, path: Path, every: int = 25) -> None:
        fresh = not path.exists()
        self._file = open(path, "a", newline="")  # noqa: SIM115 (closed in `close`)
        self._writer = csv.writer(self._file)
        self._every, self._fresh = every, fresh
        self._sums: dict[str, Any] = {}

    def add(self, state: State, losses: Mapping[str, Tensor]) -> None:
        # Sums stay on the device: reading a number every step would make a GPU wait for the processor.
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        if state.step % self._every == 0:
            if self._fresh:
                self._writer.writerow(["step", "samples", "seconds", *self._sums])
                self._fresh = False
            means = [round(float(v) / self._every, 5) for v in self._sums.values()]
            self._writer.writerow([state.step, state.samples, round(state.seconds, 1), *means])
            self._file.flush()
            self._sums = {}

    def close(self) -> None:
        self._file.close()
