"""Places that prompts ask for, painted as the background of a portrait: what is under the sky.

Rendered people never stand here: the text model has no word for most of these places. Pictures are in linear light,
with the horizon at the height of the camera: of the eyes.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy import ndarray
from numpy.random import Generator

from .brushes import (
    SIZE,
    Picture,
    box,
    clouds,
    discs,
    gradient,
    grain,
    grid_of,
    jagged,
    lights,
    mixed,
    over,
    tint,
)


def beach(rng: Generator) -> Picture:
    """Paint sky, sea with its foam, and sand."""
    x, y = grid_of()
    horizon, shore = rng.uniform(0.36, 0.44), rng.uniform(0.56, 0.64)
    picture = gradient(y / horizon, [(0.22, 0.44, 0.86), (0.42, 0.62, 0.92), (0.78, 0.88, 0.98)])
    picture = over(picture, 0.8 * clouds(rng, y / horizon), (1.0, 1.0, 1.0))
    sea = gradient((y - horizon) / (shore - horizon), [(0.03, 0.16, 0.30), (0.05, 0.30, 0.40), (0.22, 0.52, 0.52)])
    sea = sea * (1 + 0.35 * grain(rng, 6, 70))
    line = shore + 0.015 * grain(rng, 3, 2)[..., 0] + 0.03 * (x - 0.5) * rng.normal()
    picture = over(picture, y > horizon, sea)
    foam = np.exp(-(((y - line) / 0.014) ** 2)) + 0.7 * np.exp(-(((y - line + 0.055) / 0.008) ** 2))
    picture = over(picture, (foam * (0.7 + 0.5 * grain(rng, 12, 4)[..., 0])).clip(0, 1), (0.95, 0.98, 1.0))
    dry = ((y - line - 0.02) / 0.10).clip(0, 1)[..., None]
    sand = mixed((0.36, 0.28, 0.20), (0.74, 0.60, 0.42), dry) * (1 + 0.12 * grain(rng, 14, 40))
    return over(picture, y > line + 0.008, sand)


def snow(rng: Generator) -> Picture:
    """Paint firs in snow, with flakes in the air."""
    x, y = grid_of()
    picture = gradient(y / 0.5, [(0.55, 0.64, 0.78), (0.72, 0.79, 0.90), (0.88, 0.92, 0.98)])
    rough = grain(rng, 20, 20)[..., 0]
    for depth in (0.0, 0.45, 0.9):
        base = 0.54 + 0.16 * depth
        colour = mixed((0.50, 0.58, 0.68), (0.03, 0.055, 0.045), depth)
        for at in np.arange(-0.05, 1.1, 0.05 + 0.09 * depth) + 0.03 * rng.normal():
            high, wide = rng.uniform(0.25, 0.5) * (0.5 + 0.8 * depth), (0.03 + 0.05 * depth)
            share = ((y - base + high) / high).clip(0, 1)
            layered = share * (0.55 + 0.45 * ((share * 7) % 1)) + 0.06 * rough
            fir = (np.abs(x - at - 0.02 * rng.normal()) < wide * layered) & (y < base) & (y > base - high)
            laden = fir & ((share * 7 + 0.3 * rough) % 1 < 0.4)
            picture[fir] = colour
            picture[laden] = mixed(colour, (0.88, 0.92, 0.98), 0.8)
    ground = 0.6 + 0.03 * np.sin(x * 5 + rng.uniform(0, 6)) + 0.02 * grain(rng, 4, 2)[..., 0]
    drifts = (0.95 + 0.07 * cv2.GaussianBlur(grain(rng, 3, 9), (0, 0), 5)[..., None]) * tint(0.92, 0.97, 1.05)
    picture = over(picture, ((y - ground) / 0.02).clip(0, 1), drifts)
    return lights(picture, rng, 110, (0.4, 2.4), [(1.1, 1.1, 1.15)], (0.0, 1.0), 0.6)


def mountains(rng: Generator) -> Picture:
    """Paint ridges, each paler the further away, with snow on the highest."""
    _, y = grid_of()
    picture = gradient(y / 0.55, [(0.16, 0.36, 0.80), (0.40, 0.60, 0.92), (0.80, 0.88, 0.96)])
    picture = over(picture, 0.6 * clouds(rng, y / 0.5), (1.0, 1.0, 1.0))
    for depth, top, rough, colour in (
        (0, 0.20, 0.20, (0.30, 0.40, 0.56)),
        (1, 0.36, 0.14, (0.16, 0.24, 0.30)),
        (2, 0.52, 0.07, (0.06, 0.12, 0.07)),
    ):
        ridge = top + jagged(rng, rough, 0.62 - 0.06 * depth)
        lit = 0.75 + 0.5 * (np.gradient(cv2.GaussianBlur(grain(rng, 9, 9)[..., 0], (0, 0), 4), axis=1) * 40).clip(-1, 1)
        rock = np.asarray(colour, np.float32) * lit[..., None] * (1 + 0.25 * grain(rng, 30, 30))
        if depth == 0:
            cap = ((ridge + 0.16 + 0.05 * grain(rng, 16, 10)[..., 0] - y) / 0.05).clip(0, 1)
            rock = over(rock, cap, (0.86, 0.90, 0.97) * lit[..., None])
        haze = ((y - ridge) / 0.4).clip(0, 1)[..., None] * (0.45 - 0.2 * depth)
        picture = over(picture, ((y - ridge) / 0.006).clip(0, 1), mixed(rock, (0.62, 0.72, 0.84), haze))
    meadow = mixed((0.10, 0.20, 0.05), (0.24, 0.36, 0.10), ((y - 0.66) / 0.3).clip(0, 1)[..., None])
    edge = 0.66 + 0.02 * grain(rng, 5, 2)[..., 0]
    return over(picture, ((y - edge) / 0.02).clip(0, 1), meadow * (1 + 0.2 * grain(rng, 20, 50)))


def _trees(rng: Generator, leaves: list[tuple[float, float, float]], glow: tuple[float, float, float]) -> Picture:
    x, y = grid_of()
    gap = np.exp(-(((x - rng.uniform(0.25, 0.75)) / 0.5) ** 2) - ((y - 0.38) / 0.4) ** 2)[..., None]
    picture = mixed(np.asarray(leaves[0]) * 0.45, glow, 0.75 * gap)
    for depth in (0.1, 0.4, 0.75, 1.0):
        for _ in range(int(9 - 6 * depth)):  # trunks
            at, wide = rng.random(), rng.uniform(0.006, 0.014) * (0.7 + 3 * depth)
            lean = at + 0.05 * rng.normal() * (y - 0.5)
            bark = mixed(mixed(glow, leaves[0], 0.5), (0.030, 0.022, 0.015), depth)
            side = ((x - lean) / wide).clip(-1, 1)[..., None]
            picture = over(picture, np.abs(x - lean) < wide, bark * (1 + 0.5 * side))
        crown = 0.30 + 0.22 * depth
        for colour in leaves:
            shade = np.asarray(colour) * (1.5 - 0.9 * depth)
            picture = discs(picture, rng, 80, (2, 5 + 9 * depth), shade, (-0.05, crown), 0.7)
    floor = 0.70 + 0.03 * grain(rng, 4, 2)[..., 0]
    ground = mixed(np.asarray(leaves[-1]) * 0.9, (0.10, 0.07, 0.035), 0.5 + 0.4 * grain(rng, 9, 22))
    picture = over(picture, 0.85 * ((y - floor) / 0.06).clip(0, 1), ground * (1 + 0.3 * grain(rng, 24, 60)))
    return lights(picture, rng, 60, (0.8, 3.2), [tuple(np.asarray(glow) * 1.6)], (0.0, 0.55), 0.7)


def forest(rng: Generator) -> Picture:
    """Paint trunks and leaves, with light between them."""
    return _trees(rng, [(0.045, 0.085, 0.022), (0.09, 0.15, 0.035), (0.17, 0.24, 0.06)], (0.62, 0.74, 0.36))


def autumn(rng: Generator) -> Picture:
    """Paint the same in autumn."""
    return _trees(rng, [(0.14, 0.06, 0.018), (0.36, 0.13, 0.025), (0.50, 0.28, 0.05)], (0.95, 0.72, 0.34))


def park(rng: Generator) -> Picture:
    """Paint a lawn with trees and bushes behind it."""
    x, y = grid_of()
    picture = gradient(y / 0.4, [(0.60, 0.76, 0.98), (0.84, 0.92, 1.0)])
    for depth, base in ((0.0, 0.30), (0.5, 0.20), (1.0, 0.06)):
        edge = base + 0.14 * grain(rng, 4, 1)[..., 0] + 0.02 * grain(rng, 24, 24)[..., 0] + 0.25 * depth * _middle(x)
        dark = mixed((0.16, 0.23, 0.13), (0.035, 0.07, 0.02), depth)
        clumps = grain(rng, 8, 8) + 0.8 * grain(rng, 26, 26)
        picture = over(picture, ((y - edge) / 0.012).clip(0, 1), dark * np.exp(0.45 * clumps))
    leaf = [(0.10, 0.17, 0.03), (0.20, 0.30, 0.06), (0.05, 0.09, 0.02)]
    for colour in leaf:
        picture = discs(picture, rng, 110, (2, 8), np.asarray(colour), (0.0, 0.6), 0.5)
    lawn = 0.62 + 0.012 * grain(rng, 6, 2)[..., 0]
    green = mixed((0.20, 0.30, 0.07), (0.11, 0.19, 0.035), ((y - 0.62) / 0.35).clip(0, 1)[..., None])
    shade = 1 - 0.55 * (grain(rng, 3, 9) > 0.25)
    picture = over(picture, ((y - lawn) / 0.015).clip(0, 1), green * shade * (1 + 0.15 * grain(rng, 30, 60)))
    return lights(picture, rng, 50, (0.7, 2.6), [(0.95, 1.0, 0.75)], (0.02, 0.5), 0.9)


def _middle(x: ndarray) -> ndarray:
    return np.exp(-(((x - 0.5) / 0.28) ** 2))


def meadow(rng: Generator) -> Picture:
    """Paint a field of flowers before distant trees."""
    _, y = grid_of()
    picture = gradient(y / 0.45, [(0.24, 0.46, 0.88), (0.76, 0.88, 0.98)])
    picture = over(picture, 0.8 * clouds(rng, y / 0.42), (1.0, 1.0, 1.0))
    edge = 0.40 + jagged(rng, 0.05, 0.5)
    picture = over(
        picture, ((y - edge) / 0.01).clip(0, 1), np.asarray((0.09, 0.15, 0.08)) * (1 + 0.4 * grain(rng, 26, 26))
    )
    near = ((y - 0.47) / 0.5).clip(0, 1)[..., None]
    grass = mixed((0.30, 0.38, 0.12), (0.13, 0.24, 0.04), near) * (1 + 0.25 * grain(rng, 40, 12))
    picture = over(picture, ((y - 0.47) / 0.02).clip(0, 1), grass)
    flowers = [(0.9, 0.75, 0.1), (0.85, 0.16, 0.14), (0.95, 0.95, 0.95), (0.5, 0.2, 0.65)]
    for low, high, radius in ((0.48, 0.62, 1.2), (0.60, 0.80, 2.4), (0.78, 1.0, 4.0)):
        picture = lights(picture, rng, 60, (0.6 * radius, radius), flowers, (low, high), 0.8)
    return picture


def desert(rng: Generator) -> Picture:
    """Paint dunes, one side of each in the sun."""
    x, y = grid_of()
    picture = gradient(y / 0.5, [(0.24, 0.46, 0.82), (0.60, 0.74, 0.90), (0.92, 0.88, 0.80)])
    for depth in (0.0, 0.4, 0.8):
        phase, waves = rng.uniform(0, 6), rng.uniform(5, 8) * (1.3 - 0.5 * depth)
        top = 0.43 + 0.17 * depth
        ridge = top + (0.03 + 0.05 * depth) * np.sin(waves * x + phase) + 0.012 * np.sin(2.7 * waves * x)
        bend = x + 0.55 * (y - ridge)  # the crest's shadow falls to one side
        lit = (0.5 + 0.9 * np.sin(waves * bend + phase + 1.2)).clip(0, 1)[..., None]
        ripples = 1 + 0.05 * grain(rng, 8, 70)
        sand = mixed((0.38, 0.22, 0.12), (0.82, 0.56, 0.31), lit) * ripples
        picture = over(picture, ((y - ridge) / 0.006).clip(0, 1), mixed((0.80, 0.68, 0.54), sand, 0.5 + 0.6 * depth))
    return picture


def sky(rng: Generator) -> Picture:
    """Paint a blue sky with clouds."""
    _, y = grid_of()
    picture = gradient(y, [(0.10, 0.28, 0.74), (0.22, 0.46, 0.88), (0.52, 0.72, 0.96)])
    heaps = clouds(rng, y, 0.15)
    lit = 0.82 + 0.18 * cv2.GaussianBlur(grain(rng, 6, 6)[..., 0], (0, 0), 3)
    return over(picture, heaps, np.asarray((1.0, 1.0, 1.02)) * lit[..., None])


def sunset(rng: Generator) -> Picture:
    """Paint a low sun over water."""
    x, y = grid_of()
    horizon, at = rng.uniform(0.50, 0.58), rng.choice([rng.uniform(0.08, 0.25), rng.uniform(0.75, 0.92)])
    air = [(0.045, 0.06, 0.17), (0.18, 0.10, 0.24), (0.62, 0.20, 0.14), (1.0, 0.46, 0.12), (1.2, 0.72, 0.26)]
    picture = gradient(y / horizon, air)
    bands = clouds(rng, y / horizon, -0.05, 5)
    picture = over(picture, 0.7 * bands, np.asarray((0.95, 0.30, 0.14)) * (0.25 + 1.1 * (y / horizon)[..., None]))
    away = np.hypot(x - at, (y - horizon + 0.07) * 1.0)
    picture = picture + np.exp(-((away / 0.16) ** 2))[..., None] * tint(0.9, 0.42, 0.10)
    picture = over(picture, ((0.038 - away) / 0.006).clip(0, 1), (4.0, 2.6, 1.1))
    rows = np.clip(2 * int(horizon * len(y)) - np.arange(len(y)), 0, len(y) - 1)
    water = 0.55 * picture[rows] * tint(0.9, 0.85, 1.05) * (1 + 0.5 * grain(rng, 7, 80))
    glints = np.exp(-(((x - at) / (0.03 + 0.12 * (y - horizon).clip(0))) ** 2)) * (
        0.5 + grain(rng, 10, 90)[..., 0]
    ).clip(0)
    picture = over(picture, y > horizon, water + glints[..., None] * tint(2.2, 1.1, 0.35))
    land = horizon - 0.015 + jagged(rng, 0.05, 0.5) * np.abs(x - at).clip(0, 0.5) * 3
    return over(picture, (y > land) & (y < horizon), (0.035, 0.025, 0.04))


def street(rng: Generator) -> Picture:
    """Paint houses on both sides of a street that runs away from the camera."""
    x, y = grid_of()
    vanish = rng.uniform(0.40, 0.60)
    picture = gradient(y / 0.5, [(0.46, 0.64, 0.92), (0.90, 0.95, 1.0)])
    for left in (True, False):
        houses = _houses(rng, 1.0 if left else 0.55)
        far, near = (vanish - 0.05, -0.25) if left else (vanish + 0.05, 1.25)
        corners = np.array([(near, -0.75), (far, 0.34), (far, 0.53), (near, 0.95)], np.float32) * SIZE
        flat = np.array([(0, 0), (SIZE, 0), (SIZE, SIZE), (0, SIZE)], np.float32)
        turn = cv2.getPerspectiveTransform(flat, corners)
        seen = cv2.warpPerspective(np.dstack([houses, np.ones((SIZE, SIZE), np.float32)]), turn, (SIZE, SIZE))
        picture = over(picture, seen[..., 3], seen[..., :3])
    haze = np.exp(-(((x - vanish) / 0.13) ** 2) - ((y - 0.42) / 0.16) ** 2)
    picture = over(picture, 0.7 * haze, (0.80, 0.86, 0.94))
    side = np.abs(x - vanish)
    road = ((y - 0.52 - 0.55 * (side - 0.05).clip(0)) / 0.01).clip(0, 1)
    paved = mixed((0.22, 0.22, 0.23), (0.13, 0.13, 0.135), ((y - 0.5) / 0.4).clip(0, 1)[..., None])
    picture = over(picture, road, paved * (1 + 0.08 * grain(rng, 12, 40)))
    for _ in range(7):  # cars and people
        at, low = rng.uniform(0.1, 0.9), rng.uniform(0.54, 0.62)
        colour = rng.choice([0.02, 0.08, 0.5]) * tint(1 + 0.5 * rng.normal(), 1, 1 + 0.4 * rng.normal())
        size = (low - 0.48) * 0.7
        picture = box(picture, (at - size, low - size, at + size, low), colour)
    lamps = [(2.6, 2.3, 1.8), (2.2, 0.25, 0.15), (2.5, 1.7, 0.7)]
    return lights(picture, rng, 22, (0.8, 1.8), lamps, (0.46, 0.62), 0.9)


def _houses(rng: Generator, light: float) -> Picture:
    """Return fronts of houses from the near end of a street to the far one, seen straight."""
    picture, at = np.zeros((SIZE, SIZE, 3), np.float32), 0.0
    while at < 1:
        wide = rng.uniform(0.12, 0.24)
        warm = tint(1 + 0.18 * rng.normal(), 1.0, 0.92 + 0.12 * rng.normal())
        front = light * np.exp(rng.uniform(-2.0, -0.7)) * warm
        picture = box(picture, (at, 0, at + wide, 1), front)
        for column in np.arange(at + 0.02, at + wide - 0.03, 0.055):
            for row in np.arange(0.03, 0.72, 0.105):
                pane = np.asarray((0.07, 0.09, 0.12)) + light * 0.5 * (rng.random() < 0.25)
                picture = box(picture, (column - 0.004, row - 0.006, column + 0.034, row + 0.072), 1.35 * front)
                picture = box(picture, (column, row, column + 0.03, row + 0.066), pane)
        shop = tint(0.9, 0.62, 0.35) * rng.uniform(0.1, 1.1) + 0.03
        picture = box(picture, (at + 0.015, 0.80, at + wide - 0.015, 0.99), shop)
        awning = 0.4 * light * tint(*rng.uniform(0.05, 1.0, 3))
        picture = box(picture, (at + 0.01, 0.765, at + wide - 0.01, 0.81), awning)
        at += wide
    return picture


def night(rng: Generator) -> Picture:
    """Paint a city's lights in the dark."""
    _, y = grid_of()
    picture = gradient(y, [(0.010, 0.014, 0.032), (0.020, 0.022, 0.040), (0.030, 0.024, 0.024)])
    at = -0.05
    while at < 1.05:  # towers with some windows lit
        wide, top = rng.uniform(0.08, 0.2), rng.uniform(0.0, 0.42)
        picture = box(picture, (at, top, at + wide, 0.72), np.asarray((0.014, 0.015, 0.022)) * rng.uniform(0.6, 1.8))
        for column in np.arange(at + 0.012, at + wide - 0.012, 0.018):
            for row in np.arange(top + 0.02, 0.68, 0.03):
                if rng.random() < 0.28:
                    lamp = np.asarray([(1.0, 0.66, 0.28), (0.8, 0.8, 0.75), (0.45, 0.6, 0.9)][int(rng.integers(3))])
                    picture = box(picture, (column, row, column + 0.008, row + 0.012), lamp * rng.uniform(0.3, 1.6))
        at += wide
    glow = np.exp(-(((y - 0.66) / 0.16) ** 2))[..., None] * tint(0.10, 0.055, 0.025)
    lamps = [(3.4, 2.0, 0.8), (3.0, 2.6, 2.0), (3.0, 0.35, 0.2), (0.5, 1.1, 2.6), (2.8, 1.3, 0.3), (0.4, 2.0, 1.0)]
    picture = lights(picture + glow, rng, 70, (0.8, 1.8), lamps, (0.40, 0.74), 0.9)
    return lights(picture, rng, 22, (1.6, 3.0), lamps, (0.52, 0.82), 0.9)


