"""The folder of a report: results.json, results.csv and report.html, always whole, continued where it stopped.

results.json is the truth; `curves/` keeps what only the page shows and `features/` the rows for figures of the whole
set, one file a clip each, so that a clip that is already scored need not be looked at again.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...errors import BadInput, BadMedia
from ...media.target import Partial
from ..scoring.figures import FIGURES
from ..scoring.score import Clip, Scored
from ..scoring.set_metrics import set_figures, write_rows
from ..scoring.summary import paired_differences
from .page import Comparison, render_page

logger = logging.getLogger(__name__)

RESULTS, TABLE, PAGE = "results.json", "results.csv", "report.html"
CURVES, FEATURES = "curves", "features"

_FACTS = ("frames", "frames_with_face", "fps", "width", "height", "sound_s", "voiced_s", "silent_s")


class Report:
    """The results of a run in a folder.

    clips: all of this run, in the order of the tables; protocol: see `figures.protocol`. What the folder already holds
    of the same clips under the same protocol counts as done. Raises `BadInput` where it holds something else under our
    file's name, `BadMedia` where it cannot be written.
    """

    def __init__(self, folder: Path | str, clips: Sequence[Clip], protocol: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.clips = list(clips)
        self.protocol = protocol
        self.whole: dict[str, dict[str, Any]] = {}
        self._records: dict[str, dict[str, Any]] = {}
        self._continue()

    def _continue(self) -> None:
        path = self.folder / RESULTS
        if not path.exists():
            return
        stored = read_results(path)
        if stored["protocol"] != self.protocol:
            logger.warning("%s was made under another protocol; every clip is scored again.", path)
            return
        clips = {clip.label: clip for clip in self.clips}
        for record in stored["videos"]:
            clip = clips.get(record["file"])
            if clip is not None and clip.signature == record.get("signature") and self._whole(clip):
                self._records[clip.label] = record

    def _whole(self, clip: Clip) -> bool:
        """Say whether what lies beside the record of a clip is there."""
        compared = clip.reference is not None
        return self._shown_path(clip.label).is_file() and (not compared or self._rows_path(clip).is_file())

    @property
    def pending(self) -> list[Clip]:
        """The clips that are not scored yet."""
        return [clip for clip in self.clips if clip.label not in self._records]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records so far, in the order of the clips."""
        return [self._records[clip.label] for clip in self.clips if clip.label in self._records]

    def add(self, scored: Scored) -> None:
        """Write a clip's results; from here on it counts as done, whatever happens next."""
        label = scored.record["file"]
        clip = next((clip for clip in self.clips if clip.label == label), None)
        if clip is not None and clip.reference is not None:
            write_rows(self._rows_path(clip), scored.rows)
        self.whole = {}
        self._write(self._shown_path(label), json.dumps(scored.shown))
        self._records[label] = scored.record
        self._write(self.folder / RESULTS, json.dumps(self.results(), indent=1, ensure_ascii=False) + "\n")

    def results(self) -> dict[str, Any]:
        """Return what results.json holds; figures of the whole set only when all clips are done."""
        whole = {"set": self.whole} if self.whole else {}
        return {"videos": self.records, **whole, "protocol": self.protocol}

    def finish(self, compare: Path | str | None = None) -> Path:
        """Write the table and the page, with another run's results beside ours where asked; return the page's path.

        Figures of the whole set are taken here. Raises `BadMedia` where what lies beside the results is damaged.
        """
        self.whole = set_figures([c for c in self.clips if c.label in self._records], len(self.clips), self._rows_path)
        self._write(self.folder / RESULTS, json.dumps(self.results(), indent=1, ensure_ascii=False) + "\n")
        self._write(self.folder / TABLE, table(self.records))
        shown = {label: json.loads(self._shown_path(label).read_text(encoding="utf-8")) for label in self._records}
        comparison = None if compare is None else self._comparison(Path(compare))
        self._write(self.folder / PAGE, render_page(self.results(), shown, comparison))
        return self.folder / PAGE

    def _comparison(self, path: Path) -> Comparison:
        other = read_results(path)
        differing = [k for k in self.protocol if self.protocol[k] != other["protocol"].get(k)]
        return Comparison(str(path), paired_differences(self.records, other["videos"]), differing, _values(other))

    def _shown_path(self, label: str) -> Path:
        return self.folder / CURVES / f"{_short(label)}.json"

    def _rows_path(self, clip: Clip) -> Path:
        return self.folder / FEATURES / f"{_short(clip.label)}.safetensors"

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with Partial(path) as partial:
                partial.write_text(text, encoding="utf-8")
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadMedia(f"The report `{path}` cannot be written ({reason}). Choose another folder.") from error


def _short(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:16]


def _values(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures of the whole set that a run's results hold, maybe by an older version."""
    known = results.get("set") or {}
    return {key: entry["value"] for key, entry in known.items() if entry.get("value") is not None}


def read_results(path: Path | str) -> dict[str, Any]:
    """Return a results.json; raises `BadInput` for what is none."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        whole = isinstance(found["protocol"], dict) and all(isinstance(r["file"], str) for r in found["videos"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(
            f"`{path}` must be a results.json of `evaluate`, but cannot be read as one ({error})."
        ) from error
    if not whole:
        raise BadInput(f"`{path}` must be a results.json of `evaluate`, but is something else. Name another file.")
    return found


def table(records: Sequence[dict[str, Any]]) -> str:
    """Return the records as CSV: a row a clip, a missing figure empty, the lines joined in the last columns."""
    keys = [figure.key for figure in FIGURES if any(figure.key in record for record in records)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", *keys, *_FACTS, "unscored", "notes"])
    for record in records:
        values = ["" if record.get(key) is None else record[key] for key in (*keys, *_FACTS)]
        writer.writerow([record["file"], *values, " | ".join(record["unscored"]), " | ".join(record["notes"])])
    return buffer.getvalue()
