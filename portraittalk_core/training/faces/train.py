"""Train the face pack on rendered people and write it as the ONNX files that insightface loads.

    python -m portraittalk_core.training.faces.train --bank runs/people --out runs/faces

Three networks, three recipes: the landmarks with soft heat maps (mouth, lids and irises weigh more, as everything
downstream hangs on them), the detector with a focal loss and log distances, the recogniser with InfoNCE between
pictures of one person in other light, clothes, hair, expression and pose, and with the person's traits for a tutor.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from ...checkpoints.writing import save_state
from ...perception.face_nets import Detector, Landmarker, Recogniser
from ..optimiser import MuonAdamW
from .collage import collage_batch
from .data import landmark_batch, recogniser_batch
from .detection import detector_loss
from .landmarks import fit_lift, landmark_loss
from .pack import start_from_pack, write_pack
from .people import People, open_people
from .recognition import Tutored, identity_loss

log = logging.getLogger(__name__)

STEPS = {"landmarks": 3000, "detector": 2000, "recogniser": 1000}
"""Of each network, in the order in which they are trained."""

BATCH = {"landmarks": 16, "detector": 16, "recogniser": 48}
"""Crops, collages and people at once."""

RATE = 2e-3
"""Highest learning rate, of a network that begins anew."""

_EXAMPLE, _EXAMPLES = (
    10**9,
    64,
)  # a step that is never trained on, and how many of its inputs show what batches are like


@dataclass(frozen=True)
class Recipe:
    """How one network is trained."""

    name: str
    """Of checkpoint and curve."""

    net: nn.Module
    """Is trained."""

    loss: Callable[[nn.Module, int], Tensor]
    """Takes the network and the step, from which it draws its own batch."""

    steps: int
    """In all."""

    rate: float = RATE
    """Highest learning rate."""


def train_faces(
    out_dir: Path,
    *,
    bank: Path,
    seed: int = 7,
    work_dir: Path = Path("runs/faces"),
    minutes: float = math.inf,
    steps: dict[str, int] | None = None,
    half: bool = False,
    start: Path | None = None,
    rate: float = RATE,
) -> bool:
    """Train landmarks, detector and recogniser and write the face pack; goes on at the next call.

    The learning curves are in `work_dir`/NAME.csv.

    Args:
        out_dir: Of the pack.
        bank: Folder of the rendered people, see `training.people.bank`.
        seed: Of batches and first weights.
        work_dir: Of checkpoints and curves.
        minutes: Wall time after which to stop.
        steps: Of each network, see `STEPS`; networks left out are not trained.
        half: Compute in bfloat16 what can be: twice as fast where the CPU has it.
        start: A pack whose networks are trained further, with a `seed` of its own; None begins anew.
        rate: Highest learning rate.

    Returns:
        Whether the pack is complete.
    """
    end = time.monotonic() + minutes * 60
    work_dir.mkdir(parents=True, exist_ok=True)
    people = open_people(bank)
    recipes = [replace(recipe, rate=rate) for recipe in make_recipes(people, seed, steps or STEPS, half=half)]
    if start is not None:
        for recipe in recipes:
            start_recipe(recipe, start, people, seed)
    finished = all(fit(recipe, work_dir=work_dir, end_s=end) for recipe in recipes)
    if finished:
        write_pack(out_dir, {recipe.name: averaged(recipe, work_dir) for recipe in recipes})
    return finished and len(recipes) == len(STEPS)


def make_recipes(people: People, seed: int, steps: dict[str, int], *, half: bool = False) -> list[Recipe]:
    """Make the networks (initialised from `seed`) and their losses.

    Args:
        people: From whom they learn.
        seed: Of batches and first weights.
        steps: By the network's name.
        half: Compute in bfloat16 what can be.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        landmarker, detector = Landmarker(), Detector()
        tutored = Tutored(Recogniser(), people.bank.traits.shape[1], half=half)
        nets: dict[str, nn.Module] = {"landmarks": landmarker, "detector": detector, "recogniser": tutored}
    landmarker.lift.data.copy_(torch.from_numpy(fit_lift(people.bank.landmarks)))

    def landmarks(net: nn.Module, step: int) -> Tensor:
        guide = 0.3 * max(0.0, 1 - step / steps["landmarks"]) + 0.02
        return landmark_loss(net, *landmark_batch(people, seed, step, BATCH["landmarks"]), guide=guide, half=half)

    def faces(net: nn.Module, step: int) -> Tensor:
        return detector_loss(net, collage_batch(people, seed, step, BATCH["detector"]), half=half)

    def identities(net: nn.Module, step: int) -> Tensor:
        return identity_loss(net, *recogniser_batch(people, seed, step, BATCH["recogniser"]))

    losses = {"landmarks": landmarks, "detector": faces, "recogniser": identities}
    return [Recipe(name, nets[name], losses[name], steps[name]) for name in STEPS if name in steps]


