"""Looks: what prompts make of a photograph, and how the videos of several prompts become one.

What a prompt changes is drawn once and then moved as a photograph is, so that it is the same in every frame.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .diffusion.latent_fusion import OnStep
from .media.image import resize
from .stacks.base import Stack
from .stacks.options import SamplingOptions
from .stacks.prompts import PromptTrack, appearance_edits
from .types import Frames, Identity, LatentVideo, SpeechFeatures, StructureMaps

_LEAST = 1e-4  # share of a frame below which a prompt is not seen in it


def restyled(
    stack: Stack,
    animate: Callable[..., Iterator[LatentVideo]],
    identity: Identity,
    rest: StructureMaps,
    prompts: PromptTrack,
    size: int | None = None,
    **how: Any,
) -> Identity:
    """Return a person as a prompt wants the first photograph to look.

    Args:
        stack: Decodes, and takes from the photograph what the prompt leaves of it.
        animate: `PortraitTalk.animate`.
        identity: The person.
        rest: Of `Stack.rest`.
        prompts: What is wanted; the first frame's holds. Where it asks for no other look, the person stays as it is.
        size: Side of the new portrait in pixels; None: the photograph's own, as `Stack.composite` has it.
        **how: Of `animate`.
    """
    asked = appearance_edits(prompts, 1)
    if not bool(asked.any()):
        return identity

    def drawn(wanted: PromptTrack, **given: Any) -> list[Frames]:
        latents = animate(identity, rest, None, wanted, edited=True, **given)
        return [frames for video in latents for frames in stack.decode(video)]

    unguided = replace(how.get("options") or SamplingOptions(), cfg=1.0)
    decoded = drawn(prompts, **how)
    plain = drawn(PromptTrack("", (), rest.fps, 1), **how | {"options": unguided})
    without = torch.cat([frames.pixels for frames in plain])
    made = stack.composite(decoded, identity, rest, size, asked, without, fine=True)
    (portrait,) = torch.cat([frames.pixels for frames in made])
    side = identity.crops.shape[-1]
    first = resize(portrait, side, side)[None].to(identity.crops)
    return replace(identity, portrait=portrait, crops=torch.cat([first, identity.crops[1:]]))


@dataclass(frozen=True)
class Span:
    """The frames in which a prompt is seen, its fades included."""

    number: int
    """Of the prompt."""

    first: int
    """Its first frame."""

    end: int
    """The frame after its last."""

    def of_maps(self, maps: StructureMaps) -> StructureMaps:
        """Return these frames' maps."""
        inside = slice(self.first, self.end)
        return replace(maps, landmarks=maps.landmarks[inside], placement=maps.placement[inside])

    def of_features(self, features: SpeechFeatures) -> SpeechFeatures:
        """Return what is said in these frames."""
        inside = slice(self.first, self.end)
        own = {"hidden": features.hidden[inside], "loudness": features.loudness[inside]}
        attended = None if features.attended is None else features.attended[inside]
        return replace(features, **own, attended=attended)


def spans_of(weights: Float[Tensor, "frames prompts"]) -> list[Span]:
    """Return where each prompt is seen, in the order in which they begin; those that never are are left out.

    Args:
        weights: Of `PromptTrack`.
    """
    found: list[Span] = []
    for number, column in enumerate(weights.unbind(1)):
        seen = (column > _LEAST).nonzero()[:, 0]
        if len(seen):
            found.append(Span(number, int(seen[0]), int(seen[-1]) + 1))
    return sorted(found, key=lambda span: (span.first, span.number))


def joined(
    videos: Iterator[Iterator[Frames]], spans: Sequence[Span], weights: Float[Tensor, "frames prompts"]
) -> Iterator[Frames]:
    """Fade the videos of several prompts into one; only frames of fades are held back.

    Args:
        videos: One a span, each of which is begun when the one before it has ended.
        spans: Of `spans_of`.
        weights: Of `PromptTrack`.

    Yields:
        The frames in order.
    """
    held: dict[int, Tensor] = {}
    for place, (span, video) in enumerate(zip(spans, videos)):
        following = min((later.first for later in spans[place + 1 :]), default=span.end)
        frame = span.first
        for part in video:
            share = weights[frame : frame + len(part.pixels), span.number].to(part.pixels)
            pixels = part.pixels if bool((share == 1).all()) else part.pixels * share[:, None, None, None]
            ready: list[Tensor] = []
            for picture in pixels:
                picture = picture + held.pop(frame) if frame in held else picture
                if frame < following:
                    ready.append(picture)
                else:
                    held[frame] = picture
                frame += 1
            if ready:
                yield replace(part, pixels=torch.stack(ready))


def counted(on_step: OnStep | None, spans: Sequence[Span]) -> Callable[[Span], OnStep | None]:
    """Return what makes the callback of each span's denoising, so that all of them count as one.

    Args:
        on_step: Called with (done, total) in frames; None: nobody asks.
        spans: All of them.
    """
    total = sum(span.end - span.first for span in spans)

    if on_step is None:
        return lambda span: None
    report = on_step

    def of(span: Span) -> OnStep:
        before = sum(other.end - other.first for other in spans[: list(spans).index(span)])
        return lambda done, steps: report(before + round(done / steps * (span.end - span.first)), total)

    return of
