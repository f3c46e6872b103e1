"""Face parsing: what each pixel of a portrait belongs to.

Where a prompt asks for other hair, clothes or another place, the picture's parts say which pixels that concerns. As in
"Fake it till you make it" (Wood et al. 2021) the network is taught by rendered people alone, of whom the truth is
exact, and reads photographs.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..topology import SEGMENTS
from .small_unet import SmallUNet

SIDE = 256
"""Side in pixels of the pictures that are read; maps have half of it."""

_FOLD = 4


class FaceParsingNet(SmallUNet):
    """A small U-Net from a portrait and the lines of its face to segments.

    Args:
        contours: Groups of lines in the drawing of the face.
        widths: Channels of its levels, from a quarter of the picture's side downwards.
    """

    def __init__(self, *, contours: int = 7, widths: Sequence[int] = (64, 80, 96, 128, 128)) -> None:
        super().__init__(3 * _FOLD**2 + contours, 4 * len(SEGMENTS), widths)
        self.config = {"contours": contours, "widths": list(widths)}

    def forward(
        self, picture: Float[Tensor, "n 3 s s"], contours: Float[Tensor, "n groups q q"]
    ) -> Float[Tensor, "n segments h h"]:
        """Return logits of `SEGMENTS`, at half the picture's side.

        Args:
            picture: In [-1, 1].
            contours: Lines of its face at a quarter of its side.
        """
        folded = functional.pixel_unshuffle(picture, _FOLD)
        return functional.pixel_shuffle(self.run(torch.cat([folded, contours], 1)), 2)
