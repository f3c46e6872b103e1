"""Real clips in the crop that a model sees, with what MediaPipe reads in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.media.image import cut_square
from portraittalk_core.perception.identity import crop_place

from ..program import RUNS
from .boxes import in_crop
from .material import read_clip
from .readings import Read, Readings, cached, read_frames


@dataclass(frozen=True)
class FramedClip:
    """A clip, cut as its first frame is framed."""

    frames: Float[Tensor, "f 3 size size"]
    """In [-1, 1]."""

    points: Float[Tensor, "f 478 2"]
    """MediaPipe's, in [-1, 1] of the crop."""

    readings: Readings
    """What it reads besides."""


def framed_clip(path: Path, read: Read, size: int = 256, most: int = 75) -> FramedClip:
    """Read a clip; what MediaPipe reads is kept in `runs/readings`.

    Args:
        path: The file.
        read: Of `readings.open_reader`.
        size: Side of the crop, pixels.
        most: Frames that count, at most.
    """
    clip = read_clip(path, most)
    pictures = torch.stack([clip.frame(number) for number in range(len(clip.levels))])
    readings = cached(RUNS / "readings" / f"{path.stem}.npz", lambda: read_frames(read, pictures)).filled()
    place = crop_place(pictures[0], readings.points[0])
    cut = torch.stack([cut_square(picture, place) for picture in pictures])
    frames = F.interpolate(cut, (size, size), mode="bilinear", antialias=True).clamp(-1, 1)
    return FramedClip(frames, in_crop(readings.points, place).float(), readings)
