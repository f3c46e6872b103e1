"""Decode the sound track of a file as FFmpeg delivers it: by time stamps, whatever the headers say.

A header may be wrong, or an estimate, or say "unknown" in a number. So the length of a recording is counted and never
looked up; what a header promises is used for one thing only, to say that a file was cut short.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import BadMedia
from .streams import is_empty, seconds
from .target import check_disk
from .write_errors import reason_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

logger = logging.getLogger(__name__)

MAX_CHANNELS = 32
"""Recordings with more channels are refused."""

MAX_VALUES = 1 << 30
"""Most samples of all channels together: an hour of 48 kHz with six channels."""

_PIECE_VALUES = 1 << 24  # 64 MB, which every allocator gives back
_GAP_S = 0.04
_RUN_UP_S = 0.2
_DISCONTINUITY_S = 10.0
_BACK_S = 0.5
_MISSING_S = 0.15
_UNKNOWN_S = 1e6
_STREAMED_BYTES = 0x7FFFF000
_COUNTED = ("flac", "aiff", "caf", "au", "wv", "tta", "ape")
_XING_REACH = 8192


@dataclass(frozen=True)
class Heard:
    """What a sound track holds."""

    samples: np.ndarray
    """Of all channels, [channels, n], float32; silence where the time stamps leave a gap."""

    rate: int
    """Samples a second, Hz."""

    start_s: float
    """The time stamp of the first sample, seconds."""

    whole: bool
    """Whether the packets of the track hold just these samples, so that they may be copied."""


def decode_track(container: InputContainer, track: AudioStream, path: str | Path, max_duration_s: float) -> Heard:
    """Decode a sound track to its end.

    A packet that cannot be decoded costs its own sound and no more; what is lost is said in a warning.

    Args:
        container: An open file.
        track: One of its tracks.
        path: What messages call it.
        max_duration_s: The longest that is accepted, seconds.

    Raises:
        BadMedia: When it is too long, or its rate or channels are absurd.
    """
    from av.error import FFmpegError
    from av.format import Flags

    jumps = bool(container.format.flags & Flags.ts_discont.value)
    timeline = _Timeline(path, seconds(track.start_time, track.time_base), max_duration_s, jumps)
    packets, bad, reason, end_s = 0, 0, "", 0.0
    try:
        for packet in container.demux(track):
            if is_empty(packet):
                continue
            packets += packet.size > 0
            end_s = max(end_s, _end_s(packet))
            try:
                frames = packet.decode()
            except (FFmpegError, IndexError) as error:
                bad, reason = bad + 1, reason_of(error)
                continue
            for frame in frames:
                timeline.add(frame)
    except (FFmpegError, IndexError) as error:  # PyAV raises IndexError on a header without packets
        check_disk(path, error)
        bad, reason = bad + 1, reason_of(error)
    samples, rate = timeline.finish(), timeline.rate or track.codec_context.sample_rate
    if container.format.name.startswith("mov"):  # the last packet is padded to a full block, its time stamps are not
        samples = samples[:, : max(0, round((end_s - timeline.start_s) * rate))]
    read_s = samples.shape[1] / max(1, rate)
    promised_s = _promised_s(container, track, path, packets, read_s)
    cut = read_s > 0 and _UNKNOWN_S > promised_s > read_s + _MISSING_S
    if bad and read_s:
        logger.warning(
            "`%s` is damaged (%s): using %.2f s, without %d of %d packets.", path, reason, read_s, bad, packets
        )
    elif cut:
        logger.warning("`%s` is cut short: using %.2f s of %.2f s.", path, read_s, promised_s)
    return Heard(samples, rate, timeline.start_s, not (bad or cut or timeline.broken))


def counted_s(container: InputContainer, track: AudioStream) -> float:
    """Return how long a track is by the time stamps of its packets, which are read and not decoded.

    Args:
        container: An open file.
        track: One of its tracks.
    """
    from av.error import FFmpegError

    end_s, shift_s = 0.0, 0.0
    try:
        for packet in container.demux(track):
            if at_s := _end_s(packet):
                if at_s + shift_s < end_s - _BACK_S:  # a file of several, one after the other
                    shift_s = end_s - at_s + float((packet.duration or 0) * packet.time_base)
                end_s = max(end_s, at_s + shift_s)
    except FFmpegError as error:
        logger.debug("%s ends at %.2f s: %s", container.name, end_s, error)
    return max(0.0, end_s - (seconds(track.start_time, track.time_base) or 0.0))


class _Timeline:
    """Decoded frames in one layout and rate, each where its time stamp says.

    Args:
        path: What messages call the file.
        start_s: When the track begins, which may be before its first frame; None where the file does not say.
        max_duration_s: The longest that is accepted, seconds.
        jumps: Whether the file's clock may start anew, as in broadcast streams.
    """

    def __init__(self, path: str | Path, start_s: float | None, max_duration_s: float, jumps: bool) -> None:
        self.rate = 0
        self.start_s = 0.0 if start_s is None else start_s
        self.broken = False
        self._path, self._max_duration_s, self._jumps = path, max_duration_s, jumps
        self._pieces: list[np.ndarray] = []
        self._count = self._room = 0
        self._shift = 0
        self._kind: tuple[str, str, int] | None = None
        self._resampler: AudioResampler | None = None

    def add(self, frame: AudioFrame) -> None:
        """Append a frame, after silence where packets are missing before it."""
        import av

        if not self.rate:
            self.rate, self._layout = frame.sample_rate, frame.layout
            self._check_format()
            self._begin(seconds(frame.pts, frame.time_base))
        self._fill_gap(frame)
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:  # a broadcast may change its layout half-way; the first one is kept
            self._drain()
            self._kind = kind
            self._resampler = av.AudioResampler(format="flt", layout=self._layout, rate=self.rate)
        assert self._resampler is not None
        for part in self._resampler.resample(frame):
            self._append(self._planes(part))

    def finish(self) -> np.ndarray:
        """Return the samples [channels, n]."""
        self._drain()
        if not self._pieces:
            return np.zeros((1, 0), np.float32)
        samples, start = np.empty((len(self._pieces[0]), self._count), np.float32), 0
        while self._pieces:  # each is let go when it has been copied, so that all of it is never there twice
            piece = self._pieces.pop(0)[:, : self._count - start]
            samples[:, start : start + piece.shape[1]] = piece
            start += piece.shape[1]
        return samples

    def _begin(self, first_s: float | None) -> None:
        if first_s is None:
            return
        if not 0 <= self.start_s <= first_s:  # below 0 is what decoders need before they can begin
            self.start_s = first_s
        elif first_s - self.start_s < _RUN_UP_S:
            self._append(np.zeros((self._layout.nb_channels, round((first_s - self.start_s) * self.rate)), np.float32))

    def _fill_gap(self, frame: AudioFrame) -> None:
        at_s = seconds(frame.pts, frame.time_base)
        if at_s is None:
            return
        wanted = round((at_s - self.start_s) * self.rate) - self._shift
        gap_s = (wanted - self._count) / self.rate
        if abs(gap_s) < _GAP_S:
            return
        self.broken = True
        if gap_s < 0 or gap_s > self._max_duration_s or (self._jumps and gap_s > _DISCONTINUITY_S):
            self._shift += wanted - self._count  # the clock was set anew: the sound goes on
            return
        logger.warning("`%s` has no sound from %.2f s on for %.2f s.", self._path, self._count / self.rate, gap_s)
        self._append(np.zeros((self._layout.nb_channels, wanted - self._count), np.float32))

    def _drain(self) -> None:
        if self._resampler is not None and self._kind is not None and self._kind[2] != self.rate:
            for part in self._resampler.resample(None):
                self._append(self._planes(part))

    def _planes(self, part: AudioFrame) -> np.ndarray:
        """Return interleaved samples as [channels, n]; of planes PyAV reads eight, and then beyond them."""
        return part.to_ndarray().reshape(-1, self._layout.nb_channels).T

    def _append(self, block: np.ndarray) -> None:
        self._store(block)
        if self._count > self._max_duration_s * self.rate:
            raise BadMedia(
                f"The sound file `{self._path}` must last at most {self._max_duration_s:g} s, but lasts longer. Cut it."
            )
        if self._count * len(block) > MAX_VALUES:
            raise BadMedia(
                f"The sound file `{self._path}` must hold at most {MAX_VALUES} samples, but its {len(block)} channels "
                "hold more. Cut it or mix it to stereo."
            )

    def _store(self, block: np.ndarray) -> None:
        while block.shape[1]:
            if not self._room:
                self._room = _PIECE_VALUES // len(block)
                self._pieces.append(np.empty((len(block), self._room), np.float32))
            count, end = min(self._room, block.shape[1]), self._pieces[-1].shape[1] - self._room
            self._pieces[-1][:, end : end + count] = block[:, :count]
            self._room, self._count, block = self._room - count, self._count + count, block[:, count:]

    def _check_format(self) -> None:
        channels = self._layout.nb_channels
        if not 1000 <= self.rate <= 768_000 or not 1 <= channels <= MAX_CHANNELS:
            raise BadMedia(
                f"The sound file `{self._path}` must have 1 to {MAX_CHANNELS} channels at 1 to 768 kHz, but has "
                f"{channels} at {self.rate} Hz. Export it as 48 kHz WAV."
            )


def _end_s(packet: Packet[AudioStream]) -> float:
    if packet.pts is None or packet.is_discard:
        return 0.0
    return float((packet.pts + (packet.duration or 0)) * packet.time_base)


def _promised_s(container: InputContainer, track: AudioStream, path: str | Path, packets: int, read_s: float) -> float:
    """Return how long the sound should last where the file counts it, 0 where its length is unknown or a guess."""
    name = container.format.name
    if name in ("wav", "w64"):
        return read_s * _promised_bytes(Path(path))
    if name == "mp3":
        return read_s * max(1.0, _promised_frames(Path(path)) / max(1, packets))
    if name.startswith("matroska"):
        ends_s = _tagged_s(track.metadata.get("DURATION", ""))
        ends_s = ends_s or ((container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0)
        return ends_s - max(0.0, seconds(track.start_time, track.time_base) or 0.0)  # it counts what comes before, too
    if name in _COUNTED and track.frames and track.codec_context.codec.name.startswith("pcm_"):
        return track.frames / max(1, track.codec_context.sample_rate)
    if (name.startswith("mov") or name in _COUNTED) and track.duration and track.time_base:
        return float(track.duration * track.time_base)
    return 0.0


def _tagged_s(text: str) -> float:
    """Return the seconds of Matroska's "00:01:02.500000000", 0 for what is no such time."""
    try:
        hours, minutes, rest = text.strip().strip("\0").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)
    except ValueError:
        return 0.0


