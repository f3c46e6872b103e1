"""Parse the command line, run a subcommand, and turn errors into one line and an exit code.

Exit codes: 0 done; 1 `doctor` found something missing; 2 the user's input cannot be used; 130 stopped by Ctrl-C
(or by SIGTERM, which is treated alike, so that nothing half-written is left then either).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import math
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from typing import NoReturn

from ..errors import BadInput, PortraitTalkError
from ..media.write_errors import GONE, codes
from . import avatar, cores, doctor, evaluate, generate, info, models, plan, prepare, train
from .info import ASSETS

COMMANDS = (generate, evaluate, prepare, train, avatar, models, plan, info, doctor)

EPILOG = f"""examples, with a portrait and a recording that come with the package:
  portraittalk doctor
  portraittalk generate --image "{ASSETS / "portrait.png"}" \\
      --audio "{ASSETS / "speech.wav"}" --prompt "a person with red hair" -o out.mp4
"""

OTHERS_LOGGERS = ("matplotlib", "huggingface_hub", "transformers", "diffusers", "insightface", "filelock", "urllib3")
"""Libraries whose own remarks help nobody who runs a command; `-v` shows them."""

IMPATIENT_S = 1.0
"""Ctrl-C that follows another within this time is the same wish."""

DISK_ERRORS = codes(
    ("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "ENAMETOOLONG", "EFBIG", "EMFILE", "ENFILE", *GONE)
)
"""What a disk may say at any moment; it is never a defect of ours."""


MEMORY_WORDS = ("DefaultCPUAllocator", "std::bad_alloc", "bad allocation")
"""What errors of torch's say on a CPU whose memory is full."""


class Parser(argparse.ArgumentParser):
    """Reports a wrong command line like any other wrong input: in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print before it exits."""
        raise BadInput(f"{message.rstrip('.')}. See `{self.prog} --help`.")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    parser = Parser(
        prog="portraittalk",
        description="Make a portrait speak a recording.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="say more about what is done")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors that are not the user's keep their traceback."""
    parser = build_parser()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names that its encoding does not have are printed all the same
        sys.stdout.reconfigure(errors="backslashreplace")
    words: dict[str, str] = {}
    verbose = False
    try:
        _check_place()
        arguments = parser.parse_args(argv)
        words, verbose = option_names(parser, arguments), arguments.verbose
        cores.share()
        with _messages(arguments.verbose), _stoppable():
            return arguments.run(arguments)
    except PortraitTalkError as error:
        return _complain(in_options(str(error), words))
    except BrokenPipeError:  # the reader of our output (`| head`) has gone; the flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in DISK_ERRORS:
            raise
        named = f"`{error.filename}`: " if error.filename else ""
        return _complain(f"{named}{error.strerror}. Check the disk, its space and its permissions.")
    except (MemoryError, RuntimeError) as error:
        if verbose or not _is_memory(error):
            raise
        return _complain(
            "The memory is full. Close other programs, or take less at once: a shorter sound, a smaller --size or "
            "--window; `portraittalk plan` predicts what SD1.5 needs, and -v shows where it happened."
        )
    except KeyboardInterrupt:
        if argv is None:  # nothing is left to be stopped but the interpreter's end
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        print("\nportraittalk: stopped; nothing half-written was left.", file=sys.stderr)
        return 130
    except SystemExit as leaving:  # --help
        return int(leaving.code or 0)


def _is_memory(error: Exception) -> bool:
    """Return whether an error says that memory does not suffice; torch, which need not be loaded, has two ways."""
    torch = sys.modules.get("torch")
    full = (MemoryError, torch.OutOfMemoryError) if torch else MemoryError
    return isinstance(error, full) or any(words in str(error) for words in MEMORY_WORDS)


def _check_place() -> None:
    """Make sure that there is a working folder: without one torch ends the process."""
    try:
        os.getcwd()
    except OSError as error:
        raise BadInput(f"The working folder must exist, but is gone ({error.strerror}). Go to another one.") from error


def _complain(message: str) -> int:
    """Print one line and return the exit code of wrong input."""
    print("portraittalk: error:", " ".join(message.split()), file=sys.stderr)
    return 2


def option_names(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> dict[str, str]:
    """Return what the user of a command calls its arguments, by their names in Python.

    Args:
        parser: Of all commands.
        arguments: What was parsed, which says the command and its action.
    """
    words: dict[str, str] = {}
    for action in parser._actions:  # argparse has no public way to list them
        if action.option_strings:
            words[action.dest] = max(action.option_strings, key=len)
        elif isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            words |= option_names(action.choices[getattr(arguments, action.dest)], arguments)
        elif isinstance(action.metavar, str):
            words[action.dest] = action.metavar
    return words | ({"parts": words["part"]} if "part" in words else {})


def in_options(message: str, words: dict[str, str]) -> str:
    """Return a message in which arguments have the names that the command line gives them.

    Args:
        message: Of an error; names stand between backticks.
        words: Of `option_names`.
    """
    return re.sub(r"`(\w+)`", lambda found: f"`{words.get(found[1], found[1])}`", message)


@contextlib.contextmanager
def _messages(verbose: bool) -> Generator[None, None, None]:
    """Show the package's warnings on stderr while a command runs, and what other libraries say only if asked."""
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "0" if verbose else "1")
    others = {} if verbose else {name: logging.getLogger(name).level for name in OTHERS_LOGGERS}
    for name in others:
        logging.getLogger(name).setLevel(logging.ERROR)
    logger = logging.getLogger(__name__.rpartition(".cli.")[0])
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("portraittalk: %(levelname)s: %(message)s"))
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO if verbose else logging.WARNING)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
        for name, level in others.items():
            logging.getLogger(name).setLevel(level)


@contextlib.contextmanager
def _stoppable() -> Generator[None, None, None]:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt, but not again while the first is cleaned up after.

    Only the main thread may set handlers. An interrupt that something has swallowed can be repeated after a second; of
    what something has made an error is an interrupt again (torch does, in the midst of safetensors' `get_tensor`).
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    last_s = -math.inf

    def stop(number: int, frame: object) -> None:
        nonlocal last_s
        before_s, last_s = last_s, time.monotonic()
        if last_s - before_s > IMPATIENT_S:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception as error:
        if last_s > -math.inf:
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
