"""The tables of docs/adfd.md, from the scores that `benchmarks.adfd_behaviour` measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from portraittalk_core.metrics.functional.adfd import combine

Row = dict[str, Any]
"""A scored version of a clip, see `adfd_behaviour.Row`."""

DRAWS, SEED = 2000, 4
"""Of the bootstrap over clips."""

PARTS = ("spatial", "temporal", "audio", "stillness")
"""Of ADFD."""


def write_tables(page: Path, rows: list[Row]) -> None:
    """Replace what stands between the markers of a page.

    Args:
        page: docs/adfd.md, or another with its markers.
        rows: All scores.
    """
    blocks = {
        "degradations": _degradations(rows),
        "rules": _rules(rows),
        "invariance": _invariance(rows),
        "offsets": _offsets(rows),
        "shifts": _shifts(rows),
    }
    text = page.read_text(encoding="utf-8")
    for name, table in blocks.items():
        begin, end = f"<!-- {name}: written by benchmarks/adfd_behaviour.py -->", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = before + begin + "\n" + table + "\n" + end + rest.split(end)[1]
    page.write_text(text, encoding="utf-8")


def groups(rows: list[Row]) -> list[str]:
    """Name the groups of clips that have scores.

    Args:
        rows: All scores.

    Returns:
        `real` and `rendered`, or one of them.
    """
    return [group for group in ("real", "rendered") if any(row["group"] == group for row in rows)]


def kinds(rows: list[Row]) -> list[str]:
    """Name the degradations that were measured, in the order in which they were.

    Args:
        rows: All scores.

    Returns:
        The kinds, without true versions, sync controls, and what should not change the score.
    """
    return list(
        dict.fromkeys(r["kind"] for r in rows if r["kind"] not in ("true", "sync control") and r["kind"][0] != "=")
    )


def by_clip(rows: list[Row], group: str, kind: str, read: Callable[[Row], float]) -> dict[str, list[float]]:
    """Gather the values of one kind of version.

    Args:
        rows: All scores.
        group: Of clips.
        kind: Of version.
        read: Takes the value from a score.

    Returns:
        The values by the clip's name.
    """
    found: dict[str, list[float]] = {}
    for row in rows:
        if row["group"] == group and row["kind"] == kind:
            found.setdefault(row["name"], []).append(read(row))
    return found


def _auc(true: list[float], other: list[float]) -> float:
    """Return the chance that a true pairing scores higher than a degraded one, ties counting half."""
    a, b = np.array(true)[:, None], np.array(other)[None]
    return float(((a > b) + 0.5 * (a == b)).mean())


def _compare(rows: list[Row], group: str, kind: str, read: Callable[[Row], float]) -> tuple[float, float, float, float]:
    """Return AUC, its 95 % interval (bootstrap over clips) and in what share of pairs a clip's true version wins."""
    true = {name: values[0] for name, values in by_clip(rows, group, "true", read).items()}
    worse = by_clip(rows, group, kind, read)
    names = list(worse)

    def area(chosen: list[str]) -> float:
        return _auc([true[n] for n in chosen], [v for n in chosen for v in worse[n]])

    generator = np.random.default_rng(SEED)
    draws = [area([names[i] for i in generator.integers(len(names), size=len(names))]) for _ in range(DRAWS)]
    wins = [true[n] > v for n in names for v in worse[n]]
    low, high = np.quantile(draws, [0.025, 0.975])
    return area(names), float(low), float(high), sum(wins) / len(wins)


def _degradations(rows: list[Row]) -> str:
    lines = [
        "| what was done | material | mean ADFD (true) | AUC [95 %] | true one higher | n |",
        "|---|---|---|---|---|---|",
    ]
    for kind in kinds(rows):
        for group in groups(rows):
            score = lambda row: row["score"]  # noqa: E731
            worse = [v for values in by_clip(rows, group, kind, score).values() for v in values]
            true = [v for values in by_clip(rows, group, "true", score).values() for v in values]
            if worse:
                area, low, high, wins = _compare(rows, group, kind, score)
                lines.append(
                    f"| {kind} | {group} | {np.mean(worse):.3f} ({np.mean(true):.3f}) | "
                    f"{area:.3f} [{low:.3f}, {high:.3f}] | {100 * wins:.0f} % | {len(worse)} |"
                )
    return "\n".join(lines)


def _known(row: Row) -> dict[str, float]:
    return {part: row[part] for part in PARTS if row[part] is not None}


def _weights(row: Row) -> dict[str, float]:
    return {part: min(1.0, row["silent_s"]) if part == "stillness" else 1.0 for part in _known(row)}


def _weighted_mean(row: Row) -> float:
    return sum(_weights(row)[p] * v for p, v in _known(row).items()) / sum(_weights(row).values())


def _audio_twice(row: Row) -> float:
    shares = {part: (2 if part == "audio" else 1) * share for part, share in _weights(row).items()}
    total = sum(shares[p] * math.log(max(v, 1e-6)) for p, v in _known(row).items())
    return math.exp(total / sum(shares.values()))


_RULES: dict[str, Callable[[Row], float]] = {
    "**geometric (ours)**": lambda row: combine({p: row[p] for p in PARTS}, row["silent_s"]),
    "geometric, audio twice": _audio_twice,
    "arithmetic": _weighted_mean,
    "product": lambda row: math.prod(_known(row).values()),
    "least part": lambda row: min(_known(row).values()),
    "spatial alone": lambda row: row["spatial"] or 0.0,
    "temporal alone": lambda row: row["temporal"] or 0.0,
    "audio alone": lambda row: row["audio"] or 0.0,
    "stillness alone": lambda row: 1.0 if row["stillness"] is None else row["stillness"],
}


