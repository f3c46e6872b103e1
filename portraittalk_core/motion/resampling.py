"""Read tracks off at other times."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from torch import Tensor

logger = logging.getLogger(__name__)


def frame_times(duration_s: float, fps: float, frames: int | None, name: str) -> Float[Tensor, "frames"]:
    """Return when the frames of a video are shown, seconds; a track that is too short for it is warned of.

    Args:
        duration_s: How long the track lasts.
        fps: Frames a second.
        frames: How many are wanted; by default as many as the track lasts.
        name: What the warning calls the track.
    """
    lasts = max(1, round(duration_s * fps))
    if frames is not None and lasts < frames:
        logger.warning("%s lasts %d frames of %d; the face keeps still after that.", name, lasts, frames)
    return torch.arange(lasts if frames is None else frames, dtype=torch.float64) / fps


def at_times(
    track: Float[Tensor, "rows d"], times_s: Float[Tensor, "rows"], wanted_s: Float[Tensor, "frames"]
) -> Float[Tensor, "frames d"]:
    """Interpolate a track linearly; before its first and after its last row it keeps still.

    Args:
        track: A row a time, at least one.
        times_s: Of the rows, seconds, not falling; any distance apart.
        wanted_s: Times that are wanted, seconds.
    """
    after = torch.searchsorted(times_s, wanted_s).clamp(0, len(times_s) - 1)
    before = (after - 1).clamp(min=0)
    span = (times_s[after] - times_s[before]).clamp(min=1e-9)
    share = ((wanted_s - times_s[before]) / span).clamp(0, 1)[:, None].to(track)
    return torch.lerp(track[before], track[after], share)
