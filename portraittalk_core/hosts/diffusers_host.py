"""Run a diffusers `UNet2DConditionModel` with branches attached."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput, SiteNotFound
from ..host import Branch, Call, DeepFeatures, Hook, UNetInputs, hooks_of
from ..kernels.choice import wanted
from ..sites import Site, UNetShape
from .devices import SearchedConvolutions, lowered
from .diffusers_fused import FusedCross, FusedLayers
from .diffusers_hooks import Acting, layer_at, places_of
from .diffusers_once import TextOnce, additional_residuals, swapped, weights_dtype
from .diffusers_reuse import InnerLayers

if TYPE_CHECKING:
    from diffusers.models.controlnets.controlnet import ControlNetModel
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from typing_extensions import Self

_RUNNING: WeakKeyDictionary[object, threading.RLock] = WeakKeyDictionary()
"""For each U-Net, who runs it: what hosts hold on it while they do is not for another thread's run."""

_PLAIN = {"DownBlock2D": False, "CrossAttnDownBlock2D": True}


def shape_of(unet: UNet2DConditionModel | ControlNetModel) -> UNetShape:
    """Read from the config of a U-Net or ControlNet what the sites need to know.

    Args:
        unet: With or without weights.

    Raises:
        BadInput: For layouts that have no sites here: other block types than SD1.5's, several transformer blocks a
            layer, layer counts or head counts that change from level to level.
    """
    config: Any = unet.config
    unknown = [t for t in config.down_block_types if t not in _PLAIN]
    single = {"layers_per_block": config.layers_per_block, "cross_attention_dim": config.cross_attention_dim}
    mixed = [name for name, value in single.items() if not isinstance(value, int)]
    heads = {m.heads for name, m in unet.named_modules() if name.endswith((".attn1", ".attn2"))}
    if unknown or mixed or len(heads) != 1 or config.transformer_layers_per_block != 1:
        raise BadInput(
            "`unet` must have the layout of SD1.5 (DownBlock2D and CrossAttnDownBlock2D, the same number of layers, "
            f"heads and one transformer block everywhere), but got block types {list(config.down_block_types)}, "
            f"{single}, heads {sorted(heads)}. Use an SD1.5-like U-Net."
        )
    return UNetShape(
        channels=tuple(config.block_out_channels),
        layers=config.layers_per_block,
        attention=tuple(_PLAIN[t] for t in config.down_block_types),
        cross_dim=config.cross_attention_dim,
        heads=heads.pop(),
    )


