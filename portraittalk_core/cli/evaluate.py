"""`portraittalk evaluate`: score videos of talking faces, or make and score a benchmark, and write a report.

A clip that cannot be scored becomes a line in the report; the others are scored all the same. A run that was stopped
goes on where it was.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, BadMedia
from .engines import add_engine, read_engine

if TYPE_CHECKING:
    from ..evaluation.benchmark.run import Benchmark
    from ..evaluation.data.clips import Clip
    from ..evaluation.engine import Engine
    from ..evaluation.report.folder import Report
    from ..evaluation.scoring.network_files import NetworkFiles
    from ..evaluation.scoring.scorer import Scorer
    from ..pipeline import PortraitTalk

EPILOG = """examples:
  portraittalk evaluate videos/ -o report/
  portraittalk evaluate one.mp4 two.mp4 --audio speech.wav -o report/
  portraittalk evaluate made/ --reference true/ --suite full --faces buffalo_l/ -o report/
  portraittalk evaluate made/ --reference true/ --suite full --syncnet syncnet_v2.model -o report/
  portraittalk evaluate new/ --compare old_report/results.json -o report/
  portraittalk evaluate GRID/ --dataset grid --faces face_landmarker.task -o report/
  portraittalk evaluate made/ --reference GRID/ --dataset grid --faces face_landmarker.task -o report/
  portraittalk evaluate --model tiny --benchmark people -o report/ --page docs/benchmark.md
  portraittalk evaluate --model tiny --benchmark people --variants all --engine ray -o report/

The report folder gets results.json, results.csv and report.html, which opens offline. Clips that are in results.json
already, with the same size and time, are not scored again. MediaPipe finds faces where its file and package are here,
else (and in a benchmark) the tiny face pack. Figures of two detectors do not compare.
LSE, FID and FVD need networks of others, which are never downloaded here: the report names those that were not given.

