"""Between the host's values and the core's records: the only place where ranges and layouts change."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.types import Sound
from .host_values import Audio, Conditioning, Options

NO_SOUND = "`audio` must hold sound, but got none. Connect Load Audio."

GROUND = 128 / 255
"""What transparent parts of a picture become: mid-grey, as `media.image.read_image` makes them."""

_MOST_CHANNELS = 8
"""Of a sound; more say that its axes are swapped."""


def pictures(images: Tensor) -> list[Tensor]:
    """Return IMAGE [n, h, w, c] in 0..1 as pictures [3, h, w] in [-1, 1]; see `opaque`."""
    return list((opaque(images) * 2 - 1).movedim(-1, 1))


def opaque(images: Tensor) -> Tensor:
    """Return IMAGE [n, h, w, c] with three channels, on the CPU; see `GROUND`. Raises `BadInput` for other shapes."""
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4) or not len(images):
        raise BadInput(
            f"`image` must be [pictures, height, width, 1, 3 or 4], but got {list(images.shape)}. Connect Load Image."
        )
    if not images.is_floating_point():
        raise BadInput(f"`image` must hold numbers from 0 to 1, but holds {images.dtype}. Divide them by 255.")
    colour, alpha = images[..., :3].float(), images[..., 3:4].float()
    if alpha.shape[-1]:
        colour = colour * alpha + GROUND * (1 - alpha)
    if colour.shape[-1] == 1:
        colour = colour.expand(*colour.shape[:-1], 3)
    return colour.clamp(0, 1).cpu()


def images(pixels: Tensor) -> Tensor:
    """Return pictures [n, 3, h, w] in [-1, 1] as IMAGE."""
    return (pixels.movedim(1, -1) / 2 + 0.5).clamp(0, 1).float().cpu()


def masked(image: Tensor, mask: Tensor | None) -> Tensor:
    """Return IMAGE with everything outside a MASK [n, h, w] gray, so that no other face is found there."""
    if mask is None:
        return image
    rows = mask[None] if mask.ndim == 2 else mask
    if rows.ndim == 4 and rows.shape[1] == 1:
        rows = rows[:, 0]  # as some packs hand masks on
    if rows.ndim != 3:
        raise BadInput(f"`mask` must be [masks, height, width], but got {list(mask.shape)}. Connect a MASK.")
    if rows.shape[1:] != image.shape[1:3]:
        rows = torch.nn.functional.interpolate(rows[:, None].float(), image.shape[1:3], mode="bilinear")[:, 0]
    if not rows.any():
        raise BadInput("`mask` must mark the face, but it is empty. Paint over the face, or disconnect it.")
    seen = (rows if len(rows) == len(image) else rows[:1]).to(image)[..., None]
    return image[..., :3] * seen + 0.5 * (1 - seen)


def face_masks(outlines: Tensor, size: int) -> Tensor:
    """Return MASK [n, size, size]: 1 inside outlines [n, points, 2], given as shares of the side."""
    import numpy as np
    from PIL import Image, ImageDraw

    made = []
    for outline in outlines:
        picture = Image.new("L", (size, size))
        ImageDraw.Draw(picture).polygon([tuple(p) for p in (outline * size).tolist()], fill=255)
        made.append(torch.from_numpy(np.array(picture)).float() / 255)
    return torch.stack(made)


def sound(audio: Audio | None, start_s: float = 0.0, duration_s: float = 0.0) -> Sound:
    """Return a part of AUDIO; a duration of 0 lasts to the end. Raises `BadInput` for what is not one sound."""
    if audio is None:
        raise BadInput(NO_SOUND)
    samples, rate = _one_sound(audio["waveform"]), int(audio["sample_rate"])
    first = round(start_s * rate)
    last = samples.shape[-1] if duration_s <= 0 else min(samples.shape[-1], first + round(duration_s * rate))
    if last <= first:
        have = samples.shape[-1] / rate
        raise BadInput(f"`start_s` must lie before the end of the sound ({have:.2f} s), but got {start_s:g}.")
    return Sound(samples[:, first:last].clone(), rate)


def _one_sound(waveform: Tensor) -> Tensor:
    """Return samples [channels, samples] in -1..1 of the host's waveform; whole numbers are scaled by their range."""
    shape = list(waveform.shape)
    if not 1 <= waveform.ndim <= 3 or waveform.shape[-1] <= _MOST_CHANNELS < shape[-2:][0]:
        raise BadInput(f"`audio` must be [sounds, channels, samples], but got {shape}. Swap its axes.")
    if not waveform.numel():
        raise BadInput(f"`audio` must hold sound, but is empty ({shape}). Choose another recording.")
    if waveform.ndim == 3 and len(waveform) > 1:
        raise BadInput(f"`audio` must be one sound, but is a batch of {len(waveform)}. Queue one after the other.")
    samples = waveform.reshape(-1, waveform.shape[-1]).cpu()
    if samples.is_floating_point():
        return samples.float()
    return samples.float() / (torch.iinfo(samples.dtype).max + 1)


def audio(cut: Sound) -> Audio:
    """Return a sound as AUDIO."""
    return {"waveform": cut.samples[None], "sample_rate": cut.sample_rate}


def embeddings(conditioning: Conditioning) -> Tensor:
    """Return the text tokens [n, t, d] of the first entry of a CONDITIONING."""
    return conditioning[0][0]


def entry(tokens: Tensor, extra: Options) -> tuple[Tensor, Options]:
    """Return one entry of a CONDITIONING: a list, as the host has it, of tokens and further values."""
    return cast("tuple[Tensor, Options]", [tokens, extra])
