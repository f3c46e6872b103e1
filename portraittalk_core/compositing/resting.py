"""A motion beside that of a head at rest: what of it is error, and what a head leaves behind."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch.nn import functional

from ..media.resampling import enlarged, largest
from ..nets.dense_motion import DenseMotion, identity_grid, lengths

_RIM = 2  # cells of the maps around a head that show a little of it
_BLOCK = 8  # cells, within one or two of which of the moved head its rim may lie
_HARDLY = 0.05  # of [-1, 1]: moved so far, a place is no longer as at rest
_NEAR, _FAR = 0.02, 0.06  # of [-1, 1]: the head has hardly moved; it has left its rim behind


def without_rim(motion: DenseMotion, rest: DenseMotion) -> DenseMotion:
    """Leave out the rim of a head in the photograph where the head has moved away from it.

    What stands still begins where the head ended, and there its outermost hairs are: left behind, they are a pale line
    around nothing. They are to be drawn.

    Args:
        motion: Of each frame.
        rest: Of the head as it is in the photograph, one row.

    Returns:
        The same motion, some of what stands still being drawn.
    """
    _, _, still = rest.shares.split(1, 1)
    rim = largest(1 - still, _RIM)
    away = lengths(motion.flow - identity_grid(motion.flow)) * motion.shares[:, 1:2]
    near = functional.max_pool2d(functional.max_pool2d(away, _BLOCK), 3, 1, 1)
    moved = enlarged(near, away.shape[-2:])
    left = motion.shares[:, 2:] * rim * ((moved - _NEAR) / (_FAR - _NEAR)).clamp(0, 1)
    return replace(motion, shares=motion.shares + torch.cat([left, torch.zeros_like(left), -left], 1))


def calibrated(motion: DenseMotion, rest: DenseMotion) -> DenseMotion:
    """Take away what the network's field is off where nothing has moved, so that a head at rest is the photograph.

    Args:
        motion: Of each frame.
        rest: Of the head as it is in the photograph, one row.

    Returns:
        The same motion; what has moved far stays as it is, for the network errs differently there.
    """
    away = lengths(motion.flow - rest.flow)
    error = rest.flow - identity_grid(rest.flow)
    return replace(motion, flow=motion.flow - torch.exp(-(away / _HARDLY).square()) * error)


def all_shown(motion: DenseMotion) -> DenseMotion:
    """Return the motion of a photograph that is not moved: all of it is shown, whatever the network doubts."""
    own, warped, still = motion.shares.split(1, 1)
    return replace(motion, shares=torch.cat([torch.zeros_like(own), warped, still + own], 1))
