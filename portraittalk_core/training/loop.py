"""The training loop. One loop serves every stage and size: what a stage updates is a value, not a branch in the code.

Accelerate drives it: one CPU, several processes of one thread each (which a small CPU prefers to one process of
several threads), one GPU or many. Everything random is drawn from a generator that is seeded by the batch, so a
resumed run repeats what an uninterrupted one would have done, number for number.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..config import TrainingConfig
from .checkpoint import Checkpoints, State
from .progress import plot_curve, progress_bar
from .spreading import spread, whole, whole_state
from .watch import Curve, Guard, TrainingStopped, Warned, warnings_of_the_machine

logger = logging.getLogger(__name__)

Batches = Callable[[int, int, int, torch.device], Iterable[Any]]
"""Yields the batches of a run from a first round on, for one of several ranks, on a device; a round has one a rank."""

Validate = Callable[[int, Path | None], Mapping[str, float]]
"""Takes a step and a folder for what can be looked at; returns figures by name. Averaged weights are in place.

Where weights are in pieces every process calls it, and all but the first get no folder."""


def train(
    module: nn.Module,
    batches: Batches,
    config: TrainingConfig,
    out: Path,
    max_steps: int | None = None,
    *,
    by_time: bool = False,
    validate: Validate | None = None,
) -> State:
    """Train a module until the time or the steps are over.

    Continues from `out` when it holds a checkpoint, see `checkpoint`. Writes `curve.csv`, `speed.csv` and `curve.png`,
    and to TensorBoard where that is installed. A Ctrl-C writes a checkpoint and is passed on; SIGTERM, by which a
    cluster announces that it takes a machine away, writes one after the batch that runs and ends the run. How it is
    spread over processes is said by whoever launches them, see `spreading`; a Ctrl-C saves no weights in pieces.

    Args:
        module: Takes a batch and a generator on the batch's device, and returns its losses, of which `loss` is
            minimised. Parameters that need no gradient stay as they are.
        batches: What it is trained on. `names` of a batch, where it has them, say what is in it, and `skipped` what was
            left out.
        config: Of the run; `minutes` counts this call alone.
        out: Folder of checkpoint and curve.
        max_steps: Steps in all, those before included; None: those of `config`.
        by_time: Let a learning rate that falls fall with the time, to its end when `minutes` are over, for machines
            whose speed nobody knows. A resumed run then repeats nothing number for number.
        validate: Called every `validate_every` steps.

    Returns:
        Where the run stands.

    Raises:
        BadConfig: When Accelerate is to spread the run in a way that there is not.
        TrainingStopped: When the loss is not finite, or jumps; what was saved before stays.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    # One process may do runs of several precisions, which Accelerate holds for the whole process; its ranks stay.
    AcceleratorState._reset_state()  # pyright: ignore[reportPrivateUsage]
    accelerator = Accelerator(mixed_precision=config.precision, cpu=not torch.accelerator.is_available())
    run = _Run(accelerator, module, config, out)
    return run.train(batches, max_steps or config.max_steps or None, by_time, validate)


