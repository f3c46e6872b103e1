"""Validation videos: the same people every time, drawn from noise beside what was filmed, and figures of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ...checkpoints.hearing import Hearing
from ...checkpoints.native import load_text_encoder, load_vae
from ...config import ModelConfig, TrainingConfig
from ...diffusion.sampler import DDIMSampler
from ...errors import BadInput, BadMedia, PortraitTalkError
from ...media.video import VideoWriter
from ...metrics.functional.adfd import adfd
from ...metrics.functional.image import psnr, ssim
from ...preparation.shards import read_index
from ...topology import IBUG
from ...types import SPEECH_RATE, Sound
from .objective import Objective
from .pairs import Batch
from .stream import ShardDraws, StreamStore

logger = logging.getLogger(__name__)

PEOPLE = 3
"""Who are drawn."""

STEPS = 10
"""Of sampling."""


def validation_on(
    shards: Path,
    config: TrainingConfig,
    model: ModelConfig,
    parts: Mapping[str, Path],
    hearing: Hearing | None = None,
) -> Callable[[Objective], Callable[[int, Path | None], dict[str, float]]]:
    """Return what makes `loop.train`'s `validate` of an objective.

    Args:
        shards: Of `portraittalk prepare`; people who are held out for validation, or where there are none, those who
            are learned.
        config: The run.
        model: What is trained.
        parts: Networks that are not the shipped ones.
        hearing: What listens; the shipped encoder by default.
    """
    from .stages import ASSETS, frame_encoders, shard_readers

    vae_file = parts.get("vae", ASSETS / "vae.safetensors")
    text = load_text_encoder(parts.get("text", ASSETS / "text.safetensors"))
    kinds = {shard["split"] for shard in read_index(shards)["shards"]}
    options: dict[str, Any] = {"seed": 1, "refs": 1, "targets": 1, "clip": config.clip, "size": config.size}
    options["frames"] = config.sample_frames
    draws = ShardDraws(shards, split="validation" if "validation" in kinds else "train", **options)

    def of(objective: Objective) -> Callable[[int, Path | None], dict[str, float]]:
        def validate(step: int, folder: Path | None) -> dict[str, float]:
            device = next(objective.parameters()).device
            vae: Any = load_vae(vae_file)
            vae.to(device)
            encoders = frame_encoders(vae_file, parts.get("warp", ASSETS / "dense_motion.safetensors"), None, device)
            store = StreamStore(encoders, shard_readers(hearing, device), text.tokenize, device, config.clip)
            found = list[dict[str, float]]()
            for number in range(min(PEOPLE, len(draws))):
                draw = draws[number]
                true = draw.pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
                with torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bf16"):
                    drawn = decoded(vae, sampled(objective, store.gather(draw), seed=number))
                sound = draw.sounds[0] if draw.sounds else None
                begin = int(draw.first[0]) * 640
                heard = None if sound is None else sound[begin : begin + len(drawn) * 640]
                if folder is not None:
                    _write(folder / f"{step:08d}-{number}.mp4", torch.cat([true, drawn], 3), heard)
                found.append(figures(drawn, true, heard, draw.points))
            return {name: _mean([one[name] for one in found]) for name in found[0]}

        return validate

    return of


def _mean(values: list[float]) -> float:
    """Return the mean of those that could be measured; NaN where none could."""
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else float("nan")


@torch.no_grad()
def sampled(objective: Objective, batch: Batch, steps: int = STEPS, seed: int = 0) -> Float[Tensor, "n c h w"]:
    """Return latents that the denoiser draws from noise, with everything that a batch shows it and without guidance.

    Args:
        objective: Of the denoiser.
        batch: Whose latents are not looked at.
        steps: Of sampling.
        seed: Of the noise, each frame's own.
    """
    schedule, like = objective.schedule, batch.latents
    generator = torch.Generator().manual_seed(seed)
    noisy = torch.randn(like.shape, generator=generator).to(like)
    sampler = DDIMSampler(schedule, steps)
    for index, timestep in enumerate(sampler.timesteps.tolist()):
        times = torch.full((len(noisy),), timestep, device=noisy.device)
        noisy, _ = sampler.step(noisy, objective.predict(batch, noisy, times), index)
    return noisy


def decoded(vae: Any, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 s s"]:
    """Return the pictures of latents, on the CPU.

    Args:
        vae: On their device.
        latents: As the denoiser sees them.
    """
    with torch.no_grad():
        return torch.cat([vae.decode(part).sample.float().clamp(-1, 1).cpu() for part in latents.split(4)])


def figures(
    drawn: Float[Tensor, "n 3 s s"],
    true: Float[Tensor, "n 3 s s"],
    sound: Float[Tensor, "m"] | None,
    points: Float[Tensor, "n 478 2"],
) -> dict[str, float]:
    """Return how near pictures are to what was filmed, and how well their faces move with the sound.

    Args:
        drawn: In [-1, 1].
        true: What was filmed.
        sound: At 16 kHz; None for single frames.
        points: Of what was filmed.
    """
    found = {"psnr": psnr(drawn, true), "ssim": ssim(drawn, true)}
    if sound is not None:
        found["adfd"] = _adfd(drawn, sound, points)
    return found


def _adfd(drawn: Float[Tensor, "n 3 s s"], sound: Float[Tensor, "m"], points: Float[Tensor, "n 478 2"]) -> float:
    """Return ADFD of what was drawn; NaN where no face is found in it or the clip is too short to be judged."""
    from ...perception.face import FaceAnalyser
    from .stages import ASSETS

    try:
        finder = FaceAnalyser(ASSETS / "faces")
        track = torch.full((len(drawn), len(IBUG), 2), float("nan"))
        for row, picture in enumerate(drawn):
            if faces := finder.find(picture):
                track[row] = torch.as_tensor(faces[0].landmarks)[list(IBUG)].float()
        true = (points[:, list(IBUG)] + 1) / 2 * drawn.shape[-1]
        return float(adfd(track, sound, SPEECH_RATE, 25.0, true).score)
    except PortraitTalkError as error:
        logger.info("no ADFD: %s", error)
        return float("nan")


def _write(file: Path, pictures: Float[Tensor, "n 3 h w"], sound: Float[Tensor, "m"] | None) -> None:
    """Write a video; where that is not possible the run goes on."""
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        size = (int(pictures.shape[-2]), int(pictures.shape[-1]))
        with VideoWriter(file, 25.0, size, None if sound is None else Sound(sound[None], SPEECH_RATE)) as writer:
            writer.append(pictures)
    except (BadMedia, BadInput) as error:
        logger.warning("%s: %s", file, error)
