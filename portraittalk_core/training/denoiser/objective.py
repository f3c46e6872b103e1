"""One training step as a module: conditions, corruption, the U-Net with its branches, the losses.

It is a module so that one wrapper (data parallelism, mixed precision) covers every network that is trained.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ...diffusion.schedule import NoiseSchedule
from ...host import Branch, Call
from ...hosts.diffusers_host import DiffusersHost
from ...motion.geometry import CONTOUR_SIGMA, contours, head_cue, placement
from ...nets.adapters import Adapters
from ...perception.text import TextEncoder
from .losses import denoising_loss, face_weight, mask_reconstruction_loss, min_snr_weight, random_regions
from .pairs import Batch
from .recomputing import RecomputingHost, recomputed

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class Objective(nn.Module):
    """The loss of a batch of frames, or of clips, for a denoiser of any size and kind of prediction.

    `named_parameters()` begin with `unet.`, `identity_net.` or `animate_net.`, as in the weights files.
    """

    def __init__(
        self,
        *,
        unet: UNet2DConditionModel,
        adapters: Adapters,
        text: TextEncoder,
        schedule: NoiseSchedule,
        high_noise: float = 0.7,
        face_weight: float = 3.0,
        mouth_weight: float = 0.0,
        mask_weight: float = 0.25,
        mask_chance: float = 0.3,
        shared_noise: float = 0.5,
        latent_size: int = 32,
        contour_fold: int = 2,
        min_snr: float = 0.0,
        noise_offset: float = 0.0,
        recompute: bool = False,
    ) -> None:
        """Join the networks of one model.

        Args:
            unet: The base denoiser.
            adapters: What runs beside it; trained with it, or after it.
            text: Reads captions; frozen.
            schedule: How noise is added, and what the denoiser predicts.
            high_noise: See `TrainingConfig`, as for the weights and chances that follow.
            face_weight: See `TrainingConfig`.
            mouth_weight: See `TrainingConfig`.
            mask_weight: See `TrainingConfig`.
            mask_chance: See `TrainingConfig`.
            shared_noise: See `TrainingConfig`.
            latent_size: Side of the latents that generation will use; training may use smaller ones.
            contour_fold: Side of the contour pictures over that of the latents.
            min_snr: See `TrainingConfig`.
            noise_offset: See `TrainingConfig`.
            recompute: See `TrainingConfig`.
        """
        super().__init__()
        self.unet, self.identity_net, self.animate_net = unet, adapters.identity_net, adapters.animate_net
        self.text, self.schedule = text, schedule
        self._adapters = (adapters,)  # in a tuple: its networks have their names above, those of the weights files
        self._host = RecomputingHost(unet) if recompute else DiffusersHost(unet)
        self._recompute, self._min_snr, self._noise_offset = recompute, min_snr, noise_offset
        self._high_noise, self._face_strength, self._shared_noise = high_noise, face_weight, shared_noise
        self._latent_size, self._mouth_strength, self._contour_fold = latent_size, mouth_weight, contour_fold
        self._mask_weight, self._mask_chance = mask_weight, mask_chance

    def forward(self, batch: Batch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the losses of one batch.

        Args:
            batch: Frames or clips, on the device that trains.
            generator: Of times, noise and corruption; on the same device.

        Returns:
            `loss`, which is minimised, and its parts `denoise` and `mask`, detached.
        """
        latents = batch.latents
        rows, size = len(latents), latents.shape[-1]
        timestep = self._draw_times(rows, batch.clip, generator)
        noise = self._draw_noise(latents, batch.clip, generator)
        mask = random_regions(rows, size, self._mask_chance, generator)
        foreign = torch.randn(latents.shape, generator=generator, device=latents.device)
        noisy = self.schedule.add_noise(latents, noise, timestep)
        corrupted = noisy * (1 - mask) + foreign * mask
        predicted = self.predict(batch, corrupted, timestep)
        weight = face_weight(batch.landmarks, size, self._face_strength, self._mouth_strength, batch.unseen)
        plain = denoising_loss(
            predicted, self.schedule.target(latents, noise, timestep), weight * self._snr_weight(timestep), mask
        )
        rebuilt = self.schedule.to_x0(corrupted, predicted, timestep)
        if self.schedule.prediction_type == "epsilon":
            # Clean latents are told by the noise over sqrt(abar), small at high noise, which would drown all else.
            weight = weight * self.schedule.alphas_cumprod.to(weight.device)[timestep].view(-1, 1, 1, 1)
        restored = mask_reconstruction_loss(rebuilt, latents, weight, mask)
        return {"loss": plain + self._mask_weight * restored, "denoise": plain.detach(), "mask": restored.detach()}

    def predict(
        self, batch: Batch, noisy: Float[Tensor, "n c h w"], timestep: Int[Tensor, "n"]
    ) -> Float[Tensor, "n c h w"]:
        """Run the denoiser on noisy latents with every condition that a batch holds.

        Args:
            batch: The conditions; its latents are not looked at.
            noisy: One row a frame.
            timestep: One a row, in [0, schedule.num_train_timesteps).

        Returns:
            Velocity, noise or clean latents, whichever `schedule` says; float32.
        """
        call = Call(frames=torch.arange(len(noisy), device=noisy.device), clip=batch.clip if batch.clip > 1 else 0)
        with self._host.attach(self._branches(batch)):
            return self._host.denoise(noisy, timestep, self._text(batch.ids), call).float()

    def _branches(self, batch: Batch) -> list[Branch]:
        (adapters,) = self._adapters
        nobody = self._text(batch.ids.new_tensor(self.text.tokenize([""]).tolist()))
        features = adapters.reference_net.record(
            self._host, batch.reference_latents, nobody.expand(len(batch.reference_latents), -1, -1)
        )
        seen = torch.where(batch.present, batch.owner, -1)[:, None]
        temporal = [] if batch.features is None else adapters.temporal_branches()
        temporal = recomputed(temporal) if self._recompute else temporal
        audio = [] if batch.features is None else adapters.audio_branches(batch.features)
        return [
            *adapters.identity_branches(batch.embeddings),
            *adapters.reference_branches(features, seen),
            *temporal,
            *self._structure(batch),
            *audio,
        ]

    def _structure(self, batch: Batch) -> list[Branch]:
        (adapters,) = self._adapters
        reference = batch.reference_landmarks[batch.owner]
        size = batch.latents.shape[-1]
        with torch.autocast(batch.latents.device.type, enabled=False):  # geometry needs its digits
            # A line is as wide in latent cells at every picture size, or small pictures would show dotted ones.
            lines = contours(batch.shown, self._contour_fold * size, CONTOUR_SIGMA * self._latent_size / size)
            where, cue = placement(reference, batch.shown), head_cue(batch.shown)
        return adapters.structure_branches(
            contours=lines,
            placement=where,
            cue=cue,
            reference_latents=batch.reference_latents[batch.owner],
            warped_pictures=batch.warped_pictures,
            warped_latents=batch.warped_latents,
            present=batch.present,
        )

    def _snr_weight(self, timestep: Int[Tensor, "n"]) -> Float[Tensor, "n 1 1 1"] | float:
        """Return each sample's weight; losses are averaged after they are weighted, or the weights would do nothing."""
        if not self._min_snr:
            return 1.0
        signal = self.schedule.alphas_cumprod.to(timestep.device)[timestep]
        return min_snr_weight(signal, self._min_snr, self.schedule.prediction_type).view(-1, 1, 1, 1)

    @torch.no_grad()
    def _text(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        return self.text(ids)

    def _draw_times(self, rows: int, clip: int, generator: torch.Generator) -> Int[Tensor, "rows"]:
        # Layout and colours are decided at high noise, which uniform times would train too little.
        steps = self.schedule.num_train_timesteps
        draw = torch.rand(rows // clip, generator=generator, device=generator.device)
        return (draw**self._high_noise * steps).long().clamp(max=steps - 1).repeat_interleave(clip)

    def _draw_noise(
        self, latents: Float[Tensor, "n c h w"], clip: int, generator: torch.Generator
    ) -> Float[Tensor, "n c h w"]:
        """Return noise whose frames share a random part, since generation may share all of it or nothing."""
        own = torch.randn(latents.shape, generator=generator, device=latents.device)
        if self._noise_offset:
            whole = torch.randn((len(latents) // clip, latents.shape[1], 1, 1), generator=generator, device=own.device)
            own = own + self._noise_offset * whole.repeat_interleave(clip, 0)
        if clip == 1:
            return own
        clips = len(latents) // clip
        common = torch.randn((clips, *latents.shape[1:]), generator=generator, device=latents.device)
        draw = torch.rand(2, clips, generator=generator, device=latents.device)
        share = torch.where(draw[0] < self._shared_noise, 1.0, draw[1]).repeat_interleave(clip).view(-1, 1, 1, 1)
        return share.sqrt() * common.repeat_interleave(clip, 0) + (1 - share).sqrt() * own
