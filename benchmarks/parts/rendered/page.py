"""The tables of docs/tiny.md and docs/ablation.md, and of two sets of weights side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from portraittalk_core.evaluation.benchmark.markdown import write_between
from portraittalk_core.evaluation.scoring.summary import bootstrap_mean

from ..program import DOCS
from .ablation import EDITS
from .clips import BASELINES
from .figures import BOUNDS, Figure, figures, mean, met
from .variants import VARIANTS
from .wanted import KINDS

FIGURES = ("<!-- rendered people: written by benchmarks/rendered_people.py -->", "<!-- end of rendered people -->")
"""Markers of the tables in docs/tiny.md."""

ABLATION = ("<!-- variants: written by benchmarks/rendered_people.py -->", "<!-- end of variants -->")
"""Markers of the table in docs/ablation.md."""

FURTHER = (
    "face found, share",
    "right portrait first",
    "right portrait first, edited",
    "similarity to the portrait",
    "similarity to the portrait, edited",
    "sharpness of the face, of the truth's",
    "sharpness of the decoded face, of the truth's",
    "drift: mean difference, of 255",
)
"""Figures without a bound that stand in the first table."""

_SCORES = ("psnr mouth", "psnr face", "psnr whole", "ssim mouth", "ssim face", "ssim whole")


def write_pages(results: dict[str, Any], folder: Path = DOCS) -> None:
    """Put the tables between their markers.

    Args:
        results: By the part's name, what it measured.
        folder: Of the pages.
    """
    write_between(folder / "tiny.md", tables(results), *FIGURES)
    if results.get("ablation"):
        text = _weights(results, results["ablation"]["full"]) + "\n\n" + ablation_table(results["ablation"])
        write_between(folder / "ablation.md", text, *ABLATION)


def tables(results: dict[str, Any]) -> str:
    """Write all tables but that of the ablation.

    Args:
        results: By the part's name, what it measured.
    """
    found = figures(results)
    people = results.get("clips") or results.get("edits") or {}
    parts = [
        _weights(results, people),
        bounds_table(found),
        errors_table(found),
        edits_table(found),
        unchanged_table(found),
    ]
    return "\n\n".join(part for part in parts if part)


def _weights(results: dict[str, Any], measured: dict[str, Any]) -> str:
    return f"Weights {results['weights']}; {len(measured)} people."


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def bounds_table(found: dict[str, Figure]) -> str:
    """Write every figure that has a bound, and what stands beside them.

    Args:
        found: Of `figures.figures`.
    """
    lines = ["| what | must reach | measured | the truth itself | n | |", "|---|---|---|---|---|---|"]
    for name, (rule, bound) in BOUNDS.items():
        wanted = f"{rule.replace('|<=', '0 ±')} {bound:g}"
        if name not in found:
            lines.append(f"| {name} | {wanted} | not measured | | | |")
            continue
        row = found[name]
        said = "met" if met(name, row["value"]) else "**missed**"
        best = _number(row.get("ceiling"))
        lines.append(f"| {name} | {wanted} | {row['value']:.3g} | {best} | {row['n']} | {said} |")
    further = [*FURTHER, *(name for name in found if name.startswith("MediaPipe"))]
    for name in further:
        if name in found:
            row = found[name]
            lines.append(f"| {name} | | {row['value']:.3g} | {_number(row.get('ceiling'))} | {row['n']} | |")
    return "\n".join(lines)


def errors_table(found: dict[str, Figure]) -> str:
    """Write PSNR and SSIM beside the baselines, and how many people's clips are better than each.

    Args:
        found: Of `figures.figures`.
    """
    if "ours: psnr face" not in found:
        return ""
    lines = ["| frames | PSNR mouth, face, whole, dB | SSIM mouth, face, whole | ours is better in mouth, face, of |"]
    lines.append("|---|---|---|---|")
    for name in (*BASELINES, "ours"):
        row = [found[f"{name}: {score}"]["value"] for score in _SCORES]
        cells = [", ".join(f"{v:.1f}" for v in row[:3]), ", ".join(f"{v:.3f}" for v in row[3:])]
        won = "" if name == "ours" else ", ".join(str(_wins(found, name, score)) for score in _SCORES[:2])
        people = "" if name == "ours" else f" of {found['ours: psnr face']['n']}"
        lines.append(f"| {'**ours**' if name == 'ours' else name} | {cells[0]} | {cells[1]} | {won}{people} |")
    return "\n".join(lines)


def _wins(found: dict[str, Figure], other: str, score: str) -> int:
    pairs = zip(found[f"ours: {score}"]["rows"], found[f"{other}: {score}"]["rows"], strict=True)
    return sum(own > theirs for own, theirs in pairs)


def edits_table(found: dict[str, Figure]) -> str:
    """Write what each kind of edit does.

    Args:
        found: Of `figures.figures`.
    """
    lines = [
        "| edit | people | picture | obeyed | moved | error | colour before, after | rest before, after |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        if f"edit {kind}" not in found:
            continue
        own = f"edit {kind}"
        value = {name.removeprefix(f"{own}: "): f["value"] for name, f in found.items() if name.startswith(f"{own}: ")}
        for variant, obeyed in (("finished", found[own]["value"]), ("decoded", value["decoded obeys"])):
            first = f"| {kind} | {found[own]['n']} |" if variant == "finished" else "| | |"
            lines.append(
                f"{first} {variant} | {100 * obeyed:.0f} % | {value[f'{variant} moved']:.2f} "
                f"| {value[f'{variant} error']:.2f} | {value['plain colour']:.1f}, {value[f'{variant} colour']:.1f} "
                f"| {value['plain rest']:.1f}, {value[f'{variant} rest']:.1f} |"
            )
    return "\n".join(lines) if len(lines) > 2 else ""


def unchanged_table(found: dict[str, Figure]) -> str:
    """Write what prompts change that ask for nothing.

    Args:
        found: Of `figures.figures`.
    """
    if "unchanged, empty: truth" not in found:
        return ""
    lines = [
        "| prompt | from the truth, of 255 | from the empty prompt's picture | the same, decoded |",
        "|---|---|---|---|",
    ]
    for name, said in _NOTHING.items():
        row = [found[f"unchanged, {name}: {against}"]["value"] for against in ("truth", "empty", "decoded")]
        lines.append(f"| {said} | " + " | ".join(f"{value:.2f}" for value in row) + " |")
    return "\n".join(lines)


_NOTHING = {"empty": "none", "a person": "*a person*", "caption": "all that the portrait shows"}


def ablation_table(found: dict[str, Any]) -> str:
    """Write the variants beside the full model.

    Args:
        found: Of `ablation.measure`.
    """
    lines = [
        "| variant | PSNR mouth, face, whole, dB | less the full model's, face [95 %] | decoded: mouth, face, whole "
        "| similarity: finished, decoded | stillness, of 255 | edits: moved, error, rest | edits decoded: moved |",
        "|---|---|---|---|---|---|---|---|",
    ]
    full = found["full"]
    for variant in VARIANTS:
        rows = found.get(variant.key, {})
        if not rows:
            continue
        cells = [_three(rows, ""), _difference(rows, full, "psnr face"), _three(rows, "decoded ")]
        cells.append(", ".join(f"{_mean(rows, name):.3f}" for name in ("similarity", "decoded similarity")))
        cells.append(f"{_mean(rows, 'stillness'):.2f}")
        scored = [_edited(rows, "finished", score) for score in ("moved", "error", "rest")]
        cells += [", ".join(value for value in scored if value), _edited(rows, "decoded", "moved")]
        lines.append(f"| {variant.title} | " + " | ".join(cells) + " |")
    lines += ["", *(f"- *{v.title}*: {v.how}" for v in VARIANTS if v.key in found)]
    kinds = ", ".join(EDITS)
    return "\n".join(
        [*lines, f"- *edits*: {kinds}, at rest; what is measured as in [the table of edits](tiny.md#rendered-people)"]
    )


def _mean(rows: dict[str, Any], name: str) -> float:
    return mean(row[name] for row in rows.values())["value"]


def _three(rows: dict[str, Any], prefix: str) -> str:
    return ", ".join(f"{_mean(rows, f'{prefix}psnr {box}'):.1f}" for box in ("mouth", "face", "whole"))


def _difference(rows: dict[str, Any], full: dict[str, Any], name: str) -> str:
    if rows is full:
        return ""
    return paired([rows[n][name] for n in rows if n in full], [full[n][name] for n in rows if n in full])


def paired(ours: list[float], theirs: list[float]) -> str:
    """Return the mean difference of pairs with its 95 % interval (bootstrap over pairs, seed 0).

    Args:
        ours: One a person.
        theirs: Of the same people.
    """
    found = bootstrap_mean([a - b for a, b in zip(ours, theirs, strict=True)])
    if found is None:
        return ""
    ends = "" if found.low is None or found.high is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
    return f"{found.value:+.2f}{ends}"


def _edited(rows: dict[str, Any], name: str, score: str) -> str:
    held = [edit[name][score] for row in rows.values() for edit in row["edits"].values()]
    return f"{sum(held) / len(held):.2f}" if held else ""


def beside(results: dict[str, dict[str, Any]]) -> str:
    """Write the figures of several sets of weights side by side, with paired differences to the first.

    Args:
        results: By the model's name, what its parts measured.
    """
    found = {name: figures(result) for name, result in results.items()}
    first, *others = found
    head = ["figure", "n", *found, *(f"{name} less {first} [95 %]" for name in others)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, row in found[first].items():
        if not all(name in found[other] for other in others):
            continue
        values = [found[model][name]["value"] for model in found]
        cells = [name, str(row["n"]), *(f"{value:.4g}" for value in values)]
        for other in others:
            pairs = found[other][name].get("rows"), row.get("rows")
            known = pairs[0] is not None and pairs[1] is not None and len(pairs[0]) == len(pairs[1])
            cells.append(paired(*pairs) if known else "")  # pyright: ignore[reportArgumentType]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
