"""Count what a step of SD1.5's U-Net moves through memory, by kind: what fusing residual additions could save at most.

    python -m benchmarks.step_traffic --bandwidth 4.26 --page docs/speed.md

The network runs on the meta device, so that no GPU is needed and nothing is computed. Every operation is counted with
all that it reads and writes; attention with queries, keys, values and result, as kernels that keep scores to themselves
have it. Time is that over the bandwidth: a floor for what only moves numbers.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from portraittalk_core.checkpoints.layouts import SD15_SHAPE
from portraittalk_core.evaluation.benchmark.markdown import write_between
from portraittalk_core.hosts.sd15_models import empty_unet

from .parts.program import command_line

START, END = "<!-- traffic: written by benchmarks/step_traffic.py -->", "<!-- traffic: end -->"
"""The markers of the page."""

KINDS = {
    "addmm": "matrix products",
    "mm": "matrix products",
    "convolution": "convolutions",
    "gelu": "gates (GEGLU)",
    "mul": "gates (GEGLU)",
    "native_group_norm": "group norms",
    "silu": "SiLU",
    "native_layer_norm": "layer norms",
    "cat": "joined maps",
    "div": "divisions by 1",
    "clone": "copies",
    "_to_copy": "copies",
    "upsample_nearest2d": "enlarged maps",
}
"""What operations are called in the table; others are few."""

ADDED, EMBEDDED, ATTENTION = "residual additions", "time embedding added", "attention"

_VIEWS = {"view", "permute", "transpose", "expand", "unsqueeze", "slice", "t", "split", "select", "alias", "squeeze"}
_VIEWS |= {"_unsafe_view", "_reshape_alias", "detach", "empty", "empty_like", "new_empty"}


class Counting(TorchDispatchMode):
    """Adds up bytes and calls of everything that runs inside."""

    def __init__(self) -> None:
        """Count nothing yet."""
        super().__init__()
        self.moved: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def add(self, kind: str, *tensors: Tensor) -> None:
        """Count an operation.

        Args:
            kind: Of `KINDS`.
            *tensors: What it reads and writes.
        """
        self.moved[kind] += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        self.calls[kind] += 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and count it if it moves anything."""
        out = func(*args, **(kwargs or {}))
        name = func.__name__.split(".")[0]
        if name not in _VIEWS:
            read = [value for value in tree_flatten((args, kwargs or {}))[0] if isinstance(value, Tensor)]
            written = [value for value in tree_flatten(out)[0] if isinstance(value, Tensor)]
            kind = KINDS.get(name, "others")
            if name == "add" and len(read) == 2:
                kind = ADDED if read[0].shape == read[1].shape else EMBEDDED
            self.add(kind, *read, *written)
        return out


def count(rows: int, side: int) -> Counting:
    """Run the U-Net once.

    Args:
        rows: Frames times passes of guidance.
        side: Of the latents.
    """
    with torch.device("meta"):
        net = empty_unet(SD15_SHAPE).half().eval()
        latents = torch.empty(rows, 4, side, side).half()
        text, times = torch.empty(rows, 77, SD15_SHAPE.cross_dim).half(), torch.empty(rows)
    counting = Counting()

    def attend(query: Tensor, key: Tensor, value: Tensor, **_: object) -> Tensor:
        counting.add(ATTENTION, query, key, value, query)
        return torch.empty_like(query)

    with torch.no_grad(), mock.patch.object(F, "scaled_dot_product_attention", attend), counting:
        net(latents, times, text)
    return counting


def page(found: Counting, given: argparse.Namespace) -> str:
    """Return the figures as Markdown.

    Args:
        found: Of `count`.
        given: Of the command line.
    """
    total = sum(found.moved.values())
    lines = [
        f"{given.rows} rows of {8 * given.side} x {8 * given.side} pixels in half precision, {given.bandwidth:g} TB/s:",
        "",
        "| what | calls | GB | of all | ms at least |",
        "|---|---|---|---|---|",
    ]
    for kind, moved in found.moved.most_common():
        ms = moved / given.bandwidth / 1e9
        lines.append(f"| {kind} | {found.calls[kind]} | {moved / 1e9:.2f} | {moved / total:.1%} | {ms:.2f} |")
    lines.append(f"| all | {found.calls.total()} | {total / 1e9:.2f} | | {total / given.bandwidth / 1e9:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Count and print."""
    parser = command_line("step_traffic", __doc__)
    parser.add_argument("--rows", type=int, default=32, help="frames times passes of guidance (32)")
    parser.add_argument("--side", type=int, default=64, help="of the latents (64)")
    parser.add_argument("--bandwidth", type=float, default=4.26, help="TB/s, of a copy (4.26, an H200)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page that gets the table")
    given = parser.parse_args()
    text = page(count(given.rows, given.side), given)
    sys.stdout.write(text + "\n")
    if given.page:
        write_between(given.page, text, START, END)


if __name__ == "__main__":
    main()