def start_recipe(recipe: Recipe, pack: Path, people: People, seed: int) -> None:
    """Let a recipe's network begin with the weights of a pack.

    Args:
        recipe: Of the network, which is changed.
        pack: Folder of the ONNX files.
        people: From whom it learns.
        seed: Of the batch that normalisations are unfolded with.
    """
    draw = {
        "landmarks": lambda: landmark_batch(people, seed, _EXAMPLE, _EXAMPLES)[0],
        "detector": lambda: collage_batch(people, seed, _EXAMPLE, _EXAMPLES).pictures,
        "recogniser": lambda: recogniser_batch(people, seed, _EXAMPLE, min(_EXAMPLES, len(people)))[0],
    }
    net = recipe.net.recogniser if isinstance(recipe.net, Tutored) else recipe.net
    start_from_pack(pack, recipe.name, net, torch.from_numpy(draw[recipe.name]()))


def fit(recipe: Recipe, *, work_dir: Path, end_s: float, save_every_s: float = 30.0) -> bool:
    """Train one network, resumable.

    An exponential average of the weights is kept beside them: it is what ships.

    Args:
        recipe: What is done.
        work_dir: Of checkpoint and curve.
        end_s: When to stop at the latest, as `time.monotonic` counts.
        save_every_s: Seconds between checkpoints.

    Returns:
        Whether the recipe's steps are done.
    """
    net, name = cast(Any, recipe.net.train()).to(memory_format=torch.channels_last), recipe.name
    optimizer = MuonAdamW(net.parameters(), recipe.rate, weight_decay=1e-3)
    state: dict[str, Any] = {"step": 0, "average": {k: v.clone() for k, v in net.state_dict().items()}}
    path = work_dir / f"{name}.pt"
    if path.exists():
        saved = torch.load(path, weights_only=True)
        net.load_state_dict(saved["net"])
        optimizer.load_state_dict(saved["optimizer"])
        state = {"step": saved["step"], "average": saved["average"]}
    saved_s, recent = time.monotonic(), []
    while state["step"] < recipe.steps and time.monotonic() < end_s:
        step = state["step"]
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step, recipe.steps, recipe.rate)
        loss = recipe.loss(net, step)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        state["step"] += 1
        _average(state["average"], net, keep=min(0.99, step / (step + 10)))
        recent.append(float(loss.detach()))
        if state["step"] % 25 == 0 or state["step"] == recipe.steps:
            _note(work_dir / f"{name}.csv", state["step"], float(np.mean(recent)))
            recent = []
        if time.monotonic() - saved_s > save_every_s:
            _save(path, net, optimizer, state)
            saved_s = time.monotonic()
    _save(path, net, optimizer, state)
    return state["step"] >= recipe.steps


def rate_at(step: int, steps: int, peak: float) -> float:
    """Return the learning rate: 30 steps of warm-up, then a cosine down to a hundredth.

    Args:
        step: From 0.
        steps: In all.
        peak: Highest rate.
    """
    cosine = 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return peak * min(1.0, (step + 1) / 30) * (0.01 + 0.99 * cosine)


def averaged(recipe: Recipe, work_dir: Path) -> nn.Module:
    """Return the recipe's network in eval mode with the averaged weights of its checkpoint.

    Args:
        recipe: Of the network.
        work_dir: Of the checkpoint.
    """
    recipe.net.load_state_dict(torch.load(work_dir / f"{recipe.name}.pt", weights_only=True)["average"])
    net = recipe.net.eval()
    return net.recogniser if isinstance(net, Tutored) else net


@torch.no_grad()
def _average(average: dict[str, Tensor], net: nn.Module, *, keep: float) -> None:
    for key, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            average[key].lerp_(value, 1 - keep)
        else:
            average[key].copy_(value)


def _save(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    save_state({"net": net.state_dict(), "optimizer": optimizer.state_dict(), **state}, path)


def _note(path: Path, step: int, loss: float) -> None:
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file).writerow([step, f"{loss:.5f}"])
    log.info("%s: step %d, loss %.4f", path.stem, step, loss)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, required=True, help="folder of the rendered people")
    parser.add_argument("--out", type=Path, required=True, help="folder of checkpoints, curves and the pack")
    parser.add_argument("--only", choices=STEPS, action="append", help="train this network (all)")
    parser.add_argument("--steps", type=int, help="of each network (as shipped)")
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so long, to go on later")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--bfloat16", action="store_true", help="compute in half precision, where the CPU has it")
    parser.add_argument("--start", type=Path, metavar="PACK", help="train the networks of this pack further")
    parser.add_argument("--rate", type=float, default=RATE, help="highest learning rate (%(default)s)")
    parser.add_argument("--seed", type=int, default=7, help="of batches and first weights (%(default)s)")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(given.threads)
    cv2.setNumThreads(given.threads)
    steps = {name: given.steps or STEPS[name] for name in given.only or STEPS}
    train_faces(
        given.out / "pack",
        bank=given.bank,
        seed=given.seed,
        work_dir=given.out,
        minutes=given.minutes,
        steps=steps,
        half=given.bfloat16,
        start=given.start,
        rate=given.rate,
    )


if __name__ == "__main__":
    main()
