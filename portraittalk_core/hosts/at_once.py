"""Run a network on as many rows at once as the memory of its device holds; fewer where it holds fewer, never none."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

_SHARE = 0.8  # of what is free


def rows_that_fit(device: torch.device, row_bytes: int, most: int = 16) -> int:
    """Return how many rows the free memory of a device should hold, at least one; one on a CPU.

    Args:
        device: Where the network is.
        row_bytes: That one row takes while it runs.
        most: Beyond, nothing is gained.
    """
    if device.type in ("cpu", "meta"):
        return 1
    module = torch.get_device_module(device)
    if not hasattr(module, "mem_get_info"):
        return 1
    free, _ = module.mem_get_info(device)
    return max(1, min(most, int(_SHARE * free / row_bytes)))


def run_at_once(rows: Tensor, run: Callable[[Tensor], Tensor], count: int) -> Iterator[Tensor]:
    """Run rows some at a time.

    Args:
        rows: All of them.
        run: Gives the results of some.
        count: How many at once; half as many from where memory does not suffice.

    Yields:
        Results in order.

    Raises:
        torch.OutOfMemoryError: When it does not suffice for one row.
    """
    start = 0
    while start < len(rows):
        part = rows[start : start + count]
        try:
            made = run(part)
        except torch.OutOfMemoryError:
            if len(part) == 1:
                raise
            count = len(part) // 2
            logger.warning("Memory does not hold %d pictures at once; going on with %d.", len(part), count)
            continue
        yield made
        start += len(part)
