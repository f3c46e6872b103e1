"""Train the networks of structure maps on the exact points of rendered people; no picture is drawn.

Fitter and shaper learn together: the shaper is given what the fitter reads off a noisy reference, as in use, and the
wanted pose relative to that reading.
"""

from __future__ import annotations

import csv
import logging
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...checkpoints.native import named_tensors, save_structure
from ...checkpoints.writing import save_state
from ...motion.structure import FaceFitter, FaceShaper, from_head, to_head, upright
from ...topology import EYES, INNER_LIPS, IRISES, MEETING_LIDS, MEETING_LIPS, OUTER_LIPS
from ...types import COEFFICIENTS, LANDMARKS, POSE
from .head import fill_head
from .people import Pair, People, held_out_people

_log = logging.getLogger(__name__)

FITTER = {"components": 96, "width": 256, "blocks": 3}
SHAPER: dict[str, Any] = {
    "components": 96,
    "shapes": 40,
    "width": 256,
    "blocks": 2,
    "yaw_limit": 0.5,
    "pitch_limit": 0.3,
    "roll_limit": 0.3,
}
"""The limits are what a motion may ask for, radians: the range that people are drawn in."""

SMOOTH_NOISE, ROUGH_NOISE = 0.022, 0.004
"""Largest standard deviations of the noise on reference points, in head coordinates (the eyes are 0.56 apart):
neighbours that are off together, as a network's points are, by up to 4 % of the distance of the eyes, and each
alone."""

_UNIT = torch.tensor([0.12, 0.12, 0.06])
_UPPER, _LOWER = ([pair[k] for pair in (*MEETING_LIPS, *MEETING_LIDS[0], *MEETING_LIDS[1])] for k in (0, 1))
_SEEN = 4096
_MOUTH = [*OUTER_LIPS, *INNER_LIPS]
_LIDS = [point for eye in EYES for point in eye]
_SHOWN = ("jawOpen", "eyeBlinkLeft", "mouthSmileLeft", "mouthPucker", "mouthFunnel", "browInnerUp", "browDownLeft")


def relative_pose(
    fitted: Float[Tensor, "n 6"], true: Float[Tensor, "n 6"], wanted: Float[Tensor, "n 6"]
) -> Float[Tensor, "n 6"]:
    """Express a true wanted pose from where the fitter believes the reference to be, as `structure_maps` does.

    Args:
        fitted: The reference's, as it was read.
        true: The reference's.
        wanted: The target's.
    """
    return torch.cat([fitted[:, :5] + wanted[:, :5] - true[:, :5], fitted[:, 5:] * wanted[:, 5:] / true[:, 5:]], 1)


class Noise:
    """What networks that find points get wrong: a smooth field over the face, and a little at each point.

    Args:
        mean: The mean face in head coordinates.
    """

    def __init__(self, mean: Float[Tensor, "478 2"]) -> None:
        apart = torch.cdist(mean, mean).double()
        fields: list[Tensor] = []
        for reach in (0.06, 0.15, 0.4):
            values, vectors = torch.linalg.eigh(torch.exp(-0.5 * (apart / reach).square()))
            fields.append((vectors * values.clamp(min=0).sqrt())[:, -60:].float())
        self.fields = torch.stack(fields)

    def __call__(self, count: int, generator: torch.Generator) -> Float[Tensor, "n 478 2"]:
        """Return the noise of so many faces, in head coordinates."""
        which = torch.randint(len(self.fields), (count,), generator=generator)
        drawn = torch.randn(count, self.fields.shape[2], 2, generator=generator)
        smooth = torch.einsum("nkr,nrc->nkc", self.fields[which], drawn)
        level = torch.rand(2, count, 1, 1, generator=generator)
        rough = torch.randn(count, LANDMARKS, 2, generator=generator)
        return SMOOTH_NOISE * level[0] * smooth + ROUGH_NOISE * level[1] * rough


def fitting_loss(
    read: tuple[Float[Tensor, "n 52"], Float[Tensor, "n 6"]],
    coefficients: Float[Tensor, "n 52"],
    pose: Float[Tensor, "n 6"],
) -> Float[Tensor, ""]:
    """Score a fitter's reading, each column in units that matter alike.

    Args:
        read: Coefficients and pose, as they were read.
        coefficients: The true ones.
        pose: The true one.
    """
    angles = (read[1] - pose)[:, :3] / _UNIT
    return 4 * (read[0] - coefficients).square().mean() + 0.3 * angles.square().mean()


def shaping_loss(
    drawn: Float[Tensor, "n 478 2"], true: Float[Tensor, "n 478 2"], noise: Float[Tensor, "n 478 2"]
) -> Float[Tensor, ""]:
    """Score drawn landmarks: smooth L1, mouth and eyes heavier, and the gaps of lips and lids on their own.

    A reference that is off stays off in the same way; its gaps do not, because lips that should meet have to.

    Args:
        drawn: In head coordinates.
        true: In head coordinates.
        noise: What the reference was off by.
    """
    points = _smooth(drawn - true - noise).sum(-1) * _point_weights()
    return 50 * (points.mean() + _smooth(_gaps(drawn) - _gaps(true)).sum(-1).mean())


