"""How long a second of video takes, and which part takes how much of it where one waits for the other."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

import torch

from portraittalk_core.media.paste_back import paste_back
from portraittalk_core.stacks.prompts import PromptTrack

from ..program import say
from .making import PROMPT, SIDE
from .material import cut, recordings
from .session import Session
from .spoken import FPS

T = TypeVar("T")

SECONDS, WARM_S = 4.0, 1.0
"""Of the video that is measured, and of the one before it."""

PARTS = ("find", "listen and move", "structure", "draw", "composite", "paste back")
"""What is timed, in order."""


def measure(session: Session) -> dict[str, Any]:
    """Make a video of the first portrait with two threads, part by part and then as the product does.

    Args:
        session: What was asked for.

    Returns:
        Seconds a second of video, as the product makes it: `total` with frames of 256 pixels, `own size` with frames as
        large as the photograph's crop; each part of both by itself, and how loaded the machine was before. Nothing
        where no portrait can speak.
    """
    if not session.portraits:
        return {}
    load = os.getloadavg()[0]
    threads = torch.get_num_threads()
    torch.set_num_threads(session.given.threads)
    try:
        timed(session, WARM_S, SIDE)
        small, own = timed(session, SECONDS, SIDE), timed(session, SECONDS, None)
        total, own_size = whole(session, SECONDS, SIDE), whole(session, SECONDS, None)
    finally:
        torch.set_num_threads(threads)
    row = {"parts": small, "parts, own size": own, "load": load, "threads": session.given.threads, "seconds": SECONDS}
    row |= {"total": total, "own size": own_size}
    row["side"] = session.portraits[0].photograph.place.side
    say("speed", row)
    return row


def whole(session: Session, seconds: float, size: int | None) -> float:
    """Time one video as the product makes it: the next frames are drawn while the last are composited.

    Args:
        session: What was asked for.
        seconds: Of video.
        size: Side of the frames; None is the photograph's own.

    Returns:
        Seconds a second of video.
    """
    photograph = session.portraits[0].photograph
    _, sound = next(recordings(session.given.speech, seconds))
    start = time.perf_counter()
    frames = session.model.generate([photograph.pixels], cut(sound, seconds), PROMPT, fps=FPS, size=size)
    for _ in paste_back(frames, photograph.pixels, photograph.place):
        pass
    return (time.perf_counter() - start) / seconds


def timed(session: Session, seconds: float, size: int | None) -> dict[str, float]:
    """Time the parts of one video.

    Args:
        session: What was asked for.
        seconds: Of video.
        size: Side of the frames; None is the photograph's own.

    Returns:
        By the names of `PARTS`, seconds a second of video.
    """
    spent: dict[str, float] = {}

    def clock(name: str, work: Callable[[], T]) -> T:
        start = time.perf_counter()
        result = work()
        spent[name] = (time.perf_counter() - start) / seconds
        return result

    stack, pixels = session.stack, session.portraits[0].photograph.pixels
    _, sound = next(recordings(session.given.speech, seconds))
    sound = cut(sound, seconds)
    identity = clock("find", lambda: stack.identify([pixels]))
    features, motion = clock("listen and move", lambda: _moved(stack, sound))
    maps = clock("structure", lambda: stack.structure(motion, identity))
    prompts = PromptTrack(PROMPT, (), FPS, len(features.hidden))
    drawn = clock("draw", lambda: list(session.model.draw(identity, maps, features, prompts, size)))
    made = clock("composite", lambda: list(stack.composite(iter(drawn), identity, maps, size)))
    clock("paste back", lambda: sum(len(f.pixels) for f in paste_back(made, pixels, identity.places[0])))
    return spent


def _moved(stack: Any, sound: Any) -> tuple[Any, Any]:
    features = stack.listen(sound, FPS)
    return features, stack.move(features)
