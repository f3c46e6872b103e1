"""Ready configurations. `tiny()` and `sd15()` return the same class: size is data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .config import ModelConfig, SamplingConfig, ScheduleConfig, UNetConfig

STABLE_DIFFUSION = ScheduleConfig()
"""The noise schedule of SD1.5 itself and of IP-Adapter FaceID's own demonstration."""

ANIMATEDIFF = ScheduleConfig(beta_schedule="linear")
"""The noise schedule of AnimateDiff v1 to v3: noise prediction on linear betas."""

ANIPORTRAIT = ScheduleConfig(
    beta_schedule="linear",
    prediction_type="v_prediction",
    timestep_spacing="trailing",
    rescale_betas_zero_snr=True,
)
"""The noise schedule of AniPortrait's inference (github.com/Zejun-Yang/AniPortrait). Its second stage was trained on
scaled-linear betas; inference is linear all the same."""


def tiny() -> ModelConfig:
    """Return the model that is trained from scratch on rendered people and runs on a CPU.

    The latents have eight channels: at this size the VAE, not the denoiser, limits the detail of eyes and teeth.
    Velocity prediction with zero terminal signal-to-noise keeps flat backgrounds at their colour.
    """
    return ModelConfig(
        name="tiny",
        size=256,
        unet=UNetConfig(
            latent_channels=8,
            channels=(64, 128, 128),
            layers=1,
            attention=(False, True, True),
            heads=4,
            cross_dim=128,
        ),
        schedule=ScheduleConfig(
            prediction_type="v_prediction", timestep_spacing="trailing", rescale_betas_zero_snr=True, steps_offset=0
        ),
        sampling=SamplingConfig(
            steps=2, plain_size=128, cfg=1.0, edit_cfg=2.0, window=16, overlap=4, fusion="streaming", flicker=0.05
        ),
        identity_tokens=4,
        audio_dim=128,
        audio_tokens=2,
        structure_width=64,
        reference_layers=("down.1.0", "down.2.0", "mid.0.0"),
        temporal_layers=("down.1.0", "down.2.0", "mid.0.0", "up.0.0", "up.0.1", "up.1.0", "up.1.1"),
        occlusion_fade=1.0,
    )


def sd15() -> ModelConfig:
    """Return the shape of SD1.5, which the stacks of public files share; alone it has nothing that moves a face."""
    return ModelConfig()


def sd15_portraittalk() -> ModelConfig:
    """Return PortraitTalk's recipe from public files: FaceID-Portrait, AnimateDiff and a ControlNet.

    Steps and guidance are those of FaceID's own demonstration. Frames start from noise of their own, as AnimateDiff
    was trained. The schedule is AnimateDiff's; a stack of other parts runs on theirs.
    """
    return replace(
        sd15(),
        name="sd15-portraittalk",
        schedule=ANIMATEDIFF,
        sampling=SamplingConfig(steps=30, cfg=7.5, guide_identity=True, shared_noise=0.0),
        identity_tokens=16,
    )


def sd15_magictalk() -> ModelConfig:
    """Return MAGIC-Talk's recipe from public files: AniPortrait's networks, with text beside them.

    Steps, guidance and schedule are those of AniPortrait's released program.
    """
    return replace(
        sd15(),
        name="sd15-magictalk",
        schedule=ANIPORTRAIT,
        sampling=SamplingConfig(steps=25, cfg=3.5, guide_identity=True, shared_noise=0.0),
        identity_tokens=16,
    )


FAST: dict[str, dict[str, Any]] = {
    "tiny": {"steps": 1},
    "sd15-portraittalk": {"sampler": "dpm++2m", "steps": 10, "guidance_end": 0.5, "reuse": 2},
    "sd15-magictalk": {"sampler": "dpm++2m", "steps": 10, "guidance_end": 0.5, "reuse": 2},
}
"""Fields of `SamplingConfig` where speed counts. A part that distils the U-Net to few steps brings its own."""

PUBLIC = ("sd15-portraittalk", "sd15-magictalk")
"""Models that are made of public files."""

PRESETS = {
    "tiny": tiny,
    "sd15-portraittalk": sd15_portraittalk,
    "sd15-magictalk": sd15_magictalk,
}
"""Configurations by the names of the models that can be loaded."""
