"""The report of a preparation as one HTML file: hours and people, what was left out and why, distributions, samples."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import torch

from ..errors import BadMedia
from ..media.image import resize
from ..media.video import VideoWriter
from ..types import SPEECH_RATE, Sound
from .decoding import pixels_of
from .measures import REASONS
from .run import Preparation
from .samples import decoded, wave_samples
from .settings import FPS
from .shards import Sample, read_sample, write_whole
from .splits import SPLITS

PAGE, PLAYED = "report.html", "samples"
"""The report, and the folder of the samples that it plays."""

SHOWN = 20
"""Samples that can be played."""

_SIDE, _STRIPS, _BINS, _WIDE, _HIGH = 256, 3, 24, 300, 70

_TITLES = {
    "width_px": "width of the face, pixels",
    "sharpness": "sharpness",
    "yaw_degrees": "turned to the side, degrees",
    "pitch_degrees": "turned up or down, degrees",
    "roll_degrees": "tilted, degrees",
    "outside": "share beyond the picture",
    "likeness": "least likeness of the embeddings",
}

_STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8881; --bar: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --bar: #60a5fa; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1080px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid var(--line); vertical-align: top; }
th:first-child, td:first-child,
.text { text-align: left !important; } td:not(.text) { white-space: nowrap; }
img { max-width: 100%; display: block; margin: .2rem 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption, small { opacity: .8; font-size: .85rem; overflow-wrap: anywhere; }
video { width: 100%; border-radius: 4px; } svg { width: 100%; background: var(--soft); border-radius: 4px; }
rect { fill: var(--bar); }
"""


def write_report(preparation: Preparation) -> Path:
    """Write the report of a preparation, and the videos that it plays.

    Args:
        preparation: Whose samples are in shards.

    Returns:
        The page.

    Raises:
        BadMedia: When it cannot be written.
    """
    shown = _played(preparation)
    page = preparation.folder / PAGE
    write_whole(
        page,
        render(preparation.records(), preparation.index, preparation.strip, shown).encode(errors="backslashreplace"),
    )
    return page


def _played(preparation: Preparation) -> list[tuple[str, str]]:
    """Write videos of samples that are drawn at random, the same at every run; return file and caption of each."""
    entries = [
        (shard["file"], entry) for shard in preparation.index["shards"] for entry in shard["samples"]
    ]  # fmt: skip
    entries.sort(key=lambda pair: hashlib.sha256(pair[1]["key"].encode()).hexdigest())
    folder = preparation.folder / PLAYED
    folder.mkdir(parents=True, exist_ok=True)
    chosen = entries[:SHOWN]
    for old in set(folder.glob("*.mp4")) - {folder / f"{entry['key']}.mp4" for _, entry in chosen}:
        old.unlink()
    found: list[tuple[str, str]] = []
    for file, entry in chosen:
        video = folder / f"{entry['key']}.mp4"
        try:
            if not video.exists():
                write_video(read_sample(preparation.folder / file, entry), video)
            found.append((f"{PLAYED}/{video.name}", f"{entry['person']}: {entry['caption']}"))
        except BadMedia as error:
            found.append(("", str(error)))
    return found


def write_video(sample: Sample, path: Path, side: int = _SIDE) -> None:
    """Write a sample as a video to look at.

    Args:
        sample: Of a shard.
        path: Ends in .mp4.
        side: Of the pictures, pixels, at most.

    Raises:
        BadMedia: When it cannot be written.
    """
    sound = Sound(wave_samples(sample.files["wav"])[None], SPEECH_RATE) if "wav" in sample.files else None
    pictures = sample.frames
    side = min(side, decoded(pictures[0]).shape[0])
    with VideoWriter(path, FPS, (side, side), sound, crf=23, provenance=None) as writer:
        for content in pictures:
            writer.append(resize(pixels_of(decoded(content)), side, side))


def render(
    records: Sequence[dict[str, Any]],
    index: dict[str, Any],
    strip: Callable[[str, str], Path],
    shown: Sequence[tuple[str, str]],
) -> str:
    """Return the page.

    Args:
        records: Of the clips.
        index: Of the shards.
        strip: Finds the strip of a clip and a reason.
        shown: File and caption of each sample that is played.
    """
    samples = [sample for record in records for sample in record["samples"]]
    kept_s, whole_s = sum(s["frames"] for s in samples) / FPS, sum(record["seconds"] for record in records)
    head = (
        f"{_hours(kept_s)} of {_hours(whole_s)} in {len(samples)} samples of {len({s['person'] for s in samples})} "
        f"people, from {sum(bool(r['samples']) for r in records)} of {len(records)} clips"
    )
    return (
        "<!doctype html><html lang='en'><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>Preparation</title><style>{_STYLE}</style><h1>Preparation</h1><p><b>{head}.</b></p>"
        f"{_splits(records)}<h2>What was left out</h2>{_dropped(records, strip)}"
        f"<h2>What was kept</h2><div class='grid'>{_histograms(samples)}</div>"
        f"<h2>Samples, drawn at random</h2><div class='grid'>{''.join(map(_player, shown)) or '<p>None.</p>'}</div>"
        f"<h2>How</h2>{_how(index)}</html>\n"
    )