def _rules(rows: list[Row]) -> str:
    """Compare ways to combine the parts: AUC over the kinds, and how much the score moves when nothing changed."""
    lines = [
        "| rule | " + " | ".join(f"{g}: mean AUC, worst (kind), worst win" for g in groups(rows)) + " | moves by |"
    ]
    lines.append("|---|" + "---|" * (len(groups(rows)) + 1))
    for name, rule in _RULES.items():
        cells = []
        for group in groups(rows):
            found = {kind: _fast_compare(rows, group, kind, rule) for kind in kinds(rows)}
            found = {kind: pair for kind, pair in found.items() if pair}
            worst = min(found, key=lambda k: found[k][0])
            mean = np.mean([area for area, _ in found.values()])
            win = min(share for _, share in found.values())
            cells.append(f"{mean:.3f}, {found[worst][0]:.3f} ({worst}), {100 * win:.0f} %")
        changes = [abs(change) for *_, change in _unchanged(rows, rule)]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {100 * float(np.mean(changes)):.2f} % |")
    return "\n".join(lines)


def _fast_compare(rows: list[Row], group: str, kind: str, read: Callable[[Row], float]) -> tuple[float, float] | None:
    true = {name: values[0] for name, values in by_clip(rows, group, "true", read).items()}
    worse = by_clip(rows, group, kind, read)
    pairs = [(true[n], v) for n, values in worse.items() for v in values]
    if not pairs:
        return None
    return _auc(list(true.values()), [b for _, b in pairs]), sum(a > b for a, b in pairs) / len(pairs)


def _unchanged(rows: list[Row], read: Callable[[Row], float]) -> list[tuple[str, str, str, str, float]]:
    """Return group, clip, kind, variant and relative change for every version that should score the same."""
    true = {(r["group"], r["name"]): read(r) for r in rows if r["kind"] == "true"}
    return [
        (r["group"], r["name"], r["kind"][2:], r["variant"], read(r) / max(true[r["group"], r["name"]], 1e-6) - 1)
        for r in rows
        if r["kind"].startswith("=")
    ]


def _invariance(rows: list[Row]) -> str:
    lines = ["| nothing changed but | material | mean change | largest | within 2 % |", "|---|---|---|---|---|"]
    found: dict[tuple[str, str], list[float]] = {}
    for group, _, kind, variant, change in _unchanged(rows, lambda row: row["score"]):
        name = f"{kind}: {variant}" if kind == "sound coded" else kind
        found.setdefault((name, group), []).append(change)
    for (name, group), changes in sorted(found.items()):
        inside = sum(abs(c) <= 0.02 for c in changes)
        largest = max(changes, key=abs)
        lines.append(
            f"| {name} | {group} | {100 * float(np.mean(changes)):+.2f} % | {100 * largest:+.2f} % "
            f"| {inside} of {len(changes)} |"
        )
    return "\n".join(lines)


def is_shift(row: Row) -> bool:
    """Say whether a version is one of shifted sound; the true one is shifted by nothing.

    Args:
        row: A score.

    Returns:
        Whether it is.
    """
    return row["kind"] == "true" or row["kind"].startswith("sound shifted")


def _offsets(rows: list[Row]) -> str:
    """Compare the offset read with the one made, for sync controls and for every shift."""
    lines = ["| material | made | read | |", "|---|---|---|---|"]
    for row in rows:
        if row["kind"] == "sync control":
            error = abs(round(row["offset"]) - row["expected"])
            verdict = "within one frame" if error <= 1 else "**missed**"
            lines.append(f"| {row['variant']} | {row['expected']:+.0f} | {row['offset']:+.2f} | {verdict} |")
    for group in groups(rows):
        made = [r for r in rows if r["group"] == group and is_shift(r)]
        good = sum(r["offset"] is not None and abs(round(r["offset"]) - (r["expected"] or 0)) <= 1 for r in made)
        lines.append(f"| {group}, shifts of 0 to 8 frames both ways | {len(made)} | {good} within one frame | |")
    return "\n".join(lines)


def _shifts(rows: list[Row]) -> str:
    """Show the mean score at each shift, and in how many clips it falls from each to the next."""
    steps = (-8, -4, -2, -1, 0, 1, 2, 4, 8)
    lines = ["| sound late by | " + " | ".join(f"{s:+d}" if s else "0" for s in steps) + " | falls at every step |"]
    lines.append("|---|" + "---|" * (len(steps) + 1))
    for group in groups(rows):
        table: dict[str, dict[int, float]] = {}
        for r in rows:
            if r["group"] == group and is_shift(r):
                table.setdefault(r["name"], {})[int(r["expected"] or 0)] = r["score"]
        means = [float(np.mean([scores[s] for scores in table.values()])) for s in steps]
        ways = [[0, 1, 2, 4, 8], [0, -1, -2, -4, -8]]
        falls = [all(s[a] > s[b] for a, b in pairwise(way)) for s in table.values() for way in ways]
        lines.append(f"| {group} | " + " | ".join(f"{m:.3f}" for m in means) + f" | {sum(falls)} of {len(falls)} |")
    return "\n".join(lines)
