"""What Prompt Look does: draw once what each prompt makes of the photograph, with the host's sampler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import comfy.sample
import torch
from torch import Tensor

from ..portraittalk_core.diffusion.noise import FrameNoise
from ..portraittalk_core.looks import restyled
from ..portraittalk_core.media.image import resize
from ..portraittalk_core.stacks.base import Stack
from ..portraittalk_core.stacks.options import SamplingOptions
from ..portraittalk_core.stacks.prompts import PromptTrack
from ..portraittalk_core.types import Identity, LatentVideo, StructureMaps
from . import attaching, convert, encoding
from .host_values import Conditioning, VaeLike
from .hosted_stack import BoundIdentity, HostedStack, Patcher, remembering
from .looks import Look, Looks

if TYPE_CHECKING:
    from ..portraittalk_core.types import SpeechFeatures

UNKNOWN = (
    "`positive` does not say which words it is made of, so that every frame will be drawn anew. Connect Prompt Edit."
)

_FPS = 25.0  # of one frame that stands still


class _Moving:
    """What `restyled` asks of a stack; the host loads what moves the photograph when the VAE has gone before it."""

    def __init__(self, hosted: HostedStack, stack: Stack) -> None:
        self._hosted, self._stack, self.decode = hosted, stack, stack.decode

    def look(self, *given: Any, **options: Any) -> Any:
        self._hosted.bring_moving()
        return self._stack.look(*given, **options)


def dressed(
    model: Patcher,
    bound: BoundIdentity,
    positive: Conditioning,
    negative: Conditioning,
    vae: VaeLike | None,
    seed: int,
    steps: int,
    cfg: float,
) -> BoundIdentity:
    """Draw what prompts make of a person's photograph.

    Args:
        model: A MODEL of the stack's shape; where it was not told of the person, it is for this.
        bound: The person.
        positive: Of Prompt Edit.
        negative: What shall not be seen.
        vae: The MODEL's; by default the stack's own.
        seed: Of the noise.
        steps: Denoising steps.
        cfg: Guidance of the prompt.

    Returns:
        The person with their looks. As they were, where `positive` does not say what it asks for, and with stacks that
        do not move photographs: every frame is then drawn as the prompt wants it.
    """
    wanted, rest = encoding.wanted(positive), bound.hosted.stack.rest(bound.identity, _FPS)
    if wanted is None or rest is None:
        return bound

    def animate(
        person: Identity,
        maps: StructureMaps,
        speech: SpeechFeatures | None,
        prompts: PromptTrack,
        *,
        edited: bool,
        options: SamplingOptions,
    ) -> Iterator[LatentVideo]:
        who = replace(bound, identity=person, looks=None)
        attached, shown, hidden = _told(model, wanted.conditioning(prompts.prompts[0]), negative, who, vae)
        attached, empty = attaching.at_rest(attached, who, maps, vae)
        guidance = 1.0 if options.cfg is None else options.cfg
        yield LatentVideo(_sampled(attached, shown, hidden, empty["samples"], seed, steps, guidance), maps.fps)

    stack = cast(Stack, _Moving(bound.hosted, bound.hosted.with_vae(model, vae)))
    found = cast(Identity, bound.identity)  # which stacks with a `rest` make
    tracks = [PromptTrack(text, (), rest.fps, 1) for text in wanted.texts]
    options = SamplingOptions(cfg=cfg)
    people = [restyled(stack, animate, found, rest, track, whole=True, options=options) for track in tracks]
    looks = Looks.of([Look(person, remembering(bound.hosted.stack)) for person in people], wanted.weights)
    return replace(bound, identity=looks.each[0].identity, looks=looks)


def _sampled(
    model: Patcher, positive: Conditioning, negative: Conditioning, empty: Tensor, seed: int, steps: int, cfg: float
) -> Tensor:
    """Return latents as the U-Net sees them. The noise is the command line's, and so is the picture."""
    noise = FrameNoise(tuple(empty.shape[1:]), torch.Generator().manual_seed(seed % 2**63)).at(torch.arange(len(empty)))
    how = (steps, cfg, "euler", "simple")
    made = comfy.sample.sample(model, noise, *how, positive, negative, empty, disable_pbar=True, seed=seed)
    return model.model.latent_format.process_in(made)


def unknown_notes(positive: Conditioning) -> list[str]:
    """Return a note where a CONDITIONING does not say what it asks for."""
    return [] if encoding.wanted(positive) else [UNKNOWN]


def portraits(bound: BoundIdentity) -> Tensor:
    """Return IMAGE of a person's looks, all of the first one's size."""
    pictures = [_portrait(look.identity) for look in bound.each]
    height, width = pictures[0].shape[1:]
    return convert.images(torch.stack([resize(picture, height, width) for picture in pictures]))


def _portrait(person: Any) -> Tensor:
    portrait = getattr(person, "portrait", None)
    return person.crops[0] if portrait is None else portrait


def _told(
    model: Patcher, positive: Conditioning, negative: Conditioning, bound: BoundIdentity, vae: VaeLike | None
) -> tuple[Patcher, Conditioning, Conditioning]:
    """Return a MODEL that knows the person, and the two CONDITIONINGs; one that was told stays as it is."""
    if attaching.is_told(model):
        return model, positive, negative
    attached, positive, negative = attaching.identity_net(model, positive, negative, bound, 1.0, (0.0, 1.0), None)
    return attaching.reference_net(attached, bound, vae, 1.0), positive, negative
