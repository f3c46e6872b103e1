"""Decode a clip by its time stamps: pictures at a fixed rate, and the sound that belongs to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from ..media.audio import read_sound, speech_waveform
from ..media.image import from_bytes
from ..media.video import probe, timed_levels
from ..types import Sound

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
    usual = 1 / (probe(path).fps or 25)
    held: Tensor | None = None
    since = 0.0
    for time, levels in timed_levels(path):
        if held is not None and time > since:
            yield _picture(held), time
        held, since = levels, time
    if held is not None:
        yield _picture(held), since + usual


def _picture(levels: UInt8[Tensor, "3 h w"]) -> Picture:
    return levels.permute(1, 2, 0).contiguous().numpy()


def pixels_of(picture: Picture) -> Float[Tensor, "3 h w"]:
    """Return a picture in [-1, 1], as faces are looked for in it.

    Args:
        picture: RGB bytes.
    """
    return from_bytes(torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1))


def speech_of(path: Path, sound: Path | None = None, separate: Callable[[Sound], Sound] | None = None) -> Tensor | None:
    """Return the sound of a clip: one channel at 16 kHz, beginning with its first picture.

    Args:
        path: The video.
        sound: A file whose sound replaces the video's own.
        separate: Takes a voice out of what sounds beside it; None leaves the sound as it is.

    Returns:
        Samples in [-1, 1]; None where there is no sound.

    Raises:
        BadMedia: When the sound cannot be read, or the voice not taken out of it.
    """
    if sound is None and not probe(path).audio_codec:
        return None
    heard = read_sound(sound or path)
    return speech_waveform(heard if separate is None else separate(heard))
