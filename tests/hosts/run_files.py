"""Run test files, some at a time, each in a process of its own: `python tests/hosts/run_files.py FILE ...`.

A folder counts as one file. A line for each when it ends, and the whole output of one that fails. COMFYUI_JOBS says
how many run at a time (default: 2, or 1 where there is one core). Exit code 1 where any failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

LONGEST = ("test_production", "test_workflows", "test_browser", "test_interrupts", "test_comfy_stacks")
"""These begin first, so that the last to end does not run alone."""

NO_TESTS = 5
"""Pytest's exit code where nothing was to be run; no failure."""


@dataclass(frozen=True)
class Ended:
    """What came of a file. output: all that pytest said; cpu_s: of the file's processes, 0 where nobody counts it."""

    file: str
    code: int
    output: str
    wall_s: float
    cpu_s: float

    @property
    def failed(self) -> bool:
        """Whether a test failed, or the file did not run."""
        return self.code not in (0, NO_TESTS)


def jobs() -> int:
    """Return how many files run at a time."""
    said = os.environ.get("COMFYUI_JOBS", "")
    if said and not (said.isdigit() and int(said)):
        raise SystemExit(f'`COMFYUI_JOBS` must be a number of test files to run at a time, but got "{said}". Try 2.')
    return int(said) if said else min(2, os.cpu_count() or 1)


def order(file: str) -> int:
    """Return where a file stands among those that begin first."""
    found = [number for number, name in enumerate(LONGEST) if name in file]
    return found[0] if found else len(LONGEST)


def run(file: str, environment: dict[str, str]) -> Ended:
    """Run a file's tests but those for a GPU."""
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-m", "not gpu"]
    begun = time.monotonic()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([*command, file], stdout=log, stderr=subprocess.STDOUT, env=environment)
        cpu_s = _wait(process)
        log.seek(0)
        output = log.read().decode(errors="replace")
    return Ended(file, process.returncode, output, time.monotonic() - begun, cpu_s)


def _wait(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process; return the CPU seconds of it and of all that it waited for."""
    if not hasattr(os, "wait4"):
        process.wait()
        return 0.0
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def report(ended: Ended) -> None:
    """Print a line about a file, after all its output where it failed."""
    if ended.failed:
        sys.stdout.write(ended.output)
    last = ended.output.strip().rpartition("\n")[2].strip("= ")
    sys.stdout.write(f"{ended.file:36} {last}, {ended.cpu_s:.0f} s of CPU\n")
    sys.stdout.flush()


def main(files: list[str]) -> int:
    """Run the files and report each as it ends."""
    at_a_time = jobs()
    # Two hosts with a thread for each core would wait for each other.
    threads = str(max(1, (os.cpu_count() or 1) // at_a_time))
    environment = {"OMP_NUM_THREADS": threads, **os.environ}
    begun, ended = time.monotonic(), []
    pool = ThreadPoolExecutor(at_a_time)
    try:
        for future in as_completed([pool.submit(run, file, environment) for file in sorted(files, key=order)]):
            ended.append(future.result())
            report(ended[-1])
    finally:
        pool.shutdown(cancel_futures=True)
    (minutes, seconds), used = divmod(round(time.monotonic() - begun), 60), sum(each.cpu_s for each in ended)
    failed = [each.file for each in ended if each.failed]
    verdict = f"failed: {', '.join(failed)}" if failed else "all passed"
    took = f"{minutes} min {seconds} s, {used / 60:.1f} min of CPU"
    sys.stdout.write(f"{len(ended)} files, {at_a_time} at a time: {verdict}, in {took}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
