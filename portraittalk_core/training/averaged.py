"""Train a network that reads pictures: Muon, a falling rate, averaged weights, a curve, and a state to go on from."""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..checkpoints.native import save_modules
from ..checkpoints.writing import save_state
from .optimiser import MuonAdamW

log = logging.getLogger(__name__)

_RISING = 100  # steps
_KEPT = 0.995  # of the average in a step
_ROW = 50  # steps a row of the curve
_SAVED_S = 120.0  # seconds between states


def train_averaged(
    net: Any,
    losses: Callable[[int], Mapping[str, Tensor]],
    out: Path,
    name: str,
    minutes: float,
    *,
    steps: int,
    rate: float,
) -> Path:
    """Train, or go on.

    Args:
        net: The network, whose `config` builds it.
        losses: Returns those of a step; `loss` is minimised, all are in the curve.
        out: Gets `{name}.safetensors` (averaged weights), `state.pt` and `{name}.csv`.
        name: Of the files.
        minutes: Wall time of this run.
        steps: At which the learning rate has fallen to its end.
        rate: Highest learning rate.

    Returns:
        The weights' file.
    """
    out.mkdir(parents=True, exist_ok=True)
    optimiser = MuonAdamW(net.parameters(), rate, betas=(0.9, 0.98), weight_decay=1e-3)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    step, spent = 0, 0.0
    if (out / "state.pt").exists():
        state = torch.load(out / "state.pt", weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, spent = state["average"], state["step"], state["seconds"]
    start, saved, sums = time.monotonic(), time.monotonic(), []

    def save() -> None:
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "average": average, "step": step}
        save_state({**state, "seconds": spent + time.monotonic() - start}, out / "state.pt")
        save_modules(out / f"{name}.safetensors", average, net.config)

    with open(out / f"{name}.csv", "a", newline="", encoding="utf-8") as file:
        curve = csv.writer(file)
        while time.monotonic() - start < minutes * 60 and step < steps:
            falling = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps))
            for group in optimiser.param_groups:
                group["lr"] = rate * min(1, (step + 1) / _RISING) * falling
            found = losses(step)
            optimiser.zero_grad()
            found["loss"].backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            step += 1
            keep = min(_KEPT, step / (step + 10))
            for key, value in net.state_dict().items():
                average[key].lerp_(value, 1 - keep)
            sums.append([float(value.detach()) for value in found.values()])
            if step % _ROW == 0:
                row = [round(float(v), 4) for v in torch.tensor(sums).mean(0)]
                curve.writerow([step, round(spent + time.monotonic() - start, 1), *row])
                file.flush()
                log.info("step %d: %s %s", step, ", ".join(found), row)
                sums = []
            if time.monotonic() - saved > _SAVED_S:
                saved = time.monotonic()
                save()
    save()
    return out / f"{name}.safetensors"


def steps_done(out: Path) -> int:
    """Return how many steps the training in a folder has made.

    Args:
        out: As `train_averaged` has it.
    """
    file = out / "state.pt"
    return torch.load(file, weights_only=True, mmap=True)["step"] if file.exists() else 0
