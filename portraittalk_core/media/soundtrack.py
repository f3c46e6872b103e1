"""The sound of a video being written: packets copied where MP4 can hold them, AAC otherwise."""

from __future__ import annotations

import logging
from collections.abc import Generator
from fractions import Fraction
from typing import TYPE_CHECKING

from ..types import Sound
from .audio import seconds

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet

logger = logging.getLogger(__name__)

COPIED_CODECS = ("aac", "mp3")
"""Codecs whose packets an MP4 holds as they are."""

AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
"""Sample rates that AAC knows, Hz."""

LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
"""Layouts that AAC has, by number of channels."""

_DURATION_TOLERANCE_S = 0.1


class SoundTrack:
    """The sound of a video, fed into an output container piece by piece to keep step with the pictures.

    The packets of the sound's file are copied unaltered if its codec is AAC or MP3; other sounds are encoded as
    AAC at a high bitrate with their channels and, where AAC knows it, their rate. Nothing is cut or padded at the
    start: the decoder's delay is written into the edit list.

    Args:
        container: Gets a stream for the sound.
        sound: What is written.
    """

    def __init__(self, container: OutputContainer, sound: Sound) -> None:
        self._container = container
        self._source = _open_copyable(sound)
        if self._source is not None:
            self._packets = self._copied(self._source)
        else:
            self._packets = self._encoded(sound)
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

    def _copied(self, source: InputContainer) -> Generator[Packet[AudioStream], None, None]:
        track = source.streams.audio[0]
        stream = self._container.add_stream_from_template(track)
        # MP3 starts late by its decoder's delay; starting before zero instead keeps the sound where it was heard.
        shift = max(0, track.start_time or 0)
        for packet in source.demux(track):
            if packet.dts is None or packet.pts is None:
                continue
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = stream
            yield packet

    def _encoded(self, sound: Sound) -> Generator[Packet[AudioStream], None, None]:
        import av

        samples = _with_known_layout(sound)
        layout, source_rate = LAYOUTS[len(samples)], sound.sample_rate
        rate = (
            source_rate if source_rate in AAC_RATES else min((r for r in AAC_RATES if r > source_rate), default=96000)
        )
        stream: AudioStream = self._container.add_stream("aac", rate=rate, layout=layout)
        stream.bit_rate = len(samples) * min(128_000, 6 * rate)  # AAC holds at most 6 bits a sample
        for start in range(0, samples.shape[1], source_rate):
            block = samples[:, start : start + source_rate].contiguous().cpu().numpy()
            frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = source_rate, start, Fraction(1, source_rate)
            yield from stream.encode(frame)
        yield from stream.encode(None)


def _start_s(packet: Packet[AudioStream]) -> float:
    return float((packet.pts or 0) * packet.time_base)


def _with_known_layout(sound: Sound):
    """Return the samples; channels in a number that no AAC layout has are mixed to one."""
    if len(sound.samples) in LAYOUTS:
        return sound.samples.float()
    logger.warning("AAC has no layout for %d channels; the video's sound is their mean.", len(sound.samples))
    return sound.samples.float().mean(dim=0, keepdim=True)


def _open_copyable(sound: Sound) -> InputContainer | None:
    """Open the sound's file if its packets can go into an MP4 as they are and still are that sound."""
    import av
    from av.error import FFmpegError

    if sound.path is None:
        return None
    try:
        source = av.open(sound.path, options={"protocol_whitelist": "file"})
    except (FFmpegError, OSError):  # gone or changed since it was read: the samples are still at hand
        logger.info("%s cannot be opened again; its sound is encoded.", sound.path)
        return None
    track = source.streams.audio[0] if source.streams.audio else None
    if track is not None and track.duration and track.codec_context.codec.canonical_name in COPIED_CODECS:
        difference_s = abs(seconds(track.duration, track) - sound.duration_s)
        if difference_s < _DURATION_TOLERANCE_S:  # someone may have cut the samples and kept the path
            return source
    source.close()
    return None
