"""Noise schedules: how much of a latent is signal and how much is noise at a timestep.

Settings and numbers are those of diffusers' schedulers, so that a schedule can be read from a public model's
`scheduler_config.json`; the arithmetic is here because the core below the hosts does not import diffusers.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput

BetaSchedule = Literal["linear", "scaled_linear", "squaredcos_cap_v2"]
"""How much noise each training step adds, as diffusers names it."""

PredictionType = Literal["v_prediction", "epsilon", "sample"]
"""What the denoiser predicts: velocity, the noise, or the clean latents."""

TimestepSpacing = Literal["trailing", "leading", "linspace"]
"""Which training timesteps sampling visits (Lin et al., arXiv 2305.08891, table 2)."""

SMALLEST_ALPHA = 2.0**-24
"""What stands for a signal share of zero where sigma must stay finite (diffusers uses the same number)."""


class NoiseSchedule:
    """A discrete variance-preserving schedule: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) noise.

    The defaults are those of the tiny model: Stable Diffusion's betas rescaled to zero terminal signal (Lin et
    al., arXiv 2305.08891, algorithm 1), so that sampling may start from pure noise, velocity prediction (Salimans
    and Ho, arXiv 2202.00512) and trailing timesteps. Names of the settings are diffusers'.

    In the methods `timestep` holds one number for all rows or one a row.

    Args:
        num_train_timesteps: Steps of training, of which sampling visits some.
        beta_start: Share of noise that the first step adds, in (0, 1).
        beta_end: Share of noise that the last step adds, in (0, 1).
        beta_schedule: How the steps between go from one to the other; `squaredcos_cap_v2` takes neither from them.
        prediction_type: What the denoiser predicts.
        timestep_spacing: Which timesteps sampling visits.
        rescale_betas_zero_snr: Whether the last timestep is pure noise; not with `epsilon`.
        steps_offset: What `leading` adds to each timestep.
        set_alpha_to_one: Whether sampling ends without noise; else with that of timestep 0.

    Raises:
        BadInput: For settings that do not exist or contradict each other.
    """

    alphas_cumprod: Float[Tensor, "steps"]
    """Share of signal in the variance at each timestep, abar, descending from nearly 1."""

    final_alpha: float
    """The same after the last step of sampling."""

    def __init__(
        self,
        *,
        num_train_timesteps: int = 1000,
        beta_start: float = 0.00085,
        beta_end: float = 0.012,
        beta_schedule: BetaSchedule = "scaled_linear",
        prediction_type: PredictionType = "v_prediction",
        timestep_spacing: TimestepSpacing = "trailing",
        rescale_betas_zero_snr: bool = True,
        steps_offset: int = 0,
        set_alpha_to_one: bool = True,
    ) -> None:
        _one_of("prediction_type", prediction_type, ("v_prediction", "epsilon", "sample"))
        _one_of("timestep_spacing", timestep_spacing, ("trailing", "leading", "linspace"))
        if rescale_betas_zero_snr and prediction_type == "epsilon":
            raise BadInput(
                "`prediction_type` must not be epsilon with zero terminal signal, where noise says nothing of x_0. "
                "Set rescale_betas_zero_snr=False."
            )
        self.num_train_timesteps = num_train_timesteps
        self.prediction_type: PredictionType = prediction_type
        self.timestep_spacing: TimestepSpacing = timestep_spacing
        self.steps_offset = steps_offset
        betas = _betas(beta_schedule, num_train_timesteps, beta_start, beta_end)
        if rescale_betas_zero_snr:
            betas = _zero_terminal_snr(betas)
        self.alphas_cumprod = torch.cumprod(1.0 - betas, 0)
        self.final_alpha = 1.0 if set_alpha_to_one else float(self.alphas_cumprod[0])
        self._copies: dict[torch.device, Tensor] = {}

    def timesteps(self, n: int) -> Int[Tensor, "n"]:
        """Return the timesteps that sampling visits, in descending order.

        Args:
            n: How many, from 1 to `num_train_timesteps`.

        Raises:
            BadInput: For any other number.
        """
        total = self.num_train_timesteps
        if not 1 <= n <= total:
            raise BadInput(f"`steps` must lie between 1 and {total}, but got {n}. Try 20.")
        if self.timestep_spacing == "trailing":
            # Rounds half to even, as numpy does for diffusers.
            return torch.tensor([round(total - i * total / n) - 1 for i in range(n)])
        if self.timestep_spacing == "leading":
            return torch.tensor([i * (total // n) + self.steps_offset for i in reversed(range(n))])
        return torch.linspace(0, total - 1, n, dtype=torch.float64).round().long().flip(0)

    def alpha(self, timestep: int) -> float:
        """Return abar, the share of signal in the variance.

        Args:
            timestep: From 0; a negative one is the clean end.
        """
        return float(self.alphas_cumprod[timestep]) if timestep >= 0 else self.final_alpha

    def add_noise(
        self, x0: Float[Tensor, "b *rest"], noise: Float[Tensor, "b *rest"], timestep: Int[Tensor, "*b"]
    ) -> Float[Tensor, "b *rest"]:
        """Return the noisy latents x_t.

        Args:
            x0: Clean latents.
            noise: Unit noise.
            timestep: t.
        """
        signal, spread = self._coefficients(timestep, x0)
        return signal * x0 + spread * noise

    def velocity(
        self, x0: Float[Tensor, "b *rest"], noise: Float[Tensor, "b *rest"], timestep: Int[Tensor, "*b"]
    ) -> Float[Tensor, "b *rest"]:
        """Return the velocity v = sqrt(abar) noise - sqrt(1 - abar) x_0.

        Args:
            x0: Clean latents.
            noise: Unit noise.
            timestep: t.
        """
        signal, spread = self._coefficients(timestep, x0)
        return signal * noise - spread * x0

    def target(
        self, x0: Float[Tensor, "b *rest"], noise: Float[Tensor, "b *rest"], timestep: Int[Tensor, "*b"]
    ) -> Float[Tensor, "b *rest"]:
        """Return what the denoiser is trained to predict, by `prediction_type`.

        Args:
            x0: Clean latents.
            noise: The unit noise that was added.
            timestep: t.
        """
        if self.prediction_type == "v_prediction":
            return self.velocity(x0, noise, timestep)
        return noise if self.prediction_type == "epsilon" else x0

    def to_x0(
        self, x: Float[Tensor, "b *rest"], prediction: Float[Tensor, "b *rest"], timestep: Int[Tensor, "*b"]
    ) -> Float[Tensor, "b *rest"]:
        """Return the clean latents that a prediction stands for.

        Args:
            x: Noisy latents x_t.
            prediction: Of the denoiser, by `prediction_type`.
            timestep: t. With `epsilon` not one whose signal is zero.
        """
        if self.prediction_type == "sample":
            return prediction
        signal, spread = self._coefficients(timestep, x)
        if self.prediction_type == "v_prediction":
            return signal * x - spread * prediction
        return (x - spread * prediction) / signal

    def to_noise(
        self, x: Float[Tensor, "b *rest"], prediction: Float[Tensor, "b *rest"], timestep: Int[Tensor, "*b"]
    ) -> Float[Tensor, "b *rest"]:
        """Return the noise that a prediction stands for.

        Args:
            x: Noisy latents x_t.
            prediction: Of the denoiser, by `prediction_type`.
            timestep: t.
        """
        if self.prediction_type == "epsilon":
            return prediction
        signal, spread = self._coefficients(timestep, x)
        if self.prediction_type == "v_prediction":
            return signal * prediction + spread * x
        return (x - signal * prediction) / spread

    def move_x0(
        self,
        prediction: Float[Tensor, "b *rest"],
        away: Float[Tensor, "b *rest"],
        timestep: Int[Tensor, "*b"],
        fade: float = 1.0,
    ) -> Float[Tensor, "b *rest"]:
        """Return the prediction whose clean latents are moved by `-sigma^fade * away`, sigma = sqrt(1 - abar).

        A change of the clean latents at hand counts in full at pure noise and less with less of it.

        Args:
            prediction: What the denoiser predicts at x_t.
            away: From where the clean latents shall be to where they are, in their units.
            timestep: One number or one a row.
            fade: The power, 1 or more: of velocity and noise a change of x_0 takes 1 / sigma, which must stay finite.
        """
        signal, spread = self._coefficients(timestep, prediction)
        if self.prediction_type == "sample":
            return prediction - spread**fade * away
        moved = spread ** (fade - 1) * away
        return prediction + (moved if self.prediction_type == "v_prediction" else signal * moved)

    def sigmas(self, n: int | None = None) -> Float[Tensor, "n"]:
        """Return noise levels as k-diffusion counts them: sqrt((1 - abar) / abar), for x_0 + sigma noise.

        A signal share of zero counts as `SMALLEST_ALPHA`, so that sigma stays finite.

        Args:
            n: How many steps sampling takes; None: one sigma a training timestep, ascending.

        Returns:
            With n: those of `timesteps(n)` in descending order, and a final 0.
        """
        alphas = self.alphas_cumprod.clamp(min=SMALLEST_ALPHA)
        all_sigmas = ((1 - alphas) / alphas).sqrt()
        if n is None:
            return all_sigmas
        return torch.cat([all_sigmas[self.timesteps(n)], all_sigmas.new_zeros(1)])

    def _coefficients(self, timestep: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        alphas = self._alphas_on(timestep.device)[timestep].to(like.device, non_blocking=True)
        alphas = alphas.reshape(-1, *[1] * (like.ndim - 1))
        return alphas.sqrt().to(like.dtype), (1 - alphas).sqrt().to(like.dtype)

    def _alphas_on(self, device: torch.device) -> Tensor:
        """Return abar where the timesteps are: fetching them from a GPU would make it wait at every step."""
        if device == self.alphas_cumprod.device:
            return self.alphas_cumprod
        if device not in self._copies:
            self._copies[device] = self.alphas_cumprod.to(device)
        return self._copies[device]


def _betas(kind: str, steps: int, start: float, end: float) -> Float[Tensor, "steps"]:
    _one_of("beta_schedule", kind, ("linear", "scaled_linear", "squaredcos_cap_v2"))
    if kind == "linear":
        return torch.linspace(start, end, steps)
    if kind == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, steps) ** 2
    # Cosine of Nichol and Dhariwal, arXiv 2102.09672, equation 17.
    bars = [math.cos((i / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(steps + 1)]
    return torch.tensor([min(1 - b / a, 0.999) for a, b in pairwise(bars)])


def _zero_terminal_snr(betas: Float[Tensor, "steps"]) -> Float[Tensor, "steps"]:
    """Shift and scale sqrt(abar) so that it ends at zero and begins where it did."""
    roots = torch.cumprod(1.0 - betas, 0).sqrt()
    roots = (roots - roots[-1]) * (roots[0] / (roots[0] - roots[-1]))
    bars = roots**2
    return 1 - torch.cat([bars[:1], bars[1:] / bars[:-1]])


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise BadInput(f"`{name}` must be one of {', '.join(allowed)}, but got {value!r}.")
