"""The curves of a face, shared by the renderer and the landmarks, so that points sit exactly on what is drawn.

Everything takes a mapping from column names to values of any one shape, and coordinates that broadcast to it. X and
Y are coordinates on the face as seen from straight ahead; u and v those of the turned head before roll. The surface
is a stack of ellipses: in row v the face is 2 `half_width(v)` wide, X = half_width * sin(angle - yaw).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .paint import step

CROWN = 0.57
"""How far the skull reaches above the middle of the head."""
SIZE = 1.30
"""Picture units in a head unit at scale 1."""
NOD = 0.32
"""How far the front of the face moves down for a pitch of one."""
MOUTH_DEPTH = 0.035
"""How far the lips stand out."""
GAZE = (0.028, 0.014)
"""How far the iris moves at a gaze of one."""

Values = Mapping[str, Tensor]


def chin(p: Values) -> Tensor:
    """Return v of the lowest point of the face; it goes down with the jaw."""
    return p["chin"] + 0.10 * p["jaw"] - 0.015 * p["smile"]


def skull_power(p: Values, v: Tensor) -> Tensor:
    """Return (|v| / extent) ** exponent, the part of the superellipse that depends on the row."""
    below = v > 0
    exponent = torch.where(below, p["jaw_shape"], torch.full_like(p["jaw_shape"], 2.15))
    extent = torch.where(below, chin(p), torch.full_like(p["jaw_shape"], CROWN))
    return torch.exp(exponent * torch.log(torch.abs(v) / extent + 1e-4))


def half_width(p: Values, v: Tensor) -> Tensor:
    """Return half the width of the face in row v."""
    return p["face_width"] * torch.sqrt(torch.clamp(1 - skull_power(p, v), min=0.004))


def nose_tip(p: Values) -> Tensor:
    """Return Y of the tip of the nose."""
    return p["eye_y"] + p["nose_length"]


def nose_shift(p: Values, y: Tensor, sin_yaw: Tensor) -> Tensor:
    """Return how far the nose, which stands out of the face, moves sideways in row Y when the head turns."""
    tip = nose_tip(p)
    return p["nose_depth"] * 1.3 * sin_yaw * step(p["eye_y"] - 0.03, tip, y) * step(tip + 0.10, tip, y)


def nostril_line(p: Values, x: Tensor) -> Tensor:
    """Return Y of the lower edge of the nose at X."""
    return nose_tip(p) + 0.034 - 0.9 * x * x / p["nose_width"]


def brow_x(p: Values, along: Tensor | float) -> Tensor:
    """Return the outward X of a point of the brow, `along` from -1 (inner end) to 1."""
    return p["eye_x"] * 1.02 - 0.012 * p["brow_frown"] + along * p["eye_width"] * 1.35


def brow_y(p: Values, along: Tensor) -> Tensor:
    """Return Y of the middle line of the brow."""
    outward = brow_x(p, along) - p["eye_x"]
    rest = p["eye_y"] - p["brow_distance"] + 0.02 - p["brow_arch"] * (1 - (along - 0.25) ** 2)
    frown = 0.034 * p["brow_frown"] * step(0.5, -0.9, along)
    return rest - 0.050 * p["brow_raise"] + frown - 0.8 * p["brow_tilt"] * outward


def eye_lids(p: Values, along: Tensor) -> tuple[Tensor, Tensor]:
    """Return the edges of the upper and the lower lid, in the eye's own frame; `along` from -1 (inner) to 1."""
    room = torch.clamp(1 - along * along, min=0)
    height, blink = p["eye_height"], p["blink"]
    shut = 0.45 * height * room
    wide = 1 + 0.10 * p["brow_raise"]
    upper = -height * wide * room * (1.12 - 0.12 * along)
    lower = height * 0.62 * room * (1 - 0.25 * torch.clamp(p["smile"], min=0))
    return upper + (shut - upper) * blink, lower + (shut - lower) * blink


def mouth_half_width(p: Values) -> Tensor:
    """Return half the width of the lips."""
    smile = torch.clamp(p["smile"], min=0)
    return p["mouth_width"] * (1 + 0.28 * p["wide"] - 0.38 * p["round"] + 0.14 * smile - 0.04 * p["press"])


def mouth_opening(p: Values) -> Tensor:
    """Return how far the lips are apart, before it is shared between the upper and the lower one."""
    return p["jaw"] * (0.16 + 0.015 * p["round"]) * (1 - 0.85 * p["press"])


class Mouth(NamedTuple):
    """Y of the lines of a mouth."""

    centre: Tensor
    upper_out: Tensor
    upper_in: Tensor
    lower_in: Tensor
    lower_out: Tensor


def mouth(p: Values, along: Tensor) -> Mouth:
    """Return the lines of the mouth at `along`, from -1 (viewer's left corner) to 1."""
    smile, opening = p["smile"], mouth_opening(p)
    room = torch.clamp(1 - along * along, min=0)
    arc = torch.sqrt(room + 1e-6)
    gap = opening * arc * (0.6 + 0.4 * arc)
    centre = p["mouth_y"] - (0.007 + 0.050 * smile) * along * along + 0.012 * torch.clamp(-smile, min=0)
    upper_in, lower_in = centre - 0.22 * gap, centre + 0.95 * gap
    full = (1 + 0.25 * p["round"] - 0.20 * p["wide"]) * (1 - 0.62 * p["press"])
    bow = 0.28 * torch.exp(-((along / 0.22) ** 2))
    upper_out = upper_in - p["lip_upper"] * full * arc * (1 - bow) - 0.001
    lower_out = lower_in + p["lip_lower"] * full * arc * (0.75 + 0.25 * room) + 0.001
    return Mouth(centre, upper_out, upper_in, lower_in, lower_out)


def iris_offset(p: Values) -> tuple[Tensor, Tensor]:
    """Return where the iris is relative to the middle of the eye, X to the viewer's right."""
    return p["gaze_x"] * GAZE[0], p["gaze_y"] * GAZE[1] - 0.004
