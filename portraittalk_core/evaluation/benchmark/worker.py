"""The pieces of work of a benchmark, and what does them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...media.audio import read_sound
from ...media.target import Partial
from ...pipeline import PortraitTalk
from ...types import Sound
from ..scoring.scorer import Scored, Scorer
from ..scoring.tracks import open_finder
from .edits import at_rest, judge_edits
from .material import write_frames, write_wave
from .memory import peak_mib
from .people import FPS, PersonCase, draw_person
from .settings import CaseFiles, Settings
from .variants import FULL, SHIFT_FRAMES, Variant, make_frames, missing, named, prepared, tiny_stack

Load = Callable[[str, str], PortraitTalk]
"""Loads a model by name onto a device."""


@dataclass(frozen=True)
class Job:
    """A piece of work."""

    kind: str
    """`probe` the weights for untrained parts, make the `material`, make and score the `clip`, or judge the `edits`."""

    case: PersonCase
    """What it is about; of `edits` the person alone."""

    variant: Variant = FULL
    """How the clip is made."""

    @property
    def label(self) -> str:
        """What a progress bar says."""
        return f"{self.case.name} {self.variant.key if self.kind == 'clip' else self.kind}"

    def __str__(self) -> str:
        """Give the label, for messages of the engine."""
        return self.label


class Worker:
    """Does jobs. The model is loaded when the first job needs it.

    Args:
        settings: Of the run.
        load: Loads the model.
    """

    def __init__(self, settings: Settings, load: Load) -> None:
        self._settings, self._load = settings, load
        self._models: dict[str, PortraitTalk] = {}
        self._scorer: Scorer | None = None

    def __call__(self, job: Job) -> Any:
        """Do a job.

        Args:
            job: What is to be done.

        Returns:
            Of `probe` the reasons of variants that are skipped, by key; of `material` None; of `clip` its `Scored`; of
            `edits` a record of the person.
        """
        kinds = {"probe": self._probe, "material": self._material, "clip": self._clip, "edits": self._edits}
        return kinds[job.kind](job)

    def _model(self, variant: Variant) -> PortraitTalk:
        if FULL.key not in self._models:
            self._models[FULL.key] = self._load(self._settings.model, self._settings.device)
        if variant.key not in self._models:
            self._models[variant.key] = prepared(self._models[FULL.key], variant)
        return self._models[variant.key]

    def _probe(self, job: Job) -> dict[str, str]:
        reasons = {v.key: missing(self._model(FULL), v) for v in named(self._settings.variants)}
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def _material(self, job: Job) -> None:
        CaseFiles(self._settings, job.case, job.variant).material.make()

    def _clip(self, job: Job) -> Scored:
        settings = self._settings
        self._scorer = self._scorer or Scorer(open_finder(settings.faces), settings.suite, settings.files)
        files = CaseFiles(self._settings, job.case, job.variant)
        if not files.made:
            self._make(job, files)
        return self._scorer.score(files.clip)

    def _make(self, job: Job, files: CaseFiles) -> None:
        case, variant, sound = job.case, job.variant, read_sound(files.material.sound)
        for path in (files.video, files.facts):
            path.parent.mkdir(parents=True, exist_ok=True)
        person, take = draw_person(case.person), files.material.take()
        facts: dict[str, float] = {}
        if variant.key == "shifted-audio":
            write_wave(files.sound, late(sound, SHIFT_FRAMES / FPS))
        elif variant.key == "still":
            write_frames(files.video, person.portrait.expand(len(take.blendshapes), -1, -1, -1), sound)
        else:
            model = self._model(variant)
            started = time.monotonic()
            frames = torch.cat(list(make_frames(model, variant, case, person, take, self._settings.steps)))
            facts["seconds_per_second"] = round((time.monotonic() - started) / (len(frames) / FPS), 3)
            facts["peak_mib"] = round(peak_mib(self._settings.device), 1)
            write_frames(files.video, frames, sound)
        with Partial(files.facts) as partial:
            partial.write_text(json.dumps({"made_by": self._settings.made_by(), "facts": facts}), encoding="utf-8")

    def _edits(self, job: Job) -> dict[str, Any]:
        model, person = self._model(FULL), draw_person(job.case.person)
        identity = tiny_stack(model).identify([person.portrait])

        def picture(prompt: str) -> Float[Tensor, "3 h w"]:
            return at_rest(model, identity, prompt, job.case.seed, self._settings.steps)

        return {"person": person.number, "edits": judge_edits(person, picture)}


def late(sound: Sound, by_s: float) -> Sound:
    """Delay a sound.

    Args:
        sound: The sound.
        by_s: Seconds.

    Returns:
        A sound as long as it was, silent before.
    """
    count = round(by_s * sound.sample_rate)
    samples = sound.samples
    moved = torch.cat([samples.new_zeros(len(samples), count), samples[:, : samples.shape[1] - count]], 1)
    return Sound(moved, sound.sample_rate)
