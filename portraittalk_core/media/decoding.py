"""Decode the pictures of a video, and say at which time each is seen.

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

from .streams import is_empty, seconds

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

LONGEST_GAP_S = 60.0
"""A longer gap between two pictures is a broken clock, and is left out."""

_LONGEST_STEP_S = 1.0  # a clock that jumps spoils the mean rate, too


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
    aspect = float(stream.sample_aspect_ratio or 1)
    shown: VideoFrame | None = None
    count = 0
    for time_s, frame in timed_frames(container, stream, fps, name):
        first = frame if shown is None else shown
        repeated = None
        while count < round(time_s * fps):
            repeated = upright(first, aspect) if repeated is None else repeated
            yield repeated
            count += 1
        shown = frame
    if shown is not None:
        yield upright(shown, aspect)


def timed_frames(
    container: InputContainer, stream: VideoStream, fps: float, name: str
) -> Iterator[tuple[float, VideoFrame]]:
    """Yield the pictures of a stream as they are decoded, each with the time from which it is seen.

    Where the clock jumps, or says nothing, a picture is taken to follow the one before it at a fixed rate.

    Args:
        container: The opened file.
        stream: Which pictures.
        fps: That rate, frames a second.
        name: What warnings call the file.

    Yields:
        Seconds since the stream starts, never less than before, and the picture.
    """
    step_s = min(1 / fps, _LONGEST_STEP_S)
    start_s, last_s, warned = seconds(stream.start_time, stream.time_base), -step_s, False
    decoded = (frame for packet in container.demux(stream) if not is_empty(packet) for frame in packet.decode())
    for frame in decoded:
        said_s: float | None = frame.time
        start_s = (said_s or 0.0) if start_s is None else start_s
        unknown = said_s is None  # pyright: ignore[reportUnnecessaryComparison] - PyAV says a frame always has one
        time_s = last_s + step_s if unknown else said_s - start_s
        if not -1.5 * step_s <= time_s - last_s <= LONGEST_GAP_S:
            if not warned:
                logger.warning("The time stamps of `%s` jump; pictures are taken one after the other there.", name)
            warned = True
            start_s += time_s - last_s - step_s
            time_s = last_s + step_s
        last_s = max(last_s, time_s)
        yield last_s, frame


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
