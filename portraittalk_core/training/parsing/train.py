"""Train face parsing on a bank of rendered people, resumable.

python -m portraittalk_core.training.parsing.train --bank runs/people --out runs/parsing --minutes 45
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional

from ...checkpoints.native import load_face_parsing
from ...motion.geometry import contours
from ...nets.face_parsing import SIDE, FaceParsingNet
from ...topology import SEGMENTS
from ..averaged import train_averaged
from ..people.bank import open_bank
from ..pictures import read_photographs
from .data import ParsedPortraits, PortraitStore

log = logging.getLogger(__name__)

STEPS = 2600
"""At which the learning rate has fallen to its end and training is over."""

HELD_OUT = range(6)
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
    start: Path | None = None,
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
        start: A file of weights to begin with; None: random ones.

    Returns:
        The weights' file.
    """
    torch.manual_seed(seed)
    net: Any = FaceParsingNet() if start is None else load_face_parsing(start).train().requires_grad_(True)
    net = net.to(memory_format=torch.channels_last)
    store = PortraitStore(open_bank(bank, range(HELD_OUT.stop, sys.maxsize)), _places(photographs), seed=seed)

    def losses(step: int) -> dict[str, Tensor]:
        portraits = store.batch(seed, step, batch)
        return {"loss": functional.cross_entropy(parse(net, portraits), portraits.segments)}

    return train_averaged(net, losses, out, "face_parsing", minutes, steps=steps, rate=rate)


@torch.no_grad()
def score_parsing(
    net: FaceParsingNet, store: PortraitStore, count: int = _SCORED, augmented: bool = False
) -> dict[str, float]:
    """Return the intersection over union of each segment, over all cells of some portraits.

    Args:
        net: The network.
        store: Of people whom it has not seen.
        count: Of portraits, spread over the store.
        augmented: Whether they are disguised as in training; else they are as they were rendered.
    """
    rows = np.linspace(0, len(store.rows) - 1, count).astype(int).tolist()
    found: list[Int[Tensor, "n m m"]] = []
    truth: list[Int[Tensor, "n m m"]] = []
    for first in range(0, count, 8):
        these = rows[first : first + 8]
        portraits = store.batch(_SCORED, first, len(these)) if augmented else store.exact(these)
        found.append(parse(net, portraits).argmax(1))
        truth.append(portraits.segments)
    one, other = torch.cat(found), torch.cat(truth)
    return {
        name: float(((one == k) & (other == k)).sum() / ((one == k) | (other == k)).sum().clamp(min=1))
        for k, name in enumerate(SEGMENTS)
    }


def _places(folder: Path | None) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Return photographs that are not much larger than what is cut out of them."""
    found = [] if folder is None else read_photographs(folder)
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
    parser.add_argument("--batch", type=int, default=10, help="pictures a step (10)")
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate (0.003)")
    parser.add_argument("--start", type=Path, metavar="FILE", help="weights to begin with (random ones)")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    file = train_parsing(
        given.bank,
        given.out,
        given.minutes,
        photographs=given.photographs,
        **{name: getattr(given, name) for name in ("steps", "seed", "batch", "rate", "start")},
    )
    if any((given.bank / f"{shard:05d}.npz").exists() for shard in HELD_OUT):
        unseen = PortraitStore(open_bank(given.bank, HELD_OUT), _places(given.photographs))
        for name, weights in (("before", given.start), ("now", file)):
            if weights is not None:
                _log_scores(name, load_face_parsing(weights), unseen)


def _log_scores(name: str, net: FaceParsingNet, unseen: PortraitStore) -> None:
    for how, augmented in (("as rendered", False), ("disguised", True)):
        scores = score_parsing(net, unseen, augmented=augmented)
        found = ", ".join(f"{segment} {score:.3f}" for segment, score in scores.items())
        log.info("%s, %s: intersection over union of %s", name, how, found)


if __name__ == "__main__":
    main()
