"""Predict the memory of a training step by parts: the objective itself runs, on networks without memory.

What is added up: weights, gradients, what the optimiser keeps, averaged weights, what frozen networks weigh, and the
most that tensors of a forward and a backward pass take at once, all of them in the precision of the multiplications, or
those of the VAE before it, float32.
The driver, the libraries of convolutions and the gaps of the allocator come on top.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from .. import builders
from ..checkpoints.native import ASSETS, load_speech_encoder, load_text_encoder, load_vae
from ..config import ModelConfig, TrainingConfig
from ..hosts.sd15_models import empty_text_encoder, empty_vae
from ..motion.geometry import CONTOUR_GROUPS
from ..perception.speech import build_wav2vec2
from ..presets import sd15
from ..stacks.metering import META, MemoryMeter
from ..types import LANDMARKS
from .denoiser.assembly import trained_parameters
from .denoiser.objective import Objective
from .denoiser.pairs import Batch
from .denoiser.stream import encoded_at_once

_TEXT, _VAE, _SPEECH = (ASSETS / "tiny" / f"{name}.safetensors" for name in ("text", "vae", "speech"))

KEPT_BYTES = {"muon": 4.0, "adamw": 8.0, "adamw8bit": 2.0}
"""Bytes that an optimiser keeps for a parameter; Muon keeps eight for those that are no matrices, which are few."""

CARDS_GB = (24, 40, 80)
"""Memory of the cards that a plan is held against."""

SPARE_GB = 1.5
"""What driver, libraries and gaps are counted with."""


@dataclass(frozen=True)
class Parts:
    """Bytes of a training step."""

    trained: int
    """Weights that are learned, float32."""

    lowered: int
    """Their copies in the precision of the multiplications, which a step makes."""

    frozen: int
    """Weights of the denoiser that stay."""

    encoders: int
    """Text encoder, and where shards are streamed the VAE and in stage 2 the speech encoder, float32."""

    gradients: int
    """Of what is learned."""

    optimiser: int
    """What it keeps."""

    average: int
    """Averaged weights."""

    activations: int
    """The most that a forward and a backward pass hold at once, or the VAE before them."""

    @property
    def total(self) -> int:
        """All together."""
        return sum(vars(self).values())


def plan_step(model: ModelConfig, config: TrainingConfig) -> Parts:
    """Predict what one batch takes.

    Args:
        model: What is trained: with SD1.5's text encoder and VAE, and wav2vec2-base-960h, where it is as wide as
            theirs, else with the shipped ones.
        config: The run.

    Returns:
        Bytes by part.
    """
    with META:
        unet, adapters = builders.unet(model), builders.adapters(model)
    text: Any = _Text(model.unet.cross_dim)
    objective = _Shadow(
        unet=unet,
        adapters=adapters,
        text=text,
        schedule=builders.noise_schedule(model),
        recompute=config.recompute,
        latent_size=model.size // model.vae_factor,
        contour_fold=model.contour_size * model.vae_factor // model.size,
    )
    own = trained_parameters(objective, config)
    for parameter in objective.parameters():
        parameter.requires_grad_(False)
    for parameter in own.values():
        parameter.requires_grad_(True)
    multiplied = torch.bfloat16 if config.precision == "bf16" else torch.float32
    count = sum(parameter.numel() for parameter in own.values())
    copied = sum(parameter.numel() for parameter in own.values() if parameter.ndim > 1)
    rest = sum(p.numel() for p in objective.parameters() if not p.requires_grad)
    width = multiplied.itemsize
    large = _is_large(model)
    reads = empty_text_encoder() if large else load_text_encoder(_TEXT)
    vae: Any = empty_vae() if large else load_vae(_VAE)
    vae.to(META)
    streamed = [vae, *([_speech_encoder(model)] if config.stage == 2 else [])] if config.stream else []
    working = _activations(objective.to(multiplied), model, config, multiplied)
    return Parts(
        trained=4 * count,
        lowered=width * copied if width < 4 else 0,
        frozen=width * rest,
        encoders=width * _count(reads) + 4 * sum(_count(net) for net in streamed),
        gradients=4 * count,
        optimiser=int(KEPT_BYTES[config.optimiser] * count),
        average=4 * count if config.ema else 0,
        activations=max(working, _encoding(vae, config) if config.stream else 0),
    )


def _count(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


def _is_large(model: ModelConfig) -> bool:
    """Say whether text and latents are SD1.5's."""
    own, large = model.unet, sd15().unet
    return (own.cross_dim, own.latent_channels) == (large.cross_dim, large.latent_channels)


def _speech_encoder(model: ModelConfig) -> nn.Module:
    if model.audio_dim != sd15().audio_dim:
        return load_speech_encoder(_SPEECH)
    with META:
        return build_wav2vec2()


def _encoding(vae: Any, config: TrainingConfig) -> int:
    """Return the most bytes that are alive while the VAE makes latents of as many pictures as it is given at once."""
    meter, rows = MemoryMeter(), config.refs * config.targets * config.clip
    with meter.running():
        pictures = torch.empty(min(rows, encoded_at_once(config.size)), 3, config.size, config.size, device=META)
        meter.mark()
        vae.encode(pictures)
        return meter.most


