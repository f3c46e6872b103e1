"""Colours by name, in linear light, and the places a person can stand in front of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Colour = tuple[float, float, float]

HAIR: dict[str, Colour] = {
    "black": (0.011, 0.010, 0.010),
    "dark brown": (0.040, 0.023, 0.014),
    "brown": (0.095, 0.056, 0.032),
    "blonde": (0.33, 0.225, 0.115),
    "red": (0.19, 0.062, 0.022),
    "grey": (0.22, 0.215, 0.21),
    "white": (0.50, 0.49, 0.47),
}
IRIS: dict[str, tuple[Colour, Colour]] = {
    "brown": ((0.13, 0.062, 0.026), (0.050, 0.022, 0.010)),
    "dark": ((0.040, 0.019, 0.010), (0.020, 0.010, 0.006)),
    "hazel": ((0.22, 0.13, 0.05), (0.10, 0.10, 0.055)),
    "green": ((0.17, 0.15, 0.07), (0.12, 0.17, 0.11)),
    "blue": ((0.24, 0.27, 0.29), (0.13, 0.21, 0.31)),
    "grey": ((0.24, 0.26, 0.27), (0.17, 0.21, 0.24)),
}


@dataclass(frozen=True)
class Palette:
    """Names of colours with how often they occur."""

    colours: dict[str, tuple[Colour, float]]

    def draw(self, rng: Generator) -> tuple[str, Colour]:
        """Draw a name and a shade of it."""
        names = list(self.colours)
        chances = np.array([share for _, share in self.colours.values()])
        name = str(rng.choice(names, p=chances / chances.sum()))
        return name, self.shade(name, rng)

    def shade(self, name: str, rng: Generator) -> Colour:
        """Draw a shade of a colour, in linear light."""
        shade = np.array(self.colours[name][0]) * rng.uniform(0.6, 1.4) * (1 + 0.08 * rng.normal(size=3))
        r, g, b = np.clip(shade, 0.004, 0.9)
        return float(r), float(g), float(b)


CLOTHES = Palette(
    {
        "black": ((0.014, 0.014, 0.016), 0.17),
        "white": ((0.62, 0.61, 0.60), 0.15),
        "grey": ((0.17, 0.17, 0.175), 0.17),
        "blue": ((0.035, 0.065, 0.17), 0.17),
        "red": ((0.26, 0.028, 0.030), 0.08),
        "green": ((0.045, 0.12, 0.06), 0.08),
        "yellow": ((0.50, 0.34, 0.055), 0.05),
        "purple": ((0.12, 0.045, 0.16), 0.05),
        "brown": ((0.115, 0.062, 0.034), 0.05),
        "pink": ((0.50, 0.20, 0.22), 0.03),
    }
)

WALLS: dict[str, Colour] = {
    "white": (0.72, 0.71, 0.69),
    "grey": (0.27, 0.27, 0.27),
    "black": (0.010, 0.010, 0.011),
    "blue": (0.10, 0.17, 0.32),
    "green": (0.10, 0.21, 0.11),
    "red": (0.28, 0.055, 0.050),
    "yellow": (0.55, 0.40, 0.11),
    "beige": (0.46, 0.38, 0.29),
    "brown": (0.13, 0.080, 0.050),
    "purple": (0.17, 0.09, 0.24),
    "orange": (0.52, 0.20, 0.05),
}
PLACES: tuple[str, ...] = ("room", "office", "bookshelf", "window", "park", "street", "night", "brick wall", "curtain")


@dataclass(frozen=True)
class Places:
    """What is behind a person: a wall of one colour or a place."""

    plain: float = 0.42

    def draw(self, rng: Generator) -> str:
        """Draw the name of a wall's colour or of a place."""
        if rng.random() < self.plain:
            shares = np.array([0.2, 0.24, 0.06, 0.12, 0.08, 0.05, 0.05, 0.1, 0.04, 0.03, 0.03])
            return str(rng.choice(list(WALLS), p=shares / shares.sum()))
        return str(rng.choice(PLACES))


SCENES = Places()
