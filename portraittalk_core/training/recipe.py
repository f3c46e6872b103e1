"""Train a model's denoiser, resumable: `python -m portraittalk_core.training.recipe`.

A recipe is a TOML file: which model is trained (tiny where it does not say), and a list of runs, each a stage at a
picture size that begins with what the runs before it learned. Training begins on small pictures: what hair, clothes and
a turned head look like is learned four times as fast there. What the denoiser stands on is trained before, as
`portraittalk train --part …` does: text, speech, structure and faces, people to look at and people who speak, the dense
motion and the VAE.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState
from safetensors.torch import load_file

from ..checkpoints.native import (
    load_text_encoder,
    load_vae,
    read_modules,
    save_denoiser,
    save_modules,
    second_stage,
)
from ..config import ModelConfig, TrainingConfig
from ..config_file import read_toml
from ..errors import BadInput
from .denoiser.assembly import build_objective, load_weights
from .denoiser.stages import ASSETS, train_stage
from .model import ModelChoice, read_model

logger = logging.getLogger(__name__)

TOML = Path(__file__).with_name("tiny.toml")
"""The recipe of the shipped model."""


_READ_EMBEDDINGS = ("identity_net.image_proj.proj.0.weight", "animate_net.identity.token_proj.proj.0.weight")


@dataclass(frozen=True)
class Recipe:
    """Everything that is trained on pictures."""

    model: ModelChoice = "tiny"
    """What is trained: a preset's name, a TOML file beside the recipe, or a table; see `model.read_model`."""

    ranks: int = 1
    """Processes that train; a small CPU prefers one of one thread for each core."""

    runs: tuple[TrainingConfig, ...] = ()
    """In order; each has an own folder `run0`, `run1` … and begins with what those before it learned."""


@dataclass(frozen=True)
class Ground:
    """What a denoiser stands on."""

    people: Path
    """Folder of rendered people, of `training.people.bank`."""

    vae: Path = ASSETS / "vae.safetensors"
    """Makes latents."""

    text: Path = ASSETS / "text.safetensors"
    """Reads captions."""

    warp: Path = ASSETS / "dense_motion.safetensors"
    """Moves the reference."""

    faces: Path | None = ASSETS / "faces"
    """The face pack, whose recogniser says who somebody is; None trains without."""

    clips: Path | None = None
    """Folder of people who speak, of `denoiser.clip_bank`, which stage 2 needs."""

    speech: Path | None = None
    """What they say: features that `denoiser.clips` made, which stage 2 needs as well."""


_MAKERS = {"clips": "clip_bank", "speech": "clips"}


def train_recipe(
    recipe: Recipe,
    model: ModelConfig,
    work: Path,
    ground: Ground,
    limit_s: float = float("inf"),
    start: Path | None = None,
    stage: int | None = None,
    by_time: bool = False,
) -> bool:
    """Go on with a recipe, for a while.

    Args:
        recipe: What is done.
        model: What is trained: the recipe's, as `read_model` reads it.
        work: Folder of banks, checkpoints and curves.
        ground: What was made before.
        limit_s: Seconds after which to stop.
        start: A denoiser that the first run begins with; None begins with nothing.
        stage: Whose runs are done; None does all.
        by_time: See `loop.train`.

    Returns:
        Whether that is finished.

    Raises:
        BadConfig: When the model's parts, or model and runs, cannot go together.
        BadInput: When something to begin with is missing, or is of another model.
    """
    chosen = [run for run in recipe.runs if stage in (None, run.stage)]
    for what, maker in (("clips", "clip_bank"), ("speech", "clips")):
        if getattr(ground, what) is None and any(run.stage == 2 for run in chosen):
            raise BadInput(f"stage 2 needs `{what}`, which training.denoiser.{maker} makes. Name it, or stage 1 alone.")
    end = time.monotonic() + limit_s
    before = [] if start is None else [start]  # a run writes what it trained, which may be little: all of them count
    for number, run in enumerate(recipe.runs):
        out = work / f"run{number}"
        left = min(run.minutes - minutes_spent(out), (end - time.monotonic()) / 60)
        if run in chosen and left > 0.05:
            train_stage(
                dataclasses.replace(run, minutes=left),
                out,
                data=work / f"bank{run.stage}",
                people=ground.clips if run.stage == 2 and ground.clips else ground.people,
                model=model,
                vae=ground.vae,
                text=ground.text,
                warp=ground.warp,
                faces=ground.faces,
                start=tuple(before),
                speech=ground.speech,
                end=end,
                by_time=by_time,
            )
        PartialState(cpu=not torch.accelerator.is_available()).wait_for_everyone()  # the first writes the checkpoint
        if run in chosen and minutes_spent(out) < run.minutes - 0.1:
            return False
        if (out / "model.safetensors").exists():
            before.append(out / "model.safetensors")
    return True