def remedies(model: ModelConfig, config: TrainingConfig, gigabytes: float) -> tuple[list[str], Parts]:
    """Return what to switch on, in this order, until a step fits.

    Args:
        model: What is trained.
        config: The run as it is.
        gigabytes: Of a card.

    Returns:
        The switches as they stand in a recipe, none where it fits as it is, and the step with all of them.
    """
    found, parts = list[str](), plan_step(model, config)
    ways: list[tuple[str, dict[str, Any], bool]] = [
        ('precision = "bf16"', {"precision": "bf16"}, config.precision == "no"),
        ("recompute = true", {"recompute": True}, not config.recompute),
        ('optimiser = "adamw8bit"', {"optimiser": "adamw8bit"}, config.optimiser != "adamw8bit"),
        ("refs = 1, with `accumulate` instead", {"refs": 1}, config.refs > 1),
        ("targets = 1, with `accumulate` instead", {"targets": 1}, config.targets > 1),
        ("ema = 0", {"ema": 0.0}, bool(config.ema)),
        ("unet_rank = 64", {"unet_rank": 64}, config.stage == 1 and not config.unet_rank),
        ("clip = 16", {"clip": 16}, config.clip > 16),
        ("clip = 8", {"clip": 8}, config.clip > 8),
    ]
    for name, change, possible in ways:
        if fits(parts, gigabytes):
            break
        if possible:
            config = replace(config, **change)
            found.append(name)
            parts = plan_step(model, config)
    return found, parts


def fits(parts: Parts, gigabytes: float) -> bool:
    """Say whether a step fits into a card.

    Args:
        parts: Of the step.
        gigabytes: Of the card.
    """
    return parts.total / 1e9 + SPARE_GB <= gigabytes


def _activations(objective: Objective, model: ModelConfig, config: TrainingConfig, dtype: torch.dtype) -> int:
    """Return the most bytes that are alive in a pass forth and back, without gradients of weights."""
    meter = MemoryMeter()
    with meter.training():
        batch = empty_batch(model, config, META, dtype)
        meter.mark()
        noisy = torch.empty_like(batch.latents)
        timestep = torch.zeros(len(noisy), dtype=torch.long, device=META)
        with _gradients_elsewhere(objective):
            objective.predict(batch, noisy, timestep).square().mean().backward()
        return meter.most


@contextmanager
def _gradients_elsewhere(objective: nn.Module) -> Generator[None, None, None]:
    """Throw gradients away as soon as they are there: they are counted apart."""

    def drop(parameter: Tensor) -> None:
        parameter.grad = None

    handles = [p.register_post_accumulate_grad_hook(drop) for p in objective.parameters() if p.requires_grad]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def empty_batch(model: ModelConfig, config: TrainingConfig, device: torch.device, dtype: torch.dtype) -> Batch:
    """Return a batch of the shapes of a run; who is whose reference is on the CPU.

    Args:
        model: That is trained.
        config: The run.
        device: Of everything else.
        dtype: Of numbers that are not whole.
    """
    side, channels = config.size // model.vae_factor, model.unet.latent_channels
    rows = config.refs * config.targets * config.clip

    def made(*shape: int) -> Tensor:
        return torch.zeros(shape, device=device, dtype=dtype)

    return Batch(
        reference_latents=made(config.refs, channels, side, side),
        reference_landmarks=made(config.refs, LANDMARKS, 2),
        warped_pictures=made(rows, 3, config.size, config.size),
        warped_latents=made(rows, channels, side, side),
        latents=made(rows, channels, side, side),
        landmarks=made(rows, LANDMARKS, 2),
        shown=made(rows, LANDMARKS, 2),
        owner=torch.arange(config.refs).repeat_interleave(rows // config.refs),
        ids=torch.zeros(rows, 77, dtype=torch.long, device=device),
        embeddings=made(rows, 1, model.embedding_dim),
        present=torch.ones(rows, dtype=torch.bool),
        unseen=made(rows, side, side),
        features=made(config.refs, config.clip, model.audio_dim) if config.stage == 2 else None,
        clip=config.clip,
    )


class _Text(nn.Module):
    """Stands for the text encoder, whose tokens alone matter here."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, ids: Tensor) -> Tensor:
        return torch.zeros(*ids.shape, self.dim, device=ids.device, dtype=torch.bfloat16)

    def tokenize(self, prompts: list[str]) -> Tensor:
        return torch.zeros(len(prompts), 77, dtype=torch.long)


class _Shadow(Objective):
    """An objective whose geometry, which asks for values, is left out."""

    def _structure(self, batch: Batch) -> list[Any]:
        (adapters,) = self._adapters
        rows, side = len(batch.latents), batch.latents.shape[-1]
        made = batch.latents.new_zeros
        return adapters.structure_branches(
            contours=made(rows, len(CONTOUR_GROUPS), self._contour_fold * side, self._contour_fold * side),
            placement=made(rows, 2, 3),
            cue=made(rows, 6),
            reference_latents=batch.reference_latents[batch.owner],
            warped_pictures=batch.warped_pictures,
            warped_latents=batch.warped_latents,
        )
