"""The curves of mouth and voice of a clip, thinned out for a page."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import BadInput
from ...metrics.functional.dynamics import BLUR_S, facial_dynamics
from ...metrics.functional.signals import GRID_HZ, smooth
from ...types import SPEECH_RATE
from .tracks import Track

CURVE_HZ = 25
"""Points a second."""

MOST_POINTS = 3000
"""Longer clips are drawn up to here: two minutes."""


def curves(track: Track, waveform: Float[Tensor, "n"]) -> dict[str, Any]:
    """Draw mouth and voice of a clip as a report shows them.

    Args:
        track: The face through the clip.
        waveform: Its speech, mono at 16 kHz.

    Returns:
        `hz`, points a second; `mouth` and `voice`, each 0 to 1 over its own range, where unknown steps of the mouth are
        None; `silent`, 1 where nobody speaks. {} where the clip is too short or has no face.
    """
    try:
        found = facial_dynamics(track.landmarks, waveform, SPEECH_RATE, track.fps)
    except BadInput:
        return {}
    step = GRID_HZ // CURVE_HZ
    mouth, voice = (smooth(part, BLUR_S)[:, 0] for part in (found.mouth, found.voice.level[:, None].double()))
    known = found.known
    return {
        "hz": CURVE_HZ,
        "mouth": _thinned(_unit(mouth, known), known, step),
        "voice": _thinned(_unit(voice, torch.ones_like(known)), torch.ones_like(known), step),
        "silent": [int(v > 0.5) for v in found.voice.silent[::step][:MOST_POINTS].tolist()],
    }


def _unit(values: Float[Tensor, "t"], known: Bool[Tensor, "t"]) -> Float[Tensor, "t"]:
    # Stretch the known values to 0 to 1; what moves by next to nothing stays flat.
    seen = values[known]
    if not len(seen):
        return values * 0
    low, high = seen.min(), seen.max()
    return ((values - low) / (high - low).clamp(min=0.01)).clamp(0, 1)


def _thinned(values: Float[Tensor, "t"], known: Bool[Tensor, "t"], step: int) -> list[float | None]:
    pairs = zip(values[::step].tolist(), known[::step].tolist(), strict=True)
    return [round(v, 3) if k else None for v, k in pairs][:MOST_POINTS]
