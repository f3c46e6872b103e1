"""Measure a step of the SD1.5 stack, ours and diffusers' in turns, most valuable figures first, within a time."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from portraittalk_core.hosts.at_once import rows_that_fit, run_at_once
from portraittalk_core.hosts.sd15_models import VAE_SCALE, decoded
from portraittalk_core.kernels import choice
from portraittalk_core.kernels.choice import kernels
from portraittalk_core.presets import PRESETS

from .clocks import arithmetic, in_turns, kernels_by_kind, matrix_rate, peak_bytes, timed, wait, waits
from .networks import PARTS, Networks, Size, decoders

OURS, PLAIN, THEIRS = "ours", "ours, no kernels", "diffusers"
FAST_STEPS = 6
"""Of AnimateLCM, without guidance."""


class Session:
    """Figures as they come; what there is no time or memory for is left out, with one line that says so."""

    def __init__(self, size: Size, device: torch.device, dtype: torch.dtype, budget_s: float, rounds: int) -> None:
        """Measure nothing yet.

        Args:
            size: How large the step is.
            device: Where it runs.
            dtype: In which precision.
            budget_s: Seconds after which nothing new is begun.
            rounds: How often each way runs, at most.
        """
        self.size, self.device, self.dtype, self.rounds = size, device, dtype, rounds
        self.started = time.monotonic()
        self.deadline = self.started + budget_s
        self.found: dict[str, Any] = {"on": _machine(size, device, dtype)}
        self.left_out: list[str] = []

    def run(self) -> dict[str, Any]:
        """Measure.

        Returns:
            `on`, `step`, `memory`, `floor`, `kinds`, `waits`, `variants`, `vae`, `presets`, and `left out`.
        """
        with torch.inference_mode():
            nets = Networks(self.size, self.device, self.dtype)
            ways = self._ways(nets)
            self._try("step", lambda: self._steps(ways))
            self._try("variants", lambda: self._variants(nets))
            self._try("floor", lambda: self._floor(ways))
            self._try("waits", lambda: {name: waits(run, self.device) for name, run in ways.items()})
            self._try("memory", lambda: {name: peak_bytes(run, self.device) for name, run in ways.items()})
            self._try("kinds", lambda: {name: kernels_by_kind(run, self.device) for name, run in ways.items()})
            del ways
            self._try("vae", self._vae)
        self._try("presets", self._presets)
        self.found["seconds"] = time.monotonic() - self.started
        return {**self.found, "left out": self.left_out}

    def _try(self, name: str, measure: Callable[[], Any]) -> None:
        if time.monotonic() > self.deadline:
            self.left_out.append(f"{name}: no time was left")
            return
        try:
            self.found[name] = measure()
        except (RuntimeError, KeyError, ImportError) as error:  # of which torch.OutOfMemoryError is one
            self.left_out.append(f"{name}: {str(error).splitlines()[0] if str(error) else type(error).__name__}")

    def _ways(self, nets: Networks) -> dict[str, Callable[[], Tensor]]:
        """Return steps that have run, so that all is compiled and found."""
        made = {OURS: (nets.ours(), "auto"), PLAIN: (nets.ours(), "off")}
        try:
            made[THEIRS] = (nets.theirs(), "off")
        except (RuntimeError, ImportError) as error:
            self.left_out.append(f"diffusers: {str(error).splitlines()[0]}")
        ways: dict[str, Callable[[], Tensor]] = {}
        for name, (step, mode) in made.items():
            run = _within(step, lambda mode=mode: kernels(mode))
            first = timed(run, self.device)
            self.found.setdefault("first step", {})[name] = first
            timed(run, self.device)
            ways[name] = run
        self.found["kernels"] = sorted({str(key[0]) for key, good in choice._known.items() if good})
        self.found["agreement"] = _agreement(ways)
        return ways

    def _steps(self, ways: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
        half = (time.monotonic() + self.deadline) / 2
        return in_turns(ways, self.device, self.rounds, half)

    def _variants(self, nets: Networks) -> dict[str, float]:
        """Return seconds of other steps of ours."""
        steps = {"U-Net alone": nets.ours(parts=())}
        steps |= {f"U-Net and {part}": nets.ours(parts=(part,)) for part in PARTS}
        steps["one pass"] = nets.ours(guided=False)
        outer = nets.ours(reuse=1 << 30)  # the first of its runs is whole, all others are not
        outer()
        steps["outer layers"] = outer
        for step in steps.values():
            step()
        found = in_turns(steps, self.device, max(1, self.rounds // 2), self.deadline)
        searched = nets.ours()
        before = torch.backends.cudnn.benchmark
        torch.backends.cudnn.benchmark = True
        try:
            searched()
            searched()
            found["cudnn.benchmark"] = min(timed(searched, self.device) for _ in range(2))
        finally:
            torch.backends.cudnn.benchmark = before
        return found

    def _floor(self, ways: dict[str, Callable[[], Tensor]]) -> dict[str, Any]:
        work, rate = arithmetic(ways[PLAIN]), matrix_rate(self.device, self.dtype)
        step = self.found["step"]
        return {
            "flop": work,
            "rate": rate,
            "seconds": work / rate,
            "share": {k: work / rate / v for k, v in step.items()},
        }

    def _vae(self) -> dict[str, float]:
        """Return seconds of decoding a window: one at a time, as many as fit, and by TAESD."""
        latents = torch.randn(self.size.frames, 4, self.size.side, self.size.side, device=self.device).to(self.dtype)
        vae, small = decoders(self.size, self.device, self.dtype)
        fit = rows_that_fit(self.device, 4 * 256 * (8 * self.size.side) ** 2 * self.dtype.itemsize)
        ways = {
            "one at a time": lambda: [vae.decode(row / VAE_SCALE).sample for row in latents.split(1)],
            f"{fit} at once": lambda: list(run_at_once(latents, lambda rows: decoded(vae, rows), fit)),
            "TAESD": lambda: decoded(small, latents),
        }
        for way in ways.values():
            way()
        return in_turns(ways, self.device, max(1, self.rounds // 2), self.deadline)

    def _presets(self) -> dict[str, dict[str, float]]:
        """Return frames a second in a long video, whose windows share frames, as these figures say."""
        sampling = PRESETS["sd15-portraittalk"]().sampling
        new = self.size.frames * (1 - sampling.overlap / sampling.window)
        step, variants, vae = self.found["step"], self.found["variants"], self.found["vae"]
        vae = {name: value / self.size.frames for name, value in vae.items()}
        at_once = next(value for name, value in vae.items() if name.endswith("at once"))
        mean = (step[OURS] + variants["outer layers"]) / 2
        spent = {
            "as it comes": sampling.steps * step[OURS] / new + at_once,
            "every other step whole": sampling.steps * mean / new + at_once,
            "fast": FAST_STEPS * variants["one pass"] / new + vae["TAESD"],
        }
        if THEIRS in step:
            spent["diffusers, as many steps"] = sampling.steps * step[THEIRS] / new + vae["one at a time"]
        return {name: {"seconds a frame": value, "frames a second": 1 / value} for name, value in spent.items()}


def _within(step: Callable[[], Tensor], context: Callable[[], AbstractContextManager[object]] = nullcontext) -> Any:
    def run() -> Tensor:
        with context():
            return step()

    return run


def _agreement(ways: dict[str, Callable[[], Tensor]]) -> dict[str, float]:
    """Return how far each way's result is from ours without kernels, in units of its spread.

    diffusers normalises all frames of a clip together before attention over time, we one at a time, as AnimateDiff
    does: that difference remains.
    """
    results = {name: run().float() for name, run in ways.items()}
    plain = results.pop(PLAIN)
    return {name: float((made - plain).std() / plain.std()) for name, made in results.items()}


def _machine(size: Size, device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    name = "cpu"
    if device.type != "cpu":
        wait(device)
        name = torch.get_device_module(device).get_device_name(device)
    import diffusers

    return {
        "device": name,
        "precision": str(dtype).removeprefix("torch."),
        "torch": torch.__version__,
        "diffusers": diffusers.__version__,
        "triton": choice.installed(),
        "python": platform.python_version(),
        "size": 8 * size.side,
        "frames": size.frames,
        "channels": list(size.shape.channels),
    }