class _Run:
    """A run on its device, from where it stood before."""

    def __init__(self, accelerator: Any, module: nn.Module, config: TrainingConfig, out: Path) -> None:
        torch.manual_seed(config.seed)
        self.accelerator, self.config, self.out = accelerator, config, out
        module.to(accelerator.device)
        self.spread = spread(accelerator, module, config)
        self.trained, self.optimiser = self.spread.trained, self.spread.optimiser
        self.average = {n: p.detach().clone() for n, p in self.trained.items()} if config.ema else {}
        self.checkpoints = Checkpoints(out, config.keep)
        self.state = self.checkpoints.read(self.trained, self.average, self.optimiser)
        self.curve = Curve(out) if accelerator.is_main_process else None
        self.guard = Guard(out, config.stop_at_spike)
        self.waited = 0.0
        if self.curve is not None:
            self.curve.begin(self.state)

    def train(self, batches: Batches, max_steps: int | None, by_time: bool, validate: Validate | None) -> State:
        accelerator, config, state = self.accelerator, self.config, self.state
        rank, ranks = accelerator.process_index, accelerator.num_processes
        source = iter(batches(state.step * config.accumulate, rank, ranks, accelerator.device))
        start, begun = time.monotonic(), state.seconds
        saved, saved_step = start, state.step
        keep = not self.spread.sharded  # a Ctrl-C finds processes at different places
        total = None if max_steps is None else max_steps - state.step
        end_s = begun + config.minutes * 60 if by_time else None
        try:
            with (
                warnings_of_the_machine() as warned,
                progress_bar(total, config.minutes, accelerator.is_main_process) as bar,
            ):
                while max_steps is None or state.step < max_steps:
                    state.seconds = begun + time.monotonic() - start
                    # Processes agree on what to do, or one would wait for the others for ever.
                    over = bool(warned) or state.seconds - begun >= config.minutes * 60
                    due = state.step > saved_step and time.monotonic() - saved > config.save_every_s
                    over, due = self._agreed(over, due)
                    if over:
                        break
                    if due:
                        saved, saved_step = time.monotonic(), state.step
                        self._save()
                    losses = self._step(source, end_s, warned)
                    if losses is None:
                        break
                    bar(losses)
                    if config.validate_every and validate and state.step % config.validate_every == 0:
                        self._validate(validate)
                if warned:
                    logger.warning("the machine will be taken away: the run ends after step %d", state.step)
            keep = True
        except TrainingStopped:
            keep = False  # nothing worse is saved
            raise
        finally:
            if self.curve is not None:
                self.curve.close()
            if keep:
                self._save()
            if self.curve is not None:
                plot_curve(self.out / "curve.csv", self.out / "curve.png")
        return state

    def _step(self, source: Iterator[Any], end_s: float | None, warned: Warned) -> dict[str, Tensor] | None:
        """Learn from as many batches as one step takes; None where a warning comes between two of them.

        Nothing was changed then: whoever goes on begins the step anew.
        """
        config, state, times = self.config, self.state, self.config.accumulate
        rate = _rate(config, state, end_s)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad()
        sums: dict[str, Tensor] = {}
        names: list[str] = []
        for part in range(times):
            if part and self._agreed(bool(warned), False)[0]:
                return None
            batch = self._next(source, names)
            last = part == times - 1
            with nullcontext() if last else self.spread.no_sync():
                losses = self.spread.forward(batch, self._generator(state.step * times + part))
                self.spread.step(losses, times)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach() / times
        self.spread.clip(config.clip_gradient)
        self.optimiser.step()
        state.step += 1
        ranks = self.accelerator.num_processes
        state.samples += config.refs * config.targets * config.clip * ranks * times
        if self.average:
            _follow(self.average, self.trained, min(config.ema, (state.step + 1) / (state.step + 10)))
        if self.curve is not None:
            self.curve.add(state, sums, self.waited, rate)
        self.guard.add(state.step, tuple(names), sums["loss"])
        return sums

    def _next(self, source: Iterator[Any], names: list[str]) -> Any:
        begun = time.monotonic()
        batch = next(source)
        # Whoever draws ahead says for how long draws were waited for; encoding them is no waiting.
        self.waited = getattr(source, "waited", self.waited + time.monotonic() - begun)
        names += getattr(batch, "names", ())
        for what in getattr(batch, "skipped", ()):
            logger.warning("%s; it is left out.", what)
            with open(self.out / "skipped.txt", "a", encoding="utf-8") as file:
                file.write(f"{what}\n")
        return batch

    def _generator(self, part: int) -> torch.Generator:
        """Return the generator of a round of batches: another for each rank, the same whenever it is asked for."""
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        return torch.Generator(self.accelerator.device).manual_seed((self.config.seed << 40) + part * ranks + rank)

    def _validate(self, validate: Validate) -> None:
        if self.curve is not None or self.spread.sharded:
            with _in_place(self.trained, self.average):
                found = validate(self.state.step, None if self.curve is None else self.out / "validation")
            if self.curve is not None:
                self.curve.note(self.state.step, found)
        self.accelerator.wait_for_everyone()

    def _save(self) -> None:
        """Write a checkpoint; where weights are in pieces every process has to bring its own."""
        if self.curve is None and not self.spread.sharded:
            return
        self.guard.look()
        first = self.curve is not None
        tensors = whole(self.trained, first), whole(self.average, first), whole_state(self.optimiser, first)
        if first:
            self.checkpoints.write(*tensors, self.state)

    def _agreed(self, stop: bool, save: bool) -> tuple[bool, bool]:
        """Return whether any process wants to stop, and whether the first wants to save."""
        accelerator = self.accelerator
        if accelerator.num_processes == 1:
            return stop, save
        wanted = torch.tensor([float(stop), float(save and self.curve is not None)], device=accelerator.device)
        stop_, save_ = (accelerator.reduce(wanted, "sum") > 0).tolist()
        return bool(stop_), bool(save_)


def _rate(config: TrainingConfig, state: State, end_s: float | None) -> float:
    """Return the learning rate: a warm-up, then a cosine down to `final_rate` at `config.steps`, if that is set.

    Where `end_s` is given, the cosine ends at that time instead.
    """
    warm = min(1.0, (state.step + 1) / max(config.warmup, 1))
    if not config.steps:
        return config.rate * warm
    progress = min(1.0, state.step / config.steps if end_s is None else state.seconds / max(end_s, 1e-9))
    return warm * (config.final_rate + (config.rate - config.final_rate) * 0.5 * (1 + math.cos(math.pi * progress)))


def _follow(average: dict[str, Tensor], trained: Mapping[str, Tensor], decay: float) -> None:
    with torch.no_grad():
        torch._foreach_lerp_(list(average.values()), [trained[n].detach() for n in average], 1 - decay)  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]


class _in_place:
    """Holds averaged weights in the place of the learned ones."""

    def __init__(self, trained: Mapping[str, Tensor], average: Mapping[str, Tensor]) -> None:
        self._trained, self._average = trained, average

    def __enter__(self) -> None:
        self._swap()

    def __exit__(self, *_error: object) -> None:
        self._swap()

    def _swap(self) -> None:
        with torch.no_grad():
            for name, value in self._average.items():
                kept = value.clone()
                value.copy_(self._trained[name])
                self._trained[name].copy_(kept)
