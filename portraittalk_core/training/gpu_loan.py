"""Train the denoiser on a machine that is lent for some minutes: draw, train, score and pack within a budget.

    python -m portraittalk_core.training.gpu_loan --out runs/loan --speech speech_clips.npz --minutes 10

The processors draw people first, then, while the first stage trains, people who speak for the second. What was drawn
when a share of the time is over is what is learned from. The runs of the recipe get the rest, each in proportion to its
minutes, and their learning rates fall with the time, for nobody knows the machine's speed. `report.json` says what was
done, in how many seconds, and the losses on people who are held out. Make the speech before: `training.denoiser.clips`.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import json
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch

from ..checkpoints.native import load_text_encoder, load_vae
from ..config import ModelConfig, TrainingConfig
from ..config_file import read_toml
from ..errors import BadInput
from ..hosts.devices import default_device
from .denoiser.assembly import build_objective, load_weights
from .denoiser.bank import EncodedBank, FrameEncoders, encode_bank
from .denoiser.clip_bank import draw_clips, encode_clips, open_clip_bank
from .denoiser.clips import load_speech_clips
from .denoiser.score import score_clips, score_pairs
from .denoiser.stages import frame_encoders
from .model import picture_sizes, read_model
from .people.bank import draw_bank, open_bank
from .recipe import Ground, Recipe, pack, train_recipe

logger = logging.getLogger(__name__)

TOML = Path(__file__).with_name("tiny_gpu.toml")
"""The recipe that is fitted to the time."""

DRAW, END = 0.2, 0.08
"""Shares of the time: that people are drawn in before training, and that is left for scoring and packing."""

HELD_OUT = 90
"""The shard of people, and of clips, that is scored on."""

_PRELOAD = ["portraittalk_core.training.denoiser.stages", "transformers.models.clip.modeling_clip"]


@dataclass
class Loan:
    """A budget, and what was done in it."""

    end: float
    """When it is over, as `time.monotonic` counts."""

    start: float = field(default_factory=time.monotonic)
    """When it began."""

    report: dict[str, Any] = field(default_factory=dict)
    """Seconds of every part, and what it found."""

    file: Path | None = None
    """Where the report is written after every part, since a loan may end before its last."""

    @property
    def whole_s(self) -> float:
        """How long it is."""
        return self.end - self.start

    @property
    def left_s(self) -> float:
        """What is left of it."""
        return self.end - time.monotonic()

    def measured(self, name: str, part: Callable[[], Any]) -> Any:
        """Do a part; its seconds go into the report.

        Args:
            name: Of the part.
            part: Does it.
        """
        begun = time.monotonic()
        found = part()
        self.report[name] = {"seconds": round(time.monotonic() - begun, 1)}
        logger.info("%s: %s, %.0f s left", name, self.report[name], self.left_s)
        self.write()
        return found

    def write(self) -> None:
        """Write the report."""
        if self.file is not None:
            self.file.write_text(json.dumps(self.report, indent=1), encoding="utf-8")


class Drawing:
    """Processes that draw shards until they are stopped; a shard that is not complete does not count."""

    def __init__(self, draw: Callable[[Sequence[int]], None], jobs: int, shards: int) -> None:
        """Begin.

        Args:
            draw: Draws shards by their numbers; can be pickled.
            jobs: Processes.
            shards: How many at most; one more is drawn first, to be held out.
        """
        context = multiprocessing.get_context("spawn")
        numbers = [HELD_OUT, *range(min(shards, HELD_OUT))]
        self._processes: list[BaseProcess] = [
            context.Process(target=draw, args=(numbers[k::jobs],), daemon=True) for k in range(jobs)
        ]
        for process in self._processes:
            process.start()

    def stop(self, after_s: float) -> None:
        """Let them draw for some seconds more, or until they are done.

        Args:
            after_s: Seconds.
        """
        end = time.monotonic() + after_s
        for process in self._processes:
            process.join(max(0.0, end - time.monotonic()))
        for process in self._processes:
            process.terminate()
            process.join()


def draw_people(numbers: Sequence[int], folder: Path, textures: Path | None) -> None:
    """Draw shards of people, in a process of its own.

    Args:
        numbers: Of the shards.
        folder: Of the bank.
        textures: See `people.bank.draw_bank`.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    for k in numbers:
        draw_bank(folder, range(k, k + 1), textures)


