"""Notes: what a node has to say that does not stop it. The browser shows them as a toast, and on the node."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, cast

from ..portraittalk_core.perception.text import listed_words
from ..portraittalk_core.stacks.prompts import FADE_S

if TYPE_CHECKING:
    import comfy.sd

_Words = Callable[[Sequence[str]], list[tuple[str, "str | None"]]]

logger = logging.getLogger(__name__)

KEY = "portraittalk_notes"
"""Under which a node shows them."""


def shown(notes: Sequence[str]) -> dict[str, list[str]] | None:
    """Return what a node shows of notes, None where there are none; they go to the log as well."""
    for note in notes:
        logger.warning(note)
    return {KEY: list(notes)} if notes else None


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
