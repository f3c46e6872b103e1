"""Train the tiny VAE: an `AutoencoderTiny` whose latents have zero mean and unit variance by training.

The network has the TAESD layout with narrower layers and without blocks at full resolution, where nearly all the
arithmetic of TAESD is spent. Zero-padded it is a TAESD again, number for number, which is how ComfyUI loads it.
Detail of eyes, teeth and lips decides whether a face looks alive, so crops gather there and errors weigh more.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from safetensors.torch import load_file
from torch import Tensor, nn

from ..checkpoints.native import read_modules
from ..checkpoints.writing import save_state, save_tensors
from ..errors import BadInput
from ..hosts.diffusers_models import build_tiny_vae
from ..topology import EYES, OUTER_LIPS
from .optimiser import MuonAdamW

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

logger = logging.getLogger(__name__)

CONFIG: dict[str, Any] = {
    "latent_channels": 8,
    "width": 32,
    "encoder_blocks": (0, 1, 2, 2),
    "decoder_blocks": (3, 3, 3, 0),
}


_NOSE_TIP = 4
_SPOTS = ((EYES[0], 0.10), (EYES[1], 0.10), (OUTER_LIPS, 0.15))
"""Points of eyes and mouth, and how far their weight reaches, as shares of half the picture."""

HELD_OUT = 64
"""Frames at the end of the training pictures that are kept for scoring."""


def reconstruction_loss(
    produced: Float[Tensor, "b 3 h w"], wanted: Float[Tensor, "b 3 h w"], weight: Float[Tensor, "b 1 h w"]
) -> Tensor:
    """Return weighted absolute and squared error plus the error of gradients at two scales.

    Gradients keep edges where a plain error would blur them; the squared part is what PSNR measures.

    Args:
        produced: In [-1, 1].
        wanted: In [-1, 1].
        weight: Of each pixel.
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
    """Return how far the latent channels are from zero mean and unit variance.

    Args:
        latents: Of many pictures.
    """
    mean, std = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    return mean.square().mean() + (std - 1).square().mean()


def sample_crops(
    frames: UInt8[Tensor, "n 3 size size"],
    landmarks: Float[Tensor, "n 478 2"],
    count: int,
    crop: int,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "count 3 crop crop"], Float[Tensor, "count 1 crop crop"]]:
    """Cut crops, three quarters of them around the face.

    Args:
        frames: In [0, 255].
        landmarks: In [-1, 1].
        count: Of crops.
        crop: Side in pixels.
        generator: On the device of the frames.

    Returns:
        Crops in [-1, 1], and a weight map that is larger on eyes and mouth.
    """
    size, device = frames.shape[-1], frames.device
    pick = torch.randint(len(frames), (count,), generator=generator, device=device)
    draw = torch.rand(count, 3, generator=generator, device=device)
    near = (landmarks[pick, _NOSE_TIP] + 1) * size / 2 + (draw[:, :2] * 2 - 1) * crop * 0.35
    centre = torch.where(draw[:, 2:] < 0.75, near, draw[:, :2] * size)
    corner = (centre - crop / 2).clamp(0, size - crop).long()
    axis = torch.arange(crop, device=device)
    x, y = corner[:, 0, None] + axis, corner[:, 1, None] + axis
    pictures = frames[pick[:, None, None], :, y[:, :, None], x[:, None, :]].permute(0, 3, 1, 2)
    weight = torch.ones(count, crop, crop, device=device)
    for points, radius in _SPOTS:
        spot = (landmarks[pick][:, list(points)].mean(1) + 1) * size / 2
        away = (x - spot[:, :1])[:, None, :] ** 2 + (y - spot[:, 1:])[:, :, None] ** 2
        weight += 2.0 * torch.exp(-away / (radius * size / 2) ** 2)
    return pictures.float() / 127.5 - 1, weight[:, None]


def psnr(produced: Tensor, wanted: Tensor) -> float:
    """Return the peak signal-to-noise ratio in dB.

    Args:
        produced: In [-1, 1]; clamped to it.
        wanted: In [-1, 1].
    """
    return float(-10 * torch.log10(((produced.clamp(-1, 1) - wanted) / 2).square().mean()))


