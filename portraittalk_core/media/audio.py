"""Read recordings of any kind and prepare them for the speech encoder."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadMedia
from ..types import SPEECH_RATE, Sound
from .sound_file import Heard, decode_track
from .streams import main_video, open_media, played_track, seconds
from .target import check_disk, existing_file

if TYPE_CHECKING:
    from av.container import InputContainer

logger = logging.getLogger(__name__)

MAX_DURATION_S = 3600.0
"""Longer recordings are refused."""

SHORTEST_S = 0.1
"""Shorter recordings are refused."""

QUIETEST = 10 ** (-80 / 20)
"""A recording that, but for an offset, stays below -80 dB of full scale counts as silence."""

_OFFSET_HZ = 30.0
_PIECE = 1 << 20
_EARLY_S = 0.1


def read_sound(path: str | Path, max_duration_s: float = MAX_DURATION_S) -> Sound:
    """Read the sound of an audio or video file: every channel, at its own rate.

    What can be decoded of a damaged file is used, and a warning says how much; values that are not numbers become
    silence, with a warning; a silent recording is accepted, with a warning.

    Args:
        path: The file, of any kind that FFmpeg reads; of several sound tracks the one that players play.
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
        has_s = math.floor(1000 * samples.shape[1] / rate) / 1000  # 0.0999 s is not 0.100
        raise BadMedia(
            f"The sound file `{path}` must last {SHORTEST_S} s or more, but has {has_s:.3f} s. Record more, or "
            "export it again."
        )
    cleaned, changed = _clean(samples, path)
    return Sound(torch.from_numpy(cleaned), rate, str(found) if whole and not changed else None)


def speech_waveform(sound: Sound) -> Float[Tensor, " samples"]:
    """Return the sound as the speech encoder wants it: mono, 16 kHz, float32 in [-1, 1], without an offset.

    Channels are averaged. Where they cancel each other (one wired the wrong way round), the loudest is taken
    instead. What lies below 30 Hz is no speech but an offset that a cheap converter adds, or wind, and is filtered out;
    where nothing but silence remains, all samples are 0.

    Args:
        sound: Of any rate and number of channels.
    """
    levels = sound.samples.std(dim=1, correction=0)
    mono = sound.samples.mean(dim=0)
    if mono.std(correction=0) < 0.1 * levels.max():
        mono = sound.samples[int(levels.argmax())]
    samples = _without_offset(mono.numpy(), sound.sample_rate)
    if sound.sample_rate != SPEECH_RATE:
        samples = _resampled(samples, sound.sample_rate)
    heard = torch.from_numpy(np.ascontiguousarray(samples, dtype=np.float32)).clamp(-1, 1)
    return heard if len(heard) and heard.abs().max() >= QUIETEST else torch.zeros_like(heard)


def _resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return sound at `SPEECH_RATE`: what librosa's `soxr_hq` gives, without its second of imports."""
    import soxr

    wanted = -(-len(samples) * SPEECH_RATE // rate)
    found = soxr.resample(samples, rate, SPEECH_RATE, quality="soxr_hq")[:wanted]
    return np.pad(found, (0, wanted - len(found)))


def _without_offset(samples: np.ndarray, rate: int) -> np.ndarray:
    """Return sound through a high-pass filter without delay, piece by piece to bound the memory.

    It is a Butterworth filter of second order, there and back, as scipy's `sosfiltfilt` does it, which takes a second
    to import.
    """
    filtered, reach = np.empty(len(samples), np.float32), rate // 4
    for start in range(0, len(samples), _PIECE):
        left = max(0, start - reach)
        piece = samples[left : start + _PIECE + reach].astype(np.float64)
        mirrored = np.concatenate([piece, piece[-2:0:-1]])  # begins where it ends
        pitch = np.fft.rfftfreq(len(mirrored), 1 / rate).clip(max=0.499 * rate)
        above = (np.tan(np.pi * pitch / rate) / np.tan(np.pi * _OFFSET_HZ / rate)) ** 4
        whole = np.fft.irfft(np.fft.rfft(mirrored) * (above / (1 + above)), len(mirrored))
        filtered[start : start + _PIECE] = whole[start - left :][: min(_PIECE, len(samples) - start)]
    return filtered


def _decode(found: Path, path: str | Path, max_duration_s: float) -> tuple[np.ndarray, int, bool]:
    """Return samples [channels, n], their rate, and whether the file's packets hold just that sound."""
    from av.error import FFmpegError

    try:
        with open_media(found) as container:
            heard = decode_track(container, played_track(container, path), path, max_duration_s)
            shift = _start_offset(container, heard, path)
    except FFmpegError as error:
        check_disk(path, error)
        raise BadMedia(f"`{path}` cannot be read as sound ({error.strerror}). Export it as WAV or MP3.") from error
    samples = np.pad(heard.samples, ((0, 0), (shift, 0))) if shift > 0 else heard.samples[:, -shift:]
    return samples, heard.rate, heard.whole and shift == 0


def _start_offset(container: InputContainer, heard: Heard, path: str | Path) -> int:
    """Return by how many samples the sound starts after the picture; 0 below a millisecond or without a picture."""
    pictures = main_video(container)
    begin_s = None if pictures is None else seconds(pictures.start_time, pictures.time_base)
    if begin_s is None or not heard.samples.size:
        return 0
    offset_s = heard.start_s - begin_s
    if offset_s < -_EARLY_S:
        logger.warning("The sound of `%s` begins before its pictures: %.2f s of it are left out.", path, -offset_s)
    return round(offset_s * heard.rate) if abs(offset_s) >= 0.001 else 0


def _clean(samples: np.ndarray, path: str | Path) -> tuple[np.ndarray, bool]:
    """Make samples finite and at most 1, where they are, and return whether they differ from the file's."""
    pieces = [samples[:, start : start + _PIECE] for start in range(0, samples.shape[1], _PIECE)]
    bad = sum(int((~np.isfinite(piece)).sum()) for piece in pieces)
    if bad > samples.size // 2:
        raise BadMedia(f"Most of the {samples.size} samples of `{path}` are not numbers ({bad}). Export it again.")
    if bad:
        logger.warning("%d of %d samples of `%s` are not numbers; they are taken as silence.", bad, samples.size, path)
        for piece in pieces:
            piece[~np.isfinite(piece)] = 0
    high, low = samples.max(axis=1), samples.min(axis=1)
    if float((high - low).max()) < 2 * QUIETEST:
        logger.warning("`%s` is silent: the mouth will stay closed.", path)
    peak = float(max(high.max(), -low.min()))
    if peak > 2:
        logger.warning("`%s` peaks at %.3g times full scale; it is scaled down.", path, peak)
        samples /= peak
        return samples, True
    # Lossy codecs overshoot a little; clipping that here leaves the packets of the file as they are.
    return samples.clip(-1, 1, out=samples), bad > 0
