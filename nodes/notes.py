"""Notes: what a node has to say that does not stop it. The browser shows them as a toast, and on the node."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from .. import portraittalk_core
from ..portraittalk_core.perception.text import listed_words
from ..portraittalk_core.stacks.prompts import FADE_S
from .wording import worded

if TYPE_CHECKING:
    import comfy.sd

_Words = Callable[[Sequence[str]], list[tuple[str, "str | None"]]]

logger = logging.getLogger(__name__)

KEY = "portraittalk_notes"
"""Under which a node shows them."""


def shown(notes: Sequence[str], logged: Sequence[str] = ()) -> dict[str, list[str]] | None:
    """Return what a node shows of notes, None where there are none.

    Args:
        notes: They go to the log as well.
        logged: Of `gathered`: the log has them.
    """
    for note in notes:
        logger.warning(note)
    return {KEY: [*notes, *map(worded, logged)]} if notes or logged else None


@contextmanager
def gathered() -> Generator[list[str], None, None]:
    """Collect what the core warns of meanwhile, each text once, for who looks at the node and not at the log."""
    texts: list[str] = []
    handler, core = _Gathering(texts), logging.getLogger(portraittalk_core.__name__)
    core.addHandler(handler)
    try:
        yield texts
    finally:
        core.removeHandler(handler)


class _Gathering(logging.Handler):
    """Keeps the warnings of the thread that made it."""

    def __init__(self, texts: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._texts, self._thread = texts, threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if record.thread == self._thread and text not in self._texts:
            self._texts.append(text)


def on_prompts(
    clip: comfy.sd.CLIP, prompts: Sequence[str], edits: Sequence[tuple[float, str]], duration_s: float
) -> list[str]:
    """Return notes on the prompts of a video.

    Args:
        clip: That reads them.
        prompts: From the start.
        edits: (seconds, prompt).
        duration_s: Of the video.
    """
    notes = [
        f"The edit at {start:g} s begins after the video has ended, at {duration_s:.2f} s: {text}"
        for start, text in edits
        if start >= duration_s
    ]
    faded = [
        f"The edit at {start:g} s has no time to fade in before the video ends: {text}"
        for start, text in edits
        if duration_s - FADE_S < start < duration_s
    ]
    unknown = unknown_words(clip, [*prompts, *(text for _, text in edits)])
    if unknown:
        notes.append(f"This model does not know {listed_words(unknown)} and ignores it.")
    return notes + faded


def unknown_words(clip: comfy.sd.CLIP, prompts: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the words that a CLIP of ours does not know, each with the nearest that it knows; of others nothing."""
    words = cast("_Words | None", getattr(getattr(clip.tokenizer, "clip_l", None), "unknown_words", None))
    return [] if words is None else words(prompts)
