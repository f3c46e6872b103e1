"""The two stages of training the denoiser (PortraitTalk): a stage is a value that says what is updated.

Stage 1 learns identity and appearance on single frames: what says who somebody is, the structure encoder, and the
U-Net, which from scratch has everything to learn and from a public base another kind of prediction and to read
references. Stage 2 freezes what stage 1 learned, except the structure encoder and the occlusion map, and adds motion
over time and speech, on clips.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from ... import builders
from ...config import ModelConfig, TrainingConfig
from ...errors import BadConfig, BadInput
from ..model import check_model
from .low_rank import add_low_rank, folded, is_low_rank
from .objective import Objective


@dataclass(frozen=True)
class Stage:
    """What a stage updates."""

    trained: tuple[str, ...]
    """Parameters of `Objective` by the beginning of their names."""


STAGES = {
    1: Stage(("unet.", "identity_net.", "animate_net.identity.", "animate_net.structure.", "animate_net.occlusion.")),
    2: Stage(("animate_net.structure.", "animate_net.occlusion.", "animate_net.temporal.", "animate_net.audio.")),
}


def build_objective(model: ModelConfig, config: TrainingConfig, text: Any, vae: Any) -> Objective:
    """Return the objective of a stage, of which only the stage's parameters ask for gradients.

    Args:
        model: What is trained, of any size and kind of prediction.
        config: The stage, what of it is updated, and the weights of its losses.
        text: Reads captions; as wide as the model's cross-attention.
        vae: Makes the latents; with as many channels as the model's. Nothing else of it is looked at.

    Raises:
        BadConfig: When there is no such stage or part, or the parts of the model cannot go together.
    """
    if config.stage not in STAGES:
        raise BadConfig(f"`stage` must be one of {sorted(STAGES)}, but got {config.stage}.")
    check_model(model)
    _check_fit(model, config, text, vae)
    torch.manual_seed(config.seed)
    objective = Objective(
        unet=builders.unet(model),
        adapters=builders.adapters(model),
        text=text,
        schedule=builders.noise_schedule(model),
        high_noise=config.high_noise,
        face_weight=config.face_weight,
        mouth_weight=config.mouth_weight,
        mask_weight=config.mask_weight,
        mask_chance=config.mask_chance,
        shared_noise=config.shared_noise,
        min_snr=config.min_snr,
        noise_offset=config.noise_offset,
        recompute=config.recompute,
        latent_size=model.size // model.vae_factor,
        contour_fold=model.contour_size * model.vae_factor // model.size,
    )
    own = trained_parameters(objective, config)
    for name, parameter in objective.named_parameters():
        parameter.requires_grad_(name in own)
    return objective


def trained_parameters(objective: Objective, config: TrainingConfig) -> dict[str, nn.Parameter]:
    """Return what a run updates, by name.

    Args:
        objective: Of the run; matrices beside its U-Net are added where the run asks for them and they are not there.
        config: The run.

    Raises:
        BadConfig: For parts that the stage has not.
    """
    trained = _trained(config)
    if config.unet_rank and "unet." in trained and not any(is_low_rank(n) for n, _ in objective.named_parameters()):
        add_low_rank(objective.unet, config.unet_rank)
    return {
        name: parameter
        for name, parameter in objective.named_parameters()
        if name.startswith(trained) and (not config.unet_rank or not name.startswith("unet.") or is_low_rank(name))
    }


def lower_frozen(objective: nn.Module, dtype: torch.dtype) -> None:
    """Keep the linear layers and convolutions that nothing updates in a lower precision, in which they multiply anyway.

    Norms and tables keep theirs: they are few, and not every kernel takes them lower.

    Args:
        objective: Whose parameters say whether they are updated.
        dtype: Such as bfloat16.
    """
    for module in objective.modules():
        layer = isinstance(module, nn.Linear | nn.Conv2d)
        if layer and not any(parameter.requires_grad for parameter in module.parameters()):
            module.to(dtype)


def _check_fit(model: ModelConfig, config: TrainingConfig, text: Any, vae: Any) -> None:
    """Refuse a model that the networks trained before it, or the run, cannot go with; raises `BadConfig`."""
    channels = int(vae.config["latent_channels"])
    wanted = {
        "`unet.cross_dim` must be the width of the text encoder": (model.unet.cross_dim, text.dim),
        "`unet.latent_channels` must be the channels of the VAE": (model.unet.latent_channels, channels),
    }
    found = [f"{rule}, {right}, but got {given}" for rule, (given, right) in wanted.items() if given != right]
    if config.clip > model.temporal_frames:
        found.append(f"`clip` must be at most `temporal_frames`, {model.temporal_frames}, but got {config.clip}")
    if found:
        raise BadConfig(f"{model.name}: " + "; ".join(found))


def _trained(config: TrainingConfig) -> tuple[str, ...]:
    """Return the beginnings of the names of what a run updates; raises `BadConfig` for parts the stage has not."""
    parts = {prefix.rstrip(".").rpartition(".")[2]: prefix for prefix in STAGES[config.stage].trained}
    unknown = [part for part in config.parts if part not in parts]
    if unknown:
        raise BadConfig(f"`parts` of stage {config.stage} are {', '.join(parts)}, but got {unknown[0]!r}.")
    return tuple(parts[part] for part in config.parts or parts)


def load_weights(objective: Objective, *files: Path) -> None:
    """Load trained weights, later files over earlier ones.

    Matrices beside a U-Net that has none become part of it. A convolution that has got more input channels since begins
    with zeros for them: they change nothing until they are learned.

    Args:
        objective: Into which they are copied.
        files: safetensors of the objective's parameters, or of some of them.

    Raises:
        BadInput: Naming up to ten tensors that the objective lacks or has in another shape.
    """
    own = {**dict(objective.named_parameters()), **dict(objective.named_buffers())}
    for file in files:
        stored = folded(load_file(file), own)
        for name, value in stored.items():
            if name in own and value.ndim == 4 and (more := own[name].shape[1] - value.shape[1]) > 0:
                stored[name] = F.pad(value, (0, 0, 0, 0, 0, more))
        foreign = sorted(k for k, value in stored.items() if k not in own or own[k].shape != value.shape)
        if foreign:
            raise BadInput(f"{file}: is of another model, which has {foreign[:10]}. Start from the same model.")
        with torch.no_grad():
            for name, value in stored.items():
                own[name].copy_(value)
