"""Read recordings of any kind and prepare them for the speech encoder."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadMedia
from ..types import SPEECH_RATE, Sound
from .target import existing_file

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream
    from soundfile import SoundFile

logger = logging.getLogger(__name__)

MAX_DURATION_S = 3600.0
"""Longer recordings are refused."""

SHORTEST_S = 0.1
"""Shorter recordings are refused."""

MAX_CHANNELS = 32
"""Recordings with more channels are refused."""

MAX_VALUES = 1 << 30
"""Most samples of all channels together: an hour of 48 kHz with six channels."""

QUIETEST = 10 ** (-80 / 20)
"""A recording whose peak stays below -80 dB of full scale counts as silence."""

_SHORT_CHUNK = re.compile(r"(?:data|SSND)\s*: (\d+) \(should be (\d+)\)")


def read_sound(path: str | Path, max_duration_s: float = MAX_DURATION_S) -> Sound:
    """Read the sound of an audio or video file: every channel, at its own rate.

    What can be decoded of a damaged file is used, and a warning says how much; values that are not numbers become
    silence, with a warning; a silent recording is accepted, with a warning.

    Args:
        path: The file, of any kind that libsndfile or FFmpeg reads.
        max_duration_s: The longest that is accepted, seconds.

    Returns:
        Samples in [-1, 1]. `Sound.path` is set only where they are what the file holds, so that a writer may copy the
        file's packets.

    Raises:
        BadMedia: When the file has no sound, less than 0.1 s or more than `max_duration_s` of it.
    """
    found = existing_file(path, "sound file")
    samples, rate, whole = _decode(found, path, max_duration_s)
    if not samples.size:
        raise BadMedia(f"The sound file `{path}` must hold sound, but has no samples. Record or export it again.")
    if samples.shape[1] < SHORTEST_S * rate:
        raise BadMedia(
            f"The sound file `{path}` must last {SHORTEST_S} s or more, but has {samples.shape[1] / rate:.3f} s."
        )
    cleaned, changed = _clean(samples, path)
    return Sound(torch.from_numpy(cleaned), rate, str(found) if whole and not changed else None)


def speech_waveform(sound: Sound) -> Float[Tensor, " samples"]:
    """Return the sound as the speech encoder wants it: mono, 16 kHz, float32 in [-1, 1].

    Channels are averaged. Where they cancel each other (one wired the wrong way round), the loudest is taken
    instead. Rates are changed by soxr's high-quality filter.

    Args:
        sound: Of any rate and number of channels.
    """
    levels = sound.samples.square().mean(dim=1).sqrt()
    mono = sound.samples.mean(dim=0)
    if mono.square().mean().sqrt() < 0.1 * levels.max():
        mono = sound.samples[int(levels.argmax())]
    if sound.sample_rate == SPEECH_RATE:
        return mono.clone()
    import soxr

    resampled = soxr.resample(mono.numpy(), sound.sample_rate, SPEECH_RATE, quality="HQ")
    return torch.from_numpy(np.ascontiguousarray(resampled, dtype=np.float32)).clamp(-1, 1)


def _decode(found: Path, path: str | Path, max_duration_s: float) -> tuple[np.ndarray, int, bool]:
    """Return samples [channels, n], their rate, and whether the file's packets hold just that sound."""
    import soundfile

    try:
        with soundfile.SoundFile(str(found)) as file:
            return _decode_with_soundfile(file, path, max_duration_s)
    except soundfile.LibsndfileError as error:
        logger.debug("libsndfile does not read %s (%s); trying FFmpeg", path, error)
    return _decode_with_av(found, path, max_duration_s)


def _check_format(path: str | Path, rate: int, channels: int, duration_s: float, max_duration_s: float) -> None:
    if not 1000 <= rate <= 768_000 or not 1 <= channels <= MAX_CHANNELS:
        raise BadMedia(
            f"The sound file `{path}` must have 1 to {MAX_CHANNELS} channels at 1 to 768 kHz, but its header says "
            f"{channels} at {rate} Hz. Export it as 48 kHz WAV."
        )
    if duration_s > max_duration_s or duration_s * rate * channels > MAX_VALUES:
        raise BadMedia(
            f"The sound file `{path}` must last at most {max_duration_s:g} s, but has {duration_s:.0f} s with "
            f"{channels} channels. Cut it."
        )


def _decode_with_soundfile(file: SoundFile, path: str | Path, max_duration_s: float) -> tuple[np.ndarray, int, bool]:
    rate, promised = file.samplerate, file.frames
    _check_format(path, rate, file.channels, promised / rate, max_duration_s)
    # In one piece: soundfile seeks after every read, which garbles MP3 and fails in a damaged FLAC.
    samples = file.read(dtype="float32", always_2d=True)
    whole = _report_truncation(file, path, len(samples))
    # Of the kinds that libsndfile reads, only MP3 can be copied into an MP4.
    return np.ascontiguousarray(samples.T), rate, whole and file.format in ("MP3", "MPEG")


