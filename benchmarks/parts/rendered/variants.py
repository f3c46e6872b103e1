"""The model without one part of it, as far as a switch at run time can take it away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.compositing.head_warp import SIDE, HeadWarp
from portraittalk_core.evaluation.benchmark.variants import VARIANTS as OF_BENCHMARK
from portraittalk_core.evaluation.benchmark.variants import prepared, tiny_stack
from portraittalk_core.motion.geometry import placement
from portraittalk_core.nets.dense_motion import DenseMotion, identity_grid, sparse_motion
from portraittalk_core.pipeline import PortraitTalk
from portraittalk_core.stacks.base import Condition
from portraittalk_core.stacks.conditions import StructureCondition, TemporalCondition
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.tiny import TinyStack
from portraittalk_core.types import Frames


@dataclass(frozen=True)
class Variant:
    """One row of the ablation."""

    key: str
    """In files."""

    title: str
    """In tables."""

    how: str
    """What is done."""

    options: SamplingOptions | None = None
    """Of sampling; None: the model's own, in every frame."""

    change: Callable[[PortraitTalk], PortraitTalk] | None = None
    """Makes the model that lacks the part; None leaves it as it is."""

    exact: bool = False
    """Whether the points are the true ones, not the structure network's."""

    edits: bool = True
    """Whether prompts can tell the variant from the full model."""


class SmoothWarp(HeadWarp):
    """Moves the photograph by a smooth field between the points, as if nothing had been learned of motion."""

    @torch.no_grad()
    def motion(
        self,
        picture: Float[Tensor, "1 3 s s"],
        reference: Float[Tensor, "1 478 2"],
        landmarks: Float[Tensor, "n 478 2"],
    ) -> DenseMotion:
        """Return the field; everything counts as moved, nothing as unseen."""
        fixed = reference.to(landmarks).expand(len(landmarks), -1, -1)
        fields_of = sparse_motion(fixed, landmarks, placement(fixed, landmarks), SIDE)
        flow = fields_of[:, :2] + identity_grid(fields_of[:, :2])
        shares = torch.zeros(len(flow), 3, *flow.shape[-2:], dtype=flow.dtype, device=flow.device)
        shares[:, 1] = 1
        return DenseMotion(flow, shares)


class WithoutStructure(TinyStack):
    """A stack whose denoiser is told nothing of how the face moves."""

    def conditions(self, *args: Any, **options: Any) -> list[Condition]:
        """Compose what is left."""
        return [made for made in super().conditions(*args, **options) if not isinstance(made, StructureCondition)]


class WithoutTemporal(TinyStack):
    """A stack whose denoiser sees each frame alone."""

    def conditions(self, *args: Any, **options: Any) -> list[Condition]:
        """Compose what is left."""
        return [made for made in super().conditions(*args, **options) if not isinstance(made, TemporalCondition)]


class WithoutMouth(TinyStack):
    """A stack that draws no teeth, tongue and cavity into an open mouth."""

    def composite(self, *args: Any, **options: Any) -> Iterator[Frames]:
        """Take what the photograph shows from it, and all else from the decoder."""
        return self.warp.composite(*args, **options)


def as_kind(kind: type[TinyStack]) -> Callable[[PortraitTalk], PortraitTalk]:
    """Return what makes a model of another kind of stack of a model, with the same networks.

    Args:
        kind: The stack.
    """

    def changed(model: PortraitTalk) -> PortraitTalk:
        stack = tiny_stack(model)
        held: dict[str, Any] = {f.name: getattr(stack, f.name) for f in fields(stack)}
        return PortraitTalk(kind(**held), model.host)

    return changed


def _smooth(model: PortraitTalk) -> PortraitTalk:
    stack = tiny_stack(model)
    return PortraitTalk(replace(stack, warp=SmoothWarp(stack.warp.net)), model.host)


def _of_benchmark(key: str) -> Callable[[PortraitTalk], PortraitTalk]:
    wanted = next(variant for variant in OF_BENCHMARK if variant.key == key)
    return lambda model: prepared(model, wanted)


VARIANTS = (
    Variant("full", "full model", "every frame denoised"),
    Variant(
        "seen",
        "as it comes",
        "frames are denoised only where what is drawn is seen: what users get",
        SamplingOptions(),
        edits=False,
    ),
    Variant("exact", "exact points", "the true points, not the structure network's", exact=True, edits=False),
    Variant("no-identity", "no IdentityNet", "`identity_scale` 0", SamplingOptions(identity_scale=0.0)),
    Variant("no-reference", "no ReferenceNet", "`reference_scale` 0", SamplingOptions(reference_scale=0.0)),
    Variant(
        "no-structure",
        "no structure",
        "neither lines nor moved portrait nor occlusion map",
        change=as_kind(WithoutStructure),
    ),
    Variant(
        "neither",
        "no structure, no ReferenceNet",
        "of the portrait only the face's embedding",
        SamplingOptions(reference_scale=0.0),
        as_kind(WithoutStructure),
    ),
    Variant(
        "no-temporal",
        "no temporal attention",
        "the denoiser sees each frame alone",
        change=as_kind(WithoutTemporal),
        edits=False,
    ),
    Variant(
        "no-occlusion",
        "no occlusion map",
        "the answer is the denoiser's own everywhere; the moved portrait it still sees",
        change=_of_benchmark("no-occlusion"),
    ),
    Variant(
        "smooth",
        "no dense motion",
        "the portrait is moved by a smooth field between the points; all of it counts as seen",
        change=_smooth,
    ),
    Variant(
        "no-mouth",
        "no drawn mouth",
        "what is behind open lips is stretched from the photograph",
        None,
        as_kind(WithoutMouth),
        edits=False,
    ),
    Variant(
        "own-noise",
        "frames on their own",
        "noise of its own for every frame, nothing held still",
        change=_of_benchmark("own-noise"),
        edits=False,
    ),
    Variant("cfg-1", "cfg 1", "prompts as trained; the others are guided as the weights say", SamplingOptions(cfg=1.0)),
    Variant("cfg-3", "cfg 3", "prompts guided at 3", SamplingOptions(cfg=3.0)),
)
"""All variants, in the order of the table. Without the composite is the column *decoded* of each."""