def _hours(seconds: float) -> str:
    return (
        f"{seconds / 3600:.2f} h"
        if seconds >= 360
        else f"{seconds / 60:.1f} min"
        if seconds >= 60
        else f"{seconds:.1f} s"
    )


def _splits(records: Sequence[dict[str, Any]]) -> str:
    rows = ""
    for split in SPLITS:
        mine = [record for record in records if record["split"] == split]
        samples = [sample for record in mine for sample in record["samples"]]
        people = len({sample["person"] for sample in samples})
        kept = _hours(sum(sample["frames"] for sample in samples) / FPS)
        rows += f"<tr><td>{split}</td><td>{kept}</td><td>{people}</td><td>{len(samples)}</td><td>{len(mine)}</td></tr>"
    return f"<table><tr><th>split</th><th>kept</th><th>people</th><th>samples</th><th>clips</th></tr>{rows}</table>"


def _dropped(records: Sequence[dict[str, Any]], strip: Callable[[str, str], Path]) -> str:
    by: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for record in records:
        for drop in record["dropped"]:
            by.setdefault(drop["reason"], []).append((record["label"], drop))
    rows = ""
    for reason, drops in sorted(by.items(), key=lambda pair: -sum(d["end_s"] - d["start_s"] for _, d in pair[1])):
        seconds = sum(drop["end_s"] - drop["start_s"] for _, drop in drops)
        first = {label: drop for label, drop in reversed(drops)}  # a clip has a strip of the first for each reason
        shown = "".join(_example(label, drop, strip) for label, drop in sorted(first.items())[:_STRIPS])
        rows += f"<tr><td>{escape(reason)}</td><td>{len(drops)}</td><td>{_hours(seconds)}</td>"
        rows += f"<td class='text'>{shown}</td></tr>"
    head = "<tr><th>why</th><th>stretches</th><th>time</th><th class='text'>such as</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else "<p>Nothing.</p>"


def _example(label: str, drop: dict[str, Any], strip: Callable[[str, str], Path]) -> str:
    said = f"{label}, {drop['start_s']:g} to {drop['end_s']:g} s"
    if drop.get("value") is not None:
        said += f": {drop['value']:.3g}" + (f", limit {drop['limit']:g}" if "limit" in drop else "")
    said += f": {drop['why']}" if "why" in drop else ""
    file = strip(label, drop["reason"])
    picture = ""
    if file.is_file():
        data = base64.b64encode(file.read_bytes()).decode()
        picture = f'<img alt="frames of it" src="data:image/jpeg;base64,{data}">'
    return f"<small>{escape(said)}</small>{picture}"


def _histograms(samples: Sequence[dict[str, Any]]) -> str:
    if not samples:
        return "<p>Nothing.</p>"
    columns = {title: [s["measures"].get(name) for s in samples] for name, title in _TITLES.items()}
    columns["seconds"] = [sample["frames"] / FPS for sample in samples]
    for by in sorted({s["sync"]["by"] for s in samples if s["sync"]}):
        columns[f"sync by {by}"] = [s["sync"]["score"] for s in samples if s["sync"].get("by") == by]
    return "".join(_histogram(title, [v for v in values if v is not None]) for title, values in columns.items())


def _histogram(title: str, values: Iterable[float]) -> str:
    known = torch.tensor(list(values), dtype=torch.float64)
    if not len(known):
        return ""
    low, high = float(known.min()), float(known.max())
    counts = torch.histc(known, _BINS, low, high if high > low else low + 1)
    step = _WIDE / _BINS
    bars = "".join(
        f'<rect x="{k * step:.1f}" y="{_HIGH - n / counts.max() * _HIGH:.1f}" width="{step - 1:.1f}" height="{_HIGH}"/>'
        for k, n in enumerate(counts)
    )
    told = f"{escape(title)}: {low:.3g} to {high:.3g}, median {float(known.median()):.3g}"
    box = f'viewBox="0 0 {_WIDE} {_HIGH}" preserveAspectRatio="none" role="img"'
    return f'<figure><svg {box} aria-label="{told}">{bars}</svg><figcaption>{told}</figcaption></figure>'


def _player(shown: tuple[str, str]) -> str:
    file, caption = shown
    video = f'<video controls preload="metadata" src="{escape(file)}"></video>' if file else ""
    return f"<figure>{video}<figcaption>{escape(caption)}</figcaption></figure>"


def _how(index: dict[str, Any]) -> str:
    settings = index["settings"]
    asked = ("size", "margin", "picture", "quality", "embeddings", "validation", "caption")
    said = {**index["tools"], **{f"--{name}": settings[name] for name in asked if settings[name] is not None}}
    said |= {f"limit: {REASONS.get(name, name)}": value for name, value in settings["limits"].items()}
    rows = "".join(f"<tr><td>{escape(k)}</td><td class='text'>{escape(str(v))}</td></tr>" for k, v in said.items())
    shards = "".join(
        f"<tr><td>{escape(s['file'])}</td><td class='text'>{len(s['samples'])} samples, {s['bytes'] / 1e6:.1f} MB, "
        f"sha256 {s['sha256'][:16]}…</td></tr>"
        for s in index["shards"]
    )
    return f"<table>{rows}{shards}</table>"