def draw_speakers(numbers: Sequence[int], folder: Path, speech: Path, textures: Path | None) -> None:
    """Draw shards of clips, in a process of its own; the held-out one into a folder beside.

    Args:
        numbers: Of the shards.
        folder: Of the clips.
        speech: What they say.
        textures: See `people.bank.draw_bank`.
    """
    os.environ["OMP_NUM_THREADS"] = "1"
    said = load_speech_clips(speech)
    for k in numbers:
        draw_clips(_held_out(folder) if k == HELD_OUT else folder, said, range(k, k + 1), textures)


def _held_out(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}_held_out")


def train_within(
    loan: Loan, out: Path, ground: Ground, recipe: Recipe, model: ModelConfig, options: argparse.Namespace
):
    """Draw, train, score and pack.

    Args:
        loan: The budget, which gets the report.
        out: Folder of everything.
        ground: What the denoiser stands on; its people and clips are drawn.
        recipe: Whose runs are fitted to the time.
        model: What is trained.
        options: `jobs`, `shards`, `clip_shards` and `textures` of the command line.
    """
    said, speech, textures = ground.clips, ground.speech, options.textures
    assert said is not None and speech is not None
    people = Drawing(
        functools.partial(draw_people, folder=ground.people, textures=textures), options.jobs, options.shards
    )
    loan.measured("draw people", lambda: people.stop(DRAW * loan.whole_s))
    speakers = functools.partial(draw_speakers, folder=said, speech=speech, textures=textures)
    clips = Drawing(speakers, max(1, options.jobs - 2), options.clip_shards)
    encoders = frame_encoders(ground.vae, ground.warp, ground.faces, default_device())
    sizes = picture_sizes(model)
    try:
        loan.measured("encode people", lambda: encode_bank(out / "bank1", ground.people, encoders, sizes))
        _train_stage(loan, out, ground, recipe, model, 1)
        loan.measured("wait for clips", lambda: clips.stop(0 if any(said.glob("*.npy")) else 60))
        loan.measured("encode clips", lambda: encode_clips(out / "bank2", said, speech, encoders, sizes))
        _train_stage(loan, out, ground, recipe, model, 2)
    finally:
        clips.stop(0)
    loan.measured("pack", lambda: pack(out, out / "model", ground, model=model))
    loan.report["runs"] = [_run(out / f"run{k}") for k in range(len(recipe.runs))]
    loan.report["drawn"] = {"people": len(open_bank(ground.people)), "clips": len(open_bank(said))}
    loan.report["scores"] = loan.measured("score", lambda: score_runs(out, ground, recipe, model, encoders))


def _train_stage(loan: Loan, out: Path, ground: Ground, recipe: Recipe, model: ModelConfig, stage: int) -> None:
    """Train the runs of a stage in their share of what is left, that of the next stage and of the end kept free."""
    share = _minutes(recipe, stage) / sum(_minutes(recipe, s) for s in {stage, 2})
    seconds = (loan.left_s - END * loan.whole_s) * share
    fitted = _fitted(recipe, seconds / 60, stage)
    train = functools.partial(train_recipe, fitted, model, out, ground, seconds + 5, stage=stage, by_time=True)
    loan.measured(f"stage {stage}", train)


def _minutes(recipe: Recipe, stage: int) -> float:
    return sum(run.minutes for run in recipe.runs if run.stage == stage)


def _fitted(recipe: Recipe, minutes: float, stage: int) -> Recipe:
    """Return the recipe whose runs of a stage take so many minutes together."""
    factor = max(minutes, 0.0) / _minutes(recipe, stage)
    runs = (dataclasses.replace(r, minutes=r.minutes * factor) if r.stage == stage else r for r in recipe.runs)
    return dataclasses.replace(recipe, runs=tuple(runs))


