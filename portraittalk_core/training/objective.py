"""One training step as a module: conditions, corruption, the U-Net with its branches, the losses.

It is a module so that one wrapper (data parallelism, mixed precision) covers every network that is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..host import Call
from ..hosts.diffusers_host import DiffusersHost
from ..motion.geometry import contours, head_cue, placement
from ..nets.identity_net import IdentityNet
from ..nets.reference_net import ReferenceNet
from ..nets.structure_encoder import StructureEncoder, structure_input
from .losses import denoising_loss, face_weight, mask_reconstruction_loss, random_regions
from .pairs import Batch

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel


class Objective(nn.Module):
    """The loss of a batch of frames.

    unet, identity_net, structure: what is trained; reference: which sites lend the reference's features;
    alphas: cumulative products of the noise schedule, [steps]; the remaining arguments are those of
    `TrainingConfig`.
    """

    alphas: Tensor

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        identity_net: IdentityNet,
        structure: StructureEncoder,
        reference: ReferenceNet,
        alphas: Float[Tensor, "steps"],
        high_noise: float = 0.7,
        face_strength: float = 3.0,
        mask_weight: float = 0.25,
        mask_chance: float = 0.3,
    ) -> None:
        super().__init__()
        self.unet, self.identity_net, self.structure = unet, identity_net, structure
        self._reference = reference
        self._host = DiffusersHost(unet)
        self.register_buffer("alphas", alphas, persistent=False)
        self._high_noise, self._face_strength = high_noise, face_strength
        self._mask_weight, self._mask_chance = mask_weight, mask_chance

    def forward(
        self,
        batch: Batch,
        text: Float[Tensor, "n t d"],
        empty_text: Float[Tensor, "1 t d"],
        generator: torch.Generator,
    ) -> dict[str, Tensor]:
        """Return `loss` and its parts for one batch.

        text: features of the captions; empty_text: of the empty prompt, which the reference pass sees.
        """
        latents = batch.latents
        rows, size = len(latents), latents.shape[-1]
        timestep = self._draw_times(rows, generator)
        noise = torch.randn(latents.shape, generator=generator)
        mask = random_regions(rows, size, self._mask_chance, generator)
        foreign = torch.randn(latents.shape, generator=generator)
        signal, sigma = self._rates(timestep)
        noisy = signal * latents + sigma * noise
        corrupted = noisy * (1 - mask) + foreign * mask
        features = self._reference.record(
            self._host, batch.reference_latents, empty_text.expand(len(batch.reference_latents), -1, -1)
        )
        seen = torch.where(batch.present, batch.owner, -1)[:, None]
        branches = [
            *self.identity_net.branches(batch.embeddings),
            *self.structure.branches(self._structure(batch)),
            *self._reference.branches(features, seen),
        ]
        with self._host.attach(branches):
            predicted = self._host.denoise(corrupted, timestep, text, Call(frames=torch.arange(rows)))
        weight = face_weight(batch.landmarks, size, self._face_strength)
        plain = denoising_loss(predicted, signal * noise - sigma * latents, weight, mask)
        rebuilt = mask_reconstruction_loss(signal * corrupted - sigma * predicted, latents, weight, mask)
        return {"loss": plain + self._mask_weight * rebuilt, "denoise": plain.detach(), "mask": rebuilt.detach()}

    def _structure(self, batch: Batch) -> list[Tensor]:
        reference = batch.reference_landmarks[batch.owner]
        conditioning = structure_input(
            contours(batch.landmarks),
            placement(reference, batch.landmarks),
            head_cue(batch.landmarks),
            batch.reference_latents[batch.owner],
            batch.present,
        )
        return self.structure(conditioning)

    def _draw_times(self, rows: int, generator: torch.Generator) -> Int[Tensor, "rows"]:
        # Layout and colours are decided at high noise, which uniform times would train too little.
        steps = len(self.alphas)
        return (torch.rand(rows, generator=generator) ** self._high_noise * steps).long().clamp(max=steps - 1)

    def _rates(self, timestep: Int[Tensor, "n"]) -> tuple[Tensor, Tensor]:
        alpha = self.alphas[timestep].view(-1, 1, 1, 1)
        return alpha.sqrt(), (1 - alpha).sqrt()