def space(rng: Generator) -> Picture:
    """Paint stars and the glow of a nebula."""
    cloud = (cv2.GaussianBlur(grain(rng, 4, 4)[..., 0], (0, 0), 3) + 0.5).clip(0)[..., None] ** 2
    other = (cv2.GaussianBlur(grain(rng, 5, 5)[..., 0], (0, 0), 3) + 0.3).clip(0)[..., None] ** 2
    picture = 0.004 + cloud * tint(0.05, 0.02, 0.10) + other * tint(0.015, 0.05, 0.10)
    return lights(
        picture.astype(np.float32), rng, 420, (0.3, 0.9), [(1, 1, 1), (1, 0.8, 0.6), (0.7, 0.85, 1)], (0, 1), 0.9
    )


OUTDOORS: dict[str, tuple[Callable[[Generator], Picture], float, float]] = {
    "beach": (beach, 0.42, 7.0),
    "snow": (snow, 0.62, 7.0),
    "mountains": (mountains, 0.34, 5.0),
    "forest": (forest, 0.16, 9.0),
    "autumn": (autumn, 0.24, 9.0),
    "park": (park, 0.25, 10.0),
    "meadow": (meadow, 0.34, 7.0),
    "desert": (desert, 0.42, 6.0),
    "sky": (sky, 0.42, 5.0),
    "sunset": (sunset, 0.20, 5.5),
    "street": (street, 0.26, 8.0),
    "night": (night, 0.05, 9.0),
    "space": (space, 0.018, 1.5),
}
"""Painters by name; how bright each place is on the whole; how far it is out of focus, in 384ths of the picture."""
