"""Train the tiny VAE: an `AutoencoderTiny` whose latents have zero mean and unit variance by training.

The network has the TAESD layout with narrower layers and without blocks at full resolution, where nearly all the
arithmetic of TAESD is spent. Zero-padded it is a TAESD again, number for number, which is how ComfyUI loads it.
Detail of eyes, teeth and lips decides whether a face looks alive, so crops gather there and errors weigh more.
"""

from __future__ import annotations

import csv
import json
import logging
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..hosts.diffusers_models import build_tiny_vae

logger = logging.getLogger(__name__)

CONFIG: dict[str, Any] = {
    "latent_channels": 8,
    "width": 32,
    "encoder_blocks": (0, 1, 2, 2),
    "decoder_blocks": (3, 3, 2, 0),
}


def reconstruction_loss(
    produced: Float[Tensor, "b 3 h w"], wanted: Float[Tensor, "b 3 h w"], weight: Float[Tensor, "b 1 h w"]
) -> Tensor:
    """Return weighted absolute and squared error plus the error of gradients at two scales.

    Gradients keep edges where a plain error would blur them; the squared part is what PSNR measures.
    """
    difference = produced - wanted
    loss = (difference.abs() * weight).mean() + 2.0 * (difference.square() * weight).mean()
    for scale in (1, 2):
        d = F.avg_pool2d(difference, scale) if scale > 1 else difference
        w = F.avg_pool2d(weight, scale) if scale > 1 else weight
        across = (d[..., 1:] - d[..., :-1]).abs() * w[..., 1:]
        down = (d[..., 1:, :] - d[..., :-1, :]).abs() * w[..., 1:, :]
        loss = loss + 0.5 * (across.mean() + down.mean())
    return loss


def moment_loss(latents: Float[Tensor, "b c h w"]) -> Tensor:
    """Return how far the latent channels are from zero mean and unit variance."""
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    return mean.square().mean() + (std - 1).square().mean()


def sample_crops(
    frames: np.ndarray, landmarks: np.ndarray, count: int, crop: int, generator: torch.Generator
) -> tuple[Float[Tensor, "count 3 crop crop"], Float[Tensor, "count 1 crop crop"]]:
    """Cut crops, three quarters of them around the face, with a weight map that is larger on eyes and mouth."""
    size = frames.shape[-1]
    pick = torch.randint(len(frames), (count,), generator=generator).tolist()
    shift = torch.rand(count, 3, generator=generator).tolist()
    pictures, weights = [], []
    axis = np.linspace(-1, 1, crop, dtype=np.float32)
    for i, (a, b, where) in zip(pick, shift, strict=True):
        centre = (landmarks[i, 30] + 1) * size / 2 if where < 0.75 else np.array([a, b]) * size
        spread = crop * 0.35 if where < 0.75 else 0.0
        corner = centre - crop / 2 + (np.array([a, b]) * 2 - 1) * spread
        x, y = np.clip(corner, 0, size - crop).astype(int)
        pictures.append(frames[i, :, y : y + crop, x : x + crop])
        weight = np.ones((crop, crop), np.float32)
        for points, radius in ((slice(36, 42), 0.10), (slice(42, 48), 0.10), (slice(48, 68), 0.15)):
            cx, cy = ((landmarks[i, points].mean(0) + 1) * size / 2 - (x, y)) / crop * 2 - 1
            reach = (radius * size / crop) ** 2
            weight += 2.0 * np.exp(-((axis[None] - cx) ** 2 + (axis[:, None] - cy) ** 2) / reach)
        weights.append(weight)
    batch = torch.from_numpy(np.stack(pictures)).float() / 127.5 - 1
    return batch, torch.from_numpy(np.stack(weights))[:, None]


def psnr(produced: Tensor, wanted: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB of pictures in [-1, 1]."""
    return float(-10 * torch.log10(((produced.clamp(-1, 1) - wanted) / 2).square().mean()))


def train_vae(
    frames: np.ndarray,
    landmarks: np.ndarray,
    out: Path,
    minutes: float,
    *,
    seed: int = 0,
    batch: int = 8,
    crop: int = 128,
    rate: float = 1.5e-3,
    final_rate: float = 1e-4,
    latent_noise: float = 0.05,
    decoder_only: bool = False,
) -> Path:
    """Train, or go on training, for `minutes`; the learning rate falls to `final_rate` within each run.

    frames: uint8 [n, 3, size, size]; landmarks: float32 [n, 70, 2] in [-1, 1]; the last 64 frames are held out.
    With `decoder_only` the encoder stays as it is, so that latents made earlier, and a denoiser trained on them,
    remain valid. Writes `vae.safetensors` (weights), `vae_state.pt` (optimiser) and `vae.csv` (the curve) into `out`.
    """
    out.mkdir(parents=True, exist_ok=True)
    weights, state_file = out / "vae.safetensors", out / "vae_state.pt"
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    vae = build_tiny_vae(**CONFIG)
    vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    vae.encoder.requires_grad_(not decoder_only)
    optimiser = torch.optim.AdamW(vae.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=1e-4)
    step = 0
    if weights.exists():
        vae.load_state_dict(load_file(weights))
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        optimiser.load_state_dict(state["optimiser"])
        step = state["step"]
        generator.manual_seed(seed + step)
    average = {k: v.detach().clone() for k, v in vae.state_dict().items()}
    start = last = time.monotonic()
    with open(out / "vae.csv", "a", newline="") as file:
        log = csv.writer(file)
        while (elapsed := time.monotonic() - start) < minutes * 60:
            warm = min(1.0, (step + 1) / 100)
            lr = warm * (final_rate + (rate - final_rate) * 0.5 * (1 + np.cos(np.pi * elapsed / (minutes * 60))))
            for group in optimiser.param_groups:
                group["lr"] = lr
            wanted, weight = sample_crops(frames[:-64], landmarks, batch, crop, generator)
            latents = vae.encode(wanted.contiguous(memory_format=torch.channels_last)).latents
            noise = torch.randn(latents.shape, generator=generator) * latent_noise
            produced = vae.decode(latents + noise).sample
            loss = reconstruction_loss(produced, wanted, weight) + 0.05 * moment_loss(latents)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimiser.step()
            step += 1
            decay = min(0.998, (step + 1) / (step + 10))
            for key, value in vae.state_dict().items():
                average[key].lerp_(value.detach(), 1 - decay)
            if step % 100 == 0 or time.monotonic() - last > 60:
                last = time.monotonic()
                log.writerow([step, step * batch, round(elapsed, 1), round(float(loss), 5)])
                file.flush()
                _save(out, average, optimiser, step)
                logger.info("vae step %d loss %.4f psnr of crop %.2f", step, float(loss), psnr(produced, wanted))
    _save(out, average, optimiser, step)
    return weights


def _save(out: Path, average: dict[str, Tensor], optimiser: torch.optim.Optimizer, step: int) -> None:
    dense = {k: v.contiguous() for k, v in average.items()}
    save_file(dense, out / "vae.safetensors", metadata={"config": json.dumps(CONFIG)})
    torch.save({"optimiser": optimiser.state_dict(), "step": step}, out / "vae_state.pt")
