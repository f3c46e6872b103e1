"""The benchmark as Markdown: the model's figures, its edits, and the variants against it, in a part of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import BadMedia
from ...media.target import Partial
from ..scoring.figures import FIGURES, SET_FIGURES, Figure
from ..scoring.summary import Mean, bootstrap_mean, means, paired_differences
from .edits import EDITS
from .variants import FULL, Variant

START, END = "<!-- people benchmark: written by portraittalk evaluate -->", "<!-- end of people benchmark -->"
"""Markers of the part of the page that is written."""

ABLATION = (
    *("adfd", "spatial", "temporal", "audio", "stillness", "m_lmd", "f_lmd"),
    *("psnr", "ssim", "face_likeness", "flicker"),
)
"""Figures of the ablation's tables."""

_BY_KEY = {figure.key: figure for figure in FIGURES}
_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}

Records = Sequence[dict[str, Any]]
"""One a clip, as results.json holds them."""

SetFigures = Mapping[str, Mapping[str, Any]]
"""Figures of a whole set, see `set_metrics.set_figures`."""


def benchmark_text(
    records: Mapping[str, Records],
    variants: Sequence[Variant],
    protocol: Mapping[str, Any],
    edits: Records = (),
    skipped: Mapping[str, str] | None = None,
    cases: int | None = None,
    of_sets: Mapping[str, SetFigures] | None = None,
) -> str:
    """Write the text between the markers.

    Args:
        records: By the variant's key.
        variants: Those of the run, in the order of the tables.
        protocol: Of the full model's report.
        edits: One record a person, see `Benchmark.edits`.
        skipped: Why variants were not made, by key.
        cases: How many clips a whole run has, so that less is called unfinished; None: not known.
        of_sets: Figures of the whole set, by the variant's key.

    Returns:
        Markdown.
    """
    full, of_sets = records[FULL.key], of_sets or {}
    parts = [_head(full, protocol, cases), _means_table(full, of_sets.get(FULL.key, {}))]
    if edits:
        parts.append(edits_table(edits))
    if len([key for key in records if records[key]]) > 1:
        parts += [ablation_table(records, variants, skipped or {}, of_sets), differences_table(records, variants)]
    elif skipped:
        parts.append(_skipped(variants, skipped))
    return "\n\n".join(part for part in parts if part)


def _head(records: Records, protocol: Mapping[str, Any], cases: int | None) -> str:
    unfinished = f" **Unfinished: {len(records)} of {cases}.**" if cases and len(records) < cases else ""
    versions = ", ".join(f"{name} {number}" for name, number in protocol["versions"].items())
    return (
        f"{len(records)} {'clip' if len(records) == 1 else 'clips'}.{unfinished} {protocol['benchmark']}; made by "
        f"{protocol['made by']}; faces found by {protocol['faces']}; suite {protocol['suite']}; {versions}. Means over "
        "clips with 95 % intervals (percentile bootstrap over clips, 2000 draws, seed 0; of figures of the whole set a "
        "jackknife that leaves out a tenth of the clips at a time). ↑ higher is better, ↓ lower."
    )


def _means_table(records: Records, of_set: SetFigures) -> str:
    summed = means(records)
    rows = [
        f"| {f.title}{_ARROWS[f.better]} | {interval(summed[f.key], f)} | {summed[f.key].clips} |"
        for f in FIGURES
        if f.key in summed
    ]
    rows += [
        f"| {f.title}, of the whole set{_ARROWS[f.better]} | {_set_cell(of_set, f)} | {of_set[f.key]['clips']} |"
        for f in SET_FIGURES
        if f.key in of_set
    ]
    return "\n".join(["| figure | mean [95 %] | clips |", "|---|---|---|", *rows])


def edits_table(edits: Records) -> str:
    """Write how often pictures show what prompts ask for.

    Args:
        edits: One record a person.

    Returns:
        Markdown.
    """
    rows = []
    for tag in EDITS:
        obeyed = [float(record["edits"][tag]["obeyed"]) for record in edits if tag in record["edits"]]
        mean = bootstrap_mean(obeyed)
        if mean is not None:
            low_high = "" if mean.low is None else f" [{100 * mean.low:.0f}, {100 * (mean.high or 0):.0f}]"
            rows.append(f"| {tag} | {100 * mean.value:.0f} %{low_high} | {mean.clips} |")
    head = (
        "Prompt edits: the picture is nearest to the rendering of the word that was asked for, among renderings of "
        "that person with every word of the attribute."
    )
    return "\n".join([head, "", "| edit | obeyed [95 %] | people |", "|---|---|---|", *rows])


def _set_cell(of_set: SetFigures, figure: Figure) -> str:
    entry = of_set.get(figure.key, {})
    if entry.get("value") is None:
        return ""
    return interval(Mean(entry["value"], entry.get("low"), entry.get("high"), entry["clips"]), figure)


