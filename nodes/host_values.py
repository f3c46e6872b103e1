"""The host's values as types: what its sockets carry, and what it hands to wrappers."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from io import BytesIO
from typing import Any, Protocol, TypedDict

import torch
from torch import Tensor, nn

Options = dict[str, Any]
"""`model_options`, `transformer_options` and what stands in them; any pack may put anything there."""

Conditioning = list[tuple[Tensor, Options]]
"""CONDITIONING: tokens [n, t, d] and further values of each entry, which is a list of the two in truth."""

Conds = list[list[Options] | None]
"""CONDITIONINGs as the host prepares them for sampling; None for one that is not needed."""

OnStep = Callable[[int, Tensor, Tensor, int], None]
"""A sampler's callback: the step, what it expects to become, what it has, and how many steps there are."""


class _Samples(TypedDict):
    samples: Tensor


class Latent(_Samples, total=False):
    """LATENT: `samples` [n, c, h, w], which are not scaled as a U-Net sees them."""

    batch_index: list[int]
    """Which row of the noise each frame begins with."""

    noise_mask: Tensor
    """What is to be denoised."""


class Audio(TypedDict):
    """AUDIO."""

    waveform: Tensor
    """[batch, channels, samples]."""

    sample_rate: int
    """Samples a second."""


class VideoParts(Protocol):
    """What a VIDEO is made of."""

    images: Tensor
    """IMAGE [n, h, w, c]."""

    frame_rate: Fraction
    """Pictures a second."""


class Video(Protocol):
    """VIDEO."""

    def get_stream_source(self) -> str | BytesIO:
        """Return where it comes from: a path, or the bytes of a file."""
        ...

    def get_components(self) -> VideoParts:
        """Return its pictures."""
        ...


class EncodedAudio(TypedDict):
    """AUDIO_ENCODER_OUTPUT."""

    encoded_audio: Tensor
    """[batch, rows, features]."""

    audio_samples: int
    """Samples at 16 kHz that the rows stand for."""


class VaeLike(Protocol):
    """What is asked of a VAE; pictures are IMAGE, [n, h, w, 3] in 0..1."""

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Return latents [n, c, h, w]."""
        ...

    def decode(self, samples_in: Tensor) -> Tensor:
        """Return pictures."""
        ...


class LatentFormat(Protocol):
    """How a MODEL scales latents, in the host's words."""

    def process_in(self, latent: Tensor) -> Tensor:
        """Return latents of a VAE as the U-Net sees them."""
        ...

    def process_out(self, latent: Tensor) -> Tensor:
        """Return the U-Net's latents as the VAE sees them."""
        ...


class UNet(Protocol):
    """What is asked of the host's U-Net, `UNetModel`; each of its blocks is a list of layers that run in turn."""

    input_blocks: nn.ModuleList
    middle_block: nn.ModuleList
    output_blocks: nn.ModuleList
    dtype: torch.dtype

    def __call__(self, x: Tensor, timesteps: Tensor, *, context: Tensor, transformer_options: Options) -> Tensor:
        """Return the prediction."""
        ...


class UNetExecutor(Protocol):
    """What a DIFFUSION_MODEL wrapper is given: the rest of the chain."""

    class_obj: UNet

    def __call__(
        self,
        x: Tensor,
        timesteps: Tensor,
        context: Tensor | None,
        y: Tensor | None,
        control: object,
        transformer_options: Options,
        **others: object,
    ) -> Tensor:
        """Run the U-Net."""
        ...


class PredictExecutor(Protocol):
    """What a CALC_COND_BATCH wrapper is given."""

    def __call__(self, model: object, conds: Conds, x: Tensor, sigma: Tensor, options: Options, /) -> list[Tensor]:
        """Return a prediction for each of `conds`."""
        ...


class SampleExecutor(Protocol):
    """What a SAMPLER_SAMPLE wrapper is given."""

    def __call__(
        self,
        guider: object,
        sigmas: Tensor,
        extra: Options,
        callback: OnStep | None,
        noise: Tensor,
        latent: Tensor | None = None,
        mask: Tensor | None = None,
        disable_pbar: bool = False,
        /,
    ) -> Tensor:
        """Return the latents when the sampler has finished."""
        ...
