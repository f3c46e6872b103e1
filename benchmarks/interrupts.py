"""Interrupt `portraittalk generate` at random moments: nothing half-written is left, and the next run is right.

    python -m benchmarks.interrupts --count 200 --log runs/interrupts.jsonl

Every run is the whole command in a process of its own, with the shipped model, a small copy of the shipped portrait and
a fraction of a second of speech. The moments are spread over the work that an uninterrupted run takes, and a little
beyond: by time of the processor, so that a busy machine meets the same places. Runs begin in a copy of a process that
has imported everything and read the weights, so that a run costs the work and not the start; every tenth reads the
weights again, and --cold begins Python anew for each, which interrupts the start as well.

What is in the log is not done again: a run that was stopped goes on with the same command, and several with other
--first share the work.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import torch

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.cli.main import main as command
from portraittalk_core.evaluation.benchmark.markdown import write_between
from portraittalk_core.evaluation.benchmark.material import write_wave
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.target import remove_unfinished
from portraittalk_core.media.video import read_video
from portraittalk_core.pipeline import PortraitTalk

from .parts.program import ROOT, command_line
from .parts.real.material import cut

START, END = "<!-- interrupts: written by benchmarks/interrupts.py -->", "<!-- interrupts: end -->"
"""The markers of the page."""

SPEECH_S = 0.16
"""Length of the speech, seconds."""

SIDE = 256
"""Of the portrait, pixels: what is written is written in the same way at any size."""

AGAIN = 10
"""One of so many runs reads the weights itself."""

INTERRUPTED = 130
"""Exit code of an interrupted command."""


def arguments(folder: Path) -> list[str]:
    """Return the command, which writes all that `generate` can; the folder gets its portrait and its speech."""
    from PIL import Image

    picture, sound = folder / "portrait.png", folder / "speech.wav"
    if not sound.exists():
        write_wave(sound, cut(read_sound(ASSETS / "speech.wav"), SPEECH_S))
        Image.open(ASSETS / "portrait.png").convert("RGB").resize((SIDE, SIDE)).save(picture)
    options = {
        "--image": picture,
        "--audio": sound,
        "--prompt": "a person",
        "-o": folder / "out/video.mp4",
        "--preview": folder / "out/preview.png",
        "--landmarks": folder / "out/landmarks.mp4",
        "--save-motion": folder / "out/motion.csv",
        "--steps": 1,
        "--size": 128,
    }
    return ["generate", "--quiet", *(str(part) for pair in options.items() for part in pair)]


def run(argv: list[str], after_s: float | None, cold: bool, again: bool = False) -> tuple[int, float]:
    """Run the command.

    Args:
        argv: Of the command.
        after_s: When it is interrupted, see `worked_s`; None for never.
        cold: Whether Python is begun anew.
        again: Whether the weights are read although they have been.

    Returns:
        The exit code and the time that it took, by the same clock.
    """
    words, null = [sys.executable, "-m", "portraittalk_core", *argv], subprocess.DEVNULL
    process = subprocess.Popen(words, cwd=ROOT, stdout=null, stderr=null) if cold else None
    child = process.pid if process else os.fork()
    if child == 0:
        _run_here(argv, again)
    begun, took_s, sent = time.monotonic(), 0.0, False
    while not _has_ended(child):
        took_s = max(took_s, worked_s(child, begun))
        if after_s is not None and took_s >= after_s and not sent:
            os.kill(child, signal.SIGINT)
            sent = True
        time.sleep(0.001)
    code = process.wait() if process else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, took_s


def worked_s(process: int, begun: float) -> float:
    """Return for how long the first thread of a process has worked; where the system does not say, since when it is.

    Args:
        process: Its number.
        begun: When it was begun, by `time.monotonic`.
    """
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9
    except (OSError, ValueError, IndexError):
        return time.monotonic() - begun


def _has_ended(child: int) -> bool:
    """Say whether a process has ended, and leave its exit code for who asks."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _run_here(argv: list[str], again: bool) -> None:
    """Run the command in this process, which is a copy, and end it as the interpreter would."""
    code = INTERRUPTED
    kept = PortraitTalk.load  # ending threads that a copy does not have would wait for them for ever
    if again:
        PortraitTalk.load = staticmethod(_read_weights)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background may have it ignored
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        code = command(argv)
    except KeyboardInterrupt:
        pass
    except BaseException:
        code = 1
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        remove_unfinished()  # as the interpreter does at its end; the copy must not end what else the original has
        assert kept
        os._exit(code)


