"""How long a video takes: the tiny model on a CPU, and a step of the SD1.5 stack beside diffusers' on a GPU.

    python -m benchmarks.speed --image photograph.jpg --audio voice.wav
    python -m benchmarks.speed --image photograph.jpg --audio voice.wav --seconds 4 --rounds 3 --json speed.json
    python -m benchmarks.speed --step --json step.json            on a GPU, at most 150 s
    python -m benchmarks.speed --step --small                     a rehearsal at small sizes, anywhere

With `--step` weights are random: nothing is downloaded, and time does not depend on them. Ours with its kernels, ours
without, and diffusers' AnimateDiff with ControlNet and FaceID run in turns on the same weights and inputs: a step's
time, memory, share of the floor, kernels by kind, waits for the device, VAE, and frames a second.

Each way is measured in turns in one process, after a short video that warms it up: as it comes, in float32, and with
every frame denoised. CPU seconds (user and system, of all threads) tell more than the clock where other programs run.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import torch

from portraittalk_core.hosts.devices import default_device, open_device
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import read_image
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.types import Sound

from .parts.program import command_line
from .parts.real.material import cut
from .parts.steps.measuring import Session
from .parts.steps.networks import FULL, SMALL
from .parts.steps.page import tables

WAYS: dict[str, tuple[str, int | None]] = {
    "auto": ("auto", None),
    "float32": ("float32", None),
    "every frame": ("auto", 2),
}
"""Precision and steps, by the name of the row."""

WARM_S = 0.5
"""Of the videos that are not measured."""


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Args:
        words: Of it; None: the process' own.
    """
    parser = command_line("speed", __doc__)
    add = parser.add_argument
    add("--image", help="a photograph")
    add("--audio", help="a recording")
    add(
        "--step", action="store_true", help="a step of the SD1.5 stack, ours and diffusers', instead of a video of tiny"
    )
    add("--small", action="store_true", help="with --step: small networks and pictures, to rehearse")
    add("--device", help="with --step: where (the accelerator, else the CPU)")
    add("--budget", type=float, default=130.0, help="with --step: seconds after which nothing new begins (%(default)g)")
    add("--model", default="tiny", help="or a folder of its files")
    add("--seconds", type=float, default=4.0, help="of the recording (%(default)s)")
    add("--size", type=int, default=256, help="side of the frames (%(default)s)")
    add("--rounds", type=int, help="how often each way is measured, of which the fastest counts (2; --step: 8, median)")
    add("--ways", nargs="+", choices=tuple(WAYS), default=list(WAYS))
    add("--json", type=Path, help="where the figures go, too")
    given = parser.parse_args(words)
    if not given.step and not (given.image and given.audio):
        parser.error("give --image and --audio, or --step")
    given.rounds = given.rounds or (8 if given.step else 2)
    return given


def timed(model: PortraitTalk, image: torch.Tensor, sound: Sound, size: int, steps: int | None) -> dict[str, float]:
    """Make one video.

    Args:
        model: Tiny.
        image: The photograph.
        sound: The recording.
        size: Side of the frames.
        steps: Of denoising; None: as usual.

    Returns:
        `seconds` and `cpu seconds` a second of video, and `first frame`, seconds after the call.
    """
    start, cpu, first, frames = time.perf_counter(), time.process_time(), 0.0, 0
    options = SamplingOptions(steps=steps)
    for chunk in model.generate([image], sound, "a person", size=size, options=options):
        first = first or time.perf_counter() - start
        frames += len(chunk.pixels)
    length = frames / 25
    spent = {"seconds": time.perf_counter() - start, "cpu seconds": time.process_time() - cpu}
    return {**{name: value / length for name, value in spent.items()}, "first frame": first}


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """Measure every way in turns.

    Args:
        given: Of `parse`.

    Returns:
        `ways`, the least of each figure by name, and what they were measured on.
    """
    image, whole = read_image(given.image), read_sound(given.audio)

    models = {precision: PortraitTalk.load(given.model, precision=precision) for precision in ("auto", "float32")}
    found: dict[str, dict[str, float]] = {}
    for turn in range(given.rounds + 1):
        for name in given.ways:
            precision, steps = WAYS[name]
            row = timed(models[precision], image, cut(whole, given.seconds if turn else WARM_S), given.size, steps)
            if turn:
                found[name] = {key: min(value, found.get(name, row)[key]) for key, value in row.items()}
    on = {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "processor": torch.backends.cpu.get_cpu_capability(),
    }
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"ways": found, "on": {**on, "load": load, "size": given.size, "seconds": given.seconds}}


def measure_step(given: argparse.Namespace) -> dict[str, Any]:
    """Measure a step of the SD1.5 stack.

    Args:
        given: Of `parse`.

    Returns:
        See `parts.steps.measuring.Session.run`.
    """
    device = open_device(given.device) if given.device else default_device()
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    return Session(SMALL if given.small else FULL, device, dtype, given.budget, given.rounds).run()


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown.

    Args:
        found: Of `measure`.
    """
    rows = ["| way | seconds a second | CPU seconds a second | first frame, s |", "|---|---|---|---|"]
    for name, row in found["ways"].items():
        rows.append(f"| {name} | {row['seconds']:.2f} | {row['cpu seconds']:.2f} | {row['first frame']:.2f} |")
    return "\n".join(rows)


def main() -> None:
    """Measure, and write the table."""
    given = parse()
    found = measure_step(given) if given.step else measure(given)
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    sys.stdout.write(f"{found['on']}\n{tables(found) if given.step else table(found)}\n")


if __name__ == "__main__":
    main()
