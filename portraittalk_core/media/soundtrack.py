"""The sound of a video being written: packets copied where MP4 can hold them, AAC otherwise."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import BadMedia
from ..types import Sound
from .audio import read_sound
from .streams import open_media, sound_tracks

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

logger = logging.getLogger(__name__)

COPIED_CODECS = ("aac", "mp3")
"""Codecs that every player plays in an MP4; not all of their packets can go there."""

AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sample rates that AAC knows, Hz."""

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Layouts that AAC has, by number of channels."""

_DURATION_TOLERANCE_S = 0.1


class SoundTrack:
    """The sound of a video, fed into an output container piece by piece to keep step with the pictures.

    The packets of the sound's file are copied unaltered if its codec is AAC or MP3 and an MP4 takes them, which is
    tried; other sounds are encoded as AAC at a high bitrate with their channels and, where AAC knows it, their rate.
    Nothing is cut or padded at the start: the decoder's delay is written into the edit list.

    Args:
        container: Gets a stream for the sound.
        sound: What is written.
    """

    def __init__(self, container: OutputContainer, sound: Sound) -> None:
        self._container = container
        self._source = _open_copyable(sound)
        if self._source is not None:
            self._packets = _copied(container, self._source)
        else:
            self._packets = _encoded(container, sound)
        # Both generators create their stream before their first packet, and a muxer wants all streams up front.
        self._pending: Packet[AudioStream] | None = next(self._packets, None)

    def write_until(self, time_s: float) -> None:
        """Write the sound up to a time, so that players find sound and pictures side by side.

        Args:
            time_s: End of the pictures that have been written, seconds.
        """
        while self._pending is not None and _start_s(self._pending) <= time_s:
            packet, self._pending = self._pending, None
            self._container.mux(packet)
            self._pending = next(self._packets, None)

    def finish(self) -> None:
        """Write the rest."""
        self.write_until(float("inf"))

    def close(self) -> None:
        """Close the file that was copied from. Calling it twice is harmless."""
        self._packets.close()
        if self._source is not None:
            self._source.close()


def read_sound_for(path: str | Path, target: str | Path) -> Sound:
    """Read a recording that a video will be made to, and check that it can go there; call it before any work is done.

    Args:
        path: Of the recording, see `read_sound`.
        target: Of the video; only an .mp4 takes sound.

    Raises:
        BadMedia: See `read_sound` and `check_sound`.
    """
    sound = read_sound(path)
    if Path(target).suffix.lower() == ".mp4":
        check_sound(sound)
    return sound


def check_sound(sound: Sound) -> None:
    """Try whether a sound can go into an MP4, copied or encoded; call it before any work is done.

    Args:
        sound: What will be written.

    Raises:
        BadMedia: When it can be neither copied nor encoded.
    """
    from av.error import FFmpegError

    source = _open_copyable(sound)
    if source is not None:
        source.close()
        return
    if len(sound.samples) not in LAYOUTS:
        logger.warning("AAC has no layout for %d channels; the video's sound is their mean.", len(sound.samples))
    try:
        beginning = Sound(sound.samples[:, : sound.sample_rate], sound.sample_rate)
        _mux_nowhere(beginning.sample_rate, lambda container: _encoded(container, beginning))
    except (FFmpegError, ValueError) as error:
        raise BadMedia(
            f"The sound ({len(sound.samples)} channels at {sound.sample_rate} Hz) cannot go into an MP4 ({error}). "
            "Export it as 48 kHz WAV in stereo."
        ) from error


def _copied(container: OutputContainer, source: InputContainer) -> Generator[Packet[AudioStream], None, None]:
    track = sound_tracks(source)[0]
    stream = container.add_stream_from_template(track)
    # MP3 starts late by its decoder's delay; starting before zero instead keeps the sound where it was heard.
    shift = max(0, track.start_time or 0)
    for packet in source.demux(track):
        if packet.dts is None or packet.pts is None:
            continue
        packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
        packet.stream = stream
        yield packet


def _encoded(container: OutputContainer, sound: Sound) -> Generator[Packet[AudioStream], None, None]:
    import av

    samples = sound.samples.float()
    if len(samples) not in LAYOUTS:  # `check_sound` says so
        samples = samples.mean(dim=0, keepdim=True)
    layout, source_rate = LAYOUTS[len(samples)], sound.sample_rate
    rate = source_rate if source_rate in AAC_RATES else min((r for r in AAC_RATES if r > source_rate), default=96000)
    stream: AudioStream = container.add_stream("aac", rate=rate, layout=layout)
    stream.bit_rate = len(samples) * min(128_000, 6 * rate)  # AAC holds at most 6 bits a sample
    for start in range(0, samples.shape[1], source_rate):
        block = samples[:, start : start + source_rate].T.reshape(1, -1).cpu().numpy()
        frame = av.AudioFrame.from_ndarray(block, format="flt", layout=layout)  # PyAV writes beyond eight planes
        frame.sample_rate, frame.pts, frame.time_base = source_rate, start, Fraction(1, source_rate)
        yield from stream.encode(frame)
    yield from stream.encode(None)


class _Nowhere:
    """A file whose content is forgotten: what a muxer says of packets is known when it has seen them."""

    def __init__(self) -> None:
        self._at = self._size = 0

    def write(self, data: bytes) -> int:
        self._at += len(data)
        self._size = max(self._size, self._at)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        return self._at


def _mux_nowhere(rate: int, packets: Callable[[OutputContainer], Iterator[Packet[AudioStream]]]) -> float:
    """Write packets into an MP4 that is not kept; return where the last one ends, seconds."""
    import av

    end_s = 0.0
    options = {"movie_timescale": str(rate)}
    with av.open(_Nowhere(), "w", format="mp4", container_options=options) as container:
        for packet in packets(container):
            end_s = max(end_s, _start_s(packet) + float((packet.duration or 0) * packet.time_base))
            container.mux(packet)
    return end_s


def _start_s(packet: Packet[AudioStream]) -> float:
    return float((packet.pts or 0) * packet.time_base)


def _open_copyable(sound: Sound) -> InputContainer | None:
    """Open the sound's file if its packets can go into an MP4 as they are and still are that sound."""
    from av.error import FFmpegError

    if sound.path is None:
        return None
    path = Path(sound.path)
    try:
        with open_media(path) as trial:
            tracks = sound_tracks(trial)
            if not tracks or tracks[0].codec_context.codec.canonical_name not in COPIED_CODECS:
                return None
            end_s = _mux_nowhere(sound.sample_rate, lambda container: _copied(container, trial))
        # Someone may have cut the samples and kept the path.
        return open_media(path) if abs(end_s - sound.duration_s) < _DURATION_TOLERANCE_S else None
    except (FFmpegError, OSError, ValueError) as error:  # gone, changed, or nothing that an MP4 takes
        logger.info("%s cannot be copied (%s); its sound is encoded.", sound.path, error)
        return None
