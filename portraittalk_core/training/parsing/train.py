"""Train face parsing on a bank of rendered people, resumable.

python -m portraittalk_core.training.parsing.train --bank runs/people --out runs/parsing --minutes 45
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn
from torch.nn import functional

from ...checkpoints.native import save_modules
from ...errors import BadInput
from ...motion.geometry import contours
from ...nets.face_parsing import SIDE, FaceParsingNet
from ...topology import SEGMENTS
from ..optimiser import MuonAdamW
from ..people.bank import open_bank
from .data import ParsedPortraits, PortraitStore

log = logging.getLogger(__name__)

STEPS = 3000
"""At which the learning rate has fallen to its end and training is over."""

HELD_OUT = range(50, 56)
"""Shards that nothing is trained on."""

_SCORED = 96
"""Portraits of held-out people."""


def parse(net: FaceParsingNet, portraits: ParsedPortraits) -> Float[Tensor, "n segments m m"]:
    """Return logits of `SEGMENTS`.

    Args:
        net: The network.
        portraits: What it reads.
    """
    lines = contours(portraits.landmarks, SIDE // 4)
    with torch.autocast(portraits.pictures.device.type, torch.bfloat16):
        return net(portraits.pictures, lines).float()


def train_parsing(
    bank: Path,
    out: Path,
    minutes: float,
    *,
    photographs: Path | None = None,
    steps: int = STEPS,
    seed: int = 0,
    batch: int = 10,
    rate: float = 3e-3,
) -> Path:
    """Train, or go on.

    Args:
        bank: Of `training.people.bank`.
        out: Gets `face_parsing.safetensors` (averaged weights), `state.pt` and `face_parsing.csv`.
        minutes: Wall time of this run.
        photographs: Folder of pictures without people that stand behind some of them; None for none.
        steps: At which the learning rate has fallen to its end.
        seed: Of pictures and first weights.
        batch: Pictures a step.
        rate: Highest learning rate.

    Returns:
        The weights' file.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    net: Any = FaceParsingNet().to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    optimiser = MuonAdamW(net.parameters(), rate, betas=(0.9, 0.98), weight_decay=1e-3)
    average = {k: v.clone() for k, v in net.state_dict().items()}
    step, spent = 0, 0.0
    if (out / "state.pt").exists():
        state = torch.load(out / "state.pt", weights_only=True)
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        average, step, spent = state["average"], state["step"], state["seconds"]
    store = PortraitStore(open_bank(bank, range(HELD_OUT.start)), _places(photographs), seed)
    start, saved, sums = time.monotonic(), time.monotonic(), []

    def save() -> None:
        seconds = spent + time.monotonic() - start
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
        torch.save({**state, "step": step, "seconds": seconds}, out / "state.part")
        (out / "state.part").replace(out / "state.pt")
        save_modules(out / "face_parsing.safetensors", average, net.config)

    with open(out / "face_parsing.csv", "a", newline="") as file:
        curve = csv.writer(file)
        while time.monotonic() - start < minutes * 60 and step < steps:
            for group in optimiser.param_groups:
                falling = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * step / steps))
                group["lr"] = rate * min(1, (step + 1) / 100) * falling
            portraits = store.batch(seed, step, batch)
            loss = functional.cross_entropy(parse(net, portraits), portraits.segments)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            step += 1
            keep = min(0.995, step / (step + 10))
            for name, value in net.state_dict().items():
                average[name].lerp_(value, 1 - keep)
            sums.append(float(loss.detach()))
            if step % 50 == 0:
                curve.writerow([step, round(spent + time.monotonic() - start, 1), round(float(np.mean(sums)), 4)])
                file.flush()
                log.info("step %d: loss %.4f", step, np.mean(sums))
                sums = []
            if time.monotonic() - saved > 120:
                saved = time.monotonic()
                save()
    save()
    return out / "face_parsing.safetensors"


@torch.no_grad()
def score_parsing(net: FaceParsingNet, store: PortraitStore, count: int = _SCORED) -> dict[str, float]:
    """Return the intersection over union of each segment, over all cells of some portraits.

    Args:
        net: The network.
        store: Of people whom it has not seen.
        count: Of portraits, spread over the store.
    """
    rows = np.linspace(0, len(store.rows) - 1, count).astype(int).tolist()
    found: list[Int[Tensor, "n m m"]] = []
    truth: list[Int[Tensor, "n m m"]] = []
    for first in range(0, count, 8):
        portraits = store.exact(rows[first : first + 8])
        found.append(parse(net, portraits).argmax(1))
        truth.append(portraits.segments)
    one, other = torch.cat(found), torch.cat(truth)
    return {
        name: float(((one == k) & (other == k)).sum() / ((one == k) | (other == k)).sum().clamp(min=1))
        for k, name in enumerate(SEGMENTS)
    }


def _places(folder: Path | None) -> list[UInt8[np.ndarray, "h w 3"]]:
    if folder is None:
        return []
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() in (".jpg", ".png")]
    found = [picture[..., ::-1] for file in files if (picture := cv2.imread(str(file))) is not None]
    if not found:
        raise BadInput(f"{folder}: holds no JPEG or PNG. Leave it out, or fill it.")
    scales = [min(1.0, 4 * SIDE / min(picture.shape[:2])) for picture in found]
    return [
        cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for picture, scale in zip(found, scales, strict=True)
    ]


def main() -> None:
    """Read the command line, train, and score on held-out people."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, required=True, help="folder of rendered people")
    parser.add_argument("--out", type=Path, required=True, help="folder of weights, state and curve")
    parser.add_argument("--minutes", type=float, default=45.0, help="wall time of this run (45)")
    parser.add_argument("--photographs", type=Path, help="folder of pictures without people (none)")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"at which the learning rate has fallen ({STEPS})")
    parser.add_argument("--seed", type=int, default=0, help="of pictures and first weights (0)")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_parsing(
        given.bank, given.out, given.minutes, photographs=given.photographs, steps=given.steps, seed=given.seed
    )


if __name__ == "__main__":
    main()
