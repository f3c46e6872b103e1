"""Run ComfyUI's U-Net with branches attached: the one file that patches.

A MODEL gets inert slots in the host's own patch lists, once, and a tuple of conditions. While the U-Net runs, a wrapper
asks the conditions for their branches and hands them to the slots through `transformer_options`; between runs there is
nothing to find. A foreign patch at the same place is run first, never replaced.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import comfy.model_patcher
import torch
from comfy.ldm.modules.attention import SpatialTransformer, optimized_attention
from comfy.patcher_extension import CallbacksMP, PatcherInjection, WrappersMP
from torch import Tensor, nn

from ..portraittalk_core.errors import BadInput, SiteNotFound, WeightsMismatch
from ..portraittalk_core.host import METHODS, Branch, Call, Hook, Pass, UNetInputs, hooks_of
from ..portraittalk_core.nets.unet_keys import comfy_block, shape_from_comfy
from ..portraittalk_core.sites import Site, UNetShape
from ..portraittalk_core.stacks.base import Condition

KEY = "portraittalk"
"""Names everything of ours in the host's dictionaries; under it `transformer_options` holds the attached conditions."""

RUNNING = "portraittalk_running"
BENEATH = "portraittalk_beneath"
FRAMES = "portraittalk_frames"
"""In `transformer_options`: which frames of the video the running window shows, int64."""

FIRST = ("first", 0)
"""Where the first feature map is made, before it is stored as a skip; ("input", 0) is after that."""

LAST = ("last", 0)
"""Where the U-Net's prediction leaves it."""

Place = tuple[Hook, tuple[str, int]]
"""A hook at a block of ComfyUI's U-Net."""


@dataclass(frozen=True)
class Attached:
    """A condition of a MODEL.

    sigmas: acts where the noise level lies between these, (high, low); frames: of the video, None where any number
    will do; guide_identity: whether the negative prompt is denoised without knowing the person, so that cfg strengthens
    the likeness as well.
    """

    condition: Condition
    shape: UNetShape
    sigmas: tuple[float, float] = (float("inf"), 0.0)
    frames: int | None = None
    guide_identity: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> Attached:
        # The host copies a MODEL's options with every clone; networks and results are to stay shared.
        return self

    def acts(self, sigma: float) -> bool:
        return self.sigmas[1] <= sigma <= self.sigmas[0]


class Running:
    """The branches of one run of the U-Net, by place. Each is handed out once, whatever patches call a slot twice."""

    def __init__(self, branches: Sequence[Branch], call: Call, shape: UNetShape) -> None:
        self.call = call
        self._waiting: dict[Place, list[Branch]] = {}
        for branch in branches:
            for hook in hooks_of(branch):
                self._waiting.setdefault(place(hook, branch.site, shape), []).append(branch)

    def take(self, hook: Hook, block: tuple[str, int]) -> list[Callable[..., Tensor]]:
        """Return what acts here, as functions that still need the host's tensors."""
        return [getattr(branch, METHODS[hook]) for branch in self._waiting.pop((hook, block), [])]

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


def shape_of(model: comfy.model_patcher.ModelPatcher) -> UNetShape:
    """Read from a MODEL what the sites need to know. Raises `BadInput` for other layouts than SD1.5's."""
    base: Any = model.model
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
    percent: tuple[float, float] = (0.0, 1.0),
    frames: int | None = None,
    guide_identity: bool = False,
) -> comfy.model_patcher.ModelPatcher:
    """Return a clone of a MODEL that is conditioned.

    shape: that the condition's networks were made for; nets: them, loaded and freed with the MODEL; percent: of
    sampling between which it acts; the others as in `Attached`. Raises `WeightsMismatch` for a MODEL of another shape.
    """
    own = shape_of(model)
    if own != shape:
        raise WeightsMismatch(
            f"The adapters must be made for the model, but they are for {shape} and the model is {own}. "
            "Load a model and adapters that belong together."
        )
    clone = model.clone()
    sampling = clone.get_model_object("model_sampling")
    sigmas = tuple(float(sampling.percent_to_sigma(p)) for p in percent)
    options = clone.model_options["transformer_options"]
    known = options.get(KEY, ())
    options[KEY] = (*known, Attached(condition, shape, (sigmas[0], sigmas[1]), frames, guide_identity))
    if not known:
        _add_slots(clone, shape)
    _wrap_attention(options, shape)
    loaded = list(clone.get_additional_models_with_key(KEY))
    loaded += [net for net in nets if not any(net.is_clone(other) for other in loaded)]
    clone.set_additional_models(KEY, loaded)
    return clone


