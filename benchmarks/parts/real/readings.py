"""What MediaPipe reads in the frames of a video, kept on disk: 478 points, blendshapes and the head's angles."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from portraittalk_core.errors import NoFaceFound
from portraittalk_core.media.image import to_bytes
from portraittalk_core.types import COEFFICIENTS, LANDMARKS

TURNS = ("yaw", "pitch", "roll")
"""Columns of `Readings.turn`: to the viewer's right, down, clockwise as the viewer sees it."""


class Reading(Protocol):
    """What is read in a picture, see `parts.mediapipe_judge.Reading`."""

    points: np.ndarray
    """Of the face, pixels."""
    scores: dict[str, float]
    """Of the blendshapes, by name."""
    turn: np.ndarray
    """Of the head, degrees."""


Read = Callable[[Float[Tensor, "3 h w"]], "Reading | None"]
"""Reads a picture in [-1, 1]; None where no face is found."""


@dataclass(frozen=True)
class Readings:
    """A row a frame; NaN where no face was found."""

    points: Float[Tensor, "f 478 2"]
    """In pixels of the frame."""

    scores: Float[Tensor, "f 52"]
    """Of the blendshapes, columns as in `types.COEFFICIENTS`; MediaPipe has no tongueOut, which is 0."""

    turn: Float[Tensor, "f 3"]
    """Angles of the head in degrees, columns as in `TURNS`."""

    @property
    def found(self) -> Bool[Tensor, "f"]:
        """In which frames there is a face."""
        return torch.isfinite(self.turn).all(1)

    def track(self, name: str) -> Float[Tensor, "f"]:
        """Return an angle, or a blendshape's score, the mean of both sides where it has sides.

        Args:
            name: Of `TURNS`, or of a blendshape with or without its side.
        """
        if name in TURNS:
            return self.turn[:, TURNS.index(name)]
        sides = [n for n in (name, f"{name}Left", f"{name}Right") if n in COEFFICIENTS]
        return self.scores[:, [COEFFICIENTS.index(n) for n in sides]].mean(1)

    def filled(self) -> Readings:
        """Return the readings with each frame without a face as the one before it, or the first known.

        Raises:
            NoFaceFound: When no frame has one.
        """
        found = self.found
        if not bool(found.any()):
            raise NoFaceFound("MediaPipe must find a face in at least one frame, but finds none. Give another video.")
        rows = torch.arange(len(found))
        last = torch.where(found, rows, -1).cummax(0).values
        last = torch.where(last < 0, int(found.float().argmax()), last)
        return Readings(self.points[last], self.scores[last], self.turn[last])

    def save(self, path: Path) -> None:
        """Write them.

        Args:
            path: A .npz file.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, points=self.points.numpy(), scores=self.scores.numpy(), turn=self.turn.numpy())

    @classmethod
    def load(cls, path: Path) -> Readings:
        """Read them back.

        Args:
            path: Of `save`.
        """
        with np.load(path) as held:
            return cls(*(torch.from_numpy(held[name]) for name in ("points", "scores", "turn")))


def open_reader(task: Path) -> Read:
    """Return MediaPipe's reader of single pictures; nothing is smoothed over time.

    Args:
        task: `face_landmarker_v2_with_blendshapes.task`.
    """
    from ..mediapipe_judge import Judge  # needs mediapipe, which the arithmetic does not

    judge = Judge(task)
    return lambda pixels: judge.read(to_bytes(pixels).permute(1, 2, 0).contiguous().numpy())


def read_frames(read: Read, frames: Iterable[Float[Tensor, "3 h w"]]) -> Readings:
    """Read one frame after the other.

    Args:
        read: Of `open_reader`.
        frames: In [-1, 1].
    """
    points, scores, turns = [], [], []
    for frame in frames:
        found = read(frame)
        if found is None:
            points.append(torch.full((LANDMARKS, 2), torch.nan))
            scores.append(torch.full((len(COEFFICIENTS),), torch.nan))
            turns.append(torch.full((3,), torch.nan))
        else:
            points.append(torch.as_tensor(np.asarray(found.points), dtype=torch.float32))
            scores.append(torch.tensor([found.scores.get(name, 0.0) for name in COEFFICIENTS]))
            turns.append(torch.as_tensor(np.asarray(found.turn), dtype=torch.float32))
    return Readings(torch.stack(points), torch.stack(scores), torch.stack(turns))


def cached(path: Path, make: Callable[[], Readings]) -> Readings:
    """Return readings from a file, which is made where it is missing.

    Args:
        path: A .npz file.
        make: Reads the frames.
    """
    if not path.exists():
        make().save(path)
    return Readings.load(path)
