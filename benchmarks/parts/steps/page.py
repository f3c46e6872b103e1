"""The figures of a step as Markdown."""

from __future__ import annotations

from typing import Any


def tables(found: dict[str, Any]) -> str:
    """Return the tables.

    Args:
        found: Of `measuring.Session.run`.
    """
    parts = [_steps(found), _kinds(found), _seconds("other steps of ours", found.get("variants", {}))]
    parts += [_seconds("decoding a window", found.get("vae", {})), _presets(found)]
    parts += [f"Left out: {line}" for line in found["left out"]]
    return "\n\n".join(part for part in parts if part)


def _steps(found: dict[str, Any]) -> str:
    steps = found.get("step", {})
    if not steps:
        return ""
    share, memory = found.get("floor", {}).get("share", {}), found.get("memory", {})
    heads = ("step", "ms", "of diffusers", "floor reached", "memory, GB", "waits", "from plain torch")
    rows = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    theirs = steps.get("diffusers")
    for name, value in steps.items():
        cells = [
            f"{1000 * value:.1f}",
            _given(theirs and value / theirs, ".2f"),
            _given(share.get(name), ".0%"),
            _given(memory.get(name) and memory[name] / 1e9, ".2f"),
            _given(found.get("waits", {}).get(name), "d"),
            _given(found.get("agreement", {}).get(name), ".1e"),
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _kinds(found: dict[str, Any]) -> str:
    kinds = found.get("kinds", {})
    names = list(dict.fromkeys(kind for way in kinds.values() for kind in way))
    if not names:
        return ""
    rows = [f"| kind | {' | '.join(kinds)} |", "|" + "---|" * (len(kinds) + 1)]
    for name in names:
        cells = [f"{way[name]['share']:.0%} ({way[name]['launches']})" if name in way else "" for way in kinds.values()]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def _seconds(title: str, values: dict[str, float]) -> str:
    if not values:
        return ""
    return "\n".join([f"| {title} | ms |", "|---|---|", *(f"| {k} | {1000 * v:.1f} |" for k, v in values.items())])


def _presets(found: dict[str, Any]) -> str:
    values = found.get("presets", {})
    if not values:
        return ""
    rows = ["| a long video | frames a second |", "|---|---|"]
    return "\n".join([*rows, *(f"| {name} | {row['frames a second']:.2f} |" for name, row in values.items())])


def _given(value: float | int | None, form: str) -> str:
    return "" if value is None else format(value, form)
