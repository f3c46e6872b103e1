"""Measure how many videos `generate --batch --engine ray` makes an hour with 1, 2, 4 workers, and draw it.

    python -m benchmarks.batch_throughput --workers 1 2 4 --json throughput.json --plot docs/batch_throughput.svg

Each count of workers is a run of the command, in a process of its own, over the same table of short videos. A worker
begins Python and reads the weights once; so beside the whole run, the time between videos is told, counted from when
every worker has finished its first. What other programs take of the machine is measured, too: on a busy machine more
workers get a larger share of it, whatever they do with it. CPU seconds a video do not depend on that.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.evaluation.benchmark.markdown import write_between
from portraittalk_core.evaluation.benchmark.material import write_wave
from portraittalk_core.media.audio import read_sound

from .parts.line_plot import Line, line_plot
from .parts.program import ROOT, command_line
from .parts.real.material import cut

START, END = "<!-- throughput: written by benchmarks/batch_throughput.py -->", "<!-- throughput: end -->"
"""The markers of the page."""

TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_SAMPLED_S = 0.5


@dataclass(frozen=True)
class Throughput:
    """What a run of a table took."""

    workers: int
    """How many."""
    videos: int
    """That were made."""
    seconds: float
    """Of the whole run."""
    first_s: float
    """Until the first video was there."""
    steady_s: float
    """Between two videos, once every worker has made one."""
    cpu_s: float
    """Of all processes of the run, a video."""
    busy_cores: float
    """That other programs kept busy meanwhile; NaN where the system does not say."""

    @property
    def per_hour(self) -> float:
        """Videos an hour, once every worker has made one."""
        return 3600 / self.steady_s


class ProcessTree(threading.Thread):
    """Watches the processor's time of a process and all that come from it, Ray's workers among them."""

    def __init__(self, process: int) -> None:
        """Begin to watch.

        Args:
            process: Its number.
        """
        super().__init__(daemon=True)
        self._process, self._over = process, threading.Event()
        self.used: dict[int, float] = {}
        self.start()

    def run(self) -> None:
        """Sample until `finish`."""
        while not self._over.wait(_SAMPLED_S):
            self._sample()

    def finish(self) -> float:
        """Return the seconds of all together."""
        self._over.set()
        self.join()
        return sum(self.used.values())

    def _sample(self) -> None:
        found = {number: (parent, used) for number, parent, used in processes()}
        ours = {self._process}
        for _ in range(8):  # generations
            ours |= {number for number, (parent, _) in found.items() if parent in ours}
        self.used |= {number: found[number][1] for number in ours if number in found}


def processes() -> Iterator[tuple[int, int, float]]:
    """Yield number, parent's number and seconds of the processor of every process that Linux tells of."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # ended meanwhile
            continue
        yield int(folder.name), int(words[1]), (int(words[11]) + int(words[12])) / TICKS


def busy_s() -> float:
    """Return the seconds that all cores together have been busy; NaN where the system does not say."""
    try:
        user, nice, system, _, _, irq, softirq, steal = map(
            int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
        )
    except (OSError, ValueError):
        return float("nan")
    return (user + nice + system + irq + softirq + steal) / TICKS


def run(workers: int, folder: Path, given: argparse.Namespace) -> Throughput:
    """Make the videos of a table.

    Args:
        workers: How many.
        folder: Empty; gets the table and the videos.
        given: Of the command line.
    """
    sound, table = folder / "speech.wav", folder / "jobs.csv"
    write_wave(sound, cut(read_sound(ASSETS / "speech.wav"), given.seconds))
    with table.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", "audio", "prompt", "output", "seed", "size"])
        for number in range(given.rows):
            writer.writerow([given.image, sound, "a person", folder / f"{number}.mp4", number, given.size])
    words = [sys.executable, "-m", "portraittalk_core", "generate", "--batch", str(table)]
    words += ["--engine", "ray", "--workers", str(workers)]
    begun, busy, times = time.monotonic(), busy_s(), list[float]()
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        tree = ProcessTree(process.pid)
        assert process.stdout is not None
        for line in process.stdout:
            sys.stderr.write(line)
            if "frames of" in line:
                times.append(time.monotonic() - begun)
    took_s, cpu_s = time.monotonic() - begun, tree.finish()
    if process.returncode or len(times) != given.rows:
        raise SystemExit(f"{len(times)} of {given.rows} videos were made with {workers} workers.")
    first_wave = min(workers, given.rows - 1)
    steady_s = (times[-1] - times[first_wave - 1]) / (given.rows - first_wave)
    others = (busy_s() - busy - cpu_s) / took_s
    return Throughput(workers, given.rows, took_s, times[0], steady_s, cpu_s / given.rows, others)


def page(found: list[Throughput], given: argparse.Namespace) -> str:
    """Return the figures as Markdown.

    Args:
        found: By workers, one first.
        given: Of the command line.
    """
    lines = [
        f"{given.rows} videos of {given.seconds:g} s, {os.cpu_count()} cores, Python {platform.python_version()}:",
        "",
        "| workers | whole run, s | first video after, s | then a video every, s | videos an hour | of one worker | "
        "CPU s a video | cores that others kept busy |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        lines.append(
            f"| {row.workers} | {row.seconds:.0f} | {row.first_s:.0f} | {row.steady_s:.1f} | {row.per_hour:.0f} "
            f"| {row.per_hour / found[0].per_hour:.2f} | {row.cpu_s:.1f} | {row.busy_cores:.1f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print and draw."""
    parser = command_line("batch_throughput", __doc__)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], metavar="N", help="how many at once (1 2)")
    parser.add_argument("--rows", type=int, default=8, metavar="N", help="videos, more than workers (8)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each (1)")
    parser.add_argument("--size", type=int, default=256, help="as of generate (256)")
    parser.add_argument("--image", type=Path, default=ASSETS / "portrait.png", metavar="FILE", help="who speaks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where the figures go, too")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="where the drawing goes")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page that gets the table")
    given = parser.parse_args()
    found: list[Throughput] = []
    for workers in given.workers:
        with tempfile.TemporaryDirectory() as folder:
            found.append(run(workers, Path(folder), given))
    text = page(found, given)
    sys.stdout.write(text + "\n")
    if given.json:
        given.json.write_text(json.dumps([asdict(row) for row in found], indent=1) + "\n")
    if given.plot:
        measured = Line("measured", [(row.workers, row.per_hour) for row in found])
        ideal = Line(
            "workers times one", [(row.workers, row.workers * found[0].per_hour) for row in found], dashed=True
        )
        given.plot.write_text(line_plot([measured, ideal], "workers", "videos an hour"))
    if given.page:
        write_between(given.page, text, START, END)


if __name__ == "__main__":
    main()
