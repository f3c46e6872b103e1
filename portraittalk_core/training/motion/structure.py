"""Train the networks of structure maps on the exact landmarks of avatars; no picture is rendered.

Fitter and shaper learn together: the shaper is given what the fitter reads off a noisy reference, as in use, and the
wanted pose relative to that reading.
"""

from __future__ import annotations

import csv
import logging
import math
import os
import time
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...checkpoints.native import named_tensors, save_modules
from ...motion.structure import FaceFitter, FaceShaper, face_frame, to_head
from ...types import COEFFICIENTS, LANDMARKS, POSE
from .people import Pair, People, held_out_people

_log = logging.getLogger(__name__)

FITTER = {"width": 256, "blocks": 3}
SHAPER = {"width": 384, "blocks": 4}
NOISE = 0.01
"""Largest standard deviation of the noise on reference landmarks, in [-1, 1] units: detectors err by about half."""

LIMITS = {"yaw_limit": 0.36, "pitch_limit": 0.26, "roll_limit": 0.21}
"""What a motion may ask for: the range that avatars are drawn in, inside `people.SPREAD`."""

_UNIT = torch.tensor([0.2, 0.2, 0.1, 0.02, 0.02, 0.05])


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


def add_noise(points: Float[Tensor, "n 70 2"], generator: torch.Generator) -> Float[Tensor, "n 70 2"]:
    """Disturb each face as a detector would, by up to `NOISE`.

    Args:
        points: In [-1, 1].
        generator: Of the noise.
    """
    level = NOISE * torch.rand(len(points), 1, 1, generator=generator)
    return points + level * torch.randn(points.shape, generator=generator)


def fitting_loss(
    read: tuple[Float[Tensor, "n 10"], Float[Tensor, "n 6"]],
    coefficients: Float[Tensor, "n 10"],
    pose: Float[Tensor, "n 6"],
) -> Float[Tensor, ""]:
    """Score a fitter's reading, each column in units that matter alike.

    Args:
        read: Coefficients and pose, as they were read.
        coefficients: The true ones.
        pose: The true one.
    """
    return (read[0] - coefficients).square().mean() + ((read[1] - pose) / _UNIT).square().mean()


def shaping_loss(drawn: Float[Tensor, "n 70 2"], true: Float[Tensor, "n 70 2"]) -> Float[Tensor, ""]:
    """Score drawn landmarks: smooth L1, mouth and eyes heavier, and the gaps of lips and lids on their own.

    The gaps have their own term because a shift of the whole mouth is not seen, a lip that does not meet is.

    Args:
        drawn: In [-1, 1].
        true: In [-1, 1].
    """
    points = _smooth(drawn - true).sum(-1) * _point_weights()
    return 50 * (points.mean() + 2 * _smooth(_gaps(drawn) - _gaps(true)).sum(-1).mean())


def shape(
    fitter: FaceFitter, shaper: FaceShaper, pair: Pair, generator: torch.Generator
) -> tuple[Float[Tensor, ""], Float[Tensor, "n 70 2"]]:
    """Run both networks on a noisy reference as in use.

    Args:
        fitter: Reads the reference.
        shaper: Draws the target.
        pair: Reference and target.
        generator: Of the noise.

    Returns:
        The fitting loss, and the drawn targets.
    """
    noisy = add_noise(pair.reference, generator)
    read = fitter(noisy)
    has, rest = read[0].detach(), read[1].detach()
    wanted = relative_pose(rest, pair.reference_pose, pair.pose)
    drawn = shaper(noisy, has, rest, pair.coefficients, wanted)
    return fitting_loss(read, pair.reference_coefficients, pair.reference_pose), drawn


