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
    whole: bool = False,
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
        whole: Whether the photograph around the crop is to change likewise.
        **how: Of `animate`.
    """
    asked = appearance_edits(prompts, 1)
    if not bool(asked.any()):
        return identity

    def drawn(wanted: PromptTrack, **given: Any) -> Frames:
        latents = animate(identity, rest, None, wanted, edited=True, **given)
        (frames,) = (frames for video in latents for frames in stack.decode(video))
        return frames

    unguided = replace(how.get("options") or SamplingOptions(), cfg=1.0)
    decoded = drawn(prompts, **how)
    plain = drawn(PromptTrack("", (), rest.fps, 1), **how | {"options": unguided})
    return stack.look(decoded, plain.pixels, identity, rest, asked, size, whole)


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
        The frames in order; of fades one at a time, for each belongs in a photograph of its own.
    """
    held: dict[int, list[tuple[float, Frames]]] = {}
    for place, (span, video) in enumerate(zip(spans, videos)):
        following = min((later.first for later in spans[place + 1 :]), default=span.end)
        frame = span.first
        for part in video:
            shares = weights[frame : frame + len(part.pixels), span.number].tolist()
            if all(share == 1 for share in shares):
                yield part
                frame += len(shares)
                continue
            for share, picture in zip(shares, part.pixels.split(1), strict=True):
                faded = [*held.pop(frame, []), (share, replace(part, pixels=picture))]
                if frame < following:
                    yield _faded(faded)
                else:
                    held[frame] = faded
                frame += 1


def _faded(parts: Sequence[tuple[float, Frames]]) -> Frames:
    """Mix a frame of several videos, and the photographs that it belongs in."""
    frame = parts[-1][1]
    pixels = torch.stack([share * part.pixels for share, part in parts]).sum(0)
    photographs = [part.photograph for _, part in parts]
    if len(parts) == 1 or any(picture is None for picture in photographs):
        return replace(frame, pixels=pixels)
    mixed = sum((share * picture for (share, _), picture in zip(parts, photographs) if picture is not None))
    return replace(frame, pixels=pixels, photograph=mixed)


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
