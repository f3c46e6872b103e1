"""Frames of a person whom a prompt changes, and what their pixels belong to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor

from ..topology import SEGMENTS
from .masked import mean_of

_log = logging.getLogger(__name__)

T = TypeVar("T")

_NAMED = (0.1, 0.3)  # of the range: what a prompt changes on the whole where it names what is there, and where not


@dataclass(frozen=True)
class View:
    """Which part of a photograph a picture shows, and what has been settled for another part of it.

    A prompt changes the crop around a head, and then the photograph around the crop: both must look alike where they
    meet. So what is read off a picture as a whole is read off the crop, and holds for all of the photograph.
    """

    left: float = 0.0
    """Where the picture begins in the square that holds the photograph, a share of that square's side."""

    top: float = 0.0
    """Likewise."""

    side: float = 1.0
    """Of the picture, likewise."""

    zoom: float = 1.0
    """How many crops it is wide."""

    rows: tuple[float, float] = (0.0, 1.0)
    """Where the photograph begins and ends in that square, above and below, shares of its side."""

    settled: dict[str, Any] = field(default_factory=dict[str, Any])
    """What holds for all of the photograph, by its name."""

    said: set[str] = field(default_factory=set[str])
    """What the log has been told of it."""

    @property
    def beyond(self) -> bool:
        """Whether the picture is more than the crop, which goes over it: of what is in the crop it need not say."""
        return self.zoom > 1


@dataclass(frozen=True)
class Scene:
    """Frames with and without a prompt, in [0, 1], and what their pixels belong to."""

    shown: Float[Tensor, "n 3 s s"]
    """The photograph, moved."""

    drawn: Float[Tensor, "n 3 s s"]
    """What the denoiser drew for the prompt."""

    plain: Float[Tensor, "n 3 s s"]
    """What it drew without; where nobody has drawn that, the photograph."""

    before: Float[Tensor, "n segments s s"]
    """Segments of the photograph."""

    after: Float[Tensor, "n segments s s"]
    """Segments of what was drawn."""

    landmarks: Float[Tensor, "n 478 2"]
    """Of both, in [-1, 1]."""

    eyes: Float[Tensor, "n 1 s s"]
    """Around the eyes, where accessories are glasses."""

    hat: Float[Tensor, "n 1 s s"]
    """Where a hat is worn in the photograph."""

    hair: Float[Tensor, "n 1 s s"]
    """Where hair is in the photograph, whatever becomes of it."""

    hand: Float[Tensor, "n 1 s s"] | float = 0.0
    """Where a hand is before hair or the place, of its skin."""

    said: set[str] = field(default_factory=set)
    """What has been warned of, in these frames or in others of the same video."""

    details: frozenset[str] = frozenset()
    """How what is asked for shall look, see `edits.details`."""

    made: dict[str, Any] = field(default_factory=dict[str, Any], compare=False)
    """What has been drawn for these frames already, by its name."""

    view: View = field(default_factory=View, compare=False)
    """Which part of the photograph they show."""

    @property
    def wears_hat(self) -> bool:
        """Whether somebody wears a hat in the photograph."""
        return self.settled("hat", lambda: bool((self.hat > 0.5).any()))

    @property
    def glasses(self) -> Float[Tensor, "n 1 s s"]:
        """Share of accessories in the photograph that are no hat: around the eyes, glasses."""
        return (self.was("accessory") - self.hat).clamp(min=0)

    def settled(self, name: str, make: Callable[[], T]) -> T:
        """Return what holds for all of the photograph: what was settled before, or what is made now.

        Args:
            name: Of it.
            make: Makes it of these frames.
        """
        if name not in self.view.settled:
            self.view.settled[name] = make()
        return self.view.settled[name]

    def was(self, *names: str) -> Float[Tensor, "n 1 s s"]:
        """Return the share of some of `topology.SEGMENTS` in the photograph."""
        return self.before[:, [SEGMENTS.index(name) for name in names]].sum(1, keepdim=True).clamp(max=1)

    def becomes(self, *names: str) -> Float[Tensor, "n 1 s s"]:
        """Return their share in what was drawn."""
        return self.after[:, [SEGMENTS.index(name) for name in names]].sum(1, keepdim=True).clamp(max=1)

    def warn(self, text: str) -> None:
        """Say in the log what of a prompt is not done; once a video, however many pieces it is made in."""
        if text not in self.said:
            self.said.add(text)
            _log.warning(text)

    def change(self) -> Float[Tensor, "n 1 s s"]:
        """Return how much the prompt changed each pixel, of the range."""
        return (self.drawn - self.plain).abs().amax(1, keepdim=True)

    def otherwise(
        self, share: Float[Tensor, "n 1 s s"], named: tuple[float, float] = _NAMED
    ) -> Float[Tensor, "n 1 1 1"]:
        """Say how far a prompt asks for something else than there is: naming what a photograph shows changes little.

        Args:
            share: Of what it asks for.
            named: What a prompt changes on the whole, of the range, where it names what is there, and where not.
        """
        low, high = named
        return ((mean_of(self.change(), share) - low) / (high - low)).clamp(0, 1)
