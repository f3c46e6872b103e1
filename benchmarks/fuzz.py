"""Damage files at random, read them with the project, and count what is neither read nor refused in one line.

    python -m benchmarks.fuzz --count 3000 --seed 0

Whole pictures, sounds, videos, weights, TOML, JSON and motion files are made, damaged in one to four ways, and read in
a process with limits. A traceback, a crash, more than 10 s of the processor or more than 2 GiB of memory is a finding;
the file and what happened lie in --out. The same seed gives the same files on the same versions of the libraries, but
for two: safetensors orders metadata anew each time, and an old pickle holds addresses.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from portraittalk_core.evaluation.benchmark.markdown import write_between

from .parts.fuzz.mutations import mutate
from .parts.fuzz.seeds import KINDS, SHARES, make_seeds
from .parts.fuzz.worker import Outcome, Reader
from .parts.program import RUNS, command_line

START, END = "<!-- fuzz: written by benchmarks/fuzz.py -->", "<!-- fuzz: end -->"
"""The markers of the page."""


@dataclass
class Tally:
    """What came of the files of a kind."""

    seeds: int = 0
    """Whole files that were begun with."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """How many files ended how, see `worker.Outcome`."""
    slowest_s: float = 0.0
    """Time of the processor that the slowest took."""
    most_bytes: int = 0
    """Most memory of the process."""
    findings: list[tuple[int, Outcome]] = field(default_factory=list)
    """Number of the mutation, and what happened."""

    def count(self, number: int, outcome: Outcome) -> None:
        """Count a file."""
        self.outcomes[outcome.how] += 1
        self.slowest_s = max(self.slowest_s, outcome.seconds)
        self.most_bytes = max(self.most_bytes, outcome.peak)
        if outcome.is_finding:
            self.findings.append((number, outcome))


def fuzz(count: int, seed: int, out: Path | None = None, kinds: tuple[str, ...] = KINDS) -> dict[str, Tally]:
    """Damage and read files.

    Args:
        count: How many, over all kinds.
        seed: Of the damage.
        out: Where findings are kept; None keeps none.
        kinds: Which kinds.

    Returns:
        What came of them, by kind. A seed that is not read as it is counts as a finding, too.
    """
    tallies = {kind: Tally() for kind in kinds}
    share = sum(SHARES[kind] for kind in kinds)
    with tempfile.TemporaryDirectory() as folder, Reader() as reader:
        whole = make_seeds(Path(folder) / "seeds")
        for kind, tally in tallies.items():
            files = whole[kind]
            others = [file.read_bytes() for file in files]
            tally.seeds = len(files)
            for number in range(max(1, round(count * SHARES[kind] / share))):
                source = files[number % len(files)]
                damaged = Path(folder) / f"{source.stem}.{number}{source.suffix}"
                damaged.write_bytes(mutate(others[number % len(files)], kind, others, seed, number))
                outcome = reader.read(damaged, kind)
                tally.count(number, outcome)
                if outcome.is_finding and out is not None:
                    place = out / f"{kind}_{outcome.how}_{damaged.name}"
                    place.parent.mkdir(parents=True, exist_ok=True)
                    place.write_bytes(damaged.read_bytes())
                    place.with_name(place.name + ".txt").write_text(outcome.detail)
                damaged.unlink()
    return tallies


def table(tallies: dict[str, Tally], seed: int, minutes: float) -> str:
    """Write what came of the files as a Markdown table.

    Args:
        tallies: Of `fuzz`.
        seed: Of the damage.
        minutes: How long it took.
    """
    lines = [
        f"seed {seed}, {sum(t.outcomes.total() for t in tallies.values())} damaged files, {minutes:.0f} minutes.",
        "",
        "| kind | whole files | damaged | read | refused in one line | tracebacks | crashes | hangs | above 2 GiB "
        "| slowest, s of CPU | most memory, GiB |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    hows = ("read", "refused", "traceback", "crash", "hang", "memory")
    for kind, tally in tallies.items():
        numbers = " | ".join(str(tally.outcomes[how]) for how in hows)
        lines.append(
            f"| {kind} | {tally.seeds} | {tally.outcomes.total()} | {numbers} | {tally.slowest_s:.2f} "
            f"| {tally.most_bytes / 2**30:.2f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Run what the command line asks for; the exit code is 1 where something was found."""
    parser = command_line("fuzz", __doc__)
    parser.add_argument("--count", type=int, default=10_000, metavar="N", help="damaged files (10000)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="another number, other damage (0)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND", help="which (all)")
    parser.add_argument("--out", type=Path, default=RUNS / "fuzz", metavar="FOLDER", help="findings (runs/fuzz)")
    parser.add_argument("--page", type=Path, metavar="FILE", help="a Markdown page that gets the table")
    given = parser.parse_args()
    begun = time.monotonic()
    tallies = fuzz(given.count, given.seed, given.out, tuple(given.kinds))
    text = table(tallies, given.seed, (time.monotonic() - begun) / 60)
    sys.stdout.write(text + "\n")
    for kind, tally in tallies.items():
        for number, outcome in tally.findings:
            found = {"kind": kind, "number": number, "how": outcome.how, "last": outcome.detail[-300:]}
            sys.stdout.write(json.dumps(found) + "\n")
    if given.page:
        write_between(given.page, text, START, END)
    sys.exit(int(any(tally.findings for tally in tallies.values())))


if __name__ == "__main__":
    main()
