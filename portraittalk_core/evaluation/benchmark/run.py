"""Make and score the people benchmark, clip by clip, whatever stops it: what is finished is never made again.

The folder holds `material/` (speech, motion and truth of each case), `videos/VARIANT/`, `edits/` and the reports: that
of the full model in the folder itself, those of other variants in `variants/VARIANT/`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...media.target import Partial
from ..engine import Engine, Lost
from ..report.folder import Report
from ..scoring.figures import protocol
from ..scoring.tracks import open_finder
from .people import FPS, PersonCase
from .settings import CaseFiles, Settings, read_json
from .variants import FULL, UNSURE, Variant, named
from .worker import Job, Load, Worker


@dataclass
class Benchmark:
    """A run in a folder."""

    settings: Settings
    """What it makes."""

    load: Load
    """Loads the model."""

    engine: Engine = field(default_factory=Engine)
    """Where jobs run."""

    reports: dict[str, Report] = field(default_factory=dict)
    """By the variant's key."""

    skipped: dict[str, str] = field(default_factory=dict)
    """Variants that the weights cannot show, by key, with the reason."""

    edits: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By the person's number: `edits`, see `edits.judge_edits`, and what they were `made_by`."""

    lost: list[str] = field(default_factory=list)
    """A line for each job that killed its workers."""

    def __post_init__(self) -> None:
        finder, suite = open_finder(self.settings.faces).name, self.settings.suite
        sound, truth = "each clip's uncompressed speech", "the true rendering, H.264 like the clips"
        shared = protocol(suite, finder, sound, truth, self.settings.files)
        for variant in named(self.settings.variants):
            clips = [CaseFiles(self.settings, case, variant).clip for case in self.settings.cases_of(variant)]
            self.reports[variant.key] = Report(self._home(variant), clips, shared | self._protocol(variant))
        for number in range(self.settings.people if self.settings.edits else 0):
            stored = read_json(self._edits_file(number))
            if stored.get("made_by") == self.settings.made_by():
                self.edits[number] = stored

    def __len__(self) -> int:
        """Count the jobs that are left."""
        return sum(len(jobs) for jobs in self._phases())

    def run(self) -> Iterator[Job]:
        """Do what is left.

        Yields:
            Every job when its result is written.

        Raises:
            MissingExtra: When there is no espeak-ng and speech must be made.
        """
        for phase in self._phases():
            for job, result in self.engine.run([j for j in phase if j.variant.key not in self.skipped], self._build()):
                if isinstance(result, Lost):
                    self.lost.append(f"{job.label}: {result.reason}")
                else:
                    self._keep(job, result)
                yield job

    def _build(self) -> Callable[[], Worker]:
        settings, load = self.settings, self.load  # the reports stay here, only these two travel
        return lambda: Worker(settings, load)

    def _phases(self) -> list[list[Job]]:
        """Return what is left, in the order in which it must be: what a job needs is made before it."""
        cases = self.settings.cases
        pending = {key: {clip.label for clip in report.pending} for key, report in self.reports.items()}
        clips = [
            Job("clip", case, v) for case in cases for v in named(self.settings.variants) if case.name in pending[v.key]
        ]
        first = [PersonCase(n, 0, self.settings.longest_s) for n in range(self.settings.people)]
        unsure = any(job.variant.key in UNSURE for job in clips)
        return [
            [Job("probe", cases[0])] if unsure else [],
            [Job("material", case) for case in cases if not CaseFiles(self.settings, case, FULL).material.done],
            [job for job in clips if job.variant.key != "shifted-audio"],
            [job for job in clips if job.variant.key == "shifted-audio"],
            [Job("edits", c) for c in first if c.person not in self.edits] if self.settings.edits else [],
        ]

    def _keep(self, job: Job, result: Any) -> None:
        if job.kind == "probe":
            self.skipped = result
        elif job.kind == "clip":
            self.reports[job.variant.key].add(result)
        elif job.kind == "edits":
            self.edits[job.case.person] = {**result, "made_by": self.settings.made_by()}
            file = self._edits_file(job.case.person)
            file.parent.mkdir(parents=True, exist_ok=True)
            with Partial(file) as partial:
                partial.write_text(json.dumps(self.edits[job.case.person]), encoding="utf-8")

    def finish(self) -> Path:
        """Write all reports.

        Returns:
            The page of the full model's.
        """
        for key, report in self.reports.items():
            if key not in self.skipped:
                report.finish(None if key == FULL.key else self.reports[FULL.key].folder / "results.json")
        return self.reports[FULL.key].folder / "report.html"

    def _home(self, variant: Variant) -> Path:
        folder = self.settings.folder
        return folder if variant.key == FULL.key else folder / "variants" / variant.key

    def _edits_file(self, number: int) -> Path:
        return self.settings.folder / "edits" / f"p{number:03d}.json"

    def _protocol(self, variant: Variant) -> dict[str, Any]:
        made = ", ".join(f"{key} {value}" for key, value in self.settings.made_by().items() if value is not None)
        return {
            "benchmark": f"people, clips cut at {self.settings.longest_s:g} s, {FPS:g} fps",
            "made by": "the renderer" if variant.key == "truth" else made,
            "variant": f"{variant.title}: {variant.how}",
        }
