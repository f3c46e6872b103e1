"""What a photograph hides of the far half of a face: the near half, mirrored.

A face that is seen from one side and turns to the other shows a cheek of which the photograph has a few pixels. Drawn
out they are streaks, and a denoiser of few pixels draws a haze. But faces are nearly their own mirror images, and of
every point the mirrored one is known.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..media.resampling import largest
from ..motion.geometry import face_warp
from ..nets.dense_motion import nearness
from ..topology import EYES, MIRROR, OVAL
from .masked import blurred, inside
from .unseen import stretching

_INNER = (10, 108, 55, 244, 114, 217, 203, 57, 202, 211, 32, 152)
"""From the forehead to the chin, beside nose and mouth, in the left of the picture: noses have no other half."""

_CHIN = OVAL.index(152)
HALVES = (
    (*OVAL[: _CHIN + 1], *(MIRROR[k] for k in _INNER[::-1])),
    (*OVAL[_CHIN:], *_INNER),
)
"""Outlines of both halves, the one in the right of the picture first."""

_DRAWN_OUT, _STREAKS = 0.65, 0.35  # least magnification below which pixels are drawn out, and are nothing but
_BETTER, _SURELY = 0.1, 0.35  # by how much more the other half is magnified: enough, and surely
_LEAST, _MUCH = 0.03, 0.08  # mean over a half: nothing is drawn out, and so much that it is replaced
_EYE = 0.03  # of [-1, 1]: reach of a point of an eye
_GROWN = 8  # cells around pixels that are drawn out


def other_half(
    flow: Float[Tensor, "n 2 m m"], reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"]
) -> dict[int, tuple[Float[Tensor, "1 2 m m"], Float[Tensor, "1 1 m m"]]]:
    """Return how mirrored faces move, and where they are to be taken, for the frames in which they are.

    Args:
        flow: Where each cell lies in the photograph.
        reference: Points of the photograph, in [-1, 1].
        landmarks: Of the frames.

    Returns:
        By frame: where each cell lies in the photograph if its place is mirrored, and its share.
    """
    least, _ = stretching(flow)
    streaks = ((_DRAWN_OUT - least) / (_DRAWN_OUT - _STREAKS)).clamp(0, 1)
    found: dict[int, tuple[Tensor, Tensor]] = {}
    halves = [inside(landmarks[:, list(half)], flow) for half in HALVES]
    means = torch.stack([_mean(streaks, half) for half in halves])
    for row in (means.amax(0) > _LEAST).nonzero()[:, 0].tolist():
        half = halves[int(means[0, row] < means[1, row])][row : row + 1]
        there = _mirrored(flow, reference, landmarks[row : row + 1])
        better = (stretching(there * there.new_tensor([-1.0, 1.0]).view(2, 1, 1))[0] - least[row] - _BETTER) / (
            _SURELY - _BETTER
        )
        wanted = streaks[row] * better.clamp(0, 1) * half
        much = ((_mean(wanted, half) - _LEAST) / (_MUCH - _LEAST)).clamp(0, 1)
        if float(much) > 0:
            grown = largest(wanted, _GROWN)
            # An eye that the photograph shows is worth more than another one's mirror image.
            eyes = nearness(landmarks[row : row + 1, [*EYES[0], *EYES[1]]], flow.shape[-1], _EYE)
            share = torch.maximum(wanted, grown * (1 - eyes)) * much[:, None, None, None]
            found[row] = there, blurred(share, 0.012) * half
    return found


def _mean(values: Float[Tensor, "n 1 m m"], half: Float[Tensor, "n 1 m m"]) -> Float[Tensor, "n"]:
    return (values * half).sum((1, 2, 3)) / half.sum((1, 2, 3)).clamp(min=1)


def _mirrored(flow: Tensor, reference: Tensor, landmarks: Tensor) -> Float[Tensor, "1 2 m m"]:
    flip = reference.new_tensor([-1.0, 1.0])
    return (face_warp(reference[:, list(MIRROR)] * flip, landmarks, flow.shape[-1]) * flip).permute(0, 3, 1, 2)
