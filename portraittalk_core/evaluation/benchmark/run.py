"""Make and score the avatars benchmark, clip by clip, whatever stops it: what is finished is never made again.

The folder holds `material/` (speech, motion and truth of each case), `videos/VARIANT/`, `edits/` and the reports: that
of the full model in the folder itself, those of other variants in `variants/VARIANT/`.
"""

from __future__ import annotations

import functools
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...checkpoints.native import model_folder
from ...errors import BadInput
from ...media.audio import read_sound
from ...media.target import Partial
from ...stacks.prompts import PromptTrack, expression_track
from ...types import POSE, FaceMotion, Sound
from ..report.folder import Report
from ..scoring.figures import protocol
from ..scoring.network_files import NetworkFiles
from ..scoring.score import Clip, Scored, Scorer
from ..scoring.tracks import open_finder
from .avatars import FPS, LONGEST_S, PEOPLE, SENTENCES, AvatarCase, Material, draw_person, write_frames, write_wave
from .edits import judge_edits
from .engine import Engine, Lost
from .variants import FULL, SHIFT_FRAMES, UNSURE, Talker, Variant, make_frames, missing, named, prepared

Load = Callable[[str, str], Talker]
"""Loads a model by name onto a device."""


@dataclass(frozen=True)
class Settings:
    """What is made. steps: of denoising, None for the model's own; edits: whether prompt edits are judged too;
    variant_people: of how many people the variants beside the full model are made, None for all; files: networks that
    the user brought for scores."""

    folder: Path
    model: str = "tiny"
    device: str = "cpu"
    people: int = PEOPLE
    sentences: int = SENTENCES
    longest_s: float = LONGEST_S
    steps: int | None = None
    suite: str = "full"
    faces: str | None = None
    variants: tuple[str, ...] = (FULL.key,)
    edits: bool = True
    variant_people: int | None = None
    files: NetworkFiles = field(default_factory=NetworkFiles)

    def __post_init__(self) -> None:
        if self.people < 1 or self.sentences < 1:
            raise BadInput(f"`--people` must be 1 or more, but got {self.people} x {self.sentences}. Try {PEOPLE} x 2.")
        if self.variant_people is not None and not 1 <= self.variant_people <= self.people:
            raise BadInput(f"`--variant-people` must be 1 to {self.people}, but got {self.variant_people}. Try 16.")
        if not 1.5 <= self.longest_s <= 30:
            raise BadInput(f"`--seconds` must be from 1.5 to 30, but got {self.longest_s:g}. Try {LONGEST_S:g}.")
        named(self.variants)

    @property
    def cases(self) -> list[AvatarCase]:
        """Return the clips, all sentences of a person together."""
        return [AvatarCase(p, s, self.longest_s) for p in range(self.people) for s in range(self.sentences)]

    def cases_of(self, variant: Variant) -> list[AvatarCase]:
        """Return the clips of a variant."""
        most = self.people if variant.key == FULL.key else self.variant_people or self.people
        return [case for case in self.cases if case.person < most]

    def made_by(self) -> dict[str, Any]:
        """Return what a video depends on beside its case."""
        return {"model": self.model, "weights": fingerprint(self.model), "steps": self.steps, "device": self.device}


@dataclass(frozen=True)
class Job:
    """A piece of work. kind: probe, material, clip or edits."""

    kind: str
    case: AvatarCase
    variant: Variant = FULL

    @property
    def label(self) -> str:
        """Return what a progress bar says."""
        return f"{self.case.name} {self.variant.key if self.kind == 'clip' else self.kind}"

    def __str__(self) -> str:
        return self.label


class Worker:
    """Does jobs. The model is loaded when the first job needs it."""

    def __init__(self, settings: Settings, load: Load) -> None:
        self._settings, self._load = settings, load
        self._models: dict[str, Talker] = {}
        self._scorer: Scorer | None = None

    def __call__(self, job: Job) -> Any:
        """Return the reasons of skipped variants, nothing, a `Scored` or the edits, as the job's kind is."""
        return {"probe": self._probe, "material": self._material, "clip": self._clip, "edits": self._edits}[job.kind](
            job
        )

    def _model(self, variant: Variant) -> Talker:
        if FULL.key not in self._models:
            self._models[FULL.key] = self._load(self._settings.model, self._settings.device)
        if variant.key not in self._models:
            self._models[variant.key] = prepared(self._models[FULL.key], variant)
        return self._models[variant.key]

    def _probe(self, job: Job) -> dict[str, str]:
        reasons = {v.key: missing(self._model(FULL), v) for v in named(self._settings.variants)}
        return {key: reason for key, reason in reasons.items() if reason is not None}

    def _material(self, job: Job) -> None:
        Files(self._settings, job.case, job.variant).material.make()

    def _clip(self, job: Job) -> Scored:
        settings = self._settings
        self._scorer = self._scorer or Scorer(open_finder(settings.faces), settings.suite, settings.files)
        files = Files(self._settings, job.case, job.variant)
        if not files.made:
            self._make(job, files)
        return self._scorer.score(files.clip)

    def _make(self, job: Job, files: Files) -> None:
        case, variant, sound = job.case, job.variant, read_sound(files.material.sound)
        for path in (files.video, files.facts):
            path.parent.mkdir(parents=True, exist_ok=True)
        person, take = draw_person(case.person), files.material.take()
        facts: dict[str, float] = {}
        if variant.key == "shifted-audio":
            write_wave(files.sound, late(sound, SHIFT_FRAMES / FPS))
        elif variant.key == "still":
            write_frames(files.video, person.portrait.expand(len(take.rows), -1, -1, -1), sound)
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
        identity = model.identify([person.portrait])

        def picture(prompt: str) -> Float[Tensor, "3 h w"]:
            return at_rest(model, identity, prompt, job.case.seed, self._settings.steps)

        return {"person": person.number, "edits": judge_edits(person, picture)}