def _promised_bytes(path: Path) -> float:
    """Return how many times the sound that is there the header of a WAV promises, 1 where it knows no length.

    Streams, which cannot come back to their header, leave 0 or a maximum in it.
    """
    with path.open("rb") as file:
        magic = file.read(4)
        wide = magic == b"riff"  # Sony's Wave64: names of 16 bytes, sizes of 8 that count their own header
        if magic not in (b"RIFF", b"RF64", b"riff"):
            return 1.0
        name, head_size, align = (16, 24, 8) if wide else (4, 8, 2)
        file.seek(40 if wide else 12)
        large = 0  # what an RF64 keeps elsewhere
        while len(head := file.read(head_size)) == head_size:
            size, start = int.from_bytes(head[name:], "little") - (head_size if wide else 0), file.tell()
            if head[:4] == b"ds64":
                large = int.from_bytes(file.read(16)[8:], "little")
            if head[:4] == b"data":
                there, promised = path.stat().st_size - start, large or size
                known = wide or large or promised < _STREAMED_BYTES
                return promised / max(1, there) if known and promised > there else 1.0
            file.seek(start + max(0, size + -size % align))
    return 1.0


def _promised_frames(path: Path) -> int:
    """Return the count of frames in the Xing header of an MP3, 0 without one: FFmpeg then guesses from a bitrate."""
    with path.open("rb") as file:
        head = file.read(10)
        tag = head[:3] == b"ID3" and len(head) == 10
        size = sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0))) if tag else 0
        file.seek(10 + size if tag else 0)
        start = file.read(_XING_REACH)
    at = max(start.find(b"Xing"), start.find(b"Info"))
    counted = at >= 0 and len(start) >= at + 12 and bool(start[at + 7] & 1)
    return int.from_bytes(start[at + 8 : at + 12], "big") if counted else 0
