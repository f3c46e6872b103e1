"""What a photograph does not show of a moving head: made from its own pixels as far as they go.

A denoiser of few pixels draws what comes into view, but blurred. Of hair, cheeks and collars the photograph has more
beside the gap: what the field of motion stretches into it is sharp and looks right, unless it is stretched so far that
it becomes streaks, or folds. There what was drawn is taken, in the colours of what is around it.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.resampling import enlarged
from ..nets.dense_motion import DenseMotion
from ..topology import OUTER_LIPS
from .masked import blurred, filled

_SIDE = 48  # pixels, on which colours are compared: they change slowly
_KNOWN = 0.8  # share of a pixel on that side from which on its colour counts
_SOFT = 0.03  # reach, in sides of the picture, over which colours go over into another
_WHOLE, _TORN = 0.4, 0.1  # least magnification of a field that shows detail, and that shows streaks only
_AROUND = 0.012  # reach of a tear, in sides of the picture
_MOUTH = 1.15  # of the lips' extent: within it nothing is drawn anew, and half as far again it is


def redrawn(motion: DenseMotion, landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 1 m m"]:
    """Return how far what a photograph does not show is to be drawn anew, in [0, 1].

    Mouths are not: teeth and the dark behind them are drawn over what is stretched there (`mouth`).

    Args:
        motion: Of each frame, as it is composited.
        landmarks: Of the frames, in [-1, 1].
    """
    tear = blurred(torn(motion.flow), _AROUND) * (1 - _mouths(landmarks, motion.flow.shape[-1]))
    return motion.shares[:, :1] * tear


def torn(flow: Float[Tensor, "n 2 m m"]) -> Float[Tensor, "n 1 m m"]:
    """Return how far a field stretches a picture to streaks or folds it, in [0, 1].

    What counts is the least singular value of its Jacobian, negative where it mirrors.

    Args:
        flow: Where each cell lies in the picture, in [-1, 1].
    """
    return ((_WHOLE - stretching(flow)[0]) / (_WHOLE - _TORN)).clamp(0, 1)


def stretching(flow: Float[Tensor, "n 2 m m"]) -> tuple[Float[Tensor, "n 1 m m"], Float[Tensor, "n 1 m m"]]:
    """Return the singular values of a field's Jacobian: how fast places in the picture pass by, at least and at most.

    Args:
        flow: Where each cell lies in the picture, in [-1, 1].

    Returns:
        The least, below 1 where the picture is drawn out, and negative where it is mirrored; and the greatest, above 1
        where it is pressed together.
    """
    side = flow.shape[-1]
    beyond = functional.pad(flow, (1, 1, 1, 1), mode="replicate")
    (a, c), (b, d) = (
        (step * (side / 4)).unbind(1)
        for step in (beyond[..., 1:-1, 2:] - beyond[..., 1:-1, :-2], beyond[..., 2:, 1:-1] - beyond[..., :-2, 1:-1])
    )
    turned, mirrored = torch.hypot(a + d, b - c), torch.hypot(a - d, b + c)
    return ((turned - mirrored) / 2)[:, None], ((turned + mirrored) / 2)[:, None]


def toned(
    drawn: Float[Tensor, "n 3 s s"], shown: Float[Tensor, "n 3 s s"], known: Float[Tensor, "n 1 s s"]
) -> Float[Tensor, "n 3 s s"]:
    """Give what is drawn the colours of what is known around it.

    Args:
        drawn: In [-1, 1].
        shown: The pictures as they are known.
        known: Where they are.
    """
    size, small = drawn.shape[-1], (_SIDE, _SIDE)
    share = functional.interpolate(known, small, mode="area")
    differs = functional.interpolate((shown - drawn) * known, small, mode="area") / share.clamp(min=1e-3)
    differs = blurred(filled(differs, (share > _KNOWN).float()), _SOFT)
    return drawn + enlarged(differs, (size, size))


def _mouths(landmarks: Float[Tensor, "n 478 2"], side: int) -> Float[Tensor, "n 1 s s"]:
    """Return ellipses around lips, soft at their edges."""
    lips = landmarks[:, list(OUTER_LIPS)]
    low, high = lips.amin(1), lips.amax(1)
    centre, half = (low + high) / 2, (high - low).clamp(min=1e-3) / 2 * _MOUTH
    axis = (torch.arange(side, device=lips.device, dtype=lips.dtype) * 2 + 1) / side - 1
    x, y = ((axis - centre[:, k, None]) / half[:, k, None] for k in (0, 1))
    distance = (y.square()[:, :, None] + x.square()[:, None]).sqrt()
    return (2 * (1.5 - distance)).clamp(0, 1)[:, None]
