"""Decode the pictures of a video: which stream they are, and at which time each is seen.

A file says of each picture when it is shown. Everything above counts frames instead, so that pictures are laid on a
grid of one rate here, by their time stamps: what is shown longer is repeated, what is shown shorter may be left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from jaxtyping import UInt8
from torch import Tensor

from .audio import moving_pictures, seconds

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

HIGHEST_RATE = 240.0
"""Frames a second; what a file says beyond that is the unit of its clock, not its rate."""

LONGEST_GAP_S = 60.0
"""A longer gap between two pictures is a broken clock, and is left out."""


def main_video(container: InputContainer) -> VideoStream | None:
    """Return the stream that players show: FFmpeg's choice, but never the cover of an album; None where there is none.

    Args:
        container: An opened file.
    """
    pictures = moving_pictures(container)
    found = [s for s in pictures if getattr(s, "codec_context", None)]  # there is none for a codec that nobody knows
    best = container.streams.best("video")
    return next((stream for stream in found if stream is best or (best and stream.index == best.index)), None) or next(
        iter(found), None
    )


def rate_of(stream: VideoStream) -> float:
    """Return the frames a second of a stream, the mean over the file; 0 where nothing says it.

    Args:
        stream: Of pictures.
    """
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((float(rate) for rate in rates if rate and 0 < rate <= HIGHEST_RATE), 0.0)


def decode_pictures(
    container: InputContainer, stream: VideoStream, fps: float, name: str
) -> Iterator[UInt8[Tensor, "3 h w"]]:
    """Yield the pictures of a stream, upright and with square pixels, one for every 1 / fps seconds.

    Args:
        container: The opened file.
        stream: Which pictures.
        fps: Frames a second that are wanted.
        name: What warnings call the file.

    Yields:
        RGB bytes; the first is seen when the stream starts.
    """
    start_s = None if stream.start_time is None else seconds(stream.start_time, stream)
    aspect = float(stream.sample_aspect_ratio or 1)
    shown: VideoFrame | None = None
    count, slot, warned = 0, -1, False
    for frame in container.decode(stream):
        time_s: float | None = frame.time
        start_s = (time_s or 0.0) if start_s is None else start_s
        unknown = time_s is None  # pyright: ignore[reportUnnecessaryComparison] - PyAV says a frame always has one
        at = slot + 1 if unknown else round((time_s - start_s) * fps)
        if not slot - 1 <= at <= slot + LONGEST_GAP_S * fps:
            if not warned:
                logger.warning("The time stamps of `%s` jump; pictures are taken one after the other there.", name)
            warned = True
            start_s += (at - slot - 1) / fps
            at = slot + 1
        slot = max(slot, at)
        first = frame if shown is None else shown
        repeated = None
        while count < slot:
            repeated = upright(first, aspect) if repeated is None else repeated
            yield repeated
            count += 1
        shown = frame
    if shown is not None:
        yield upright(shown, aspect)


def upright(frame: VideoFrame, aspect: float = 1.0) -> UInt8[Tensor, "3 h w"]:
    """Return a decoded picture as a player shows it.

    Telephones store a rotation instead of turning the picture; broadcasts have pixels that are not square.

    Args:
        frame: As decoded.
        aspect: Width over height of a pixel.
    """
    if 0.2 <= aspect <= 5 and aspect != 1:  # beyond that it is an error in the header
        frame = frame.reformat(width=max(1, round(frame.width * aspect)), height=frame.height, format="rgb24")
    levels = torch.from_numpy(frame.to_ndarray(format="rgb24")).permute(2, 0, 1)
    return torch.rot90(levels, (frame.rotation // 90) % 4, (1, 2)).contiguous()
