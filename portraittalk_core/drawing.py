"""Denoise the frames in which what is drawn is seen, and no others.

A finished frame is the photograph, moved, wherever that shows a place. Of what a denoiser draws the rest is seen: where
a cheek is torn because a head has turned far. While somebody speaks there is no such place mostly, and denoising and
decoding would take two fifths of the time for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from .diffusion.latent_fusion import OnStep
from .looks import Span
from .stacks.base import Stack
from .stacks.prompts import PromptTrack
from .types import Frames, LatentVideo, SpeechFeatures

AT_ONCE = 12
"""Frames of which it is asked together whether anything is drawn in them."""


def drawn_where_seen(
    stack: Stack,
    animate: Callable[..., Iterator[LatentVideo]],
    identity: Any,
    maps: Any,
    features: SpeechFeatures | None,
    prompts: PromptTrack,
    size: int | None = None,
    *,
    on_step: OnStep | None = None,
    **how: Any,
) -> Iterator[Frames]:
    """Yield frames for `Stack.composite`: decoded ones where they are seen, else the stack's in their place.

    Args:
        stack: Says where they are seen, and decodes.
        animate: `PortraitTalk.animate`.
        identity: Of `Stack.identify`.
        maps: Of `Stack.structure`.
        features: Of `Stack.listen`; None where nothing is known of the sound.
        prompts: What the video shows.
        size: Side of the finished frames in pixels, see `Stack.composite`.
        on_step: Called with (done, total) in frames; an exception ends the work.
        **how: Of `animate`.
    """
    count, done = len(maps.landmarks), 0

    def undrawn() -> Frames | None:
        return stack.undrawn(identity, maps, slice(done, done + AT_ONCE), size)

    while done < count:
        frames = undrawn()
        if frames is not None:
            done += len(frames.pixels)
            if on_step is not None:
                on_step(done, count)
            yield frames
            continue
        parts = _since(Span(0, done, count), maps, features, prompts)
        for video in animate(identity, *parts, on_step=_in_frames(on_step, done, count), **how):
            for frames in stack.decode(video):
                done += len(frames.pixels)
                yield frames
            if done < count and undrawn() is not None:
                break


def _since(span: Span, maps: Any, features: SpeechFeatures | None, prompts: PromptTrack) -> tuple[Any, ...]:
    """Return what is left of a video; all of it as it is, for only maps of the tiny model can be cut."""
    if span.first == 0:
        return maps, features, prompts
    heard = None if features is None else span.of_features(features)
    return span.of_maps(maps), heard, prompts.since(span.first)


def _in_frames(on_step: OnStep | None, first: int, count: int) -> OnStep | None:
    """Return what is told of the steps in which frames from one on are denoised, and reports frames."""
    if on_step is None:
        return None
    return lambda step, steps: on_step(first + round(step / steps * (count - first)), count)