def _add_slots(model: comfy.model_patcher.ModelPatcher, shape: UNetShape) -> None:
    model.set_model_attn1_patch(_offer_tokens)
    model.set_model_input_block_patch(_add_first)
    model.set_model_input_block_patch_after_skip(_add_after_skip)
    model.set_model_output_block_patch(_add_upwards)
    # Before any other pack's, as the host adds its own ControlNets: what follows changes maps that are complete.
    patches = model.model_options["transformer_options"]["patches"]
    patches["output_block_patch"] = [_add_upwards, *patches["output_block_patch"][:-1]]
    model.set_model_forward_timestep_embed_patch((AfterSlot, _run_after))
    blocks = [comfy_block(site, shape) for site in shape.layer_sites()]
    model.set_injections(
        KEY,
        [
            PatcherInjection(
                inject=lambda patcher: _insert(patcher.model.diffusion_model, blocks),
                eject=lambda patcher: _remove(patcher.model.diffusion_model),
            )
        ],
    )
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, run_attached)
    for moment in (CallbacksMP.ON_PRE_RUN, CallbacksMP.ON_CLEANUP):
        model.add_callback_with_key(moment, KEY, _forget)


def _wrap_attention(options: dict[str, Any], shape: UNetShape) -> None:
    """Put a slot at every cross-attention, around whoever is there under the same, most specific key."""
    replaced = options["patches_replace"] = {**options.get("patches_replace", {})}
    slots = replaced["attn2"] = {**replaced.get("attn2", {})}
    for site in shape.attention_sites():
        key = (*comfy_block(site, shape), 0)
        if not isinstance(slots.get(key), CrossSlot):
            slots[key] = CrossSlot(slots.get(key))


def _forget(model: comfy.model_patcher.ModelPatcher, *_: Any) -> None:
    """Drop what an earlier run computed: weights may have changed since, and memory is to be free after it."""
    for attached in model.model_options["transformer_options"].get(KEY, ()):
        attached.condition.reset()


def run_attached(
    executor: Any,
    x: Tensor,
    timesteps: Tensor,
    context: Tensor | None = None,
    y: Tensor | None = None,
    control: Any = None,
    transformer_options: dict[str, Any] | None = None,
    **others: Any,
) -> Tensor:
    """Run the U-Net with the branches of all attached conditions (a wrapper of the host)."""
    options = dict(transformer_options or {})
    # Patches may also stand under the key of a whole block, which the host overlooks where a slot of ours is.
    options[BENEATH] = options.get("patches_replace", {}).get("attn2", {})
    chunks = options.get("cond_or_uncond") or [0]
    rows = len(x) // len(chunks)
    sigma = float(options["sigmas"][0]) if "sigmas" in options else 0.0
    acting = [a for a in options.get(KEY, ()) if a.acts(sigma)]
    if acting:
        guided = any(a.guide_identity for a in acting)
        # The negative prompt's rows have another text; a branch that stands for text has to know.
        passes = tuple(Pass(text=chunk != 1, identity=chunk != 1 or not guided) for chunk in chunks)
        given = None if context is None else UNetInputs(x, timesteps, context)
        call = Call(frames=torch.arange(rows), passes=passes, clip=rows, inputs=given)
        frames = _frames_shown(options, rows, [a.frames for a in acting if a.frames is not None])
        host = ComfyHost(executor.class_obj, acting[0].shape)
        uncond = not all(p.identity for p in passes)
        branches = [b for a in acting for b in a.condition.branches(host, frames, uncond, x.device)]
        options[RUNNING] = Running(branches, call, acting[0].shape)
    out = executor(x, timesteps, context, y, control, options, **others)
    return options[RUNNING].finish(out) if acting else out


def _frames_shown(options: dict[str, Any], rows: int, counts: list[int]) -> Tensor:
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


class CrossSlot:
    """Adds CROSS branches to the attention of whoever was here before."""

    def __init__(self, occupant: Callable[..., Tensor] | None) -> None:
        self.occupant = occupant

    def __call__(self, q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any]) -> Tensor:
        occupant = self.occupant or extra.get(BENEATH, {}).get(extra["block"])
        heads = extra["n_heads"]
        out = occupant(q, k, v, extra) if occupant else _attend(q, k, v, heads, extra)
        running = extra.get(RUNNING)
        for act in running.take(Hook.CROSS, extra["block"]) if running else ():
            out = out + act(q, heads, running.call)
        return out


def _attend(q: Tensor, k: Tensor, v: Tensor, heads: int, extra: dict[str, Any]) -> Tensor:
    return optimized_attention(q, k, v, heads, attn_precision=extra.get("attn_precision"))


