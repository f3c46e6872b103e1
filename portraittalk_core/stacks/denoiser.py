"""Runs a U-Net on windows of one video, with everything that it is conditioned on."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..host import Call, Host, Pass
from .base import Condition
from .prompts import PromptEmbeds


class Denoiser:
    """Predicts for a window of frames: a `diffusion.latent_fusion.Predict`.

    Weights may have any precision; latents stay in their own between steps.
    """

    def __init__(self, host: Host, condition: Condition, prompts: PromptEmbeds, *, passes_at_once: bool = True) -> None:
        """Bind what stays the same for a whole video.

        Args:
            host: Runs the U-Net.
            condition: What it is conditioned on; `Conditions` joins several.
            prompts: What its cross-attention reads.
            passes_at_once: False runs guidance's passes one after the other, which takes half of the memory.
        """
        self._host, self._condition, self._prompts = host, condition, prompts
        self._at_once = passes_at_once
        self._text: dict[object, Tensor] = {}

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
        """
        uncond = not all(p.identity for p in passes)
        groups = [passes] if self._at_once else [(p,) for p in passes]
        with self._host.attach(self._condition.branches(self._host, frames, uncond, latents.device)):
            return torch.cat([self._run(latents, timestep, frames, group) for group in groups])

    def _run(self, latents: Tensor, timestep: Tensor, frames: Tensor, passes: tuple[Pass, ...]) -> Tensor:
        text = self._read(passes, frames)
        rows = latents.to(self._host.dtype).repeat(len(passes), 1, 1, 1)
        places = torch.arange(len(frames), device=latents.device)
        call = Call(frames=places, passes=passes, clip=len(frames), in_order=True)
        return self._host.denoise(rows, timestep, text, call).to(latents.dtype)

    def _read(self, passes: tuple[Pass, ...], frames: Tensor) -> Tensor:
        """Return the text of a window, the same tensor as long as it says the same: hosts then project it once."""
        key = (passes, len(frames) if len(self._prompts.prompt_embeds) == 1 else tuple(frames.tolist()))
        if key not in self._text:
            self._text = {key: self._prompts.batch(passes, frames).to(self._host.dtype)}
        return self._text[key]
