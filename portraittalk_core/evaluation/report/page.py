"""The report as one HTML file that opens offline: tables, curves, film strips and the protocol of every figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from ..scoring.figures import FIGURES, SET_FIGURES, Figure
from ..scoring.summary import Mean, means

_NAMED = 4
"""Clips of which the same is to be said that are named; the rest is counted."""

WORST = 5
"""Film strips shown."""

_WIDE, _HIGH = 1000, 90
_PARTS = ("adfd", "spatial", "temporal", "audio", "stillness", "offset_frames")
_ARROWS = {"higher": " ↑", "lower": " ↓", "": ""}

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --mouth: #c2410c; --voice: #2563eb; --bad: #b91c1c; }
@media (prefers-color-scheme: dark) { :root { --mouth: #fb923c; --voice: #60a5fa; --bad: #f87171; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; } h3 { font-size: 1rem; margin: 1.2rem 0 .2rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } tfoot td { font-weight: 600; border-top: 2px solid var(--line); }
td.text { text-align: left; white-space: normal; } small, .soft { opacity: .75; } .bad { color: var(--bad); }
svg { width: 100%; height: auto; background: var(--soft); border-radius: 4px; display: block; }
svg .mouth { stroke: var(--mouth); } svg .voice { stroke: var(--voice); }
path { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; } svg rect { fill: var(--line); }
.key::before { content: ""; display: inline-block; width: 1.2em; border-top: 3px solid; margin: 0 .4em .25em .8em; }
.key.mouth::before { border-color: var(--mouth); } .key.voice::before { border-color: var(--voice); }
img { width: 100%; border-radius: 4px; display: block; } ul { margin: .2rem 0; padding-left: 1.2rem; }
"""


@dataclass(frozen=True)
class Comparison:
    """Another run beside ours."""

    path: str
    """Its results.json."""

    differences: dict[str, tuple[Mean, Mean, Mean]]
    """See `summary.paired_differences`."""

    differing: list[str]
    """Keys of the protocol in which the runs differ."""

    set_values: dict[str, float] = field(default_factory=dict)
    """Its figures of the whole set, by key."""


def render_page(results: dict[str, Any], shown: dict[str, dict[str, Any]], comparison: Comparison | None = None) -> str:
    """Write the page.

    Args:
        results: What results.json holds.
        shown: By the name of a clip, its curves and its film strip, see `Scored.shown`.
        comparison: Another run beside this one; None for none.

    Returns:
        HTML that needs no other file.
    """
    records = results["videos"]
    summed = means(records)
    parts = [
        f"<h1>Talking faces: {len(records)} {'clip' if len(records) == 1 else 'clips'}</h1>",
        "<p>ADFD is <b>our own definition</b> of Audio-Driven Facial Dynamics (docs/adfd.md): figures of papers do not "
        "compare with it. ↑ higher is better, ↓ lower is better. An empty field is unscored; the reasons stand below."
        "</p>",
        _troubles(records),
        "<h2>Clips</h2>",
        _clip_table(records, summed, [f for f in FIGURES if f.key in _PARTS]),
        "<h2>Means</h2>",
        _mean_table(summed),
        _set_table(results.get("set", {}), comparison),
        "" if comparison is None else _comparison(comparison),
        "<h2>Further figures</h2>",
        _clip_table(records, summed, [f for f in FIGURES if f.key in summed and f.key not in _PARTS]),
        "<h2>Lowest scores</h2>",
        _worst(records, shown),
        "<h2>Mouth against voice</h2>",
        '<p><span class="key mouth">mouth: height of the lips</span><span class="key voice">voice: level of 1.5 to '
        "4 kHz</span>; each over its own range. Shaded: nobody speaks. A gap: no face.</p>",
        *(_curve(record, shown.get(record["file"], {})) for record in records),
        "<h2>Protocol</h2>",
        _protocol(results["protocol"]),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>PortraitTalk evaluation</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head>\n<body>\n'
        + "\n".join(part for part in parts if part)
        + "\n</body></html>\n"
    )


def _number(value: float | None, figure: Figure) -> str:
    if value is None:
        return ""
    text = f"{value:.{max(1, figure.decimals)}f}" if isinstance(value, float) else str(value)
    return f"+{text}" if "offset" in figure.key and float(text) > 0 else text


