"""Show how a run goes: a progress bar while it lasts, a plot of its curve afterwards."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_Advance = Callable[[Mapping[str, Any]], None]


@contextmanager
def progress_bar(steps: int | None, minutes: float, shown: bool) -> Generator[_Advance, None, None]:
    """Yield a function to call with the losses after every step.

    Args:
        steps: Of the run; None where only time bounds it, and the bar counts seconds.
        minutes: Of the run.
        shown: Whether the bar is drawn.
    """
    from tqdm import tqdm

    total, unit = (round(minutes * 60), "s") if steps is None else (steps, "step")
    if not math.isfinite(total):
        total = None
    start = shown_at = time.monotonic()
    with tqdm(total=total, unit=unit, disable=not shown, mininterval=2.0, dynamic_ncols=True) as bar:

        def update(losses: Mapping[str, Any]) -> None:
            nonlocal shown_at
            bar.update(1 if steps is not None else int(time.monotonic() - start) - bar.n)
            if time.monotonic() - shown_at > 2.0:
                shown_at = time.monotonic()
                bar.set_postfix({k: f"{float(v):.3f}" for k, v in losses.items()}, refresh=False)

        yield update


def plot_curve(source: Path, target: Path) -> None:
    """Draw every loss of a curve file over the samples seen; does nothing for an empty or missing curve.

    Args:
        source: The curve, as `loop.train` writes it.
        target: The picture.
    """
    if not source.exists():
        return
    with open(source, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4))
    axes = figure.add_subplot()
    samples = [float(row["samples"]) for row in rows]
    for name in rows[0]:
        if name not in ("step", "samples", "seconds"):
            axes.plot(samples, [float(row[name]) for row in rows], label=name)
    axes.set_xlabel("samples")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(target, dpi=120, bbox_inches="tight")
