"""Prompts over time: what holds at each frame, and which expression it asks for."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..compositing.edits.regions import asked_regions
from ..errors import BadInput
from ..host import Pass
from ..motion.feelings import shown_feelings
from ..perception.text import EXPRESSION, TextEncoder

FADE_S = 0.24
"""How long one prompt takes to become the next."""


def appearance_edits(prompts: PromptTrack, frames: int) -> Float[Tensor, "frames asked"]:
    """Say in which frames a prompt asks for another appearance of which `edits.regions.ASKED`, in [0, 1].

    Args:
        prompts: Over time.
        frames: Of the video.
    """
    asked = torch.stack([asked_regions(prompt) for prompt in prompts.prompts])
    return prompts.mix(asked, torch.arange(frames))


def parse_edit(text: str, name: str = "edits") -> tuple[float, str]:
    """Read `SECONDS: TEXT`; name: what the user calls it. Raises `BadInput`."""
    start, *rest = re.split("[:：]", text, maxsplit=1)  # the second is the colon of a Chinese keyboard
    prompt = "".join(rest)
    try:
        start_s = float(start)
    except ValueError:
        start_s = math.nan
    if not prompt.strip() or not 0 <= start_s < math.inf:
        raise BadInput(f'`{name}` must be "SECONDS: TEXT", but got {text!r}. Try "2.0: a smiling person".')
    return start_s, prompt.strip()


def parse_edits(texts: str | Sequence[str], name: str = "edits") -> list[tuple[float, str]]:
    """Read timed edits in the order of their times, from a list or from the lines of a text; empty lines do not count.

    Raises `BadInput` for one that cannot be read, and for two at the same time.
    """
    lines = texts.splitlines() if isinstance(texts, str) else texts
    edits = sorted(parse_edit(line, name) for line in lines if line.strip() or not isinstance(texts, str))
    for (one, _), (other, _) in pairwise(edits):
        if one == other:
            raise BadInput(f"`{name}` must have one prompt a time, but got two at {one:g} s. Join them.")
    return edits


class PromptTrack:
    """Prompts over time: at frame i, which of them hold, and how strongly.

    prompt: from the start; edits: (seconds, prompt), in any order, each of which replaces the one before it over
    `FADE_S`; fps and frames: of the video. Raises `BadInput` for an edit before the start.
    """

    def __init__(self, prompt: str, edits: Sequence[tuple[float, str]], fps: float, frames: int) -> None:
        if any(not start_s >= 0 for start_s, _ in edits):
            raise BadInput(f"`edits` must begin at 0 s or later, but got {min(s for s, _ in edits):g} s. Fix the time.")
        ordered = sorted(edits, key=lambda edit: edit[0])
        self.prompts = [prompt, *(text for _, text in ordered)]
        starts = torch.tensor([start_s for start_s, _ in ordered], dtype=torch.float64)
        time_s = torch.arange(frames, dtype=torch.float64)[:, None] / fps
        entered = ((time_s - starts) / FADE_S + 1e-6).clamp(0, 1) if len(starts) else time_s.new_zeros(frames, 0)
        entered = torch.cat([entered.new_ones(frames, 1), entered], 1)
        self.weights: Float[Tensor, "frames prompts"] = _shares(entered).float()

    def since(self, frame: int) -> PromptTrack:
        """Return the prompts of the frames from one on, which becomes the first."""
        later = copy.copy(self)
        later.weights = self.weights[frame:]
        return later

    def mix(self, values: Float[Tensor, "prompts *rest"], frames: Int[Tensor, "n"]) -> Float[Tensor, "n *rest"]:
        """Blend one value a prompt into one a frame."""
        weights = self.weights[frames.cpu()].to(values)
        return torch.einsum("np,p...->n...", weights, values)


@dataclass(frozen=True)
class PromptEmbeds:
    """What cross-attention reads, in diffusers' words `encoder_hidden_states`, over the frames of a video."""

    prompt_embeds: Float[Tensor, "prompts t d"]
    """Tokens: of each prompt of `track`; without a track, one row a frame of the video or one for all."""

    negative_prompt_embeds: Float[Tensor, "1 t d"]
    """Tokens that passes without the condition read."""

    track: PromptTrack | None = None
    """How the prompts follow one another."""

    condition: Literal["text", "identity"] = "text"
    """The condition whose absence makes a pass read the negative ones."""

    def at(self, frames: Int[Tensor, "n"]) -> Float[Tensor, "n|1 t d"]:
        """Return the tokens of some frames.

        Args:
            frames: Indices into the video.

        Returns:
            One row a frame, or one for all.
        """
        if self.track is not None:
            return self.track.mix(self.prompt_embeds, frames)
        return self.prompt_embeds if len(self.prompt_embeds) == 1 else self.prompt_embeds[frames]

    def batch(self, passes: Sequence[Pass], frames: Int[Tensor, "n"]) -> Float[Tensor, "b t d"]:
        """Return the rows of a batch of passes times frames.

        Args:
            passes: Of guidance, which see or do not see the condition.
            frames: Indices into the video.

        Returns:
            One row for each row of the batch.
        """
        count = len(frames)
        given, absent = self.at(frames), self.negative_prompt_embeds
        return torch.cat([(given if getattr(p, self.condition) else absent).expand(count, -1, -1) for p in passes])

    def to(self, device: torch.device) -> PromptEmbeds:
        """Return the same on a device."""
        given, absent = self.prompt_embeds.to(device), self.negative_prompt_embeds.to(device)
        return PromptEmbeds(given, absent, self.track, self.condition)


def _shares(entered: Float[Tensor, "frames prompts"]) -> Float[Tensor, "frames prompts"]:
    """Return how much of each frame each prompt has: the last to have entered covers those before it."""
    rest = torch.ones_like(entered[:, 0])
    shares: list[Tensor] = []
    for column in reversed(entered.unbind(1)):
        shares.append(column * rest)
        rest = rest * (1 - column)
    return torch.stack(shares[::-1], 1)


def expression_offsets(text: TextEncoder, tokens: Float[Tensor, "n t d"]) -> Float[Tensor, "n 52"]:
    """Return what tokens of prompts ask of the face (a smile, raised brows), as offsets of `types.COEFFICIENTS`."""
    return shown_feelings(text.expression(tokens).float(), EXPRESSION)
