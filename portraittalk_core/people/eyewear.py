"""What glasses are like: outlines, sizes and places, of which rendered people's are made and those of prompts.

Places are in the template's space: decimetres, x to the person's left, y up, z out of the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray
from numpy.random import Generator

EYES_APART, EYE_HEIGHT, EYE_DEPTH = 0.30775, 7.28415, 1.24535
"""Where the template's eyeballs are: from the middle, up and out."""

LIDS_APART, LID_DEPTH = 0.2868, 1.3334
"""Where the middles of the lids of the mean rendered face are, likewise."""

SQUARE_WIDE, SQUARE_HIGH, ROUND = (0.235, 0.275), (0.175, 0.215), (0.205, 0.245)
"""Half widths and heights of lenses."""

METAL_RIM, PLASTIC_RIM = (0.012, 0.018), (0.024, 0.042)
"""Half widths of rims."""

SQUARE_POWERS, ROUND_POWER = (3.2, 5.5), 2.0
"""Of the superellipses that lenses are."""

METALS = {"gold": (0.6, 0.45, 0.2), "silver": (0.5, 0.5, 0.5), "dark metal": (0.03, 0.03, 0.032)}
PLASTICS = {
    "black": (0.012, 0.011, 0.011),
    "brown": (0.07, 0.032, 0.014),
    "grey": (0.25, 0.24, 0.23),
    "dark red": (0.10, 0.02, 0.03),
}
"""Colours of frames, in linear light."""

SUNGLASSES, TINTED = 0.75, 0.03
"""How much light lenses swallow."""

_METAL_SHARES = ("gold", "silver", "dark metal")
_PLASTIC_SHARES = ("black", "black", "brown", "grey", "dark red")
_BELOW, _BEFORE, _FURTHEST_BACK = 0.035, 0.34, 1.56  # lenses: below and before the eyes; in which plane at least
_BESIDE_NOSE, _OUT = 0.075, 0.02
_CURVE = 0.22
_EAR = np.array([0.80, 7.33, 0.42])


@dataclass(frozen=True)
class Eyewear:
    """A pair of glasses."""

    half: tuple[float, float]
    """Half of a lens' width and height."""
    power: float
    """Of the superellipse that a lens is: 2 is round."""
    rim: float
    """Half of a rim's width."""
    tint: tuple[float, float, float]
    """Colour of the frame, in linear light."""
    metal: bool = False
    """Whether it shines as metal does."""
    dark: float = 0.0
    """How much light the lenses swallow."""

    def outline(self, corners: int) -> Float64[ndarray, "corners 2"]:
        """Return a lens' outline about its middle.

        Args:
            corners: How many points it has.
        """
        angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
        ring = np.stack([np.cos(angle), np.sin(angle)], 1)
        return np.sign(ring) * np.abs(ring) ** (2 / self.power) * self.half


@dataclass(frozen=True)
class Placed:
    """Where glasses sit on a face; places of one side are by its sign, 1 is the person's left."""

    lenses: dict[int, Float64[ndarray, "corners 3"]]
    """The rims' middles."""
    temples: dict[int, Float64[ndarray, "5 3"]]
    """From the hinge to behind the ear."""
    bridge: Float64[ndarray, "7 3"]


def place_glasses(
    glasses: Eyewear, eyes_apart: dict[int, float], height: float, depth: float, corners: int = 28
) -> Placed:
    """Put glasses on a face.

    Args:
        glasses: Which.
        eyes_apart: How far each eyeball is from the middle, by its side's sign.
        height: Of the eyeballs.
        depth: Of the eyeballs.
        corners: Of a lens' outline.
    """
    half, outline = glasses.half, glasses.outline(corners)
    height -= _BELOW
    plane = max(depth + _BEFORE, _FURTHEST_BACK)
    lenses: dict[int, ndarray] = {}
    temples: dict[int, ndarray] = {}
    for sign, apart in eyes_apart.items():
        middle = sign * max(abs(apart) + _OUT, half[0] + _BESIDE_NOSE)
        x, y = middle + sign * outline[:, 0], height + outline[:, 1]
        curve = np.stack([x, y, plane - _CURVE * (np.abs(x) - 0.1) ** 2], 1)
        side = float(curve[np.argmax(np.abs(x)), 2])
        hinge = np.array([sign * (abs(middle) + half[0] + 0.01), height + 0.09, side])
        ear = _EAR * [sign, 1, 1]
        bends = [hinge + [sign * 0.03, 0.01, -0.06], ear + [0, 0.02, 0.55], ear, ear + [-sign * 0.02, -0.16, -0.16]]
        lenses[sign], temples[sign] = curve, np.array([hinge, *bends])
    inner = max(abs(eyes_apart[1]) + _OUT, half[0] + _BESIDE_NOSE) - half[0]
    t = np.linspace(-1, 1, 7)
    bridge = np.stack([t * inner, height + 0.045 + 0.03 * (1 - t**2), plane + 0.015 + 0 * t], 1)
    return Placed(lenses, temples, bridge)


def draw_glasses(shape: str, rng: Generator) -> Eyewear:
    """Draw a pair at random.

    Args:
        shape: "round" or "square".
        rng: Draws colours and sizes.
    """
    metal = rng.random() < 0.4
    names, colours = (_METAL_SHARES, METALS) if metal else (_PLASTIC_SHARES, PLASTICS)
    tint = colours[names[int(rng.integers(len(names)))]]
    rim = float(rng.uniform(*(METAL_RIM if metal else PLASTIC_RIM)))
    half = np.array([rng.uniform(*SQUARE_WIDE), rng.uniform(*SQUARE_HIGH)])
    if shape == "round":
        half = np.array([1.0, 1.0]) * rng.uniform(*ROUND)
    power = ROUND_POWER if shape == "round" else float(rng.uniform(*SQUARE_POWERS))
    dark = float(rng.choice([0.0, TINTED, SUNGLASSES], p=[0.62, 0.33, 0.05]))
    return Eyewear((float(half[0]), float(half[1])), power, rim, tint, metal, dark)
