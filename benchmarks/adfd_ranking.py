"""How ADFD ranks the tiny model against what must lose: a table of docs/adfd.md.

    python -m benchmarks.adfd_ranking --results runs/ablation

Reads what the command of docs/ablation.md has scored. The truth is scored like a clip of its own; variants count on the
clips that they share with the full model.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from portraittalk_core.evaluation.benchmark.markdown import interval, write_between
from portraittalk_core.evaluation.benchmark.variants import FULL, VARIANTS, Variant, missing
from portraittalk_core.evaluation.report.folder import RESULTS, read_results
from portraittalk_core.evaluation.scoring.figures import FIGURES
from portraittalk_core.evaluation.scoring.summary import means, paired_differences
from portraittalk_core.pipeline import PortraitTalk

from .parts.adfd_tables import PARTS
from .parts.program import DOCS, RUNS, command_line

START, END = "<!-- ranking: written by benchmarks/adfd_ranking.py -->", "<!-- end of ranking -->"
"""Markers of the table in the page."""

_BY_KEY = {figure.key: figure for figure in FIGURES}


def main() -> None:
    """Write the table."""
    parser = command_line("adfd_ranking", __doc__)
    parser.add_argument("--results", type=Path, default=RUNS / "ablation")
    parser.add_argument("--page", type=Path, default=DOCS / "adfd.md")
    given = parser.parse_args()
    folders = {v.key: given.results if v.key == FULL.key else given.results / "variants" / v.key for v in VARIANTS}
    made = {
        v.key: read_results(folders[v.key] / RESULTS)["videos"]
        for v in VARIANTS
        if (folders[v.key] / RESULTS).is_file()
    }
    text = ranking({key: records for key, records in made.items() if records})
    write_between(given.page, text, START, END)
    sys.stdout.write(text + "\n")


def ranking(records: dict[str, list[dict[str, Any]]]) -> str:
    """Rank the variants by ADFD.

    Args:
        records: By the variant's key, one record a clip.

    Returns:
        A table in Markdown, the highest score first, and a line for what the weights cannot show.
    """
    full, model = records[FULL.key], PortraitTalk.load("tiny")
    shown = sorted(
        (v for v in VARIANTS if v.key in records), key=lambda v: -means(_shared(records[v.key], full))["adfd"].value
    )
    head = ("", "clips", "ADFD [95 %]", *PARTS, "less the full model, same clips", "lower in", "must lose")
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(_cells(v, _shared(records[v.key], full), full)) + " |" for v in shown]
    reasons = ((v, missing(model, v)) for v in VARIANTS if v.key not in records)
    left = [f"- **{v.title}** was not made: {reason}." for v, reason in reasons if reason]
    return "\n".join([*lines, *([""] if left else []), *left])


def _shared(records: list[dict[str, Any]], full: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = {record["file"] for record in full}
    return [record for record in records if record["file"] in names]


def _cells(variant: Variant, records: list[dict[str, Any]], full: list[dict[str, Any]]) -> list[str]:
    summed = means(records)
    cells = [variant.title, str(summed["adfd"].clips), interval(summed["adfd"], _BY_KEY["adfd"])]
    cells += [f"{summed[part].value:.3f}" if part in summed else "" for part in PARTS]
    if variant.key == FULL.key:
        return [*cells, "", "", ""]
    other = {record["file"]: record.get("adfd") for record in full}
    pairs = [(r["adfd"], other[r["file"]]) for r in records if None not in (r.get("adfd"), other[r["file"]])]
    lower = sum(own < theirs for own, theirs in pairs)
    difference = paired_differences(records, full)["adfd"][2]
    must = "adfd" in variant.loses
    return [*cells, interval(difference, _BY_KEY["adfd"], "+"), f"{lower} of {len(pairs)}", "yes" if must else ""]


if __name__ == "__main__":
    main()
