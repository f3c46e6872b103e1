"""What the nodes attach to a MODEL: IdentityNet, ReferenceNet, AnimateNet, and the windows of a long video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.looks import Span
from ..portraittalk_core.stacks.base import Condition, Stack
from ..portraittalk_core.stacks.conditions import Conditions
from ..portraittalk_core.stacks.options import Scales
from ..portraittalk_core.stacks.prompts import PromptEmbeds
from ..portraittalk_core.types import SpeechFeatures, StructureMaps
from . import convert
from .comfy_host import AttachOptions, attach
from .comfy_windows import add_windows
from .host_values import Conditioning, Latent, VaeLike
from .hosted_stack import BoundIdentity, HostedStack, Motion, Patcher
from .looks import in_turn
from .model_patches import patched, scheduled
from .window_plan import WindowPlan

if TYPE_CHECKING:
    from typing_extensions import Unpack

IMAGE_EMBEDS = "portraittalk_image_embeds"
"""In a CONDITIONING's further values: that its tokens are an image embedding, no text."""

TOLD = "portraittalk_told"
"""In `transformer_options`: who the person is, as the MODEL was told last (`BoundIdentity`)."""

NOBODY = (
    "`identity` must be connected where `model` was not told who the person is, but it is not. Connect Load Identity, "
    "or put IdentityNet Conditioning with a scale above 0 before this node."
)

STRANGER = (
    "`model` was not told who the person is: the video may show somebody else. Put IdentityNet Conditioning before "
    "AnimateNet."
)

NOTHING = Scales(identity=0.0, audio=0.0, reference=0.0)


def identity_net(
    model: Patcher,
    positive: Conditioning,
    negative: Conditioning,
    bound: BoundIdentity,
    identity_scale: float,
    percent: tuple[float, float],
    guide_identity: bool | None,
) -> tuple[Patcher, Conditioning, Conditioning]:
    """Condition a MODEL on who the person is.

    Args:
        model: A MODEL of the stack's shape.
        positive: CONDITIONING; it passes through unless the stack reads an image embedding in its place.
        negative: Likewise.
        bound: The person.
        identity_scale: lambda_id.
        percent: Of sampling between which it acts.
        guide_identity: Whether the negative prompt is denoised without knowing the person; None as the stack does.

    Returns:
        MODEL, and the two CONDITIONINGs.
    """
    hosted, stack = bound.hosted, bound.hosted.stack
    guided = stack.config.sampling.guide_identity if guide_identity is None else guide_identity
    attached = _on_schedule(model, hosted)
    attached, positive, negative = _image_embeds(attached, positive, negative, bound, guided)
    conditions = stack.conditions(bound.identity, scales=Scales(identity=identity_scale, reference=0.0))
    for condition in conditions:
        attached = _attach(attached, condition, hosted, percent=percent, guide_identity=guided)
        attached = patched(attached, condition.patches, hosted.shape)
    return _told(attached, bound) if conditions else attached, positive, negative


def reference_net(model: Patcher, bound: BoundIdentity | None, vae: VaeLike | None, reference_scale: float) -> Patcher:
    """Condition a MODEL on how the person looks in the reference pictures.

    Args:
        model: A MODEL of the stack's shape.
        bound: The person; None for the one whom the MODEL was told of last.
        vae: The MODEL's; by default the stack's own.
        reference_scale: Of ReferenceNet; 0 leaves the MODEL as it is.

    Returns:
        MODEL.

    Raises:
        BadInput: Where the stack has no ReferenceNet, without a VAE, and where nobody knows the person.
    """
    if reference_scale == 0:
        return model
    bound = _known(model, bound)
    hosted = bound.hosted
    if "reference_scale" in hosted.stack.limits.lacks:
        raise BadInput(
            f"{hosted.name} has no ReferenceNet: IdentityNet Conditioning alone says who the person is. Leave "
            "ReferenceNet Apply out, or use sd15-magictalk."
        )
    attached, scales = _on_schedule(model, hosted), Scales(identity=0.0, reference=reference_scale)
    made = [bound.stack_for(look, model, vae).conditions(look.identity, scales=scales) for look in bound.each]
    for of_each in zip(*made, strict=True):
        attached = _attach(attached, in_turn(of_each, bound.looks), hosted)
    return _told(attached, bound)


def told_of(model: Patcher) -> BoundIdentity | None:
    """Return the person whom a MODEL was told of last."""
    return model.model_options["transformer_options"].get(TOLD)


def is_told(model: Patcher) -> bool:
    """Say whether a MODEL knows who the person is."""
    return told_of(model) is not None


def _known(model: Patcher, bound: BoundIdentity | None) -> BoundIdentity:
    found = bound or told_of(model)
    if found is None:
        raise BadInput(NOBODY)
    return found


def stranger_notes(model: Patcher) -> list[str]:
    """Return a note where a MODEL was never told who the person is."""
    return [] if is_told(model) else [STRANGER]


