"""Take the numbers of a head in space from rendered people: the mean head, how heads differ, what each action moves."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int
from numpy import ndarray

from ...motion.head_model import HeadModel
from ...people.arkit import INDEX
from ...people.motion import RESPONSE
from ...types import COEFFICIENTS
from .people import People

_LOOKED_AT = 300


@torch.no_grad()
def fill_head(head: HeadModel, people: People) -> None:
    """Fill a head's fixed numbers.

    Args:
        head: Whose.
        people: From whom they are taken.
    """
    who = np.arange(len(people.crowd))
    zero = np.zeros((len(who), len(INDEX)), np.float32)
    rest = _points(people, who, zero)
    mean = rest.mean(0)
    values, vectors = np.linalg.eigh(np.cov((rest - mean).reshape(len(rest), -1), rowvar=False))
    count = len(head.shapes)
    shapes = (vectors[:, -count:] * np.sqrt(values[-count:].clip(0))).T.reshape(count, *mean.shape)
    some = who[:_LOOKED_AT]
    actions = np.stack([_action(people, some, INDEX[name]) for name in COEFFICIENTS])
    for name, value in (("mean", mean), ("shapes", shapes), ("actions", actions)):
        getattr(head, name).copy_(torch.from_numpy(np.asarray(value, np.float32)))
    head.powers.copy_(torch.tensor([_power(name) for name in COEFFICIENTS]))
    head.pivot.copy_(people.neck.pivot)
    head.nearness.copy_(people.neck.nearness)


def _points(people: People, who: Int[ndarray, "n"], rows: Float32[ndarray, "n 52"]) -> Float64[ndarray, "n 478 3"]:
    """Return points of people who face the camera, in head coordinates."""
    return people.in_head(people.crowd.world(who, rows, np.zeros((len(who), 3), np.float32)), who)


def _action(people: People, who: Int[ndarray, "n"], column: int) -> Float64[ndarray, "478 3"]:
    """Return what a blendshape adds on average; lips close over a jaw that is open."""
    without = np.zeros((len(who), len(INDEX)), np.float32)
    without[:, INDEX["jawOpen"]] = float(column == INDEX["mouthClose"])
    row = without.copy()
    row[:, column] = 1
    return (_points(people, who, row) - _points(people, who, without)).mean(0)


def _power(name: str) -> float:
    return next((power for part, power in RESPONSE.items() if name.startswith(part)), 1.0)
