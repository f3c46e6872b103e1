"""The contract between networks and whoever runs the U-Net.

A network offers branches; a host attaches them. Neither knows the other: a branch sees tensors and a `Call`, a
host sees a hook and a site. A branch acts through one or several hooks, each by a method of its own:

| hook   | method     | what it does                                                    | who uses it                |
|--------|------------|-----------------------------------------------------------------|----------------------------|
| CROSS  | `cross`    | adds to a cross-attention's result before its output projection | IdentityNet, AudioNet      |
| SELF   | `tokens`   | joins tokens to the keys and values of a self-attention         | ReferenceNet, AnimateNet   |
| AFTER  | `after`    | transforms the map that leaves a layer                          | TemporalNet, OcclusionNet  |
| INPUT  | `residual` | adds to the first feature map or to what enters a layer         | StructureEncoder           |
| SKIP   | `skip`     | adds to the skip that a layer on the way up joins               | ControlNet                 |
| OUTPUT | `output`   | transforms what the U-Net predicts                              | OcclusionNet               |

Branches of one hook and site act in the order in which they were attached. In shapes, `b` counts the rows of a U-Net
call (see `Call`), `l` the places of a feature map, `c` its channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .errors import BadInput
from .sites import Site

if TYPE_CHECKING:
    from typing_extensions import Self


class Hook(Enum):
    """Where in a layer a branch acts; the table is at the top of this module."""

    CROSS = "cross"
    SELF = "self"
    AFTER = "after"
    INPUT = "input"
    SKIP = "skip"
    OUTPUT = "output"


METHODS = {
    Hook.CROSS: "cross",
    Hook.SELF: "tokens",
    Hook.AFTER: "after",
    Hook.INPUT: "residual",
    Hook.SKIP: "skip",
    Hook.OUTPUT: "output",
}
"""The method by which a branch acts through each hook."""


def hooks_of(branch: object) -> list[Hook]:
    """Return the hooks that a branch uses, at least one.

    Args:
        branch: What a network's `branches()` returned.

    Raises:
        BadInput: For an object that is no branch.
    """
    hooks = [hook for hook, method in METHODS.items() if hasattr(branch, method)]
    if not hooks or not hasattr(branch, "site"):
        raise BadInput(
            f"A branch must have `site` and one of {', '.join(METHODS.values())}, but got {type(branch).__name__}. "
            "Attach what a network's `branches()` returns."
        )
    return hooks


@dataclass(frozen=True)
class Pass:
    """Which conditions one pass of classifier-free guidance sees; in place of the others it sees their absence."""

    text: bool = True
    """The prompt; without it, the negative prompt."""

    identity: bool = True
    """Who the person is; without it, the tokens of the zero embedding and no reference."""

    audio: bool = True
    """What is said; without it, the tokens of zero features."""


@dataclass(frozen=True, eq=False)
class UNetInputs:
    """What the U-Net itself is given in a run, for networks that see the noise as well, such as a ControlNet.

    It is a new object for every run, so that it tells runs apart.
    """

    latents: Float[Tensor, "b c h w"]
    """Noisy latents."""

    timestep: Int[Tensor, "*b"]
    """One for all rows or one a row, from 0 (clean) to 999."""

    text: Float[Tensor, "b t d"]
    """Tokens that cross-attention reads."""


class DeepFeatures:
    """What the inner layers of a U-Net gave at an earlier step, for the same rows; empty at first.

    A host that can do so fills it in a run that finds it empty, and leaves inner layers out in one that finds it full.
    """

    hidden: Float[Tensor, "b c h w"] | None = None
    """What entered the last block on the way up."""

    residuals: Sequence[Float[Tensor, "b c h w"]] = ()
    """What a ControlNet added to the skips of that block then."""


@dataclass(frozen=True)
class Call:
    """What a host says to every branch about the running U-Net call.

    The batch is `len(passes)` groups, one after the other, of `len(frames)` rows each.
    """

    frames: Int[Tensor, "frames"]
    """Which frame of the whole video each row of a pass is, so that a branch that holds one row a frame can take what
    the window needs. In training rows are samples and this is `arange(batch)`."""

    passes: tuple[Pass, ...] = (Pass(),)
    """What each group of rows sees."""

    clip: int = 0
    """Consecutive rows that form one stretch of video for temporal attention, a divisor of `len(frames)`; 0: all rows
    of a pass."""

    inputs: UNetInputs | None = None
    """What the U-Net is given. The host sets it; None where a host cannot."""

    deep: DeepFeatures | None = None
    """Where inner features are kept, or taken from; None: the whole U-Net runs, and nothing is kept."""

    in_order: bool = False
    """Whether `frames` is 0, 1, 2, …: as many rows as there are frames are then taken as they lie, without a copy."""

    def rows(self, per_frame: Float[Tensor, "n ..."]) -> Float[Tensor, "frames ..."]:
        """Pick the rows of this call's frames.

        Args:
            per_frame: One row for each frame of the video, or a single row that all frames share.

        Returns:
            One row a frame of this call, on the device of `per_frame`.
        """
        if len(per_frame) == 1:
            return per_frame.expand(len(self.frames), *per_frame.shape[1:])
        if self.in_order and len(per_frame) == len(self.frames):
            return per_frame
        return per_frame[self.frames.to(per_frame.device)]

    def batch(
        self,
        given: Float[Tensor, "n ..."],
        absent: Float[Tensor, "m ..."] | None = None,
        condition: Literal["text", "identity", "audio"] = "identity",
    ) -> Float[Tensor, "b ..."]:
        """Pick a row for each row of the batch: `given` in the passes that see `condition`, else `absent`.

        Args:
            given: What the condition says: one row for each frame of the video, or a single row for all.
            absent: What stands for its absence, likewise; None: every pass sees `given`.
            condition: Which field of `Pass` decides.

        Returns:
            `len(passes) * len(frames)` rows.
        """
        parts = [self.rows(given if absent is None or getattr(p, condition) else absent) for p in self.passes]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


@runtime_checkable
class CrossBranch(Protocol):
    """Adds to the result of a cross-attention before its output projection."""

    site: Site
    """Which layer's cross-attention."""

    def cross(self, query: Float[Tensor, "b l c"], heads: int, call: Call) -> Float[Tensor, "b l c"]:
        """Attend to the branch's own tokens.

        Args:
            query: Of the text's attention, projected.
            heads: Of the attention, side by side in the query's width.
            call: What the rows are.

        Returns:
            What is added.
        """
        ...


