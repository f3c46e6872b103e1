"""Train a model's VAE and denoiser from nothing to weights, resumable: `python -m portraittalk_core.training.recipe`.

A recipe is a TOML file: which model is trained (tiny where it does not say), which pictures are drawn, how the VAE and
the judge of the benchmark are trained on them, and a list of runs, each a stage at a picture size that begins with what
the run before it learned. Training begins on small pictures: what hair, clothes and a turned head look like is learned
four times as fast there. Text, speech, structure and faces are trained before (`portraittalk train --part …`), for they
need no denoiser.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from accelerate import PartialState

from ..checkpoints.native import load_text_encoder, load_vae, read_modules, save_denoiser, save_modules
from ..config import ModelConfig, TrainingConfig, read_toml
from .denoiser.stages import ASSETS, build_objective, load_weights, train_stage
from .model import ModelChoice, read_model
from .pictures import PictureConfig, train_benchmark_judge, train_decoder, train_pictures

logger = logging.getLogger(__name__)

TOML = Path(__file__).with_name("tiny.toml")
"""The recipe of the shipped model."""


@dataclass(frozen=True)
class Recipe:
    """Everything that is trained on pictures."""

    model: ModelChoice = "tiny"
    """What is trained: a preset's name, a TOML file beside the recipe, or a table; see `model.read_model`."""

    people: int = 2000
    """Avatars in the bank of stage 1."""

    appearances: int = 2
    """Of each of them: other hair, clothes, background."""

    frames: int = 2
    """Of each appearance: another expression and pose."""

    clips: int = 400
    """Clips that stage 2 draws."""

    processes: int = 1
    """That draw avatars."""

    ranks: int = 1
    """Processes that train; a small CPU prefers one of one thread for each core."""

    pictures: PictureConfig = field(default_factory=PictureConfig)
    """How the VAE and the judge are trained."""

    runs: tuple[TrainingConfig, ...] = ()
    """In order; each has an own folder `run0`, `run1` … and begins with what the one before it learned."""


def train_recipe(
    recipe: Recipe,
    model: ModelConfig,
    work: Path,
    speech: Path,
    limit_s: float = float("inf"),
    start: Path | None = None,
) -> bool:
    """Go on with a recipe, for a while.

    Args:
        recipe: What is done.
        model: What is trained: the recipe's, as `read_model` reads it.
        work: Folder of banks, checkpoints and curves.
        speech: The features that stage 2 needs; `denoiser.clips` makes them.
        limit_s: Seconds after which to stop.
        start: A denoiser that the first run begins with, seen through the VAE beside it, or else the shipped one; None
            begins with nothing and trains the VAE first.

    Returns:
        Whether the recipe is finished.

    Raises:
        BadConfig: When the model's parts, or model and runs, cannot go together.
        BadInput: When something to begin with is missing, or is of another model.
    """
    end = time.monotonic() + limit_s
    vae = _vae(work, start)
    if start is None and not (work / "vae" / "scores.json").exists():
        train_pictures(recipe.pictures, work, recipe.processes, model.unet.latent_channels)
    before = start
    for number, run in enumerate(recipe.runs):
        out = work / f"run{number}"
        left = min(run.minutes - minutes_spent(out), (end - time.monotonic()) / 60)
        if left > 0.05:
            train_stage(
                dataclasses.replace(run, minutes=left),
                out,
                data=work / f"bank{run.stage}",
                people=recipe.clips if run.stage == 2 else recipe.people,
                model=model,
                appearances=recipe.appearances,
                frames=recipe.frames,
                vae=vae,
                start=before,
                speech=speech,
                processes=recipe.processes,
                end=end,
            )
        PartialState(cpu=not torch.accelerator.is_available()).wait_for_everyone()  # the first writes the checkpoint
        if minutes_spent(out) < run.minutes - 0.1:
            return False
        before = out / "model.safetensors"
    return True


def _vae(work: Path, start: Path | None) -> Path:
    """Return the VAE of a run: its own, or that of the denoiser which it begins with."""
    if start is None:
        return work / "vae" / "vae.safetensors"
    beside = start.with_name("vae.safetensors")
    return beside if beside.exists() else ASSETS / "vae.safetensors"


def pack(
    work: Path, out: Path, runs: int | None = None, start: Path | None = None, model: ModelConfig | None = None
) -> None:
    """Write what was trained as a model: `vae.safetensors` and `denoiser.safetensors`.

    Args:
        work: Folder of the recipe.
        out: Folder of the model.
        runs: How many runs count, from the first; all by default.
        start: What the first of them began with.
        model: What was trained; tiny by default.
    """
    model, file = model or read_model(), _vae(work, start)
    vae = load_vae(file)
    objective = build_objective(model, TrainingConfig(), load_text_encoder(ASSETS / "text.safetensors"), vae)
    trained = sorted(work.glob("run*/model.safetensors"), key=lambda file: int(file.parent.name.removeprefix("run")))
    load_weights(objective, *([] if start is None else [start]), *trained[:runs])
    tensors = {k: v for k, v in objective.state_dict().items() if not k.startswith(("text.", "vae."))}
    save_denoiser(out / "denoiser.safetensors", tensors, model)
    save_modules(out / "vae.safetensors", vae.state_dict(), read_modules(file)[0])


def minutes_spent(out: Path) -> float:
    """Return for how many minutes the run in a folder has been trained.

    Args:
        out: The folder.
    """
    file = out / "state.pt"
    return torch.load(file, weights_only=True, map_location="cpu")["seconds"] / 60 if file.exists() else 0.0


def main() -> None:
    """Read the command line and train, in several processes where the recipe asks for them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="banks, checkpoints, curves; run again to go on")
    parser.add_argument(
        "--speech",
        type=Path,
        default=Path("runs/clips/speech_clips.npz"),
        help="speech features; training.denoiser.clips makes them",
    )
    parser.add_argument("--config", type=Path, default=TOML, help="a recipe (tiny.toml)")
    parser.add_argument(
        "--start", type=Path, metavar="FILE", help="a denoiser to go on with, as it was packed (begin with nothing)"
    )
    parser.add_argument(
        "--part",
        choices=("denoiser", "decoder", "judge"),
        default="denoiser",
        help="denoiser (with the VAE before it), then the VAE's decoder alone, then the judge of the benchmark",
    )
    parser.add_argument("--limit", type=float, default=float("inf"), metavar="SECONDS", help="stop after so long")
    parser.add_argument(
        "--pack", type=Path, metavar="FOLDER", help="write what was trained so far there, train nothing"
    )
    parser.add_argument("--runs", type=int, metavar="N", help="with --pack: only the first N runs (all)")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = read_toml(Recipe, given.config)
    model = read_model(recipe.model, given.config.parent)
    if recipe.ranks > 1 and given.part == "denoiser" and not given.pack and "WORLD_SIZE" not in os.environ:
        sys.exit(_launch(recipe.ranks))
    if given.part == "decoder":
        train_decoder(recipe.pictures, given.work, recipe.processes, model.unet.latent_channels)
    elif given.part == "judge":
        train_benchmark_judge(recipe.pictures, given.work, recipe.processes)
    elif not given.pack:
        done = train_recipe(recipe, model, given.work, given.speech, given.limit, given.start)
        logger.info("finished" if done else "not finished: run again to go on")
    else:
        pack(given.work, given.pack, given.runs, given.start, model)


def _launch(ranks: int) -> int:
    """Run this command again as so many processes, of one thread each on a CPU; Accelerate finds its rank in them."""
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torchrun(torchrun_arguments(ranks, __spec__.name, sys.argv[1:]))
    return 0


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
