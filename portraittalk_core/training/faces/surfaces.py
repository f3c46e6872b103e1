"""Pictures without faces, and things that stand before or beside faces."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from numpy.random import Generator

from ...topology import OUTER_LIPS

Picture = UInt8[ndarray, "h w 3"]


def surface(rng: Generator, side: int) -> Picture:
    """Draw a square of something: a wall, cloth, leaves, clutter.

    Args:
        rng: Decides what.
        side: In pixels.
    """
    kind, first, second = rng.random(), rng.uniform(0, 255, 3), rng.uniform(0, 255, 3)
    if kind < 0.12:
        ramp = np.linspace(0, 1, side)
        mix = (ramp[:, None] * rng.uniform(-1, 1) + ramp[None] * rng.uniform(-1, 1))[..., None]
    elif kind < 0.4:
        mix = _clouds(rng, side, channels=3 if rng.random() < 0.5 else 1)
    elif kind < 0.5:
        y, x = np.mgrid[0:side, 0:side] * rng.uniform(0.02, 0.8)
        angle = rng.uniform(0, np.pi)
        mix = np.sin(x * np.cos(angle) + y * np.sin(angle))
        mix = (np.where(mix > 0, 1, 0) if rng.random() < 0.4 else mix * 0.5 + 0.5)[..., None]
    elif kind < 0.8:
        return leaves(rng, side)
    else:
        return clutter(rng, _mixed(first, second, _clouds(rng, side, 1)), int(rng.integers(3, 25)))
    return _mixed(first, second, mix)


def _mixed(first: ndarray, second: ndarray, mix: ndarray) -> Picture:
    return np.clip(first + (second - first) * mix, 0, 255).astype(np.uint8)


def _clouds(rng: Generator, side: int, channels: int) -> ndarray:
    """Noise that is as strong at every size as in photographs."""
    total = np.zeros((side, side, channels), np.float32)
    roughness, cells = rng.uniform(0.4, 0.85), int(rng.integers(2, 9))
    strength = 1.0
    while cells < side:
        layer = rng.random((cells, cells, channels), np.float32)
        total += strength * cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC).reshape(total.shape)
        cells, strength = cells * 2, strength * roughness
    low, high = total.min(), total.max()
    return (total - low) / (high - low + 1e-6)


def leaves(rng: Generator, side: int) -> Picture:
    """Draw ellipses of all sizes that cover each other: the statistics of photographs (the dead leaves model).

    Args:
        rng: Decides what is drawn.
        side: In pixels.
    """
    picture = np.full((side, side, 3), rng.uniform(0, 255, 3), np.uint8)
    palette = rng.uniform(0, 255, (int(rng.integers(2, 9)), 3))
    for _ in range(int(rng.integers(30, 140))):
        radius = min(side / 2, 2.5 / max(rng.random(), 1e-3) ** 0.7)
        colour = palette[rng.integers(len(palette))] + rng.normal(size=3) * 18
        axes = (max(1, int(radius * rng.uniform(0.3, 1))), max(1, int(radius)))
        place = tuple(int(v) for v in rng.integers(0, side, 2))
        cv2.ellipse(
            picture, place, axes, rng.uniform(0, 180), 0, 360, np.clip(colour, 0, 255).tolist(), -1, cv2.LINE_AA
        )
    return picture


def clutter(rng: Generator, picture: Picture, count: int) -> Picture:
    """Draw boxes, lines, rings and ellipses.

    Args:
        rng: Decides which.
        picture: Is drawn on.
        count: Of things.
    """
    picture = np.ascontiguousarray(picture)
    side = picture.shape[0]
    for _ in range(count):
        colour, thick = rng.integers(0, 256, 3).tolist(), int(rng.choice([-1, -1, 1, 3, 7]))
        a, b = (rng.integers(0, side, 2).tolist() for _ in range(2))
        kind = rng.integers(4)
        if kind == 0:
            axes = rng.integers(2, side // 3, 2).tolist()
            cv2.ellipse(picture, a, axes, rng.uniform(0, 180), 0, 360, colour, thick, cv2.LINE_AA)
        elif kind == 1:
            cv2.rectangle(picture, a, b, colour, thick)
        elif kind == 2:
            cv2.line(picture, a, b, colour, abs(thick), cv2.LINE_AA)
        else:
            cv2.circle(picture, a, int(rng.integers(2, side // 4)), colour, thick, cv2.LINE_AA)
    return picture


def lookalike(rng: Generator, picture: Picture) -> Picture:
    """Draw what only reminds of a face: a cup from above, dots in a disc, an animal's head, a doll of two eyes.

    Args:
        rng: Decides which, where and how large.
        picture: Is drawn on.
    """
    picture, side = np.ascontiguousarray(picture), picture.shape[0]
    radius = float(np.exp(rng.uniform(np.log(side / 16), np.log(side / 2.2))))
    x, y = rng.uniform(0.1, 0.9, 2) * side
    colours = [rng.integers(0, 256, 3).tolist() for _ in range(4)]
    flat = rng.uniform(0.55, 1.25)

    def disc(dx: float, dy: float, size: float, colour: list[int], tall: float = 1.0) -> None:
        centre = (int(x + dx * radius), int(y + dy * radius))
        axes = (max(1, int(size * radius)), max(1, int(size * radius * tall)))
        cv2.ellipse(picture, centre, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)

    kind = rng.integers(3)
    if kind == 0:  # saucer, cup, what is in it, spoon
        disc(0, 0.1, 1.25, colours[0], flat * 0.8)
        disc(rng.uniform(-0.2, 0.2), 0, 0.8, colours[1], flat)
        disc(rng.uniform(-0.1, 0.1), rng.uniform(-0.1, 0.1), 0.62, colours[2], flat)
        disc(0.8, rng.uniform(-0.3, 0.8), 0.25, colours[3], rng.uniform(0.5, 1.6))
        return picture
    if kind == 1:  # ears
        up, out = rng.uniform(-1.1, -0.6), rng.uniform(0.5, 0.95)
        disc(-out, up, 0.35, colours[0])
        disc(out, up, 0.35, colours[0])
    disc(0, 0, 1, colours[0], flat)
    apart, high, eye = rng.uniform(0.25, 0.6), rng.uniform(-0.45, 0), rng.uniform(0.06, 0.28)
    for sign in (-1, 1):
        disc(sign * apart, high, eye, colours[1])
        if rng.random() < 0.5:
            disc(sign * apart, high, eye / 2, colours[2])
    if rng.random() < 0.7:
        disc(0, rng.uniform(0.15, 0.6), rng.uniform(0.08, 0.35), colours[3], rng.uniform(0.3, 1.2))
    return picture


def occlude(rng: Generator, picture: Picture, points: Float32[ndarray, "478 2"]) -> Picture:
    """Draw something before a face: a hand, a bar, a microphone, a strand, a patch; or paint on its skin.

    Args:
        rng: Decides what and where.
        picture: Is drawn on.
        points: Of the face, in pixels.
    """
    picture = np.ascontiguousarray(picture)
    low, high = points.min(0), points.max(0)
    size, place = float((high - low).mean()), rng.uniform(low, high)
    cheek = points[int(rng.choice([50, 280, 151]))].clip(0, np.array(picture.shape[1::-1]) - 1).astype(int)
    skin = picture[cheek[1], cheek[0]].astype(float) * rng.uniform(0.75, 1.2)
    kind = rng.random()
    if kind < 0.3:
        _hand(rng, picture, points[rng.integers(468)], size, skin)
    elif kind < 0.5:
        angle = rng.uniform(0, 2 * np.pi)
        reach = np.array([np.cos(angle), np.sin(angle)]) * size * 3
        end = place + (reach if rng.random() < 0.5 else -reach)
        start = place if rng.random() < 0.5 else place - (end - place)
        width = max(1, int(size * np.exp(rng.uniform(np.log(0.02), np.log(0.2)))))
        cv2.line(picture, _pair(start), _pair(end), rng.integers(0, 256, 3).tolist(), width, cv2.LINE_AA)
        if rng.random() < 0.5:  # a microphone's head
            colour = np.full(3, rng.uniform(0, 120)).tolist()
            cv2.ellipse(picture, (_pair(start), (size * 0.3, size * 0.4), float(np.degrees(angle))), colour, -1)
    elif kind < 0.7:
        patch = surface(rng, 64)
        width, height = (int(v) for v in np.maximum(4, size * rng.uniform(0.1, 0.55, 2)))
        left, top = (int(v) for v in place - np.array([width, height]) * rng.uniform(0, 1, 2))
        x0, y0, x1, y1 = max(0, left), max(0, top), left + width, top + height
        target = picture[y0:y1, x0:x1] if x1 > x0 and y1 > y0 else picture[:0, :0]
        if target.size:
            target[:] = cv2.resize(patch, target.shape[1::-1])
    else:
        for _ in range(int(rng.integers(1, 12))):  # paint on the skin, drops, scratches of a print
            a, b = points[rng.integers(468, size=2)]
            colour, width = rng.integers(0, 256, 3).tolist(), max(1, int(size * rng.uniform(0.004, 0.035)))
            if rng.random() < 0.5:
                cv2.line(picture, _pair(a), _pair(a + (b - a) * rng.uniform(0, 0.4)), colour, width, cv2.LINE_AA)
            else:
                cv2.circle(picture, _pair(a), max(1, int(size * rng.uniform(0.01, 0.2))), colour, width, cv2.LINE_AA)
    return picture


def overgrow(rng: Generator, picture: Picture, points: Float32[ndarray, "478 2"]) -> Picture:
    """Let a moustache, and sometimes a beard, hang over the lips, of which less is seen than anybody rendered shows.

    Args:
        rng: Decides how thick and of what colour.
        picture: Is drawn on.
        points: Of the face, in pixels.
    """
    picture = np.ascontiguousarray(picture)
    down = points[152] - points[10]
    size = float(np.linalg.norm(down))
    down = down / size
    colour = np.full(3, rng.uniform(15, 225)) + rng.uniform(0, 50) * np.array([1, 0.4, -0.6])
    reach, lean = rng.uniform(0.05, 0.15) * size, rng.uniform(0.2, 1.2)
    upper, lower = points[list(OUTER_LIPS[:11])], points[list(OUTER_LIPS[10:])]
    bands = [(upper, points[2])] + ([(lower, points[152])] if rng.random() < 0.4 else [])
    for lip, end in bands:
        for _ in range(int(rng.integers(80, 350))):
            across = rng.random()
            place = lip[min(len(lip) - 1, int(across * len(lip)))]
            root = place + (end - place) * rng.uniform(-0.1, 0.8) + rng.normal(size=2) * 0.01 * size
            way = down + lean * (across - 0.5) * np.array([down[1], -down[0]]) + rng.normal(size=2) * 0.2
            tone = np.clip(colour * np.exp(rng.normal() * 0.35), 0, 255).tolist()
            tip = root + way * reach * rng.uniform(0.4, 1)
            cv2.line(picture, _pair(root), _pair(tip), tone, 1 + int(rng.random() < 0.25), cv2.LINE_AA)
    return picture


def _hand(rng: Generator, picture: Picture, tip: ndarray, size: float, skin: ndarray) -> None:
    """Fingers side by side that end near a point, each a little darker or lighter."""
    angle = rng.uniform(0.1, 0.9) * np.pi
    along = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-along[1], along[0]])
    width = size * rng.uniform(0.1, 0.16)
    for finger in range(int(rng.integers(1, 6))):
        start = tip + across * finger * width * 1.05 + along * rng.uniform(0, 0.15) * size
        colour = np.clip(skin * rng.uniform(0.88, 1.1), 0, 255)
        for share, tone in ((1.0, 0.75), (0.82, 1.0)):
            end = start + along * size * 1.5
            line = np.clip(colour * tone, 0, 255).tolist()
            cv2.line(picture, _pair(start), _pair(end), line, max(1, int(width * share)), cv2.LINE_AA)


def _pair(point: ndarray) -> tuple[int, int]:
    return int(point[0]), int(point[1])
