"""How far a head turns: softly up to limits, and little to the front where a photograph hides a cheek."""

from __future__ import annotations

import logging
import math

import torch
from jaxtyping import Float
from torch import Tensor

from .head_model import ANGLES

logger = logging.getLogger(__name__)

_KNEE = 0.75  # of the room, up to which angles are left alone
_LEAST_ROOM = 0.12
# How far a face turns to the front, how much less the more it is seen from aside, and at least.
_TO_FRONT, _ASIDE, _LEAST_TO_FRONT = 0.9, 2.1, 0.08
_MUCH_LESS = 0.1  # than is asked: more than a head moves while somebody speaks


def posed(
    offsets: Float[Tensor, "frames 6"], rest: Float[Tensor, "1 6"], limits: tuple[float, ...]
) -> Float[Tensor, "frames 6"]:
    """Return poses that are offset from a reference's own, see `structure.structure_maps`.

    Says in the log where a head turns much less than it is told.

    Args:
        offsets: Of a motion: angles, x and y are added, and scale is a factor; columns as in `types.POSE`.
        rest: The reference's pose.
        limits: Of yaw, pitch and roll to both sides, radians.
    """
    _warn_of_hidden_cheek(offsets, rest, limits[0])
    angles = rest[:, :ANGLES] + _bend(offsets[:, :ANGLES], rest[:, :ANGLES], rest.new_tensor(limits))
    return torch.cat([angles, rest[:, 3:5] + offsets[:, 3:5], rest[:, 5:] * offsets[:, 5:]], 1)


def _to_front(rest: Float[Tensor, "1 k"]) -> Float[Tensor, "1 1"]:
    """Return how far a face turns to the front that is seen in such a pose, radians."""
    return (_TO_FRONT - _ASIDE * rest[:, :1].abs()).clamp(min=_LEAST_TO_FRONT)


def _warn_of_hidden_cheek(offsets: Float[Tensor, "frames 6"], rest: Float[Tensor, "1 6"], limit: float) -> None:
    """Say that a head turns less than it is told, where that is much and the photograph's fault."""
    most, aside = float(_to_front(rest)), float(rest[0, 0])
    asked = float((-rest[:, 0].sign() * offsets[:, 0]).max())
    if most < limit + abs(aside) and asked > most + _MUCH_LESS:
        logger.warning(
            "The photograph shows the face from %.0f degrees aside: the head turns to the front by at most %.0f "
            "degrees, not by %.0f, for nothing shows the other cheek.",
            *(math.degrees(abs(angle)) for angle in (aside, most, asked)),
        )


def _bend(
    offsets: Float[Tensor, "frames 3"], rest: Float[Tensor, "1 3"], limits: Float[Tensor, "3"]
) -> Float[Tensor, "frames 3"]:
    """Leave angles alone as far as the knee of the room that they have, and press the rest into it without a corner.

    A reference that is turned further than the limit has a little room still: it moves, and is what it is at rest. And
    one that is seen from aside has little to the front: nothing shows the cheek that would come into view.
    """
    room = torch.where(offsets > 0, limits - rest, limits + rest).clamp(min=_LEAST_ROOM)
    front = _to_front(rest)
    room[:, :1] = torch.where(offsets[:, :1] * rest[:, :1] < 0, torch.minimum(room[:, :1], front), room[:, :1])
    knee = _KNEE * room
    over = (offsets.abs() - knee).clamp(min=0) / (room - knee)
    return offsets.sign() * (torch.minimum(offsets.abs(), knee) + (room - knee) * over.tanh())
