"""Muon for weight matrices, AdamW for the rest, as one optimiser.

On a CPU the steps are few, so each has to count: with orthogonalised momentum (Jordan et al. 2024,
https://kellerjordan.github.io/posts/muon/) the same number of samples goes further than with AdamW. `torch.optim.Muon`
takes plain matrices only and works in bfloat16, which an ordinary CPU lacks; most of our weights are convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ..config import TrainingConfig
from ..errors import BadConfig, MissingExtra

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)

_LONG = 1.6
"""How many times as long as wide a matrix is from where on its Gram matrix is worth the detour."""


def make_optimiser(parameters: Iterable[Tensor], config: TrainingConfig) -> torch.optim.Optimizer:
    """Return the optimiser that a run names.

    Args:
        parameters: To be updated.
        config: The run.

    Raises:
        BadConfig: For an unknown optimiser.
        MissingExtra: Without the package that it needs.
    """
    own = list(parameters)
    if config.optimiser == "muon":
        return MuonAdamW(own, config.rate, betas=(0.95, 0.98), weight_decay=config.weight_decay)
    if config.optimiser == "adamw":
        return torch.optim.AdamW(own, config.rate, weight_decay=config.weight_decay, fused=own[0].is_cuda)
    if config.optimiser != "adamw8bit":
        raise BadConfig(f"`optimiser` must be muon, adamw or adamw8bit, but got {config.optimiser!r}. Try adamw.")
    try:
        from bitsandbytes.optim import AdamW8bit  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingExtra(
            "`optimiser` adamw8bit needs bitsandbytes, which is not here. Run: pip install bitsandbytes, or try adamw."
        ) from error
    return AdamW8bit(own, config.rate, weight_decay=config.weight_decay)


class MuonAdamW(torch.optim.Optimizer):
    """Muon for tensors of two or more axes and AdamW for all others, as one optimiser."""

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.01,
        steps: int = 5,
    ) -> None:
        """Set what is updated, and how.

        Args:
            parameters: To be updated.
            lr: Of both. Muon's step is scaled so that its root mean square is `0.2 * lr`, AdamW's usual size, hence
                learning rates that suit AdamW suit both (Liu et al., arXiv 2502.16982).
            betas: Momentum of Muon and of AdamW's mean, and decay of AdamW's squares.
            weight_decay: Decoupled, of all parameters.
            steps: Newton-Schulz iterations of Muon.
        """
        defaults = {"lr": lr, "betas": betas, "weight_decay": weight_decay, "steps": steps}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Update every parameter that has a gradient.

        Args:
            closure: Computes the loss anew, as torch's optimisers have it.

        Returns:
            What the closure returned.
        """
        loss = None if closure is None else closure()
        for group in self.param_groups:
            alike: dict[tuple[Any, ...], list[Tensor]] = {}
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                if parameter.ndim >= 2 and min(parameter.shape[:2]) > 1:
                    shape = (parameter.shape[0], parameter[0].numel())
                    alike.setdefault((shape, parameter.device, parameter.dtype), []).append(parameter)
                else:
                    _adam(parameter, self.state[parameter], group)
            for parameters in alike.values():
                _muon(parameters, [self.state[parameter] for parameter in parameters], group)
        return loss


def _muon(parameters: list[Tensor], states: list[dict[str, Any]], group: dict[str, Any]) -> None:
    """Update parameters of one shape together: one product of many small matrices is quicker than many products."""
    momentum = group["betas"][0]
    ahead: list[Tensor] = []
    for parameter, state in zip(parameters, states, strict=True):
        gradient = parameter.grad
        assert gradient is not None
        if not state:
            state["mean"] = torch.zeros_like(gradient)
        state["mean"].lerp_(gradient, 1 - momentum)
        ahead.append(gradient.lerp(state["mean"], momentum).flatten(1))
    directions = orthogonalise(torch.stack(ahead), group["steps"])
    size = 0.2 * max(directions.shape[1:]) ** 0.5
    for parameter, direction in zip(parameters, directions, strict=True):
        parameter.sub_(direction.view_as(parameter), alpha=group["lr"] * size)


def _adam(parameter: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    gradient, (first, second) = parameter.grad, group["betas"]
    assert gradient is not None
    if not state:
        state |= {"mean": torch.zeros_like(gradient), "square": torch.zeros_like(gradient), "count": torch.zeros(())}
    state["count"] += 1
    state["mean"].lerp_(gradient, 1 - first)
    state["square"].lerp_(gradient.square(), 1 - second)
    count = float(state["count"])
    root = (state["square"] / (1 - second**count)).sqrt_().add_(1e-8)
    parameter.addcdiv_(state["mean"] / (1 - first**count), root, value=-group["lr"])


def orthogonalise(matrix: Float[Tensor, "*b m n"], steps: int = 5) -> Float[Tensor, "*b m n"]:
    """Return matrices with the same singular vectors and singular values near 1, by Newton-Schulz iterations.

    Each iteration multiplies the matrix X by a polynomial of X Xᵀ. Where X is long, as the weights of convolutions are,
    the polynomials are multiplied first, and X by their product once.

    Args:
        matrix: Of any size.
        steps: Iterations.
    """
    a, b, c = _COEFFICIENTS
    x = matrix.float()
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    tall = x.shape[-2] > x.shape[-1]
    x = x.mT if tall else x
    if x.shape[-1] < _LONG * x.shape[-2]:
        for _ in range(steps):
            gram = x @ x.mT
            x = a * x + (b * gram + c * gram @ gram) @ x
    else:
        gram = x @ x.mT
        one = torch.eye(x.shape[-2], device=x.device)
        whole = one
        for step in range(steps):
            factor = a * one + b * gram + c * gram @ gram
            whole = factor @ whole if step else factor
            if step < steps - 1:
                gram = factor @ gram @ factor  # they commute: each is a polynomial of the first Gram matrix
        x = whole @ x
    return (x.mT if tall else x).to(matrix.dtype)
