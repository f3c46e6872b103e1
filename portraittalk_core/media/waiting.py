"""Ask a disk, and do not wait for its answer for ever: a network share may hang, and then no signal ends the call.

What is asked runs in a thread of its own. So the wait is said, ends, and can be interrupted. Only what looks at files
goes this way; what FFmpeg reads and writes later is waited for, as every program waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..errors import BadMedia

logger = logging.getLogger(__name__)

SLOW_S = 5.0
"""After this long without an answer a warning says so."""

PATIENCE_S = 60.0
"""After this long a disk counts as gone."""

_GRACE_S = 2.0
_SLICE_S = 0.5  # Windows delivers no interrupt while a thread waits

_asked: dict[threading.Thread, Path] = {}

T = TypeVar("T")


class Unanswered(BadMedia):
    """A disk that does not answer."""


def answered(ask: Callable[[], T], path: str | Path, patience_s: float | None = None) -> T:
    """Return what a function that asks a disk returns, or raise what it raises.

    An interrupt lets the function come to its end, if that is near: what it has made it then removes itself.

    Args:
        ask: Runs in another thread, and beyond this call where the disk does not answer.
        path: What messages call the file.
        patience_s: How long an answer may take; None for `PATIENCE_S`.

    Raises:
        Unanswered: When there is none in time.
    """
    said: list[T] = []
    failed: list[BaseException] = []

    def work() -> None:
        try:
            said.append(ask())
        except BaseException as error:  # raised again where it was asked
            failed.append(error)

    thread = threading.Thread(target=work, name="portraittalk-disk", daemon=True)
    _asked[thread] = Path(os.path.abspath(path))  # asks no disk
    try:
        _begin(thread)
        _wait(thread, path, PATIENCE_S if patience_s is None else patience_s)
    except BaseException:
        if thread.ident is not None:
            thread.join(_GRACE_S)
        raise
    finally:
        for other in [other for other in list(_asked) if not other.is_alive()]:
            _asked.pop(other, None)
    if failed:
        raise failed[0]
    return said[0]


def is_silent(path: Path) -> bool:
    """Return whether something in the folder of a file, or below it, was asked and is not answered yet.

    Args:
        path: Absolute.
    """
    open_questions = [asked for thread, asked in list(_asked.items()) if thread.is_alive()]
    return any(path.parent in (asked, *asked.parents) for asked in open_questions)


def _begin(thread: threading.Thread) -> None:
    """Start a thread; at the interpreter's end, when there are no new ones, do its work here."""
    try:
        thread.start()
    except RuntimeError:
        thread.run()


def _wait(thread: threading.Thread, path: str | Path, patience_s: float) -> None:
    begun, warned = time.monotonic(), False
    while thread.is_alive():
        thread.join(_SLICE_S)
        if not thread.is_alive():
            return
        passed_s = time.monotonic() - begun
        if passed_s >= patience_s:
            raise Unanswered(
                f"The disk of `{path}` has not answered for {passed_s:.0f} s. Check the network share, or use another "
                "disk."
            )
        if passed_s >= SLOW_S and not warned:
            warned = True
            logger.warning("The disk of `%s` does not answer; waiting for up to %.0f s.", path, patience_s)
