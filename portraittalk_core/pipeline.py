"""The whole system: portrait, recording and prompt in, frames of a talking portrait out.

`PortraitTalk.generate` is the short way. Each of its steps is a method from records to a record, for whoever wants to
look at, replace or reuse what lies between (the ComfyUI nodes, the benchmark).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import torch
from jaxtyping import Float
from torch import Tensor

from . import builders
from .checkpoints.native import load_denoiser, load_vae, model_files
from .config import ModelConfig
from .diffusion.guidance import GuidanceScales
from .diffusion.latent_fusion import sample_video
from .errors import BadInput
from .hosts.diffusers_host import DiffusersHost
from .motion.audio_to_motion import MotionDials
from .nets.animate_net import AnimateNet
from .nets.identity_net import IdentityNet
from .perception.out_of_domain import Reconstruct as Redraw
from .presets import PUBLIC
from .stacks.conditions import (
    Conditions,
    IdentityCondition,
    MotionCondition,
    PromptedDenoiser,
    ReferenceCondition,
    Scales,
    SpeechCondition,
    TemporalCondition,
)
from .stacks.preparation import Preparation
from .stacks.prompts import PromptTrack, expression_track
from .types import FaceMotion, Frames, Identity, LatentVideo, Sound, SpeechFeatures, StructureMaps

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

logger = logging.getLogger(__name__)

N = TypeVar("N", bound=torch.nn.Module)

Fusion = Literal["joint", "streaming", "wrapped"]
"""How windows join; `wrapped` is AniPortrait's way, for the stacks of public files only."""
OnStep = Callable[[int, int], None]

JOINT_UP_TO_S = 20.0
"""Videos up to this long are made in one piece unless the caller says otherwise; longer ones stream."""

DECODED_AT_ONCE = 8


@dataclass(frozen=True)
class Networks:
    """The networks of one model."""

    config: ModelConfig
    unet: UNet2DConditionModel
    identity_net: IdentityNet
    animate_net: AnimateNet
    vae: AutoencoderTiny
    preparation: Preparation


