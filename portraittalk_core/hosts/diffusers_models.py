"""Build the diffusers networks: the base U-Net and the VAE. Only this folder imports diffusers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import MissingExtra

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


def build_unet(
    *,
    latent_channels: int,
    channels: Sequence[int],
    layers: int,
    attention: Sequence[bool],
    heads: int,
    cross_dim: int,
) -> UNet2DConditionModel:
    """Return an untrained U-Net of SD1.5's kind.

    Args:
        latent_channels: As in `config.UNetConfig`, like all that follow.
        channels: Of each level, fine to coarse.
        layers: Of a down block.
        attention: For each down block, whether its layers have a transformer.
        heads: Of every attention.
        cross_dim: Width of the tokens that cross-attention reads.

    Raises:
        MissingExtra: Without diffusers.
    """
    try:
        from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    except ImportError as error:
        raise _missing() from error
    down = tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in attention)
    up = tuple("CrossAttnUpBlock2D" if a else "UpBlock2D" for a in reversed(attention))
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=tuple(channels),
        layers_per_block=layers,
        down_block_types=down,
        up_block_types=up,
        cross_attention_dim=cross_dim,
        attention_head_dim=heads,  # diffusers keeps the number of heads under this name for SD1.5's layout
    )


def build_tiny_vae(
    *, latent_channels: int, width: int, encoder_blocks: Sequence[int], decoder_blocks: Sequence[int]
) -> AutoencoderTiny:
    """Return an untrained VAE of the TAESD layout (github.com/madebyollin/taesd).

    Args:
        latent_channels: Channels of a latent.
        width: Channels inside, at every level.
        encoder_blocks: Residual blocks of each level, finest first.
        decoder_blocks: Residual blocks of each level, coarsest first.

    Raises:
        MissingExtra: Without diffusers.
    """
    try:
        from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    except ImportError as error:
        raise _missing() from error
    return AutoencoderTiny(
        in_channels=3,
        out_channels=3,
        latent_channels=latent_channels,
        encoder_block_out_channels=(width,) * len(encoder_blocks),
        decoder_block_out_channels=(width,) * len(decoder_blocks),
        num_encoder_blocks=tuple(encoder_blocks),
        num_decoder_blocks=tuple(decoder_blocks),
    )


def _missing() -> MissingExtra:
    return MissingExtra("diffusers is needed to run without ComfyUI. Run: pip install diffusers.")
