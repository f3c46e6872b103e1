"""Share the machine: waiting threads sleep, and there are no more of them than cores that nobody else keeps busy.

Torch splits every operation over all cores and waits for the slowest part. Beside another busy program one part is
late by a slice of the scheduler's time in each of thousands of operations, while the others spin: both programs lose
many times what they share. This is for a process of our own only; inside another program its threads are its own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import MutableMapping
from dataclasses import dataclass
from pathlib import Path

WAITING = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0", "KMP_BLOCKTIME": "0"}
"""What GNU's and Intel's OpenMP are told, before they are loaded: who waits for other threads sleeps."""

_CHOSEN = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_THREAD_LIMIT")
_STAT, _QUOTA = Path("/proc/stat"), Path("/sys/fs/cgroup/cpu.max")
_SHORTEST_S = 0.2  # the kernel counts in hundredths of a second


def sleep_while_waiting(environment: MutableMapping[str, str] | None = None) -> None:
    """Let OpenMP's threads sleep while they wait, unless the user has said otherwise.

    Does nothing once torch is loaded: OpenMP reads its environment when it starts.

    Args:
        environment: Of the process.
    """
    environment = os.environ if environment is None else environment
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in environment:
        for name, value in WAITING.items():
            environment.setdefault(name, value)


_started: list[CoreClock] = []


@dataclass(frozen=True)
class CoreClock:
    """A moment of the machine's clocks; `free` compares it with now."""

    time_s: float
    """Of the wall clock."""

    busy_s: float | None
    """That the cores we may use have been busy since the machine began; None where the system does not say."""

    own_s: float
    """That this process and its threads have used."""

    @classmethod
    def now(cls) -> CoreClock:
        """Read the clocks."""
        own = os.times()
        return cls(time.monotonic(), _busy_s(_cores()), own.user + own.system)

    def free(self) -> int:
        """Return how many cores others have left since then, at least one; all where that is not known."""
        cores, now = _cores(), CoreClock.now()
        passed = now.time_s - self.time_s
        most = min(len(cores), _quota(_QUOTA))
        if self.busy_s is None or now.busy_s is None or passed < _SHORTEST_S:
            return most
        others = (now.busy_s - self.busy_s - (now.own_s - self.own_s)) / passed
        return max(1, min(most, round(len(cores) - others)))


def share() -> None:
    """Begin to share the machine: once torch is there, `use_free_cores` takes what others have left.

    Does nothing where torch is loaded already: then the process is another program's.
    """
    if "torch" not in sys.modules:
        sleep_while_waiting()
        _started.append(CoreClock.now())


def use_free_cores() -> None:
    """Let torch use the cores that have been free since `share`, unless the user has named a number of threads.

    OpenCV, which does not read what the user has named, has no more threads than torch.
    """
    if not _started:
        return
    import cv2
    import torch

    if not any(name in os.environ for name in _CHOSEN):
        torch.set_num_threads(min(torch.get_num_threads(), _started[-1].free()))
    cv2.setNumThreads(min(cv2.getNumThreads(), torch.get_num_threads()))


def _cores() -> set[int]:
    """Return the cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return set(affinity(0)) if affinity else set(range(os.cpu_count() or 1))


def _busy_s(cores: set[int], file: Path = _STAT) -> float | None:
    """Return how long cores have been busy, by Linux' `/proc/stat`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    wanted, total = {f"cpu{core}" for core in cores}, 0
    for words in (line.split() for line in lines):
        if words and words[0] in wanted:
            user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
            total += user + nice + system + irq + softirq + steal
    return total / os.sysconf("SC_CLK_TCK")


def _quota(file: Path) -> int:
    """Return how many cores a container's quota allows; as good as any number without one."""
    try:
        allowed, period = file.read_text(encoding="utf-8").split()
        return max(1, round(int(allowed) / int(period)))
    except (OSError, ValueError):
        return sys.maxsize
