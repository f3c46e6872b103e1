"""What each pixel of a portrait belongs to, along the picture's own edges."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.resampling import averaged
from ..motion.geometry import contours
from ..nets.face_parsing import SIDE, FaceParsingNet
from .masked import luma

_REACH = 1 / 56  # of a picture's side: how far an edge of the picture draws that of a segment
_FINEST = 512  # pixels a side along whose edges segments are drawn
_FLAT = 0.03**2  # variance of brightness, range 1, below which there is no edge to follow


class Parser(Protocol):
    """Finds the segments of portraits."""

    def segments(
        self, pictures: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]
    ) -> Float[Tensor, "n segments s s"]:
        """Return the share of each of `topology.SEGMENTS` in every pixel; see `FaceParser.segments`."""
        ...


@dataclass(frozen=True)
class FaceParser:
    """Finds the segments of portraits."""

    net: FaceParsingNet
    """Reads them."""

    @torch.no_grad()
    def segments(
        self, pictures: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]
    ) -> Float[Tensor, "n segments s s"]:
        """Return the share of each of `topology.SEGMENTS` in every pixel.

        Args:
            pictures: In [-1, 1], of any size.
            landmarks: Of their faces, in [-1, 1].
        """
        at = next(self.net.parameters())
        large = pictures.shape[-1] > SIDE
        read = functional.interpolate(pictures.to(at), (SIDE, SIDE), mode="area" if large else "bilinear")
        shares = self.net(read, contours(landmarks.to(at), SIDE // 4)).softmax(1).to(pictures)
        side = pictures.shape[-1]
        if side <= _FINEST:
            return guided(shares, pictures)
        fine = guided(shares, functional.interpolate(pictures, (_FINEST, _FINEST), mode="area"))
        return functional.interpolate(fine, (side, side), mode="bilinear", align_corners=False)


def guided(shares: Float[Tensor, "n k m m"], pictures: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n k s s"]:
    """Enlarge shares along the edges of a picture: the guided filter of He et al. (2010) on its brightness.

    Args:
        shares: In [0, 1].
        pictures: In [-1, 1].
    """
    side = pictures.shape[-1]
    large = functional.interpolate(shares, (side, side), mode="bilinear", align_corners=False)
    guide = luma(pictures) / 2
    reach = max(1, round(_REACH * side))
    guide_mean, share_mean = averaged(guide, reach), averaged(large, reach)
    varies = averaged(guide * guide, reach) - guide_mean.square()
    slope = (averaged(guide * large, reach) - guide_mean * share_mean) / (varies + _FLAT)
    found = averaged(slope, reach) * guide + averaged(share_mean - slope * guide_mean, reach)
    return found.clamp(0, 1)