def _run(folder: Path) -> dict[str, Any]:
    file = folder / "state.pt"
    if not file.exists():
        return {}
    state = torch.load(file, weights_only=True, map_location="cpu")
    return {name: state[name] for name in ("step", "samples", "seconds")}


def score_runs(
    out: Path, ground: Ground, recipe: Recipe, model: ModelConfig, encoders: FrameEncoders
) -> dict[str, Any]:
    """Return losses on held-out people after the last run of each stage.

    Args:
        out: Folder of the runs.
        ground: What the denoiser stands on.
        recipe: Whose runs they are.
        model: What was trained.
        encoders: Encode the people who are held out.
    """
    device = default_device()
    text, vae = load_text_encoder(ground.text), load_vae(ground.vae)
    size = model.size
    encode_bank(out / "held_out1", ground.people, encoders, picture_sizes(model), range(HELD_OUT, HELD_OUT + 1))
    pairs = EncodedBank.open(out / "held_out1", size)
    assert ground.clips is not None and ground.speech is not None
    encode_clips(out / "held_out2", _held_out(ground.clips), ground.speech, encoders, picture_sizes(model))
    clips = open_clip_bank(out / "held_out2", size)
    # Nothing is corrupted, and the mouth counts: it is what stage 2 is about.
    config = TrainingConfig(stage=2, size=size, mask_chance=0.0, mouth_weight=20.0)
    objective = build_objective(model, config, text, vae).to(device).eval()
    found: dict[str, Any] = {}
    for number, run in enumerate(recipe.runs):
        file = out / f"run{number}" / "model.safetensors"
        if file.exists():
            load_weights(objective, file)
        if file.exists() and run.stage not in [later.stage for later in recipe.runs[number + 1 :]]:
            score: dict[str, Any] = {"pairs": score_pairs(objective, pairs, text.tokenize, device)}
            if run.stage == 2:
                score |= score_clips(objective, clips, text.tokenize, device)
            found[f"run{number}"] = {name: round(value, 4) for name, value in score.items()}
    return found


def _ended(number: int, frame: Any) -> None:
    """Leave in order where the machine is taken back: checkpoints are written, processes ended."""
    sys.exit(128 + number)


def main() -> None:
    """Read the command line and use the loan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder of everything")
    add("--speech", type=Path, required=True, help="what is said; training.denoiser.clips makes it")
    add("--minutes", type=float, default=10.0, help="of the loan, from start to end (10)")
    add("--jobs", type=int, default=max(1, (os.cpu_count() or 2) - 2), help="processes that draw (all cores but two)")
    add("--shards", type=int, default=HELD_OUT, help=f"of 16 people at most ({HELD_OUT})")
    add("--clip-shards", type=int, default=HELD_OUT, help=f"of 8 clips at most ({HELD_OUT})")
    add("--textures", type=Path, help="folder of MakeHuman's CC0 textures (painted skin alone)")
    add("--config", type=Path, default=TOML, help="a recipe (tiny_gpu.toml)")
    for name in ("vae", "text", "warp", "faces"):
        add(f"--{name}", type=Path, default=getattr(Ground, name), help="as training.recipe has it (the shipped)")
    add("--no-faces", action="store_true", help="train without face embeddings")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    loan = Loan(time.monotonic() + given.minutes * 60, file=given.out / "report.json")
    if not given.speech.exists():
        raise BadInput(
            f"`--speech` must be a file of training.denoiser.clips, but {given.speech} is not there. Make it."
        )
    signal.signal(signal.SIGTERM, _ended)
    if "forkserver" in multiprocessing.get_all_start_methods():
        multiprocessing.set_start_method("forkserver", force=True)
        multiprocessing.set_forkserver_preload(_PRELOAD)
        multiprocessing.forkserver.ensure_running()
    recipe = read_toml(Recipe, given.config)
    faces = None if given.no_faces else given.faces
    places = given.out / "people", given.vae, given.text, given.warp, faces, given.out / "clips", given.speech
    given.out.mkdir(parents=True, exist_ok=True)
    try:
        train_within(loan, given.out, Ground(*places), recipe, read_model(recipe.model, given.config.parent), given)
    finally:
        loan.write()


if __name__ == "__main__":
    main()
