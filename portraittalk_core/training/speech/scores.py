"""How well a listener hears: the mouth that it says against the mouth that was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from ...motion.audio_to_motion import AudioToMotion
from ...perception.speech import SpeechEncoder, resample_rows
from ...types import SPEECH_RATE
from .augmentation import augment

FPS = 25.0
TRACK_HZ = 100
"""Rate of the mouth tracks kept with the recordings; finer than video so that they can be stretched."""


class Spoken(Protocol):
    """Speech with its mouth."""

    @property
    def samples(self) -> Tensor:
        """int16 at 16 kHz, [n]."""
        ...

    @property
    def track(self) -> Tensor:
        """The mouth at `TRACK_HZ`, [m, 13]."""
        ...


def correlation(a: Float[Tensor, "*b frames"], b: Float[Tensor, "*b frames"]) -> Float[Tensor, "*b"]:
    """Return Pearson's r along the last dimension; 0 where one side does not move.

    Args:
        a: Tracks.
        b: Tracks.
    """
    a, b = a - a.mean(-1, keepdim=True), b - b.mean(-1, keepdim=True)
    return (a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=1e-6)


@torch.no_grad()
def evaluate_speech(
    encoder: SpeechEncoder, a2m: AudioToMotion, corpus: Sequence[Spoken], max_lag: int = 5
) -> dict[str, float]:
    """Score encoder and audio-to-motion on whole recordings, clean and degraded, each always in the same way.

    Args:
        encoder: Listens.
        a2m: Moves the mouth.
        corpus: Recordings that were not trained on.
        max_lag: Frames at most by which the mouth is looked for earlier or later.

    Returns:
        The mean r of each column, as `r_jawOpen`, and the mean best lag of the jaw in frames, positive where it is
        late, all clean; in noise and music `loud_r_jawOpen`, and `loud_rest`, how far the jaw is open where it should
        be shut.
    """
    encoder.eval()
    a2m.eval()
    scores: list[Tensor] = []
    rows: list[tuple[float, float, float]] = []
    for number, recording in enumerate(corpus):
        sound = recording.samples.float() / 32768
        frames = round(len(sound) / SPEECH_RATE * FPS)
        found = a2m(encoder.encode(sound, FPS, frames).hidden)
        wanted = resample_rows(recording.track.float(), TRACK_HZ, FPS, frames)
        scores.append(correlation(found.T, wanted.T))
        loud = augment(sound, torch.Generator().manual_seed(number), None, 1.0)
        jaw = a2m(encoder.encode(loud, FPS, frames).hidden)[:, 0]
        shut = jaw[wanted[:, 0] < 0.01]
        lag = best_lag(found[:, 0], wanted[:, 0], max_lag)
        rows.append((lag, float(correlation(jaw, wanted[:, 0])), float(shut.mean()) if len(shut) else 0.0))
    r = dict(zip((f"r_{name}" for name in a2m.columns), torch.stack(scores).mean(0).tolist(), strict=True))
    means = torch.tensor(rows).mean(0).tolist()
    return r | dict(zip(("lag_frames", "loud_r_jawOpen", "loud_rest"), means, strict=True))


def best_lag(found: Float[Tensor, "frames"], wanted: Float[Tensor, "frames"], most: int) -> int:
    """Return by how many frames a track is late: the shift at which the two correlate best.

    Args:
        found: The track.
        wanted: What it should be.
        most: Frames at most, in both directions.
    """

    def score(lag: int) -> float:
        a, b = (found[lag:], wanted[: len(wanted) - lag]) if lag >= 0 else (found[:lag], wanted[-lag:])
        return float(correlation(a, b))

    return max(range(-most, most + 1), key=score)
