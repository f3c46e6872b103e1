"""The full model and what must lose against it: without a part of it, and by no model at all.

A variant is made from a loaded model by taking one thing away. Where the weights never learned to use a part, taking it
away changes nothing: `missing` says so, and the variant is not made.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...errors import BadInput
from ...nets.attention import has_learned
from ...types import COEFFICIENTS, FaceMotion, Frames, Identity, LatentVideo, SpeechFeatures, StructureMaps
from .avatars import FPS, AvatarCase, Person, Take

MOUTH = COEFFICIENTS[:4]
SHIFT_FRAMES = 8
"""By how many frames the shifted sound is late."""


class Talker(Protocol):
    """What is needed of a `PortraitTalk`; this package lies below it and cannot import it."""

    networks: Any
    config: Any

    def identify(self, images: Sequence[Tensor]) -> Identity: ...
    def listen(self, speech: Any, fps: float = ...) -> SpeechFeatures: ...
    def move(self, features: SpeechFeatures, *, seed: int = ..., prompts: Any = ...) -> FaceMotion: ...
    def structure(self, motion: FaceMotion, identity: Identity) -> StructureMaps: ...
    def generate(self, images: Sequence[Tensor], speech: Any, prompt: str, **options: Any) -> Iterator[Frames]: ...
    def decode(self, video: LatentVideo) -> Iterator[Frames]: ...


@dataclass(frozen=True)
class Variant:
    """One row of the ablation. key: in files and on the command line; how: what is done, for the page.

    loses: keys of the figures in which it must be worse than the full model; () for those that need not be.
    """

    key: str
    title: str
    how: str
    loses: tuple[str, ...] = ()


FULL = Variant("full", "full model", "mouth from the sound by the model; head, gaze, blinks and brows are the truth's")
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

UNSURE = {
    "no-audio": ("audio", "to_v_ip", "audio branch"),
    "audio-lips": ("audio", "to_v_ip", "audio branch"),
    "no-temporal": ("temporal", "proj_out", "temporal attention"),
}
"""Variants that need a part which weights may not have learned: of AnimateNet, its last layers, its name."""


def named(keys: Sequence[str]) -> list[Variant]:
    """Return the variants of these keys in the order of the tables, always with the full model; `all` means all.

    Raises `BadInput` for a key that is unknown.
    """
    unknown = [key for key in keys if key not in (*KEYS, "all")]
    if unknown:
        raise BadInput(f"`--variants` knows {', '.join(KEYS)} and all, but got {unknown[0]!r}. Choose of these.")
    wanted = set(KEYS) if "all" in keys else {*keys, FULL.key}
    return [variant for variant in VARIANTS if variant.key in wanted]


def missing(model: Talker, variant: Variant) -> str | None:
    """Return why taking this part away would change nothing; None where the weights use it."""
    if variant.key not in UNSURE:
        return None
    part, last, name = UNSURE[variant.key]
    if has_learned(getattr(model.networks.animate_net, part), last):
        return None
    return f"the weights have no trained {name} (its output layers are zero), so the full model is without it already"


def prepared(model: Talker, variant: Variant) -> Talker:
    """Return the model that makes a variant: the same, or a copy that shares all networks but the one taken away."""
    if variant.key in _WITHOUT:
        part, take_away = _WITHOUT[variant.key]
        animate = copy.copy(model.networks.animate_net)
        animate._modules = dict(animate._modules)  # a shallow copy of a module shares the dictionary of its children
        setattr(animate, part, copy.deepcopy(getattr(animate, part)))
        with torch.no_grad():
            take_away(getattr(animate, part))
        return _with(model, replace(model.networks, animate_net=animate))
    if variant.key == "own-noise":
        config = model.networks.config
        sampling = replace(config.sampling, shared_noise=0.0, flicker=0.0)
        return _with(model, replace(model.networks, config=replace(config, sampling=sampling)))
    return model


def _silence(temporal: nn.Module) -> None:
    for path, value in temporal.named_parameters():
        if "proj_out." in path:
            value.zero_()


def _own_everywhere(occlusion: Any) -> None:
    occlusion.shares.weight.zero_()
    occlusion.shares.bias.copy_(torch.tensor([_SURE, 0.0, 0.0]))


_SURE = 1e3
"""A logit after which nothing is left for the other shares."""

_WITHOUT: dict[str, tuple[str, Callable[[Any], None]]] = {
    "no-temporal": ("temporal", _silence),
    "no-occlusion": ("occlusion", _own_everywhere),
}
"""Parts of AnimateNet that a variant lacks, and how a copy of them is made to do nothing."""


def _with(model: Any, networks: Any) -> Any:
    return type(model)(networks, model.device)


def make_frames(
    model: Talker, variant: Variant, case: AvatarCase, person: Person, take: Take, steps: int | None = None
) -> Iterator[Float[Tensor, "n 3 h w"]]:
    """Yield the pictures of a clip as a model makes them; the model must be `prepared` for the variant.

    steps: of denoising, the model's own by default.
    """
    options: dict[str, Any] = {"seed": case.seed, "steps": steps}
    if variant.key in ("no-audio", "no-sound"):
        options["audio_scale"] = 0.0
    if variant.key == "no-identity":
        options["identity_scale"] = 0.0
    if variant.key == "no-reference":
        options["reference_scale"] = 0.0
    if variant.key != "own-head":
        features = model.listen(take.sound, FPS)
        mouth = _mouth(variant, len(features.hidden), case.seed)
        options["motion"] = driven(take.motion, model.move(features, seed=case.seed), mouth)
    for frames in model.generate([person.portrait], take.sound, person.prompt, **options):
        yield frames.pixels


def _mouth(variant: Variant, frames: int, seed: int) -> Float[Tensor, "frames 4"] | None:
    """Return the mouth that structure shows; None for that which the model hears."""
    if variant.key == "random-motion":
        return random_mouth(frames, seed)
    return torch.zeros(frames, len(MOUTH)) if variant.key in ("audio-lips", "no-sound") else None


def driven(true: FaceMotion, heard: FaceMotion, mouth: Float[Tensor, "frames 4"] | None = None) -> FaceMotion:
    """Return the true motion with another mouth: that which was heard, or the one given.

    Their lengths may differ by the frame that rounding costs; the last one is repeated.
    """
    frames = len(heard.coefficients)
    rows = torch.arange(frames).clamp(max=len(true.coefficients) - 1)
    coefficients = true.coefficients[rows].clone()
    columns = [COEFFICIENTS.index(name) for name in MOUTH]
    coefficients[:, columns] = heard.coefficients[:, columns].to(coefficients) if mouth is None else mouth
    return FaceMotion(coefficients, true.pose[rows], heard.fps)


def random_mouth(frames: int, seed: int) -> Float[Tensor, "frames 4"]:
    """Return a mouth that knows nothing of the sound: jaw, wide, round and press, each two waves of 1 to 4 Hz."""
    generator = torch.Generator().manual_seed(seed + 1)
    speed = 1 + 3 * torch.rand(2, 4, generator=generator)
    phase = 2 * math.pi * torch.rand(2, 4, generator=generator)
    time_s = torch.arange(frames)[:, None, None] / FPS
    waves = (torch.sin(2 * math.pi * speed * time_s + phase).mean(1) + 1) / 2
    return waves * torch.tensor([0.8, 0.4, 0.4, 0.1])
