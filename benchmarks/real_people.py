"""The tiny model on people who are real: clips, photographs and recordings, read by MediaPipe; docs/real_people.md.

    python -m benchmarks.real_people --clips FOLDER --portraits FOLDER --speech FOLDER --task FACE_LANDMARKER
    python -m benchmarks.real_people … --parts clips --step 5 --only c06        a quick look at one clip
    python -m benchmarks.real_people … --parts                                 only write the page anew

Parts: `clips` (their first frame as the photograph, driven by the motion that MediaPipe reads in the rest, beside what
is simpler), `sheet` (every photograph at rest and in eight frames), `sound` (every photograph with every recording),
`long` (a minute) and `speed`. What was made lies in a folder of its own for each set of weights, videos and pictures to
look at included, and is not made again. The page says of how many frames and pairs its figures are; a run over some
people alone (`--only`) writes its tables beside what it made. Needs mediapipe: `pip install mediapipe`.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from portraittalk_core.evaluation.benchmark.settings import fingerprint
from portraittalk_core.pipeline import PortraitTalk

from .parts.program import DOCS, RUNS, command_line, read_results, update_results
from .parts.real import clips, sheet, speed, spoken
from .parts.real.page import write_page
from .parts.real.readings import open_reader
from .parts.real.session import Session

PARTS: dict[str, Callable[[Session], dict[str, Any]]] = {
    "clips": clips.measure,
    "sheet": sheet.measure,
    "sound": spoken.measure,
    "long": spoken.long,
    "speed": speed.measure,
}
"""By name on the command line."""


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line.

    Args:
        words: Of it; None: the process' own.
    """
    parser = command_line("real_people", __doc__)
    add = parser.add_argument
    add("--clips", type=Path, required=True, help="folder of .mp4 files of people who speak")
    add("--portraits", type=Path, required=True, help="folder of photographs, with or below a MANIFEST.json")
    add("--speech", type=Path, required=True, help="folder of recordings")
    add("--task", type=Path, required=True, help="MediaPipe's face_landmarker_v2_with_blendshapes.task")
    add("--out", type=Path, default=RUNS / "real", help="what is made and read (%(default)s)")
    add("--parts", nargs="*", choices=tuple(PARTS), default=list(PARTS))
    add("--model", default="tiny", help="or a folder of its files")
    add("--frames", type=int, default=75, help="of each clip, at most (%(default)s)")
    add("--step", type=int, default=1, help="every how many of them are made (%(default)s)")
    add("--seconds", type=float, default=6.0, help="of each recording, at most (%(default)s)")
    add("--every", type=int, default=1, help="of the pairs of photograph and recording only every Nth (%(default)s)")
    add("--only", nargs="*", default=[], metavar="NAME", help="clips and photographs whose names begin so")
    add("--page", type=Path, help="where the tables go (docs/real_people.md; with --only beside what was made)")
    add("--threads", type=int, default=2, help="for speed (%(default)s)")
    return parser.parse_args(words)


@torch.inference_mode()
def main() -> None:
    """Measure the chosen parts and write the page."""
    given = parse()
    logging.basicConfig(level=logging.WARNING)
    run(given, PortraitTalk.load(given.model), fingerprint(given.model), DOCS / "real_people.md")


def settings(given: argparse.Namespace, part: str) -> str:
    """Say of what a part was measured.

    Args:
        given: Of `parse`.
        part: Of `PARTS`.
    """
    if part == "clips":
        every = "every frame" if given.step == 1 else f"one frame in {given.step}"
        return f"{every} of the first {given.frames} of each clip"
    if part == "sound":
        pairs = "every pair" if given.every == 1 else f"one pair in {given.every}"
        return f"{pairs} of photograph and recording, at most {given.seconds:g} s"
    return "all that can speak" if part == "sheet" else "one photograph"


def run(given: argparse.Namespace, model: PortraitTalk, weights: str, page: Path) -> None:
    """Measure the chosen parts and write the page.

    Args:
        given: Of `parse`.
        model: Tiny.
        weights: Fingerprint of its files.
        page: Where the tables go, unless the command line says otherwise or names some of the people.
    """
    folder = given.out / weights
    for name in ("clips", "sheet", "sound"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    page = given.page or (folder / "some.md" if given.only else page)
    session = Session(given, model, open_reader(given.task), folder, page)
    store = folder / ("some.json" if given.only else "results.json")
    write_page(update_results({"weights": weights}, store), page)
    for part in given.parts:
        held = read_results(store)
        found = {part: PARTS[part](session), "settings": {**held.get("settings", {}), part: settings(given, part)}}
        if part != "clips":
            found["left out"] = session.looked_at[1]
        write_page(update_results(found, store), page)
    sys.stdout.write(f"{page}\n{json.dumps(sorted(read_results(store)))}\n")


if __name__ == "__main__":
    main()