def state(folder: Path) -> dict[str, str]:
    """Return the sums of all files in a folder, hidden ones too, by name."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        if path.is_file()
        else ""
        for path in sorted(folder.rglob("*"))
    }


def judge(code: int, before: dict[str, str], after: dict[str, str], right: dict[str, str]) -> str:
    """Say what an interrupted run left.

    Args:
        code: Its exit code.
        before: The state of the folder before.
        after: The state after.
        right: The state that an uninterrupted run leaves.

    Returns:
        `stopped` or `done`; else what is wrong.
    """
    strange = set(after) - set(right)
    torn = [name for name, found in after.items() if found not in (before.get(name), right.get(name))]
    lost = set(before) - set(after)
    if strange or torn or lost:
        return f"left {sorted(strange)}, tore {torn}, lost {sorted(lost)}"
    if code == 0:
        return "done" if after == right else "exit code 0, but not all is written"
    return "stopped" if code in (INTERRUPTED, -signal.SIGINT) else f"exit code {code}"


@dataclass
class Log:
    """How each interrupt ended, by its number; also in a file, if there is one."""

    path: Path | None = None
    """Of the file: a line of JSON an interrupt."""
    seed: int = 0
    """Of the moments."""
    cold: bool = False
    """See `run`."""
    ended: dict[int, str] = field(default_factory=dict)
    """See `judge`."""

    def __post_init__(self) -> None:
        """Read what the file knows of the same moments."""
        if self.path is not None and self.path.exists():
            for line in map(json.loads, self.path.read_text().splitlines()):
                if (line["seed"], line["cold"]) == (self.seed, self.cold):
                    self.ended[line["number"]] = line["ended"]

    def add(self, number: int, ended: str) -> None:
        """Remember an interrupt."""
        self.ended[number] = ended
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(json.dumps({"seed": self.seed, "cold": self.cold, "number": number, "ended": ended}) + "\n")


def interrupt(numbers: Iterable[int], log: Log) -> bool:
    """Interrupt runs, then look whether one that is left alone is right.

    Args:
        numbers: Which; each has its own moment.
        log: Knows which are done, and gets the others, by `judge`.

    Returns:
        Whether the run after the last one is right.
    """
    cold = log.cold
    with _weights_read_once(), tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "out").mkdir()
        argv = arguments(folder)
        if not cold:
            command(argv)  # what is imported once is not imported again
        code, takes_s = run(argv, None, cold)
        right = state(folder / "out")
        assert code == 0 and len(right) == 4, f"an uninterrupted run ends with {code} and leaves {list(right)}"
        for number in (number for number in numbers if number not in log.ended):
            if number % 2:  # every other run finds an empty folder
                for file in (folder / "out").iterdir():
                    file.unlink()
            before = state(folder / "out")
            moment = random.Random(f"{log.seed} {number}").uniform(0, 1.1 * takes_s)
            code, _ = run(argv, moment, cold, number % AGAIN == 0)
            log.add(number, judge(code, before, state(folder / "out"), right))
            for file in (folder / "out").glob(".*"):
                if file.is_file():
                    file.unlink()
        run(argv, None, cold)
        next_is_right = state(folder / "out") == right
        chunks, _, sound = read_video(folder / "out/video.mp4")
        assert sound is not None and sum(len(chunk.pixels) for chunk in chunks) == round(SPEECH_S * 25)
    return next_is_right


_read_weights = PortraitTalk.load


@contextlib.contextmanager
def _weights_read_once() -> Generator[None, None, None]:
    """Let what was loaded once serve again, in this process and in its copies, which have no threads but one."""
    import onnxruntime

    alone, begin = onnxruntime.SessionOptions(), onnxruntime.InferenceSession.__init__
    alone.intra_op_num_threads = alone.inter_op_num_threads = 1
    begin_alone = functools.partialmethod(begin, sess_options=alone)
    with (
        mock.patch.object(PortraitTalk, "load", staticmethod(functools.cache(_read_weights))),
        mock.patch.object(onnxruntime.InferenceSession, "__init__", begin_alone),
    ):
        yield


def main() -> None:
    """Run what the command line asks for; the exit code is 1 where something was left."""
    parser = command_line("interrupts", __doc__)
    parser.add_argument("--count", type=int, default=200, metavar="N", help="interrupted runs (200)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another number, other moments (0)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="number of the first one (0)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="remembers each; what is there is not done again")
    parser.add_argument("--cold", action="store_true", help="begin Python anew for each run")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page that gets the figures")
    given = parser.parse_args()
    torch.set_num_threads(1)  # a copy of a process has none of its threads, and would wait for them for ever
    log = Log(given.log, given.seed, given.cold)
    next_is_right = interrupt(range(given.first, given.first + given.count), log)
    found = Counter(log.ended.values()) + Counter({"next run wrong": int(not next_is_right)})
    how = "of a new Python" if given.cold else "of a process that has imported everything"
    told = ", ".join(f"{count} {name}" for name, count in found.items())
    text = f"{len(log.ended)} interrupts {how}, seed {given.seed}: {told}."
    sys.stdout.write(text + "\n")
    if given.page:
        write_between(given.page, text, START, END)
    sys.exit(int(any(count for name, count in found.items() if name not in ("stopped", "done"))))


if __name__ == "__main__":
    main()