def animate_net(
    model: Patcher,
    motion: Motion,
    speech: SpeechFeatures,
    bound: BoundIdentity | None,
    window: int,
    overlap: int,
    fusion: str,
    audio_scale: float,
    vae: VaeLike | None = None,
) -> tuple[Patcher, Latent]:
    """Condition a MODEL on how the face moves and what is being said.

    Args:
        model: A MODEL of the stack's shape.
        motion: Of `listening.move`.
        speech: What it was made of.
        bound: The person; None for the one whom the MODEL was told of last.
        window: Frames that are denoised together.
        overlap: Frames that neighbouring windows share.
        fusion: How windows join, "joint" or "streaming".
        audio_scale: lambda_aud.
        vae: The MODEL's; by default the stack's own.

    Returns:
        MODEL, and the empty LATENT of the whole video.

    Raises:
        BadInput: For a motion of another speech, for what the stack cannot do, and where nobody knows the person.
    """
    bound = _known(model, bound)
    hosted = bound.hosted
    limits, sampling = hosted.stack.limits, hosted.stack.config.sampling
    count = _frames(motion, speech)
    limits.check(audio_scale=audio_scale)
    limits.check_window(window)
    looks = bound.looks.over(count) if bound.looks else None
    spans = looks.spans if looks else ()
    made = _conditions_of_frames(model, motion, speech, bound, spans, audio_scale, vae)
    coupled = any(condition.couples_frames for of_each in made for condition in of_each)
    plan = WindowPlan(window, overlap, coupled, spans)
    # In joint fusion every window is kept, with and without the person; in streaming the running one.
    keep = 1 if fusion == "streaming" else 2 * len(plan.windows(count))
    together = in_turn([Conditions(of_each, min(limits.windows_kept or keep, keep)) for of_each in made], looks, spans)
    attached = _attach(_on_schedule(model, hosted), together, hosted, frames=count)
    add_windows(attached, plan, fusion, sampling.flicker)
    return attached, empty_latent(bound.stack_for(bound.each[0], model, vae), count)


def _conditions_of_frames(
    model: Patcher,
    motion: Motion,
    speech: SpeechFeatures,
    bound: BoundIdentity,
    spans: Sequence[Span],
    audio_scale: float,
    vae: VaeLike | None,
) -> list[list[Condition]]:
    """Return what frames are conditioned on: once for all of them, or for each look those in which it is seen."""
    maps, scales = bound.hosted.stack.structure(motion, bound.identity), Scales(0.0, audio_scale, 0.0)
    if len(spans) < 2:
        look = bound.each[spans[0].number if spans else 0]
        return [bound.stack_for(look, model, vae).conditions(look.identity, maps, speech, scales=scales)]
    made: list[list[Condition]] = []
    for span in spans:
        look = bound.each[span.number]
        inside = span.of_maps(maps), span.of_features(speech)
        made.append(bound.stack_for(look, model, vae).conditions(look.identity, *inside, scales=scales))
    return made


def at_rest(
    model: Patcher, bound: BoundIdentity, maps: StructureMaps, vae: VaeLike | None = None
) -> tuple[Patcher, Latent]:
    """Condition a MODEL on the photograph itself, in which nothing moves and nothing is said.

    Args:
        model: A MODEL of the stack's shape.
        bound: The person.
        maps: Of `Stack.rest`.
        vae: The MODEL's; by default the stack's own.

    Returns:
        MODEL, and the empty LATENT of one frame.
    """
    stack = bound.stack_for(bound.each[0], model, vae)
    made = stack.conditions(bound.identity, maps, None, scales=Scales(identity=0.0, reference=0.0))
    together = Conditions(made, keep=2)
    return _attach(_on_schedule(model, bound.hosted), together, bound.hosted, frames=1), empty_latent(stack, 1)


def empty_latent(stack: Stack, frames: int) -> Latent:
    """Return an empty LATENT of a video; with shared noise, all its rows have one batch index, hence one noise."""
    config = stack.config
    side = config.size // config.vae_factor
    samples = torch.zeros(frames, config.unet.latent_channels, side, side)
    return {"samples": samples, "batch_index": [0] * frames} if config.sampling.shared_noise else {"samples": samples}


def _image_embeds(
    model: Patcher, positive: Conditioning, negative: Conditioning, bound: BoundIdentity, guided: bool
) -> tuple[Patcher, Conditioning, Conditioning]:
    """Put an image embedding where the text was, and the text beside it, where the stack's U-Net reads such."""
    if positive[0][1].get(IMAGE_EMBEDS):
        return model, positive, negative  # another node before this one has done so
    hosted, stack = bound.hosted, bound.hosted.stack
    prompts = PromptEmbeds(convert.embeddings(positive), convert.embeddings(negative)[:1])
    read = stack.cross_attention(prompts, bound.identity)
    if read is prompts:
        return model, positive, negative
    beside = Conditions(
        stack.conditions(bound.identity, prompts=prompts, scales=NOTHING), stack.limits.windows_kept or 1
    )
    rows = len(prompts.prompt_embeds)
    attached = _attach(model, beside, hosted, frames=rows if rows > 1 else None, guide_identity=guided)
    without = read.negative_prompt_embeds if guided else read.prompt_embeds
    shown, hidden = (
        [convert.entry(tokens, {**extra, IMAGE_EMBEDS: True}) for _, extra in given]
        for tokens, given in ((read.prompt_embeds, positive), (without, negative))
    )
    return attached, shown, hidden


def _told(model: Patcher, bound: BoundIdentity) -> Patcher:
    told = model.clone()
    told.model_options["transformer_options"][TOLD] = bound
    return told


def _on_schedule(model: Patcher, hosted: HostedStack) -> Patcher:
    if not hosted.sets_schedule:
        return model
    return scheduled(model, hosted.stack.schedule, hosted.stack.config.name)


def _attach(model: Patcher, condition: Condition, hosted: HostedStack, **options: Unpack[AttachOptions]) -> Patcher:
    return attach(model, condition, hosted.shape, *hosted.memory.patchers(condition.networks), **options)


def _frames(motion: Motion, speech: SpeechFeatures) -> int:
    count, wanted = motion.frame_count, len(speech.hidden)
    if count != wanted or motion.fps != speech.fps:
        raise BadInput(
            f"`motion` must be of this speech, {wanted} frames at {speech.fps:g} fps, but has {count} at "
            f"{motion.fps:g}. Connect both to the same Encode Audio."
        )
    return count