class PortraitTalk:
    """A loaded model. See `load` and `generate`."""

    def __init__(self, networks: Networks, device: torch.device | str = "cpu") -> None:
        self.networks, self.device = networks, torch.device(device)
        self.config = networks.config
        self._host = DiffusersHost(networks.unet)
        self._reference_net = builders.reference_net(self.config)

    @classmethod
    def load(cls, name: str = "tiny", device: torch.device | str = "cpu", **options: Any) -> PortraitTalk:
        """Load a model by name (`tiny`, `sd15-portraittalk`, `sd15-magictalk`) or from a folder of tiny's files.

        options: of the models made of public files, see `PublicPortraitTalk.load`. Raises `BadInput` for an unknown
        name or option, `WeightsMismatch` for files that do not fit, `MissingExtra` without diffusers.
        """
        if name in PUBLIC:
            from .stacks.public import PublicPortraitTalk

            return PublicPortraitTalk.load_public(name, device, **options)
        if options:
            raise BadInput(f"`{next(iter(options))}` must be left out for {name}: only models of public files have it.")
        files = model_files(name)
        config, unet, identity_net, animate_net = load_denoiser(files["denoiser"])
        vae = _placed(load_vae(files["vae"]), device)
        networks = Networks(
            config=config,
            unet=_placed(unet, device),
            identity_net=identity_net.to(device),
            animate_net=animate_net.to(device),
            vae=vae,
            preparation=Preparation.load(name, config.name, config.size, _redrawing(vae, device)),
        )
        return cls(networks, device)

    def generate(
        self,
        images: Sequence[Float[Tensor, "3 h w"]],
        speech: Sound,
        prompt: str,
        *,
        edits: Sequence[tuple[float, str]] = (),
        negative: str = "",
        fps: float = 25.0,
        steps: int | None = None,
        cfg: float | None = None,
        identity_scale: float | None = None,
        audio_scale: float | None = None,
        reference_scale: float | None = None,
        seed: int = 0,
        dials: MotionDials | None = None,
        fusion: Fusion | None = None,
        window: int | None = None,
        overlap: int | None = None,
        face: int | None = None,
        motion: FaceMotion | None = None,
        on_step: OnStep | None = None,
        on_structure: Callable[[StructureMaps], None] | None = None,
    ) -> Iterator[Frames]:
        """Yield the frames of the portrait speaking, in order, `round(duration * fps)` in all.

        images: pictures of one person, RGB in [-1, 1]; edits: (seconds, prompt), the prompt from then on; negative:
        what shall not be seen (acts where `cfg` is above 1); cfg, identity_scale, audio_scale: how strictly text, face
        and sound are followed; reference_scale: from 0, without ReferenceNet, to 1; seed: of head motion and noise;
        fusion: how windows of `window` frames join (by default `joint` up to 20 s, then `streaming`, whose memory does
        not grow); face: which of several in a picture, 1 the largest; motion: how the face moves instead of by the
        sound; on_step: called after every step with (done, total), where an exception ends the work; on_structure: gets
        the structure maps before denoising. Arguments left out are the model's.

        Raises `NoFaceFound`, `OutOfDomain`, `BadInput` before the first frame.
        """
        identity = self.identify(images, face=face)
        features = self.listen(speech, fps)
        count = len(features.hidden)
        prompts = PromptTrack(prompt, edits, fps, count)
        if motion is None:
            motion = self.move(features, dials=dials, seed=seed, prompts=prompts)
        _check_length(len(motion.pose), motion.fps, features)
        structure = self.structure(motion, identity)
        if on_structure is not None:
            on_structure(structure)
        latents = self.animate(
            identity,
            structure,
            features,
            prompts,
            negative=negative,
            steps=steps,
            cfg=cfg,
            identity_scale=identity_scale,
            audio_scale=audio_scale,
            reference_scale=reference_scale,
            seed=seed,
            fusion=fusion,
            window=window,
            overlap=overlap,
            on_step=on_step,
        )
        return (frames for video in latents for frames in self.decode(video))

    def identify(self, images: Sequence[Float[Tensor, "3 h w"]], face: int | None = None) -> Identity:
        """Find the person in the pictures. Raises `NoFaceFound` and `OutOfDomain`."""
        return self.networks.preparation.identify(images, face=face)

    def listen(self, speech: Sound, fps: float = 25.0) -> SpeechFeatures:
        """Encode a recording at the frame rate of the video. Raises `BadInput` for one that is empty or not finite."""
        return self.networks.preparation.listen(speech, fps)

    def move(
        self,
        features: SpeechFeatures,
        *,
        dials: MotionDials | None = None,
        seed: int = 0,
        prompts: PromptTrack | None = None,
    ) -> FaceMotion:
        """Return how the face moves with the speech, wearing the expression that the prompts ask for."""
        preparation = self.networks.preparation
        asked = None if prompts is None else expression_track(preparation.text, prompts)
        return preparation.move(features, dials=dials, seed=seed, expression=asked)

    def structure(self, motion: FaceMotion, identity: Identity) -> StructureMaps:
        """Draw the motion on the person's face."""
        return self.networks.preparation.structure(motion, identity)

    def animate(
        self,
        identity: Identity,
        structure: StructureMaps,
        features: SpeechFeatures | None,
        prompts: PromptTrack,
        *,
        negative: str = "",
        steps: int | None = None,
        cfg: float | None = None,
        identity_scale: float | None = None,
        audio_scale: float | None = None,
        reference_scale: float | None = None,
        seed: int = 0,
        fusion: Fusion | None = None,
        window: int | None = None,
        overlap: int | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[LatentVideo]:
        """Yield the latents of the video in order, as soon as they are final. Arguments as in `generate`."""
        usual, count = self.config.sampling, len(structure.landmarks)
        longest = self.config.temporal_frames
        window = usual.window if window is None else window
        overlap = min(usual.overlap, window // 2) if overlap is None else overlap
        if window > longest:
            raise BadInput(f"`window` must be at most {longest} frames, but got {window}. Try {usual.window}.")
        chosen: Fusion = fusion or ("joint" if count / structure.fps <= JOINT_UP_TO_S else "streaming")
        scales = Scales(
            usual.identity_scale if identity_scale is None else identity_scale,
            usual.audio_scale if audio_scale is None else audio_scale,
            1.0 if reference_scale is None else reference_scale,
        )
        conditions = self._conditions(identity, structure, features, scales, keep=1 if chosen == "streaming" else count)
        denoiser = PromptedDenoiser(self._host, self.networks.preparation.text, prompts, negative, conditions)
        chunks = sample_video(
            denoiser.predict,
            count,
            self._latent_shape(),
            builders.noise_schedule(self.config),
            generator=torch.Generator().manual_seed(seed),
            steps=usual.steps if steps is None else steps,
            window=window,
            overlap=overlap,
            fusion=cast(Any, chosen),  # it refuses what is not for this model
            scales=GuidanceScales(text=usual.text_scale if cfg is None else cfg, end=usual.guidance_end),
            shared_noise=usual.shared_noise,
            flicker=usual.flicker,
            on_step=on_step,
            device=self.device,
        )
        return (LatentVideo(latents.clone(), structure.fps) for _, latents in _without_gradients(chunks))

    def decode(self, video: LatentVideo) -> Iterator[Frames]:
        """Yield the pictures of a video, a few at a time, on the CPU."""
        for part in video.latents.split(DECODED_AT_ONCE):
            with torch.inference_mode():
                pixels = self._decode(part).cpu()
            yield Frames(pixels.clone(), video.fps)  # what is made in inference mode refuses to be changed in place

    def decode_pixels(self, pixels: Float[Tensor, "n 3 s s"], fps: float = 25.0) -> Iterator[Frames]:
        """Yield pictures as they are after the VAE: what the best denoiser could reach."""
        for part in pixels.split(DECODED_AT_ONCE):
            yield from self.decode(LatentVideo(self.encode(part), fps))

    @torch.no_grad()
    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures."""
        return cast(Any, self.networks.vae.encode(pixels.to(self.device))).latents

    def _decode(self, latents: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 3 s s"]:
        return cast(Any, self.networks.vae.decode(latents.to(self.device))).sample.clamp(-1, 1)

    def _latent_shape(self) -> tuple[int, int, int]:
        side = self.config.size // self.config.vae_factor
        return self.config.unet.latent_channels, side, side

    @torch.inference_mode()
    def _conditions(
        self,
        identity: Identity,
        structure: StructureMaps,
        features: SpeechFeatures | None,
        scales: Scales,
        keep: int,
    ) -> Conditions:
        nets, animate = self.networks, self.networks.animate_net
        latents, nobody = self.encode(identity.crops), nets.preparation.text.encode([""])

        def warped(_: Tensor, pictures: Tensor) -> Tensor:
            return self.encode(pictures)

        return Conditions(
            [
                IdentityCondition(nets.identity_net, animate.identity, identity.embeddings, scales.identity),
                ReferenceCondition(self._reference_net, latents, nobody, scales.reference),
                TemporalCondition(animate.temporal),
                MotionCondition(animate, structure, identity, latents[:1], warped, self.config.contour_size),
                SpeechCondition(animate.audio, features, scales.audio),
            ],
            keep,
        )


def _check_length(count: int, fps: float, features: SpeechFeatures) -> None:
    wanted = len(features.hidden)
    if count != wanted or fps != features.fps:
        raise BadInput(
            f"`motion` must have the {wanted} frames at {features.fps:g} fps that the recording lasts, but got {count} "
            f"at {fps:g} fps. Resample it, or cut the recording."
        )


def _placed(network: N, device: torch.device | str) -> N:
    """Move a convolutional network, its weights in the order that convolutions on a CPU prefer."""
    return cast(Any, network).to(device, memory_format=torch.channels_last)


def _redrawing(vae: AutoencoderTiny, device: torch.device | str) -> Redraw:
    """Return what encodes and decodes a picture, to the CPU."""

    @torch.no_grad()
    def redraw(pixels: Float[Tensor, "1 3 s s"]) -> Float[Tensor, "1 3 s s"]:
        network = cast(Any, vae)
        return network.decode(network.encode(pixels.to(device)).latents).sample.clamp(-1, 1).cpu()

    return redraw


def _without_gradients(chunks: Iterator[tuple[int, Tensor]]) -> Iterator[tuple[int, Tensor]]:
    """Run a generator in inference mode, and only it: the caller's mode is its own between two chunks."""
    while True:
        with torch.inference_mode():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