class DiffusersAttachment:
    """Branches that a `DiffusersHost` runs with until they are detached; see `host.Attachment`.

    `DiffusersHost.attach` makes it.

    Args:
        host: That runs with them.
        branches: In the order in which they act.
    """

    counts: dict[Branch, int]
    """How often each branch was called since it was attached."""

    acting: list[Acting]
    """The branches, each with its hooks once they are made."""

    def __init__(self, host: DiffusersHost, branches: Sequence[Branch]) -> None:
        self.counts = {branch: 0 for branch in branches}
        self.acting = [Acting(self.counts, branch) for branch in self.counts]
        self._host = host

    def detach(self) -> None:
        """Take the branches off the U-Net. Calling it twice is harmless."""
        self._host.forget(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.detach()


class DiffusersHost:
    """Runs a `UNet2DConditionModel` with branches attached; see `host.Host`.

    All hooks are module hooks, made once an attachment and on the U-Net only while `denoise` runs, as is what lets
    kernels run (`diffusers_fused`).
    Between calls the attention processors and layers are those that the U-Net has, so a U-Net without branches computes
    exactly what it did before, whoever calls it, and a U-Net called directly never meets a branch. Of several threads
    that run hosts of one U-Net, such as videos that are denoised ahead, each waits for the others. Works with and
    without autograd, not with gradient checkpointing (the recomputation would run without the branches).

    Args:
        unet: Of SD1.5's layout.
        multiplies: In which precision it multiplies, see `devices.fast_dtype`; None: in that of its weights.

    Raises:
        BadInput: For another layout, see `shape_of`.
    """

    shape: UNetShape
    """Which sites the U-Net has."""

    def __init__(self, unet: UNet2DConditionModel, multiplies: torch.dtype | None = None) -> None:
        self.unet = unet
        self.shape = shape_of(unet)
        self._multiplies = multiplies
        self._running = _RUNNING.setdefault(unet, threading.RLock())
        self._text, self._fused = TextOnce(unet), FusedLayers(unet)
        self._inner, self._searched = InnerLayers(unet, self.shape), SearchedConvolutions()
        self._layers, self._skips = self.shape.layer_sites(), self.shape.skip_sites()
        attention = self.shape.attention_sites()
        self._valid = {Hook.CROSS: attention, Hook.SELF: attention, Hook.SKIP: self._skips}
        self._attachments: list[DiffusersAttachment] = []
        self._crosses: dict[tuple[Acting, ...], FusedCross] = {}

    @property
    def dtype(self) -> torch.dtype:
        """The data type of the U-Net's weights, in which it takes latents and text."""
        return weights_dtype(self.unet)

    def bare(self) -> DiffusersHost:
        """Return a host of the same U-Net that has no branches."""
        return DiffusersHost(self.unet, self._multiplies)

    def attach(self, branches: Sequence[Branch]) -> DiffusersAttachment:
        """Attach branches; several attachments stack, in the order in which they were made.

        Args:
            branches: What networks' `branches()` return.

        Raises:
            SiteNotFound: For a site that the U-Net lacks.
            BadInput: For an object that is no branch.
        """
        for branch in branches:
            for hook in hooks_of(branch):
                self._check_site(hook, branch.site)
        attachment = DiffusersAttachment(self, branches)
        self._attachments.append(attachment)
        return attachment

    def forget(self, attachment: DiffusersAttachment) -> None:
        """Stop running with an attachment; one that is not attached is ignored.

        Args:
            attachment: That this host made.
        """
        self._attachments = [a for a in self._attachments if a is not attachment]
        self._crosses.clear()
        for one in attachment.acting:  # hooks know their branch, and it knows them
            one.made = None

    def denoise(
        self,
        latents: Float[Tensor, "b c h w"],
        timestep: Int[Tensor, "*b"],
        text: Float[Tensor, "b t d"],
        call: Call,
    ) -> Float[Tensor, "b c h w"]:
        """Run the U-Net once with everything attached.

        Args:
            latents: Noisy latents: each pass's frames, one pass after the other.
            timestep: One for all rows or one a row.
            text: Tokens that cross-attention reads, one row of tokens a row of latents.
            call: What the rows are.

        Returns:
            What the U-Net was trained to predict.

        Raises:
            BadInput: When the batch is not passes times frames, or the U-Net uses gradient checkpointing.
            SiteNotFound: When a branch was never reached.
        """
        rows = len(call.passes) * len(call.frames)
        if len(latents) != rows:
            raise BadInput(
                f"`latents` must have passes x frames = {len(call.passes)} x {len(call.frames)} rows, "
                f"but got {len(latents)}. Repeat the frames once for each pass."
            )
        if self._attachments and self.unet.is_gradient_checkpointing and torch.is_grad_enabled():
            self._refuse_checkpointing()
        call = replace(call, inputs=UNetInputs(latents, timestep, text))
        attached = [branch for a in self._attachments for branch in a.counts]
        deep = call.deep if not torch.is_grad_enabled() else None
        spared = self._inner.spared(deep, attached, min(latents.shape[-2:]))
        acting = [one for a in self._attachments for one in a.acting if not spared or self._acts(one.branch)]
        before = [one.count for one in acting]
        with ExitStack() as stack:
            stack.enter_context(self._running)
            stack.enter_context(self._text.installed())
            stack.enter_context(self._fused.installed(latents))
            stack.enter_context(lowered(self._multiplies, latents.device))
            stack.enter_context(self._searched.running(latents))
            added = self._around(call, acting, deep, spared, stack)
            out = self.unet(latents, timestep, encoder_hidden_states=text, return_dict=False, **added)[0]
        self._check_reached(acting, before)
        return out.to(latents.dtype)

    def _acts(self, branch: Branch) -> bool:
        """Say whether a branch acts in a run without inner layers; a ControlNet's residuals are kept from the last."""
        return self._inner.is_outer(branch.site) and not hasattr(branch, "beforehand")

    def _around(
        self, call: Call, acting: list[Acting], deep: DeepFeatures | None, spared: bool, stack: ExitStack
    ) -> dict[str, Any]:
        """Hold everything on the U-Net that a run needs; return further arguments of it."""
        if deep is not None and spared:
            stack.enter_context(self._hooked(call, acting, []))
            stack.enter_context(self._inner.left_out(deep))
            return self._inner.residuals(deep)
        ahead = self._known_beforehand([one.branch for one in acting])
        stack.enter_context(self._hooked(call, acting, ahead))
        added = additional_residuals(ahead, self._skips, call) if ahead else {}
        if deep is not None:
            stack.enter_context(self._inner.watched(deep))
            deep.residuals = added.get("down_block_additional_residuals", ())[: self.shape.layers + 1]
        return added

    def _refuse_checkpointing(self) -> None:
        """Raise `BadInput`; a host whose hooks are there in the backward pass as well overrides it."""
        raise BadInput(
            "`unet` must not use gradient checkpointing while branches are attached, but it does. "
            "Call `unet.disable_gradient_checkpointing()`."
        )

    def _known_beforehand(self, branches: Sequence[Branch]) -> list[Any]:
        """Return the branches of a single ControlNet, for which diffusers has arguments; several add up by hooks."""
        found: list[Any] = [b for b in branches if hasattr(b, "beforehand")]  # a `KnownBeforehand`
        skips = {branch.site for branch in found if hasattr(branch, "skip")}
        return found if len(found) == len(self._skips) + 1 and skips == set(self._skips) else []

    @contextmanager
    def _hooked(self, call: Call, acting: list[Acting], ahead: Sequence[Any]) -> Generator[None, None, None]:
        """Hold the hooks of branches on the U-Net, also through an exception; count those that run ahead."""
        known = {id(branch) for branch in ahead}
        with ExitStack() as stack:
            for one in acting:
                one.calls.append(call)
                stack.callback(one.calls.pop)
            fused = self._fuse_cross(call, acting, stack)
            for one in acting:
                if id(one.branch) in known:
                    one.reached()
                    continue
                for hook, register in self._made(one):
                    if hook is not Hook.CROSS or one.branch.site not in fused:
                        stack.callback(register().remove)
            yield

    def _made(self, one: Acting) -> list[tuple[Hook, Callable[[], Any]]]:
        """Return what puts each hook of a branch on the U-Net; all is looked up and made the first time."""
        if one.made is None:
            one.made = [
                (hook, register)
                for hook in hooks_of(one.branch)
                for register in places_of(self.unet, self.shape, hook, one.branch, one.counted(hook))
            ]
        return one.made

    def _fuse_cross(self, call: Call, acting: list[Acting], stack: ExitStack) -> set[Site]:
        """Let text's attention and the branches beside it run together where a kernel can; return where."""
        assert call.inputs is not None  # `denoise` has set it
        if not wanted(call.inputs.latents):
            return set()
        places: dict[Site, list[Acting]] = {}
        for one in acting:
            if one.branch.site is not None and Hook.CROSS in hooks_of(one.branch):
                places.setdefault(one.branch.site, []).append(one)
        for site, here in list(places.items()):
            _, transformer = layer_at(self.unet, site)
            attention = cast(Any, transformer).transformer_blocks[0].attn2
            if FusedCross.fits(attention):
                processor = self._crosses.setdefault(tuple(here), FusedCross(here))
                stack.enter_context(swapped(attention, "processor", processor))
            else:
                del places[site]
        return set(places)

    def _check_site(self, hook: Hook, site: Site | None) -> None:
        valid = self._valid.get(hook, self._layers)
        if site in valid or hook is Hook.OUTPUT or (site is None and hook is Hook.INPUT):
            return
        names = ", ".join(str(s) for s in valid)
        raise SiteNotFound(
            f"A `{hook.value}` branch must be at one of {names} in this U-Net, but got {site}. "
            "Build the network for this U-Net's shape."
        )

    def _check_reached(self, acting: list[Acting], before: list[int]) -> None:
        missed = sorted({str(one.branch.site) for one, count in zip(acting, before, strict=True) if one.count == count})
        if missed:
            valid = ", ".join(str(s) for s in self.shape.attention_sites())
            raise SiteNotFound(
                f"Every attached branch must be reached in a run, but the U-Net never visited {', '.join(missed)}; its "
                f"attention sites are {valid}. Do not change the U-Net's layers or hooks while branches are attached."
            )
