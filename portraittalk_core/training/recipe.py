"""Train the tiny model's VAE and denoiser from nothing to weights, resumable: `python -m …training.recipe`.

A recipe is a TOML file: which pictures are drawn, how the VAE and the judge of the benchmark are trained on them, and
a list of runs, each a stage at a picture size that begins with what the run before it learned. Training begins on
small pictures: what hair, clothes and a turned head look like is learned four times as fast there. Text, speech,
structure and faces are trained before (`portraittalk train --part …`), for they need no denoiser.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from jaxtyping import UInt8
from torch import Tensor

from .. import presets
from ..checkpoints.native import load_text_encoder, load_vae, save_denoiser, save_modules
from ..config import TrainingConfig, read_toml
from ..hosts.devices import default_device
from .denoiser.bank import Album, draw_album, render_frames
from .denoiser.stages import ASSETS, build_objective, load_weights, train_stage
from .vae import HELD_OUT, score_vae, train_vae

logger = logging.getLogger(__name__)

TOML = Path(__file__).with_name("tiny.toml")

PICTURES_FROM = 300_000
"""Seed of the first person that the VAE and the judge see; those of the denoiser count from 0."""


@dataclass(frozen=True)
class PictureConfig:
    """Pictures and minutes for the networks that look at pixels: the VAE, and the judge of the benchmark.

    people, looks, frames: what the VAE learns from; decoder_minutes: go on with its decoder alone when the denoiser is
    trained, which leaves latents as they are; decoder_people: whom it sees then, one frame a look; judge_people: whom
    the judge sees, one frame each.
    """

    people: int = 300
    looks: int = 2
    frames: int = 2
    minutes: float = 18.0
    batch: int = 4
    crop: int = 96
    rate: float = 4e-3
    decoder_minutes: float = 0.0
    decoder_people: int = 1000
    judge_people: int = 20000
    judge_minutes: float = 0.0
    judge_batch: int = 256
    judge_width: int = 32


@dataclass(frozen=True)
class Recipe:
    """Everything that is trained on pictures.

    people, looks, frames: the bank of stage 1; clips: how many stage 2 draws; processes: that draw albums; ranks: that
    train (a small CPU prefers one of one thread for each core); runs: in order, each an own folder of `work`.
    """

    people: int = 2000
    looks: int = 2
    frames: int = 2
    clips: int = 400
    processes: int = 1
    ranks: int = 1
    pictures: PictureConfig = field(default_factory=PictureConfig)
    runs: tuple[TrainingConfig, ...] = ()


def train_tiny(
    recipe: Recipe, work: Path, speech: Path, limit_s: float = float("inf"), start: Path | None = None
) -> bool:
    """Go on with the recipe in `work` for at most `limit_s` seconds; return whether it is finished.

    speech: the features that stage 2 needs, see `training/clips.py`; start: a denoiser that the first run begins with,
    seen through the shipped VAE; None begins with nothing and trains the VAE first.
    """
    end = time.monotonic() + limit_s
    vae = _vae(work, start)
    if start is None and not (work / "vae" / "scores.json").exists():
        train_pictures(recipe.pictures, work, recipe.processes)
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
                looks=recipe.looks,
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


def train_pictures(chosen: PictureConfig, work: Path, processes: int) -> None:
    """Train the VAE and score it on held-out frames."""
    device = default_device()
    people = range(PICTURES_FROM, PICTURES_FROM + chosen.people)
    album = draw_album(people, looks=chosen.looks, frames=chosen.frames, processes=processes)
    frames, landmarks = torch.cat(list(render_frames(album.parameters, device))), album.landmarks()
    options: dict[str, Any] = {"batch": chosen.batch, "crop": chosen.crop, "rate": chosen.rate}
    file = train_vae(frames, landmarks, work / "vae", chosen.minutes, **options)
    _score(file, frames, landmarks)


def train_decoder(chosen: PictureConfig, work: Path, processes: int) -> None:
    """Go on training the VAE's decoder, and score the VAE anew."""
    people = range(PICTURES_FROM + chosen.people, PICTURES_FROM + chosen.people + chosen.decoder_people)
    frames, album = draw_pictures(people, chosen.looks, work / "pictures.npy", processes)
    options: dict[str, Any] = {
        "batch": chosen.batch,
        "crop": chosen.crop,
        "rate": chosen.rate / 2,
        "decoder_only": True,
    }
    landmarks = album.landmarks()
    _score(train_vae(frames, landmarks, work / "vae", chosen.decoder_minutes, **options), frames, landmarks)


