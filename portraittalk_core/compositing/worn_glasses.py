"""Glasses before eyes that close: a lid comes down behind a frame, and takes nothing of it along.

Skin above an eye is drawn out over it. Where a frame lies there it would be drawn out, too, and skin would lie on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..media.resampling import sampled
from ..nets.dense_motion import DenseMotion, nearness, pixel_flow
from ..topology import EYES, SEGMENTS
from .masked import filled, grown

_BEFORE_EYES = 0.1  # of [-1, 1]: reach of the eyes' points within which what is worn are glasses
_FROM, _SURELY = 0.25, 0.5  # share of an accessory from which on a pixel is perhaps and surely a frame's
_RIM = 0.006  # of a picture's side: beside a frame, that is not quite skin


@dataclass(frozen=True)
class WornGlasses:
    """What a photograph shows of frames of glasses."""

    worn: Float[Tensor, "4 s s"]
    """The photograph, in [-1, 1], and how surely each pixel is a frame's."""

    bare: Float[Tensor, "4 s s"]
    """The photograph with what is around frames in their place, and where that is."""

    @classmethod
    def of(
        cls,
        portrait: Float[Tensor, "3 s s"],
        segments: Float[Tensor, "1 segments s s"],
        landmarks: Float[Tensor, "1 478 2"],
    ) -> WornGlasses:
        """Look at a photograph.

        Args:
            portrait: In [-1, 1].
            segments: Of it, see `topology.SEGMENTS`.
            landmarks: In [-1, 1].
        """
        share = segments[:, [SEGMENTS.index("accessory")]]
        frame = ((share - _FROM) / (_SURELY - _FROM)).clamp(0, 1) * before_eyes(landmarks, portrait.shape[-1])
        around = grown(frame, _RIM)
        bare = filled(portrait[None], 1 - around)
        return cls(torch.cat([portrait, frame[0]]), torch.cat([bare, around], 1)[0])

    def left_behind(
        self, frames: Float[Tensor, "n 3 s s"], flow: Float[Tensor, "n 2 s s"], rows: Iterable[int]
    ) -> Float[Tensor, "n 3 s s"]:
        """Show skin where lids would bring a frame along.

        Args:
            frames: The photograph moved, in [-1, 1].
            flow: Where each pixel lies in the photograph, in [-1, 1].
            rows: In which eyes close.
        """
        made = frames.clone()
        for row in rows:
            found = sampled(self.bare[None], flow[row : row + 1])[0]
            made[row] = torch.lerp(made[row], found[:3], found[3:].clamp(0, 1))
        return made

    def put_on(
        self, frames: Float[Tensor, "n 3 s s"], motion: DenseMotion, rows: Iterable[int]
    ) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n 1 s s"]]:
        """Put frames of glasses before lids.

        Args:
            frames: In [-1, 1].
            motion: Of each, in which lids do not close.
            rows: In which eyes close.

        Returns:
            The frames, and where they are changed.
        """
        made, where = frames.clone(), torch.zeros_like(frames[:, :1])
        for row in rows:
            flow = pixel_flow(motion.rows(slice(row, row + 1)), frames.shape[-2:])
            found = sampled(self.worn[None], flow)[0]
            where[row] = found[3:].clamp(0, 1)
            made[row] = torch.lerp(made[row], found[:3], where[row])
        return made, where


def before_eyes(landmarks: Float[Tensor, "1 478 2"], side: int) -> Float[Tensor, "1 1 side side"]:
    """Return how surely what is worn there are glasses.

    Args:
        landmarks: In [-1, 1].
        side: Of the map, cells.
    """
    return (1.2 * nearness(landmarks[:, [*EYES[0], *EYES[1]]], side, _BEFORE_EYES)).clamp(max=1)
