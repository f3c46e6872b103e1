"""Lips and lids touch and do not pass through one another: what points of a face must keep to.

A mesh whose lids are driven until they surely meet has its upper margin below its lower one; in a picture they meet.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..topology import EYE_CORNERS, MEETING_LIDS, MEETING_LIPS

LIPS_TOUCH = 0.004
"""Gap, over the distance of the eyes' outer corners, below which lips hardly come nearer to each other."""

LIDS_TOUCH = 0.01
"""The same of the lids, over the width of the eye."""

_UPPER_LID_MOVES = 0.7


def keep_apart(points: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 478 2"]:
    """Return faces whose lips and lids touch where they would cross; what is open hardly changes.

    A gap g becomes (g + sqrt(g² + 4 t²)) / 2, t being the gap at which it begins to close: g where it is wide, never
    below 0.

    Args:
        points: MediaPipe's, in any unit.
    """
    left, inner_left, inner_right, right = (points[:, k] for k in EYE_CORNERS)
    parts = (
        (MEETING_LIPS, right - left, LIPS_TOUCH, 0.5),
        (MEETING_LIDS[0], inner_left - left, LIDS_TOUCH, _UPPER_LID_MOVES),
        (MEETING_LIDS[1], right - inner_right, LIDS_TOUCH, _UPPER_LID_MOVES),
    )
    moved = points.clone()
    for pairs, across, touch, share in parts:
        upper, lower = ([pair[k] for pair in pairs] for k in (0, 1))
        down = torch.stack([-across[:, 1], across[:, 0]], 1)[:, None]
        unit = across.norm(dim=1).clamp(min=1e-6)[:, None]
        gap = ((points[:, lower] - points[:, upper]) * down).sum(2) / unit.square()
        more = ((gap.square() + 4 * touch**2).sqrt() - gap) / 2
        moved[:, upper] = moved[:, upper] - share * more[..., None] * down
        moved[:, lower] = moved[:, lower] + (1 - share) * more[..., None] * down
    return moved
