"""Train the tiny model from nothing to its weights: VAE, judge, stage 1, stage 2, in this order, resumable.

Speech, text, structure and faces are trained before (`portraittalk train --part …`), since they need no pictures of
the denoiser. Usage: `python -m portraittalk_core.training.recipe --work runs/tiny`; `tiny.toml` beside this file says
how much of everything.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import os
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from ..config import TrainingConfig, read_toml
from .bank import Album, draw_album, render_frames
from .stages import ASSETS, train_stage
from .vae import HELD_OUT, score_vae, train_vae

logger = logging.getLogger(__name__)

TOML = Path(__file__).with_name("tiny.toml")


@dataclass(frozen=True)
class PictureConfig:
    """Pictures and minutes for the networks that look at pixels: the VAE, and the judge of the benchmark."""

    people: int = 3000
    minutes: float = 5.0
    batch: int = 64
    crop: int = 128
    rate: float = 1.5e-3
    judge_minutes: float = 1.5


@dataclass(frozen=True)
class Recipe:
    """Everything that is trained on pictures; people and clips: how many stage 1 and stage 2 draw."""

    pictures: PictureConfig = field(default_factory=PictureConfig)
    people: int = 20_000
    clips: int = 4000
    processes: int = 1
    stage1: TrainingConfig = field(default_factory=TrainingConfig)
    stage2: TrainingConfig = field(default_factory=lambda: TrainingConfig(stage=2))


def train_tiny(recipe: Recipe, work: Path, speech: Path, limit_s: float = float("inf")) -> bool:
    """Go on with the recipe in `work` for at most `limit_s` seconds; return whether it is finished.

    speech: the features that stage 2 needs, see `training/clips.py`.
    """
    end = time.monotonic() + limit_s
    device = torch.device("cpu") if not torch.accelerator.is_available() else torch.accelerator.current_accelerator()
    assets = _gather_assets(work)
    if not (assets / "vae.safetensors").exists():
        _train_on_pictures(recipe, work, device)
    for stage, people in ((recipe.stage1, recipe.people), (recipe.stage2, recipe.clips)):
        out = work / f"stage{stage.stage}"
        left = min(stage.minutes - _minutes_spent(out), (end - time.monotonic()) / 60)
        if left > 0.05:
            train_stage(
                dataclasses.replace(stage, minutes=left),
                out,
                data=work / f"bank{stage.stage}",
                people=people,
                assets=assets,
                speech=speech,
                processes=recipe.processes,
                device=device,
                end=end,
            )
        if _minutes_spent(out) < stage.minutes - 0.1:
            return False
    return True


def _gather_assets(work: Path) -> Path:
    """Return a folder with the networks trained before, to which the VAE will be added."""
    folder = work / "assets"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("text.safetensors", "tokenizer.json"):
        shutil.copy(ASSETS / name, folder / name)
    shutil.copytree(ASSETS / "faces", folder / "faces", dirs_exist_ok=True)
    return folder


def _train_on_pictures(recipe: Recipe, work: Path, device: torch.device) -> None:
    from ..hosts.diffusers_models import build_tiny_vae
    from .judge import train_judge
    from .vae import CONFIG

    chosen = recipe.pictures
    frames, landmarks, album = _pictures(chosen.people, recipe.processes, device)
    file = train_vae(
        frames, landmarks, work / "vae", chosen.minutes, batch=chosen.batch, crop=chosen.crop, rate=chosen.rate
    )
    vae = build_tiny_vae(**CONFIG)
    from safetensors.torch import load_file

    vae.load_state_dict(load_file(file))
    scores = score_vae(vae.to(device), frames[-HELD_OUT:], landmarks[-HELD_OUT:].to(device))
    logger.info("vae: %s", scores)
    (work / "vae" / "scores.json").write_text(json.dumps(scores))
    if chosen.judge_minutes > 0:
        person = torch.from_numpy(album.person).to(device)
        train_judge(frames, person, album.tags, work / "judge.safetensors", chosen.judge_minutes)
    part = work / "assets" / "vae.part"
    shutil.copy(file, part)
    os.replace(part, work / "assets" / "vae.safetensors")


def _pictures(people: int, processes: int, device: torch.device) -> tuple[Tensor, Tensor, Album]:
    album = draw_album(range(300_000, 300_000 + people), processes=processes)
    start = time.monotonic()
    frames = torch.cat(list(render_frames(album.parameters, device)))
    logger.info("rendered %d frames in %.0f s", len(frames), time.monotonic() - start)
    return frames, album.landmarks(), album


def _minutes_spent(out: Path) -> float:
    file = out / "state.pt"
    return torch.load(file, weights_only=True, map_location="cpu")["seconds"] / 60 if file.exists() else 0.0


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="banks, checkpoints, curves; run again to go on")
    parser.add_argument("--speech", type=Path, required=True, help="speech features, see training/clips.py")
    parser.add_argument("--config", type=Path, default=TOML, help="a recipe (tiny.toml)")
    parser.add_argument("--limit", type=float, default=float("inf"), metavar="SECONDS", help="stop after so long")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    recipe = read_toml(Recipe, arguments.config)
    done = train_tiny(recipe, arguments.work, arguments.speech, arguments.limit)
    logger.info("finished" if done else "not finished: run again to go on")


if __name__ == "__main__":
    main()
