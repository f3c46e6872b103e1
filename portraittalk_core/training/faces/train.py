"""Train the tiny face pack on rendered avatars and write it as the ONNX files that insightface loads.

Three networks, three recipes: the detector with a focal loss and log distances, the landmarks with soft heat maps
(mouth, eyes and irises weigh more, as everything downstream hangs on them), the recogniser with InfoNCE between
pictures of one person whose hair, beard, glasses, clothes, background, age, light, expression and pose differ, and
with the person's traits for a tutor.
"""

from __future__ import annotations

import csv
import logging
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from ...perception.face_nets import Detector, Landmarker, Recogniser, cell_centres
from .collage import CollageBatch, collage_batch
from .data import Album, Draw, landmark_batch, open_album, recogniser_batch
from .pack import write_pack
from .people import people_drawer

log = logging.getLogger(__name__)

POINT_WEIGHTS = torch.tensor([0.5] * 17 + [0.8] * 10 + [1.0] * 9 + [1.6] * 12 + [1.8] * 20 + [2.5] * 2)
"""How much each landmark counts: jaw, brows, nose, eyes, mouth, irises."""

TEMPERATURE = 0.06


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

    rate: float = 2e-3
    """Highest learning rate."""


def train_faces(
    out_dir: Path,
    *,
    seed: int = 7,
    work_dir: Path = Path("runs/faces"),
    minutes: float = math.inf,
    people: int = 1024,
    views: int = 4,
    steps: tuple[int, int, int] = (4000, 2000, 3200),
    draw: Draw | None = None,
) -> bool:
    """Train landmarks, detector and recogniser and write the face pack; goes on at the next call.

    The learning curves are in `work_dir`/NAME.csv.

    Args:
        out_dir: Of the pack.
        seed: Of people, batches and first weights.
        work_dir: Of album, checkpoints and curves.
        minutes: Wall time after which to stop.
        people: In the album, a multiple of 16.
        views: Pictures of each.
        steps: Of landmarks, detector and recogniser.
        draw: Replaces the avatar renderer, see `data.Draw`.

    Returns:
        Whether the pack is complete.
    """
    if draw is None:
        draw = people_drawer()
    end = time.monotonic() + minutes * 60
    album = open_album(work_dir / "album", seed=seed, people=people, views=views, draw=draw)
    recipes = _recipes(album, seed, steps)
    finished = all(fit(recipe, work_dir=work_dir, end_s=end) for recipe in recipes)
    if finished:
        landmarker, detector, tutored = (averaged(recipe, work_dir) for recipe in recipes)
        assert isinstance(tutored, Tutored)
        write_pack(out_dir, landmarker, detector, tutored.recogniser)
    return finished


