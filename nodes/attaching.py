"""Conditions on a MODEL: what the Apply nodes do."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..portraittalk_core.conditioning import (
    Conditions,
    IdentityCondition,
    MotionCondition,
    ReferenceCondition,
    SpeechCondition,
    TemporalCondition,
)
from ..portraittalk_core.diffusion.windows import plan_windows
from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.types import FaceMotion, SpeechFeatures
from . import convert
from .comfy_host import attach
from .comfy_windows import add_windows
from .sockets import Somebody

Model = Any
"""The host's ModelPatcher."""


def identity_net(model: Model, somebody: Somebody, scale: float, percent: tuple[float, float], hides: bool) -> Model:
    """Return a MODEL that attends to the person: IdentityNet, and AnimateNet's identity attention."""
    if scale == 0:
        return model
    adapters = somebody.adapters
    nets = adapters.nets
    embeddings = somebody.identity.embeddings
    condition = IdentityCondition(nets.identity_net, nets.animate_net.identity, embeddings, scale)
    return attach(model, condition, adapters.shape, adapters.patcher, percent=percent, hides=hides)


def reference_net(model: Model, somebody: Somebody, vae: Any, strength: float) -> Model:
    """Return a MODEL that sees the reference pictures."""
    if strength == 0:
        return model
    adapters = somebody.adapters
    latents = _reference(model, somebody, vae)
    condition = ReferenceCondition(adapters.reference_net, latents, adapters.nobody, strength)
    return attach(model, condition, adapters.shape, adapters.patcher)


def animate_net(
    model: Model,
    motion: FaceMotion,
    speech: SpeechFeatures,
    somebody: Somebody,
    window: int,
    overlap: int,
    fusion: str,
    audio_scale: float,
    vae: Any = None,
) -> tuple[Model, dict[str, Any]]:
    """Return a MODEL that moves as told and the empty LATENT of the whole video, whose frames share their noise."""
    adapters, count = somebody.adapters, len(motion.coefficients)
    animate, config = adapters.nets.animate_net, adapters.config
    _check(motion, speech, window, config.temporal_frames)
    maps = adapters.preparation.structure(motion, somebody.identity)
    latents = _reference(model, somebody, vae or adapters.vae)[:1]
    windows = plan_windows(count, window, overlap)
    condition = Conditions(
        [
            TemporalCondition(animate.temporal),
            MotionCondition(animate.structure, maps, latents, config.contour_size),
            SpeechCondition(animate.audio, speech, audio_scale),
        ],
        keep=1 if fusion == "streaming" else 2 * len(windows),  # one with and one without the person
    )
    told = attach(model, condition, adapters.shape, adapters.patcher, frames=count)
    add_windows(told, window, overlap, fusion, config.sampling.flicker)
    side = config.size // config.vae_factor
    empty = torch.zeros(count, config.unet.latent_channels, side, side)
    # The host gives rows of the same batch index the same noise; with noise of its own every frame would flicker.
    return told, {"samples": empty, "batch_index": [0] * count}


def _reference(model: Model, somebody: Somebody, vae: Any) -> Tensor:
    """Return the latents of the framed pictures as the model sees latents."""
    if vae is None:
        raise BadInput("`vae` must be connected where the adapters were loaded alone, but it is not. Connect the VAE.")
    return model.model.process_latent_in(vae.encode(convert.images(somebody.identity.crops)))


def _check(motion: FaceMotion, speech: SpeechFeatures, window: int, longest: int) -> None:
    count, wanted = len(motion.coefficients), len(speech.hidden)
    if count != wanted or motion.fps != speech.fps:
        raise BadInput(
            f"`motion` must be of this speech, {wanted} frames at {speech.fps:g} fps, but has {count} at "
            f"{motion.fps:g}. Connect both to the same Encode Audio."
        )
    if window > longest:
        raise BadInput(f"`window` must be at most {longest} frames for this model, but got {window}. Try 16.")
