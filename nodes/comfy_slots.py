"""The places in ComfyUI's U-Net where branches act, and what stands there: inert until a run of the U-Net has branches.

A slot finds the branches of the run in `transformer_options`. A foreign patch at the same place is run first, never
replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import comfy.model_management
import torch
from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention
from torch import Tensor, nn

from ..portraittalk_core.errors import SiteNotFound
from ..portraittalk_core.host import METHODS, Branch, Call, CrossBranch, Hook, hooks_of
from ..portraittalk_core.kernels.cross import cross_attention
from ..portraittalk_core.nets.unet_keys import comfy_block
from ..portraittalk_core.sites import Site, UNetShape
from .host_values import Options, UNet

RUNNING = "portraittalk_running"
"""In `transformer_options`: the branches of the run, `Running`."""

BENEATH = "portraittalk_beneath"
"""In `transformer_options`: attention patches under the key of a whole block."""

FIRST = ("first", 0)
"""Where the first feature map is made, before it is stored as a skip; ("input", 0) is after that."""

LAST = ("last", 0)
"""Where the U-Net's prediction leaves it."""

Place = tuple[Hook, tuple[str, int]]
"""A hook at a block of ComfyUI's U-Net."""


class Running:
    """The branches of one run of the U-Net, by place. Each is handed out once, whatever patches call a slot twice."""

    def __init__(self, branches: Sequence[Branch], call: Call, shape: UNetShape) -> None:
        """Sort branches by where they act.

        Args:
            branches: In the order in which they add up.
            call: What they are handed.
            shape: Of the U-Net.
        """
        self.call = call
        self._waiting: dict[Place, list[Branch]] = {}
        for branch in branches:
            for hook in hooks_of(branch):
                self._waiting.setdefault(place(hook, branch.site, shape), []).append(branch)

    def take(self, hook: Hook, block: tuple[str, int]) -> list[Callable[..., Tensor]]:
        """Return what acts here, as functions that still need the host's tensors."""
        return [getattr(branch, METHODS[hook]) for branch in self.branches(hook, block)]

    def branches(self, hook: Hook, block: tuple[str, int]) -> list[Branch]:
        """Return the branches that act here."""
        return self._waiting.pop((hook, block), [])

    def finish(self, predicted: Tensor) -> Tensor:
        """Return the prediction after OUTPUT branches. Raises `SiteNotFound` if a branch was never reached."""
        for act in self.take(Hook.OUTPUT, LAST):
            predicted = act(predicted, self.call)
        if self._waiting:
            missed = ", ".join(sorted(f"{hook.value} at {name} {number}" for hook, (name, number) in self._waiting))
            raise SiteNotFound(
                f"Every branch must be reached, but the model never ran {missed}: another node has replaced this part "
                "of it. Put that node before the PortraitTalk nodes."
            )
        return predicted


def place(hook: Hook, site: Site | None, shape: UNetShape) -> Place:
    """Return where a branch acts in ComfyUI's U-Net. Raises `SiteNotFound` where it has no such place."""
    if hook is Hook.OUTPUT:
        return hook, LAST
    if hook is Hook.INPUT and site is None:
        return hook, FIRST
    valid = shape.attention_sites() if hook in (Hook.CROSS, Hook.SELF) else shape.layer_sites()
    valid = shape.skip_sites() if hook is Hook.SKIP else valid
    if site is None or site not in valid:
        raise SiteNotFound(f"A `{hook.value}` branch must be at one of {', '.join(map(str, valid))}, but got {site}.")
    name, number = comfy_block(site, shape)
    if hook is Hook.INPUT and name != "output":
        # On the way down the host lets us act on what left the block before, once it is stored as a skip.
        before = number - 1 if name == "input" else (shape.layers + 1) * len(shape.channels) - 1
        return hook, ("input", before)
    return hook, (name, number)


