"""A long clip, streamed: is its last second still what its first was?"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.evaluation.benchmark.people import pose_of
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import PromptTrack
from portraittalk_core.types import FaceMotion

from ..people import FPS, draw_subject
from ..program import say
from .scores import sharpness
from .session import PROMPT, SIDE, Session

STREAMING = SamplingOptions(fusion="streaming")
"""How long videos are made: memory does not grow."""

SECOND = round(FPS)
"""Frames of a second."""


def measure(session: Session) -> dict[str, Any]:
    """Stream the long clip of the first person, whose last second moves exactly as the first one does.

    Args:
        session: What was asked for.

    Returns:
        `identity`, similarity of the two seconds' mean embeddings; `sharpness`, by how many per cent the last one is
        sharper; `colour`, difference of their mean colours in per cent of the range; `apart`, mean difference of their
        frames, of 255. The truth has 1, 0, 0 and 0.
    """
    row = session.kept(f"long_{session.given.seconds:g}", lambda: one(session))
    say("  long:", {name: round(value, 3) for name, value in row.items()})
    return row


def one(session: Session) -> dict[str, Any]:
    """Make and measure the clip.

    Args:
        session: What was asked for.
    """
    frames = round(session.given.seconds * FPS)
    subject, stack = draw_subject(0, frames), session.stack
    shapes, rotation = subject.blendshapes.clone().float(), subject.rotation.clone().float()
    shapes[-SECOND:], rotation[-SECOND:] = shapes[:SECOND], rotation[:SECOND]
    identity = stack.identify([session.truth(0).portrait])
    maps = stack.structure(FaceMotion(shapes, pose_of(rotation), FPS), identity)
    latents = session.model.animate(
        identity, maps, None, PromptTrack(PROMPT, (), FPS, frames), seed=0, options=STREAMING
    )
    decoded = (part for video in latents for part in stack.decode(video))
    first: list[Tensor] = []
    last: list[Tensor] = []
    for chunk in stack.composite(decoded, identity, maps, SIDE):
        for frame in chunk.pixels:
            first = first if len(first) == SECOND else [*first, frame]
            last = [*last[-SECOND + 1 :], frame]
    return compared(session, torch.stack(first), torch.stack(last)) | {"frames": frames}


def compared(session: Session, first: Float[Tensor, "f 3 s s"], last: Float[Tensor, "f 3 s s"]) -> dict[str, Any]:
    """Compare two seconds in which the same happens.

    Args:
        session: Has the face pack.
        first: One.
        last: The other.
    """
    who = [torch.tensor([session.embed(frame) for frame in part[::5]]).mean(0) for part in (first, last)]
    colours = [part.mean((0, 2, 3)) for part in (first, last)]
    return {
        "identity": float(torch.nn.functional.cosine_similarity(who[0], who[1], dim=0)),
        "sharpness": 100 * (sharpness(last) / sharpness(first) - 1),
        "colour": 100 * float((colours[1] - colours[0]).abs().max()) / 2,
        "apart": float((last - first).abs().mean() * 127.5),
    }