The people benchmark speaks with espeak-ng, renders the truth, lets the model make every clip, and scores it; a stopped
run loses no finished clip. --variants adds what must lose against the model. On a Ray cluster of several machines the
folders must be on a disk that all of them see.
"""


def add_parser(commands: Any) -> None:
    """Add the subcommand.

    Args:
        commands: The subparsers of `portraittalk`.
    """
    parser = commands.add_parser(
        "evaluate",
        help="score how well faces talk",
        description="Score how well faces in videos move with the voice, and write a report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("videos", nargs="*", metavar="VIDEO", help="a video file, or a folder of them (not with --benchmark)")
    add("-o", "--output", required=True, metavar="FOLDER", help="the folder of the report; a stopped run goes on")
    add("--reference", metavar="DIR", help="the true videos: a folder with the same file names, or one file for all")
    add("--audio", metavar="FILE", help="the sound instead of the videos' own: one file, or a folder with their names")
    add("--suite", choices=("quick", "full"), help="full: also what needs networks (quick; of a benchmark: full)")
    add(
        "--faces",
        metavar="PACK",
        help="what finds faces: an insightface folder, a MediaPipe .task (if it is here), or tiny",
    )
    _add_networks(parser.add_argument_group("networks of others, with --suite full"))
    add("--compare", metavar="FILE", help="results.json of another run to be shown beside this one")
    add("--dataset", choices=("hdtf", "mead", "grid"), help="VIDEO (or --reference) is a folder of this set")
    add("--split", metavar="NAME", help="which of the set's clips: test, all, last (MEAD), or a file of names")
    add("--quiet", action="store_true", help="no progress bar")
    _add_benchmark(parser.add_argument_group("making clips"))
    add_engine(parser.add_argument_group("where it runs"))
    parser.set_defaults(run=run)


def _add_networks(group: Any) -> None:
    add = group.add_argument
    add("--syncnet", metavar="FILE", help="syncnet_v2.model: LSE-C and LSE-D")
    add("--inception", metavar="FILE", help="StyleGAN2-ADA's inception-2015-12-05.pt: FID against --reference")
    add("--i3d", metavar="FILE", help="StyleGAN-V's i3d_torchscript.pt: FVD against --reference")


def _network_files(arguments: argparse.Namespace, suite: str) -> NetworkFiles:
    """Return the networks that were named, each tried; raises `BadInput` where nothing would use one."""
    from ..evaluation.scoring.network_files import OPTIONS, NetworkFiles

    named = {name: getattr(arguments, name) for name in ("syncnet", "inception", "i3d")}
    files = NetworkFiles(**{name: None if path is None else Path(path).absolute() for name, path in named.items()})
    for score in files.given:
        if suite != "full":
            raise BadInput(f"`{OPTIONS[score]}` belongs to the full suite, but this is {suite}. Add --suite full.")
        if score != "LSE" and not (arguments.reference or arguments.benchmark):
            raise BadInput(f"`{OPTIONS[score]}` compares with true videos, but got none. Name them with --reference.")
    files.check()
    return files


def _add_benchmark(group: Any) -> None:
    add = group.add_argument
    add("--benchmark", choices=("people",), help="make the clips of this benchmark and score them")
    add("--model", metavar="NAME", help="what makes them: tiny or a folder of weights (tiny)")
    add("--device", default="cpu", metavar="NAME", help="where the model runs (cpu)")
    add("--variants", nargs="+", default=["full"], metavar="NAME", help="full and what must lose to it, or all (full)")
    add("--people", type=int, default=64, metavar="N", help="unseen people (64)")
    add("--variant-people", type=int, metavar="N", help="of how many of them the other variants are made (all)")
    add("--sentences", type=int, default=2, metavar="N", help="sentences of each (2)")
    add("--seconds", type=float, default=5.0, metavar="S", help="where clips are cut (5)")
    add("--steps", type=int, metavar="N", help="denoising steps (the model's own)")
    add("--no-edits", action="store_true", help="do not judge edits by prompts")
    add("--page", metavar="FILE", help="also write the tables into this Markdown page, between its markers")


def run(arguments: argparse.Namespace) -> int:
    """Check what goes together, then score videos or make the benchmark.

    Args:
        arguments: What `add_parser` defines.

    Returns:
        The exit code: 0, or 1 where a cluster lost clips.

    Raises:
        BadInput: When options do not go together.
    """
    engine = read_engine(arguments)
    if arguments.benchmark:
        unfit = [name for name in ("videos", "reference", "audio", "dataset", "compare") if getattr(arguments, name)]
        if unfit:
            name = "VIDEO" if unfit[0] == "videos" else f"--{unfit[0]}"
            raise BadInput(f"`--benchmark` makes its own clips, but got {name}. Leave one of them out.")
        return run_benchmark(arguments, engine)
    if arguments.model or arguments.page or arguments.variants != ["full"]:
        raise BadInput("`--model`, `--variants` and `--page` belong to `--benchmark people`. Add it.")
    if not arguments.videos:
        raise BadInput("`evaluate` needs a video, a folder of videos, or --benchmark people, but got none. Name one.")
    return run_videos(arguments, engine)


def run_videos(arguments: argparse.Namespace, engine: Engine) -> int:
    """Check everything, score clip by clip, write the report and print the means.

    Args:
        arguments: What `add_parser` defines.
        engine: Where clips are scored.

    Returns:
        The exit code: 0, or 1 where a cluster lost clips.

    Raises:
        BadMedia: When no clip could be scored, after the report is written.
    """
    from ..evaluation.report.folder import Report, read_results
    from ..evaluation.scoring.figures import protocol
    from ..evaluation.scoring.scorer import Scorer
    from ..evaluation.scoring.tracks import open_finder, usual_faces
    from ..media.target import check_folder

    suite, clips = arguments.suite or "quick", _clips(arguments)
    check_folder(arguments.output, "-o", deep=False)
    if arguments.compare:
        read_results(arguments.compare)
    engine.check()
    files = _network_files(arguments, suite)
    finder = open_finder(faces := arguments.faces or usual_faces())
    kept = protocol(suite, finder.name, arguments.audio, arguments.reference, files) | _set_protocol(arguments)
    report = Report(arguments.output, clips, kept)
    lost: list[str] = []
    if engine.name == "local":
        _score(report, Scorer(finder, suite, files), arguments.quiet)
    else:
        lost = _score_elsewhere(report, engine, (faces, suite, files), arguments.quiet)
    page = report.finish(arguments.compare)
    scored = _print_summary(report, page)
    if not scored and not lost:
        raise BadMedia(f"None of {len(clips)} clips could be scored; {page} says why of each. Name other videos.")
    return _print_lost(lost)


def run_benchmark(arguments: argparse.Namespace, engine: Engine) -> int:
    """Make what is missing of the benchmark, score it, write the reports and the page.

    Args:
        arguments: What `add_parser` defines.
        engine: Where clips are made and scored.

    Returns:
        The exit code: 0, or 1 where a cluster lost clips.
    """
    from ..evaluation.benchmark.run import Benchmark
    from ..evaluation.benchmark.settings import Settings
    from ..hosts.devices import open_device
    from ..media.target import check_folder

    suite = arguments.suite or "full"
    settings = Settings(
        folder=Path(arguments.output),
        model=arguments.model or "tiny",
        device=arguments.device,
        people=arguments.people,
        sentences=arguments.sentences,
        longest_s=arguments.seconds,
        steps=arguments.steps,
        suite=suite,
        faces=arguments.faces,
        variants=tuple(arguments.variants),
        variant_people=arguments.variant_people,
        edits=not arguments.no_edits,
        files=_network_files(arguments, suite),
    )
    check_folder(arguments.output, "-o", deep=False)
    if engine.name == "local":
        open_device(arguments.device, "--device")
    engine.check()
    benchmark = Benchmark(settings, load_model, engine)
    with _progress(len(benchmark), 0, arguments.quiet) as (begin, _, done):
        for job in benchmark.run():
            begin(job.label)
            done()
    page = benchmark.finish()
    if arguments.page:
        _write_page(benchmark, Path(arguments.page))
    for key, reason in benchmark.skipped.items():
        print(f"{key}: not made, {reason}")
    _print_summary(benchmark.reports["full"], page)
    return _print_lost(benchmark.lost)


def load_model(name: str, device: str) -> PortraitTalk:
    """Load what makes the clips; workers of a cluster import this by name.

    Args:
        name: `tiny`, or a folder of weights.
        device: Where it runs.

    Returns:
        The model.
    """
    from ..pipeline import PortraitTalk

    return PortraitTalk.load(name, device)


def _write_page(benchmark: Benchmark, page: Path) -> None:
    from ..evaluation.benchmark.markdown import benchmark_text, write_between
    from ..evaluation.benchmark.variants import named

    full = benchmark.reports["full"]
    records = {key: report.records for key, report in benchmark.reports.items() if key not in benchmark.skipped}
    edits = [record for _, record in sorted(benchmark.edits.items())]
    variants, cases = named(benchmark.settings.variants), len(benchmark.settings.cases)
    of_sets = {key: benchmark.reports[key].set_figures for key in records}
    text = benchmark_text(records, variants, full.protocol, edits, benchmark.skipped, cases, of_sets)
    write_between(page, text)


def _clips(arguments: argparse.Namespace) -> list[Clip]:
    """Return the clips that were named, by files and folders or by a set's layout."""
    from ..evaluation.data.clips import find_clips

    if not arguments.dataset:
        if arguments.split:
            raise BadInput("`--split` chooses clips of a set, but there is no --dataset. Add it, or leave --split out.")
        return find_clips(arguments.videos, arguments.audio, arguments.reference, arguments.output)
    from ..evaluation.data.datasets import DATASETS, with_results

    if len(arguments.videos) != 1 or arguments.audio:
        raise BadInput("`--dataset` needs one folder, with the set's own sound. Name it, and leave --audio out.")
    folder = Path(arguments.reference or arguments.videos[0])
    clips = DATASETS[arguments.dataset].clips(folder, arguments.split)
    return with_results(clips, Path(arguments.videos[0])) if arguments.reference else clips


