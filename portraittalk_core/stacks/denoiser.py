"""Runs a U-Net on windows of one video, with everything that it is conditioned on."""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..host import Call, DeepFeatures, Host, Pass
from .base import Condition
from .prompts import PromptEmbeds

logger = logging.getLogger(__name__)

MOST_WINDOWS_REUSED = 12
"""Windows whose inner features are kept in joint fusion: up to .4 GB each at 512 pixels, 16 frames, with guidance."""


class Denoiser:
    """Predicts for a window of frames: a `diffusion.latent_fusion.Predict`.

    Weights may have any precision; latents stay in their own between steps.
    """

    def __init__(
        self,
        host: Host,
        condition: Condition,
        prompts: PromptEmbeds,
        *,
        passes_at_once: bool = True,
        reuse: int = 1,
        streams: bool = False,
    ) -> None:
        """Bind what stays the same for a whole video.

        Args:
            host: Runs the U-Net.
            condition: What it is conditioned on; `Conditions` joins several.
            prompts: What its cross-attention reads.
            passes_at_once: False runs guidance's passes one after the other, which takes half of the memory; so does
                True from where memory does not suffice.
            reuse: Every so many steps the whole U-Net runs; in between only its outer layers, where the host can.
            streams: Whether windows come one after the other, so that only one has features to keep.
        """
        self._host, self._condition, self._prompts = host, condition, prompts
        self._at_once = passes_at_once
        self._text: dict[object, Tensor] = {}
        self._reuse, self._streams = reuse, streams
        self._passes: tuple[Pass, ...] = ()
        self._deep: dict[tuple[tuple[int, ...], tuple[Pass, ...]], tuple[DeepFeatures, int]] = {}

    @torch.no_grad()
    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timestep: Int[Tensor, ""],
        frames: Int[Tensor, "n"],
        passes: tuple[Pass, ...],
    ) -> Float[Tensor, "rows c h w"]:
        """Run the U-Net on a window for each pass; see `latent_fusion.Predict`.

        Args:
            latents: Noisy latents of the window.
            timestep: Of all of them.
            frames: Which frames of the video they are.
            passes: Of guidance.

        Returns:
            What the U-Net predicts: `len(passes)` groups of n rows, one after the other.

        Raises:
            torch.OutOfMemoryError: When memory does not hold a single pass.
        """
        if passes != self._passes:  # guidance has begun or ended: what was kept is of other rows
            self._deep.clear()
            self._passes = passes
        if self._at_once and len(passes) > 1:
            try:
                return self._predicted(latents, timestep, frames, [passes])
            except torch.OutOfMemoryError:
                logger.warning("Memory does not hold guidance's passes at once; going on with one after the other.")
            self._at_once = False  # beyond the error, which holds what the passes had made
            self._deep.clear()
            self._text.clear()
        return self._predicted(latents, timestep, frames, [(p,) for p in passes])

    def _predicted(
        self,
        latents: Tensor,
        timestep: Tensor,
        frames: Tensor,
        groups: list[tuple[Pass, ...]],
    ) -> Tensor:
        uncond = not all(p.identity for group in groups for p in group)
        with self._host.attach(self._condition.branches(self._host, frames, uncond, latents.device)):
            return torch.cat([self._run(latents, timestep, frames, group) for group in groups])

    def _run(self, latents: Tensor, timestep: Tensor, frames: Tensor, passes: tuple[Pass, ...]) -> Tensor:
        text = self._read(passes, frames)
        rows = latents.to(self._host.dtype).repeat(len(passes), 1, 1, 1)
        places = torch.arange(len(frames), device=latents.device)
        call = Call(frames=places, passes=passes, clip=len(frames), in_order=True, deep=self._features(frames, passes))
        return self._host.denoise(rows, timestep, text, call).to(latents.dtype)

    def _features(self, frames: Tensor, passes: tuple[Pass, ...]) -> DeepFeatures | None:
        """Return where the inner features of these rows are: new ones every `reuse` steps."""
        if self._reuse == 1:
            return None
        window = tuple(frames.tolist())
        if self._streams and any(known != window for known, _ in self._deep):
            self._deep.clear()  # it was the window before
        key = (window, passes)
        deep, turn = self._deep.get(key, (DeepFeatures(), 0))
        if turn % self._reuse == 0:
            deep = DeepFeatures()
        if key in self._deep or len({known for known, _ in self._deep} | {window}) <= MOST_WINDOWS_REUSED:
            self._deep[key] = (deep, turn + 1)
        return deep

    def _read(self, passes: tuple[Pass, ...], frames: Tensor) -> Tensor:
        """Return the text of a window, the same tensor as long as it says the same: hosts then project it once."""
        key = (passes, len(frames) if len(self._prompts.prompt_embeds) == 1 else tuple(frames.tolist()))
        if key not in self._text:
            self._text = {key: self._prompts.batch(passes, frames).to(self._host.dtype)}
        return self._text[key]
