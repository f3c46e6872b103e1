"""The host's sampling with a preview of our own, which needs no setting of the host's."""

from __future__ import annotations

from typing import Any

import comfy.sample
import comfy.utils
import latent_preview
import torch

from ..portraittalk_core.errors import BadInput

PREVIEW_SIZE = 256


def sample(
    model: Any,
    positive: Any,
    negative: Any,
    latent: dict[str, Any] | None,
    empty: dict[str, Any],
    *,
    seed: int = 0,
    steps: int = 6,
    cfg: float = 1.0,
    sampler_name: str = "euler",
    scheduler: str = "simple",
    denoise: float = 1.0,
) -> dict[str, Any]:
    """Return LATENT of the whole video, as KSampler would, noise shared by the frames that `empty` says.

    Raises `BadInput` where `denoise` is below 1 and there is nothing to start from, or it has another length.
    """
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
        cfg,
        sampler_name,
        scheduler,
        positive,
        negative,
        start,
        denoise=denoise,
        noise_mask=mask,
        callback=_progress(model, steps),
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return {**(latent or empty), "samples": samples}


def _progress(model: Any, steps: int) -> Any:
    """Return a callback that moves the node's bar and shows the middle frame of what is being denoised."""
    bar = comfy.utils.ProgressBar(steps)
    colours = model.model.latent_format
    factors, bias = colours.latent_rgb_factors, getattr(colours, "latent_rgb_factors_bias", None)
    previewer = latent_preview.Latent2RGBPreviewer(factors, bias) if factors is not None else None

    def report(step: int, x0: torch.Tensor, x: torch.Tensor, total: int) -> None:
        image = previewer.decode_latent_to_preview(x0[len(x0) // 2 :][:1]) if previewer else None
        bar.update_absolute(step + 1, total, ("JPEG", image, PREVIEW_SIZE) if image else None)

    return report
