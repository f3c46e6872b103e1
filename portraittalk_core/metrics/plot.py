"""Draw a score of a clip: the figure, its parts, how mouth and voice agree, and both over time."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor

from ..media.image import from_pil
from .functional.adfd import AdfdScore
from .functional.dynamics import NATURAL_LAG_S

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH = 1200
"""Of the picture, pixels; it grows downwards with the length of the clip."""

ROW_S, MOST_ROWS = 20.0, 6
"""Seconds that a row of curves shows at most, and rows."""

_SCALE = 2  # drawn larger and reduced, since PIL's lines have stairs
_MARGIN, _HEAD, _ROW, _LONE_ROW, _GAP, _FOOT = 36, 196, 130, 220, 46, 22
_INK, _SOFT, _LINE, _SHADE, _BACK = "#1f2937", "#6b7280", "#d1d5db", "#eceff3", "#ffffff"
_MOUTH, _VOICE, _VOICE_FILL, _BAR, _TROUGH = "#c2410c", "#2563eb", "#dbe6fd", "#0f766e", "#e5e7eb"
_PARTS = ("spatial", "temporal", "audio", "stillness")
_TICKS_S = (0.25, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Agreement:
    """How mouth and voice correlate if the sound is late by each lag: `Dynamics.lags_s` and `Dynamics.curve`."""

    lags_s: Float[Tensor, "lags"]
    """In seconds, ascending."""

    curve: Float[Tensor, "lags"]
    """Correlations, in [-1, 1]."""

    fps: float
    """Frames a second, in which lags are shown."""


def draw_score(
    found: AdfdScore, curves: Mapping[str, Any], agreement: Agreement | None = None
) -> Float[Tensor, "3 height 1200"]:
    """Draw a score on white.

    Args:
        found: The score.
        curves: `mouth` and `voice` from 0 to 1 (None where unknown) and `silent` as 0 or 1, each a list with `hz`
            values a second; more than two minutes are not drawn. Empty curves leave the rows out.
        agreement: Correlation over lag; None, or a score without offset, leaves it out.

    Returns:
        A picture in [-1, 1], as high as the rows need.
    """
    from PIL import Image, ImageDraw

    steps = min(len(curves.get("mouth", ())), round(ROW_S * MOST_ROWS * curves.get("hz", 1)))
    rows = math.ceil(steps / curves["hz"] / ROW_S) if steps else 0
    tall = _LONE_ROW if rows == 1 else _ROW
    height = _MARGIN + _HEAD + rows * (tall + _GAP) + _FOOT
    picture = Image.new("RGB", (WIDTH * _SCALE, height * _SCALE), _BACK)
    pen = _Pen(ImageDraw.Draw(picture))
    _draw_head(pen, found)
    if agreement is not None and found.offset_s is not None:
        _draw_agreement(pen, agreement, found.offset_s)
    for row in range(rows):
        first, last = (round(steps * k / rows) for k in (row, row + 1))
        last = min(last + 1, steps)  # the next row begins where this one ends
        part = {name: curves[name][first:last] for name in ("mouth", "voice", "silent")}
        box = (_MARGIN, _MARGIN + _HEAD + row * (tall + _GAP), WIDTH - _MARGIN, 0)
        _draw_row(pen, (*box[:3], box[1] + tall), part, first / curves["hz"], curves["hz"], legend=row == 0)
    return from_pil(picture.resize((WIDTH, height), Image.Resampling.LANCZOS))


class _Pen:
    """Draws in pixels of the reduced picture."""

    def __init__(self, draw: ImageDraw) -> None:
        self._draw = draw

    def text(self, at: tuple[float, float], words: str, size: int, colour: str = _INK, anchor: str = "la") -> None:
        self._draw.text((at[0] * _SCALE, at[1] * _SCALE), words, colour, _font(size * _SCALE), anchor)

    def box(self, box: Sequence[float], colour: str, radius: float = 0) -> None:
        self._draw.rounded_rectangle([v * _SCALE for v in box], radius * _SCALE, colour)

    def line(self, points: Sequence[tuple[float, float]], colour: str, width: float = 1.0) -> None:
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, colour, max(1, round(width * _SCALE)), joint="curve")

    def area(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], colour)

    def dot(self, at: tuple[float, float], radius: float, colour: str) -> None:
        x, y = at
        self._draw.ellipse([v * _SCALE for v in (x - radius, y - radius, x + radius, y + radius)], colour)


@functools.cache
def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _draw_head(pen: _Pen, found: AdfdScore) -> None:
    pen.text((_MARGIN, _MARGIN - 6), "ADFD, our own definition", 15, _SOFT)
    pen.text((_MARGIN - 2, _MARGIN + 18), f"{found.score:.3f}", 64)
    pen.text((_MARGIN, _MARGIN + 96), describe_offset(found.offset_frames), 16)
    pen.text((_MARGIN, _MARGIN + 120), f"{found.seconds:.1f} s scored", 15, _SOFT)
    left, right = 330, 590
    for number, name in enumerate(_PARTS):
        y, value = _MARGIN + 2 + number * 38, getattr(found, name)
        pen.text((left - 10, y + 8), name, 16, anchor="rm")
        pen.box((left, y, right, y + 16), _TROUGH, 4)
        if value is not None and value > 0:
            pen.box((left, y, left + max(8.0, value * (right - left)), y + 16), _BAR, 4)
        said = ("unscored", _SOFT) if value is None else (f"{value:.2f}", _INK)
        pen.text((right + 10, y + 8), said[0], 16, said[1], "lm")


def _draw_agreement(pen: _Pen, agreement: Agreement, offset_s: float) -> None:
    """Draw correlation over lag: how high its peak is, and how far from being in time."""
    left, top, right, bottom = 760, _MARGIN + 42, WIDTH - _MARGIN, _MARGIN + 134
    lags = ((agreement.lags_s - NATURAL_LAG_S) * agreement.fps).tolist()
    values = agreement.curve.tolist()
    low, high = min(0.0, *values), max(0.2, *values)

    def place(lag: float, value: float) -> tuple[float, float]:
        across = (lag - lags[0]) / (lags[-1] - lags[0])
        return left + across * (right - left), bottom - (value - low) / (high - low) * (bottom - top)

    pen.text((left, _MARGIN - 6), "correlation of mouth and voice by lag, in frames", 15, _SOFT)
    pen.line([place(lags[0], 0), place(lags[-1], 0)], _LINE)
    pen.line([(place(0, 0)[0], top), (place(0, 0)[0], bottom)], _LINE)
    pen.line([place(lag, value) for lag, value in zip(lags, values, strict=True)], _BAR, 2)
    best = max(range(len(values)), key=values.__getitem__)
    peak = place(offset_s * agreement.fps, values[best])
    pen.line([peak, (peak[0], bottom)], _MOUTH, 1)
    pen.dot(peak, 4, _MOUTH)
    pen.text((peak[0], peak[1] - 8), f"{values[best]:.2f}", 15, _MOUTH, "mb")
    reach = max(1, math.floor(lags[-1] / 5) * 5)
    for lag, words, anchor in (
        (-reach, f"early by {reach}", "la"),
        (0, "in time", "ma"),
        (reach, f"late by {reach}", "ra"),
    ):
        pen.text((place(lag, 0)[0], bottom + 6), words, 14, _SOFT, anchor)


def describe_offset(offset_frames: float | None) -> str:
    """Say in words where the sound lies beside the picture.

    Args:
        offset_frames: Above 0 the sound is late; None: unscored.
    """
    if offset_frames is None:
        return "sound: unscored"
    if not offset_frames:
        return "sound in time"
    count = abs(round(offset_frames))
    return f"sound {'late' if offset_frames > 0 else 'early'} by {count} frame{'s' * (count > 1)}"


def _draw_row(
    pen: _Pen, box: tuple[float, float, float, float], part: Mapping[str, Any], start_s: float, hz: float, legend: bool
) -> None:
    left, top, right, bottom = box
    count = max(2, len(part["mouth"]))

    def x(step: float) -> float:
        return left + step / (count - 1) * (right - left)

    def y(value: float) -> float:
        return bottom - 4 - value * (bottom - top - 8)

    for first, last in _runs(part["silent"]):
        pen.box((x(first), top, x(min(last, count - 1)), bottom), _SHADE)
    for name, colour, width in (("voice", _VOICE, 1.25), ("mouth", _MOUTH, 2.0)):
        for first, values in _known(part[name]):
            points = [(x(first + i), y(value)) for i, value in enumerate(values)]
            if name == "voice" and len(points) > 1:
                pen.area([(points[0][0], bottom), *points, (points[-1][0], bottom)], _VOICE_FILL)
            if len(points) > 1:
                pen.line(points, colour, width)
            else:
                pen.dot(points[0], width, colour)
    pen.line([(left, bottom), (right, bottom)], _SOFT)
    seconds = (count - 1) / hz
    step = next((tick for tick in _TICKS_S if seconds / tick <= 14), _TICKS_S[-1])
    for number in range(math.ceil(start_s / step - 1e-6), math.floor((start_s + seconds) / step + 1e-6) + 1):
        at = x((number * step - start_s) * hz)
        pen.line([(at, bottom), (at, bottom + 5)], _SOFT)
        pen.text((at, bottom + 8), f"{number * step:g} s", 14, _SOFT, "ma")
    if legend:
        _draw_legend(pen, right, top - 22)


def _draw_legend(pen: _Pen, right: float, y: float) -> None:
    entries = (("nobody speaks", _SHADE), ("voice, 1.5 to 4 kHz", _VOICE), ("height of the lips", _MOUTH))
    for words, colour in entries:
        width = _font(15 * _SCALE).getlength(words) / _SCALE
        pen.text((right, y), words, 15, anchor="rm")
        at = right - width - 26
        if colour == _SHADE:
            pen.box((at, y - 6, at + 18, y + 6), _SHADE)
        else:
            pen.line([(at, y), (at + 18, y)], colour, 3)
        right = at - 24


def _known(values: Sequence[float | None]) -> list[tuple[int, list[float]]]:
    """Return the unbroken parts of a curve, each with its first step."""
    found: list[tuple[int, list[float]]] = []
    for i, value in enumerate(values):
        if value is None:
            continue
        if i and values[i - 1] is not None:
            found[-1][1].append(value)
        else:
            found.append((i, [value]))
    return found


def _runs(flags: Sequence[int]) -> list[tuple[int, int]]:
    edges = [i for i, (a, b) in enumerate(zip([0, *flags], [*flags, 0], strict=True)) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))