def shape(
    fitter: FaceFitter, shaper: FaceShaper, pair: Pair, noise: Float[Tensor, "n 478 2"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "n 478 2"]]:
    """Run both networks on a noisy reference as in use.

    Args:
        fitter: Reads the reference.
        shaper: Draws the target.
        pair: Reference and target.
        noise: Of the reference, in head coordinates.

    Returns:
        The fitting loss, and the drawn targets.
    """
    noisy = from_head(to_head(pair.reference, pair.reference_pose) + noise, pair.reference_pose)
    read = fitter(noisy)
    has, rest = read[0].detach().clamp(0, 1), read[1].detach()
    wanted = relative_pose(rest, pair.reference_pose, pair.pose)
    drawn = shaper(noisy, has, rest, pair.coefficients, wanted)
    return fitting_loss(read, pair.reference_coefficients, pair.reference_pose), drawn


def train_structure(
    out_dir: str | Path,
    seed: int = 0,
    minutes: float = 12.0,
    batch: int = 192,
    people: int = 1200,
    save_every_s: float = 60.0,
) -> Path:
    """Train both networks on the CPU, resumable; writes `structure.safetensors` and `structure.csv`.

    The seed fixes what each step sees; how many steps fit into the time is the machine's. The time already spent, the
    processor's and not the clock's, is part of the state in `structure_state.pt`, from which an interrupted run goes
    on. What is written appears whole or not at all.

    Args:
        out_dir: Where files go.
        seed: Of people, batches and first weights.
        minutes: Of one core in all, those of shaping the people included.
        batch: Faces a step.
        people: In memory.
        save_every_s: Seconds of a core between checkpoints.

    Returns:
        The weights file.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    run = _Run(out, seed, minutes, batch, people)
    saved = run.spent
    while run.spent < minutes * 60:
        run.step()
        if run.spent - saved > save_every_s:
            saved = run.spent
            run.save()
    run.save()
    path = out / "structure.safetensors"
    nets = {"fitter": run.fitter, "shaper": run.shaper}
    save_structure(path, named_tensors(nets), {"fitter": FITTER, "shaper": SHAPER})
    return path


class _Run:
    """The state of one training: networks, optimiser, random generators, time spent."""

    def __init__(self, out: Path, seed: int, minutes: float, batch: int, people: int) -> None:
        started = time.process_time()
        self.out, self.minutes, self.batch, self.seed = out, minutes, batch, seed
        self.generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # initial weights; the caller's generator is given back
            self.fitter, self.shaper = FaceFitter(**FITTER), FaceShaper(**SHAPER)
        self.people = People(seed, people)
        self.held_out: People | None = None
        fill_head(self.shaper.head, self.people)
        for net in (self.fitter, self.shaper):
            net.neck.load_state_dict(self.people.neck.state_dict())
        self.noise = Noise(self.shaper.head.mean[:, :2])
        self._fill_components()
        nets = [*self.fitter.parameters(), *self.shaper.parameters()]
        self.optimiser = torch.optim.AdamW(nets, lr=2e-3, weight_decay=1e-3, betas=(0.9, 0.98))
        self.steps, self.spent = 0, 0.0
        self._resume()
        self.spent = max(self.spent, time.process_time() - started)

    def step(self) -> None:
        started = time.process_time()
        progress = min(1.0, self.spent / (self.minutes * 60))
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(progress, self.steps)
        pair = self.people.pair(self.batch, np.random.default_rng([self.seed, self.steps]))
        noise = self.noise(self.batch, self.generator)
        fit, drawn = shape(self.fitter, self.shaper, pair, noise)
        loss = fit + shaping_loss(to_head(drawn, pair.pose), to_head(pair.target, pair.pose), noise)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.shaper.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.spent += time.process_time() - started
        if self.steps % 200 == 0:
            self._log(float(loss.detach()))

    @torch.no_grad()
    def _fill_components(self) -> None:
        """Find what faces differ in, once, before the networks learn."""
        pair = self.people.pair(_SEEN, np.random.default_rng([self.seed, 1 << 40]))
        noisy = to_head(pair.reference, pair.reference_pose) + self.noise(_SEEN, self.generator)
        weights = _point_weights().sqrt().repeat_interleave(2)
        for seen, faces in ((self.fitter.seen, upright(noisy)), (self.shaper.seen, noisy)):
            rows = faces.flatten(1)
            seen.mean.copy_(rows.mean(0))
            deviations = (rows - seen.mean) * weights
            values, vectors = torch.linalg.eigh((deviations.T @ deviations / len(rows)).double())
            count = seen.matrix.shape[1]
            scale = values[-count:].sqrt().clamp(min=0.01 * float(values[-1].sqrt()))
            seen.matrix.copy_(weights[:, None] * (vectors[:, -count:] / scale).float())

    @torch.no_grad()
    def _log(self, loss: float) -> None:
        self.held_out = self.held_out or held_out_people(self.seed, 48)
        figures = measure(self.fitter, self.shaper, self.held_out, self.noise, 384)
        shown = {name: value for name, value in figures.items() if name[:2] != "r_" or name[2:] in (*_SHOWN, *POSE)}
        row = {"step": self.steps, "seconds": round(self.spent, 1), "loss": round(loss, 4)} | shown
        path = self.out / "structure.csv"
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow(row)
        _log.info("structure: %s", row)

    def _state(self) -> dict[str, Any]:
        return {
            "fitter": self.fitter.state_dict(),
            "shaper": self.shaper.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "generator": self.generator.get_state(),
            "steps": self.steps,
            "spent": self.spent,
        }

    def save(self) -> None:
        save_state(self._state(), self.out / "structure_state.pt")

    def _resume(self) -> None:
        path = self.out / "structure_state.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=True)
        self.fitter.load_state_dict(state["fitter"])
        self.shaper.load_state_dict(state["shaper"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.generator.set_state(state["generator"])
        self.steps, self.spent = state["steps"], state["spent"]


@torch.no_grad()
def measure(
    fitter: FaceFitter, shaper: FaceShaper, people: People, noise: Noise | None, count: int = 2048
) -> dict[str, float]:
    """Measure both networks on references of people they were not trained on.

    Args:
        fitter: Reads the reference.
        shaper: Draws the target.
        people: Whom they have not seen.
        noise: Of the references; None for exact ones.
        count: Of pairs.

    Returns:
        Mean errors in % of the distance of the eyes, `still` being that of the reference itself; the gap that is left
        between `lips` and `lids` that should meet likewise; `deg_`: mean errors of the head's angles; `r_`:
        correlations of what the fitter reads and the truth, over all faces.
    """
    pair = people.pair(count, np.random.default_rng([7, 7]))
    generator = torch.Generator().manual_seed(5)
    added = torch.zeros(count, LANDMARKS, 2) if noise is None else noise(count, generator)
    noisy = from_head(to_head(pair.reference, pair.reference_pose) + added, pair.reference_pose)
    has, rest = fitter(noisy)
    drawn = shaper(noisy, has.clamp(0, 1), rest, pair.coefficients, relative_pose(rest, pair.reference_pose, pair.pose))
    drawn, true, start = (to_head(points, pair.pose) for points in (drawn, pair.target, pair.reference))
    unit = 100 / (true[:, 263] - true[:, 33]).norm(dim=1)[:, None]
    apart, moved = unit * (drawn - true - added).norm(dim=2), unit * (start - true).norm(dim=2)
    gaps, gap = (unit * _gaps(points)[..., 1].abs() for points in (true, drawn))
    lips, lids = slice(len(MEETING_LIPS)), slice(len(MEETING_LIPS), None)
    figures = {"points": apart.mean(), "still": moved.mean(), "mouth": apart[:, _MOUTH].mean()}
    figures |= {"eyes": apart[:, _LIDS].mean(), "irises": apart[:, list(IRISES)].mean()}
    figures |= {"lips": gap[:, lips][gaps[:, lips].amax(1) < 1].mean()}
    figures |= {"lids": gap[:, lids][pair.coefficients[:, COEFFICIENTS.index("eyeBlinkLeft")] > 0.98].mean()}
    degrees = torch.rad2deg(rest[:, :3] - pair.reference_pose[:, :3]).abs().mean(0)
    figures |= {f"deg_{name}": value for name, value in zip(POSE, degrees)}
    read, true = torch.cat([has, rest], 1), torch.cat([pair.reference_coefficients, pair.reference_pose], 1)
    for index, name in enumerate((*COEFFICIENTS, *POSE)):
        figures[f"r_{name}"] = torch.corrcoef(torch.stack([read[:, index], true[:, index]]))[0, 1]
    return {name: round(float(value), 4) for name, value in figures.items()}


def _rate(progress: float, steps: int) -> float:
    """Warm up over 200 steps, then fall along a cosine with the share of the time that is spent."""
    return 2e-3 * min(1.0, (steps + 1) / 200) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def _smooth(error: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Take the absolute value with a rounded tip, about 0.1 pixel of 256 wide."""
    return (error.square() + 1e-6).sqrt() - 1e-3


def _gaps(points: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n pairs 2"]:
    """Return what separates lips (nine places) and lids (seven of each eye)."""
    return points[:, _LOWER] - points[:, _UPPER]


def _point_weights() -> Float[Tensor, "478"]:
    weights = torch.ones(LANDMARKS)
    weights[_LIDS], weights[_MOUTH], weights[468:] = 3.0, 4.0, 3.0
    return weights / weights.mean()
