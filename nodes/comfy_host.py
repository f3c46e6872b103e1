"""Run ComfyUI's U-Net with branches attached: the one file that patches.

A MODEL gets inert slots in the host's own patch lists, once, and a tuple of conditions. While the U-Net runs, a wrapper
asks the conditions for their branches and hands them to the slots through `transformer_options`; between runs there is
nothing to find. A foreign patch at the same place is run first, never replaced.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

import comfy.model_patcher
import torch
from comfy.patcher_extension import CallbacksMP, PatcherInjection, WrappersMP
from torch import Tensor

from ..portraittalk_core.errors import BadInput, WeightsMismatch
from ..portraittalk_core.host import Branch, Call, Pass, UNetInputs, hooks_of
from ..portraittalk_core.hosts.devices import lowered
from ..portraittalk_core.nets.unet_keys import comfy_block, shape_from_comfy
from ..portraittalk_core.sites import UNetShape
from ..portraittalk_core.stacks.base import Condition
from .comfy_slots import (
    BENEATH,
    RUNNING,
    AfterSlot,
    CrossSlot,
    Running,
    add_after_skip,
    add_first,
    add_upwards,
    insert_slots,
    offer_tokens,
    place,
    remove_slots,
    run_after,
)
from .host_values import Options, UNet, UNetExecutor

if TYPE_CHECKING:
    from typing_extensions import Unpack

KEY = "portraittalk"
"""Names everything of ours in the host's dictionaries; under it `transformer_options` holds the attached conditions."""

MULTIPLIES = "portraittalk_multiplies"
"""In `transformer_options`: in which precision a MODEL with conditions multiplies, see `hosts.devices.lowered`."""

FRAMES = "portraittalk_frames"
"""In `transformer_options`: which frames of the video the running window shows, int64."""


@dataclass(frozen=True)
class Attached:
    """A condition of a MODEL."""

    condition: Condition
    """Makes the branches."""

    shape: UNetShape
    """Of the U-Net."""

    sigmas: tuple[float, float] = (float("inf"), 0.0)
    """It acts where the noise level lies between these, (high, low)."""

    frames: int | None = None
    """Of the video; None where any number will do."""

    guide_identity: bool = False
    """Whether the negative prompt is denoised without knowing the person, so that cfg strengthens the likeness too."""

    def __deepcopy__(self, memo: dict[int, object]) -> Attached:
        # The host copies a MODEL's options with every clone; networks and results are to stay shared.
        return self

    def acts(self, sigma: float) -> bool:
        """Say whether it acts at a noise level."""
        return self.sigmas[1] <= sigma <= self.sigmas[0]


class AttachOptions(TypedDict, total=False):
    """When and on what a condition acts."""

    percent: tuple[float, float]
    """Of sampling between which it acts, by default (0, 1)."""

    frames: int | None
    """See `Attached`."""

    guide_identity: bool
    """See `Attached`."""


def shape_of(model: comfy.model_patcher.ModelPatcher) -> UNetShape:
    """Read from a MODEL what the sites need to know. Raises `BadInput` for other layouts than SD1.5's."""
    base = model.model
    config = base.model_config.unet_config
    if "context_dim" not in config or "transformer_depth" not in config:
        raise BadInput("`model` must be of the SD1.5 family (a U-Net with text attention), but it is not.")
    heads = next(m.attn1.heads for m in base.diffusion_model.modules() if hasattr(m, "attn1"))
    return shape_from_comfy(config, heads)


def attach(
    model: comfy.model_patcher.ModelPatcher,
    condition: Condition,
    shape: UNetShape,
    *nets: comfy.model_patcher.ModelPatcher,
    **options: Unpack[AttachOptions],
) -> comfy.model_patcher.ModelPatcher:
    """Condition a MODEL.

    Args:
        model: It stays as it is.
        condition: Makes the branches.
        shape: That the condition's networks were made for.
        *nets: These networks, loaded and freed with the MODEL.
        **options: When it acts, see `AttachOptions`.

    Returns:
        A clone of the MODEL.

    Raises:
        WeightsMismatch: For a MODEL of another shape.
    """
    own = shape_of(model)
    if own != shape:
        raise WeightsMismatch(
            f"The adapters must be made for the model, but they are for {shape} and the model is {own}. "
            "Load a model and adapters that belong together."
        )
    clone = model.clone()
    sampling = clone.get_model_object("model_sampling")
    start, end = (float(sampling.percent_to_sigma(p)) for p in options.get("percent", (0.0, 1.0)))
    made = Attached(condition, shape, (start, end), options.get("frames"), options.get("guide_identity", False))
    inside = clone.model_options["transformer_options"]
    before = inside.get(KEY, ())
    inside[KEY] = (*before, made)
    if not before:
        _add_slots(clone, shape)
    _wrap_attention(inside, shape)
    loaded = list(clone.get_additional_models_with_key(KEY))
    loaded += [net for net in nets if not any(net.is_clone(other) for other in loaded)]
    clone.set_additional_models(KEY, loaded)
    return clone


