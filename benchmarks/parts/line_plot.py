"""Draw lines over a number as SVG: text, small, and the same for the same figures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 480, 300, 64, 16, 28, 48
"""Of the drawing and its margins, units."""

APART = 14
"""The least distance of two numbers, units."""

COLOURS = ("#1f6feb", "#8c959f", "#bf3989", "#1a7f37")
"""Of lines, in order."""


@dataclass(frozen=True)
class Line:
    """A line of a drawing."""

    name: str
    """What it is called."""
    points: list[tuple[float, float]]
    """Across and up."""
    dashed: bool = False
    """Whether it is something else than a measurement."""


def line_plot(lines: list[Line], across: str, up: str) -> str:
    """Return a drawing; both axes begin at 0.

    Args:
        lines: At least one, of points above 0.
        across: What the lower axis is.
        up: What the other is.
    """
    points = [point for line in lines for point in line.points]
    most_x, most_y = max(x for x, _ in points), 1.08 * max(y for _, y in points)
    wide, high = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def place(x: float, y: float) -> tuple[float, float]:
        return round(LEFT + wide * x / most_x, 1), round(TOP + high * (1 - y / most_y), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="12" fill="#57606a">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} {TOP}V{TOP + high}H{LEFT + wide}" fill="none" stroke="#57606a"/>',
        f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="8" y="{TOP - 12}">{escape(up)}</text>',
    ]
    for x in sorted({x for x, _ in points}):
        at, low = place(x, 0)
        parts.append(f'<text x="{at}" y="{low + 18}" text-anchor="middle">{x:g}</text>')
    last = float("inf")
    for y in sorted({y for _, y in lines[0].points}):
        left, at = place(0, y)
        if last - at < APART:
            continue
        last = at
        parts.append(f'<text x="{left - 8}" y="{at + 4}" text-anchor="end">{y:.3g}</text>')
    for number, (line, colour) in enumerate(zip(lines, COLOURS, strict=False)):
        placed = [place(x, y) for x, y in line.points]
        dash = ' stroke-dasharray="5 4"' if line.dashed else ""
        path = "L".join(f"{x} {y}" for x, y in placed)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3.5" fill="{colour}"/>' for x, y in placed if not line.dashed]
        name = f'<text x="{LEFT + 12}" y="{TOP + 14 + 16 * number}" fill="{colour}">{escape(line.name)}</text>'
        parts.append(name)
    return "\n".join([*parts, "</svg>", ""])