def _set_number(entry: dict[str, Any], figure: Figure) -> str:
    """Show a figure of the whole set with its interval; results of older versions have none."""
    text = _number(entry["value"], figure)
    if entry.get("low") is None:
        return text
    return f"{text} <small>[{_number(entry['low'], figure)}, {_number(entry['high'], figure)}]</small>"


def _clip_table(records: Sequence[dict[str, Any]], summed: dict[str, Mean], figures: Sequence[Figure]) -> str:
    head = "".join(f'<th title="{escape(f.how)}">{escape(f.title)}{_ARROWS[f.better]}</th>' for f in figures)
    rows = []
    for record in records:
        cells = "".join(f"<td>{_number(record.get(f.key), f)}</td>" for f in figures)
        rows.append(f"<tr><td>{escape(record['file'])}</td>{cells}</tr>")
    last = "".join(f"<td>{_number(summed[f.key].value, f) if f.key in summed else ''}</td>" for f in figures)
    foot = f"<tfoot><tr><td>mean</td>{last}</tr></tfoot>"
    return (
        f'<div class="wide"><table><thead><tr><th>file</th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody>{foot}</table></div>"
    )


def _interval(mean: Mean, figure: Figure, sign: bool = False) -> str:
    how = f"{'+' if sign else ''}.{max(2, figure.decimals)}f"
    if mean.low is None or mean.high is None:
        return format(mean.value, how)
    return f"{mean.value:{how}} <small>[{mean.low:{how}}, {mean.high:{how}}]</small>"


def _mean_table(summed: dict[str, Mean]) -> str:
    rows = [
        f"<tr><td>{escape(f.title)}{_ARROWS[f.better]}</td><td>{_interval(summed[f.key], f)}</td>"
        f"<td>{summed[f.key].clips}</td></tr>"
        for f in FIGURES
        if f.key in summed
    ]
    head = "<tr><th>figure</th><th>mean <small>[95 %]</small></th><th>clips</th></tr>"
    return f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'


def _set_table(found: dict[str, dict[str, Any]], comparison: Comparison | None) -> str:
    """Show FID, FVD and E-FID with what they were taken from and how."""
    rows = []
    for figure in (figure for figure in SET_FIGURES if figure.key in found):
        entry = found[figure.key]
        other = "" if comparison is None else f"<td>{_number(comparison.set_values.get(figure.key), figure)}</td>"
        text = "<br>".join(map(escape, (f"{entry['how']}.", *entry["notes"])))
        rows.append(
            f"<tr><td>{escape(figure.title)}{_ARROWS[figure.better]}</td><td>{_set_number(entry, figure)}</td>"
            f"{other}<td>{entry['clips']} of {entry['of']}</td><td>{entry['rows']}</td>"
            f"<td>{entry['reference_rows']}</td><td class='text'>{text}</td></tr>"
        )
    if not rows:
        return ""
    beside = "" if comparison is None else "<th>the other run</th>"
    head = (
        f"<tr><th>figure</th><th>this run <small>[95 %]</small></th>{beside}<th>clips</th><th>rows</th>"
        "<th>true rows</th><th>how</th></tr>"
    )
    return (
        "<h2>The whole set against its references</h2><p>One figure for all clips together. Intervals by a jackknife "
        "that leaves out a tenth of the clips at a time: a bootstrap of a Fréchet distance is biased upwards.</p>"
        f'<div class="wide"><table><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table></div>'
    )


def _comparison(comparison: Comparison) -> str:
    titles = {f.key: f for f in FIGURES}
    rows = []
    for key, (ours, theirs, difference) in comparison.differences.items():
        figure = titles[key]
        rows.append(
            f"<tr><td>{escape(figure.title)}{_ARROWS[figure.better]}</td><td>{_interval(ours, figure)}</td>"
            f"<td>{_interval(theirs, figure)}</td><td>{_interval(difference, figure, sign=True)}</td>"
            f"<td>{difference.clips}</td></tr>"
        )
    warning = ""
    if comparison.differing:
        names = escape(", ".join(comparison.differing))
        warning = f'<p class="bad">The two runs differ in their protocol ({names}): mind what that changes.</p>'
    body = "".join(rows) or '<tr><td colspan="5">no clip has a figure in both</td></tr>'
    head = "<tr><th>figure</th><th>this run</th><th>the other</th><th>paired difference</th><th>clips</th></tr>"
    return (
        f"<h2>Compared with {escape(comparison.path)}</h2>{warning}<p>Paired by file name. An interval of the "
        f"difference without 0 is more than chance at 95 %.</p>"
        f'<div class="wide"><table><thead>{head}</thead><tbody>{body}</tbody></table></div>'
    )


