"""The tiny model on rendered people that training never saw: tables of docs/tiny.md and docs/ablation.md.

The truth is exact: every picture that should come out can be rendered.

    python -m benchmarks.rendered_people                                  everything; kept, and not made again
    python -m benchmarks.rendered_people --quick                          two people, under a minute, no page
    python -m benchmarks.rendered_people --people 64 --parts clips edits
    python -m benchmarks.rendered_people --beside FOLDER                  other weights on the same people, side by side
    python -m benchmarks.rendered_people --task FACE_LANDMARKER           MediaPipe reads the clips too

Parts: `clips` (true motion, one clip a person), `edits` (prompts, each in two poses), `ablation` (one part of the model
taken away), `long` (first against last second, streamed), `sound` (speech of held-out voices; needs espeak-ng) and
`memory`. A folder of weights need not be complete: what it lacks is that of the shipped model. True pictures need
`moderngl` and `anny`, once; they are kept in runs/rendered/people.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from portraittalk_core.evaluation.benchmark.settings import fingerprint
from portraittalk_core.pipeline import PortraitTalk

from .parts.program import DOCS, RUNS, command_line, say, update_results
from .parts.real.readings import open_reader
from .parts.rendered import ablation, clips, edited, long, sound
from .parts.rendered.page import beside, tables, write_pages
from .parts.rendered.session import Session, complete
from .parts.rendered.sheet import write_sheet

PARTS: dict[str, Callable[[Session], dict[str, Any]]] = {
    "clips": clips.measure,
    "edits": edited.measure,
    "ablation": ablation.measure,
    "long": long.measure,
    "sound": sound.measure,
    "memory": sound.memory,
}
"""By name on the command line."""

USUAL = ("clips", "edits", "ablation", "long", "sound")
"""What is measured unasked."""


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Args:
        words: Of it; None: the process' own.
    """
    parser = command_line("rendered_people", __doc__)
    add = parser.add_argument
    add("--model", "--weights", default="tiny", help="or a folder of its files, or of some of them (%(default)s)")
    add("--beside", nargs="*", default=[], metavar="FOLDER", help="other weights that are measured on the same people")
    add("--people", type=int, default=12, help="%(default)s")
    add("--ablation-people", type=int, default=3, help="the first of them, on whom variants are made (%(default)s)")
    add("--frames", type=int, default=24, help="of each person's clip (%(default)s)")
    add("--seconds", type=float, default=10.0, help="of the long clip (%(default)s)")
    add("--parts", nargs="*", choices=tuple(PARTS), default=list(USUAL))
    add("--quick", action="store_true", help="two people, eight frames, clips and edits; writes no page")
    add("--again", action="store_true", help="measure anew what is kept")
    add("--task", type=Path, help="MediaPipe's face_landmarker_v2_with_blendshapes.task: it reads the clips as well")
    add("--work", type=Path, default=RUNS / "rendered", help="what is drawn and measured (%(default)s)")
    add("--no-page", action="store_true", help="leave docs/ as it is")
    given = parser.parse_args(words)
    if given.quick:
        given.people, given.frames, given.parts, given.no_page = 2, 8, ["clips", "edits"], True
    return given


@torch.inference_mode()
def main() -> None:
    """Measure the chosen parts of each model and write the pages."""
    given = parse()
    logging.basicConfig(level=logging.WARNING)
    results = {name: run(given, name) for name in (given.model, *given.beside)}
    if published(given, given.model):
        write_pages(results["tiny"])
    else:
        say(tables(results[given.model]))
    if given.beside:
        text = beside(results)
        (given.work / "beside.md").write_text(text + "\n")
        say(text)


def published(given: argparse.Namespace, name: str) -> bool:
    """Say whether figures go into the documents: those of the shipped model, unless told otherwise.

    Args:
        given: Of `parse`.
        name: Of the model.
    """
    return name == "tiny" and not given.no_page


def run(given: argparse.Namespace, name: str) -> dict[str, Any]:
    """Measure one model.

    Args:
        given: Of `parse`.
        name: Of the model.

    Returns:
        By the part's name what it measured, and `weights`.
    """
    folder = complete(name, given.work)
    weights = fingerprint(folder)
    model = PortraitTalk.load(folder)
    reader = open_reader(given.task) if given.task else None
    session = Session(given, folder, model, given.work / weights, reader)
    session.folder.mkdir(parents=True, exist_ok=True)
    store = session.folder / ("quick.json" if given.quick else "results.json")
    found = update_results({"weights": weights, "model": name}, store)
    for part in given.parts:
        begun = time.process_time()
        say(f"{name}, {weights}: {part}")
        found = update_results({part: PARTS[part](session)}, store)
        if part == "edits":
            write_sheet(session, DOCS / "edits_of_people.jpg" if published(given, name) else store.with_suffix(".jpg"))
        say(f"{part}: {time.process_time() - begun:.0f} s of a core")
    return found


if __name__ == "__main__":
    main()