def _offer_tokens(n: Tensor, context: Tensor, value: Tensor, extra: dict[str, Any]) -> tuple[Tensor, Tensor, Tensor]:
    running = extra.get(RUNNING)
    if running and not extra.get("block_index", 0):
        found = [act(n, running.call) for act in running.take(Hook.SELF, extra["block"])]
        tokens = [t.to(context) for t in found if t is not None]
        context, value = torch.cat([context, *tokens], 1), torch.cat([value, *tokens], 1)
    return n, context, value


def _add_first(h: Tensor, options: dict[str, Any]) -> Tensor:
    return _add(Hook.INPUT, h, options, FIRST) if options["block"] == ("input", 0) else h


def _add_after_skip(h: Tensor, options: dict[str, Any]) -> Tensor:
    return _add(Hook.INPUT, h, options, options["block"])


def _add_upwards(h: Tensor, skip: Tensor, options: dict[str, Any]) -> tuple[Tensor, Tensor]:
    block = options["block"]
    return _add(Hook.INPUT, h, options, block), _add(Hook.SKIP, skip, options, block)


def _add(hook: Hook, h: Tensor, options: dict[str, Any], block: tuple[str, int]) -> Tensor:
    running = options.get(RUNNING)
    for act in running.take(hook, block) if running else ():
        h = h + act(h, running.call)
    return h


class AfterSlot(nn.Module):
    """Stands behind a block's transformer, or its ResNet where it has none, and runs AFTER branches."""

    def forward(self, hidden: Tensor, options: dict[str, Any] | None = None) -> Tensor:
        running = (options or {}).get(RUNNING)
        for act in running.take(Hook.AFTER, options["block"]) if running and options else ():
            hidden = act(hidden, running.call)
        return hidden


def _run_after(layer: AfterSlot, x: Tensor, emb: Tensor, context: Any, options: dict[str, Any], *_: Any) -> Tensor:
    return layer(x, options)


def _insert(unet: Any, blocks: Sequence[tuple[str, int]]) -> None:
    for name, number in blocks:
        sequence = unet.middle_block if name == "middle" else getattr(unet, f"{name}_blocks")[number]
        at = max((i for i, layer in enumerate(sequence) if isinstance(layer, SpatialTransformer)), default=0)
        sequence.insert(at + 1, AfterSlot())


def _remove(unet: Any) -> None:
    for sequence in (*unet.input_blocks, unet.middle_block, *unet.output_blocks):
        for at in reversed([i for i, layer in enumerate(sequence) if isinstance(layer, AfterSlot)]):
            del sequence[at]


class ComfyHost:
    """Runs ComfyUI's `UNetModel` itself with branches attached; see `host.Host`. Nodes only record references so."""

    def __init__(self, unet: Any, shape: UNetShape) -> None:
        self.unet, self.shape = unet, shape
        self._branches: list[Sequence[Branch]] = []

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the U-Net's weights."""
        return self.unet.dtype

    def bare(self) -> ComfyHost:
        """Return a host of the same U-Net that has no branches."""
        return ComfyHost(self.unet, self.shape)

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
        options: dict[str, Any] = {
            RUNNING: running,
            "patches": {
                "attn1_patch": [_offer_tokens],
                "input_block_patch": [_add_first],
                "input_block_patch_after_skip": [_add_after_skip],
                "output_block_patch": [_add_upwards],
                "forward_timestep_embed_patch": [(AfterSlot, _run_after)],
            },
        }
        _wrap_attention(options, self.shape)
        with self._slots():
            out = self.unet(latents, times, context=text.to(latents), transformer_options=options)
        return running.finish(out)

    @contextmanager
    def _slots(self) -> Iterator[None]:
        """Insert the AFTER slots, unless a MODEL that is running has done so."""
        there = any(isinstance(layer, AfterSlot) for layer in self.unet.middle_block)
        if not there:
            _insert(self.unet, [comfy_block(site, self.shape) for site in self.shape.layer_sites()])
        try:
            yield
        finally:
            if not there:
                _remove(self.unet)


class ComfyAttachment:
    """Branches that a `ComfyHost` runs with until they are detached."""

    def __init__(self, host: ComfyHost, branches: Sequence[Branch]) -> None:
        self._host, self._branches = host, branches

    def detach(self) -> None:
        """Take the branches off the U-Net. Calling it twice is harmless."""
        self._host.forget(self._branches)

    def __enter__(self) -> ComfyAttachment:
        return self

    def __exit__(self, *exc: object) -> None:
        self.detach()
