"""Train the dense motion on a bank of rendered people, resumable.

python -m portraittalk_core.training.dense.train --bank runs/people --out runs/dense --minutes 30
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...checkpoints.native import load_dense_motion
from ...motion.geometry import contours, placement
from ...nets.dense_motion import DenseMotion, DenseMotionNet, identity_grid, sparse_motion
from ...topology import EYES, INNER_LIPS, OUTER_LIPS
from ..averaged import train_averaged
from ..people.bank import MAP_SIZE, open_bank
from .data import OWN, WARPED, MotionPairs, MotionStore

HELD_OUT = 10
"""Shards at the end of a bank of a hundred that nothing is trained on."""

STEPS = 4000
"""At which the learning rate has fallen to its end and training is over."""

RATE = 3e-3
"""Highest learning rate."""

_SPOTS = ((EYES[0], 0.12), (EYES[1], 0.12), ((*OUTER_LIPS, *INNER_LIPS), 0.2))


def predict(net: DenseMotionNet, pairs: MotionPairs) -> DenseMotion:
    """Run the network on pairs.

    Args:
        net: The network.
        pairs: Of a bank.
    """
    half = MAP_SIZE // 2
    affine = placement(pairs.reference, pairs.target)
    lines = contours(pairs.reference, half), contours(pairs.target, half)
    sparse = sparse_motion(pairs.reference, pairs.target, affine, half)
    with torch.autocast(pairs.picture.device.type, torch.bfloat16):  # geometry stays outside: it needs its digits
        found = net(pairs.picture, *lines, sparse)
    return DenseMotion(found.flow.float(), found.shares.float())


def losses(found: DenseMotion, pairs: MotionPairs) -> dict[str, Tensor]:
    """Return what is minimised and its parts.

    Args:
        found: Flow and shares.
        pairs: With the truth.

    Returns:
        `loss`; `flow`, the mean error in cells where the truth is known; `owner`, the cross-entropy of the shares;
        `look`, the absolute error of the moved picture where it is seen.
    """
    weight = _weight(pairs.target)
    seen = (pairs.owner != OWN).float()[:, None] * weight
    error = (found.flow - pairs.flow).square().sum(1, keepdim=True).add(1e-8).sqrt() * (MAP_SIZE / 2)
    # What stands still needs no flow; it counts a little, so that the edge between the two is soft.
    counts = seen * torch.where(pairs.owner[:, None] == WARPED, 1.0, 0.05)
    flow = (error.clamp(max=6) * counts).sum() / counts.sum().clamp(min=1)
    owner = functional.nll_loss(found.shares.clamp(min=1e-5).log(), pairs.owner, reduction="none")
    owner = (owner * weight[:, 0]).mean()
    moved = functional.grid_sample(
        pairs.picture, found.flow.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )
    exact = functional.grid_sample(
        pairs.picture, pairs.flow.permute(0, 2, 3, 1), padding_mode="border", align_corners=False
    )
    look = ((moved - exact).abs() * counts).sum() / counts.sum().clamp(min=1) / 3
    rough = _roughness(found.flow)
    return {
        "loss": flow + owner + 2 * look + rough,
        "flow": flow.detach(),
        "owner": owner.detach(),
        "look": look.detach(),
    }


def _weight(points: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 1 m m"]:
    """Return a map in which eyes and mouth count more: they are small, and all eyes are on them."""
    axis = (torch.arange(MAP_SIZE) * 2 + 1) / MAP_SIZE - 1
    weight = torch.ones(len(points), MAP_SIZE, MAP_SIZE)
    for rows, reach in _SPOTS:
        centre = points[:, list(rows)].mean(1)
        x, y = axis[None] - centre[:, :1], axis[None] - centre[:, 1:]
        weight = weight + 5 * torch.exp(-(y[:, :, None].square() + x[:, None].square()) / reach**2)
    return weight[:, None]


def _roughness(flow: Float[Tensor, "n 2 m m"]) -> Tensor:
    """Ask for a field that bends little, most of all where no truth is known."""
    away = (flow - identity_grid(flow)) * (MAP_SIZE / 2)
    across = (away[..., 2:] - 2 * away[..., 1:-1] + away[..., :-2]).abs().mean()
    down = (away[..., 2:, :] - 2 * away[..., 1:-1, :] + away[..., :-2, :]).abs().mean()
    return 0.1 * (across + down)


def train_dense_motion(
    bank_folder: Path,
    out: Path,
    minutes: float,
    *,
    steps: int,
    seed: int = 0,
    batch: int = 8,
    rate: float = RATE,
    start: Path | None = None,
) -> Path:
    """Train, or go on.

    Args:
        bank_folder: Of `training.people.bank`.
        out: Gets `dense_motion.safetensors` (averaged weights), `state.pt` and `dense_motion.csv`.
        minutes: Wall time of this run.
        steps: At which the learning rate has fallen to its end.
        seed: Of pairs and first weights.
        batch: Pairs a step.
        rate: Highest learning rate.
        start: A file of weights to begin with; None: random ones.

    Returns:
        The weights' file.
    """
    torch.manual_seed(seed)
    net: Any = DenseMotionNet() if start is None else load_dense_motion(start).train().requires_grad_(True)
    net = net.to(memory_format=torch.channels_last)
    store = _store(bank_folder)

    def step_losses(step: int) -> dict[str, Tensor]:
        pairs = store.pairs(seed, step, batch)
        return losses(predict(net, pairs), pairs)

    return train_averaged(net, step_losses, out, "dense_motion", minutes, steps=steps, rate=rate)


def _store(folder: Path) -> MotionStore:
    bank = open_bank(folder, range(100 - HELD_OUT))
    return MotionStore(bank, int(bank.shard.max()) + 1)


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, required=True, help="folder of rendered people")
    parser.add_argument("--out", type=Path, required=True, help="folder of weights, state and curve")
    parser.add_argument("--minutes", type=float, default=30.0, help="wall time of this run (30)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"at which the learning rate has fallen ({STEPS})")
    parser.add_argument("--seed", type=int, default=0, help="of pairs and first weights (0)")
    parser.add_argument("--rate", type=float, default=RATE, help=f"highest learning rate ({RATE})")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to begin with (random ones)")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    options: Any = {name: getattr(given, name) for name in ("steps", "seed", "rate", "start")}
    train_dense_motion(given.bank, given.out, given.minutes, **options)


if __name__ == "__main__":
    main()