def ablation_table(
    records: Mapping[str, Records],
    variants: Sequence[Variant],
    skipped: Mapping[str, str],
    of_sets: Mapping[str, SetFigures] | None = None,
) -> str:
    """Write the means of all variants, the highest ADFD first; the truth above all, what was not made below.

    Args:
        records: By the variant's key.
        variants: Those of the run.
        skipped: Why variants were not made, by key.
        of_sets: Figures of the whole set, by the variant's key.

    Returns:
        Markdown.
    """
    made = [v for v in variants if records.get(v.key)]
    figures = [_BY_KEY[k] for k in ABLATION if any(k in means(records[v.key]) for v in made)]
    summed, of_sets = {v.key: means(records[v.key]) for v in made}, of_sets or {}
    set_figures = [f for f in SET_FIGURES if any(f.key in of_sets.get(v.key, {}) for v in made)]
    ranked = sorted(
        made, key=lambda v: (v.key != "truth", -summed[v.key]["adfd"].value if "adfd" in summed[v.key] else 1)
    )
    lines = [
        "### Ablation",
        "",
        "| variant | " + " | ".join(f"{f.title}{_ARROWS[f.better]}" for f in (*figures, *set_figures)) + " |",
        "|---" * (len(figures) + len(set_figures) + 1) + "|",
    ]
    for variant in ranked:
        cells = [interval(summed[variant.key][f.key], f) if f.key in summed[variant.key] else "" for f in figures]
        cells += [_set_cell(of_sets.get(variant.key, {}), f) for f in set_figures]
        lines.append(f"| {variant.title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", _skipped(variants, skipped), _legend(made)]).strip()


def _skipped(variants: Sequence[Variant], skipped: Mapping[str, str]) -> str:
    return "\n".join(f"- **{v.title}** was not made: {skipped[v.key]}." for v in variants if v.key in skipped)


def _legend(variants: Sequence[Variant]) -> str:
    return "\n".join(f"- *{v.title}*: {v.how}" for v in variants)


def differences_table(records: Mapping[str, Records], variants: Sequence[Variant]) -> str:
    """Write each variant minus the full model, clip by clip, and whether what must lose does.

    Args:
        records: By the variant's key.
        variants: Those of the run.

    Returns:
        Markdown.
    """
    lines = [
        "### Paired differences to the full model",
        "",
        "Variant minus full model, over the clips that both have. It *loses* where the whole interval lies on the "
        "worse side of 0 in every figure in which it must be worse.",
        "",
        "| variant | "
        + " | ".join(f"{_BY_KEY[k].title}{_ARROWS[_BY_KEY[k].better]}" for k in _PAIRED)
        + " | verdict |",
        "|---" * (len(_PAIRED) + 2) + "|",
    ]
    for variant in variants:
        if variant.key == FULL.key or not records.get(variant.key):
            continue
        found = {key: triple[2] for key, triple in paired_differences(records[variant.key], records[FULL.key]).items()}
        cells = [interval(found[key], _BY_KEY[key], "+") if key in found else "" for key in _PAIRED]
        lines.append(f"| {variant.title} | " + " | ".join(cells) + f" | {verdict(variant, found)} |")
    return "\n".join(lines)


_PAIRED = ("adfd", "m_lmd", "psnr", "ssim", "face_likeness")


def verdict(variant: Variant, differences: Mapping[str, Mean]) -> str:
    """Judge whether a variant that must lose does so: an interval on the worse side of 0 in all figures named.

    Args:
        variant: With the figures in which it must be worse.
        differences: Variant minus full model, by the figure's key.

    Returns:
        A few words; "" for a variant that need not lose.
    """
    if not variant.loses:
        return ""
    judged = []
    for key in variant.loses:
        mean, figure = differences.get(key), _BY_KEY[key]
        if mean is None or mean.low is None or mean.high is None:
            return "too few clips"
        worse = mean.high < 0 if figure.better == "higher" else mean.low > 0
        judged.append((figure.title, worse))
    if all(worse for _, worse in judged):
        return "loses"
    return "**does not lose** in " + ", ".join(title for title, worse in judged if not worse)


def interval(mean: Mean, figure: Figure, sign: str = "") -> str:
    """Write a mean with its interval, in the decimals of the figure.

    Args:
        mean: With or without an interval.
        figure: What it is a mean of.
        sign: "+" to write signs.

    Returns:
        Such as `0.924 [0.920, 0.928]`.
    """
    how = f"{sign}.{max(1, figure.decimals)}f"
    if mean.low is None or mean.high is None:
        return format(mean.value, how)
    return f"{mean.value:{how}} [{mean.low:{how}}, {mean.high:{how}}]"


def write_between(page: Path, text: str, start: str = START, end: str = END) -> None:
    """Put text between two markers of a page; a page without them gets both at its end, a new page a title.

    Args:
        page: A Markdown file.
        text: What stands between the markers.
        start: The first marker.
        end: The second marker.

    Raises:
        BadMedia: When the page cannot be read or written.
    """
    try:
        old = page.read_text(encoding="utf-8") if page.exists() else "# The people benchmark\n"
        before, _, rest = old.partition(start)
        after = rest.partition(end)[2]
        if start not in old:
            before, after = old.rstrip("\n") + "\n\n", "\n"
        with Partial(page) as partial:
            partial.write_text(f"{before}{start}\n{text}\n{end}{after}", encoding="utf-8")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadMedia(f"`--page` must be a file that can be written, but {page} is not ({reason}).") from error
