"""Measure what runs on a device: time in turns, memory, arithmetic, kernels by kind, and waits."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

KINDS: dict[str, tuple[str, ...]] = {
    "attention": ("flash", "fmha", "attention", "softmax", "sdpa"),
    "convolutions": ("conv", "winograd", "fprop", "cudnn"),
    "norms": ("norm", "moments"),
    "matrix products": ("gemm", "matmul", "addmm", "aten::mm", "bmm", "nvjet", "cutlass", "cublas"),
    "cat, copy": ("cat", "copy", "memcpy", "memset", "clone", "contiguous", "aten::to", "repeat"),
    "layout": ("transpose", "nchw", "nhwc", "permute"),
    "elementwise": ("elementwise", "gelu", "silu", "aten::add", "aten::mul", "aten::sub", "vectorized", "reduce"),
}
"""Parts of kernels' names, by kind; the first that fits counts."""

OURS = ("cross_attention", "frame_attention", "gated", "group_norm")
"""Kernels of `portraittalk_core.kernels`."""

_SQUARE = 8192


def wait(device: torch.device) -> None:
    """Wait until a device has done everything."""
    if device.type != "cpu":
        torch.get_device_module(device).synchronize()


def timed(run: Callable[[], object], device: torch.device) -> float:
    """Return how long a run takes, in seconds."""
    wait(device)
    start = time.perf_counter()
    run()
    wait(device)
    return time.perf_counter() - start


def in_turns(
    ways: Mapping[str, Callable[[], object]], device: torch.device, rounds: int, deadline: float
) -> dict[str, float]:
    """Measure ways in turns, so that what else the machine does is shared by all.

    Args:
        ways: What to run, by name; each has run before.
        device: Where.
        rounds: How often, at most.
        deadline: Of `time.monotonic`, after which no round begins.

    Returns:
        The median of each, in seconds; {} where there was no time.
    """
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        if time.monotonic() > deadline:
            break
        for name, run in ways.items():
            found.setdefault(name, []).append(timed(run, device))
    return {name: median(values) for name, values in found.items()}


def peak_bytes(run: Callable[[], object], device: torch.device) -> int | None:
    """Return the most memory that a run holds, with what was there before; None on a CPU, which does not say."""
    if device.type == "cpu":
        return None
    module = torch.get_device_module(device)
    wait(device)
    module.reset_peak_memory_stats()
    run()
    wait(device)
    return module.max_memory_allocated()


def arithmetic(run: Callable[[], object]) -> int:
    """Return the multiplications and additions of a run."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Return the arithmetic a second of large matrix products."""
    side = _SQUARE if device.type != "cpu" else _SQUARE // 16
    a = torch.randn(side, side, device=device).to(dtype)
    timed(lambda: a @ a, device)
    return 2 * side**3 / min(timed(lambda: a @ a, device) for _ in range(5))


def kernels_by_kind(run: Callable[[], object], device: torch.device) -> dict[str, dict[str, float]]:
    """Return for each kind of kernel its share of the time that the device works, and its launches.

    Args:
        run: A step.
        device: Where it runs.
    """
    from torch.profiler import ProfilerActivity, profile

    on_cpu = device.type == "cpu"
    activities = [ProfilerActivity.CPU] if on_cpu else [ProfilerActivity.CPU, ProfilerActivity.CUDA]
    wait(device)
    with profile(activities=activities) as profiler:
        run()
        wait(device)
    spent: dict[str, float] = {}
    launches: dict[str, int] = {}
    for event in profiler.key_averages():
        if not on_cpu and event.device_type == torch.autograd.DeviceType.CPU:
            continue  # an operation, whose kernels count by themselves
        used = event.self_cpu_time_total if on_cpu else event.self_device_time_total
        kind = kind_of(event.key)
        spent[kind] = spent.get(kind, 0.0) + used
        launches[kind] = launches.get(kind, 0) + event.count
    whole = sum(spent.values()) or 1.0
    order = sorted(spent, key=lambda kind: -spent[kind])
    return {kind: {"share": spent[kind] / whole, "launches": launches[kind]} for kind in order}


def kind_of(name: str) -> str:
    """Return the kind of a kernel or operation: `our kernels`, one of `KINDS`, or `other`."""
    if name in OURS:
        return "our kernels"
    low = name.lower()
    return next((kind for kind, marks in KINDS.items() if any(m in low for m in marks)), "other")


class Waits(TorchDispatchMode):
    """Counts what would make a program wait for a device: numbers that are read, and copies between devices.

    It works without a GPU, too: with the `meta` device as the other one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        if name in ("_local_scalar_dense", "is_nonzero", "equal"):
            self.seen.append(name)
        to = kwargs.get("device")
        moved = name == "_to_copy" and to is not None and torch.device(to).type != args[0].device.type
        if moved and not kwargs.get("non_blocking"):
            self.seen.append(f"{name} {args[0].device} to {to}")
        return func(*args, **kwargs)


def waits(run: Callable[[], object], device: torch.device) -> int:
    """Return how often a run waits for the device.

    Args:
        run: A step that has run before.
        device: Where it runs.
    """
    module = torch.get_device_module(device) if device.type != "cpu" else None
    if not hasattr(module, "set_sync_debug_mode"):
        with Waits() as counter:
            run()
        return len(counter.seen)
    wait(device)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        module.set_sync_debug_mode("warn")
        try:
            run()
        finally:
            module.set_sync_debug_mode("default")
    return sum("synchroniz" in str(w.message) for w in caught)
