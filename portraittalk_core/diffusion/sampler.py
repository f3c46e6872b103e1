"""Samplers: from noise to latents in a few steps, by the numbers of diffusers' schedulers.

A sampler keeps no state. What a multistep method remembers goes in and out of `step`, because each window of a
video has its own memory.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput
from .schedule import SMALLEST_ALPHA, NoiseSchedule

LCM_TIMESTEPS = 50
"""How many timesteps LCM's denoisers were distilled on; diffusers' `original_inference_steps`."""

TCD_ETA = 0.3
"""Share of fresh noise that TCD's authors use."""


class Sampler(Protocol):
    """Takes latents from one timestep to the next."""

    schedule: NoiseSchedule
    """Of the denoiser."""

    timesteps: Int[Tensor, "n"]
    """At which the denoiser is asked, descending."""

    needs_noise: bool
    """Whether `step` needs fresh noise."""

    def step(
        self,
        latents: Float[Tensor, "b *rest"],
        prediction: Float[Tensor, "b *rest"],
        index: int,
        memory: Float[Tensor, "b *rest"] | None = None,
        noise: Float[Tensor, "b *rest"] | None = None,
    ) -> tuple[Float[Tensor, "b *rest"], Float[Tensor, "b *rest"]]:
        """Take one step.

        Args:
            latents: At `timesteps[index]`.
            prediction: What the denoiser says of them, as the schedule's `prediction_type`.
            index: Of the step, from 0.
            memory: What the step before returned; None for the first.
            noise: Fresh unit noise, where the sampler needs it.

        Returns:
            The latents at the next timestep, and the memory to hand to the next step.
        """
        ...


class DDIMSampler:
    """DDIM (Song et al., arXiv 2010.02502, equation 12).

    A step goes to the next of `timesteps`. diffusers goes to `t - 1000 // n` instead, which is the same wherever
    n divides 1000 and misses the next timestep by one or two where it does not.

    Args:
        schedule: Of the denoiser.
        steps: How many, 1 to 1000.
        eta: In [0, 1]: 0 draws no fresh noise, 1 as much as ancestral sampling (DDPM) does.
        denoise: In (0, 1], the last share of the steps to run, at least one step.

    Raises:
        BadInput: For a value outside its range.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int, *, eta: float = 0.0, denoise: float = 1.0) -> None:
        _check_eta(eta)
        self.schedule = schedule
        self.timesteps = _last_part(schedule.timesteps(steps), denoise)
        self.eta = eta
        self.needs_noise = eta > 0

    def step(
        self,
        latents: Float[Tensor, "b *rest"],
        prediction: Float[Tensor, "b *rest"],
        index: int,
        memory: Float[Tensor, "b *rest"] | None = None,
        noise: Float[Tensor, "b *rest"] | None = None,
    ) -> tuple[Float[Tensor, "b *rest"], Float[Tensor, "b *rest"]]:
        """Return the latents after step `index` and x_0, which DDIM does not need again; see `Sampler.step`.

        Raises:
            BadInput: Without the noise that `eta` above 0 needs.
        """
        time = self.timesteps[index]
        alpha, later = self.schedule.alpha(int(time)), _alpha_after(self, index)
        x0 = self.schedule.to_x0(latents, prediction, time)
        direction = self.schedule.to_noise(latents, prediction, time)
        spread = self.eta * math.sqrt((1 - later) / (1 - alpha) * (1 - alpha / later))
        result = math.sqrt(later) * x0 + math.sqrt(max(0.0, 1 - later - spread**2)) * direction
        if spread > 0:
            if noise is None:
                raise BadInput(f"`noise` must be given when `eta` is above 0, but eta is {self.eta}. Set eta=0.")
            result = result + spread * noise
        return result, x0


class DPMSampler:
    """DPM-Solver++(2M), midpoint form (Lu et al., arXiv 2211.01095, algorithm 2), ending at zero noise.

    The first and the last step are of first order. Two to three times fewer steps than DDIM for the same error.

    Args:
        schedule: Of the denoiser.
        steps: How many, 1 to 1000.
        denoise: In (0, 1], the last share of the steps to run, at least one step.

    Raises:
        BadInput: For a value outside its range.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int, *, denoise: float = 1.0) -> None:
        self.schedule = schedule
        self.timesteps = _last_part(schedule.timesteps(steps), denoise)
        self.needs_noise = False

    def step(
        self,
        latents: Float[Tensor, "b *rest"],
        prediction: Float[Tensor, "b *rest"],
        index: int,
        memory: Float[Tensor, "b *rest"] | None = None,
        noise: Float[Tensor, "b *rest"] | None = None,
    ) -> tuple[Float[Tensor, "b *rest"], Float[Tensor, "b *rest"]]:
        """Return the latents after step `index` and x_0, the memory of the next step; see `Sampler.step`."""
        x0 = self._x0(latents, prediction, index)
        if index == len(self.timesteps) - 1:
            return x0, x0
        alpha, sigma = self._alpha_sigma(index)
        next_alpha, next_sigma = self._alpha_sigma(index + 1)
        span = math.log(next_alpha / next_sigma) - math.log(alpha / sigma)
        gain = -next_alpha * math.expm1(-span)
        result = (next_sigma / sigma) * latents + gain * x0
        if memory is not None and index > 0:
            earlier_alpha, earlier_sigma = self._alpha_sigma(index - 1)
            ratio = (math.log(alpha / sigma) - math.log(earlier_alpha / earlier_sigma)) / span
            result = result + (0.5 * gain / ratio) * (x0 - memory)
        return result, x0

    def _x0(self, latents: Tensor, prediction: Tensor, index: int) -> Tensor:
        alpha, sigma = self._alpha_sigma(index)
        kind = self.schedule.prediction_type
        if kind == "v_prediction":
            return alpha * latents - sigma * prediction
        return (latents - sigma * prediction) / alpha if kind == "epsilon" else prediction

    def _alpha_sigma(self, index: int) -> tuple[float, float]:
        """Return signal and noise coefficients, the former never quite zero: its logarithm is needed."""
        bar = max(self.schedule.alpha(int(self.timesteps[index])), SMALLEST_ALPHA)
        return math.sqrt(bar), math.sqrt(1 - bar)


