"""Make untrained networks from a configuration. Classes take plain numbers; only this file reads a config for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from .config import ModelConfig
from .hosts.diffusers_models import build_unet
from .nets.identity_net import IdentityNet
from .nets.reference_net import ReferenceNet
from .nets.structure_encoder import StructureEncoder, structure_channels
from .sites import UNetShape

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


def unet_shape(config: ModelConfig) -> UNetShape:
    """Return what the sites need to know of the configured U-Net."""
    unet = config.unet
    return UNetShape(unet.channels, unet.layers, unet.attention, unet.cross_dim, unet.heads)


def unet(config: ModelConfig) -> UNet2DConditionModel:
    """Return the base denoiser."""
    return build_unet(**asdict(config.unet))


def identity_net(config: ModelConfig) -> IdentityNet:
    """Return IdentityNet for every cross-attention of the configured U-Net."""
    shape = unet_shape(config)
    return IdentityNet(
        token_dim=config.unet.cross_dim,
        sites=[(site, shape.width(site)) for site in shape.adapter_sites()],
        embedding_dim=config.embedding_dim,
        tokens=config.identity_tokens,
    )


def structure_encoder(config: ModelConfig) -> StructureEncoder:
    """Return the structure encoder; its contours are twice as fine as the latent."""
    fold = config.contour_size * config.vae_factor // config.size
    channels = structure_channels(latent_channels=config.unet.latent_channels, fold=fold)
    return StructureEncoder(in_channels=channels, channels=config.unet.channels, width=config.structure_width)


def reference_net(config: ModelConfig) -> ReferenceNet:
    """Return ReferenceNet at the configured sites, or at all attention sites where none are named."""
    named = set(config.reference_layers)
    sites = [s for s in unet_shape(config).attention_sites() if not named or str(s) in named]
    return ReferenceNet(sites=sites)
