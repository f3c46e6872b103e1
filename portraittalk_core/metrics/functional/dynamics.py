"""Bring a face and a voice onto one time grid: the signals that ADFD is made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import BadInput
from .landmarks import MOUTH, STEADY, UPPER_FACE, align, check_track, interocular, known_frames, mouth_shape
from .signals import GRID_HZ, lagged_correlation, on_grid, smooth, velocity
from .voice import Voice, voice_signals

BLUR_S = 0.03
"""Faces and sound are blurred alike, to about 4 Hz: faster than syllables, slower than tracking noise."""

REACH_S = 0.6
"""Lags tried on either side: 15 frames at 25 fps."""

NATURAL_LAG_S = -0.016
"""Lag of the correlation's peak when sound and picture are in time: the level peaks just before the mouth is widest.

Read from drawn faces with exact landmarks; real clips give -5 ms when pictures are tracked one by one, and -20 ms by a
tracker that smooths over time."""

_LAG_STEP = 2
_LIP_HEIGHT = (51, 57)
_COLUMNS = {"mouth": 1, "lips": 40, "face": 44, "head": 3}


@dataclass(frozen=True)
class Dynamics:
    """Signals of one clip, a row every 1 / GRID_HZ seconds, in interocular distances and not yet blurred."""

    mouth: Float[Tensor, "t 1"]
    """Height of the lips: the mean of inner gap and outer height."""

    lips: Float[Tensor, "t 40"]
    """x and y of the points of the mouth, head pose taken out."""

    face: Float[Tensor, "t 44"]
    """x and y of the points of brows and eyes, head pose taken out."""

    head: Float[Tensor, "t 3"]
    """x and y of the middle of the head, and its tilt as the way of a corner of an eye."""

    known: Bool[Tensor, "t"]
    """Where the face is known."""

    voice: Voice
    """What is heard."""

    lags_s: Float[Tensor, "lags"]
    """Lags that were tried, in seconds, ascending."""

    curve: Float[Tensor, "lags"]
    """Mean windowed correlation of mouth and voice if the sound is late by so much, in [-1, 1]."""

    @property
    def voiced(self) -> Bool[Tensor, "t"]:
        """Where somebody surely speaks and the face is known."""
        return self.voice.voiced & self.known

    @property
    def silent(self) -> Float[Tensor, "t"]:
        """How surely nobody speaks, 0 to 1; 0 where the face is unknown."""
        return self.voice.silent * self.known


def facial_dynamics(
    landmarks: Float[Tensor, "f p 2"], audio: Float[Tensor, "n"], sample_rate: int, fps: float
) -> Dynamics:
    """Return the signals of a clip over the time that both picture and sound last.

    Args:
        landmarks: [frames, 70 or 68, 2] in any scale, NaN rows without a face.
        audio: One channel in [-1, 1].
        sample_rate: Of the audio, Hz, at least 4000.
        fps: Frames a second.

    Raises:
        BadInput: For shapes that are no track, an fps that is not positive, NaN in the sound, or fewer than two frames
            with a face.
    """
    if not fps > 0:
        raise BadInput(f"`fps` must be positive, but got {fps}. Try 25.")
    track = check_track(landmarks)
    faces = int(known_frames(track).sum())
    if faces < 2:
        raise BadInput(f"ADFD: unscored, 2 frames with a face are needed, but {faces} of {len(track)} have one.")
    voice = voice_signals(audio, sample_rate)
    steps = min(int(len(track) / fps * GRID_HZ) + 1, len(voice.level))
    voice = voice.cut(steps)
    signals, known = on_grid(_face_signals(track), fps, steps)
    mouth, lips, face, head = signals.split(list(_COLUMNS.values()), dim=1)
    lags = list(range(-round(REACH_S * GRID_HZ), round(REACH_S * GRID_HZ) + 1, _LAG_STEP))
    curve = _curve(mouth, voice, known, lags)
    return Dynamics(mouth, lips, face, head, known, voice, torch.tensor(lags, dtype=torch.float64) / GRID_HZ, curve)


def _face_signals(track: Float[Tensor, "f 68 2"]) -> Float[Tensor, "f 88"]:
    aligned = align(track)
    outer = (aligned[:, _LIP_HEIGHT[1]] - aligned[:, _LIP_HEIGHT[0]]).norm(dim=-1)
    mouth = (mouth_shape(aligned)[:, 0] + outer) / 2
    size = interocular(track)
    size = size[torch.isfinite(size)].median().clamp(min=1e-9)
    place = track[:, STEADY].mean(1) / size
    axis = track[:, 45] - track[:, 36]
    tilt = torch.atan2(axis[:, 1], axis[:, 0]) / 2  # a corner of an eye is half an interocular distance from the middle
    lips, face = (aligned[:, list(part)].flatten(1) for part in (MOUTH, UPPER_FACE))
    return torch.cat([mouth[:, None], lips, face, place, tilt[:, None]], 1)


def _curve(
    mouth: Float[Tensor, "t 1"], voice: Voice, known: Bool[Tensor, "t"], lags: list[int]
) -> Float[Tensor, "lags"]:
    """Return the mean of two correlations, of the signals and of their velocities, in the parts near speech.

    The first holds the most energy, the second has the sharper peak: alone the first takes neighbours for one another,
    the second now and then a distant word (docs/adfd.md).
    """
    heard = smooth(voice.level[:, None], BLUR_S)
    seen = smooth(mouth, BLUR_S)
    weight = (known & voice.near_speech).double()
    pairs = ((seen, heard), (velocity(seen), velocity(heard)))
    return torch.stack([lagged_correlation(a[:, 0], b[:, 0], weight, lags) for a, b in pairs]).mean(0)