def _report_truncation(file: SoundFile, path: str | Path, read: int) -> bool:
    """Warn if a header promises more than the file holds; return whether the file is whole."""
    promised = file.frames
    chunk = _SHORT_CHUNK.search(file.extra_info)
    if chunk and int(chunk[1]) not in (0, 0xFFFFFFFF):  # those two are what streams write, knowing no length
        promised = max(promised, round(read * int(chunk[1]) / max(1, int(chunk[2]))))
    return _is_whole(path, read / file.samplerate, promised / file.samplerate)


def _is_whole(path: str | Path, read_s: float, promised_s: float) -> bool:
    if promised_s > read_s + 0.05:
        logger.warning("`%s` is cut short: using %.2f s of %.2f s.", path, read_s, promised_s)
    return promised_s <= read_s + 0.05


def _decode_with_av(found: Path, path: str | Path, max_duration_s: float) -> tuple[np.ndarray, int, bool]:
    import av
    from av.error import FFmpegError

    try:
        with av.open(str(found), options={"protocol_whitelist": "file"}) as container:
            if not container.streams.audio:
                raise BadMedia(f"`{path}` must have a sound track, but has none. Give the speech as a file of its own.")
            return _decode_stream(container, path, max_duration_s)
    except FFmpegError as error:
        raise BadMedia(f"`{path}` cannot be read as sound ({error.strerror}). Export it as WAV or MP3.") from error


def _decode_stream(container: InputContainer, path: str | Path, max_duration_s: float) -> tuple[np.ndarray, int, bool]:
    import av
    from av.error import FFmpegError

    stream = container.streams.audio[0]
    rate, channels = stream.codec_context.sample_rate, stream.codec_context.channels
    duration_s = seconds(stream.duration, stream)
    _check_format(path, rate, channels, duration_s, max_duration_s)
    resampler = av.AudioResampler(format="fltp")
    blocks: list[np.ndarray] = []
    count, damaged = 0, False
    try:
        for frame in container.decode(stream):
            # A track may change its layout half-way (broadcast recordings); the first layout is kept.
            if not blocks:
                resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=rate)
            blocks += [part.to_ndarray() for part in resampler.resample(frame)]
            count += blocks[-1].shape[1] if blocks else 0
            _check_format(path, rate, channels, count / rate, max_duration_s)
    except (FFmpegError, IndexError) as error:  # PyAV's decoder raises IndexError on a header without packets
        damaged = True
        if blocks:
            logger.warning("`%s` is damaged (%s): using the first %.2f s.", path, error, count / rate)
    if blocks and not damaged and container.format.name != "mp3":  # the length of an MP3 is an estimate
        damaged = not _is_whole(path, count / rate, duration_s)
    samples = np.concatenate(blocks, axis=1) if blocks else np.zeros((max(1, channels), 0), np.float32)
    if container.format.name.startswith("mov") and duration_s:  # the last packet is padded to a full block
        samples = samples[:, : round((duration_s + 0.001) * rate)]
    shift = _start_offset(container, stream, rate)
    if shift > 0:
        samples = np.pad(samples, ((0, 0), (shift, 0)))
    return np.ascontiguousarray(samples[:, max(0, -shift) :]), rate, not damaged and shift == 0


def seconds(ticks: int | None, stream: Stream) -> float:
    """Return a time of a stream in seconds.

    Args:
        ticks: The time in the stream's own unit; None where the file does not say.
        stream: Has the unit.

    Returns:
        The time; 0 where it is not known.
    """
    return float(ticks * stream.time_base) if ticks and stream.time_base else 0.0


def moving_pictures(container: InputContainer) -> list[VideoStream]:
    """Return the video streams of a file that are not the cover of an album."""
    from av.stream import Disposition

    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _start_offset(container: InputContainer, stream: AudioStream, rate: int) -> int:
    """Return by how many samples the sound starts after the picture; 0 below a millisecond or without a picture."""
    pictures = moving_pictures(container)
    if not pictures or pictures[0].start_time is None or stream.start_time is None:
        return 0
    offset_s = seconds(stream.start_time, stream) - seconds(pictures[0].start_time, pictures[0])
    return round(offset_s * rate) if abs(offset_s) >= 0.001 else 0


def _clean(samples: np.ndarray, path: str | Path) -> tuple[np.ndarray, bool]:
    """Return finite samples within [-1, 1], and whether they differ from the file's."""
    finite = np.isfinite(samples)
    changed = not finite.all()
    if changed:
        bad = int(samples.size - finite.sum())
        if bad > samples.size // 2:
            raise BadMedia(f"Most of the {samples.size} samples of `{path}` are not numbers ({bad}). Export it again.")
        logger.warning("%d of %d samples of `%s` are not numbers; they are taken as silence.", bad, samples.size, path)
        samples = np.where(finite, samples, np.float32(0))
    peak = float(np.abs(samples).max())
    if peak < QUIETEST:
        logger.warning("`%s` is silent: the mouth will stay closed.", path)
    if peak > 2:
        logger.warning("`%s` peaks at %.3g times full scale; it is scaled down.", path, peak)
        return (samples / peak).astype(np.float32), True
    # Lossy codecs overshoot a little; clipping that here leaves the packets of the file as they are.
    return samples.clip(-1, 1).astype(np.float32), changed
