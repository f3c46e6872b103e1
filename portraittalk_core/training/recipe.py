"""Train a model's denoiser, resumable: `python -m portraittalk_core.training.recipe`.

A recipe is a TOML file: which model is trained (tiny where it does not say), and a list of runs, each a stage at a
picture size that begins with what the run before it learned. Training begins on small pictures: what hair, clothes and a turned
head look like is learned four times as fast there. What the denoiser stands on is trained before: text, speech,
structure and faces (`portraittalk train --part …`), people to look at (`training.people.bank`), the dense motion
(`training.dense.train`) and the VAE (`training.pictures`).
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import PartialState

from ..checkpoints.native import load_text_encoder, load_vae, read_modules, save_denoiser, save_modules
from ..config import ModelConfig, TrainingConfig, read_toml
from .denoiser.stages import ASSETS, build_objective, load_weights, train_stage
from .model import ModelChoice, read_model

logger = logging.getLogger(__name__)

TOML = Path(__file__).with_name("tiny.toml")
"""The recipe of the shipped model."""


@dataclass(frozen=True)
class Recipe:
    """Everything that is trained on pictures."""

    model: ModelChoice = "tiny"
    """What is trained: a preset's name, a TOML file beside the recipe, or a table; see `model.read_model`."""

    ranks: int = 1
    """Processes that train; a small CPU prefers one of one thread for each core."""

    runs: tuple[TrainingConfig, ...] = ()
    """In order; each has an own folder `run0`, `run1` … and begins with what the one before it learned."""


@dataclass(frozen=True)
class Ground:
    """What a denoiser stands on."""

    people: Path
    """Folder of rendered people, of `training.people.bank`."""

    vae: Path = ASSETS / "vae.safetensors"
    """Makes latents."""

    warp: Path = ASSETS / "dense_motion.safetensors"
    """Moves the reference."""

    faces: Path | None = ASSETS / "faces"
    """The face pack, whose recogniser says who somebody is; None trains without."""

    speech: Path | None = None
    """The features that stage 2 needs; `denoiser.clips` makes them."""


def train_recipe(
    recipe: Recipe,
    model: ModelConfig,
    work: Path,
    ground: Ground,
    limit_s: float = float("inf"),
    start: Path | None = None,
) -> bool:
    """Go on with a recipe, for a while.

    Args:
        recipe: What is done.
        model: What is trained: the recipe's, as `read_model` reads it.
        work: Folder of banks, checkpoints and curves.
        ground: What was made before.
        limit_s: Seconds after which to stop.
        start: A denoiser that the first run begins with; None begins with nothing.

    Returns:
        Whether the recipe is finished.

    Raises:
        BadConfig: When the model's parts, or model and runs, cannot go together.
        BadInput: When something to begin with is missing, or is of another model.
    """
    end = time.monotonic() + limit_s
    before = start
    for number, run in enumerate(recipe.runs):
        out = work / f"run{number}"
        left = min(run.minutes - minutes_spent(out), (end - time.monotonic()) / 60)
        if left > 0.05:
            train_stage(
                dataclasses.replace(run, minutes=left),
                out,
                data=work / f"bank{run.stage}",
                people=ground.people,
                model=model,
                vae=ground.vae,
                warp=ground.warp,
                faces=ground.faces,
                start=before,
                speech=ground.speech,
                end=end,
            )
        PartialState(cpu=not torch.accelerator.is_available()).wait_for_everyone()  # the first writes the checkpoint
        if minutes_spent(out) < run.minutes - 0.1:
            return False
        before = out / "model.safetensors"
    return True


def pack(
    work: Path,
    out: Path,
    ground: Ground,
    runs: int | None = None,
    start: Path | None = None,
    model: ModelConfig | None = None,
) -> None:
    """Write what was trained as a part of a model: `vae`, `dense_motion` and `denoiser.safetensors`.

    Args:
        work: Folder of the recipe.
        out: Folder of the model.
        ground: What the denoiser stands on.
        runs: How many runs count, from the first; all by default.
        start: What the first of them began with.
        model: What was trained; tiny by default.
    """
    model, vae = model or read_model(), load_vae(ground.vae)
    objective = build_objective(model, TrainingConfig(), load_text_encoder(ASSETS / "text.safetensors"), vae)
    trained = sorted(work.glob("run*/model.safetensors"), key=lambda file: int(file.parent.name.removeprefix("run")))
    load_weights(objective, *([] if start is None else [start]), *trained[:runs])
    tensors = {k: v for k, v in objective.state_dict().items() if not k.startswith(("text.", "vae."))}
    save_denoiser(out / "denoiser.safetensors", tensors, model)
    for name, file in (("vae", ground.vae), ("dense_motion", ground.warp)):
        config, tensors = read_modules(file)
        save_modules(out / f"{name}.safetensors", tensors, config)


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
    parser.add_argument("--people", type=Path, required=True, help="rendered people; training.people.bank draws them")
    parser.add_argument("--vae", type=Path, default=Ground.vae, help="a VAE's weights (the shipped ones)")
    parser.add_argument("--warp", type=Path, default=Ground.warp, help="a dense motion's weights (the shipped ones)")
    parser.add_argument("--faces", type=Path, default=Ground.faces, help="folder of a face pack (the shipped one)")
    parser.add_argument("--no-faces", action="store_true", help="train without face embeddings")
    parser.add_argument("--speech", type=Path, help="speech features for stage 2; training.denoiser.clips makes them")
    parser.add_argument("--config", type=Path, default=TOML, help="a recipe (tiny.toml)")
    parser.add_argument(
        "--start", type=Path, metavar="FILE", help="a denoiser to go on with, as it was packed (begin with nothing)"
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
    ground = Ground(given.people, given.vae, given.warp, None if given.no_faces else given.faces, given.speech)
    if recipe.ranks > 1 and not given.pack and "WORLD_SIZE" not in os.environ:
        sys.exit(_launch(recipe.ranks))
    if given.pack:
        pack(given.work, given.pack, ground, given.runs, given.start, model)
        return
    done = train_recipe(recipe, model, given.work, ground, given.limit, given.start)
    logger.info("finished" if done else "not finished: run again to go on")


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