def train_vae(
    frames: UInt8[Tensor, "n 3 size size"],
    landmarks: Float[Tensor, "n 478 2"],
    out: Path,
    minutes: float,
    *,
    seed: int = 0,
    batch: int = 8,
    crop: int = 128,
    rate: float = 4e-3,
    final_rate: float = 5e-5,
    latent_noise: float = 0.05,
    ema: float = 0.998,
    decoder_only: bool = False,
    latent_channels: int = CONFIG["latent_channels"],
    start: Path | None = None,
    bf16: bool = False,
) -> Path:
    """Train a VAE, or go on training it; the learning rate falls within each run.

    A decoder in `out` that has fewer blocks than `CONFIG` is grown first, see `grow_decoder`.

    Args:
        frames: Pictures in [0, 255], on the device that trains; the last 64 are held out.
        landmarks: Of the frames, in [-1, 1].
        out: Gets `vae.safetensors` (averaged weights), `vae_state.pt` (to resume) and `vae.csv` (the curve).
        minutes: Wall time of this run.
        seed: Of crops, noise and first weights.
        batch: Crops a step.
        crop: Side of a crop in pixels.
        rate: Learning rate at first.
        final_rate: Learning rate at last.
        latent_noise: Standard deviation of what is added to latents before they are decoded.
        ema: Share of the averaged weights that stays at each step.
        decoder_only: Leave the encoder as it is, so that latents made earlier, and a denoiser trained on them, remain
            valid.
        latent_channels: Of the model that will use it.
        start: A VAE to begin with where `out` holds none.
        bf16: Run the convolutions in bfloat16: half as long again on processors that have it.

    Returns:
        The weights file.
    """
    out.mkdir(parents=True, exist_ok=True)
    device = frames.device
    landmarks = landmarks.to(device)
    generator = torch.Generator(device).manual_seed(seed)
    torch.manual_seed(seed)
    config: dict[str, Any] = {**CONFIG, "latent_channels": latent_channels}
    vae: Any = build_tiny_vae(**config)
    vae.to(device, memory_format=torch.channels_last)
    if start is not None:
        vae.load_state_dict(load_file(start))
    vae.encoder.requires_grad_(not decoder_only)
    optimiser = MuonAdamW(vae.parameters(), rate, betas=(0.95, 0.98), weight_decay=1e-4)
    first = step = _resume(out, vae, optimiser, generator, seed)
    if decoder_only and step:  # the averaged encoder is the one that made those latents
        vae.load_state_dict(_grown(out / "vae.safetensors", load_file(out / "vae.safetensors"), vae))
    average = [p.detach().clone() for p in vae.parameters()]
    began = last = time.monotonic()
    with open(out / "vae.csv", "a", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        while (elapsed := time.monotonic() - began) < minutes * 60:
            warm, fall = min(1.0, (step - first + 1) / 100), 0.5 * (1 + math.cos(math.pi * elapsed / (minutes * 60)))
            for group in optimiser.param_groups:
                group["lr"] = warm * (final_rate + (rate - final_rate) * fall)
            wanted, weight = sample_crops(frames[:-HELD_OUT], landmarks, batch, crop, generator)
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                latents = vae.encode(wanted.contiguous(memory_format=torch.channels_last)).latents
                noise = torch.randn(latents.shape, generator=generator, device=device) * latent_noise
                produced = vae.decode(latents + noise).sample
            loss = reconstruction_loss(produced.float(), wanted, weight) + 0.05 * moment_loss(latents.float())
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
            optimiser.step()
            step += 1
            with torch.no_grad():
                torch._foreach_lerp_(average, list(vae.parameters()), 1 - min(ema, (step + 1) / (step + 10)))  # pyright: ignore[reportPrivateImportUsage, reportPrivateUsage]
            if time.monotonic() - last > 20:
                last = time.monotonic()
                log.writerow([step, step * batch, round(elapsed, 1), round(float(loss.detach()), 5)])
                file.flush()
                _save(out, vae, config, average, optimiser, step)
                logger.info("vae step %d loss %.4f", step, float(loss.detach()))
    _save(out, vae, config, average, optimiser, step)
    return out / "vae.safetensors"


@torch.no_grad()
def score_vae(
    vae: Any, frames: UInt8[Tensor, "n 3 size size"], landmarks: Float[Tensor, "n 478 2"]
) -> dict[str, float]:
    """Score a VAE.

    Args:
        vae: Trained.
        frames: Held out, in [0, 255].
        landmarks: In [-1, 1].

    Returns:
        Mean PSNR in dB over whole pictures (`whole`) and over the boxes of the landmarks (`face`), and the
        latents' moments.
    """
    whole, face, moments = [], [], []
    for row, points in zip(frames, landmarks, strict=True):
        wanted = row[None].float() / 127.5 - 1
        latents = vae.encode(wanted).latents
        produced = vae.decode(latents).sample
        low, high = (((points.amin(0), points.amax(0))[k] + 1) * row.shape[-1] / 2 for k in (0, 1))
        (left, top), (right, bottom) = low.long().clamp(min=0).tolist(), high.long().tolist()
        whole.append(psnr(produced, wanted))
        face.append(psnr(produced[..., top:bottom, left:right], wanted[..., top:bottom, left:right]))
        moments.append(torch.stack([latents.mean(), latents.std()]))
    mean, std = torch.stack(moments).mean(0).tolist()
    return {"whole": sum(whole) / len(whole), "face": sum(face) / len(face), "latent_mean": mean, "latent_std": std}


def _resume(
    out: Path, vae: AutoencoderTiny, optimiser: torch.optim.Optimizer, generator: torch.Generator, seed: int
) -> int:
    if not (out / "vae_state.pt").exists():
        return 0
    state = torch.load(out / "vae_state.pt", weights_only=True, map_location=generator.device)
    last = _grown(out / "vae.safetensors", state["last"], vae)
    vae.load_state_dict(last)
    if len(last) == len(state["last"]):
        optimiser.load_state_dict(state["optimiser"])  # its moments are of the parameters that were there
    generator.manual_seed(seed + state["step"])
    return state["step"]


def grow_decoder(
    state: Mapping[str, Tensor], fresh: Mapping[str, Tensor], before: Sequence[int], after: Sequence[int]
) -> dict[str, Tensor]:
    """Return a VAE's tensors with more decoder blocks.

    An added block begins by passing its input on (a residual of zero), so nothing learned is lost but what was below
    zero at a level that had no block.

    Args:
        state: Tensors of the smaller one.
        fresh: Tensors of an untrained larger one.
        before: Blocks of the smaller decoder a level, from the coarsest.
        after: Blocks of the larger decoder.

    Raises:
        BadInput: When the decoder would shrink.
    """
    old, new = _decoder_layers(before), _decoder_layers(after)
    if any(a > b for a, b in zip(before, after, strict=True)):
        raise BadInput(f"A decoder can only grow, but got {tuple(before)} blocks for {tuple(after)}. Start afresh.")
    grown = dict(fresh)
    for name in fresh:
        place, _, rest = name.removeprefix("decoder.layers.").partition(".")
        if not name.startswith("decoder.layers."):
            grown[name] = state[name]
        elif (label := new[int(place)]) in old:
            grown[name] = state[f"decoder.layers.{old.index(label)}.{rest}"]
        elif rest.startswith("conv.4."):  # the last of the three convolutions of a block
            grown[name] = torch.zeros_like(fresh[name])
    return grown


def _decoder_layers(blocks: Sequence[int]) -> list[tuple[str, int, int]]:
    """Name the layers of a decoder of the TAESD layout in order."""
    layers = [("in", 0, 0), ("relu", 0, 0)]
    for level, count in enumerate(blocks):
        layers += [("block", level, k) for k in range(count)]
        layers += [("up", level, 0)] if level < len(blocks) - 1 else []
        layers += [("conv", level, 0)]
    return layers


def _grown(file: Path, state: dict[str, Tensor], vae: AutoencoderTiny) -> dict[str, Tensor]:
    """Return tensors that were stored beside or in `file` as they fit `vae`."""
    before = read_modules(file)[0]["decoder_blocks"]
    if tuple(before) == tuple(CONFIG["decoder_blocks"]):
        return state
    return grow_decoder(state, vae.state_dict(), before, CONFIG["decoder_blocks"])


def _save(
    out: Path,
    vae: AutoencoderTiny,
    config: Mapping[str, Any],
    average: list[Tensor],
    optimiser: torch.optim.Optimizer,
    step: int,
) -> None:
    names = [name for name, _ in vae.named_parameters()]
    dense = {name: value.contiguous().cpu() for name, value in zip(names, average, strict=True)}
    save_tensors(dense, out / "vae.safetensors", metadata={"config": json.dumps(config)})
    state = {"last": vae.state_dict(), "optimiser": optimiser.state_dict(), "step": step}
    save_state(state, out / "vae_state.pt")