def train_benchmark_judge(chosen: PictureConfig, work: Path, processes: int) -> None:
    """Train the network that judges people and edits in the benchmark, or go on training it."""
    from .judge import SIZE, train_judge

    first = PICTURES_FROM + chosen.people + chosen.decoder_people
    people = range(first, first + chosen.judge_people)
    frames, album = draw_pictures(people, 1, work / "judge_pictures.npy", processes, SIZE)
    file = work / "judge.safetensors"
    options: dict[str, Any] = {"batch": chosen.judge_batch, "width": chosen.judge_width}
    if file.exists():
        options |= {"start": file, "seed": zlib.crc32(file.read_bytes())}  # other pictures in another order
    train_judge(frames, album.parameters, album.tags, file, chosen.judge_minutes, **options)


def draw_pictures(
    people: range, looks: int, file: Path, processes: int, size: int = 256
) -> tuple[UInt8[Tensor, "n 3 size size"], Album]:
    """Return pictures of people, one a look, rendered once and kept in `file`, and what they show.

    What they were drawn from is kept beside them: pictures of other people than the samplers draw now are made anew,
    and where there are more people now, theirs are added.
    """
    album = draw_album(people, looks=looks, frames=1, processes=processes)
    device = default_device()
    drawn = file.with_suffix(".drawn.npy")
    known, count = _alike(drawn, album.parameters.numpy()) if file.exists() else 0, len(album.parameters)
    if known < count:
        before = [torch.from_numpy(np.load(file)[:known])] if known else []
        fresh = render_frames(album.parameters[known:], device, size=size)
        rendered = torch.cat([*before, *(part.cpu() for part in fresh)])
        for target, array in ((file, rendered), (drawn, album.parameters)):
            part = target.with_suffix(".part.npy")
            np.save(part, array.numpy())
            part.rename(target)
    return torch.from_numpy(np.load(file)[:count]).to(device), album


def _alike(file: Path, parameters: np.ndarray) -> int:
    """Return how many rows, from the first, are those stored in the file: all that it has in common, or none."""
    stored = np.load(file) if file.exists() else parameters[:0]
    common = min(len(stored), len(parameters))
    return common if np.array_equal(stored[:common], parameters[:common]) else 0


def _score(file: Path, frames: Tensor, landmarks: Tensor) -> None:
    vae: Any = load_vae(file)
    scores = score_vae(vae.to(frames.device), frames[-HELD_OUT:], landmarks[-HELD_OUT:].to(frames.device))
    logger.info("vae: %s", scores)
    (file.parent / "scores.json").write_text(json.dumps(scores))


def _vae(work: Path, start: Path | None) -> Path:
    return work / "vae" / "vae.safetensors" if start is None else ASSETS / "vae.safetensors"


def pack(work: Path, out: Path, runs: int | None = None, start: Path | None = None) -> None:
    """Write what was trained, by the first `runs` runs, as a model: `vae.safetensors` and `denoiser.safetensors`.

    start: what the first of them began with.
    """
    from .vae import CONFIG

    config = presets.tiny()
    vae = load_vae(_vae(work, start))
    objective = build_objective(config, TrainingConfig(), load_text_encoder(ASSETS / "text.safetensors"), vae)
    trained = sorted(work.glob("run*/model.safetensors"), key=lambda file: int(file.parent.name.removeprefix("run")))
    load_weights(objective, *([] if start is None else [start]), *trained[:runs])
    tensors = {k: v for k, v in objective.state_dict().items() if not k.startswith(("text.", "vae."))}
    save_denoiser(out / "denoiser.safetensors", tensors, config)
    save_modules(out / "vae.safetensors", vae.state_dict(), CONFIG)


def minutes_spent(out: Path) -> float:
    """Return for how long a run has been trained."""
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
        help="speech features, see training/clips.py",
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
    if recipe.ranks > 1 and given.part == "denoiser" and not given.pack and "WORLD_SIZE" not in os.environ:
        sys.exit(_launch(recipe.ranks))
    if given.part == "decoder":
        train_decoder(recipe.pictures, given.work, recipe.processes)
    elif given.part == "judge":
        train_benchmark_judge(recipe.pictures, given.work, recipe.processes)
    elif not given.pack:
        done = train_tiny(recipe, given.work, given.speech, given.limit, given.start)
        logger.info("finished" if done else "not finished: run again to go on")
    else:
        pack(given.work, given.pack, given.runs, given.start)


def _launch(ranks: int) -> int:
    """Run this command again as so many processes, of one thread each on a CPU; Accelerate finds its rank in them."""
    from torch.distributed.run import main as torchrun

    os.environ.setdefault("OMP_NUM_THREADS", "1")
    torchrun(torchrun_arguments(ranks, __spec__.name, sys.argv[1:]))
    return 0


def torchrun_arguments(ranks: int, module: str, own: list[str]) -> list[str]:
    """Return torchrun's arguments that run a module with arguments of its own, which torchrun must not read as its."""
    return ["--standalone", "--nproc-per-node", str(ranks), "-m", "--", module, *own]


if __name__ == "__main__":
    main()
