"""Make untrained networks from a configuration.

The networks' classes take plain numbers; only this module reads a `ModelConfig` for them. Weights are drawn by torch's
default generator; `torch.device("meta")` around a call makes them cost no memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from .config import ModelConfig
from .diffusion.schedule import NoiseSchedule
from .hosts.diffusers_models import build_unet
from .nets.adapters import Adapters
from .nets.animate_net import AnimateNet
from .nets.identity_net import IdentityNet
from .nets.reference_net import ReferenceNet
from .sites import Site, UNetShape

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


def unet_shape(config: ModelConfig) -> UNetShape:
    """Return what the sites need to know of the configured U-Net."""
    unet = config.unet
    return UNetShape(unet.channels, unet.layers, unet.attention, unet.cross_dim, unet.heads)


def unet(config: ModelConfig) -> UNet2DConditionModel:
    """Return the base denoiser.

    Args:
        config: Of the model.

    Raises:
        MissingExtra: Without diffusers.
    """
    return build_unet(**asdict(config.unet))


def noise_schedule(config: ModelConfig) -> NoiseSchedule:
    """Return the configured noise schedule.

    Args:
        config: Of the model.

    Raises:
        BadInput: For settings that do not exist or contradict each other.
    """
    return NoiseSchedule(**asdict(config.schedule))


def identity_net(config: ModelConfig) -> IdentityNet:
    """Return IdentityNet for every cross-attention of the configured U-Net."""
    shape = unet_shape(config)
    return IdentityNet(
        token_dim=config.unet.cross_dim,
        sites=[(site, shape.width(site)) for site in shape.adapter_sites()],
        embedding_dim=config.embedding_dim,
        tokens=config.identity_tokens,
    )


def animate_net(config: ModelConfig) -> AnimateNet:
    """Return AnimateNet: structure, identity attention, temporal attention and audio for the configured U-Net."""
    shape = unet_shape(config)
    return AnimateNet(
        shape=shape,
        latent_channels=config.unet.latent_channels,
        feature_dim=config.audio_dim,
        embedding_dim=config.embedding_dim,
        contour_fold=config.contour_size * config.vae_factor // config.size,
        picture_fold=config.vae_factor,
        structure_width=config.structure_width,
        identity_tokens=config.identity_tokens,
        audio_tokens=config.audio_tokens,
        temporal_sites=_named(config.temporal_layers, shape.layer_sites()),
        temporal_heads=config.unet.heads,
        max_frames=config.temporal_frames,
        alphas=noise_schedule(config).alphas_cumprod,
        occlusion_fade=config.occlusion_fade,
    )


def reference_net(config: ModelConfig) -> ReferenceNet:
    """Return ReferenceNet at the configured sites, or at all attention sites where none are named."""
    return ReferenceNet(sites=_named(config.reference_layers, unet_shape(config).attention_sites()))


def adapters(config: ModelConfig) -> Adapters:
    """Return IdentityNet, AnimateNet and ReferenceNet for the configured U-Net."""
    return Adapters(
        identity_net=identity_net(config), animate_net=animate_net(config), reference_net=reference_net(config)
    )


def _named(names: Sequence[str], sites: Sequence[Site]) -> list[Site]:
    return [site for site in sites if not names or str(site) in names]
