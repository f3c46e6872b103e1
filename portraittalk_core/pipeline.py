"""The whole system: portrait, recording and prompt in, frames of a talking portrait out.

`PortraitTalk.generate` is the short way. Each of its steps is a method of the stack, from records to a record, for
whoever wants to look at, replace or reuse what lies between (the ComfyUI nodes, the benchmark).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from .diffusion.latent_fusion import OnPreview, OnStep, outside_inference, sample_video
from .diffusion.sampler import make_sampler
from .diffusion.wrapped_windows import sample_wrapped
from .drawing import drawn_where_seen
from .errors import BadInput
from .looks import Span, counted, joined, restyled, spans_of
from .opening import HostSession, open_model
from .parallel import ahead
from .stacks.base import Condition, Stack
from .stacks.conditions import Conditions
from .stacks.denoiser import Denoiser
from .stacks.options import Sampling, SamplingOptions
from .stacks.prompts import PromptEmbeds, PromptTrack, appearance_edits
from .types import FaceMotion, Frames, Identity, LatentVideo, Sound, SpeechFeatures, StructureMaps

if TYPE_CHECKING:
    from .motion.audio_to_motion import MotionDials
    from .motion.mesh_motion import MeshMaps, MeshMotion

RECONSTRUCTED_AT_ONCE = 8
"""Pictures that go through the VAE together: its maps are many times as large as they are."""


class PortraitTalk:
    """A loaded model: a stack, and a host that runs its U-Net. See `load` and `generate`."""

    def __init__(self, stack: Stack, host: HostSession) -> None:
        """Join a stack and a host.

        Args:
            stack: What the model is.
            host: Runs its U-Net.
        """
        self.stack, self.host = stack, host

    @classmethod
    def load(cls, name: str = "tiny", device: torch.device | str = "cpu", **options: Any) -> PortraitTalk:
        """Load a model.

        Args:
            name: `tiny`, `sd15-portraittalk`, `sd15-magictalk`, or a folder of tiny's files.
            device: Where networks run.
            **options: `fast`, parts and settings that are faster and not as good. Of the SD1.5 stacks: `parts`, `size`,
                `comfyui`, `low_memory`; see `PublicStack.load`. Of tiny: `faces`, what finds faces in place of the
                bundled pack, see `perception.other_faces.open_faces`; and `precision`, `auto` or `float32`, see
                `hosts.devices.fast_dtype`.

        Returns:
            The model.

        Raises:
            BadInput: For an unknown name or option.
            WeightsMismatch: For files that are missing or do not fit.
            MissingExtra: Without diffusers.
        """
        return cls(*open_model(name, device, **options))

    def generate(
        self,
        images: Sequence[Float[Tensor, "3 h w"]],
        speech: Sound,
        prompt: str = "",
        *,
        edits: Sequence[tuple[float, str]] = (),
        negative: str = "",
        fps: float = 25.0,
        seed: int = 0,
        dials: MotionDials | None = None,
        motion: FaceMotion | MeshMotion | Callable[[Any], FaceMotion | MeshMotion] | None = None,
        face: int | None = None,
        options: SamplingOptions | None = None,
        size: int | None = None,
        fine: bool = False,
        on_step: OnStep | None = None,
        on_preview: OnPreview | None = None,
        on_structure: Callable[[StructureMaps | MeshMaps], None] | None = None,
        on_identity: Callable[[Any], object] | None = None,
        on_motion: Callable[[Any], object] | None = None,
    ) -> Iterator[Frames]:
        """Make a portrait speak.

        Args:
            images: Pictures of one person, RGB in [-1, 1], of any size; the first is the one that moves.
            speech: The recording.
            prompt: What the video shows; the empty one leaves the photograph of tiny as it is.
            edits: (seconds, prompt): the prompt from then on.
            negative: What shall not be seen; acts where `cfg` is above 1.
            fps: Frames a second.
            seed: Of the head's motion and of the noise, from 0.
            dials: Strengths of the movements.
            motion: How the face moves, instead of by the sound; or what makes it of the motion that the sound gives.
            face: Which of several faces in a picture, 1 the largest; by default that.
            options: How the video is denoised; what is left out is the stack's own. Where anything is given every frame
                is denoised, also where nothing of that is seen, see `draw`.
            size: Side of the frames in pixels; None: as large as the photograph's crop around the head, see
                `Stack.composite`.
            fine: Whether the frames go back into the photograph, see `Stack.composite`; they bring a changed one along.
            on_step: Called with (done, total) after every step, in the denoising thread; an exception ends the work.
            on_preview: Gets the clean latents that a frame is heading for, likewise; see `previews.quick_decoder`.
            on_structure: Gets the structure maps before denoising.
            on_identity: Gets what `Stack.identify` returns, likewise; its `places` say where the frames belong in the
                pictures.
            on_motion: Gets how the face moves, likewise.

        Returns:
            The frames in order, some at a time, `round(duration * fps)` in all.

        Raises:
            NoFaceFound: Before the first frame, where a picture has no face.
            OutOfDomain: Likewise, for a face that is too small or turned away too far.
            BadInput: Likewise, for arguments that do not fit together.
        """
        stack = self.stack
        self._sampling(options, speech.duration_s)  # what cannot be is known before anything slow begins
        identity = stack.identify(images, face=face)
        if on_identity is not None:
            on_identity(identity)
        features = stack.listen(speech, fps)
        prompts = PromptTrack(prompt, edits, fps, len(features.hidden))
        moves: FaceMotion | MeshMotion
        if motion is None or callable(motion):
            spoken = stack.move(features, dials=dials, seed=seed, expression=stack.expression(prompts))
            moves = spoken if motion is None else motion(spoken)
        else:
            moves = motion
        _check_length(moves, features)
        if on_motion is not None:
            on_motion(moves)
        maps = stack.structure(moves, identity)
        if on_structure is not None:
            on_structure(maps)
        asked = appearance_edits(prompts, len(features.hidden))
        stack.warn_of_prompts(prompts, bool(asked.any()))
        common: dict[str, Any] = {"negative": negative, "seed": seed, "options": options}
        common |= {"on_step": on_step, "on_preview": on_preview, "fine": fine}
        rest = stack.rest(identity, fps) if bool(asked.any()) else None
        if rest is None:
            video = self._made(identity, maps, features, prompts, size, asked, **common)
        else:
            video = self._looks(identity, rest, maps, features, prompts, size, **common)
        return (replace(frames, model=stack.config.name) for frames in video)

    def _made(
        self,
        identity: Any,
        maps: Any,
        features: SpeechFeatures,
        prompts: PromptTrack,
        size: int | None,
        asked: Float[Tensor, "frames regions"] | float = 0.0,
        fine: bool = False,
        **how: Any,
    ) -> Iterator[Frames]:
        decoded = self.draw(identity, maps, features, prompts, size, **how)
        decoded = ahead(decoded) if self.stack.device.type == "cpu" else decoded  # on a GPU nobody has tried it
        return self.stack.composite(decoded, identity, maps, size, asked, fine=fine)

    def _looks(
        self,
        identity: Identity,
        rest: StructureMaps,
        maps: StructureMaps,
        features: SpeechFeatures,
        prompts: PromptTrack,
        size: int | None,
        *,
        options: SamplingOptions | None,
        on_step: OnStep | None,
        fine: bool,
        **how: Any,
    ) -> Iterator[Frames]:
        """Draw what each prompt makes of the photograph once, and move that, so that it is the same in every frame."""
        spans = spans_of(prompts.weights)
        counts = counted(on_step, spans)
        plain = replace(options or SamplingOptions(), cfg=None)

        def video(span: Span) -> Iterator[Frames]:
            track = PromptTrack(prompts.prompts[span.number], (), maps.fps, span.end - span.first)
            look = restyled(self.stack, self.animate, identity, rest, track, size, fine, options=options, **how)
            inside = (span.of_maps(maps), span.of_features(features))
            own: dict[str, Any] = {"options": options if look is identity else plain, "on_step": counts(span)}
            made = self._made(look, *inside, track, size, fine=fine, edited=False, **own, **how)
            return (replace(frames, photograph=look.photograph if fine else None) for frames in made)

        return joined(map(video, spans), spans, prompts.weights)

    def draw(
        self,
        identity: Any,
        maps: Any,
        features: SpeechFeatures | None,
        prompts: PromptTrack,
        size: int | None = None,
        **how: Any,
    ) -> Iterator[Frames]:
        """Return the frames that `Stack.composite` takes, in order.

        Only those are denoised in which that is seen, unless it is said how, or somebody looks on.

        Args:
            identity: Of `Stack.identify`.
            maps: Of `Stack.structure`.
            features: Of `Stack.listen`; None where nothing is known of the sound.
            prompts: What the video shows.
            size: Side of the finished frames in pixels, see `Stack.composite`.
            **how: Of `animate`.
        """
        if how.get("on_preview") is None and how.get("options") in (None, SamplingOptions()):
            return drawn_where_seen(self.stack, self.animate, identity, maps, features, prompts, size, **how)
        latents = self.animate(identity, maps, features, prompts, **how)
        return (frames for video in latents for frames in self.stack.decode(video))

    def animate(
        self,
        identity: Any,
        maps: Any,
        features: SpeechFeatures | None,
        prompts: PromptTrack,
        *,
        negative: str = "",
        seed: int = 0,
        options: SamplingOptions | None = None,
        on_step: OnStep | None = None,
        on_preview: OnPreview | None = None,
        edited: bool | None = None,
    ) -> Iterator[LatentVideo]:
        """Denoise a video.

        Args:
            identity: Of `Stack.identify`.
            maps: Of `Stack.structure`.
            features: Of `Stack.listen`; None where nothing is known of the sound.
            prompts: What the video shows.
            negative: See `generate`, here and below.
            seed: Of the noise.
            options: How it is denoised.
            on_step: Called after every step.
            on_preview: See `generate`.
            edited: Whether the prompts are to change the photograph; None: where they ask for it.

        Returns:
            The latents in order, as soon as they are final.

        Raises:
            BadInput: For options that the stack does not have, at once.
        """
        frames = len(maps.landmarks)
        edited = bool(appearance_edits(prompts, frames).any()) if edited is None else edited
        sampling = self._sampling(options, frames / maps.fps, edited)
        plain_size = self.stack.config.sampling.plain_size
        stack = self.stack if edited or plain_size is None else self.stack.at(plain_size)
        with self._releasing():
            embeds = stack.encode_prompts(prompts, negative)
            read = stack.cross_attention(embeds, identity).to(stack.device)
            made = stack.conditions(identity, maps, features, embeds, sampling.scales)
        if sampling.fusion == "joint" and not any(condition.couples_frames for condition in made):
            sampling = replace(sampling, fusion="streaming")  # the same video, and its first frames at once
        condition = Conditions(made, keep=self._windows_kept(sampling, frames))
        made_at = stack.config.size // stack.config.vae_factor
        calls = {"on_step": on_step, "on_preview": on_preview}
        return outside_inference(self._denoise(condition, read, sampling, made_at, frames, maps.fps, seed, calls))

    def _sampling(self, options: SamplingOptions | None, duration_s: float, edited: bool = False) -> Sampling:
        """Fill in what was left out; refuse what the stack does not have."""
        given, defaults = options or SamplingOptions(), self.stack.config.sampling
        sampling = given.resolve(defaults, self.stack.limits, duration_s, edited=edited)
        make_sampler(sampling.sampler, self.stack.schedule, sampling.steps)  # which says whether it can take as many
        return sampling

    def _denoise(
        self,
        condition: Condition,
        prompts: PromptEmbeds,
        sampling: Sampling,
        side: int,
        frames: int,
        fps: float,
        seed: int,
        calls: dict[str, Any],
    ) -> Iterator[LatentVideo]:
        """Hold the denoising networks while latents are made, and not while the last of them are decoded."""
        made: list[LatentVideo] = []
        with self._releasing(always=True), self.host.open(condition.patches) as host:
            denoiser = Denoiser(
                *(host, condition, prompts),
                passes_at_once=self.stack.limits.passes_at_once,
                reuse=sampling.reuse,
                streams=sampling.fusion == "streaming",
            )
            chunks = self._sample(denoiser, sampling, side, frames, seed, condition.couples_frames, calls)
            for _, latents in chunks:
                video = LatentVideo(latents, fps)
                if sampling.fusion == "streaming":
                    yield video
                else:
                    made.append(video)
            del denoiser, chunks, host, condition  # their networks go with the context, not with this generator
        yield from made

    def _sample(
        self,
        denoiser: Denoiser,
        sampling: Sampling,
        side: int,
        frames: int,
        seed: int,
        coupled: bool,
        calls: dict[str, Any],
    ) -> Iterator[tuple[int, Tensor]]:
        stack = self.stack
        common: dict[str, Any] = {
            "generator": torch.Generator().manual_seed(seed),
            "steps": sampling.steps,
            "sampler": sampling.sampler,
            "window": sampling.window,
            "overlap": sampling.overlap,
            "scales": sampling.guidance,
            "shared_noise": sampling.shared_noise,
            "device": stack.device,
            **calls,
        }
        shape = (stack.config.unet.latent_channels, side, side)
        if sampling.fusion == "wrapped":
            return sample_wrapped(denoiser.predict, frames, shape, stack.schedule, **common)
        fused = {"fusion": sampling.fusion, "flicker": sampling.flicker, "coupled": coupled}
        return sample_video(denoiser.predict, frames, shape, stack.schedule, **common, **cast(Any, fused))

    def _windows_kept(self, sampling: Sampling, frames: int) -> int:
        most = self.stack.limits.windows_kept or frames
        return min(most, 1 if sampling.fusion == "streaming" else frames)

    @contextmanager
    def _releasing(self, always: bool = False) -> Generator[None, None, None]:
        """Let the stack release what it keeps for denoising: when that is over, and when it could not begin."""
        try:
            yield
        except BaseException:
            self.stack.release()
            raise
        if always:
            self.stack.release()

    def reconstruct(self, pixels: Float[Tensor, "n 3 s s"], fps: float = 25.0) -> Iterator[Frames]:
        """Pass pictures through the VAE: what the best denoiser could reach.

        Args:
            pixels: Pictures in [-1, 1].
            fps: Frames a second.

        Yields:
            The pictures as they come back, some at a time.
        """
        for part in pixels.split(RECONSTRUCTED_AT_ONCE):
            yield from self.stack.decode(LatentVideo(self.stack.encode(part), fps))


def _check_length(motion: FaceMotion | MeshMotion, features: SpeechFeatures) -> None:
    wanted = len(features.hidden)
    if motion.frame_count != wanted or motion.fps != features.fps:
        raise BadInput(
            f"`motion` must have the {wanted} frames at {features.fps:g} fps that the recording lasts, but got "
            f"{motion.frame_count} at {motion.fps:g} fps. Resample it, or cut the recording."
        )