@runtime_checkable
class SelfBranch(Protocol):
    """Offers extra tokens to the keys and values of a self-attention."""

    site: Site
    """Which layer's self-attention."""

    def tokens(self, hidden: Float[Tensor, "b l c"], call: Call) -> Float[Tensor, "b m c"] | None:
        """Offer tokens.

        Args:
            hidden: Normed hidden states, which the attention reads.
            call: What the rows are.

        Returns:
            m tokens as wide as those, which the attention projects like its own; None adds nothing.
        """
        ...


@runtime_checkable
class AfterBranch(Protocol):
    """Transforms the feature map that leaves a layer (after its transformer where it has one)."""

    site: Site
    """Which layer."""

    def after(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        """Transform the map.

        Args:
            hidden: The feature map.
            call: What the rows are.

        Returns:
            What takes its place.
        """
        ...


@runtime_checkable
class InputBranch(Protocol):
    """Adds to the first feature map or to a layer's input.

    A layer's input is the running map only: what is added is in no skip, and the skip that an up layer joins
    is not shown. Its width is `UNetShape.input_width(site)`.
    """

    site: Site | None
    """Which layer; None: the first feature map, before it is stored as a skip."""

    def residual(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        """Make a residual.

        Args:
            hidden: The map that it is added to.
            call: What the rows are.

        Returns:
            What is added.
        """
        ...


@runtime_checkable
class SkipBranch(Protocol):
    """Adds to the skip that a layer on the way up joins.

    `UNetShape.skip_sites()` lists those layers in the order in which the skips are made; a skip's width is
    `UNetShape.skip_width(site)`. The running map is not shown; a residual for the mid block's result is an INPUT
    branch at the first layer on the way up.
    """

    site: Site
    """The layer on the way up, which names the skip."""

    def skip(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        """Make a residual.

        Args:
            hidden: The skip that it is added to.
            call: What the rows are.

        Returns:
            What is added.
        """
        ...


@runtime_checkable
class OutputBranch(Protocol):
    """Transforms what the U-Net predicts."""

    site: Site | None
    """Where else the branch acts, if it has to see features as well."""

    def output(self, predicted: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        """Transform the prediction.

        Args:
            predicted: What the U-Net was trained to predict.
            call: What the rows are, and with `inputs` what the U-Net was given.

        Returns:
            What takes its place.
        """
        ...


Branch = CrossBranch | SelfBranch | AfterBranch | InputBranch | SkipBranch | OutputBranch
"""What a network offers and a host attaches."""


class Attachment(Protocol):
    """Branches that a host runs with until they are detached; usable as a context manager."""

    counts: dict[Branch, int]
    """How often each branch was called since it was attached."""

    def detach(self) -> None:
        """Restore the U-Net bit for bit. Calling it twice is harmless."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc: object) -> None: ...


class Host(Protocol):
    """Runs a U-Net with branches attached."""

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the U-Net's weights, in which it takes latents and text."""
        ...

    def bare(self) -> Host:
        """Return a host of the same U-Net that has no branches, for example to record a reference."""
        ...

    def attach(self, branches: Sequence[Branch]) -> Attachment:
        """Attach branches; several attachments stack.

        Args:
            branches: What networks' `branches()` return, in the order in which they are to act.

        Raises:
            SiteNotFound: For a site that the U-Net lacks.
            BadInput: For an object that is no branch.
        """
        ...

    def denoise(
        self,
        latents: Float[Tensor, "b c h w"],
        timestep: Int[Tensor, "*b"],
        text: Float[Tensor, "b t d"],
        call: Call,
    ) -> Float[Tensor, "b c h w"]:
        """Run the U-Net once.

        Args:
            latents: Noisy latents, the rows of `call`: each pass's frames, one pass after the other.
            timestep: One for all rows or one a row, from 0 (clean) to 999.
            text: Tokens that cross-attention reads, one row of tokens a row of latents.
            call: What the rows are.

        Returns:
            What the U-Net was trained to predict: velocity for `tiny`, noise for SD1.5.

        Raises:
            SiteNotFound: When the run never reached an attached branch.
            BadInput: When the rows are not those of `call`.
        """
        ...
