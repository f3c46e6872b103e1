"""How ADFD answers to each degradation, drawn: docs/adfd.png.

    python -m benchmarks.adfd_plot runs/figures/adfd_scores.json -o docs/adfd.png

The scores are what `benchmarks.adfd_behaviour` measured.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from .parts.adfd_tables import Row, by_clip, groups, is_shift, kinds
from .parts.program import command_line

COLOURS = {"real": "#c2410c", "rendered": "#1d4ed8"}
"""By group of clips."""


def main() -> None:
    """Draw the scores of a file."""
    parser = command_line("adfd_plot", __doc__)
    parser.add_argument("scores", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    _draw(json.loads(given.scores.read_text()), given.output)


def _draw(rows: list[Row], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.8), width_ratios=(1, 1.1), layout="constrained")
    _draw_shifts(left, rows)
    _draw_kinds(right, rows)
    figure.savefig(path, dpi=110)


def _draw_shifts(axes: Any, rows: list[Row]) -> None:
    """Draw every clip as a thin line over the shift of its sound, and the mean as a thick one."""
    for group in groups(rows):
        table: dict[str, dict[int, float]] = {}
        for row in rows:
            if row["group"] == group and is_shift(row):
                table.setdefault(row["name"], {})[int(row["expected"] or 0)] = row["score"]
        steps = sorted(next(iter(table.values())))
        lines = np.array([[scores[step] for step in steps] for scores in table.values()])
        axes.plot(steps, lines.T, color=COLOURS[group], alpha=0.25, linewidth=0.8)
        axes.plot(steps, lines.mean(0), color=COLOURS[group], linewidth=2.2, label=group)
    axes.set(xlabel="sound late by, frames", ylabel="ADFD", ylim=(0, 1), title="shifted sound")
    axes.legend(frameon=False)


def _draw_kinds(axes: Any, rows: list[Row]) -> None:
    """Draw the scores of every other degradation as dots, the mean as a bar, the true pairings on top."""
    names = ["true", *(kind for kind in kinds(rows) if not kind.startswith("sound shifted"))]
    for offset, group in zip((-0.18, 0.18), groups(rows)):
        for place, kind in enumerate(names):
            found = by_clip(rows, group, kind, lambda row: row["score"])
            values = [value for part in found.values() for value in part]
            axes.scatter(values, [place + offset] * len(values), s=7, color=COLOURS[group], alpha=0.35, linewidths=0)
            axes.plot([np.mean(values)] * 2, [place + offset - 0.16, place + offset + 0.16], color=COLOURS[group], lw=2)
    axes.set(yticks=range(len(names)), yticklabels=names, xlim=(0, 1), xlabel="ADFD", title="everything else")
    axes.invert_yaxis()


if __name__ == "__main__":
    main()
