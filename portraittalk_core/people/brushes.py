"""What painters of places share: gradients, noise, ridges, clouds, scattered leaves and lights, a lens out of focus."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from numpy.random import Generator

SIZE = 384
"""Side of the pictures that are painted, pixels."""

Picture = Float32[ndarray, "size size 3"]
Colour = Sequence[float] | ndarray


def grid_of() -> Float32[ndarray, "2 size size"]:
    """Return x and y of each pixel, 0 to 1, y down."""
    return np.mgrid[0:SIZE, 0:SIZE].astype(np.float32)[::-1] / SIZE


def tint(red: float, green: float, blue: float) -> Float32[ndarray, "3"]:
    """Return a colour."""
    return np.array([red, green, blue], np.float32).clip(0)


def mixed(one: Colour, other: Colour, share: ndarray | float) -> ndarray:
    """Return some of one colour or picture and `share` of another."""
    one, other = np.asarray(one, np.float32), np.asarray(other, np.float32)
    return (one + np.clip(share, 0, 1) * (other - one)).astype(np.float32)


def over(picture: ndarray, share: ndarray, colour: Colour) -> Picture:
    """Lay a colour or a picture over another one where `share` [size, size] says so."""
    share = np.clip(np.asarray(share, np.float32), 0, 1)[..., None]
    return (picture + share * (np.asarray(colour, np.float32) - picture)).astype(np.float32)


def gradient(along: ndarray, colours: Sequence[Colour]) -> Picture:
    """Return colours that run into one another while `along` goes from 0 to 1."""
    stops = np.linspace(0, 1, len(colours))
    table = np.asarray(colours, np.float32)
    return np.stack([np.interp(along, stops, table[:, k]) for k in range(3)], -1).astype(np.float32)


def grain(rng: Generator, across: int, down: int) -> Float32[ndarray, "size size 1"]:
    """Return noise of mean 0 and deviation 1, with so many cells across and down, and finer ones in it."""
    total = np.zeros((SIZE, SIZE), np.float32)
    for octave in range(3):
        cells = rng.normal(size=(max(2, down << octave), max(2, across << octave))).astype(np.float32)
        total += cv2.resize(cells, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC) * 0.6**octave
    total -= total.mean()
    return (total / max(float(total.std()), 1e-4))[..., None]


def jagged(rng: Generator, height: float, rough: float) -> Float32[ndarray, "1 size"]:
    """Return the outline of a ridge, up to about `height` up and down; the rougher the nearer to 1."""
    line, step = np.zeros(2), height
    while len(line) < SIZE:
        middle = (line[1:] + line[:-1]) / 2 + step * rng.normal(size=len(line) - 1) * 0.5
        line = np.insert(line, np.arange(1, len(line)), middle)
        step *= rough
    return line[None, :SIZE].astype(np.float32)


def clouds(rng: Generator, height: ndarray, cover: float = 0.5, stretched: int = 2) -> Float32[ndarray, "size size"]:
    """Return how much of each pixel is cloud.

    Args:
        rng: Draws them.
        height: 0 at the top of the sky, 1 at the horizon, where clouds are flatter.
        cover: The higher, the fewer.
        stretched: How much wider than high.
    """
    heap = grain(rng, 3, 3 * stretched)[..., 0] + 0.35 * grain(rng, 12, 12 * stretched)[..., 0]
    return (((heap - cover) / 0.9).clip(0, 1) * (1.1 - 0.6 * height).clip(0.2, 1)).astype(np.float32)


def box(picture: Picture, place: tuple[float, float, float, float], colour: Colour) -> Picture:
    """Fill a rectangle (left, top, right, bottom, of the side) in place."""
    left, top, right, bottom = (round(v * SIZE) for v in place)
    picture[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = colour
    return picture


def discs(
    picture: Picture,
    rng: Generator,
    count: int,
    radius: tuple[float, float],
    colour: Colour,
    rows: tuple[float, float],
    varied: float = 0.4,
) -> Picture:
    """Scatter leaves in clumps, in place.

    Args:
        picture: Painted on.
        rng: Draws them.
        count: How many.
        radius: Least and most, pixels.
        colour: Of them all.
        rows: From which height to which, 0 to 1.
        varied: By how much they are lighter and darker, as a logarithm.
    """
    middles = np.stack([rng.random(12), rng.uniform(*rows, 12)], 1)
    for _ in range(count):
        at = middles[int(rng.integers(12))] + rng.normal(size=2) * (0.13, 0.08)
        size = rng.uniform(*radius)
        shade = np.asarray(colour) * np.exp(varied * rng.normal())
        axes = (max(1, round(size)), max(1, round(size * rng.uniform(0.5, 1))))
        centre = (round(at[0] * SIZE), round(at[1] * SIZE))
        cv2.ellipse(picture, centre, axes, rng.uniform(0, 180), 0, 360, shade.tolist(), -1, cv2.LINE_AA)
    return picture


def lights(
    picture: Picture,
    rng: Generator,
    count: int,
    radius: tuple[float, float],
    colours: Sequence[Colour],
    rows: tuple[float, float],
    varied: float = 0.5,
) -> Picture:
    """Scatter small lights, in place; a lens out of focus makes discs of them. See `discs`."""
    for _ in range(count):
        centre = (round(rng.random() * SIZE * 16), round(rng.uniform(*rows) * SIZE * 16))
        colour = np.asarray(colours[int(rng.integers(len(colours)))]) * np.exp(varied * (rng.random() - 0.7))
        cv2.circle(picture, centre, round(rng.uniform(*radius) * 16), colour.tolist(), -1, cv2.LINE_AA, 4)
    return picture


def out_of_focus(picture: Picture, radius: float) -> Picture:
    """Blur as a lens does: by a disc, so that lights become discs.

    Args:
        picture: In linear light.
        radius: Of the disc, pixels.
    """
    reach = int(np.ceil(radius)) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    disc = (radius + 0.5 - np.hypot(x, y)).clip(0, 1).astype(np.float32)
    return cv2.GaussianBlur(cv2.filter2D(picture, -1, disc / disc.sum(), borderType=cv2.BORDER_REFLECT), (0, 0), 0.8)
