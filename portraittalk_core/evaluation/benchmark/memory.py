"""The most memory that making a clip took."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_mib(device: str) -> float:
    """Read the most memory held so far.

    Args:
        device: Where the model runs.

    Returns:
        MiB: of the tensors on an accelerator, else of this process (0 where unknown).
    """
    import torch

    measure = getattr(torch.get_device_module(device), "max_memory_allocated", None)
    return process_peak_kib() / 1024 if measure is None else measure(device) / 2**20


def process_peak_kib() -> int:
    """Read the most memory that this process has held.

    Not by `getrusage`: on Linux its figure survives `exec`, so a child reports the size of the parent that started it.

    Returns:
        KiB; 0 where that is unknown, outside Linux.
    """
    if not sys.platform.startswith("linux"):
        return 0
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="ignore")
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