class CrossSlot:
    """Adds CROSS branches to the attention of whoever was here before."""

    def __init__(self, occupant: Callable[..., Tensor] | None) -> None:
        """Take a place.

        Args:
            occupant: Another pack's attention there.
        """
        self.occupant = occupant

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra: Options) -> Tensor:
        """Return attention, with what the branches add."""
        comfy.model_management.throw_exception_if_processing_interrupted()  # else stopping takes a whole window
        occupant = self.occupant or extra.get(BENEATH, {}).get(extra["block"])
        heads = extra["n_heads"]

        def plain(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
            return optimized_attention(q, k, v, heads, attn_precision=extra.get("attn_precision"))

        running: Running | None = extra.get(RUNNING)
        branches = running.branches(Hook.CROSS, extra["block"]) if running else []
        if running and not occupant:
            return cross_attention(q, k, v, heads, cast("list[CrossBranch]", branches), running.call, plain)
        out = occupant(q, k, v, extra) if occupant else plain(q, k, v, heads)
        for branch in cast("list[CrossBranch]", branches):
            out = out + branch.cross(q, heads, cast(Running, running).call)
        return out


def offer_tokens(n: Tensor, context: Tensor, value: Tensor, extra: Options) -> tuple[Tensor, Tensor, Tensor]:
    """Append the tokens of SELF branches to keys and values (an `attn1_patch`)."""
    if RUNNING in extra and not extra.get("block_index", 0):
        found: list[Tensor | None] = [act(n, call) for act, call in _acting(extra, Hook.SELF, extra["block"])]
        tokens = [t.to(context) for t in found if t is not None]
        context, value = torch.cat([context, *tokens], 1), torch.cat([value, *tokens], 1)
    return n, context, value


def add_first(h: Tensor, options: Options) -> Tensor:
    """Run INPUT branches on the first feature map (an `input_block_patch`)."""
    return _add(Hook.INPUT, h, options, FIRST) if options["block"] == ("input", 0) else h


def add_after_skip(h: Tensor, options: Options) -> Tensor:
    """Run INPUT branches on the way down (an `input_block_patch_after_skip`)."""
    return _add(Hook.INPUT, h, options, options["block"])


def add_upwards(h: Tensor, skip: Tensor, options: Options) -> tuple[Tensor, Tensor]:
    """Run INPUT and SKIP branches on the way up (an `output_block_patch`)."""
    block = options["block"]
    return _add(Hook.INPUT, h, options, block), _add(Hook.SKIP, skip, options, block)


def _add(hook: Hook, h: Tensor, options: Options, block: tuple[str, int]) -> Tensor:
    for act, call in _acting(options, hook, block):
        h = h + act(h, call)
    return h


def _acting(options: Options, hook: Hook, block: tuple[str, int]) -> list[tuple[Callable[..., Tensor], Call]]:
    """Return what acts at a place in this run, each with what it is handed beside tensors."""
    running: Running | None = options.get(RUNNING)
    return [] if running is None else [(act, running.call) for act in running.take(hook, block)]


class AfterSlot(nn.Module):
    """Stands behind a block's transformer, or its ResNet where it has none, and runs AFTER branches."""

    def forward(self, hidden: Tensor, options: Options | None = None) -> Tensor:
        """Return the map, as branches have changed it."""
        for act, call in _acting(options, Hook.AFTER, options["block"]) if options else ():
            hidden = act(hidden, call)
        return hidden


def run_after(layer: AfterSlot, x: Tensor, emb: Tensor, context: object, options: Options, *_: object) -> Tensor:
    """Run an `AfterSlot`, which the host does not know (a `forward_timestep_embed_patch`)."""
    return layer(x, options)


def insert_slots(unet: UNet, blocks: Sequence[tuple[str, int]]) -> None:
    """Put an `AfterSlot` behind the transformer of each block."""
    for name, number in blocks:
        rows = unet.input_blocks if name == "input" else unet.output_blocks
        sequence = unet.middle_block if name == "middle" else cast(nn.ModuleList, rows[number])
        at = max((i for i, layer in enumerate(sequence) if isinstance(layer, SpatialTransformer)), default=0)
        sequence.insert(at + 1, AfterSlot())


def remove_slots(unet: UNet) -> None:
    """Take every `AfterSlot` out again."""
    for sequence in cast("list[nn.ModuleList]", [*unet.input_blocks, unet.middle_block, *unet.output_blocks]):
        for at in reversed([i for i, layer in enumerate(sequence) if isinstance(layer, AfterSlot)]):
            del sequence[at]