def _add_slots(model: comfy.model_patcher.ModelPatcher, shape: UNetShape) -> None:
    model.set_model_attn1_patch(offer_tokens)
    model.set_model_input_block_patch(add_first)
    model.set_model_input_block_patch_after_skip(add_after_skip)
    model.set_model_output_block_patch(add_upwards)
    # Before any other pack's, as the host adds its own ControlNets: what follows changes maps that are complete.
    patches = model.model_options["transformer_options"]["patches"]
    patches["output_block_patch"] = [add_upwards, *patches["output_block_patch"][:-1]]
    model.set_model_forward_timestep_embed_patch((AfterSlot, run_after))
    blocks = [comfy_block(site, shape) for site in shape.layer_sites()]
    model.set_injections(
        KEY,
        [
            PatcherInjection(
                inject=lambda patcher: insert_slots(patcher.model.diffusion_model, blocks),
                eject=lambda patcher: remove_slots(patcher.model.diffusion_model),
            )
        ],
    )
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, run_attached)
    for moment in (CallbacksMP.ON_PRE_RUN, CallbacksMP.ON_CLEANUP):
        model.add_callback_with_key(moment, KEY, _forget)


def _wrap_attention(options: Options, shape: UNetShape) -> None:
    """Put a slot at every cross-attention, around whoever is there under the same, most specific key."""
    replaced = options["patches_replace"] = {**options.get("patches_replace", {})}
    slots = replaced["attn2"] = {**replaced.get("attn2", {})}
    for site in shape.attention_sites():
        key = (*comfy_block(site, shape), 0)
        if not isinstance(slots.get(key), CrossSlot):
            slots[key] = CrossSlot(slots.get(key))


def _forget(model: comfy.model_patcher.ModelPatcher, *_: object) -> None:
    """Drop what an earlier run computed: weights may have changed since, and memory is to be free after it."""
    for attached in model.model_options["transformer_options"].get(KEY, ()):
        attached.condition.reset()


def run_attached(
    executor: UNetExecutor,
    x: Tensor,
    timesteps: Tensor,
    context: Tensor | None = None,
    y: Tensor | None = None,
    control: object = None,
    transformer_options: Options | None = None,
    **others: object,
) -> Tensor:
    """Run the U-Net with the branches of all attached conditions (a wrapper of the host)."""
    options: Options = dict(transformer_options or {})
    # Patches may also stand under the key of a whole block, which the host overlooks where a slot of ours is.
    options[BENEATH] = options.get("patches_replace", {}).get("attn2", {})
    chunks = options.get("cond_or_uncond") or [0]
    rows = len(x) // len(chunks)
    sigma = float(options["sigmas"][0]) if "sigmas" in options else 0.0
    acting: list[Attached] = [a for a in options.get(KEY, ()) if a.acts(sigma)]
    if acting:
        guided = any(a.guide_identity for a in acting)
        # The negative prompt's rows have another text; a branch that stands for text has to know.
        passes = tuple(Pass(text=chunk != 1, identity=chunk != 1 or not guided) for chunk in chunks)
        given = None if context is None else UNetInputs(x, timesteps, context)
        call = Call(frames=torch.arange(rows), passes=passes, clip=rows, inputs=given)
        frames = _frames_shown(options, rows, [a.frames for a in acting if a.frames is not None])
        host = ComfyHost(executor.class_obj, acting[0].shape, options.get(MULTIPLIES))
        uncond = not all(p.identity for p in passes)
        branches = [b for a in acting for b in a.condition.branches(host, frames, uncond, x.device)]
        options[RUNNING] = Running(branches, call, acting[0].shape)
    with lowered(options.get(MULTIPLIES), x.device):
        out = executor(x, timesteps, context, y, control, options, **others)
    return options[RUNNING].finish(out) if acting else out


