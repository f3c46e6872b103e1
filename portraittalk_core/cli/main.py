"""Parse the command line, run a subcommand, and turn errors into one line and an exit code.

Exit codes: 0 done; 1 `doctor` found something missing; 2 the user's input cannot be used; 130 stopped by Ctrl-C
(or by SIGTERM, which is treated alike, so that nothing half-written is left then either).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Generator, Sequence
from typing import NoReturn

from ..errors import BadInput, PortraitTalkError
from . import avatar, cores, doctor, evaluate, generate, info, models, plan, prepare, train

COMMANDS = (generate, evaluate, prepare, train, avatar, models, plan, info, doctor)

EPILOG = """examples that work on a fresh clone:
  portraittalk doctor
  portraittalk avatar --seed 7 -o face.png
  portraittalk generate --image face.png --audio portraittalk_core/assets/speech.wav \\
      --prompt "a person with red hair" -o out.mp4
"""


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
    try:
        arguments = build_parser().parse_args(argv)
        cores.share()
        with _messages(arguments.verbose), _termination_as_interrupt():
            return arguments.run(arguments)
    except PortraitTalkError as error:
        print("portraittalk: error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nportraittalk: stopped; nothing half-written was left.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader of our output (`| head`) has gone; the flush at exit must not fail again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as leaving:  # --help
        return int(leaving.code or 0)


@contextlib.contextmanager
def _messages(verbose: bool) -> Generator[None, None, None]:
    """Show the package's warnings on stderr while a command runs."""
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


@contextlib.contextmanager
def _termination_as_interrupt() -> Generator[None, None, None]:
    """Let SIGTERM raise KeyboardInterrupt; only the main thread may set handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
