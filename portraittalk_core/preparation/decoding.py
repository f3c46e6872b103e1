"""Decode a clip by its time stamps: pictures at a fixed rate, and the sound that belongs to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from torch import Tensor

from ..errors import BadMedia
from ..media.audio import moving_pictures, read_sound, speech_waveform
from ..media.target import existing_file
from ..media.video import probe

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter

Picture = UInt8[ndarray, "h w 3"]
"""RGB, upright."""


def frames_by_time(path: Path, fps: float) -> Iterator[tuple[Picture, bool]]:
    """Decode a video at a rate of our own, whatever its own is, constant or not.

    Frame k is what is shown at (k + 1/2) / fps seconds after the first picture.

    Args:
        path: The file.
        fps: Frames a second that are wanted.

    Yields:
        A picture, and whether it is the one before once more.

    Raises:
        BadMedia: When the file is no video, or is damaged from here on.
    """
    count = 0
    for picture, until in _shown(path):
        repeated = False
        while (count + 0.5) / fps < until:
            yield picture, repeated
            count, repeated = count + 1, True


def _shown(path: Path) -> Iterator[tuple[Picture, float]]:
    """Yield each picture with the time until which it is shown, seconds after the first."""
    import av
    from av.error import FFmpegError
    from av.video.reformatter import VideoReformatter

    found = existing_file(path, "video")
    reformatter = VideoReformatter()  # one for all frames: each frame's own would plan the conversion anew
    try:
        with av.open(str(found), options={"protocol_whitelist": "file"}) as container:
            streams = moving_pictures(container)
            if not streams:
                raise BadMedia(f"`{path}` must have pictures, but has none. Give a video file.")
            usual = 1 / float(streams[0].average_rate or 25)
            first: float | None = None
            held: VideoFrame | None = None
            since = 0.0
            for frame in container.decode(streams[0]):
                time = since + usual if frame.time is None else float(frame.time)
                first = time if first is None else first
                if held is not None and time - first > since:
                    yield _upright(held, reformatter), time - first
                held, since = frame, max(since, time - first)
            if held is not None:
                yield _upright(held, reformatter), since + usual
    except FFmpegError as error:
        raise BadMedia(f"`{path}` is damaged ({error.strerror}). Copy or export it again.") from error


def _upright(frame: VideoFrame, reformatter: VideoReformatter) -> Picture:
    """Return a frame the right way up: telephones store a rotation instead of turning the picture."""
    levels = reformatter.reformat(frame, format="rgb24").to_ndarray()
    return np.ascontiguousarray(np.rot90(levels, (frame.rotation // 90) % 4))


def speech_of(path: Path, sound: Path | None = None) -> Tensor | None:
    """Return the sound of a clip: one channel at 16 kHz, beginning with its first picture.

    Args:
        path: The video.
        sound: A file whose sound replaces the video's own.

    Returns:
        Samples in [-1, 1]; None where there is no sound.

    Raises:
        BadMedia: When the sound cannot be read.
    """
    if sound is None and not probe(path).audio_codec:
        return None
    return speech_waveform(read_sound(sound or path))