def _frames_shown(options: Options, rows: int, counts: list[int]) -> Tensor:
    """Return which frames the rows are: of our windows, or the host's, or those of AnimateDiff-Evolved."""
    if FRAMES in options:
        return options[FRAMES]
    window, evolved = options.get("context_window"), options.get("ad_params") or {}
    indices = getattr(window, "index_list", None) or evolved.get("sub_idxs")
    if indices is not None and len(indices) == rows:
        return torch.tensor(indices)
    if any(count != rows for count in counts):
        raise BadInput(
            f"The latent must have one frame for each of the motion's {max(counts)}, but got {rows}. Use the latent "
            "that AnimateNet Apply returns."
        )
    return torch.arange(rows)


class ComfyHost:
    """Runs ComfyUI's `UNetModel` itself with branches attached; see `host.Host`. Nodes only record references so."""

    def __init__(self, unet: UNet, shape: UNetShape, multiplies: torch.dtype | None = None) -> None:
        """Bind a U-Net.

        Args:
            unet: Of the host.
            shape: Of it.
            multiplies: In which precision it multiplies; None: in that of its weights.
        """
        self.unet, self.shape, self._multiplies = unet, shape, multiplies
        self._branches: list[Sequence[Branch]] = []

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the U-Net's weights."""
        return self.unet.dtype

    def bare(self) -> ComfyHost:
        """Return a host of the same U-Net that has no branches."""
        return ComfyHost(self.unet, self.shape, self._multiplies)

    def attach(self, branches: Sequence[Branch]) -> ComfyAttachment:
        """Attach branches; several attachments stack. Raises `SiteNotFound` for a site the U-Net lacks."""
        for branch in branches:
            for hook in hooks_of(branch):
                place(hook, branch.site, self.shape)
        self._branches.append(branches)
        return ComfyAttachment(self, branches)

    def forget(self, branches: Sequence[Branch]) -> None:
        """Stop running with branches; some that are not attached are ignored."""
        self._branches = [b for b in self._branches if b is not branches]

    def denoise(self, latents: Tensor, timestep: Tensor, text: Tensor, call: Call) -> Tensor:
        """Run the U-Net once; see `host.Host.denoise`."""
        times = timestep.to(latents.device).expand(len(latents)).float()
        call = replace(call, inputs=UNetInputs(latents, times, text.to(latents)))
        running = Running([b for group in self._branches for b in group], call, self.shape)
        options: Options = {
            RUNNING: running,
            "patches": {
                "attn1_patch": [offer_tokens],
                "input_block_patch": [add_first],
                "input_block_patch_after_skip": [add_after_skip],
                "output_block_patch": [add_upwards],
                "forward_timestep_embed_patch": [(AfterSlot, run_after)],
            },
        }
        _wrap_attention(options, self.shape)
        with self._slots(), lowered(self._multiplies, latents.device):
            out = self.unet(latents, times, context=text.to(latents), transformer_options=options)
        return running.finish(out).to(latents.dtype)

    @contextmanager
    def _slots(self) -> Generator[None, None, None]:
        """Insert the AFTER slots, unless a MODEL that is running has done so."""
        there = any(isinstance(layer, AfterSlot) for layer in self.unet.middle_block)
        if not there:
            insert_slots(self.unet, [comfy_block(site, self.shape) for site in self.shape.layer_sites()])
        try:
            yield
        finally:
            if not there:
                remove_slots(self.unet)


class ComfyAttachment:
    """Branches that a `ComfyHost` runs with until they are detached."""

    def __init__(self, host: ComfyHost, branches: Sequence[Branch]) -> None:
        """Remember what to detach.

        Args:
            host: Whose.
            branches: That it runs with.
        """
        self._host, self._branches = host, branches

    def detach(self) -> None:
        """Take the branches off the U-Net. Calling it twice is harmless."""
        self._host.forget(self._branches)

    def __enter__(self) -> ComfyAttachment:
        return self

    def __exit__(self, *exc: object) -> None:
        self.detach()
