"""The host's sampling with a preview of our own, which needs no setting of the host's."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict, cast

import comfy.sample
import comfy.utils
import latent_preview
import torch

from ..portraittalk_core.errors import BadInput
from .attaching import told_of
from .comfy_windows import reporting
from .host_values import Conditioning, Latent
from .hosted_stack import Patcher
from .tiny_models import TinyAutoencoder

if TYPE_CHECKING:
    from PIL.Image import Image
    from typing_extensions import Unpack

PREVIEW_SIZE = 256

PARTS = 100
"""Of a step, by which the bar moves while windows are denoised."""


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
    progress = Progress(model, steps)
    model = reporting(model, progress.window)
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
        callback=progress.step,
        disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
        seed=seed,
    )
    return cast(Latent, {**(latent or empty), "samples": samples})


class Progress:
    """Moves the node's bar by windows and steps, and shows the middle frame of what is being denoised."""

    def __init__(self, model: Patcher, steps: int) -> None:
        """Begin at nothing.

        Args:
            model: Whose latents are shown.
            steps: Of denoising, of the whole video.
        """
        self._bar, self._total, self._done = comfy.utils.ProgressBar(steps * PARTS), steps * PARTS, 0
        # The host's choice where it has made one, TAESD among them; here there is a preview in any case.
        self._previewer = latent_preview.get_previewer(model.load_device, model.model.latent_format) or _own(model)
        self._step = 0

    def __deepcopy__(self, memo: dict[int, object]) -> Progress:
        return self  # the host copies a MODEL's options, this shall be the one that the sampler has

    def window(self, done: int, count: int) -> None:
        """Take note that some of the windows of the running step are done."""
        self._move(self._step * PARTS + PARTS * done // count)

    def step(self, step: int, x0: torch.Tensor, x: torch.Tensor, total: int) -> None:
        """Take note of a finished step, of `total` (a callback of the host's samplers)."""
        self._step, self._total = step + 1, total * PARTS
        image = self._previewer.decode_latent_to_preview(x0[len(x0) // 2 :][:1]) if self._previewer else None
        self._move(self._step * PARTS, ("JPEG", image, PREVIEW_SIZE) if image else None)

    def _move(self, value: int, preview: tuple[str, Image, int] | None = None) -> None:
        self._done = max(self._done, value)  # some samplers ask more than once a step
        self._bar.update_absolute(min(self._done, self._total), self._total, preview)


class VaePreviewer(latent_preview.LatentPreviewer):
    """Shows a picture as the tiny model's VAE decodes it, a few milliseconds of work."""

    def __init__(self, net: TinyAutoencoder, otherwise: latent_preview.LatentPreviewer) -> None:
        """Keep both.

        Args:
            net: Of the VAE. It is not loaded for this: that might push the MODEL that samples out of memory.
            otherwise: What shows a picture while the VAE is not where the latents are.
        """
        self._net, self._otherwise = net, otherwise

    @torch.no_grad()
    def decode_latent_to_preview(self, x0: torch.Tensor) -> Image:
        """Return the picture of one latent."""
        if any(weight.device != x0.device for weight in self._net.parameters()):
            return self._otherwise.decode_latent_to_preview(x0)
        weight = next(self._net.parameters())
        picture = self._net.decode(x0[:1].to(weight.dtype))[0].movedim(0, -1)
        return latent_preview.preview_to_image(picture)


def _own(model: Patcher) -> latent_preview.LatentPreviewer | None:
    """Return what shows a MODEL's latents where the host has no wish: the small VAE of its person, else colours."""
    colours, known = model.model.latent_format, told_of(model)
    factors, bias = colours.latent_rgb_factors, getattr(colours, "latent_rgb_factors_bias", None)
    rough = latent_preview.Latent2RGBPreviewer(factors, bias) if factors is not None else None
    net = getattr(known.hosted.vae, "first_stage_model", None) if known else None
    return VaePreviewer(net, rough) if rough and isinstance(net, TinyAutoencoder) else rough