def at_rest(model: Any, identity: Any, prompt: str, seed: int, steps: int | None = None) -> Float[Tensor, "3 h w"]:
    """Return one picture of a person at rest, wearing what the prompt says and the expression that it asks for."""
    prompts = PromptTrack(prompt, (), FPS, 1)
    expression = expression_track(model.networks.preparation.text, prompts)
    rest = torch.tensor([[float(name == "scale") for name in POSE]])
    maps = model.structure(FaceMotion(expression, rest, FPS), identity)
    video = next(model.animate(identity, maps, None, prompts, seed=seed, steps=steps))
    return next(model.decode(video)).pixels[0]


@dataclass(frozen=True)
class Files:
    """Where things of one clip lie."""

    settings: Settings
    case: AvatarCase
    variant: Variant

    @property
    def material(self) -> Material:
        """Return the files that the clip is made from; clips cut elsewhere have a folder of their own."""
        return Material(self.settings.folder / "material" / f"{self.case.longest_s:g}s", self.case)

    @property
    def video(self) -> Path:
        """Return the video that is scored."""
        if self.variant.key == "truth":
            return self.material.truth
        key = FULL.key if self.variant.key == "shifted-audio" else self.variant.key
        return self.settings.folder / "videos" / key / f"{self.case.name}.mp4"

    @property
    def facts(self) -> Path:
        """Return what was noted when it was made."""
        return self.settings.folder / "videos" / self.variant.key / f"{self.case.name}.json"

    @property
    def sound(self) -> Path:
        """Return the sound that it is scored with."""
        shifted = self.variant.key == "shifted-audio"
        return self.facts.with_suffix(".wav") if shifted else self.material.sound

    @property
    def made(self) -> bool:
        """Say whether it is there and was made by these weights in this way."""
        if not (self.video.is_file() and self.sound.is_file()):
            return False
        return self.variant.key == "truth" or self._noted().get("made_by") == self.settings.made_by()

    @property
    def clip(self) -> Clip:
        """Return what is scored, with what was noted."""
        facts = {} if self.variant.key == "truth" else self._noted().get("facts", {})
        return Clip(self.video, self.case.name, self.sound, self.material.truth, facts)

    def _noted(self) -> dict[str, Any]:
        return read_json(self.facts)


@dataclass
class Benchmark:
    """A run in a folder. reports: by variant; skipped: variants that the weights cannot show, with the reason; edits:
    one record a person; lost: lines about what could not be made."""

    settings: Settings
    load: Load
    engine: Engine = field(default_factory=Engine)
    reports: dict[str, Report] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    edits: dict[int, dict[str, Any]] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        finder, suite = open_finder(self.settings.faces).name, self.settings.suite
        sound, truth = "each clip's uncompressed speech", "the true rendering, H.264 like the clips"
        shared = protocol(suite, finder, sound, truth, self.settings.files)
        for variant in named(self.settings.variants):
            clips = [Files(self.settings, case, variant).clip for case in self.settings.cases_of(variant)]
            self.reports[variant.key] = Report(self._home(variant), clips, shared | self._protocol(variant))
        for number in range(self.settings.people if self.settings.edits else 0):
            stored = read_json(self._edits_file(number))
            if stored.get("made_by") == self.settings.made_by():
                self.edits[number] = stored

    def __len__(self) -> int:
        """Return how many jobs are left."""
        return sum(len(jobs) for jobs in self._phases())

    def run(self) -> Iterator[Job]:
        """Do what is left; yield every job when its result is written. Raises `MissingExtra` without espeak-ng."""
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
        first = [AvatarCase(n, 0, self.settings.longest_s) for n in range(self.settings.people)]
        unsure = any(job.variant.key in UNSURE for job in clips)
        return [
            [Job("probe", cases[0])] if unsure else [],
            [Job("material", case) for case in cases if not Files(self.settings, case, FULL).material.done],
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
        """Write all reports; return the page of the full model's."""
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
            "benchmark": f"avatars, clips cut at {self.settings.longest_s:g} s, {FPS:g} fps",
            "made by": "the renderer" if variant.key == "truth" else made,
            "variant": f"{variant.title}: {variant.how}",
        }


@functools.cache
def fingerprint(model: str) -> str:
    """Return a short name of a model's weights: changed files, another name."""
    digest = hashlib.sha256()
    for file in sorted(model_folder(model).glob("*.safetensors")):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


def late(sound: Sound, by_s: float) -> Sound:
    """Return a sound `by_s` seconds later and as long as it was, silent before."""
    count = round(by_s * sound.sample_rate)
    samples = sound.samples
    moved = torch.cat([samples.new_zeros(len(samples), count), samples[:, : samples.shape[1] - count]], 1)
    return Sound(moved, sound.sample_rate)


def peak_mib(device: str) -> float:
    """Return the most memory held so far, MiB: the tensors on an accelerator, else this process (0 where unknown)."""
    measure = getattr(torch.get_device_module(device), "max_memory_allocated", None)
    if measure is not None:
        return measure(device) / 2**20
    if sys.platform.startswith("linux"):
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="ignore")
        return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM:")), 0.0)
    return 0.0


def read_json(path: Path) -> dict[str, Any]:
    """Return an object from a file; empty where there is none that can be read."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