def _troubles(records: Sequence[dict[str, Any]]) -> str:
    """Say what is unscored and noted, once for all clips, and once for those of which the same is to be said."""
    lines = {r["file"]: [*r["unscored"], *r["notes"]] for r in records}
    shared = [line for line in next(iter(lines.values()), []) if all(line in own for own in lines.values())]
    shared = shared if len(lines) > 1 else []
    alike: dict[tuple[str, ...], list[str]] = {}
    for file, own in lines.items():
        alike.setdefault(tuple(line for line in own if line not in shared), []).append(file)
    listed = [("every clip", shared), *((_names(files), own) for own, files in alike.items())]
    rows = [
        f"<tr><td>{escape(name)}</td><td class='text'>{'<br>'.join(map(escape, own))}</td></tr>"
        for name, own in listed
        if own
    ]
    if not rows:
        return ""
    return f"<h2>Unscored, and what to know</h2><table><tbody>{''.join(rows)}</tbody></table>"


def _names(files: Sequence[str]) -> str:
    more = len(files) - _NAMED
    return ", ".join(files[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _worst(records: Sequence[dict[str, Any]], shown: dict[str, dict[str, Any]]) -> str:
    scored = [r for r in records if r["adfd"] is not None and shown.get(r["file"], {}).get("strip")]
    made = []
    for record in sorted(scored, key=lambda r: r["adfd"])[:WORST]:
        picture = shown[record["file"]]["strip"]
        parts = ", ".join(f"{k} {record[k]:.2f}" for k in _PARTS[1:5] if record[k] is not None)
        made.append(
            f"<h3>{escape(record['file'])}: {record['adfd']:.3f} <small>{parts}</small></h3>"
            f'<img alt="pictures of the clip, evenly spread" src="data:image/jpeg;base64,{picture}">'
        )
    return "".join(made) or "<p>No clip was scored.</p>"


def _curve(record: dict[str, Any], shown: dict[str, Any]) -> str:
    if "mouth" not in shown:
        return ""
    steps = len(shown["mouth"])
    scale = _WIDE / max(1, steps - 1)
    silences = "".join(
        f'<rect x="{first * scale:.1f}" y="0" width="{(last - first) * scale:.1f}" height="{_HIGH}"/>'
        for first, last in _runs(shown["silent"])
    )
    lines = "".join(f'<path class="{name}" d="{_path(shown[name], scale)}"/>' for name in ("voice", "mouth"))
    seconds = steps / shown["hz"]
    offset = record.get("offset_frames")
    late = ""
    if offset is not None:
        plural = "s" * (abs(offset) > 1)
        late = f", sound {'late' if offset > 0 else 'early'} by {abs(offset)} frame{plural}" if offset else ", in time"
    return (
        f"<h3>{escape(record['file'])} <small>{seconds:.1f} s{late}</small></h3>"
        f'<svg viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" role="img" aria-label="mouth and voice over '
        f'time">{silences}{lines}</svg>'
    )


def _path(values: Sequence[float | None], scale: float) -> str:
    drawn, lifted = [], True
    for i, value in enumerate(values):
        if value is not None:
            drawn.append(f"{'M' if lifted else 'L'}{i * scale:.1f} {(1 - value) * (_HIGH - 8) + 4:.1f}")
        lifted = value is None
    return "".join(drawn)


def _runs(flags: Sequence[int]) -> list[tuple[int, int]]:
    """Return first and one past the last index of every run of ones."""
    edges = [i for i, (a, b) in enumerate(zip([0, *flags], [*flags, 0], strict=True)) if a != b]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _protocol(protocol: dict[str, Any]) -> str:
    titles = {figure.key: figure.title for figure in (*FIGURES, *SET_FIGURES)}
    plain = [(k, v) for k, v in protocol.items() if isinstance(v, str)]
    plain.append(("versions", ", ".join(f"{k} {v}" for k, v in protocol["versions"].items())))
    plain += [("not scored", line) for line in protocol["unavailable"].values()]
    figures = [(titles.get(k, k), v) for k, v in protocol["figures"].items()]
    rows = "".join(
        f"<tr><td>{escape(k or '')}</td><td class='text'>{escape(v or '')}</td></tr>" for k, v in plain + figures
    )
    return f"<table><tbody>{rows}</tbody></table>"