def _recipes(album: Album, seed: int, steps: tuple[int, int, int]) -> list[Recipe]:
    """Make the three networks (initialised from `seed`) and their losses."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        landmarker, detector = Landmarker(), Detector()
        recogniser = Tutored(Recogniser(), album.traits.shape[1])

    def landmarks(net: nn.Module, step: int) -> Tensor:
        guide = 0.3 * (1 - step / steps[0]) + 0.02
        return landmark_loss(net, *landmark_batch(album, seed, step, 16), guide=guide)

    def faces(net: nn.Module, step: int) -> Tensor:
        return detector_loss(net, collage_batch(album, seed, step, 16))

    def identities(net: nn.Module, step: int) -> Tensor:
        return identity_loss(net, *recogniser_batch(album, seed, step, 32))

    return [
        Recipe("landmarks", landmarker, landmarks, steps[0]),
        Recipe("detector", detector, faces, steps[1]),
        Recipe("recogniser", recogniser, identities, steps[2]),
    ]


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
    optimizer = torch.optim.AdamW(net.parameters(), lr=recipe.rate, weight_decay=1e-3)
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
    return recipe.net.eval()


@torch.no_grad()
def _average(average: dict[str, Tensor], net: nn.Module, *, keep: float) -> None:
    for key, value in net.state_dict().items():
        if value.dtype.is_floating_point:
            average[key].lerp_(value, 1 - keep)
        else:
            average[key].copy_(value)


def _save(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    partial = path.with_suffix(".part")
    torch.save({"net": net.state_dict(), "optimizer": optimizer.state_dict(), **state}, partial)
    partial.replace(path)


def _note(path: Path, step: int, loss: float) -> None:
    with path.open("a", newline="") as file:
        csv.writer(file).writerow([step, f"{loss:.5f}"])
    log.info("%s: step %d, loss %.4f", path.stem, step, loss)


def landmark_loss(net: nn.Module, crops: np.ndarray, targets: np.ndarray, *, guide: float = 0.3) -> Tensor:
    """Weigh the distance of each point (pixels of the 192 crop) and the cross-entropy of its heat map.

    The cross-entropy against a small Gaussian shows where to look within a few hundred steps; the distance then teaches
    the fraction of a cell.

    Args:
        net: A `Landmarker`.
        crops: [b, 3, 192, 192] in [-1, 1].
        targets: Landmarks in [-1, 1].
        guide: Weight of the cross-entropy.
    """
    assert isinstance(net, Landmarker)
    pictures = torch.from_numpy(crops).contiguous(memory_format=torch.channels_last)
    truth = torch.from_numpy(targets)
    log_heat = F.log_softmax(net.logits(pictures), -1)
    points = log_heat.exp() @ net.grid
    pixels = (points - truth).norm(dim=-1) * 96
    cells = cell_centres(48)
    wanted = F.softmax(-torch.cdist(truth, cells).square() / (2 * (1.2 / 24) ** 2), -1)
    entropy = -(wanted * log_heat).sum(-1)
    return ((pixels + guide * entropy) * POINT_WEIGHTS).mean()


def detector_loss(net: nn.Module, batch: CollageBatch) -> Tensor:
    """Sum the focal loss of the scores and, on the cells of faces, errors of distances and key points.

    Args:
        net: A `Detector`.
        batch: Collages with their targets.
    """
    maps = net(torch.from_numpy(batch.pictures).contiguous(memory_format=torch.channels_last))
    total = torch.zeros(())
    found = sum(float((t[:, 0] == 1).sum()) for t in batch.targets) + 1
    for raw, target in zip(maps, (torch.from_numpy(t) for t in batch.targets), strict=True):
        label = target[:, 0]
        loss = F.binary_cross_entropy_with_logits(raw[:, 0], label.clamp(min=0), reduction="none")
        surprise = (raw[:, 0].sigmoid() - label.clamp(min=0)).abs().square()
        total = total + (loss * surprise * (label >= 0)).sum() / found * 2
        rows, wanted = (m.permute(0, 2, 3, 1)[label == 1] for m in (raw, target))
        if len(rows):
            size = (wanted[:, 1:3] + wanted[:, 3:5]).mean(1, keepdim=True)
            total = total + (rows[:, 1:5] - wanted[:, 1:5].log()).abs().mean(1).sum() / found * 2
            total = total + ((rows[:, 5:] - wanted[:, 5:]) / size).abs().mean(1).sum() / found * 20
    return total


class Tutored(nn.Module):
    """A recogniser in training: a linear layer beside it reads the person's traits off the embedding.

    Telling 32 people apart is soon done by their skin alone; the traits ask for the shape of every feature. The
    layer is thrown away afterwards.
    """

    def __init__(self, recogniser: Recogniser, traits: int):
        """Put the layer beside a recogniser.

        Args:
            recogniser: Is trained.
            traits: How many numbers make a person.
        """
        super().__init__()
        self.recogniser = recogniser
        self.tutor = nn.Linear(recogniser.project.out_features, traits)

    def forward(self, x: Float[Tensor, "b 3 112 112"]) -> tuple[Float[Tensor, "b dim"], Float[Tensor, "b traits"]]:
        """Return unit embeddings and the traits that are read off them.

        Args:
            x: Aligned crops in [-1, 1].
        """
        vectors = F.normalize(self.recogniser(x), dim=1)
        return vectors, self.tutor(vectors * math.sqrt(vectors.shape[1]))


def identity_loss(net: nn.Module, crops: np.ndarray, traits: np.ndarray) -> Tensor:
    """Return InfoNCE (arXiv 1807.03748) over pairs, first half against second, plus the error of the traits.

    Args:
        net: A `Tutored` recogniser.
        crops: [2 * people, 3, 112, 112] in [-1, 1], all first pictures before all second ones.
        traits: [people, k], standardised.
    """
    vectors, read = net(torch.from_numpy(crops).contiguous(memory_format=torch.channels_last))
    known = torch.from_numpy(traits).repeat(2, 1)
    return pair_loss(*vectors.chunk(2)) + 2 * (read - known).square().mean()


def pair_loss(first: Float[Tensor, "n d"], second: Float[Tensor, "n d"]) -> Tensor:
    """Ask of each row to be nearest to the same row of the other side, and the other way round.

    Args:
        first: Unit embeddings.
        second: Unit embeddings of the same people.
    """
    alike = first @ second.T / TEMPERATURE
    same = torch.arange(len(first))
    return (F.cross_entropy(alike, same) + F.cross_entropy(alike.T, same)) / 2
