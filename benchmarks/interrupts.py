"""Interrupt `portraittalk generate` at random moments: nothing half-written is left, and the next run is right.

    python -m benchmarks.interrupts --count 200

Every run is the whole command in a process of its own, with the shipped model, the shipped portrait and a fraction of
a second of speech. The moments are spread over the time that an uninterrupted run takes, and a little beyond. Run by a
process that has imported everything, so that a run costs the work and not the start; --cold begins Python anew for
each, which interrupts the start as well.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.cli.main import main as command
from portraittalk_core.evaluation.benchmark.markdown import write_between
from portraittalk_core.evaluation.benchmark.material import write_wave
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.target import remove_unfinished
from portraittalk_core.media.video import read_video

from .parts.program import ROOT, command_line
from .parts.real.material import cut

START, END = "<!-- interrupts: written by benchmarks/interrupts.py -->", "<!-- interrupts: end -->"
"""The markers of the page."""

SPEECH_S = 0.16
"""Length of the speech, seconds."""

INTERRUPTED = 130
"""Exit code of an interrupted command."""


def arguments(folder: Path) -> list[str]:
    """Return the command, which writes all that `generate` can write, into a folder that has its speech."""
    sound = folder / "speech.wav"
    if not sound.exists():
        write_wave(sound, cut(read_sound(ASSETS / "speech.wav"), SPEECH_S))
    options = {
        "--image": ASSETS / "portrait.png",
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


def run(argv: list[str], after_s: float | None, cold: bool) -> tuple[int, float]:
    """Run the command.

    Args:
        argv: Of the command.
        after_s: When it is interrupted; None for never.
        cold: Whether Python is begun anew.

    Returns:
        The exit code and the time that it took.
    """
    begun = time.monotonic()
    words, null = [sys.executable, "-m", "portraittalk_core", *argv], subprocess.DEVNULL
    process = subprocess.Popen(words, cwd=ROOT, stdout=null, stderr=null) if cold else None
    child = process.pid if process else os.fork()
    if child == 0:
        _run_here(argv)
    if after_s is not None:
        time.sleep(after_s)
        os.kill(child, signal.SIGINT)
    code = process.wait() if process else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code, time.monotonic() - begun


def _run_here(argv: list[str]) -> None:
    """Run the command in this process, which is a copy, and end it as the interpreter would."""
    code = INTERRUPTED
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


def interrupt(count: int, seed: int, cold: bool = False) -> Counter[str]:
    """Interrupt runs, then look whether one that is left alone is right.

    Args:
        count: How many.
        seed: Of the moments.
        cold: See `run`.

    Returns:
        How many ended how, see `judge`; `next run wrong` where that was so.
    """
    rng, found = random.Random(seed), Counter[str]()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "out").mkdir()
        argv = arguments(folder)
        if not cold:
            command(argv)  # what is imported once is not imported again
        code, takes_s = run(argv, None, cold)
        right = state(folder / "out")
        assert code == 0 and len(right) == 4, f"an uninterrupted run ends with {code} and leaves {list(right)}"
        for number in range(count):
            if number % 2:  # every other run finds an empty folder
                for file in (folder / "out").iterdir():
                    file.unlink()
            before = state(folder / "out")
            code, _ = run(argv, rng.uniform(0, 1.1 * takes_s), cold)
            found[judge(code, before, state(folder / "out"), right)] += 1
            for file in (folder / "out").glob(".*"):
                if file.is_file():
                    file.unlink()
        run(argv, None, cold)
        found["next run wrong"] += state(folder / "out") != right
        chunks, _, sound = read_video(folder / "out/video.mp4")
        assert sound is not None and sum(len(chunk.pixels) for chunk in chunks) == round(SPEECH_S * 25)
    return found


def main() -> None:
    """Run what the command line asks for; the exit code is 1 where something was left."""
    parser = command_line("interrupts", __doc__)
    parser.add_argument("--count", type=int, default=200, metavar="N", help="interrupted runs (200)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another number, other moments (0)")
    parser.add_argument("--cold", action="store_true", help="begin Python anew for each run")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page that gets the figures")
    given = parser.parse_args()
    found = interrupt(given.count, given.seed, given.cold)
    how = "of a new Python" if given.cold else "of a process that has imported everything"
    told = ", ".join(f"{count} {name}" for name, count in found.items() if count)
    text = f"{given.count} interrupts {how}, seed {given.seed}: {told}."
    sys.stdout.write(text + "\n")
    if given.page:
        write_between(given.page, text, START, END)
    sys.exit(int(any(count for name, count in found.items() if name not in ("stopped", "done"))))


if __name__ == "__main__":
    main()
