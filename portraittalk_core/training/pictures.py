"""Train the networks that look at pixels: the VAE, and the judge of the benchmark."""

from __future__ import annotations

import json
import logging
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from ..checkpoints.native import load_vae
from ..hosts.devices import default_device
from .denoiser.bank import Album, draw_album, render_frames
from .judge import SIZE as JUDGE_SIZE
from .judge import train_judge
from .vae import HELD_OUT, score_vae, train_vae

logger = logging.getLogger(__name__)

PICTURES_FROM = 300_000
"""Seed of the first person that the VAE and the judge see; those of the denoiser count from 0."""


@dataclass(frozen=True)
class PictureConfig:
    """Pictures and minutes for the networks that look at pixels."""

    people: int = 300
    """Avatars that the VAE learns from."""

    appearances: int = 2
    """Of each of them: other hair, clothes, background."""

    frames: int = 2
    """Of each appearance: another expression and pose."""

    minutes: float = 18.0
    """Wall time of the VAE's training."""

    batch: int = 4
    """Crops a step."""

    crop: int = 96
    """Side of a crop in pixels."""

    rate: float = 4e-3
    """Learning rate of the VAE; of its decoder alone, half of it."""

    decoder_minutes: float = 0.0
    """Wall time in which its decoder alone goes on when the denoiser is trained, which leaves latents as they are."""

    decoder_people: int = 1000
    """Avatars that the decoder sees then, one frame an appearance."""

    judge_people: int = 20000
    """Avatars that the judge sees, one frame each."""

    judge_minutes: float = 0.0
    """Wall time of the judge's training."""

    judge_batch: int = 256
    """Pictures a step of the judge."""

    judge_width: int = 32
    """Channels of the judge's first layer."""


def train_pictures(chosen: PictureConfig, work: Path, processes: int, latent_channels: int = 8) -> None:
    """Train the VAE and score it on held-out frames.

    Args:
        chosen: What it learns from, and for how long.
        work: Its folder `vae` gets weights, curve and `scores.json`.
        processes: That draw avatars.
        latent_channels: Of the model that will use it.
    """
    device = default_device()
    people = range(PICTURES_FROM, PICTURES_FROM + chosen.people)
    album = draw_album(people, appearances=chosen.appearances, frames=chosen.frames, processes=processes)
    frames, landmarks = torch.cat(list(render_frames(album.parameters, device))), album.landmarks()
    options: dict[str, Any] = {"batch": chosen.batch, "crop": chosen.crop, "rate": chosen.rate}
    file = train_vae(frames, landmarks, work / "vae", chosen.minutes, latent_channels=latent_channels, **options)
    _score(file, frames, landmarks)


def train_decoder(chosen: PictureConfig, work: Path, processes: int, latent_channels: int = 8) -> None:
    """Go on training the VAE's decoder, and score the VAE anew.

    Args:
        chosen: What it learns from, and for how long.
        work: Its folder `vae` holds the VAE.
        processes: That draw avatars.
        latent_channels: Of the VAE.
    """
    people = range(PICTURES_FROM + chosen.people, PICTURES_FROM + chosen.people + chosen.decoder_people)
    frames, album = draw_pictures(people, chosen.appearances, work / "pictures.npy", processes)
    options: dict[str, Any] = {
        "batch": chosen.batch,
        "crop": chosen.crop,
        "rate": chosen.rate / 2,
        "decoder_only": True,
        "latent_channels": latent_channels,
    }
    landmarks = album.landmarks()
    _score(train_vae(frames, landmarks, work / "vae", chosen.decoder_minutes, **options), frames, landmarks)


def train_benchmark_judge(chosen: PictureConfig, work: Path, processes: int) -> None:
    """Train the network that judges people and edits in the benchmark, or go on training it.

    Args:
        chosen: What it learns from, and for how long.
        work: Gets `judge.safetensors`.
        processes: That draw avatars.
    """
    first = PICTURES_FROM + chosen.people + chosen.decoder_people
    people = range(first, first + chosen.judge_people)
    frames, album = draw_pictures(people, 1, work / "judge_pictures.npy", processes, JUDGE_SIZE)
    file = work / "judge.safetensors"
    options: dict[str, Any] = {"batch": chosen.judge_batch, "width": chosen.judge_width}
    if file.exists():
        options |= {"start": file, "seed": zlib.crc32(file.read_bytes())}  # other pictures in another order
    train_judge(frames, album.parameters, album.tags, file, chosen.judge_minutes, **options)


def draw_pictures(
    people: range, appearances: int, file: Path, processes: int, size: int = 256
) -> tuple[UInt8[Tensor, "n 3 size size"], Album]:
    """Return pictures of people, rendered once and kept in a file, and what they show.

    What they were drawn from is kept beside them: pictures of other people than the samplers draw now are made anew,
    and where there are more people now, theirs are added.

    Args:
        people: Seeds of the avatars.
        appearances: Of each, one picture for each.
        file: `.npy` that keeps the pictures.
        processes: That draw avatars.
        size: Side of a picture in pixels.

    Returns:
        Pictures in [0, 255], on the device that renders, and the album that they were drawn from.
    """
    album = draw_album(people, appearances=appearances, frames=1, processes=processes)
    device = default_device()
    drawn = file.with_suffix(".drawn.npy")
    known, count = _alike(drawn, album.parameters.numpy()) if file.exists() else 0, len(album.parameters)
    if known < count:
        before = [torch.from_numpy(np.load(file)[:known])] if known else []
        fresh = render_frames(album.parameters[known:], device, size=size)
        rendered = torch.cat([*before, *(part.cpu() for part in fresh)])
        for target, array in ((file, rendered), (drawn, album.parameters)):
            part = target.with_suffix(".part.npy")
            np.save(part, array.numpy())
            part.rename(target)
    return torch.from_numpy(np.load(file)[:count]).to(device), album


def _alike(file: Path, parameters: np.ndarray) -> int:
    """Return how many rows, from the first, are those stored in the file: all that it has in common, or none."""
    stored = np.load(file) if file.exists() else parameters[:0]
    common = min(len(stored), len(parameters))
    return common if np.array_equal(stored[:common], parameters[:common]) else 0


def _score(file: Path, frames: Tensor, landmarks: Tensor) -> None:
    vae: Any = load_vae(file)
    scores = score_vae(vae.to(frames.device), frames[-HELD_OUT:], landmarks[-HELD_OUT:].to(frames.device))
    logger.info("vae: %s", scores)
    (file.parent / "scores.json").write_text(json.dumps(scores))
