"""How a video is sampled: what the caller asks for, what a stack allows, and the two resolved into definite values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Literal, TypeVar, cast

from ..config import SamplingConfig
from ..diffusion.guidance import GuidanceScales
from ..diffusion.sampler import SAMPLERS
from ..errors import BadInput

Fusion = Literal["joint", "streaming", "wrapped"]
"""How windows join, see `diffusion.latent_fusion`; `wrapped` is AniPortrait's way, for the SD1.5 stacks only."""

T = TypeVar("T")

JOINT_UP_TO_S = 20.0
"""Videos up to this long are fused jointly unless the caller says otherwise; longer ones stream."""


@dataclass(frozen=True)
class Scales:
    """Strengths (lambda) of the adapters beside the U-Net: 1 as trained, 0 leaves the adapter out."""

    identity: float = 1.0
    """Of IdentityNet (lambda_id), at least 0. AnimateNet's identity attention follows it up to 1, its full strength."""

    audio: float = 1.0
    """Of AnimateNet's audio attention (lambda_aud), at least 0."""

    reference: float = 1.0
    """Of ReferenceNet, in [0, 1]."""


@dataclass(frozen=True)
class SamplingOptions:
    """How a video is to be denoised. `None` leaves a value to the stack's own defaults (`ModelConfig.sampling`)."""

    steps: int | None = None
    """Denoising steps, from 1."""

    sampler: str | None = None
    """How a step is taken: `ddim`; `dpm++2m`, which needs fewer steps; or `lcm`, for networks distilled to few."""

    reuse: int | None = None
    """Every so many steps, from 1, the U-Net runs whole; in the steps between only its outer layers do, on what the
    inner ones gave last (DeepCache, Ma et al., arXiv 2312.00858). 1 is exact."""

    cfg: float | None = None
    """Classifier-free guidance of the prompt: 1 follows it as trained and is fastest, more exaggerates; at least 0."""

    guide_identity: bool | None = None
    """Whether `cfg` guides the identity along with the prompt, so that the negative pass does not know the person."""

    identity_scale: float | None = None
    """How strictly the face is kept (lambda_id), see `Scales.identity`."""

    audio_scale: float | None = None
    """How strongly the sound acts on the denoiser itself (lambda_aud), beside the motion; see `Scales.audio`."""

    reference_scale: float | None = None
    """How much of the reference pictures ReferenceNet shows, in [0, 1]."""

    fusion: Fusion | None = None
    """How windows join; by default `streaming` for tiny, whose first frames come at once and whose memory does not
    grow; for others `joint` up to 20 s, then `streaming`."""

    window: int | None = None
    """Frames that are denoised together, from 1."""

    overlap: int | None = None
    """Frames that neighbouring windows share, from 0 and below `window`; by default at most half of it."""

    def resolve(self, defaults: SamplingConfig, limits: Limits, duration_s: float, *, edited: bool = False) -> Sampling:
        """Fill in what was left out and check the whole, before anything slow begins.

        Args:
            defaults: Of the stack.
            limits: Of the stack.
            duration_s: Length of the video in seconds, which decides the usual fusion.
            edited: Whether a prompt asks for another look of a photograph.

        Returns:
            Definite values.

        Raises:
            BadInput: Where a value is outside its range, or the stack does not have what an option is for.
        """
        limits.check(**{f.name: getattr(self, f.name) for f in fields(self)})
        window = _given(self.window, defaults.window)
        overlap = _given(self.overlap, min(defaults.overlap, window // 2))
        limits.check_window(window, defaults.window)
        _check_overlap(overlap, window)
        identity = _given(self.identity_scale, defaults.identity_scale)
        reference = min(1.0, identity) if limits.reference_follows_identity else 1.0
        scales = Scales(
            identity=identity,
            audio=_given(self.audio_scale, defaults.audio_scale),
            reference=_given(self.reference_scale, reference),
        )
        _check_scales(scales)
        cfg = _given(self.cfg, usual_cfg(defaults, edited))
        if not cfg >= 0:  # also catches nan
            raise BadInput(f"`cfg` must be at least 0, but got {cfg}. 1 follows the prompt as trained.")
        sampler, reuse = _given(self.sampler, defaults.sampler), _given(self.reuse, defaults.reuse)
        if sampler not in SAMPLERS:
            raise BadInput(f"`sampler` must be one of {', '.join(SAMPLERS)}, but got {sampler!r}. Try ddim.")
        if reuse < 1:
            raise BadInput(f"`reuse` must be at least 1 step, but got {reuse}. 1 runs the whole U-Net at every step.")
        guided = _given(self.guide_identity, defaults.guide_identity)
        return Sampling(
            steps=_given(self.steps, defaults.steps),
            sampler=sampler,
            reuse=reuse,
            scales=scales,
            guidance=GuidanceScales(text=cfg, identity=cfg if guided else 1.0, end=defaults.guidance_end),
            fusion=self.fusion or usual_fusion(defaults, duration_s),
            window=window,
            overlap=overlap,
            shared_noise=defaults.shared_noise,
            flicker=defaults.flicker,
        )


def usual_fusion(defaults: SamplingConfig, duration_s: float) -> Fusion:
    """Return how windows join where nobody says.

    Args:
        defaults: Of the stack.
        duration_s: Length of the video in seconds.
    """
    if defaults.fusion is not None:
        return cast(Fusion, defaults.fusion)
    return "joint" if duration_s <= JOINT_UP_TO_S else "streaming"


def usual_cfg(defaults: SamplingConfig, edited: bool) -> float:
    """Return how strongly a stack guides where nobody says.

    Args:
        defaults: Of the stack.
        edited: Whether a prompt asks for another look of a photograph.
    """
    return defaults.cfg if defaults.edit_cfg is None or not edited else defaults.edit_cfg


@dataclass(frozen=True)
class Sampling:
    """How a video is denoised: `SamplingOptions`, resolved."""

    steps: int
    """Denoising steps."""

    sampler: str
    """How one is taken."""

    reuse: int
    """Every so many the U-Net runs whole."""

    scales: Scales
    """Strengths of the adapters."""

    guidance: GuidanceScales
    """Classifier-free guidance of each condition."""

    fusion: Fusion
    """How windows join."""

    window: int
    """Frames that are denoised together."""

    overlap: int
    """Frames that neighbouring windows share."""

    shared_noise: float
    """Share of the starting noise that all frames have in common, in [0, 1]; see `diffusion.noise.FrameNoise`."""

    flicker: float
    """What is taken out of regions that stand still; see `diffusion.stillness.StillRegions`."""


@dataclass(frozen=True)
class Limits:
    """What a stack can do, for whoever offers options to a user: the command line, the nodes, the memory plan."""

    window: int | None = None
    """Most frames that can be denoised together; None where any number can."""

    window_of: str = "for this model"
    """What sets that number, for messages."""

    fusions: tuple[Fusion, ...] = ("joint", "streaming")
    """Ways in which windows can join."""

    lacks: Mapping[str, str] = field(default_factory=dict[str, str])
    """Options and dials that the stack has nothing for, each with the reason and what to do instead."""

    other_encoders: bool = True
    """Whether speech features of another encoder, as wide as the stack's own, may take their place."""

    reference_follows_identity: bool = False
    """Whether `reference_scale`, where it is left out, is `identity_scale` up to 1."""

    windows_kept: int | None = None
    """Most windows whose branches are kept from step to step; None keeps all that fusion comes back to."""

    passes_at_once: bool = True
    """Whether guidance's passes run as one batch; one after the other they take half of the memory."""

    def check(self, **options: object) -> None:
        """Check options by name; those that are None, or 1 (the neutral value of every scale), are left alone.

        Args:
            **options: Values by the names of `SamplingOptions`, or of the dials of motion.

        Raises:
            BadInput: For an option that the stack has nothing for.
        """
        for name, value in options.items():
            if value is not None and value != 1 and name in self.lacks:
                raise BadInput(f"`{name}` must stay 1: {self.lacks[name]}")
        fusion = options.get("fusion")
        if fusion is not None and fusion not in self.fusions:
            raise BadInput(f"`fusion` must be {' or '.join(self.fusions)}, but got {fusion!r}.")

    def check_window(self, window: int, usual: int = 16) -> None:
        """Check the number of frames that are denoised together.

        Args:
            window: That number.
            usual: A number to suggest.

        Raises:
            BadInput: For none, and for more than the stack can do.
        """
        if window < 1:
            raise BadInput(f"`window` must be at least 1 frame, but got {window}. Try {usual}.")
        if self.window is not None and window > self.window:
            raise BadInput(
                f"`window` must be at most {self.window} frames {self.window_of}, but got {window}. "
                f"Try {min(usual, self.window)}."
            )


def _given(value: T | None, usual: T) -> T:
    return usual if value is None else value


def _check_overlap(overlap: int, window: int) -> None:
    if overlap < 0:
        raise BadInput(f"`overlap` must be at least 0 frames, but got {overlap}. Try {window // 4}.")
    if overlap >= window:
        raise BadInput(
            f"`overlap` must be shorter than `window` ({window} frames), but got {overlap}. Try {window // 4}."
        )


def _check_scales(scales: Scales) -> None:
    for name in ("identity", "audio"):
        value = getattr(scales, name)
        if not value >= 0:  # also catches nan
            raise BadInput(f"`{name}_scale` must be at least 0, but got {value}. 1 is as trained.")
    if not 0 <= scales.reference <= 1:
        raise BadInput(f"`reference_scale` must lie in [0, 1], but got {scales.reference}. Try 1.")
