"""Where the answer may be the reference itself: a learned occlusion map over the denoiser's prediction.

A U-Net that is given a picture still draws it anew, a little off everywhere: eyes, lines and curls are lost, and with
them the person. As in networks that animate by warping (first order motion model, Siarohin et al. 2019) a map says of
each place whether the reference can be seen there: warped with the face, or where it was (what stands still behind).
Everything else (mouth, eyelids, what turns into view, what the prompt changes) is the denoiser's.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..errors import BadInput
from ..host import Call, OutputBranch
from ..sites import Site

_OWN_FIRST = 2.0
"""The logit with which the denoiser's own answer begins: e^2 : 1 against each picture."""

_GAIN = 10.0
"""Logits a unit of the last layer: a map is learned in a hundred steps that would take a thousand."""


class Schedule(Protocol):
    """What a network asks of a noise schedule; `diffusion.schedule.NoiseSchedule` is one."""

    num_train_timesteps: int

    def to_x0(self, x: Tensor, prediction: Tensor, timestep: Tensor) -> Tensor:
        """Return the clean latents that a prediction at noisy latents stands for."""
        ...

    def move_x0(self, prediction: Tensor, away: Tensor, timestep: Tensor, fade: float) -> Tensor:
        """Return the prediction whose clean latents are moved by `-sigma^fade * away`."""
        ...


class OcclusionNet(nn.Module):
    """Looks at the last features and the pictures, and mixes the pictures' latents into the denoiser's prediction.

    Three shares a place, which sum to 1: of the denoiser's own answer, the warped reference, the reference as it is.
    They count in full at pure noise and less with less of it, when the noisy latents themselves show what shall be
    there: times a power of sigma. Whether the U-Net predicts velocity, noise or clean latents is the schedule's affair.
    """

    def __init__(
        self,
        *,
        site: Site,
        width: int,
        latent_channels: int,
        schedule: Schedule,
        fade: float = 1.0,
        hidden: int = 32,
    ) -> None:
        """Build an untrained net.

        Args:
            site: The U-Net's last layer.
            width: Its channels, a multiple of 8.
            latent_channels: Of the denoiser.
            schedule: Of the denoiser: how predictions, noisy and clean latents belong together.
            fade: The power of sigma, 1 or more, so that every kind of prediction stays finite. The less, the more of
                the reference survives the last steps, of what the prompt wants otherwise as well.
            hidden: Channels of the map's own layer.

        Raises:
            BadInput: When `fade` is below 1.
        """
        super().__init__()
        if not fade >= 1:
            raise BadInput(f"`fade` must be 1 or more, or predictions grow without bound, but got {fade}. Try 1.")
        self.site = site
        self._schedule, self._fade = schedule, fade
        self.norm = nn.GroupNorm(8, width)
        self.enter = nn.Conv2d(width + 3 * latent_channels, hidden, 3, padding=1)
        self.shares = nn.Conv2d(hidden, 3, 3, padding=1)
        nn.init.zeros_(self.shares.weight)
        with torch.no_grad():
            assert self.shares.bias is not None
            self.shares.bias.copy_(torch.tensor([_OWN_FIRST / _GAIN, 0.0, 0.0]))

    def branches(
        self,
        warped: Float[Tensor, "n c h w"],
        reference: Float[Tensor, "#n c h w"],
        present: Float[Tensor, "#n"] | None = None,
    ) -> list[OutputBranch]:
        """Return the branch for some frames.

        Args:
            warped: Latents of the warped picture, as the denoiser sees latents.
            reference: Latents of the picture as it is.
            present: 0 for rows that are to know no reference, else 1; None is 1 for all. Passes without identity know
                none either.
        """
        seen = warped.new_ones(1) if present is None else present
        return [_Blend(self, warped, reference, seen[:, None, None, None])]

    def blend(
        self,
        predicted: Float[Tensor, "b c h w"],
        features: Float[Tensor, "b f h w"],
        noisy: Float[Tensor, "b c h w"],
        timestep: Int[Tensor, "*b"],
        warped: Float[Tensor, "b c h w"],
        reference: Float[Tensor, "b c h w"],
        present: Float[Tensor, "b 1 1 1"],
    ) -> Float[Tensor, "b c h w"]:
        """Return the prediction whose clean latents are the mixture.

        Args:
            predicted: By the U-Net, of the schedule's kind.
            features: Of the U-Net's last layer.
            noisy: What the U-Net was given.
            timestep: One number or one a row; hosts may give it as a float.
            warped: Latents of the warped picture.
            reference: Latents of the picture as it is.
            present: 0 for rows that are to know no reference, else 1.
        """
        timestep = timestep.long().clamp(0, self._schedule.num_train_timesteps - 1)
        clean = self._schedule.to_x0(noisy, predicted, timestep)
        seen = torch.cat([nn.functional.silu(self.norm(features)), clean, warped, reference], 1)
        logits = _GAIN * self.shares(nn.functional.silu(self.enter(seen)))
        shares = logits.softmax(1) * present
        away = shares[:, 1:2] * (clean - warped) + shares[:, 2:3] * (clean - reference)
        return self._schedule.move_x0(predicted, away, timestep, self._fade)


class _Blend:
    """Keeps the last layer's features of a run until its prediction is there."""

    def __init__(self, net: OcclusionNet, warped: Tensor, reference: Tensor, present: Tensor) -> None:
        self.site: Site | None = net.site
        self._net, self._warped, self._reference, self._present = net, warped, reference, present
        self._features: Tensor | None = None

    def after(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        self._features = hidden
        return hidden

    def output(self, predicted: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        features, self._features = self._features, None
        assert features is not None and call.inputs is not None  # a host runs the layer first and says what went in
        warped, reference = (call.batch(value).to(predicted) for value in (self._warped, self._reference))
        present = call.batch(self._present, torch.zeros_like(self._present), "identity").to(predicted)
        return self._net.blend(
            predicted, features, call.inputs.latents, call.inputs.timestep, warped, reference, present
        )
