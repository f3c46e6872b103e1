"""The tables of docs/real_people.md, from what the parts measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from .clips import PATHS, baselines
from .figures import Figure, bounds, of_clips, of_long, of_sheet, of_sound, of_speed, verdict
from .speed import PARTS

START, END = "<!-- figures: written by benchmarks/real_people.py -->", "<!-- end of figures -->"
"""Markers of what is written."""

_OF = {"clips": of_clips, "sheet": of_sheet, "sound": of_sound, "long": of_long, "speed": of_speed}


def figures(results: dict[str, Any]) -> dict[str, Figure]:
    """Return all figures that were measured.

    Args:
        results: By the part's name, what it measured.
    """
    found: dict[str, Figure] = {}
    for part, read in _OF.items():
        if results.get(part):
            found |= read(results[part])
    return found


def tables(results: dict[str, Any]) -> str:
    """Write everything as Markdown.

    Args:
        results: By the part's name, what it measured; `settings` says of what.
    """
    parts = [_settings(results), _bounds(figures(results))]
    if results.get("clips"):
        parts.append(_errors(results["clips"]))
    if results.get("sheet"):
        parts.append(_photographs(results["sheet"]))
    if results.get("sound"):
        parts += [_sound(results["sound"], 1, "recording"), _sound(results["sound"], 0, "photograph")]
    if results.get("speed"):
        parts.append(_speed(results["speed"]))
    if results.get("left out"):
        parts.append(_left_out(results["left out"]))
    return "\n\n".join(parts)


def _settings(results: dict[str, Any]) -> str:
    said = [f"{part}: {of}" for part, of in results.get("settings", {}).items()]
    return "; ".join([f"Weights {results.get('weights', 'unknown')}", *said]) + "."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _bounds(found: dict[str, Figure]) -> str:
    lines = ["| what | must reach | measured | true clip | n | | |", "|---|---|---|---|---|---|---|"]
    wanted = bounds()
    for name, (rule, bound) in wanted.items():
        said = f"{rule.replace('|<=', '0 ±')} {bound:g}"
        if name not in found:
            lines.append(f"| {name} | {said} | not measured yet | | | | |")
            continue
        row = found[name]
        value, best = _number(row["value"]), _number(row.get("ceiling"))
        lines.append(
            f"| {name} | {said} | {value} | {best} | {row['n']} | {verdict(name, row['value'])} | {row['note']} |"
        )
    for name in found.keys() - wanted.keys():
        row = found[name]
        value, best = _number(row["value"]), _number(row.get("ceiling"))
        lines.append(f"| {name} | no bound | {value} | {best} | {row['n']} | | {row['note']} |")
    return "\n".join(lines[:2] + lines[2 : 2 + len(wanted)] + sorted(lines[2 + len(wanted) :]))


def _errors(found: dict[str, Any]) -> str:
    """Write PSNR and SSIM of each variant: means over clips, then the mouth of each clip."""
    made = {name: row for name, row in found.items() if row["errors"]}
    if not made:
        return ""
    names = ["still", "warp"]
    for way in PATHS:
        others = [name for itself in (False, True) for name in baselines(way, itself)]
        names += [*others, f"ours {way}"]
    names = [name for name in dict.fromkeys(names) if all(name in row["errors"] for row in made.values())]
    clips = list(made)
    lines = [
        "| frames | PSNR mouth, face, whole, dB | SSIM mouth, face, whole | "
        + " | ".join(f"{clip.partition('_')[0]}: mouth, face" for clip in clips)
        + " |",
        "|---|---|---|" + "---|" * len(clips),
    ]
    for name in names:
        rows = [row["errors"][name] for row in made.values()]
        cells = [
            ", ".join(f"{sum(row[f'{kind} {part}'] for row in rows) / len(rows):.{digits}f}" for part in _BOXES)
            for kind, digits in (("psnr", 1), ("ssim", 3))
        ]
        cells += [f"{row['psnr mouth']:.1f}, {row['psnr face']:.1f}" for row in rows]
        shown = f"**{name}**" if name.startswith("ours") else name
        lines.append(f"| {shown} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


_BOXES = ("mouth", "face", "whole")


def _photographs(found: dict[str, Any]) -> str:
    lines = [
        "| photograph | detail at rest, r | sharpness at rest | iris, Lab | face at rest, deviation, of 255 "
        "| found | right first | similarity |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found.items():
        iris = ", ".join(f"{v:.1f}" for v in row["iris"]) or "not seen"
        lines.append(
            f"| {name} | {row['detail']:.3f} | {row['sharpness']:.3f} | {iris} | {row['restless face']:.2f} "
            f"| {row['found']} of 8 | {row['right']} of {row['asked']} | {_number(row['likeness'])} |"
        )
    return "\n".join(lines)


_LIPS = (
    ("ADFD", "adfd"),
    ("spatial", "spatial"),
    ("temporal", "temporal"),
    ("audio", "audio"),
    ("stillness", "stillness"),
    ("sound late by, frames", "offset_frames"),
    ("lips in silence, %", "gap in silence"),
    ("widest in silence, %", "widest in silence"),
    ("widest, %", "widest"),
    ("r voice", "r voice"),
    ("r jaw", "r jaw"),
)


def _sound(found: dict[str, Any], column: int, word: str) -> str:
    """Write the means of each recording, or of each photograph."""
    groups: dict[str, list[Any]] = {}
    for key, row in found.items():
        groups.setdefault(key.split(" ")[column], []).append(row)
    lines = [f"| {word} | n | " + " | ".join(title for title, _ in _LIPS) + " |", "|---|---|" + "---|" * len(_LIPS)]
    for name, rows in groups.items():
        cells: list[str] = []
        for _, key in _LIPS:
            known = [row[key] for row in rows if row.get(key) is not None]
            cells.append(f"{sum(known) / len(known):.2f}" if known else "")
        lines.append(f"| {name} | {len(rows)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _speed(row: dict[str, Any]) -> str:
    lines = [f"| part | seconds a second, frames of 256 px | frames of {row['side']} px |", "|---|---|---|"]
    lines += [f"| {name} | {row['parts'][name]:.2f} | {row['parts, own size'][name]:.2f} |" for name in PARTS]
    one, other = (sum(row[parts].values()) for parts in ("parts", "parts, own size"))
    lines.append(f"| one after the other | {one:.2f} | {other:.2f} |")
    return "\n".join([*lines, f"| as the product does | {row['total']:.2f} | {row['own size']:.2f} |"])


def _left_out(others: dict[str, str]) -> str:
    lines = ["| not measured | why |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {' '.join(why.split())} |" for name, why in others.items())])


def write_page(results: dict[str, Any], file: Path) -> None:
    """Put the tables between their markers; whoever reads the page meanwhile sees it as it was.

    Args:
        results: By the part's name, what it measured.
        file: The page.
    """
    text = file.read_text(encoding="utf-8") if file.exists() else f"{START}\n{END}\n"
    before, begun, rest = text.partition(START)
    _, ended, after = rest.partition(END)
    if not (begun and ended):
        sys.exit(f"{file}: must hold {START} and {END} around the tables. Put them where they shall stand.")
    part = file.with_suffix(".part")
    part.write_text(f"{before}{START}\n{tables(results)}\n{END}{after}", encoding="utf-8")
    part.replace(file)