def _set_protocol(arguments: argparse.Namespace) -> dict[str, str]:
    """Return what a set prescribes, for the report."""
    if not arguments.dataset:
        return {}
    from ..evaluation.data.datasets import DATASETS

    found = DATASETS[arguments.dataset]
    split = arguments.split or next(iter(found.splits))
    return {"set": found.name, "split": split} | {f"set: {key}": text for key, text in found.protocol.items()}


def _score(report: Report, scorer: Scorer, quiet: bool) -> None:
    """Score what is pending; every clip is written as soon as it is done."""
    pending = report.pending
    with _progress(len(report.clips), len(report.clips) - len(pending), quiet) as (begin, on_frame, done):
        for clip in pending:
            begin(clip.label)
            report.add(scorer.score(clip, on_frame))
            done()


def _score_elsewhere(
    report: Report, engine: Engine, judged_by: tuple[str, str, NetworkFiles], quiet: bool
) -> list[str]:
    """Score what is pending on a cluster; return a line for each clip that killed its workers.

    judged_by: what `open_scorer` takes.
    """
    from ..evaluation.engine import Lost

    pending, lost = report.pending, []

    def build() -> Any:
        return open_scorer(*judged_by).score

    with _progress(len(report.clips), len(report.clips) - len(pending), quiet) as (begin, _, done):
        for clip, result in engine.run(pending, build):
            begin(clip.label)
            if isinstance(result, Lost):
                lost.append(f"{clip.label}: {result.reason}")
            else:
                report.add(result)
            done()
    return lost


