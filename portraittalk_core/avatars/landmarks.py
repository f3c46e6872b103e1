"""Exact landmarks of an avatar, from the same curves that the renderer draws."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from . import shape
from .parameters import unpack
from .shape import Values

Point = tuple[Tensor, Tensor]


def landmarks(parameters: Float[Tensor, "b p"]) -> Float[Tensor, "b 70 2"]:
    """Return the 68 iBUG points, then the iris on the viewer's left and the other, in [-1, 1].

    Points are where the renderer draws the feature, whatever hides it (hair, glasses, beard). The contour of the
    jaw is the outline of the turned head, as it is in pictures labelled by hand.

    Args:
        parameters: Rows of `PARAMETERS`.
    """
    p = unpack(parameters)
    sides = (-1.0, 1.0)
    points = [*_jaw(p)]
    for side in sides:
        points += _brow(p, side)
    points += _nose(p)
    for side in sides:
        points += _eye(p, side)
    points += _mouth(p)
    points += [_iris(p, side) for side in sides]
    u = torch.stack([point[0] for point in points], dim=1)
    v = torch.stack([point[1] for point in points], dim=1)
    return _to_picture(p, u, v)


def _to_picture(p: Values, u: Float[Tensor, "b n"], v: Float[Tensor, "b n"]) -> Float[Tensor, "b n 2"]:
    cos, sin = torch.cos(p["roll"])[:, None], torch.sin(p["roll"])[:, None]
    size = (p["scale"] * shape.SIZE)[:, None]
    x = (u * cos - v * sin) * size + p["x"][:, None]
    y = (u * sin + v * cos) * size + p["y"][:, None]
    return torch.stack([x, y], dim=2)


def _project(p: Values, x: Tensor, y: Tensor) -> Point:
    """Return (u, v) of the point of the face at (X, Y): the renderer's map inverted by iterating on the row."""
    v = y
    angle = torch.zeros_like(y)
    for _ in range(8):
        angle = torch.asin(torch.clamp(x / shape.half_width(p, v), -0.98, 0.98)) + p["yaw"]
        v = y + shape.NOD * torch.sin(p["pitch"]) * torch.cos(angle)
    return shape.half_width(p, v) * torch.sin(angle), v


def _along(p: Values, value: float) -> Tensor:
    return torch.full_like(p["jaw"], value)


def _jaw(p: Values) -> Iterator[Point]:
    low = shape.chin(p) * 0.985
    for index in range(17):
        angle = math.pi * index / 16
        height = math.sin(angle)
        v = torch.minimum(height * low + (1 - height) * p["eye_y"], low)
        side = 0.0 if index == 8 else -math.copysign(1.0, math.cos(angle))
        yield side * shape.half_width(p, v), v


def _brow(p: Values, side: float) -> Iterator[Point]:
    for place in (-1.0, -0.5, 0.0, 0.5, 1.0):
        along = _along(p, place * side)
        yield _project(p, side * shape.brow_x(p, along), shape.brow_y(p, along))


def _nose(p: Values) -> Iterator[Point]:
    sin_yaw = torch.sin(p["yaw"])
    for part in range(4):
        y = p["eye_y"] + p["nose_length"] * part / 3
        yield _project(p, shape.nose_shift(p, y, sin_yaw), y)
    for part in (-1.0, -0.5, 0.0, 0.5, 1.0):
        x = part * p["nose_width"] * 0.9
        y = shape.nostril_line(p, x * 0.6)
        yield _project(p, x + shape.nose_shift(p, y, sin_yaw), y)


def _eye(p: Values, side: float) -> Iterator[Point]:
    """Yield outer or inner corner first, whichever is to the viewer's left, then clockwise."""
    for place, lid in ((-1.0, 0), (-0.4, 0), (0.4, 0), (1.0, 0), (0.4, 1), (-0.4, 1)):
        along = _along(p, place * side)
        outward = along * p["eye_width"]
        y = shape.eye_lids(p, along)[lid] + p["eye_y"] - p["eye_tilt"] * outward
        yield _project(p, side * (p["eye_x"] + outward), y)


def _mouth(p: Values) -> Iterator[Point]:
    half, shift = shape.mouth_half_width(p), shape.MOUTH_DEPTH * torch.sin(p["yaw"])
    outer = [(place, "upper_out") for place in (-1.0, -0.6, -0.25, 0.0, 0.25, 0.6, 1.0)]
    outer += [(place, "lower_out") for place in (0.6, 0.25, 0.0, -0.25, -0.6)]
    inner = [(-0.95, "centre"), (-0.3, "upper_in"), (0.0, "upper_in"), (0.3, "upper_in"), (0.95, "centre")]
    inner += [(place, "lower_in") for place in (0.3, 0.0, -0.3)]
    for place, line in outer + inner:
        along = _along(p, place)
        y = getattr(shape.mouth(p, along), line)
        yield _project(p, along * half + shift, y)


def _iris(p: Values, side: float) -> Point:
    x, y = shape.iris_offset(p)
    return _project(p, side * p["eye_x"] + x, p["eye_y"] + y - p["eye_tilt"] * side * x)
