"""`portraittalk generate --batch jobs.csv`: many videos, one a row, each model loaded once a worker.

A column is an option of `generate` without its dashes; what is given beside `--batch` holds for every row that says
nothing else. Every row is checked before the first begins. A row that fails is reported in one line, and the others go
on. What is finished is written down beside the table, so that the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import io
import json
import logging
import os
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, BadMedia, PortraitTalkError
from .engines import add_engine, read_engine
from .table import read_table

if TYPE_CHECKING:
    from ..evaluation.engine import Lost

logger = logging.getLogger(__name__)

NEEDED = ("image", "audio", "output")
"""Options without which there is no video."""

MANY = ("image", "edit", "part")
"""Columns that hold several values, separated by `|`."""

_HERE = ("batch", "engine", "workers", "ray_address", "run", "parser", "command", "verbose", "quiet")
_TARGETS = ("output", "preview", "landmarks", "save_motion", "watch")
_TRUE, _FALSE = ("yes", "y", "true", "1", "on", "x"), ("no", "n", "false", "0", "off")


@dataclass(frozen=True)
class Row:
    """One video of a table; picklable."""

    number: int
    """Of the line in the table, the header being 1."""

    arguments: argparse.Namespace
    """As `generate` takes them."""

    def __str__(self) -> str:
        """Return what messages call it."""
        return f"row {self.number} ({self.output})"

    @property
    def output(self) -> str:
        """Where the video goes."""
        return self.arguments.output

    @property
    def targets(self) -> list[str]:
        """All files that it writes."""
        return [name for key in _TARGETS if (name := getattr(self.arguments, key))]

    @property
    def sources(self) -> list[str]:
        """All files that it reads, but for the model's own."""
        given = self.arguments
        parts = [part.partition("=")[2] for part in given.part]
        return [*given.image, *(name for name in (given.audio, given.motion, given.faces, *parts) if name)]

    @functools.cached_property
    def said(self) -> str:
        """Everything that was asked for, and what its files were then, to know the row again."""
        files = {name: _stamp(name) for name in self.sources}
        return json.dumps(vars(self.arguments) | {"files": files}, sort_keys=True, default=str)


def add_batch(parser: argparse.ArgumentParser, run: Callable[..., int]) -> None:
    """Add the options of many videos to `generate`, and what runs it.

    Args:
        parser: Of `generate`.
        run: Makes one video.
    """
    group = parser.add_argument_group("many videos: --batch, and where it runs")
    group.add_argument(
        "--batch",
        metavar="CSV",
        help="a table, a video a row, whose columns are options (image, audio, prompt, …)",
    )
    add_engine(group)
    parser.set_defaults(run=functools.partial(_run, parser=parser, one=run))


def _run(arguments: argparse.Namespace, *, parser: argparse.ArgumentParser, one: Callable[..., int]) -> int:
    """Make one video, or those of a table."""
    if arguments.batch:
        return run_batch(arguments, parser)
    missing = [f"--{name}" for name in NEEDED if not getattr(arguments, name)]
    if missing:
        parser.error(f"the following arguments are required: {', '.join(missing)}")
    if arguments.engine != "local" or arguments.workers is not None or arguments.ray_address is not None:
        raise BadInput("`--engine`, `--workers` and `--ray-address` belong to --batch. Leave them out.")
    return one(arguments)


