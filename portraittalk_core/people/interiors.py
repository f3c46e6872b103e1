"""Places that prompts ask for, painted as the background of a portrait: what has walls. See `scenery`."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy import ndarray
from numpy.random import Generator

from .brushes import SIZE, Picture, box, gradient, grain, grid_of, lights, over, tint

_LAMP = (2.8, 1.9, 0.95)


def _wall(rng: Generator, colour: tuple[float, float, float], fall: float = 0.5) -> Picture:
    """Return a wall that is lighter on one side."""
    x, y = grid_of()
    at = rng.choice([-0.1, 1.1])
    shade = 1 + fall * (np.exp(-((x - at) ** 2) / 0.4 - (y - 0.3) ** 2) - 0.5)
    return (np.asarray(colour, np.float32) * shade[..., None] * (1 + 0.03 * grain(rng, 4, 4))).astype(np.float32)


def _glow(picture: Picture, at: tuple[float, float], reach: float, colour: tuple[float, float, float]) -> Picture:
    """Add the light that a lamp throws on what is around it."""
    x, y = grid_of()
    away = ((x - at[0]) ** 2 + (y - at[1]) ** 2) / reach**2
    return picture * (1 + np.exp(-away)[..., None] * np.asarray(colour, np.float32))


def _pane(rng: Generator, picture: Picture, place: tuple[float, float, float, float], bars: int = 2) -> Picture:
    """Set a window with daylight and a little green behind it."""
    left, top, right, bottom = place
    x, y = grid_of()
    frame = 0.014
    picture = box(picture, (left - frame, top - frame, right + frame, bottom + frame), (0.62, 0.60, 0.56))
    inside = (x > left) & (x < right) & (y > top) & (y < bottom)
    view = gradient((y - top) / (bottom - top), [(2.2, 2.5, 2.9), (2.0, 2.2, 2.3), (1.0, 1.25, 0.75), (0.6, 0.85, 0.4)])
    picture = over(picture, inside, view * (1 + 0.22 * grain(rng, 12, 12)).clip(0.4))
    for k in range(1, bars):
        at = left + (right - left) * k / bars
        picture = box(picture, (at - 0.006, top, at + 0.006, bottom), (0.58, 0.56, 0.53))
    low = top + 0.4 * (bottom - top)
    return box(picture, (left, low - 0.005, right, low + 0.005), (0.58, 0.56, 0.53))


def _plant(rng: Generator, picture: Picture, at: float, low: float, size: float) -> Picture:
    """Put a plant in a pot on the floor or a shelf."""
    for _ in range(46):
        angle, length = rng.uniform(-2.6, -0.5), size * rng.uniform(0.35, 1)
        x, y = at + length * np.cos(angle) * 0.7, low + length * np.sin(angle)
        green = np.asarray((0.045, 0.12, 0.03)) * np.exp(0.6 * rng.normal())
        axes = (max(1, round(0.16 * size * SIZE)), max(1, round(0.05 * size * SIZE)))
        centre = (round(x * SIZE), round(y * SIZE))
        cv2.ellipse(picture, centre, axes, float(np.degrees(angle)), 0, 360, green.tolist(), -1, cv2.LINE_AA)
    return box(picture, (at - 0.16 * size, low - 0.05 * size, at + 0.16 * size, low + 0.3 * size), (0.42, 0.22, 0.14))


def _framed(rng: Generator, picture: Picture, place: tuple[float, float, float, float]) -> Picture:
    """Hang a picture."""
    left, top, right, bottom = place
    picture = box(picture, place, (0.05, 0.035, 0.025))
    picture = box(picture, (left + 0.01, top + 0.01, right - 0.01, bottom - 0.01), (0.72, 0.70, 0.66))
    inner = (left + 0.035, top + 0.035, right - 0.035, bottom - 0.035)
    return box(picture, inner, np.exp(rng.uniform(-2, -0.8)) * tint(*rng.uniform(0.5, 1.2, 3)))


def _shelf(
    rng: Generator, picture: Picture, place: tuple[float, float, float], colours: list[ndarray], high: float
) -> Picture:
    """Fill a shelf (left, right, its board's height) with things side by side."""
    left, right, board = place
    at = left
    while at < right - 0.01:
        wide = rng.uniform(0.012, 0.035)
        if rng.random() < 0.85:
            colour = colours[int(rng.integers(len(colours)))] * np.exp(0.3 * rng.normal())
            picture = box(
                picture, (at, board - high * rng.uniform(0.55, 1), min(at + 0.85 * wide, right), board), colour
            )
        at += wide
    return box(picture, (left, board, right, board + 0.012), (0.16, 0.10, 0.06))


def room(rng: Generator) -> Picture:
    """Paint a living room: a window, a lamp, a picture, a sofa, a plant."""
    colour = [(0.52, 0.46, 0.38), (0.46, 0.48, 0.46), (0.40, 0.44, 0.48)][int(rng.integers(3))]
    picture = _wall(rng, colour)
    picture = box(picture, (0, 0.80, 1, 1), (0.20, 0.12, 0.07))
    picture = _pane(rng, picture, (-0.05, 0.08, 0.20, 0.62))
    curtain = (0.62, 0.58, 0.52)
    picture = box(picture, (0.20, 0.03, 0.27, 0.80), curtain)
    picture = _framed(rng, picture, (0.62, 0.10, 0.78, 0.32))
    picture = _framed(rng, picture, (0.82, 0.13, 0.93, 0.29))
    sofa = np.exp(rng.uniform(-2.2, -1.2)) * tint(*(1 + 0.25 * rng.normal(size=3)))
    picture = box(picture, (0.50, 0.60, 1.1, 0.80), sofa)
    picture = box(picture, (0.50, 0.74, 1.1, 0.95), 1.25 * sofa)
    for at in (0.62, 0.86):
        picture = box(picture, (at, 0.63, at + 0.10, 0.74), np.asarray((0.5, 0.3, 0.12)) * rng.uniform(0.5, 1.3))
    picture = _plant(rng, picture, 0.36, 0.76, 0.26)
    picture = box(picture, (0.955, 0.46, 0.965, 0.80), (0.05, 0.04, 0.03))
    picture = _glow(picture, (0.96, 0.42), 0.30, (1.0, 0.75, 0.4))
    picture = box(picture, (0.91, 0.38, 1.01, 0.47), _LAMP)
    return picture


def kitchen(rng: Generator) -> Picture:
    """Paint cupboards, tiles, a shelf, a hob with its hood and a window."""
    x, y = grid_of()
    wood = [(0.60, 0.58, 0.55), (0.36, 0.22, 0.12), (0.16, 0.24, 0.26), (0.30, 0.36, 0.30)][int(rng.integers(4))]
    picture = _wall(rng, (0.62, 0.60, 0.56), 0.3)
    tiles = ((x / 0.045) % 1 < 0.07) | ((y / 0.03) % 1 < 0.09)
    picture = over(picture, tiles & (y > 0.36) & (y < 0.64), (0.42, 0.41, 0.39))
    for at in np.arange(-0.02, 1, 0.145):
        if 0.42 < at < 0.60:
            continue
        picture = box(picture, (at, -0.05, at + 0.14, 0.30), np.asarray(wood) * rng.uniform(0.92, 1.06))
        picture = box(picture, (at + 0.12, 0.22, at + 0.126, 0.28), (0.30, 0.30, 0.30))
    picture = _pane(rng, picture, (0.02, 0.10, 0.24, 0.52))
    picture = box(picture, (0.44, 0.0, 0.56, 0.24), (0.46, 0.47, 0.48))
    picture = box(picture, (0.40, 0.24, 0.60, 0.31), (0.60, 0.61, 0.62))
    things = [
        np.asarray(c)
        for c in ((0.5, 0.12, 0.06), (0.6, 0.55, 0.45), (0.12, 0.25, 0.1), (0.6, 0.4, 0.1), (0.3, 0.3, 0.32))
    ]
    picture = _shelf(rng, picture, (0.66, 0.98, 0.46), things, 0.10)
    picture = box(picture, (0, 0.64, 1, 0.675), (0.20, 0.19, 0.18))
    picture = _shelf(rng, picture, (0.28, 0.98, 0.635), things, 0.13)
    picture = _plant(rng, picture, 0.30, 0.60, 0.13)
    for at in np.arange(-0.02, 1, 0.145):
        picture = box(picture, (at, 0.69, at + 0.14, 1), np.asarray(wood) * rng.uniform(0.75, 0.9))
        picture = box(picture, (at + 0.03, 0.71, at + 0.11, 0.716), (0.4, 0.4, 0.4))
    for at in (0.70, 0.84):
        picture = _glow(picture, (at, 0.18), 0.14, (0.6, 0.45, 0.25))
        picture = lights(picture, np.random.default_rng(0), 0, (1, 1), [_LAMP], (0, 1))
        cv2.circle(picture, (round(at * SIZE), round(0.17 * SIZE)), 7, _LAMP, -1, cv2.LINE_AA)
    return picture


def cafe(rng: Generator) -> Picture:
    """Paint a dark bar with bottles and warm lamps, and a window onto the street."""
    picture = _wall(rng, (0.10, 0.065, 0.042), 0.8)
    glass = [
        np.asarray(c)
        for c in ((0.30, 0.14, 0.03), (0.05, 0.12, 0.05), (0.4, 0.36, 0.28), (0.22, 0.05, 0.03), (0.06, 0.10, 0.14))
    ]
    for board in (0.26, 0.40, 0.54):
        picture = _shelf(rng, picture, (0.36, 1.0, board), glass, 0.10)
        x, y = grid_of()
        picture = over(picture, 0.35 * np.exp(-(((y - board + 0.02) / 0.05) ** 2)) * (x > 0.36), (0.60, 0.36, 0.14))
    picture = _pane(rng, picture, (-0.05, 0.10, 0.26, 0.66), 3)
    picture = box(picture, (0, 0.68, 1, 0.72), (0.30, 0.17, 0.08))
    picture = box(picture, (0, 0.72, 1, 1), (0.06, 0.038, 0.024))
    for at in np.arange(0.12, 1, 0.19) + 0.03 * rng.normal():
        low = rng.uniform(0.10, 0.20)
        picture = _glow(picture, (at, low), 0.14, (1.3, 0.8, 0.35))
        cv2.circle(picture, (round(at * SIZE), round(low * SIZE)), 6, (5.0, 3.0, 1.2), -1, cv2.LINE_AA)
    return lights(picture, rng, 26, (0.8, 1.8), [(3.0, 1.7, 0.6)], (0.1, 0.7), 0.9)


def classroom(rng: Generator) -> Picture:
    """Paint a blackboard with chalk on it, posters and desks."""
    x, y = grid_of()
    picture = _wall(rng, (0.62, 0.58, 0.46), 0.35)
    picture = box(picture, (0.06, 0.10, 0.94, 0.60), (0.30, 0.18, 0.09))
    board = [(0.028, 0.075, 0.05), (0.035, 0.04, 0.042)][int(rng.integers(2))]
    picture = box(picture, (0.08, 0.12, 0.92, 0.58), board)
    wiped = (0.5 + 0.5 * grain(rng, 7, 3)[..., 0]).clip(0, 1) * (x > 0.08) * (x < 0.92) * (y > 0.12) * (y < 0.58)
    picture = over(picture, 0.10 * wiped, (0.6, 0.62, 0.6))
    for row in np.arange(0.18, 0.5, 0.07):
        at = 0.11
        while at < 0.88:
            wide = rng.uniform(0.02, 0.09)
            if rng.random() < 0.6:
                wave = [
                    (round((at + wide * t) * SIZE), round((row + 0.012 * rng.normal()) * SIZE))
                    for t in np.linspace(0, 1, 7)
                ]
                cv2.polylines(picture, [np.array(wave, np.int32)], False, (0.55, 0.55, 0.52), 1, cv2.LINE_AA)
            at += wide + 0.015
    picture = box(picture, (0.06, 0.60, 0.94, 0.615), (0.36, 0.22, 0.11))
    for at, colour in ((-0.04, (0.1, 0.25, 0.5)), (0.955, (0.6, 0.3, 0.06))):
        picture = box(picture, (at, 0.16, at + 0.085, 0.34), colour)
    for at in np.arange(-0.1, 1, 0.3):
        picture = box(picture, (at, 0.80, at + 0.22, 0.84), (0.46, 0.30, 0.16))
        picture = box(picture, (at + 0.02, 0.84, at + 0.04, 1), (0.12, 0.12, 0.13))
        picture = box(picture, (at + 0.18, 0.84, at + 0.20, 1), (0.12, 0.12, 0.13))
    return _glow(picture, (float(rng.choice([-0.1, 1.1])), 0.3), 0.7, (0.7, 0.75, 0.8))


def office(rng: Generator) -> Picture:
    """Paint a bright office: a row of windows, ceiling lights, desks with screens."""
    picture = _wall(rng, (0.60, 0.60, 0.58), 0.3)
    left = bool(rng.random() < 0.5)
    x, y = grid_of()
    for k, at in enumerate(np.arange(0.0, 0.55, 0.13)):  # windows, smaller the further away
        low, high = 0.60 - 0.12 * at, 0.08 + 0.34 * at
        wide = 0.115 - 0.10 * at
        place = (at, high, at + wide, low) if left else (1 - at - wide, high, 1 - at, low)
        picture = _pane(rng, picture, place, 1 + (k < 2))
    for k in range(4):  # rows of lamps on the ceiling
        far = 0.62**k
        high, half = 0.30 - 0.32 * far, 0.20 * far
        for middle in (0.5 - 0.36 * far, 0.5 + 0.36 * far):
            picture = box(
                picture, (middle - half * 0.6, high, middle + half * 0.6, high + 0.022 * far), (2.8, 2.8, 2.7)
            )
    wall = (0.55, 1.0) if left else (0.0, 0.45)
    inside = (x > wall[0]) & (x < wall[1]) & (y > 0.20) & (y < 0.66)
    picture = over(picture, 0.85 * inside, gradient(y, [(0.34, 0.42, 0.46), (0.50, 0.56, 0.58), (0.26, 0.28, 0.30)]))
    for at in np.linspace(wall[0] + 0.02, wall[1] - 0.02, 4):
        picture = box(picture, (at - 0.006, 0.18, at + 0.006, 0.68), (0.05, 0.05, 0.055))
    things = [np.asarray(c) for c in ((0.05, 0.07, 0.12), (0.5, 0.5, 0.48), (0.2, 0.08, 0.05))]
    picture = _shelf(rng, picture, (wall[0] + 0.03, wall[1] - 0.2, 0.42), things, 0.09)
    picture = box(picture, (0, 0.76, 1, 1), (0.16, 0.165, 0.175))
    for at in (0.04, 0.30, 0.66, 0.90):
        size = rng.uniform(0.09, 0.15)
        picture = box(picture, (at - 0.06, 0.74, at + size + 0.08, 0.77), (0.52, 0.44, 0.34))
        picture = box(picture, (at, 0.62, at + size, 0.73), (0.02, 0.02, 0.024))
        picture = box(
            picture, (at + 0.006, 0.627, at + size - 0.006, 0.72), np.asarray((0.35, 0.55, 0.8)) * rng.uniform(0.2, 1.2)
        )
    return _plant(rng, picture, 0.52 + 0.06 * rng.normal(), 0.74, 0.24)


def window(rng: Generator) -> Picture:
    """Paint a large window with trees behind it, between curtains."""
    picture = _wall(rng, (0.34, 0.31, 0.28), 0.4)
    at = float(rng.choice([0.04, 0.40]))
    picture = _pane(rng, picture, (at, 0.04, at + 0.56, 0.74), 3)
    x, y = grid_of()
    edge = (x > at) & (x < at + 0.56) & (y > 0.04) & (y < 0.74)
    clumps = (grain(rng, 9, 9)[..., 0] + 2.2 * (y - 0.42)).clip(0, 1) * edge
    picture = over(picture, 0.8 * clumps, np.asarray((0.34, 0.55, 0.20)) * np.exp(0.4 * grain(rng, 22, 22)))
    folds = 0.75 + 0.25 * np.sin(x * 140)
    for left in (at - 0.08, at + 0.53):
        sheer = (x > left) & (x < left + 0.13)
        picture = over(picture, 0.8 * sheer, np.asarray((0.95, 0.92, 0.86)) * folds[..., None])
    return box(picture, (at - 0.05, 0.75, at + 0.61, 0.785), (0.66, 0.64, 0.60))


def stage(rng: Generator) -> Picture:
    """Paint beams of coloured light in the haze of a dark stage."""
    x, y = grid_of()
    picture = gradient(y, [(0.006, 0.006, 0.012), (0.02, 0.014, 0.035), (0.035, 0.02, 0.03)])
    colours = [(0.9, 0.12, 0.55), (0.18, 0.22, 1.0), (0.50, 0.12, 0.95), (1.0, 0.55, 0.15)]
    for at in np.arange(0.04, 1, 0.135):
        colour = np.asarray(colours[int(rng.integers(4))], np.float32)
        lean = rng.uniform(-0.45, 0.45)
        away = np.abs(x - at - lean * y) / (0.010 + 0.13 * y)
        beam = (
            np.exp(-(away**2)) * np.exp(-1.1 * y) * (0.8 + 0.2 * cv2.GaussianBlur(grain(rng, 4, 4)[..., 0], (0, 0), 4))
        )
        picture = picture + 0.30 * beam[..., None] * colour
        cv2.circle(picture, (round(at * SIZE), round(0.04 * SIZE)), 6, (4 * colour + 2.0).tolist(), -1, cv2.LINE_AA)
    return lights(picture.astype(np.float32), rng, 30, (0.6, 1.4), colours, (0.6, 0.9), 0.9)


def studio(rng: Generator) -> Picture:
    """Paint the paper of a photographer's studio with a light on it."""
    x, y = grid_of()
    colour = [(0.30, 0.30, 0.31), (0.26, 0.28, 0.32), (0.34, 0.31, 0.28)][int(rng.integers(3))]
    away = ((x - 0.5) / 0.55) ** 2 + ((y - 0.45) / 0.6) ** 2
    mottled = 1 + 0.10 * cv2.GaussianBlur(grain(rng, 3, 3)[..., 0], (0, 0), 8)
    return np.asarray(colour, np.float32) * ((0.25 + 1.1 * np.exp(-away)) * mottled)[..., None]


def hospital(rng: Generator) -> Picture:
    """Paint a corridor with doors, a handrail and lamps on its ceiling."""
    x, y = grid_of()
    vanish = rng.uniform(0.38, 0.62)
    side = np.abs(x - vanish)
    depth = np.maximum(side / 0.5, np.abs(y - 0.42) / 0.45).clip(0.08)
    wall = side / 0.5 >= np.abs(y - 0.42) / 0.45
    picture = np.broadcast_to(tint(0.66, 0.74, 0.74), (SIZE, SIZE, 3)) * (0.75 + 0.3 * depth[..., None])
    picture = over(picture, ~wall & (y > 0.42), np.asarray((0.42, 0.47, 0.48)) * (1 + 0.3 * (0.5 - depth))[..., None])
    picture = over(picture, ~wall & (y < 0.42), (0.82, 0.84, 0.84))
    near = 1 / depth
    lamp = ~wall & (y < 0.42) & (np.abs(x - vanish) < 0.16 * depth) & (near % 2 < 0.9)
    picture = over(picture, lamp, (3.0, 3.1, 3.1))
    height = (y - 0.42) / depth
    doors = wall & (near % 2.2 < 0.8) & (height > -0.25)
    picture = over(picture, doors, (0.30, 0.42, 0.46))
    picture = over(picture, wall & (np.abs(height - 0.16) < 0.018) & ~doors, (0.20, 0.36, 0.40))
    picture = over(picture, depth < 0.14, (1.6, 1.75, 1.8))
    return picture.astype(np.float32)


def christmas(rng: Generator) -> Picture:
    """Paint a decorated tree in a warm room."""
    x, y = grid_of()
    picture = _wall(rng, (0.16, 0.09, 0.055), 0.8)
    at = float(rng.choice([0.16, 0.84]))
    share = (y + 0.08).clip(0, 1)
    tree = (np.abs(x - at) < 0.40 * share + 0.02 * grain(rng, 20, 20)[..., 0]) & (y > -0.05)
    picture = over(picture, tree, np.asarray((0.022, 0.05, 0.022)) * np.exp(0.5 * grain(rng, 30, 30)))
    for colour in ((0.50, 0.03, 0.025), (0.6, 0.42, 0.12)):
        for _ in range(20):
            low = rng.uniform(0.05, 1)
            centre = (round((at + rng.uniform(-0.36, 0.36) * low) * SIZE), round(low * SIZE))
            cv2.circle(picture, centre, int(rng.integers(4, 8)), colour, -1, cv2.LINE_AA)
    for _ in range(110):
        low = rng.uniform(0, 1)
        centre = (round((at + rng.uniform(-0.38, 0.38) * low) * SIZE), round(low * SIZE))
        cv2.circle(picture, centre, 1, (6.0, 3.6, 1.4), -1, cv2.LINE_AA)
    picture = _glow(picture, (at, 0.5), 0.5, (0.9, 0.5, 0.2))
    return lights(picture, rng, 34, (0.7, 1.3), [(4.0, 2.2, 0.8), (3.0, 0.5, 0.3)], (0.0, 0.75), 0.9)


INDOORS: dict[str, tuple[Callable[[Generator], Picture], float, float]] = {
    "room": (room, 0.26, 6.5),
    "kitchen": (kitchen, 0.32, 6.0),
    "cafe": (cafe, 0.13, 8.0),
    "classroom": (classroom, 0.20, 5.0),
    "office": (office, 0.34, 7.0),
    "window": (window, 0.36, 6.5),
    "stage": (stage, 0.06, 4.0),
    "studio": (studio, 0.22, 2.0),
    "hospital": (hospital, 0.42, 6.0),
    "christmas": (christmas, 0.10, 7.0),
}
"""Painters by name; how bright each place is on the whole; how far it is out of focus, in 384ths of the picture."""
