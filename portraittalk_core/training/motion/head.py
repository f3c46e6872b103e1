"""Take the numbers of a head in space from rendered people: the mean head, how heads differ, what each action moves."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int
from numpy import ndarray

from ...motion.head_model import HeadModel
from ...people.arkit import INDEX
from ...people.motion import RESPONSE
from ...perception.framing import SIZE
from ...types import COEFFICIENTS
from .people import FOCAL_MM, People

_FLIP = np.array([1.0, -1.0, 1.0])
_FILM_MM = 36.0
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
    pivot = ((people.pivot - people.centre) * (SIZE / people.size)[:, None] * _FLIP).mean(0)
    focal = np.exp(np.log(FOCAL_MM).mean())
    for name, value in (("mean", mean), ("shapes", shapes), ("actions", actions), ("pivot", pivot)):
        getattr(head, name).copy_(torch.from_numpy(np.asarray(value, np.float32)))
    head.powers.copy_(torch.tensor([_power(name) for name in COEFFICIENTS]))
    # The frame is two units high, and the camera stands where its height fills the film.
    head.nearness.fill_(float(_FILM_MM / (2 * focal)))


def _points(people: People, who: Int[ndarray, "n"], rows: Float32[ndarray, "n 52"]) -> Float64[ndarray, "n 478 3"]:
    """Return points of people who face the camera, in head coordinates."""
    world = people.crowd.world(who, rows, np.zeros((len(who), 3), np.float32))
    return (world - people.centre[who][:, None]) * (SIZE / people.size[who])[:, None, None] * _FLIP


def _action(people: People, who: Int[ndarray, "n"], column: int) -> Float64[ndarray, "478 3"]:
    """Return what a blendshape adds on average; lips close over a jaw that is open."""
    without = np.zeros((len(who), len(INDEX)), np.float32)
    without[:, INDEX["jawOpen"]] = float(column == INDEX["mouthClose"])
    row = without.copy()
    row[:, column] = 1
    return (_points(people, who, row) - _points(people, who, without)).mean(0)


def _power(name: str) -> float:
    return next((power for part, power in RESPONSE.items() if name.startswith(part)), 1.0)
