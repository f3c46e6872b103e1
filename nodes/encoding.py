"""Prompts through the host's CLIP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from ..portraittalk_core.stacks.prompts import PromptTrack, appearance_edits
from . import convert
from .host_values import Conditioning

if TYPE_CHECKING:
    import comfy.sd


LOOKS = "portraittalk_looks"
"""In a CONDITIONING's further values: in which frames its prompts ask for other looks, [frames, regions] in 0..1."""

WANTED = "portraittalk_wanted"
"""Likewise: which prompts there are, see `Wanted`."""


@dataclass(frozen=True)
class Wanted:
    """The prompts that a CONDITIONING is made of."""

    texts: tuple[str, ...]
    """In their order in time."""

    weights: Float[Tensor, "frames prompts"]
    """How much of each frame each has, see `PromptTrack`."""

    clip: comfy.sd.CLIP
    """That reads them."""

    def __deepcopy__(self, memo: dict[int, object]) -> Wanted:
        return self  # some nodes copy a CONDITIONING, models stay shared

    def conditioning(self, text: str) -> Conditioning:
        """Return the CONDITIONING of a prompt in every frame."""
        return encode(self.clip, text)


def encode(clip: comfy.sd.CLIP, prompt: str) -> Conditioning:
    """Return CONDITIONING as CLIP Text Encode makes it."""
    return clip.encode_from_tokens_scheduled(clip.tokenize(prompt))


def over_time(
    clip: comfy.sd.CLIP, prompt: str, edits: Sequence[tuple[float, str]], frames: int, fps: float
) -> Conditioning:
    """Return CONDITIONING with one row a frame, or one row for all where there are no edits.

    It knows `LOOKS` and `WANTED`. Prompts of different lengths are repeated to a common one, which leaves attention
    over them as it was. Raises `BadInput` for edits before the start.
    """
    track = PromptTrack(prompt, edits, fps, frames)
    wanted = Wanted(tuple(track.prompts), track.weights, clip)
    asked = {LOOKS: appearance_edits(track, frames), WANTED: wanted}
    if not edits:
        return [convert.entry(tokens, {**extra, **asked}) for tokens, extra in encode(clip, prompt)]
    encoded = [encode(clip, text)[0] for text in track.prompts]
    length = math.lcm(*(tokens.shape[1] for tokens, _ in encoded))
    tokens = torch.cat([tokens.repeat(1, length // tokens.shape[1], 1) for tokens, _ in encoded])
    blended = track.mix(tokens, torch.arange(frames))
    pooled: list[Tensor] = [extra["pooled_output"] for _, extra in encoded if extra.get("pooled_output") is not None]
    extra = {**encoded[0][1], **asked}
    if len(pooled) == len(encoded):
        extra["pooled_output"] = track.mix(torch.cat(pooled), torch.arange(frames))
    return [convert.entry(blended, extra)]


def looks(positive: Conditioning | None, frames: int, least: float) -> Tensor | float:
    """Say how far decoded frames count where they show something else than the photograph.

    Args:
        positive: Of `over_time`; None, or one of another node, says nothing.
        frames: Of the video.
        least: What holds in any case.

    Returns:
        One number for all frames, or one a frame and region.
    """
    asked: Tensor | None = positive[0][1].get(LOOKS) if positive else None
    return least if asked is None or len(asked) != frames else asked.clamp(min=least)


def wanted(positive: Conditioning) -> Wanted | None:
    """Return the prompts of a CONDITIONING of `over_time`; None for one of another node."""
    return positive[0][1].get(WANTED)
