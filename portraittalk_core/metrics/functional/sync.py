"""LSE-C, LSE-D and offset: how well SyncNet's embeddings of lips and sound agree.

Protocol of SyncNet v2 (Chung & Zisserman, "Out of time", 2016; the scores' names are Wav2Lip's, Prajwal et al. 2020):
25 fps, an embedding for every five frames, sound shifted by up to 15 frames. The networks are not ours and not shipped;
what is here takes their embeddings.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...errors import BadInput

SYNC_FPS = 25.0
"""Frame rate of the protocol."""

REACH = 15
"""Shifts tried on either side, frames."""

SHORTEST_FRAMES = 100
"""Clips with fewer frames are not scored: the protocol drops shorter tracks, and their figures are noise."""

_WINDOW = 5
_EPS = 1e-6


@dataclass(frozen=True)
class SyncScore:
    """LSE of a clip."""

    lse_d: float
    """LSE-D: the smallest mean distance over the shifts, lower is better."""

    lse_c: float
    """LSE-C: how far the other shifts are above it (median minus smallest), higher is better."""

    offset_frames: int
    """Frames by which the sound is late, -15 to 15. SyncNet's own script prints it with the other sign."""

    curve: Float[Tensor, "31"]
    """Mean distance at sound late by -15 to 15 frames."""


def sync_score(
    video: Float[Tensor, "n d"], audio: Float[Tensor, "n d"], shortest_frames: int = SHORTEST_FRAMES
) -> SyncScore:
    """Return LSE-D, LSE-C and offset of one clip from embeddings of its lips and of its sound, row by row in time.

    Beyond the clip's ends the sound counts as zeros, and 1e-6 is added to every difference, both as in the reference
    script, so that figures compare. Over several clips the scores are averaged.

    Args:
        video: Embeddings of the lips; a clip of n + 5 frames has n.
        audio: Embeddings of the sound at the same times.
        shortest_frames: Frames below which a clip is not scored.

    Raises:
        BadInput: For a shorter clip, for shapes that differ, or for NaN.
    """
    if video.ndim != 2 or video.shape != audio.shape:
        raise BadInput(
            f"`video` and `audio` must be embeddings of one shape [n, d], but got {list(video.shape)} and "
            f"{list(audio.shape)}. Cut both to the shorter."
        )
    if len(video) + _WINDOW < shortest_frames:
        raise BadInput(
            f"LSE: unscored, a clip must have at least {shortest_frames} frames at 25 fps, but has "
            f"{len(video) + _WINDOW}. Give a longer clip."
        )
    if not bool(torch.isfinite(video).all() and torch.isfinite(audio).all()):
        raise BadInput("`video` and `audio` must be finite, but hold NaN or infinity. Drop frames without a face.")
    padded = functional.pad(audio.double(), (0, 0, REACH, REACH))
    shifted = padded.unfold(0, len(video), 1).movedim(-1, 1)
    curve = (video.double() - shifted + _EPS).norm(dim=-1).mean(1)
    best = int(curve.argmin())
    least = float(curve[best])
    return SyncScore(least, float(curve.median()) - least, best - REACH, curve.float())
