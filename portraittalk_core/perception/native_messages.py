"""Keep what native libraries print to themselves: MediaPipe writes four lines for every file that it opens."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Generator


@contextlib.contextmanager
def without_native_messages() -> Generator[None, None, None]:
    """Lose what is written to the standard error of the process, by whatever language, unless `-v` asks to see it.

    Nothing else keeps MediaPipe quiet: its lines come before any of its settings are read. Hold it around calls that
    open something, and no longer.
    """
    if logging.getLogger(__name__.partition(".perception")[0]).isEnabledFor(logging.INFO):
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # closed
        yield
        return
    try:
        sys.stderr.flush()
        with open(os.devnull, "w", encoding="utf-8") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