def train_structure(
    out_dir: str | Path,
    seed: int = 0,
    minutes: float = 6.0,
    batch: int = 512,
    people: int = 20_000,
    save_every_s: float = 60.0,
) -> Path:
    """Train both networks on the CPU, resumable; writes `structure.safetensors` and `structure.csv`.

    The seed fixes what each step sees; how many steps fit into the time is the machine's. The time already spent is
    part of the state in `structure_state.pt`, from which an interrupted run goes on. What is written appears whole or
    not at all.

    Args:
        out_dir: Where files go.
        seed: Of people, batches and first weights.
        minutes: Wall time in all.
        batch: Faces a step.
        people: In memory.
        save_every_s: Seconds between checkpoints.

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
    save_modules(path, named_tensors(nets), {"fitter": FITTER, "shaper": SHAPER | LIMITS})
    return path


class _Run:
    """The state of one training: networks, optimiser, random generators, time spent."""

    def __init__(self, out: Path, seed: int, minutes: float, batch: int, people: int) -> None:
        self.out, self.minutes, self.batch = out, minutes, batch
        self.generator = torch.Generator().manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # initial weights; the caller's generator is given back
            self.fitter, self.shaper = FaceFitter(**FITTER), FaceShaper(SHAPER["width"], SHAPER["blocks"], **LIMITS)
        self.people = People(self.generator, people)
        self.held_out: People | None = None
        self.seed = seed
        self._standardise()
        nets = [*self.fitter.parameters(), *self.shaper.parameters()]
        self.optimiser = torch.optim.AdamW(nets, lr=2e-3, weight_decay=1e-3, betas=(0.9, 0.98))
        self.steps, self.spent = 0, 0.0
        self._resume()

    def step(self) -> None:
        started = time.perf_counter()
        progress = min(1.0, self.spent / (self.minutes * 60))
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(progress, self.steps)
        pair = self.people.pair(self.batch, self.generator)
        fit, drawn = shape(self.fitter, self.shaper, pair, self.generator)
        loss = fit + shaping_loss(drawn, pair.target)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.shaper.parameters(), 1.0)
        self.optimiser.step()
        self.steps += 1
        self.spent += time.perf_counter() - started
        if self.steps % 200 == 0:
            self._log(float(loss.detach()))

    @torch.no_grad()
    def _standardise(self) -> None:
        """Measure mean and spread of what each network sees, once, before it learns."""
        pair = self.people.pair(4096, self.generator)
        centre, angle, size = face_frame(pair.reference)
        pose = torch.cat([torch.zeros(len(size), 2), angle[:, None], centre, size[:, None]], 1)
        for net, where in ((self.fitter, pose), (self.shaper, pair.reference_pose)):
            seen = to_head(pair.reference, where).flatten(1)
            net.mean.copy_(seen.mean(0))
            net.std.copy_(seen.std(0).clamp(min=0.02))

    @torch.no_grad()
    def _log(self, loss: float) -> None:
        self.held_out = self.held_out or held_out_people(self.seed)
        figures = measure(self.fitter, self.shaper, self.held_out, torch.Generator().manual_seed(5), 512)
        row = {"step": self.steps, "seconds": round(self.spent, 1), "loss": round(loss, 4)} | figures
        path = self.out / "structure.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
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
        partial = self.out / "structure_state.partial"
        torch.save(self._state(), partial)
        os.replace(partial, self.out / "structure_state.pt")

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
    fitter: FaceFitter, shaper: FaceShaper, people: People, generator: torch.Generator, count: int = 2048
) -> dict[str, float]:
    """Measure both networks on noisy references of people they were not trained on.

    Args:
        fitter: Reads the reference.
        shaper: Draws the target.
        people: Whom they have not seen.
        generator: Of pairs and noise.
        count: Of pairs.

    Returns:
        Errors `px`: mean distances in pixels of a 256 picture; `lips_px`: the gap that is left between lips that should
        meet; `r_`: correlations of what the fitter reads and the truth, over all faces.
    """
    pair = people.pair(count, generator)
    noisy = add_noise(pair.reference, generator)
    has, rest = fitter(noisy)
    drawn = shaper(noisy, has, rest, pair.coefficients, relative_pose(rest, pair.reference_pose, pair.pose))
    apart = 128 * (drawn - pair.target).norm(dim=-1)
    shut = 128 * _gaps(pair.target)[:, :3].norm(dim=-1).amax(1) < 0.3
    gap = 128 * _gaps(drawn)[shut][:, :3].norm(dim=-1)
    figures = {"px": apart.mean(), "mouth_px": apart[:, 48:68].mean(), "eyes_px": apart[:, 36:48].mean()}
    figures |= {"lips_px": gap.mean() if len(gap) else gap.new_zeros(())}
    read = torch.cat([has, rest], 1)
    true = torch.cat([pair.reference_coefficients, pair.reference_pose], 1)
    for index, name in enumerate((*COEFFICIENTS, *POSE)):
        figures[f"r_{name}"] = torch.corrcoef(torch.stack([read[:, index], true[:, index]]))[0, 1]
    return {name: round(float(value), 4) for name, value in figures.items()}


def _rate(progress: float, steps: int) -> float:
    """Warm up over 200 steps, then fall along a cosine with the share of the time that is spent."""
    return 2e-3 * min(1.0, (steps + 1) / 200) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress)))


def _smooth(error: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
    """Take the absolute value with a rounded tip, about 0.1 pixel of 256 wide."""
    return (error.square() + 1e-6).sqrt() - 1e-3


def _gaps(points: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n 7 2"]:
    """Return what separates inner lips (three) and lids (four)."""
    return points[:, [67, 66, 65, 41, 40, 47, 46]] - points[:, [61, 62, 63, 37, 38, 43, 44]]


def _point_weights() -> Float[Tensor, "70"]:
    weights = torch.ones(LANDMARKS)
    weights[36:48], weights[48:68], weights[68:] = 1.5, 2.0, 2.0
    return weights / weights.mean()
