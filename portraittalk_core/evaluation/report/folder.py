"""The folder of a report: results.json, results.csv and report.html, always whole, continued where it stopped.

results.json is the truth; `curves/` keeps what only the page shows and `features/` what figures of the whole set are
taken from, one file a clip each, so that a clip that is already scored need not be read again.
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

from ...errors import BadInput
from ...media.target import Partial
from ...media.write_errors import write_failure
from ..data.clips import Clip
from ..scoring.features import write_features
from ..scoring.figures import FIGURES
from ..scoring.scorer import Scored
from ..scoring.set_metrics import set_figures
from ..scoring.summary import paired_differences
from .page import Comparison, render_page

logger = logging.getLogger(__name__)

RESULTS, TABLE, PAGE = "results.json", "results.csv", "report.html"
"""Files of a report."""

CURVES, FEATURES = "curves", "features"
"""Folders of a report."""

_FACTS = ("frames", "frames_with_face", "fps", "width", "height", "sound_s", "voiced_s", "silent_s")


class Report:
    """The results of a run in a folder.

    What the folder already holds of the same clips under the same protocol counts as done.

    Args:
        folder: Where the report lies; made when it is first written.
        clips: All clips of this run, in the order of the tables.
        protocol: See `figures.protocol`.

    Attributes:
        folder: Where the report lies.
        clips: All clips of this run.
        protocol: How the figures are taken.
        set_figures: Figures of the whole set, see `set_metrics.set_figures`; {} until the report is finished.

    Raises:
        BadInput: When the folder holds something else under the name of results.json.
    """

    def __init__(self, folder: Path | str, clips: Sequence[Clip], protocol: dict[str, Any]) -> None:
        self.folder = Path(folder)
        self.clips = list(clips)
        self.protocol = protocol
        self.set_figures: dict[str, dict[str, Any]] = {}
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
            if clip is not None and clip.signature == record.get("signature") and self._complete(clip):
                self._records[clip.label] = record

    def _complete(self, clip: Clip) -> bool:
        """Say whether what lies beside the record of a clip is there."""
        compared = clip.reference is not None
        return self._shown_path(clip.label).is_file() and (not compared or self._features_path(clip).is_file())

    @property
    def pending(self) -> list[Clip]:
        """The clips that are not scored yet."""
        return [clip for clip in self.clips if clip.label not in self._records]

    @property
    def records(self) -> list[dict[str, Any]]:
        """The records so far, in the order of the clips."""
        return [self._records[clip.label] for clip in self.clips if clip.label in self._records]

    def add(self, scored: Scored) -> None:
        """Write a clip's results; from here on it counts as done, whatever happens next.

        Args:
            scored: Of one of the clips.

        Raises:
            BadMedia: When the folder cannot be written.
        """
        label = scored.record["file"]
        clip = next((clip for clip in self.clips if clip.label == label), None)
        if clip is not None and clip.reference is not None:
            write_features(self._features_path(clip), scored.features)
        self.set_figures = {}
        self._write(self._shown_path(label), json.dumps(scored.shown))
        self._records[label] = scored.record
        self._write(self.folder / RESULTS, json.dumps(self.results(), indent=1, ensure_ascii=False) + "\n")

    def results(self) -> dict[str, Any]:
        """Gather what results.json holds: `videos`, `set` once the report is finished, and `protocol`."""
        of_set = {"set": self.set_figures} if self.set_figures else {}
        return {"videos": self.records, **of_set, "protocol": self.protocol}

    def finish(self, compare: Path | str | None = None) -> Path:
        """Take the figures of the whole set, and write the table and the page.

        Args:
            compare: results.json of another run to be shown beside this one; None for none.

        Returns:
            The page.

        Raises:
            BadInput: When `compare` is no results.json.
            BadMedia: When what lies beside the results is damaged or the folder cannot be written.
        """
        done = [clip for clip in self.clips if clip.label in self._records]
        self.set_figures = set_figures(done, len(self.clips), self._features_path)
        self._write(self.folder / RESULTS, json.dumps(self.results(), indent=1, ensure_ascii=False) + "\n")
        self._write(self.folder / TABLE, table(self.records))
        shown = {label: json.loads(self._shown_path(label).read_text(encoding="utf-8")) for label in self._records}
        comparison = None if compare is None else self._comparison(Path(compare))
        self._write(self.folder / PAGE, render_page(self.results(), shown, comparison))
        return self.folder / PAGE

    def _comparison(self, path: Path) -> Comparison:
        other = read_results(path)
        differing = [k for k in self.protocol if self.protocol[k] != other["protocol"].get(k)]
        return Comparison(str(path), paired_differences(self.records, other["videos"]), differing, _set_values(other))

    def _shown_path(self, label: str) -> Path:
        return self.folder / CURVES / f"{_short(label)}.json"

    def _features_path(self, clip: Clip) -> Path:
        return self.folder / FEATURES / f"{_short(clip.label)}.safetensors"

    def _write(self, path: Path, text: str) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with Partial(path) as partial:
                partial.write_text(text, encoding="utf-8", errors="backslashreplace")  # names may be none
        except OSError as error:
            raise write_failure(path, error, "The report") from error


def _short(label: str) -> str:
    return hashlib.sha256(label.encode()).hexdigest()[:16]


def _set_values(results: dict[str, Any]) -> dict[str, float]:
    """Return the figures of the whole set that a run's results hold, maybe by an older version."""
    known = results.get("set") or {}
    return {key: entry["value"] for key, entry in known.items() if entry.get("value") is not None}


def read_results(path: Path | str) -> dict[str, Any]:
    """Read a results.json.

    Args:
        path: The file.

    Returns:
        What it holds, see `Report.results`.

    Raises:
        BadInput: When it is no results.json of ours.
    """
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
        whole = isinstance(found["protocol"], dict) and all(isinstance(r["file"], str) for r in found["videos"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput(
            f"`{path}` must be a results.json of `evaluate`, but cannot be read as one ({error})."
        ) from error
    if not whole:
        raise BadInput(f"`{path}` must be a results.json of `evaluate`, but is something else. Name another file.")
    return found


def table(records: Sequence[dict[str, Any]]) -> str:
    """Write records as CSV.

    Args:
        records: One a clip.

    Returns:
        The text: a row a clip, a missing figure empty, the lines `unscored` and `notes` joined in the last columns.
    """
    keys = [figure.key for figure in FIGURES if any(figure.key in record for record in records)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", *keys, *_FACTS, "unscored", "notes"])
    for record in records:
        values = ["" if record.get(key) is None else record[key] for key in (*keys, *_FACTS)]
        writer.writerow([record["file"], *values, " | ".join(record["unscored"]), " | ".join(record["notes"])])
    return buffer.getvalue()
