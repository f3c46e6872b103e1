"""Classifier-free guidance over text, identity and audio separately.

Our definition, because neither paper prints one for three conditions. The passes are nested in the order in which
a portrait comes about: who it is, what the prompt makes of it, what is being said:

    v = v(-) + s_i (v(i) - v(-)) + s_t (v(i,t) - v(i)) + s_a (v(i,t,a) - v(i,t))

A condition whose scale is 1 is not guided: every pass sees it and it costs none. So all scales 1 are one pass, one
guided condition two, and equal scales s are ordinary guidance with two passes, v(-) + s (v(i,t,a) - v(-)).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..host import Pass

ORDER = ("identity", "text", "audio")
"""The order in which conditions join the nested passes."""


@dataclass(frozen=True)
class GuidanceScales:
    """How strongly each condition is followed: 1 follows as trained, more exaggerates, 0 ignores it.

    Raises:
        BadInput: For a value outside its range.
    """

    text: float = 1.0
    """Of the prompt, at least 0: `cfg`."""

    identity: float = 1.0
    """Of who the person is, at least 0."""

    audio: float = 1.0
    """Of what is said, at least 0."""

    start: float = 0.0
    """Share of the steps, in [0, 1], before which guidance does not act."""

    end: float = 1.0
    """Share of the steps, in [`start`, 1], after which it does not act. One plain pass runs there: ending at 0.5 saves
    nearly half of the time, and late steps need guidance least (Kynkäänniemi et al., arXiv 2404.07724)."""

    rescale: float = 0.0
    """How far, in [0, 1], the guided result is brought back to the spread of the unguided one, against over-saturation
    (phi in Lin et al., arXiv 2305.08891, section 3.4)."""

    def __post_init__(self) -> None:
        for name in ORDER:
            if not getattr(self, name) >= 0:
                raise BadInput(f"`{name}` scale must be at least 0, but got {getattr(self, name)}. Try 1.")
        if not 0 <= self.start <= self.end <= 1:
            raise BadInput(
                f"`start` and `end` of guidance must lie in [0, 1], start first, but got {self.start} and {self.end}."
            )
        if not 0 <= self.rescale <= 1:
            raise BadInput(f"`rescale` must lie in [0, 1], but got {self.rescale}. Try 0.7.")

    def at(self, step: int, steps: int) -> GuidanceScales:
        """Return the scales in force at a step: these inside the interval, all 1 outside.

        Args:
            step: Number of the step, from 0.
            steps: How many there are.
        """
        inside = self.start * steps <= step < self.end * steps
        return self if inside else GuidanceScales()


def plan(scales: GuidanceScales) -> list[tuple[Pass, float]]:
    """Find the fewest passes whose weighted sum is the guided prediction.

    Args:
        scales: In force at the step.

    Returns:
        Passes and their weights, which sum to 1. The pass that sees most comes last.
    """
    guided = [name for name in ORDER if getattr(scales, name) != 1.0]
    strengths = [1.0, *(getattr(scales, name) for name in guided), 0.0]
    passes: list[tuple[Pass, float]] = []
    for seen in range(len(guided) + 1):
        weight = strengths[seen] - strengths[seen + 1]
        hidden = guided[seen:]
        if weight != 0.0:
            passes.append((Pass(**{name: name not in hidden for name in ORDER}), weight))
    return passes


def combine(
    predictions: Float[Tensor, "rows *rest"], weights: Sequence[float], rescale: float = 0.0
) -> Float[Tensor, "frames *rest"]:
    """Return the weighted sum of passes that lie one after the other along the rows.

    A single pass of weight 1 is returned untouched.

    Args:
        predictions: `len(weights)` groups of rows.
        weights: Of the passes, as `plan` returns them.
        rescale: See `GuidanceScales`; spreads are compared row by row with the last pass.

    Raises:
        BadInput: When the rows cannot be shared out evenly.
    """
    if len(predictions) % len(weights):
        raise BadInput(
            f"`predictions` must hold the same rows for each of {len(weights)} passes, but got {len(predictions)} rows."
        )
    if list(weights) == [1.0]:
        return predictions
    groups = predictions.chunk(len(weights))
    guided = sum((w * g for w, g in zip(weights, groups, strict=True)), torch.zeros_like(groups[0]))
    if rescale == 0.0:
        return guided
    axes = tuple(range(1, guided.ndim))
    ratio = groups[-1].std(axes, keepdim=True) / guided.std(axes, keepdim=True)
    return guided * (rescale * ratio + (1 - rescale))
