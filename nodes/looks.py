"""Looks: what prompts have made of a photograph, one after the other in a video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..portraittalk_core.host import Branch, Host
from ..portraittalk_core.looks import Span, spans_of
from ..portraittalk_core.stacks.base import Condition, Stack
from ..portraittalk_core.types import Identity


@dataclass(frozen=True)
class Look:
    """One person as a prompt wants the photograph to be."""

    identity: Identity
    """The person; the very one who was found where the prompt asks for no other look."""

    stack: Stack
    """Moves the photograph, and keeps motions of this look alone."""


@dataclass(frozen=True)
class Looks:
    """The looks of a video."""

    each: tuple[Look, ...]
    """In the order of their prompts."""

    weights: Float[Tensor, "frames looks"]
    """How much of each frame each has, in all 1."""

    @classmethod
    def of(cls, looks: Sequence[Look], weights: Float[Tensor, "frames prompts"]) -> Looks:
        """Gather the looks of prompts.

        Args:
            looks: One a prompt; prompts that ask for no other look have the same person.
            weights: How much of each frame each prompt has, see `PromptTrack`.
        """
        apart = {id(look.identity): look for look in reversed(looks)}
        kept = [look for look in looks if apart[id(look.identity)] is look]
        shares = [weights[:, [look.identity is other.identity for other in looks]].sum(1) for look in kept]
        return cls(tuple(kept), torch.stack(shares, 1))

    def over(self, frames: int) -> Looks:
        """Return the same over another number of frames: the last stays, or what is beyond is left out."""
        return Looks(self.each, self.weights[torch.arange(frames).clamp(max=len(self.weights) - 1)])

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where each is seen; one that never is has none."""
        return tuple(spans_of(self.weights))


class InTurn(Condition):
    """A condition of each look; frames have that of the look which they show most of."""

    def __init__(
        self, conditions: Sequence[Condition], weights: Float[Tensor, "frames conditions"], spans: Sequence[Span] = ()
    ) -> None:
        """Join conditions.

        Args:
            conditions: One a look.
            weights: How much of each frame each look has; the last frame's hold beyond.
            spans: Where each condition's own frames lie in the video; none: they do not ask which frames they are for.
        """
        self._conditions, self._weights, self._spans = list(conditions), weights.cpu(), spans
        self.networks = list({id(net): net for each in conditions for net in each.networks}.values())
        self.patches = conditions[0].patches
        self.couples_frames = any(each.couples_frames for each in conditions)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the branches of one of the conditions."""
        look = int(self._weights[frames.cpu().clamp(max=len(self._weights) - 1)].sum(0).argmax())
        if self._spans:
            span = self._spans[look]
            frames = (frames - span.first).clamp(0, span.end - span.first - 1)
        return self._conditions[look].branches(host, frames, uncond, device)

    def reset(self) -> None:
        """Reset all."""
        for condition in self._conditions:
            condition.reset()


def in_turn(conditions: Sequence[Condition], looks: Looks | None, spans: Sequence[Span] = ()) -> Condition:
    """Return the condition of a video: the only one, or that of each look in turn.

    Args:
        conditions: One a look, or one a span.
        looks: Of the video; None where nobody has drawn any.
        spans: See `InTurn`.
    """
    if looks is None or len(conditions) == 1:
        return conditions[0]
    seen = [span.number for span in spans]
    return InTurn(conditions, looks.weights[:, seen] if seen else looks.weights, spans)