def run_batch(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    """Make what is missing of a table.

    Args:
        arguments: Of the command line.
        parser: Of `generate`, which reads the rows.

    Returns:
        The exit code: 0, or 1 where rows failed.

    Raises:
        BadInput: For a table that cannot be, all its faults at once.
        MissingExtra: When Ray is asked for and cannot be imported.
    """
    engine = read_engine(arguments)
    rows = read_rows(Path(arguments.batch), arguments, parser)
    engine.check()
    journal = Journal(Path(f"{arguments.batch}.done"))
    waiting = [row for row in rows if not journal.has(row)]
    if len(waiting) < len(rows):
        print(f"{len(rows) - len(waiting)} of {len(rows)} videos are there already.")
    failed: list[str] = []
    with _tidy(waiting), contextlib.closing(engine.run(waiting, Worker)) as results:
        for row, found in results:
            line = _line(found)
            if isinstance(found, Made):
                journal.add(row)
                print(line, flush=True)
            else:
                failed.append(f"{row}: {line}")
                print(f"failed: {failed[-1]}", flush=True)
    print(f"Videos made: {len(waiting) - len(failed)}; failed: {len(failed)}.")
    return 1 if failed else 0


@contextlib.contextmanager
def _tidy(rows: Sequence[Row]) -> Generator[None, None, None]:
    """Delete what workers leave that are killed, by the system or because somebody stops the run."""
    from ..media.target import RUN_VARIABLE, remove_of_run

    run = os.environ[RUN_VARIABLE] = uuid.uuid4().hex[:8]
    try:
        yield
    finally:
        os.environ.pop(RUN_VARIABLE, None)
        remove_of_run(run, dict.fromkeys(Path(name).absolute().parent for row in rows for name in row.targets))


@dataclass(frozen=True)
class Made:
    """A video that was made."""

    line: str
    """What `generate` says of it."""


@dataclass(frozen=True)
class Failed:
    """A video that could not be made."""

    reason: str
    """One line."""


def _line(found: Made | Failed | Lost) -> str:
    return found.line if isinstance(found, Made) else found.reason


class Worker:
    """Makes videos one after the other; a model is loaded for the first that needs it, and one is kept."""

    def __init__(self) -> None:
        self._model: tuple[object, Any] = (None, None)

    def __call__(self, row: Row) -> Made | Failed:
        """Make the video of a row, and the folders that it goes to."""
        from .generate import run

        said = io.StringIO()
        try:
            for name in row.targets:
                with contextlib.suppress(OSError):  # the check of targets says what is the matter
                    Path(name).absolute().parent.mkdir(parents=True, exist_ok=True)
            with contextlib.redirect_stdout(said):
                run(row.arguments, self._load)
        except (PortraitTalkError, OSError, RuntimeError, MemoryError) as error:  # of torch and of the system, too
            logger.info("Row %d failed.", row.number, exc_info=True)
            return Failed(" ".join(str(error).split()) or type(error).__name__)
        return Made(said.getvalue().strip())

    def _load(self, name: str, **options: Any) -> Any:
        from ..pipeline import PortraitTalk

        wanted = (name, json.dumps(options, sort_keys=True, default=str))
        if self._model[0] != wanted:
            self._model = (None, None)  # let go before the next is read
            self._model = (wanted, PortraitTalk.load(name, **options))
        return self._model[1]


class Journal:
    """Remembers which rows are finished, in a file beside the table."""

    def __init__(self, path: Path) -> None:
        """Read what is known, and make sure that more can be written.

        Args:
            path: Of the file, which need not exist.

        Raises:
            BadMedia: When it cannot be read or written.
        """
        from ..media.target import check_target

        self._path, self._done = path, set[str]()
        check_target(path, (path.suffix,), folder=False)
        try:
            self._done |= set(path.read_text(encoding="utf-8").splitlines()) if path.exists() else set()
        except (OSError, UnicodeDecodeError) as error:
            raise BadMedia(f"`{path}` cannot be read ({error}). Delete it, and every video is made again.") from error

    def has(self, row: Row) -> bool:
        """Say whether a row is finished, asked the same, and its video still there."""
        return row.said in self._done and Path(row.output).exists()

    def add(self, row: Row) -> None:
        """Remember a row; where the disk has no room for that, it will be made again."""
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(row.said + "\n")
        except OSError as error:
            logger.warning("%s was made, but `%s` cannot be written (%s).", row.output, self._path, error.strerror)


def read_rows(path: Path, arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> list[Row]:
    """Read a table.

    Args:
        path: A CSV file with a header.
        arguments: Of the command line, which hold where a row says nothing.
        parser: Of `generate`.

    Returns:
        The rows in order.

    Raises:
        BadInput: For unknown columns, rows that are no job, and a file that two rows write, or that one row writes and
            one reads; all at once.
        BadMedia: When there is no such file, or it is no table.
    """
    lines = read_table(path)
    options = {a.dest: a for a in parser._actions if a.dest not in (*_HERE, "help")}
    unknown = [name for name in dict.fromkeys(name for _, line in lines for name in line) if _name(name) not in options]
    if unknown:
        raise BadInput(
            f"`--batch` has columns that are no options: {', '.join(map(repr, unknown))}. Known: {', '.join(options)}."
        )
    twice = [name for name, count in Counter(map(_name, lines[0][1])).items() if count > 1]
    if twice:
        raise BadInput(f"`--batch` has two columns of the option {twice[0]!r}. Leave one out.")
    rows, faults = [], list[str]()
    for number, line in lines:
        try:
            rows.append(Row(number, _parsed(line, options, arguments, parser)))
        except BadInput as error:
            faults.append(f"row {number}: {error}")
    outputs = Counter(os.path.realpath(name) for row in rows for name in row.targets)
    faults += [
        f"{output} would be written {count} times. Rename one." for output, count in outputs.items() if count > 1
    ]
    read = Counter(os.path.realpath(name) for row in rows for name in row.sources)
    faults += [
        f"One row writes {name} and one reads it, but rows have no order. Use two tables." for name in outputs & read
    ]
    if faults:
        raise BadInput(f"`--batch` cannot be run: {' '.join(faults)}")
    return rows


def _stamp(name: str) -> str:
    """Return what tells a file from another of its name; a word of the catalogue has no file."""
    try:
        found = os.stat(name)
    except (OSError, ValueError):
        return ""
    return f"{found.st_size} bytes, {found.st_mtime_ns}"


def _name(column: str) -> str:
    return column.lower().lstrip("-").replace("-", "_").replace(" ", "_")


def _parsed(
    line: dict[str, str], options: dict[str, argparse.Action], given: argparse.Namespace, parser: Any
) -> argparse.Namespace:
    """Return the arguments of a row, on top of those of the command line."""
    words: list[str] = []
    base = {name: value for name, value in vars(given).items() if name not in _HERE}
    for column, cell in line.items():
        name = _name(column)
        if cell:
            words += _words(options[name], cell)
            if name in MANY:
                base[name] = []
    parsed = parser.parse_args(words, argparse.Namespace(**base))
    arguments = {name: value for name, value in vars(parsed).items() if name not in _HERE}
    missing = [name for name in NEEDED if not arguments.get(name)]
    if missing:
        raise BadInput(f"{' and '.join(f'`{name}`' for name in missing)} must be given, but is empty. Fill it in.")
    return argparse.Namespace(**arguments, quiet=True)


def _words(option: argparse.Action, cell: str) -> Sequence[str]:
    """Return a cell as words of a command line."""
    flag = max(option.option_strings, key=len)
    if option.nargs == 0:
        negative = [f for f in option.option_strings if f.startswith("--no-")]
        wanted = cell.lower() in _TRUE
        if not wanted and cell.lower() not in _FALSE:
            raise BadInput(f"`{flag}` must be yes or no, but got {cell!r}. Write one of them.")
        return [min(option.option_strings, key=len) if wanted else negative[0]] if wanted or negative else []
    values = [part.strip() for part in cell.split("|")] if option.dest in MANY else [cell]
    return [f"{flag}={value}" for value in values]