def pack(
    work: Path,
    out: Path,
    ground: Ground,
    runs: int | None = None,
    start: Path | None = None,
    model: ModelConfig | None = None,
    stage: int | None = None,
) -> None:
    """Write what was trained as a part of a model: `vae`, `dense_motion` and `denoiser.safetensors`.

    Of stage 2 alone only what it learned is written, as `denoiser_stage2.safetensors`, which lies beside a denoiser.

    Args:
        work: Folder of the recipe.
        out: Folder of the model.
        ground: What the denoiser stands on.
        runs: How many runs count, from the first; all by default.
        start: What the first of them began with.
        model: What was trained; tiny by default.
        stage: 2 for what stage 2 learned alone.
    """
    model, vae = model or read_model(), load_vae(ground.vae)
    objective = build_objective(model, TrainingConfig(), load_text_encoder(ground.text), vae)
    trained = sorted(work.glob("run*/model.safetensors"), key=lambda file: int(file.parent.name.removeprefix("run")))
    if stage == 2:
        learned = {name: tensor for file in trained[:runs] for name, tensor in load_file(file).items()}
        save_denoiser(second_stage(out / "denoiser.safetensors"), learned, model)
        return
    load_weights(objective, *([] if start is None else [start]), *trained[:runs])
    tensors = {k: v for k, v in objective.state_dict().items() if not k.startswith(("text.", "vae."))}
    if ground.faces is None:  # what never saw an embedding must not be thrown off by one
        tensors |= {name: torch.zeros_like(tensors[name]) for name in _READ_EMBEDDINGS}
    save_denoiser(out / "denoiser.safetensors", tensors, model)
    for name, file in (("vae", ground.vae), ("dense_motion", ground.warp)):
        config, tensors = read_modules(file)
        save_modules(out / f"{name}.safetensors", tensors, config)


def is_finished(config: Path, work: Path) -> bool:
    """Say whether every run of a recipe has had its time.

    Args:
        config: The recipe's file.
        work: Its folder.
    """
    return all(minutes_spent(work / f"run{k}") >= r.minutes - 0.1 for k, r in enumerate(read_toml(Recipe, config).runs))


def minutes_spent(out: Path) -> float:
    """Return for how many minutes the run in a folder has been trained.

    Args:
        out: The folder.
    """
    file = out / "state.pt"
    return torch.load(file, weights_only=True, map_location="cpu")["seconds"] / 60 if file.exists() else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and train, in several processes where the recipe asks for them.

    Args:
        arguments: Of the command line; None takes the program's.
    """
    own = sys.argv[1:] if arguments is None else list(arguments)
    given = _parser().parse_args(own)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = read_toml(Recipe, given.config)
    model = read_model(recipe.model, given.config.parent)
    faces = None if given.no_faces else given.faces
    ground = Ground(given.people, given.vae, given.text, given.warp, faces, given.clips, given.speech)
    if recipe.ranks > 1 and not given.pack and "WORLD_SIZE" not in os.environ:
        _launch(recipe.ranks, own)
        return
    if given.pack:
        pack(given.work, given.pack, ground, given.runs, given.start, model, given.stage)
        return
    done = train_recipe(recipe, model, given.work, ground, given.limit, given.start, given.stage)
    logger.info("finished" if done else "not finished: run again to go on")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--work", type=Path, required=True, help="banks, checkpoints, curves; run again to go on")
    add("--people", type=Path, required=True, help="rendered people; training.people.bank draws them")
    add("--vae", type=Path, default=Ground.vae, help="a VAE's weights (the shipped ones)")
    add("--text", type=Path, default=Ground.text, help="a text encoder's weights (the shipped ones)")
    add("--warp", type=Path, default=Ground.warp, help="a dense motion's weights (the shipped ones)")
    add("--faces", type=Path, default=Ground.faces, help="folder of a face pack (the shipped one)")
    add("--no-faces", action="store_true", help="train without face embeddings")
    add("--clips", type=Path, help="people who speak, for stage 2; training.denoiser.clip_bank draws them")
    add("--speech", type=Path, help="what they say; training.denoiser.clips makes it")
    add("--config", type=Path, default=TOML, help="a recipe (tiny.toml)")
    add("--stage", type=int, choices=(1, 2), help="do, or pack, the runs of this stage (both)")
    add("--start", type=Path, metavar="FILE", help="a denoiser to go on with, as it was packed (begin with nothing)")
    add("--limit", type=float, default=float("inf"), metavar="SECONDS", help="stop after so long")
    add("--pack", type=Path, metavar="FOLDER", help="write what was trained so far there, train nothing")
    add("--runs", type=int, metavar="N", help="with --pack: only the first N runs (all)")
    return parser


def _launch(ranks: int, own: list[str]) -> None:
    """Run this command again as so many processes, of one thread each on a CPU; Accelerate finds its rank in them."""
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torchrun(torchrun_arguments(ranks, __spec__.name, own))


def torchrun_arguments(ranks: int, module: str, own: list[str]) -> list[str]:
    """Return torchrun's arguments that run a module with arguments of its own, which torchrun must not read as its.

    Args:
        ranks: Processes.
        module: By its full name.
        own: The module's arguments.
    """
    return ["--standalone", "--nproc-per-node", str(ranks), "-m", "--", module, *own]


if __name__ == "__main__":
    main()
