"""ADFD over many clips: a shell that gathers sums; the score itself is `functional.adfd.adfd`."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from .functional.adfd import AdfdScore, adfd

_FIELDS = ("score", "spatial", "temporal", "audio", "stillness")


@dataclass(frozen=True)
class AdfdMean:
    """Means over clips, each clip counting once; None for a part that no clip had. Parts are those of `AdfdScore`."""

    score: float
    """In [0, 1], higher is better."""

    spatial: float | None
    """In [0, 1]."""

    temporal: float | None
    """In [0, 1]."""

    audio: float | None
    """In [0, 1]."""

    stillness: float | None
    """In [0, 1]."""

    worst_offset_frames: float | None
    """The largest offset of a clip, with its sign: above 0 the sound is late."""

    clips: int
    """How many were scored."""


class ADFD:
    """Gathers ADFD over clips: `update` with each, `compute` the means, `reset` to begin again. Holds sums only."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget every clip."""
        self._sums = dict.fromkeys(_FIELDS, 0.0)
        self._counts = dict.fromkeys(_FIELDS, 0)
        self._worst: float | None = None

    def update(
        self,
        landmarks: Float[Tensor, "f p 2"],
        audio: Float[Tensor, "n"],
        sample_rate: int,
        fps: float,
        reference: Float[Tensor, "f p 2"] | None = None,
    ) -> AdfdScore:
        """Score a clip and add it to the sums. Arguments are those of `functional.adfd.adfd`.

        Args:
            landmarks: Points of the face in each frame.
            audio: One channel in [-1, 1].
            sample_rate: Of the audio, Hz.
            fps: Frames a second.
            reference: The track of the true video, if there is one.

        Returns:
            The clip's own score.

        Raises:
            BadInput: For a clip that cannot be scored; the sums then stay as they were.
        """
        found = adfd(landmarks, audio, sample_rate, fps, reference)
        for name in _FIELDS:
            value = getattr(found, name)
            if value is not None:
                self._sums[name] += value
                self._counts[name] += 1
        offset = found.offset_frames
        if offset is not None and (self._worst is None or abs(offset) > abs(self._worst)):
            self._worst = offset
        return found

    def compute(self) -> AdfdMean:
        """Return the means so far.

        Raises:
            BadInput: Before the first clip.
        """
        clips = self._counts["score"]
        if not clips:
            raise BadInput("ADFD: `compute` must follow at least one `update`, but no clip was scored yet.")
        means = {n: self._sums[n] / self._counts[n] if self._counts[n] else None for n in _FIELDS[1:]}
        return AdfdMean(self._sums["score"] / clips, **means, worst_offset_frames=self._worst, clips=clips)