def open_scorer(faces: str, suite: str, files: NetworkFiles) -> Scorer:
    """Open a scorer of its own for a worker.

    Args:
        faces: What finds the faces, see `tracks.open_finder`.
        suite: `quick` or `full`.
        files: Networks that the user brought.

    Returns:
        The scorer.
    """
    from ..evaluation.scoring.scorer import Scorer
    from ..evaluation.scoring.tracks import open_finder

    return Scorer(open_finder(faces), suite, files)


@contextmanager
def _progress(clips: int, scored: int, quiet: bool) -> Generator[tuple[Any, Any, Any], None, None]:
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
            bar.set_description_str(label[-40:])

        def on_frame(frames: int, total: int) -> None:
            if total:
                bar.update(whole + min(0.9, 0.9 * frames / total) - bar.n)

        def done() -> None:
            nonlocal whole
            whole += 1
            bar.update(whole - bar.n)

        yield begin, on_frame, done


def _print_summary(report: Report, page: Path) -> int:
    """Print the means, and a line for each clip without a score; return how many have one."""
    from ..evaluation.scoring.figures import SET_FIGURES
    from ..evaluation.scoring.summary import means

    failed = [record for record in report.records if record["adfd"] is None]
    for record in failed:
        print(f"{record['file']}: {' '.join(record['unscored'])}")
    for figure in SET_FIGURES:
        entry = report.set_figures.get(figure.key)
        if entry is not None:
            value = "unscored" if entry["value"] is None else f"{entry['value']:.{figure.decimals}f}"
            if entry["low"] is not None:
                value += f" [{entry['low']:.{figure.decimals}f}, {entry['high']:.{figure.decimals}f}]"
            print(f"{figure.title} {value} over {entry['clips']} of {entry['of']} clips; the page says what to know")
    if (found := means(report.records).get("adfd")) is None:
        return 0
    interval = "" if found.low is None else f" [{found.low:.3f}, {found.high:.3f}]"
    over = f"over {found.clips} of {len(report.clips)} clips; faces found by {report.protocol['faces']}"
    print(f"{page}: ADFD {found.value:.3f}{interval} {over}")
    return found.clips


def _print_lost(lost: Sequence[str]) -> int:
    """Print what a cluster lost; return the exit code, 1 where something was."""
    for line in lost:
        print(line)
    return 1 if lost else 0
