"""The hooks by which branches act in a diffusers U-Net."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..host import METHODS, Branch, Call, Hook
from ..sites import Site, UNetShape

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class Acting:
    """A branch of an attachment and its hooks, which are made once and find the running call.

    Args:
        counts: How often each branch of the attachment was called.
        branch: The branch.
    """

    calls: list[Call]
    """Those in progress: one, or none."""

    made: list[tuple[Hook, Callable[[], Any]]] | None
    """What puts each hook on the U-Net; None until it was looked up."""

    def __init__(self, counts: dict[Branch, int], branch: Branch) -> None:
        self.branch, self._counts = branch, counts
        self.calls, self.made = [], None

    @property
    def count(self) -> int:
        """How often it was called."""
        return self._counts[self.branch]

    def reached(self) -> None:
        """Count it."""
        self._counts[self.branch] += 1

    def counted(self, hook: Hook) -> Any:
        """Bind the branch's method to whatever call runs and count how often it is used.

        Args:
            hook: Which method.
        """
        method = getattr(self.branch, METHODS[hook])

        def run(*args: Any) -> Any:
            self.reached()
            return method(*args, self.calls[-1])

        return run


def layer_at(unet: UNet2DConditionModel, site: Site) -> tuple[nn.Module, Any | None]:
    """Return the ResNet and, where there is one, the transformer at a site.

    Args:
        unet: That has the site.
        site: The site.
    """
    block: Any = unet.mid_block if site.stage == "mid" else getattr(unet, f"{site.stage}_blocks")[site.block]
    attentions = getattr(block, "attentions", None)
    return block.resnets[site.layer], None if attentions is None else attentions[site.layer]


def places_of(
    unet: UNet2DConditionModel, shape: UNetShape, hook: Hook, branch: Branch, run: Any
) -> list[Callable[[], Any]]:
    """Return what puts one branch on a U-Net: functions that return the handle which takes it off again.

    Args:
        unet: The U-Net.
        shape: Of it.
        hook: One of the branch's.
        branch: The branch.
        run: Its method for that hook, without the call.
    """
    site = branch.site
    if hook is Hook.OUTPUT:  # the last layer of all
        return [partial(unet.conv_out.register_forward_hook, _after_hook(run))]
    if site is None:
        return [partial(unet.conv_in.register_forward_hook, lambda _m, _a, out: out + run(out))]
    resnet, transformer = layer_at(unet, site)
    if hook is Hook.AFTER:
        return [partial((transformer or resnet).register_forward_hook, _after_hook(run))]
    if hook is Hook.INPUT:
        return [partial(resnet.register_forward_pre_hook, _input_hook(run, shape.input_width(site)))]
    if hook is Hook.SKIP:
        return [partial(resnet.register_forward_pre_hook, _skip_hook(run, shape.input_width(site)))]
    assert transformer is not None  # `attach` has checked it
    block = transformer.transformer_blocks[0]
    if hook is Hook.SELF:
        return [partial(block.attn1.register_forward_pre_hook, _self_hook(run), with_kwargs=True)]
    return _cross_hooks(block.attn2, run)


def _after_hook(run: Any) -> Any:
    def hook(_module: nn.Module, _args: Any, out: Any) -> Any:
        return (run(out[0]), *out[1:]) if isinstance(out, tuple) else run(out)

    return hook


def _input_hook(run: Any, width: int) -> Any:
    # The ResNets of up blocks get the running map joined with a skip; only the first `width` channels are the map.
    def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, skip = args[0][:, :width], args[0][:, width:]
        hidden = hidden + run(hidden)
        return (torch.cat([hidden, skip], 1) if skip.shape[1] else hidden, *args[1:])

    return hook


def _skip_hook(run: Any, width: int) -> Any:
    def hook(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden, skip = args[0][:, :width], args[0][:, width:]
        return (torch.cat([hidden, skip + run(skip)], 1), *args[1:])

    return hook


def _self_hook(run: Any) -> Any:
    # Keys and values longer than the queries are what `encoder_hidden_states` is for, so every processor copes.
    def hook(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        hidden, context = args[0], kwargs.get("encoder_hidden_states")
        extra = run(hidden)
        if extra is None:
            return None
        return args, {**kwargs, "encoder_hidden_states": torch.cat([hidden if context is None else context, extra], 1)}

    return hook


def _cross_hooks(attention: Any, run: Any) -> list[Any]:
    # The query is caught on its way out of `to_q`, the sum is made on the way into `to_out`.
    query: list[Tensor] = []

    def keep(_module: nn.Module, _args: Any, out: Tensor) -> None:
        query[:] = [out]

    def add(_module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return (args[0] + run(query.pop(), attention.heads), *args[1:])

    to_q, to_out = attention.to_q.register_forward_hook, attention.to_out[0].register_forward_pre_hook
    return [partial(to_q, keep), partial(to_out, add)]