class LCMSampler:
    """Multistep consistency sampling, for denoisers distilled to few steps (LCM, Luo et al., arXiv 2310.04378).

    Each step goes to the clean latents at once, and from there back to the next timestep with fresh noise. Timesteps
    and the weights of the boundary condition are those that LCM's denoisers were distilled with.

    Args:
        schedule: Of the denoiser.
        steps: How many, 1 to 50: the timesteps that distillation has shown.
        denoise: In (0, 1], the last share of the steps to run, at least one step.

    Raises:
        BadInput: For a value outside its range.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int, *, denoise: float = 1.0) -> None:
        self.schedule = schedule
        self.timesteps = _last_part(_distilled(schedule, steps, "lcm"), denoise)
        self.needs_noise = len(self.timesteps) > 1

    def step(
        self,
        latents: Float[Tensor, "b *rest"],
        prediction: Float[Tensor, "b *rest"],
        index: int,
        memory: Float[Tensor, "b *rest"] | None = None,
        noise: Float[Tensor, "b *rest"] | None = None,
    ) -> tuple[Float[Tensor, "b *rest"], Float[Tensor, "b *rest"]]:
        """Return the latents after step `index` and x_0, which is not needed again; see `Sampler.step`.

        Raises:
            BadInput: Without the noise that every step but the last needs.
        """
        time = self.timesteps[index]
        x0 = self.schedule.to_x0(latents, prediction, time)
        scaled = 10.0 * int(time)  # of consistency models: at time 0 the latents are the answer, later the prediction
        kept, taken = 0.25 / (scaled**2 + 0.25), scaled / math.sqrt(scaled**2 + 0.25)
        x0 = taken * x0 + kept * latents
        if index == len(self.timesteps) - 1:
            return x0, x0
        if noise is None:
            raise BadInput("`noise` must be given for lcm, which adds fresh noise after every step but the last.")
        later = self.schedule.alpha(int(self.timesteps[index + 1]))
        return math.sqrt(later) * x0 + math.sqrt(1 - later) * noise, x0


class TCDSampler:
    """Strategic stochastic sampling, for denoisers distilled to trajectories (TCD, Zheng et al., arXiv 2402.19159).

    As LCM, but a step need not go to the clean latents: it follows the trajectory down to a share of the next
    timestep, and goes back up to it with fresh noise. Errors of many steps so add up less.

    Args:
        schedule: Of the denoiser.
        steps: How many, 1 to 50: the timesteps that distillation has shown.
        eta: In [0, 1]: 0 draws no fresh noise, 1 as much as LCM's sampler does; the paper's gamma.
        denoise: In (0, 1], the last share of the steps to run, at least one step.

    Raises:
        BadInput: For a value outside its range.
    """

    def __init__(self, schedule: NoiseSchedule, steps: int, *, eta: float = TCD_ETA, denoise: float = 1.0) -> None:
        _check_eta(eta)
        self.schedule = schedule
        self.timesteps = _last_part(_distilled(schedule, steps, "tcd"), denoise)
        self.eta = eta
        self.needs_noise = eta > 0 and len(self.timesteps) > 1

    def step(
        self,
        latents: Float[Tensor, "b *rest"],
        prediction: Float[Tensor, "b *rest"],
        index: int,
        memory: Float[Tensor, "b *rest"] | None = None,
        noise: Float[Tensor, "b *rest"] | None = None,
    ) -> tuple[Float[Tensor, "b *rest"], Float[Tensor, "b *rest"]]:
        """Return the latents after step `index` and x_0, which is not needed again; see `Sampler.step`.

        Raises:
            BadInput: Without the noise that `eta` above 0 needs at every step but the last.
        """
        time, last = self.timesteps[index], index == len(self.timesteps) - 1
        following = 0 if last else int(self.timesteps[index + 1])
        share = self.schedule.alpha(int((1 - self.eta) * following))
        x0 = self.schedule.to_x0(latents, prediction, time)
        direction = self.schedule.to_noise(latents, prediction, time)
        result = math.sqrt(share) * x0 + math.sqrt(1 - share) * direction
        if last or not self.eta:
            return result, x0
        if noise is None:
            raise BadInput(f"`noise` must be given when `eta` is above 0, but eta is {self.eta}. Set eta=0.")
        kept = self.schedule.alpha(following) / share
        return math.sqrt(kept) * result + math.sqrt(1 - kept) * noise, x0


SAMPLERS = ("ddim", "dpm++2m", "lcm", "tcd")
"""What `make_sampler` knows."""


def make_sampler(
    name: str, schedule: NoiseSchedule, steps: int, *, eta: float | None = None, denoise: float = 1.0
) -> DDIMSampler | DPMSampler | LCMSampler | TCDSampler:
    """Return a sampler by its name.

    Args:
        name: Of `SAMPLERS`.
        schedule: Of the denoiser.
        steps: How many, 1 to 1000; for `lcm` and `tcd` to 50.
        eta: See `DDIMSampler` and `TCDSampler`; 0 for the others. None is what is usual.
        denoise: In (0, 1], the last share of the steps to run, at least one step.

    Raises:
        BadInput: For other names or values.
    """
    if name == "ddim":
        return DDIMSampler(schedule, steps, eta=eta or 0.0, denoise=denoise)
    if name == "tcd":
        return TCDSampler(schedule, steps, eta=TCD_ETA if eta is None else eta, denoise=denoise)
    if name not in SAMPLERS:
        raise BadInput(f"`sampler` must be one of {', '.join(SAMPLERS)}, but got {name!r}.")
    if eta:
        why = "is deterministic" if name == "dpm++2m" else "has noise of its own"
        raise BadInput(f"`eta` must be 0 for {name}, which {why}, but got {eta}. Use ddim.")
    return (DPMSampler if name == "dpm++2m" else LCMSampler)(schedule, steps, denoise=denoise)


def _alpha_after(sampler: DDIMSampler, index: int) -> float:
    times = sampler.timesteps
    return sampler.schedule.alpha(int(times[index + 1]) if index + 1 < len(times) else -1)


def _distilled(schedule: NoiseSchedule, steps: int, name: str) -> Tensor:
    """Return timesteps, descending, of those that consistency models are distilled on."""
    if not 1 <= steps <= LCM_TIMESTEPS:
        raise BadInput(f"`steps` must lie between 1 and {LCM_TIMESTEPS} for {name}, but got {steps}. Try 8.")
    apart = schedule.num_train_timesteps // LCM_TIMESTEPS
    shown = torch.arange(LCM_TIMESTEPS, 0, -1) * apart - 1
    return shown[torch.tensor([k * LCM_TIMESTEPS // steps for k in range(steps)])]


def _check_eta(eta: float) -> None:
    if not 0 <= eta <= 1:
        raise BadInput(f"`eta` must lie in [0, 1], but got {eta}. Try 0.")


def _last_part(timesteps: Tensor, denoise: float) -> Tensor:
    if not 0 < denoise <= 1:
        raise BadInput(f"`denoise` must lie in (0, 1], but got {denoise}. Try 1.")
    return timesteps[len(timesteps) - max(1, round(len(timesteps) * denoise)) :]
