"""One training step as a module: conditions, corruption, the U-Net with its branches, the losses.

It is a module so that one wrapper (data parallelism, mixed precision) covers every network that is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...host import Branch, Call
from ...hosts.diffusers_host import DiffusersHost
from ...motion.geometry import CONTOUR_SIGMA, contours, head_cue, placement, warp_picture
from ...nets.animate_net import AnimateNet
from ...nets.attention import has_learned
from ...nets.identity_net import IdentityNet
from ...nets.reference_net import ReferenceNet
from ...nets.structure_encoder import structure_input
from ...perception.text import TextEncoder
from .losses import denoising_loss, face_weight, mask_reconstruction_loss, random_regions
from .pairs import Batch

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class Objective(nn.Module):
    """The loss of a batch of frames, or of clips.

    unet, identity_net, animate_net: what is trained; reference: which sites lend the reference's features; text, vae:
    frozen; alphas: cumulative products of the noise schedule, [steps]; latent_size: side of
    the latents that generation will use (training may use smaller ones); the remaining arguments are those of
    `TrainingConfig`.
    """

    alphas: Tensor

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        identity_net: IdentityNet,
        animate_net: AnimateNet,
        reference: ReferenceNet,
        text: TextEncoder,
        vae: AutoencoderTiny,
        alphas: Float[Tensor, "steps"],
        high_noise: float = 0.7,
        face_weight: float = 3.0,
        mouth_weight: float = 0.0,
        mask_weight: float = 0.25,
        mask_chance: float = 0.3,
        shared_noise: float = 0.5,
        latent_size: int = 32,
    ) -> None:
        super().__init__()
        self.unet, self.identity_net, self.animate_net = unet, identity_net, animate_net
        self.text, self.vae = text, vae
        self._reference = reference
        self._host = DiffusersHost(unet)
        self.register_buffer("alphas", alphas, persistent=False)
        self._high_noise, self._face_strength, self._shared_noise = high_noise, face_weight, shared_noise
        self._latent_size, self._mouth_strength = latent_size, mouth_weight
        self._mask_weight, self._mask_chance = mask_weight, mask_chance

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return `loss` and its parts for one batch; the generator lives on the batch's device."""
        latents = batch.latents
        rows, size = len(latents), latents.shape[-1]
        timestep = self._draw_times(rows, batch.clip, generator)
        noise = self._draw_noise(latents, batch.clip, generator)
        mask = random_regions(rows, size, self._mask_chance, generator)
        foreign = torch.randn(latents.shape, generator=generator, device=latents.device)
        signal, sigma = self.rates(timestep)
        noisy = signal * latents + sigma * noise
        corrupted = noisy * (1 - mask) + foreign * mask
        predicted = self.predict(batch, corrupted, timestep)
        weight = face_weight(batch.landmarks, size, self._face_strength, self._mouth_strength)
        plain = denoising_loss(predicted, signal * noise - sigma * latents, weight, mask)
        rebuilt = mask_reconstruction_loss(signal * corrupted - sigma * predicted, latents, weight, mask)
        return {"loss": plain + self._mask_weight * rebuilt, "denoise": plain.detach(), "mask": rebuilt.detach()}

    def predict(
        self, batch: Batch, noisy: Float[Tensor, "n c h w"], timestep: Int[Tensor, "n"]
    ) -> Float[Tensor, "n c h w"]:
        """Return the velocity that the denoiser predicts for noisy latents, told everything that a batch tells."""
        call = Call(frames=torch.arange(len(noisy), device=noisy.device), clip=batch.clip if batch.clip > 1 else 0)
        with self._host.attach(self._branches(batch)):
            return self._host.denoise(noisy, timestep, self._text(batch.ids), call).float()

    def _branches(self, batch: Batch) -> list[Branch]:
        nobody = self._text(batch.ids.new_tensor(self.text.tokenize([""]).tolist()))
        features = self._reference.record(
            self._host, batch.reference_latents, nobody.expand(len(batch.reference_latents), -1, -1)
        )
        seen = torch.where(batch.present, batch.owner, -1)[:, None]
        animate = self.animate_net
        picture, latent = self._warp(batch)
        branches: list[Branch] = [
            *self.identity_net.branches(batch.embeddings),
            *animate.identity.branches(batch.embeddings),
            *animate.structure.branches(animate.structure(self._structure(batch, picture, latent))),
            *animate.occlusion.branches(latent, batch.reference_latents[batch.owner], batch.present.float()),
            *self._reference.branches(features, seen),
        ]
        if batch.features is not None:
            branches += [
                *animate.audio.branches(batch.features),
                *animate.temporal.branches(float(self._joins_frames())),
            ]
        return branches

    def _joins_frames(self) -> bool:
        """Say whether temporal attention learns or has learned; before that it costs time and adds nothing."""
        temporal = self.animate_net.temporal
        return any(p.requires_grad for p in temporal.parameters()) or has_learned(temporal, "proj_out")

    def _structure(self, batch: Batch, picture: Tensor, latent: Tensor) -> Tensor:
        reference = batch.reference_landmarks[batch.owner]
        size = batch.latents.shape[-1]
        # A line is as wide in latent cells at every picture size, or small pictures would show dotted ones.
        return structure_input(
            contours(batch.shown, 2 * size, CONTOUR_SIGMA * self._latent_size / size),
            placement(reference, batch.shown),
            head_cue(batch.shown),
            batch.reference_latents[batch.owner],
            picture,
            latent,
            batch.present,
        )

    @torch.no_grad()
    def _text(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        return self.text(ids)

    @torch.no_grad()
    def _warp(self, batch: Batch) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n c h w"]]:
        """Return the reference picture of each frame, its face where the frame has it, and the latent of that."""
        landmarks = batch.reference_landmarks[batch.owner]
        pixels = warp_picture(batch.reference_pictures[batch.owner], landmarks, batch.shown)
        # In the order in which convolutions on a CPU prefer their input.
        return pixels, cast(Any, self.vae.encode(pixels.contiguous(memory_format=torch.channels_last))).latents

    def _draw_times(self, rows: int, clip: int, generator: torch.Generator) -> Int[Tensor, "rows"]:
        # Layout and colours are decided at high noise, which uniform times would train too little.
        steps = len(self.alphas)
        draw = torch.rand(rows // clip, generator=generator, device=generator.device)
        return (draw**self._high_noise * steps).long().clamp(max=steps - 1).repeat_interleave(clip)

    def _draw_noise(
        self, latents: Float[Tensor, "n c h w"], clip: int, generator: torch.Generator
    ) -> Float[Tensor, "n c h w"]:
        """Return noise whose frames share a random part, since generation may share all of it or nothing."""
        own = torch.randn(latents.shape, generator=generator, device=latents.device)
        if clip == 1:
            return own
        clips = len(latents) // clip
        common = torch.randn((clips, *latents.shape[1:]), generator=generator, device=latents.device)
        draw = torch.rand(2, clips, generator=generator, device=latents.device)
        share = torch.where(draw[0] < self._shared_noise, 1.0, draw[1]).repeat_interleave(clip).view(-1, 1, 1, 1)
        return share.sqrt() * common.repeat_interleave(clip, 0) + (1 - share).sqrt() * own

    def rates(self, timestep: Int[Tensor, "n"]) -> tuple[Float[Tensor, "n 1 1 1"], Float[Tensor, "n 1 1 1"]]:
        """Return how much of the clean latents and of the noise is in noisy ones."""
        alpha = self.alphas[timestep].view(-1, 1, 1, 1)
        return alpha.sqrt(), (1 - alpha).sqrt()
