"""Read damaged files, one a line of the standard input, in a process that may crash; and the process that minds it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..program import ROOT

HANG_S = 10.0
"""Time of the processor from which on a file counts as a hang."""

PATIENCE_S = 600.0
"""Time of the clock after which the process is ended, whatever it did: a busy machine is slow, too."""

MEMORY_BYTES = 2 << 30
"""Memory of the whole process above which a file counts as too greedy."""

_ROOM_BYTES = 4 << 30


@dataclass(frozen=True)
class Outcome:
    """What came of a file."""

    how: str
    """`read`, `refused` or a finding: `traceback`, `crash`, `hang`, `memory`."""
    detail: str
    """The line that refuses it, or the traceback."""
    seconds: float = 0.0
    """Time of the processor."""
    peak: int = 0
    """Most memory of the process meanwhile, bytes; 0 where the system does not say."""

    @property
    def is_finding(self) -> bool:
        """Whether the project did what it must not."""
        return self.how not in ("read", "refused")


class Reader:
    """Reads files in a process of its own, which is begun anew after a crash or a hang. A context manager."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def read(self, path: Path, kind: str) -> Outcome:
        """Read a file in every way.

        Args:
            path: The file.
            kind: One of `seeds.KINDS`.
        """
        process = self._begin()
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps([str(path), kind]) + "\n")
            process.stdin.flush()
        ready = self._wait(process)
        line = process.stdout.readline() if ready else ""
        if not line:
            how = "crash" if ready else "hang"
            detail = f"the process ended with {process.wait()}" if ready else "no answer"
            self._end()
            return Outcome(how, detail, 0.0 if ready else HANG_S)
        found = Outcome(**json.loads(line))
        if found.seconds > HANG_S:
            return Outcome("hang", f"{found.seconds:.1f} s: {found.detail}", found.seconds, found.peak)
        if found.peak > MEMORY_BYTES:
            return Outcome("memory", f"{found.peak / 1e9:.2f} GB: {found.detail}", found.seconds, found.peak)
        return found

    def _wait(self, process: subprocess.Popen[str]) -> bool:
        """Wait for an answer; return False where the process has worked for too long without one."""
        end, worked_s = time.monotonic() + PATIENCE_S, _processor_s(process.pid)
        while time.monotonic() < end and _processor_s(process.pid) - worked_s < 3 * HANG_S:
            if select.select([process.stdout], [], [], 1.0)[0]:
                return True
        return False

    def _begin(self) -> subprocess.Popen[str]:
        if self._process is None:
            command = [sys.executable, "-m", __name__]
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for stream in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):
                    stream and stream.close()
            self._process = None


def _status(name: str) -> int:
    """Return a size of this process that the kernel tells, bytes; 0 where it does not."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _processor_s(process: int) -> float:
    """Return the time of the processor that a process has taken; 0 where the system does not say."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
    return 0.0


def _limit_memory() -> None:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (_status("VmData:") + _ROOM_BYTES,) * 2)


def _answer(read_all: Callable[[Path, str], list[str]], path: Path, kind: str) -> dict[str, Any]:
    """Read a file in every way; return the fields of an `Outcome`."""
    begun = time.process_time()
    answer: dict[str, Any]
    try:
        said = read_all(path, kind)
        answer = {"how": "refused" if said[0] else "read", "detail": said[0]}
    except BaseException:  # whatever it is, it is a finding
        answer = {"how": "traceback", "detail": traceback.format_exc()}
    return answer | {"seconds": time.process_time() - begun, "peak": _status("VmHWM:")}


def main() -> None:
    """Answer every line of the standard input by a line of JSON."""
    from portraittalk_core import ASSETS

    from .readers import read_all

    answers, sys.stdout = sys.stdout, sys.stderr  # what a reader prints must not be taken for an answer
    _limit_memory()
    read_all(ASSETS / "speech.wav", "sounds")  # a fresh environment compiles librosa: no file's own time
    for line in sys.stdin:
        path, kind = json.loads(line)
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here
        answer = _answer(read_all, Path(path), kind)
        if answer["seconds"] > HANG_S:  # what is compiled at the first call is no file's own time: the second counts
            answer = _answer(read_all, Path(path), kind)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
