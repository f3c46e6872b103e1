"""The contract between networks and whoever runs the U-Net.

A network offers branches; a host attaches them. Neither knows the other: a branch sees tensors and a `Call`, a
host sees a hook and a site. A branch acts through one or several hooks, each by a method of its own:

| hook   | method     | what it does                                                    | who uses it                     |
|--------|------------|-----------------------------------------------------------------|---------------------------------|
| CROSS  | `cross`    | adds to a cross-attention's result before its output projection | IdentityNet, AudioNet           |
| SELF   | `tokens`   | joins tokens to the keys and values of a self-attention         | ReferenceNet, IdentityAttention |
| AFTER  | `after`    | transforms the map that leaves a layer                          | TemporalNet, OcclusionNet       |
| INPUT  | `residual` | adds to the first feature map or to what enters a layer         | StructureEncoder, PoseGuider    |
| SKIP   | `skip`     | adds to the skip that a layer on the way up joins               | ControlNet                      |
| OUTPUT | `output`   | transforms what the U-Net predicts                              | OcclusionNet                    |
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
"""The method by which a branch acts through a hook."""


def hooks_of(branch: object) -> list[Hook]:
    """Return the hooks that a branch uses. Raises `BadInput` for an object that is no branch."""
    hooks = [hook for hook, method in METHODS.items() if hasattr(branch, method)]
    if not hooks or not hasattr(branch, "site"):
        raise BadInput(
            f"A branch must have `site` and one of {', '.join(METHODS.values())}, but got {type(branch).__name__}. "
            "Attach what a network's `branches()` returns."
        )
    return hooks


@dataclass(frozen=True)
class Pass:
    """Which conditions one guidance pass sees. A pass without identity gets the tokens of the zero embedding."""

    text: bool = True
    identity: bool = True
    audio: bool = True


@dataclass(frozen=True, eq=False)
class UNetInputs:
    """What the U-Net itself is given in a run; a new object for every run, so that it tells runs apart.

    A branch whose network looks at the noise, such as a ControlNet, needs it.
    """

    latents: Float[Tensor, "b c h w"]
    timestep: Int[Tensor, "*b"]
    text: Float[Tensor, "b t d"]


@dataclass(frozen=True)
class Call:
    """What a host tells every branch about the running U-Net call.

    The batch is `len(passes)` groups, one after the other, of `len(frames)` rows each. `frames` are indices into
    the whole video, so that a branch that holds one row a frame can take what the window needs. During training
    the rows are samples and `frames` is `arange(batch)`. `clip` is the number of consecutive rows that form one
    stretch of video for temporal attention; 0 means all rows of a pass. `inputs` is set by the host.
    """

    frames: Int[Tensor, "frames"]
    passes: tuple[Pass, ...] = (Pass(),)
    clip: int = 0
    inputs: UNetInputs | None = None

    def rows(self, per_frame: Float[Tensor, "n ..."]) -> Float[Tensor, "frames ..."]:
        """Return one row a frame of this call; a tensor with a single row is shared by all frames."""
        frames = self.frames.to(per_frame.device)
        return per_frame.expand(len(frames), *per_frame.shape[1:]) if len(per_frame) == 1 else per_frame[frames]

    def batch(
        self,
        given: Float[Tensor, "n ..."],
        absent: Float[Tensor, "m ..."] | None = None,
        condition: Literal["text", "identity", "audio"] = "identity",
    ) -> Float[Tensor, "b ..."]:
        """Return one row for each row of the batch: `given` in the passes that see `condition`, else `absent`.

        Both may have one row for each frame of the video or a single row for all; `absent=None` means that the
        condition is never taken away.
        """
        parts = [self.rows(given if absent is None or getattr(p, condition) else absent) for p in self.passes]
        return parts[0] if len(parts) == 1 else torch.cat(parts)


@runtime_checkable
class CrossBranch(Protocol):
    """Adds to the result of a cross-attention before its output projection."""

    site: Site

    def cross(self, query: Float[Tensor, "b l c"], heads: int, call: Call) -> Float[Tensor, "b l c"]: ...


@runtime_checkable
class SelfBranch(Protocol):
    """Offers extra tokens, as wide as the hidden states, to the keys and values of a self-attention."""

    site: Site

    def tokens(self, hidden: Float[Tensor, "b l c"], call: Call) -> Float[Tensor, "b m c"] | None: ...


@runtime_checkable
class AfterBranch(Protocol):
    """Transforms the feature map that leaves a layer (after its transformer where it has one)."""

    site: Site

    def after(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]: ...


@runtime_checkable
class InputBranch(Protocol):
    """Adds to the first feature map (`site=None`, before it is stored as a skip) or to a layer's input.

    A layer's input is the running map only: what is added is in no skip, and the skip that an up layer joins
    is not shown. Its width is `UNetShape.input_width(site)`.
    """

    site: Site | None

    def residual(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]: ...


@runtime_checkable
class SkipBranch(Protocol):
    """Adds to the skip that a layer on the way up joins (`site` is that layer, which names the skip).

    `UNetShape.skip_sites()` lists them in the order in which the skips are made. Its width is
    `UNetShape.skip_width(site)`. The running map is not shown; a residual for the mid block's result is an INPUT
    branch at the first layer on the way up.
    """

    site: Site

    def skip(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]: ...


@runtime_checkable
class OutputBranch(Protocol):
    """Transforms what the U-Net predicts; `site` is where else the branch acts, if it has to see features as well."""

    site: Site | None

    def output(self, predicted: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]: ...


Branch = CrossBranch | SelfBranch | AfterBranch | InputBranch | SkipBranch | OutputBranch


class Attachment(Protocol):
    """What `Host.attach` returns; usable as a context manager.

    counts: how often each branch was called since it was attached.
    """

    counts: dict[Branch, int]

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
        """Attach branches; several attachments stack. Raises `SiteNotFound` for a site the U-Net lacks."""
        ...

    def denoise(
        self,
        latents: Float[Tensor, "b c h w"],
        timestep: Int[Tensor, "*b"],
        text: Float[Tensor, "b t d"],
        call: Call,
    ) -> Float[Tensor, "b c h w"]:
        """Run the U-Net once; the result is what the U-Net was trained to predict (velocity for `tiny`).

        Raises `SiteNotFound` when the run never reached an attached branch.
        """
        ...
