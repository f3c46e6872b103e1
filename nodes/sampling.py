"""The host's sampling with a preview of our own, which needs no setting of the host's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

import comfy.sample
import comfy.utils
import latent_preview
import torch

from ..portraittalk_core.errors import BadInput
from .host_values import Conditioning, Latent, OnStep
from .hosted_stack import Patcher

if TYPE_CHECKING:
    from typing_extensions import Unpack

PREVIEW_SIZE = 256


class SamplerOptions(TypedDict):
    """KSampler's own inputs."""

    seed: int
    """Of the noise."""

    steps: int
    """Denoising steps."""

    cfg: float
    """Classifier-free guidance of the prompt, and of the identity where IdentityNet Conditioning says so."""

    sampler_name: str
    """Of `KSampler.SAMPLERS`."""

    scheduler: str
    """Of `KSampler.SCHEDULERS`."""

    denoise: float
    """How much of the noise is taken away, from above 0 to 1."""


def sample(
    model: Patcher,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent | None,
    empty: Latent,
    **options: Unpack[SamplerOptions],
) -> Latent:
    """Sample a whole video, as KSampler would.

    Args:
        model: Conditioned.
        positive: Prompts.
        negative: What shall not be seen.
        latent: Frames to start from.
        empty: Of `attaching.animate_net`: its rows say which frames share their noise.
        **options: See `SamplerOptions`.

    Returns:
        LATENT.

    Raises:
        BadInput: Where `denoise` is below 1 and there is nothing to start from, or it has another length.
    """
    denoise, seed, steps = options["denoise"], options["seed"], options["steps"]
    if denoise < 1 and latent is None:
        raise BadInput(f"`latent` must be connected where `denoise` is below 1, but denoise is {denoise:g}. Set 1.")
    start = (latent or empty)["samples"]
    if len(start) not in (1, len(empty["samples"])):
        raise BadInput(f"`latent` must have {len(empty['samples'])} frames as the motion has, but got {len(start)}.")
    start = start.expand(len(empty["samples"]), -1, -1, -1)
    noise = comfy.sample.prepare_noise(start, seed, empty.get("batch_index"))
    mask = (latent or empty).get("noise_mask")
    samples = comfy.sample.sample(
        model,
        noise,
        steps,
        options["cfg"],
        options["sampler_name"],
        options["scheduler"],
        positive,
        negative,
        start,
        denoise=denoise,
        noise_mask=mask,
        callback=_progress(model, steps),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return cast(Latent, {**(latent or empty), "samples": samples})


def _progress(model: Patcher, steps: int) -> OnStep:
    """Return a callback that moves the node's bar and shows the middle frame of what is being denoised."""
    bar = comfy.utils.ProgressBar(steps)
    colours = model.model.latent_format
    factors, bias = colours.latent_rgb_factors, getattr(colours, "latent_rgb_factors_bias", None)
    previewer = latent_preview.Latent2RGBPreviewer(factors, bias) if factors is not None else None

    def report(step: int, x0: torch.Tensor, x: torch.Tensor, total: int) -> None:
        image = previewer.decode_latent_to_preview(x0[len(x0) // 2 :][:1]) if previewer else None
        bar.update_absolute(step + 1, total, ("JPEG", image, PREVIEW_SIZE) if image else None)

    return report
