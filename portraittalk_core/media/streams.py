"""Open a media file and choose what is read of it: every reader and the writer choose the same streams."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadMedia
from .target import check_disk, existing_file
from .write_errors import reason_of

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

logger = logging.getLogger(__name__)

LISTS = ("hls", "concat", "dash", "imf", "sdp", "rtsp")
"""Formats of FFmpeg that name other files or addresses, which would be opened unasked."""

HIGHEST_RATE = 240.0
"""Frames a second; what a file says beyond that is the unit of its clock, not its rate."""


def open_media(path: Path) -> InputContainer:
    """Open a file for reading: never another file or address that it names, and whatever its metadata are.

    Args:
        path: Absolute.

    Raises:
        FFmpegError: When it is no media file.
        BadMedia: When it is a list of others.
    """
    import av

    container = av.open(str(path), options={"protocol_whitelist": "file"}, metadata_errors="replace")
    if any(name in LISTS for name in container.format.name.split(",")):
        container.close()
        raise BadMedia(f"`{path}` is a list of other files, which are not opened. Give one of them.")
    return container


@contextlib.contextmanager
def opened(path: str | Path) -> Generator[InputContainer, None, None]:
    """Open a sound or video file, and say what is wrong with it, then and while it is read.

    Args:
        path: The file.

    Raises:
        BadMedia: When it is missing, no such file, or damaged.
    """
    from av.error import FFmpegError

    found = existing_file(path, "media file")
    try:
        container = open_media(found)
    except FFmpegError as error:
        check_disk(path, error)
        raise BadMedia(f"`{path}` is no sound or video file ({error.strerror}). Export it as MP4.") from error
    with container:
        try:
            yield container
        except (FFmpegError, IndexError, ValueError) as error:  # the latter two: PyAV's own of headers that lie
            check_disk(path, error)
            raise BadMedia(f"`{path}` is damaged ({reason_of(error)}). Copy or export it again.") from error


def seconds(ticks: int | None, unit: Fraction | None) -> float | None:
    """Return a time of a stream, a frame or a packet in seconds; None where the file does not say it.

    Args:
        ticks: The time in a unit of its own.
        unit: That unit, seconds.
    """
    return None if ticks is None or unit is None else float(ticks * unit)


def is_empty(packet: Packet[Any]) -> bool:
    """Return whether a packet says that nothing is new, as some files do for pictures that repeat; no decoder takes it.

    Args:
        packet: Of any stream. The one that a demuxer ends with, which holds nothing either, has no time.
    """
    return packet.size == 0 and packet.dts is not None


def sound_tracks(container: InputContainer) -> list[AudioStream]:
    """Return the sound tracks that can be decoded, the one that is played first: reader and writer both take that.

    It is the first that is marked default, where none is the first that is no commentary or description for the blind.

    Args:
        container: An open file.
    """
    from av.stream import Disposition

    aside = Disposition.comment | Disposition.visual_impaired | Disposition.hearing_impaired | Disposition.karaoke

    def rank(track: AudioStream) -> tuple[bool, bool, int]:
        return not track.disposition & Disposition.default, bool(track.disposition & aside), track.index

    # A track whose codec FFmpeg does not know has no decoder; PyAV's types do not say so.
    return sorted((t for t in container.streams.audio if t.codec_context is not None), key=rank)  # pyright: ignore[reportUnnecessaryComparison]


def played_track(container: InputContainer, path: str | Path) -> AudioStream:
    """Return the track that is played, and say which one where there are several.

    Args:
        container: An open file.
        path: What messages call it.

    Raises:
        BadMedia: When there is none.
    """
    from av.stream import Disposition

    tracks = sound_tracks(container)
    if not tracks:
        unknown = "none that can be decoded" if container.streams.audio else "none"
        raise BadMedia(f"`{path}` must have a sound track, but has {unknown}. Give the speech as a file of its own.")
    if len(tracks) > 1:
        number = [track.index for track in container.streams.audio].index(tracks[0].index) + 1
        why = "which is marked default" if tracks[0].disposition & Disposition.default else "as none is marked default"
        logger.warning("`%s` has %d sound tracks: using number %d, %s.", path, len(tracks), number, why)
    return tracks[0]


def main_video(container: InputContainer) -> VideoStream | None:
    """Return the stream that players show: FFmpeg's choice, but never the cover of an album; None where there is none.

    Args:
        container: An open file.
    """
    from av.stream import Disposition

    found = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic
        and getattr(stream, "codec_context", None)  # there is none for a codec that nobody knows
    ]
    best = container.streams.best("video")
    return next((stream for stream in found if best and stream.index == best.index), next(iter(found), None))


def shown_pictures(container: InputContainer, path: str | Path) -> VideoStream:
    """Return the stream that players show.

    Args:
        container: An open file.
        path: What messages call it.

    Raises:
        BadMedia: When there is none.
    """
    stream = main_video(container)
    if stream is not None and stream.width:
        return stream
    if container.format.name == "webp_pipe":  # FFmpeg does not decode those that move
        raise BadMedia(f"`{path}` is an animated WebP, which cannot be read as a video. Export it as MP4.")
    raise BadMedia(f"`{path}` must have pictures, but has none. Give a video file.")


def rate_of(stream: VideoStream) -> float:
    """Return the frames a second of a stream, the mean over the file; 0 where nothing says it.

    Args:
        stream: Of pictures.
    """
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((float(rate) for rate in rates if rate and 0 < rate <= HIGHEST_RATE), 0.0)
