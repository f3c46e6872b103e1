"""Train a model on shards, from its first stage to a folder that generation takes."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors.torch import load_file

from .. import builders
from ..checkpoints.hearing import Hearing, save_hearing
from ..checkpoints.native import ASSETS as SHIPPED
from ..checkpoints.native import save_denoiser
from ..config import ModelConfig, TrainingConfig
from ..config_file import to_mapping
from ..errors import BadInput
from .checkpoint import Checkpoints
from .denoiser.low_rank import export_low_rank, folded
from .denoiser.shard_bank import bank_name
from .denoiser.stages import ASSETS, train_stage
from .denoiser.validation import validation_on
from .ground import make_ground
from .listening import choose_hearing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """Everything that makes a model of shards."""

    model: ModelConfig
    """What is trained."""

    runs: tuple[TrainingConfig, ...]
    """In order; each begins with what those before it learned."""

    shards: Path
    """Of `portraittalk prepare`."""

    out: Path
    """Where runs and the model lie."""

    sources: Mapping[str, str] = field(default_factory=dict[str, str])
    """Public files to begin with, see `ground.make_ground`; none for a model that begins with nothing."""

    parts: Mapping[str, Path] = field(default_factory=dict[str, Path])
    """Other networks than the shipped ones: `vae`, `text`, `warp`."""

    start: tuple[Path, ...] = ()
    """Weights to begin with besides."""

    speech: str | None = None
    """The speech encoder that audio attention listens with, see `listening.choose_hearing`; None leaves the choice."""


def train_program(program: Program) -> bool:
    """Do the runs that are not finished, then put the model together in `model` of the folder.

    Args:
        program: What is done.

    Returns:
        Whether every run is finished; the same call goes on.

    Raises:
        BadConfig: When model and runs cannot go together.
        BadInput: When something to begin with is missing, or is of another model.
        TrainingStopped: When a loss goes wrong.
    """
    model, parts, start, hearing = _begin(program)
    names = run_names(program.runs)
    for name, run in zip(names, program.runs, strict=True):
        place = program.out / name
        if not is_finished(place, run):
            options: dict[str, Any] = {**parts, "hearing": hearing}
            train_stage(
                run, place, data=program.out / bank_name(run), people=program.shards, model=model, start=start,
                validate=validation_on(program.shards, run, model, parts, hearing) if run.validate_every else None,
                faces=None if run.stream else ASSETS / "faces", **options,
            )  # fmt: skip
        PartialState(cpu=not torch.accelerator.is_available()).wait_for_everyone()  # the first writes the checkpoint
        start = (*start, place / "model.safetensors")
        if not is_finished(place, run):
            return False
    if PartialState().is_main_process:
        pack_model(program.out / "model", model, start, parts, _record(program, model, hearing), hearing)
    return True


def run_names(runs: Sequence[TrainingConfig]) -> list[str]:
    """Return the folders of runs: `stage1`, `stage2`, numbered where a stage has several.

    Args:
        runs: In order.
    """
    alone = [sum(other.stage == run.stage for other in runs) == 1 for run in runs]
    return [
        f"stage{run.stage}" if single else f"run{k}" for k, (run, single) in enumerate(zip(runs, alone, strict=True))
    ]


def is_finished(place: Path, run: TrainingConfig) -> bool:
    """Say whether a run has had its steps, or its time.

    Args:
        place: Its folder.
        run: What it is.
    """
    newest = Checkpoints(place).newest()
    if newest is None:
        return False
    state = torch.load(newest / "state.pt", weights_only=True, map_location="cpu", mmap=True)
    return bool(run.max_steps and state["step"] >= run.max_steps) or state["seconds"] / 60 >= run.minutes - 0.1


def pack_model(
    folder: Path,
    model: ModelConfig,
    files: Sequence[Path],
    parts: Mapping[str, Path],
    record: Mapping[str, Any],
    hearing: Hearing | None = None,
) -> None:
    """Write a folder that `generate --model FOLDER` takes, in half precision.

    Args:
        folder: Where it will lie.
        model: What was trained.
        files: Weights, later ones over earlier ones; what is in none of them is as it was made.
        parts: Networks that are not shipped: `vae`, `text`, `warp`.
        record: How it was made.
        hearing: What its audio attention listens with; the shipped encoder by default.
    """
    torch.manual_seed(0)
    nets = {"unet": builders.unet(model), **dict(builders.adapters(model).named_children())}
    own = {f"{name}.{key}": value for name, net in nets.items() for key, value in net.state_dict().items()}
    for file in files:
        stored = folded(load_file(file), own)
        if foreign := [name for name in stored if name not in own or own[name].shape != stored[name].shape]:
            raise BadInput(f"{file}: is of another model, which has {foreign[:5]}. Pack the model that was trained.")
        own |= stored
    save_denoiser(folder / "denoiser.safetensors", own, model)
    shipped = SHIPPED / "tiny"
    places = {"vae": parts.get("vae"), "text": parts.get("text"), "dense_motion": parts.get("warp")}
    for name in ("vae", "text", "dense_motion", "face_parsing", "speech", "motion", "structure"):
        shutil.copyfile(places.get(name) or shipped / f"{name}.safetensors", folder / f"{name}.safetensors")
    text = parts.get("text") or shipped / "text.safetensors"
    for extra in (text.with_name("tokenizer"), text.with_name("tokenizer.json")):
        if extra.is_dir():
            shutil.copytree(extra, folder / extra.name, dirs_exist_ok=True)
        elif extra.is_file():
            shutil.copyfile(extra, folder / extra.name)
    if hearing is not None and not hearing.is_shipped:
        save_hearing(folder, hearing)
    shutil.copytree(shipped / "faces", folder / "faces", dirs_exist_ok=True)
    (folder / "record.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    logger.info("%s: the model", folder)


def export_lora(out: Path, file: Path) -> int:
    """Write what a program learned in low rank as a LoRA file.

    Args:
        out: Folder of the program.
        file: Of the LoRA.

    Returns:
        How many layers it changes.

    Raises:
        BadInput: When no run learned anything of the kind.
    """
    for place in sorted(out.glob("*/model.safetensors")):
        if layers := export_low_rank(file, load_file(place)):
            return layers
    raise BadInput(
        f"{out}: holds no run with `unet_rank`, so nothing is low-rank. Train one, or leave --export-lora out."
    )


def _begin(program: Program) -> tuple[ModelConfig, dict[str, Path], tuple[Path, ...], Hearing]:
    """Return the model, the networks that are not the shipped ones, the weights to begin with, and what listens."""
    state = PartialState(cpu=not torch.accelerator.is_available())
    with state.main_process_first():  # the others find what it has written
        hearing = choose_hearing(program.out, program.shards, program.speech, public=bool(program.sources))
        model = replace(program.model, audio_dim=hearing.width)
        if not program.sources:
            return model, dict(program.parts), program.start, hearing
        ground = make_ground(program.out / "ground", model, program.sources)
    parts = {"vae": ground.vae, "text": ground.text, **program.parts}
    return ground.model, parts, (ground.start, *program.start), hearing


def _record(program: Program, model: ModelConfig, hearing: Hearing) -> dict[str, Any]:
    runs = list[dict[str, Any]]()
    for name, run in zip(run_names(program.runs), program.runs, strict=True):
        newest = Checkpoints(program.out / name).newest()
        assert newest is not None  # it is finished
        state = torch.load(newest / "state.pt", weights_only=True, map_location="cpu", mmap=True)
        reached = {key: state[key] for key in ("step", "samples", "seconds")}
        runs.append({"name": name, **reached, "settings": to_mapping(run)})
    made = {"model": to_mapping(model), "shards": str(program.shards), "sources": dict(program.sources)}
    return {**made, "speech": {"name": hearing.name, "width": hearing.width}, "runs": runs}


def limited(runs: Sequence[TrainingConfig], **options: Any) -> tuple[TrainingConfig, ...]:
    """Return runs in which options of the command line win.

    Args:
        runs: Of a recipe.
        **options: Fields; those that are None do not count.
    """
    given = {name: value for name, value in options.items() if value is not None}
    return tuple(replace(run, **given) for run in runs)
