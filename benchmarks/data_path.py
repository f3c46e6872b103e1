"""The data path of training alone: pictures a second that one core reads from shards, and how many cores feed GPUs.

    python -m benchmarks.data_path --shards shards/ --size 512

Reading, checking and decoding are measured, in seconds of a core's own time, so that a busy machine counts as an idle
one. How long a step takes on a GPU is computed (see docs/training.md), or given by `--step-s`.
"""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch

from portraittalk_core.preparation.shards import read_index, read_sample
from portraittalk_core.training.denoiser.stream import ShardDraws, throughput

from .parts.program import command_line, say

STEPS_S = (0.4, 1.1)
"""Of stages 1 and 2 on an H200, computed."""

STAGES: tuple[dict[str, Any], ...] = (
    {"refs": 8, "targets": 1, "clip": 1},
    {"refs": 2, "targets": 1, "clip": 16},
)
"""Batches of `sd15.toml`."""


def figures(shards: Path, size: int, batches: int, steps_s: tuple[float, float]) -> dict[str, float]:
    """Return what was measured, and what follows of it.

    Args:
        shards: Of `portraittalk prepare`.
        size: Side of the pictures.
        batches: Of each stage, after one that does not count.
        steps_s: Of stages 1 and 2 on one GPU.
    """
    entries = [(shard["file"], entry) for shard in read_index(shards)["shards"] for entry in shard["samples"]]
    begun = time.process_time()
    for file, entry in entries:
        read_sample(shards / file, entry)
    read = sum(entry["bytes"] for _, entry in entries)
    found = {"read and checked, MB a second": read / 1e6 / (time.process_time() - begun)}
    for number, (stage, step_s) in enumerate(zip(STAGES, steps_s, strict=True), 1):
        draws = ShardDraws(shards, seed=0, size=size, **stage)
        draws[batches]
        begun = time.process_time()
        pictures = sum(throughput(draws, batches))
        spent = time.process_time() - begun
        found[f"stage {number}, pictures a second and core"] = pictures / spent
        found[f"stage {number}, core seconds a batch"] = spent / batches
        found[f"stage {number}, cores for one GPU"] = spent / batches / step_s
        found[f"stage {number}, cores for eight (computed)"] = math.ceil(8 * spent / batches / step_s)
    return found


def main() -> None:
    """Read the command line, measure, and print."""
    parser = command_line("data_path", __doc__)
    add = parser.add_argument
    add("--shards", type=Path, required=True)
    add("--size", type=int, default=512, help="side of the pictures, pixels (512)")
    add("--batches", type=int, default=20, help="of each stage (20)")
    add("--step-s", type=float, nargs=2, default=STEPS_S, help="seconds of a step of stages 1 and 2 on one GPU")
    add("--json", type=Path, help="a file for the figures")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = figures(given.shards, given.size, given.batches, tuple(given.step_s))
    for name, value in found.items():
        say(f"{name:<40} {value:9.2f}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
