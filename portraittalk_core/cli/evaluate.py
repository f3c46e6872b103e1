"""`portraittalk evaluate`: score videos of talking faces and write a report.

A clip that cannot be scored becomes a line in the report; the others are scored all the same. A run that was stopped
goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, BadMedia

if TYPE_CHECKING:
    from ..evaluation.report import Report
    from ..evaluation.score import Clip

EPILOG = """examples:
  portraittalk evaluate videos/ -o report/
  portraittalk evaluate one.mp4 two.mp4 --audio speech.wav -o report/
  portraittalk evaluate made/ --reference true/ --suite full --faces buffalo_l/ -o report/
  portraittalk evaluate new/ --compare old_report/results.json -o report/

The report folder gets results.json, results.csv and report.html, which opens offline. Clips that are in results.json
already, with the same size and time, are not scored again. Without --faces only rendered avatars are found; for people
give the folder of an insightface pack or MediaPipe's face_landmarker.task. Figures of two detectors do not compare.
"""

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
SOUND_SUFFIXES = (".wav", ".mp3", ".flac", ".m4a", ".ogg", *SUFFIXES)


def add_parser(commands: Any) -> None:
    """Add the subcommand."""
    parser = commands.add_parser(
        "evaluate",
        help="score how well faces talk",
        description="Score how well faces in videos move with the voice, and write a report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("videos", nargs="+", metavar="VIDEO", help="a video file, or a folder of them")
    add("-o", "--output", required=True, metavar="FOLDER", help="the folder of the report; a stopped run goes on")
    add("--reference", metavar="DIR", help="the true videos: a folder with the same file names, or one file for all")
    add("--audio", metavar="FILE", help="the sound instead of the videos' own: one file, or a folder with their names")
    add("--suite", choices=("quick", "full"), default="quick", help="full: also SSIM, LPIPS and CSIM (quick)")
    add("--faces", metavar="PACK", help="what finds faces: an insightface folder or a MediaPipe .task (avatars only)")
    add("--compare", metavar="FILE", help="results.json of another run to be shown beside this one")
    add("--quiet", action="store_true", help="no progress bar")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Check everything, score clip by clip, write the report and print the means."""
    from ..evaluation.figures import protocol
    from ..evaluation.report import Report, read_results
    from ..evaluation.tracks import open_finder

    clips = find_clips(arguments.videos, arguments.audio, arguments.reference, arguments.output)
    _check_output(arguments.output)
    if arguments.compare:
        read_results(arguments.compare)
    finder = open_finder(arguments.faces)
    kept = protocol(arguments.suite, finder.name, arguments.audio, arguments.reference)
    report = Report(arguments.output, clips, kept)
    _score(report, finder, arguments.suite, arguments.quiet)
    page = report.finish(arguments.compare)
    _print_summary(report, page)
    return 0


def find_clips(
    videos: Sequence[str], audio: str | None = None, reference: str | None = None, output: str | None = None
) -> list[Clip]:
    """Return the clips that were named, by folder or one by one, with what belongs to each.

    Folders are searched through, hidden ones and the report's own left out. A clip is called by its path in its folder;
    where two would have one name, by the path that was given. Raises `BadMedia` for names that are not there and
    `BadInput` where no video is found.
    """
    from ..evaluation.score import Clip

    found: dict[Path, Path] = {}
    for name in videos:
        path = Path(name)
        if not path.exists():
            raise BadMedia(f"The video must exist, but there is no `{name}`. Check the name and the folder.")
        inside = _videos_in(path, output) if path.is_dir() else [path]
        found |= {file: file.relative_to(path) if path.is_dir() else Path(file.name) for file in inside}
    if not found:
        raise BadInput(f"`evaluate` needs a video, but {', '.join(videos)} holds none ({' '.join(SUFFIXES)}).")
    sounds, truths = _companions(audio, "--audio", SOUND_SUFFIXES), _companions(reference, "--reference", SUFFIXES)
    names = list(found.values())
    return [
        Clip(
            path=file,
            label=(name if names.count(name) == 1 else file).as_posix(),
            sound=sounds(name),
            reference=truths(name),
        )
        for file, name in found.items()
    ]


def _videos_in(folder: Path, output: str | None) -> list[Path]:
    own = None if output is None else Path(output).resolve()
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)
    shown = (file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    return sorted(file for file in shown if own is None or own not in file.resolve().parents or own == folder.resolve())


def _companions(given: str | None, option: str, suffixes: Sequence[str]) -> Callable[[Path], Path | None]:
    """Return which file goes with the video of a name: one for all, or that of the same name in a folder.

    A file that the folder lacks is reported with its clip, hence its path is returned all the same.
    """
    if given is None:
        return lambda name: None
    base = Path(given)
    if not base.exists():
        raise BadMedia(f"`{option}` must be a file or a folder, but there is no `{given}`. Check the name.")
    if base.is_file():
        return lambda name: base

    def companion(name: Path) -> Path:
        candidates = [base / name.with_suffix(suffix) for suffix in (name.suffix, *suffixes)]
        return next((file for file in candidates if file.is_file()), base / name)

    return companion


def _check_output(name: str) -> None:
    folder = Path(name)
    if folder.exists() and not folder.is_dir():
        raise BadMedia(f"`-o` must be a folder, but `{name}` is a file. Name a folder.")
    if not folder.absolute().parent.is_dir():
        raise BadMedia(f"The folder of `-o` must exist, but `{folder.absolute().parent}` does not. Create it first.")


def _score(report: Report, finder: Any, suite: str, quiet: bool) -> None:
    """Score what is pending; every clip is written as soon as it is done."""
    from ..evaluation.score import Scorer

    scorer = Scorer(finder, suite)
    pending = report.pending
    with _progress(len(report.clips), len(report.clips) - len(pending), quiet) as (begin, on_frame, done):
        for clip in pending:
            begin(clip.label)
            report.add(scorer.score(clip, on_frame))
            done()


@contextmanager
def _progress(clips: int, scored: int, quiet: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Show clips with the time left, a part of a clip counting as that part; log lines go around the bar."""
    from tqdm import tqdm
    from tqdm.contrib.logging import logging_redirect_tqdm

    package = logging.getLogger(__name__.rpartition(".cli.")[0])
    form = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} clips [{elapsed}<{remaining}]"
    with (
        logging_redirect_tqdm([package]),
        tqdm(total=clips, initial=scored, disable=quiet, dynamic_ncols=True, leave=False, bar_format=form) as bar,
    ):
        whole = scored

        def begin(label: str) -> None:
            bar.set_description(label[-40:])

        def on_frame(frames: int, total: int) -> None:
            if total:
                bar.update(whole + min(0.9, 0.9 * frames / total) - bar.n)

        def done() -> None:
            nonlocal whole
            whole += 1
            bar.update(whole - bar.n)

        yield begin, on_frame, done


def _print_summary(report: Report, page: Path) -> None:
    from ..evaluation.summary import means

    failed = [record for record in report.records if record["adfd"] is None]
    for record in failed:
        print(f"{record['file']}: {' '.join(record['unscored'])}")
    found = means(report.records).get("adfd")
    if found is None:
        print(f"{page}: no clip of {len(report.clips)} could be scored")
        return
    interval = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]"
    print(f"{page}: ADFD {found.value:.3f}{interval} over {found.clips} of {len(report.clips)} clips")
