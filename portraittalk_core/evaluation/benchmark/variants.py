"""The full model and what must lose against it: without a part of it, and by no model at all.

A variant is made from a loaded model by taking one thing away: by an option of sampling, by another motion, or by a
stack in which one field is replaced. Where the weights never learned to use a part, taking it away changes nothing:
`missing` says so, and the variant is not made.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from ...errors import BadInput
from ...motion.arkit import to_arkit, with_mouth
from ...nets.adapters import Adapters
from ...nets.animate_net import AnimateNet
from ...nets.attention import has_learned
from ...pipeline import PortraitTalk
from ...stacks.options import SamplingOptions
from ...stacks.tiny import TinyStack
from ...types import COEFFICIENTS, FaceMotion
from .people import FPS, Person, PersonCase, Take

SHIFT_FRAMES = 8
"""By how many frames the shifted sound is late."""


@dataclass(frozen=True)
class Variant:
    """One row of the ablation."""

    key: str
    """In files and on the command line."""

    title: str
    """In tables."""

    how: str
    """What is done."""

    loses: tuple[str, ...] = ()
    """Keys of the figures in which it must be worse than the full model; () where it need not be."""


FULL = Variant("full", "full model", "mouth from the sound by the model; head, gaze, blinks and brows are the truth's")
"""What the others are compared with."""

VARIANTS = (
    FULL,
    Variant("own-head", "own head", "everything moves as the model draws it from the sound: what `generate` does"),
    Variant("still", "still image", "the portrait, for as long as the sound lasts", ("adfd",)),
    Variant("random-motion", "random motion", "the mouth opens and closes at 1 to 4 Hz without the sound", ("adfd",)),
    Variant("shifted-audio", "shifted audio", f"the full model's, its sound {SHIFT_FRAMES} frames late", ("adfd",)),
    Variant("no-audio", "no audio branch", "lambda_aud = 0: the denoiser does not hear", ("adfd",)),
    Variant(
        "audio-lips", "lips by the audio branch", "structure shows a mouth at rest; the audio branch alone moves it"
    ),
    Variant(
        "no-sound",
        "no sound",
        "the mouth at rest and lambda_aud = 0: neither audio-to-motion nor the audio branch hears",
        ("adfd",),
    ),
    Variant("no-temporal", "no temporal attention", "its output layers set to zero", ("adfd",)),
    Variant(
        "own-noise",
        "frames on their own",
        "noise of its own for every frame and nothing held still: nothing but the motion joins the frames",
        ("adfd",),
    ),
    Variant(
        "no-identity",
        "no IdentityNet",
        "lambda_id = 0: neither its cross-attention nor AnimateNet's identity attention",
        ("face_likeness", "psnr"),
    ),
    Variant(
        "no-reference",
        "no ReferenceNet",
        "reference_scale = 0; the reference that structure places at the head stays",
        ("face_likeness", "psnr"),
    ),
    Variant(
        "no-occlusion",
        "no occlusion map",
        "the answer is the denoiser's own everywhere; what the reference shows it sees as before",
        ("face_likeness", "psnr"),
    ),
    Variant("truth", "truth", "the true rendering: what could be reached"),
)
"""All variants, in the order of the tables."""

KEYS = tuple(variant.key for variant in VARIANTS)
"""Of all variants."""

UNSURE = {
    "no-audio": ("audio", "to_v_ip", "audio branch"),
    "audio-lips": ("audio", "to_v_ip", "audio branch"),
    "no-temporal": ("temporal", "proj_out", "temporal attention"),
}
"""Variants that need a part which weights may not have learned: of AnimateNet, its last layers, its name."""


def named(keys: Sequence[str]) -> list[Variant]:
    """Choose variants, always with the full model.

    Args:
        keys: Of the variants; `all` means all.

    Returns:
        The variants, in the order of the tables.

    Raises:
        BadInput: When a key is unknown.
    """
    unknown = [key for key in keys if key not in (*KEYS, "all")]
    if unknown:
        raise BadInput(f"`--variants` knows {', '.join(KEYS)} and all, but got {unknown[0]!r}. Choose of these.")
    wanted = set(KEYS) if "all" in keys else {*keys, FULL.key}
    return [variant for variant in VARIANTS if variant.key in wanted]


def tiny_stack(model: PortraitTalk) -> TinyStack:
    """Take the stack of a model that the benchmark can make clips with: one of our own networks.

    Args:
        model: Any.

    Returns:
        Its stack.

    Raises:
        BadInput: When the model is made of public files: its motion is that of a mesh.
    """
    if not isinstance(model.stack, TinyStack):
        raise BadInput(
            "`--benchmark people` needs a model of the tiny kind, whose motion is ARKit's blendshapes, but "
            f"got {model.stack.config.name}. Name tiny, or a folder of such weights."
        )
    return model.stack


def missing(model: PortraitTalk, variant: Variant) -> str | None:
    """Say why taking a part away would change nothing.

    Args:
        model: The full one.
        variant: What is taken away.

    Returns:
        A line; None where the weights use the part.
    """
    if variant.key not in UNSURE:
        return None
    part, last, name = UNSURE[variant.key]
    if has_learned(getattr(tiny_stack(model).adapters.animate_net, part), last):
        return None
    return f"the weights have no trained {name} (its output layers are zero), so the full model is without it already"


def prepared(model: PortraitTalk, variant: Variant) -> PortraitTalk:
    """Make the model of a variant.

    Args:
        model: The full one, which stays as it is.
        variant: What is taken away.

    Returns:
        The same model, or one that shares all networks but the one taken away.
    """
    stack = tiny_stack(model)
    if variant.key in _WITHOUT:
        return PortraitTalk(replace(stack, adapters=_without(stack.adapters, variant)), model.host)
    if variant.key == "own-noise":
        sampling = replace(stack.config.sampling, shared_noise=0.0, flicker=0.0)
        return PortraitTalk(replace(stack, config=replace(stack.config, sampling=sampling)), model.host)
    return model


def _silence_temporal(animate_net: AnimateNet) -> None:
    for path, value in animate_net.temporal.named_parameters():
        if "proj_out." in path:
            value.zero_()


def _own_everywhere(animate_net: AnimateNet) -> None:
    shares = animate_net.occlusion.shares
    shares.weight.zero_()
    cast(Tensor, shares.bias).copy_(torch.tensor([_SURE, 0.0, 0.0]))


_SURE = 1e3
"""A logit after which nothing is left for the other shares."""

_WITHOUT: dict[str, tuple[str, Callable[[AnimateNet], None]]] = {
    "no-temporal": ("temporal", _silence_temporal),
    "no-occlusion": ("occlusion", _own_everywhere),
}
"""Variants that lack a part of AnimateNet, and how a copy of it is made to do nothing."""


@torch.no_grad()
def _without(adapters: Adapters, variant: Variant) -> Adapters:
    """Return adapters that share all networks but the one that a variant lacks."""
    part, take_away = _WITHOUT[variant.key]
    kept = {id(child): child for name, child in adapters.animate_net.named_children() if name != part}
    animate_net = copy.deepcopy(adapters.animate_net, kept)  # what is in the memo counts as copied already
    take_away(animate_net)
    return Adapters(identity_net=adapters.identity_net, animate_net=animate_net, reference_net=adapters.reference_net)


def make_frames(
    model: PortraitTalk, variant: Variant, case: PersonCase, person: Person, take: Take, steps: int | None = None
) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """Make the pictures of a clip.

    Args:
        model: `prepared` for the variant.
        variant: How the clip is made.
        case: Gives the seed.
        person: Who speaks.
        take: What is said, and the true motion.
        steps: Of denoising; None for the model's own.

    Yields:
        Pictures in [-1, 1], some at a time.
    """
    options = SamplingOptions(
        steps=steps,
        audio_scale=0.0 if variant.key in ("no-audio", "no-sound") else None,
        identity_scale=0.0 if variant.key == "no-identity" else None,
        reference_scale=0.0 if variant.key == "no-reference" else None,
    )
    motion = None
    if variant.key != "own-head":
        stack = tiny_stack(model)
        features = stack.listen(take.sound, FPS)
        mouth = _mouth(variant, len(features.hidden), case.seed)
        motion = driven(take.motion, stack.move(features, seed=case.seed), mouth)
    videos = model.generate(
        [person.portrait], take.sound, person.prompt, seed=case.seed, motion=motion, options=options
    )
    for frames in videos:
        yield frames.pixels


def _mouth(variant: Variant, frames: int, seed: int) -> Float[Tensor, "frames 52"] | None:
    """Return the mouth that structure shows; None for that which the model hears."""
    if variant.key == "random-motion":
        return random_mouth(frames, seed)
    return torch.zeros(frames, len(COEFFICIENTS)) if variant.key in ("audio-lips", "no-sound") else None


def driven(true: FaceMotion, heard: FaceMotion, mouth: Float[Tensor, "frames 52"] | None = None) -> FaceMotion:
    """Put another mouth into the true motion: that which was heard, or one that is given.

    Their lengths may differ by the frame that rounding costs; the last one is repeated.

    Args:
        true: The motion of head, gaze, blinks and brows.
        heard: What the model made of the sound.
        mouth: Blendshapes that take the place of the mouth that was heard.

    Returns:
        As many frames as were heard.
    """
    frames = len(heard.coefficients)
    rows = torch.arange(frames).clamp(max=len(true.coefficients) - 1)
    motion = FaceMotion(true.coefficients[rows], true.pose[rows], heard.fps)
    return with_mouth(motion, heard if mouth is None else replace(heard, coefficients=mouth))


def random_mouth(frames: int, seed: int) -> Float[Tensor, "frames 52"]:
    """Draw a mouth that knows nothing of the sound: jaw, rounding, spreading, pressing, each two waves of 1 to 4 Hz.

    Args:
        frames: How many.
        seed: Of the waves.

    Returns:
        Blendshapes, columns as in `types.COEFFICIENTS`.
    """
    generator = torch.Generator().manual_seed(seed + 1)
    speed = 1 + 3 * torch.rand(2, 4, generator=generator)
    phase = 2 * math.pi * torch.rand(2, 4, generator=generator)
    time_s = torch.arange(frames)[:, None, None] / FPS
    waves = (torch.sin(2 * math.pi * speed * time_s + phase).mean(1) + 1) / 2
    tracks = waves * torch.tensor([0.64, 0.4, 0.2, 0.06])
    names = ("jawOpen", "mouthPucker", "mouthStretch", "mouthPress")
    return to_arkit(dict(zip(names, tracks.unbind(1), strict=True)))
