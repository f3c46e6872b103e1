"""Pictures for the VAE: rendered people, and pictures with the statistics of photographs.

python -m portraittalk_core.training.pictures --bank runs/people --out runs/vae --minutes 30 --photographs FOLDER
"""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ..checkpoints.native import load_vae
from ..errors import BadInput
from ..topology import POINTS
from .leaves import dead_leaves
from .people.bank import SIZE, Bank, open_bank
from .vae import HELD_OUT, score_vae, train_vae

logger = logging.getLogger(__name__)

LEAVES = 80
"""Pictures of dead leaves."""

SCORES = "scores.json"
"""The file of a finished training's scores."""

CUTS = 30
"""Squares that are cut from each photograph."""

_FROM_PERSON = (0, 2, 4, 6, 8)
"""Which of a person's pictures are taken: clip, other appearance, other light."""


def vae_pictures(
    bank: Bank, photographs: Path | None = None, leaves: int = LEAVES, seed: int = 0
) -> tuple[UInt8[Tensor, "n 3 size size"], Float[Tensor, "n 478 2"]]:
    """Return what a VAE is trained on; the last `HELD_OUT` are of people that are nowhere else in it.

    Args:
        bank: Of rendered people.
        photographs: Folder of pictures that may be learned from (JPEG or PNG), of any subject; None for none.
        leaves: Pictures of dead leaves.
        seed: Of cuts and leaves.

    Returns:
        Pictures in [0, 255], and the points of their faces in [-1, 1]; random ones where there is no face.
    """
    rng = np.random.default_rng([seed, 47])
    people = np.unique(bank.person)
    rows = [np.nonzero(bank.person == seed)[0] for seed in people]
    chosen = [int(r[k]) for r in rows for k in _FROM_PERSON if k < len(r)]
    faces = np.stack([bank.picture(i) for i in chosen])
    pictures = [] if photographs is None else read_photographs(photographs)
    cuts = [_cut(rng, picture) for picture in pictures for _ in range(CUTS)]
    others = [*cuts, *(dead_leaves(rng, SIZE, pictures) for _ in range(leaves))]
    points = np.concatenate([rng.uniform(-1, 1, (len(others), 1, 2)).repeat(POINTS, 1), bank.landmarks[chosen]]).astype(
        np.float32
    )
    pixels = np.concatenate([np.stack(others), faces]) if others else faces
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(points)


def read_photographs(folder: Path) -> list[UInt8[np.ndarray, "h w 3"]]:
    """Return the pictures of a folder, RGB in 0..255.

    Args:
        folder: Of JPEG or PNG files; what is smaller than `SIZE` is left out.

    Raises:
        BadInput: When it holds none.
    """
    found = [cv2.imread(str(file)) for file in sorted(folder.iterdir()) if file.suffix.lower() in (".jpg", ".png")]
    pictures = [picture[..., ::-1] for picture in found if picture is not None and min(picture.shape[:2]) >= SIZE]
    if not pictures:
        raise BadInput(f"{folder}: holds no JPEG or PNG of at least {SIZE} pixels a side. Leave it out, or fill it.")
    return pictures


def _cut(rng: np.random.Generator, picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "size size 3"]:
    height, width = picture.shape[:2]
    side = int(np.exp(rng.uniform(np.log(SIZE), np.log(min(height, width)))))
    top, left = int(rng.integers(0, height - side + 1)), int(rng.integers(0, width - side + 1))
    part = picture[top : top + side, left : left + side]
    return cv2.resize(part, (SIZE, SIZE), interpolation=cv2.INTER_AREA)


def train_pictures(
    bank: Path,
    out: Path,
    minutes: float = 30.0,
    *,
    photographs: Path | None = None,
    start: Path | None = None,
    decoder_only: bool = False,
    rate: float = 2e-3,
    bf16: bool = False,
    seed: int = 0,
) -> dict[str, float]:
    """Train a VAE on people and other pictures, or go on, and score it on people that it has not seen.

    Args:
        bank: Folder of rendered people; the last tenth of a hundred shards is left out.
        out: Gets weights, state, curve and `SCORES`.
        minutes: Wall time of this run.
        photographs: Folder of pictures that may be learned from; None for none.
        start: A VAE to begin with where `out` holds none.
        decoder_only: Leave the encoder as it is.
        rate: Highest learning rate.
        bf16: Run the convolutions in bfloat16.
        seed: Of cuts, leaves, crops and first weights.

    Returns:
        The scores, see `vae.score_vae`.
    """
    frames, points = vae_pictures(open_bank(bank, range(90)), photographs, seed=seed)
    options: dict[str, Any] = {"rate": rate, "start": start, "decoder_only": decoder_only, "bf16": bf16, "seed": seed}
    file = train_vae(frames, points, out, minutes, **options)
    scores = score_vae(load_vae(file), frames[-HELD_OUT:], points[-HELD_OUT:])
    logger.info("vae: %s", scores)
    (out / SCORES).write_text(json.dumps(scores), encoding="utf-8")
    return scores


def main() -> None:
    """Read the command line, train, and score on held-out people."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bank", type=Path, required=True, help="folder of rendered people")
    parser.add_argument(
        "--out", type=Path, required=True, help="folder of weights, state and curve; run again to go on"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="wall time of this run (30)")
    parser.add_argument("--photographs", type=Path, help="folder of pictures that may be learned from (none)")
    parser.add_argument("--start", type=Path, help="a VAE to begin with (nothing)")
    parser.add_argument("--decoder", action="store_true", help="train the decoder alone: latents stay as they are")
    parser.add_argument("--rate", type=float, default=2e-3, help="highest learning rate (0.002)")
    parser.add_argument("--bf16", action="store_true", help="convolutions in bfloat16")
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train_pictures(
        given.bank,
        given.out,
        given.minutes,
        photographs=given.photographs,
        start=given.start,
        decoder_only=given.decoder,
        rate=given.rate,
        bf16=given.bf16,
    )


if __name__ == "__main__":
    main()
