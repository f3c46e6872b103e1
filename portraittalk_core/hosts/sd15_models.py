"""Build the SD1.5 networks that are not ours, without memory for their weights: a loader fills them.

Only this folder imports diffusers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from ..errors import MissingExtra
from ..sites import UNetShape
from .diffusers_models import build_unet

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from transformers import CLIPTextModel

VAE_SCALE = 0.18215
"""What SD1.5's latents are multiplied with."""


def empty_unet(shape: UNetShape) -> UNet2DConditionModel:
    """Return a U-Net on the meta device.

    Args:
        shape: Of the U-Net.

    Raises:
        MissingExtra: Without diffusers.
    """
    with torch.device("meta"):
        return build_unet(
            latent_channels=4,
            channels=shape.channels,
            layers=shape.layers,
            attention=shape.attention,
            heads=shape.heads,
            cross_dim=shape.cross_dim,
        )


def empty_vae() -> AutoencoderKL:
    """Return SD1.5's VAE on the meta device.

    Raises:
        MissingExtra: Without diffusers.
    """
    try:
        from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
    except ImportError as error:
        raise _missing() from error
    with torch.device("meta"):
        return AutoencoderKL(
            in_channels=3,
            out_channels=3,
            down_block_types=("DownEncoderBlock2D",) * 4,  # pyright: ignore[reportArgumentType] - diffusers says tuple[str]
            up_block_types=("UpDecoderBlock2D",) * 4,  # pyright: ignore[reportArgumentType]
            block_out_channels=(128, 256, 512, 512),  # pyright: ignore[reportArgumentType]
            layers_per_block=2,
            latent_channels=4,
            sample_size=512,
            scaling_factor=VAE_SCALE,
        )


def empty_small_vae() -> AutoencoderTiny:
    """Return TAESD on the meta device.

    Raises:
        MissingExtra: Without diffusers.
    """
    try:
        from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    except ImportError as error:
        raise _missing() from error
    with torch.device("meta"):
        return AutoencoderTiny()  # whose defaults are TAESD's


def encoded(vae: AutoencoderKL | AutoencoderTiny, pixels: Tensor) -> Tensor:
    """Return the latents of pictures as SD1.5's U-Net sees them: the mean of what an encoder says.

    Args:
        vae: SD1.5's own, or TAESD, whose latents are scaled already.
        pixels: In [-1, 1].
    """
    made: Any = vae.encode(pixels)
    return made.latents if hasattr(made, "latents") else made.latent_dist.mean.float() * VAE_SCALE


def decoded(vae: AutoencoderKL | AutoencoderTiny, latents: Tensor) -> Tensor:
    """Return the pictures of latents, about in [-1, 1].

    Args:
        vae: As in `encoded`.
        latents: As SD1.5's U-Net sees them.
    """
    small = type(vae).__name__ == "AutoencoderTiny"
    made: Any = vae.decode(cast(Any, latents if small else latents / VAE_SCALE))
    return made.sample


def empty_controlnet(shape: UNetShape) -> ControlNetModel:
    """Return a ControlNet on the meta device.

    Args:
        shape: Of the U-Net that it runs beside.

    Raises:
        MissingExtra: Without diffusers.
    """
    try:
        from diffusers.models.controlnets.controlnet import ControlNetModel
    except ImportError as error:
        raise _missing() from error
    with torch.device("meta"):
        return ControlNetModel(
            in_channels=4,
            block_out_channels=shape.channels,
            layers_per_block=shape.layers,
            down_block_types=tuple("CrossAttnDownBlock2D" if a else "DownBlock2D" for a in shape.attention),
            cross_attention_dim=shape.cross_dim,
            attention_head_dim=shape.heads,  # the number of heads, as for the U-Net
        )


def empty_text_encoder() -> CLIPTextModel:
    """Return the text half of CLIP ViT-L/14 on the meta device, as SD1.5 uses it."""
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(
        vocab_size=49408,
        hidden_size=768,
        intermediate_size=3072,
        num_hidden_layers=12,
        num_attention_heads=12,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        projection_dim=768,
        bos_token_id=49406,
        eos_token_id=49407,
        pad_token_id=1,
    )
    with torch.device("meta"):
        return CLIPTextModel(config)


def _missing() -> MissingExtra:
    return MissingExtra("diffusers is needed to run without ComfyUI. Run: pip install diffusers.")
