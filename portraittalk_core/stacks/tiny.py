"""The stack of the tiny model and its like: networks of our own, trained together."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from .. import builders
from ..checkpoints.hearing import RECORD, load_hearing
from ..checkpoints.native import (
    load_adapters,
    load_dense_motion,
    load_face_parsing,
    load_motion,
    load_speech_encoder,
    load_structure,
    load_text_encoder,
    load_vae,
    model_files,
    model_folder,
)
from ..compositing.face_parser import FaceParser
from ..compositing.head_warp import HeadWarp
from ..compositing.lip_points import lips_as_seen
from ..compositing.mouth import open_mouths
from ..config import ModelConfig
from ..diffusion.schedule import NoiseSchedule
from ..errors import WeightsMismatch
from ..hosts.devices import open_device
from ..media.audio import speech_waveform
from ..motion.audio_to_motion import AudioToMotion, MotionDials, generate_motion
from ..motion.geometry import CONTOUR_SIGMA, draw_lines, placement
from ..motion.priors import MotionPrior, drawing_for
from ..motion.structure import FaceFitter, FaceShaper, beside_round_lips, clamp_coefficients, structure_maps
from ..nets.adapters import Adapters
from ..perception.identity import Finder, identify
from ..perception.other_faces import open_faces
from ..perception.speech import SpeechEncoder
from ..perception.suitability import PortraitFinder
from ..perception.text import TextEncoder
from ..types import FaceMotion, Frames, Identity, Sound, SpeechFeatures, StructureMaps
from .base import Condition
from .codec import Codec, CodecMethods
from .conditions import (
    AudioCondition,
    IdentityCondition,
    ReferenceCondition,
    StructureCondition,
    TemporalCondition,
    WarpedLatents,
    WarpedPictures,
)
from .options import Limits, Scales
from .prompts import PromptEmbeds, PromptTrack, expression_offsets
from .resident_codec import ResidentCodec

logger = logging.getLogger(__name__)

N = TypeVar("N", bound=nn.Module)

ENCODED_AT_ONCE = 16
"""Pictures that are encoded before sampling begins: only their latents, a twenty-fourth, grow with the video."""

_LEFT = {
    "The colour of skin is left as it is: tiny cannot change it.": re.compile(r"\b(skin|skinned|tan|tanned)\b"),
    "Ties are left as they are: tiny does not tell them from other clothes.": re.compile(r"\bties?\b"),
    "Eyebrows are left as they are: tiny raises and lowers them only.": re.compile(
        r"\b(bushy|thick|thin|dark|light) (eye)?brows\b"
    ),
}
"""What is said where a prompt speaks of what never changes."""


@dataclass(frozen=True)
class TinyStack(CodecMethods):
    """A `Stack` of networks that all stay in memory."""

    config: ModelConfig
    """What it is made of."""

    adapters: Adapters
    """IdentityNet, AnimateNet and ReferenceNet."""

    text: TextEncoder
    """Reads prompts."""

    speech: SpeechEncoder
    """Listens."""

    audio_to_motion: AudioToMotion
    """Moves the mouth with the speech."""

    prior: MotionPrior
    """Moves what the voice leaves open."""

    fitter: FaceFitter
    """Reads coefficients and pose off landmarks."""

    shaper: FaceShaper
    """Gives a face's landmarks for coefficients and pose."""

    warp: HeadWarp
    """Moves the photograph."""

    faces: Finder
    """Finds faces in pictures and recognises them."""

    codec: Codec
    """The VAE."""

    device: torch.device
    """Where the adapters run."""

    line_width: float = CONTOUR_SIGMA
    """Of the lines that the denoiser is shown, see `motion.geometry.contours`: as wide in pixels at every size."""

    hearing: SpeechEncoder | None = None
    """Listens for the denoiser's audio attention, on the device; None where that is `speech`."""

    @classmethod
    def load(
        cls,
        name: str = "tiny",
        device: torch.device | str = "cpu",
        *,
        adapters: tuple[ModelConfig, Adapters] | None = None,
        codec: Codec | None = None,
        faces: Path | str | None = None,
        multiplies: torch.dtype | None = None,
    ) -> TinyStack:
        """Read a model's files.

        Args:
            name: `tiny`, or a folder of the same files.
            device: Where adapters and VAE run.
            adapters: Of a host that has read them itself, with their configuration.
            codec: A host's own VAE.
            faces: What finds faces in place of the bundled pack, see `perception.other_faces.open_faces`.
            multiplies: In which precision the own VAE and the dense motion's convolutions multiply, see
                `hosts.devices.fast_dtype`.

        Returns:
            The stack.

        Raises:
            BadInput: For an unknown name.
            WeightsMismatch: For files that are missing or do not fit.
        """
        files = model_files(name)
        moving = load_dense_motion(files["dense_motion"])
        moving.multiplies = multiplies
        config, nets = adapters or load_adapters(files["denoiser"])
        place = open_device(device)
        read_vae = cache(lambda: placed(load_vae(files["vae"]), place))
        hearing = _hearing(model_folder(name), config)
        audio_to_motion, prior = load_motion(files["motion"])
        fitter, shaper = load_structure(files["structure"])
        return cls(
            config=config,
            adapters=nets.to(place),
            text=load_text_encoder(files["text"]),
            speech=load_speech_encoder(files["speech"]),
            audio_to_motion=audio_to_motion,
            prior=prior,
            fitter=fitter,
            shaper=shaper,
            warp=HeadWarp(
                placed(moving, place),
                FaceParser(placed(load_face_parsing(files["face_parsing"]), place)),
                shaper.head.mean[:, 2].detach(),
            ),
            faces=open_faces(model_folder(name) / "faces", faces),
            codec=codec or ResidentCodec(read_vae, place, multiplies=multiplies),
            device=place,
            hearing=None if hearing is None else hearing.to(place),
        )

    @property
    def schedule(self) -> NoiseSchedule:
        """That of the configuration."""
        return builders.noise_schedule(self.config)

    @property
    def limits(self) -> Limits:
        """Windows are as long as temporal attention has positions."""
        return Limits(window=self.config.temporal_frames)

    def at(self, size: int) -> TinyStack:
        """Denoise at another size; see `Stack.at`. Identities keep their crops."""
        own = self.config
        if size == own.size:
            return self
        config = replace(own, size=size, contour_size=own.contour_size * size // own.size)
        return replace(self, config=config, line_width=self.line_width * own.size / size)

    def identify(
        self, images: Sequence[Float[Tensor, "3 h w"]], face: int | None = None, skip_missing: bool = False
    ) -> Identity:
        """Find the person in the pictures; see `Stack.identify`."""
        found = identify(images, PortraitFinder(self.faces), face=face, size=self.config.size, skip=skip_missing)
        if self.warp.parser is None:
            return found
        segments = self.warp.parser.segments(found.crops, found.landmarks)
        return replace(found, landmarks=lips_as_seen(found.crops, segments, found.landmarks))

    @torch.no_grad()
    def listen(self, speech: Sound, fps: float = 25.0) -> SpeechFeatures:
        """Encode a recording; see `Stack.listen`."""
        waveform, frames = speech_waveform(speech), speech.frame_count(fps)
        features = self.speech.encode(waveform, fps, frames)
        if self.hearing is None:
            return features
        return replace(features, attended=self.hearing.encode(waveform, fps, frames).hidden)

    @torch.no_grad()
    def move(
        self,
        features: SpeechFeatures,
        *,
        dials: MotionDials | None = None,
        seed: int = 0,
        expression: Float[Tensor, "n 52"] | None = None,
    ) -> FaceMotion:
        """Return how the face moves with the speech; see `Stack.move`."""
        generator = drawing_for(features.loudness, seed)
        motion = generate_motion(features, self.audio_to_motion, self.prior, dials or MotionDials(), generator)
        if expression is None:
            return motion
        shown = beside_round_lips(expression.cpu(), motion.coefficients)
        return replace(motion, coefficients=clamp_coefficients(motion.coefficients + shown))

    @torch.no_grad()
    def expression(self, prompts: PromptTrack | Float[Tensor, "n t d"]) -> Float[Tensor, "n 52"] | None:
        """Return the smile and the brows that prompts ask for; None for tokens of another text encoder."""
        if isinstance(prompts, PromptTrack):
            # `encode` would warn of unknown words a second time.
            tokens = self.text(self.text.tokenize(prompts.prompts).to(self.text.device))
            offsets = expression_offsets(self.text, tokens).cpu()
            return prompts.mix(offsets, torch.arange(len(prompts.weights)))
        return expression_offsets(self.text, prompts) if prompts.shape[-1] == self.text.dim else None

    def structure(self, motion: FaceMotion, identity: Identity) -> StructureMaps:
        """Put the motion on the person's face; see `Stack.structure`."""
        return structure_maps(motion, identity, self.fitter, self.shaper)

    def draw(self, maps: StructureMaps, size: int) -> Float[Tensor, "n 3 size size"]:
        """Draw the moving outlines in white; see `Stack.draw`."""
        return draw_lines(maps.landmarks.cpu(), size).expand(-1, 3, -1, -1)

    def face_finder(self) -> Finder:
        """Return what finds the faces."""
        return self.faces

    def rest(self, identity: Identity, fps: float) -> StructureMaps:
        """Return the maps of the photograph itself; see `Stack.rest`."""
        points = identity.landmarks[:1].to(self.device)
        return StructureMaps(points, placement(points, points), fps)

    def undrawn(
        self, identity: Identity, maps: StructureMaps, which: slice, size: int | None = None, sure: bool = False
    ) -> Frames | None:
        """Return the photograph moved, unless a part of it is torn; see `Stack.undrawn`."""
        pixels = self.warp.undrawn(identity, maps.landmarks[which], size, sure)
        return None if pixels is None else Frames(pixels, maps.fps)

    def composite(
        self,
        frames: Iterable[Frames],
        identity: Identity,
        maps: StructureMaps,
        size: int | None = None,
        edits: Float[Tensor, "frames *regions"] | float = 0.0,
        fine: bool = False,
    ) -> Iterator[Frames]:
        """Take what the photograph shows from it; see `Stack.composite`."""
        moved = self.warp.composite(frames, identity, maps, size, edits, fine)
        return open_mouths(moved, identity, maps, self.fitter, self.shaper)

    def look(
        self,
        drawn: Frames,
        plain: Float[Tensor, "1 3 d d"],
        identity: Identity,
        rest: StructureMaps,
        asked: Float[Tensor, "1 asked"],
        size: int | None = None,
        whole: bool = False,
    ) -> Identity:
        """Make of the photograph what a prompt wants; see `Stack.look`."""
        return self.warp.look(drawn, plain, identity, rest, asked, size, whole)

    def encode_prompts(self, prompts: PromptTrack, negative: str = "") -> PromptEmbeds:
        """Run the text encoder; see `Stack.encode_prompts`."""
        return PromptEmbeds(self.text.encode(prompts.prompts), self.text.encode([negative]), prompts)

    def warn_of_prompts(self, prompts: PromptTrack, asked: bool) -> None:
        """Name words that the text encoder does not know, where it would not be asked, and what is never changed."""
        if not asked:
            self.text.warn_of_words(prompts.prompts)
        for left, words in _LEFT.items():
            if any(words.search(prompt.lower()) for prompt in prompts.prompts):
                logger.warning(left)

    def cross_attention(self, prompts: PromptEmbeds, identity: Identity) -> PromptEmbeds:
        """Return the prompts."""
        return prompts

    @torch.inference_mode()
    def conditions(
        self,
        identity: Identity,
        maps: StructureMaps | None = None,
        features: SpeechFeatures | None = None,
        prompts: PromptEmbeds | None = None,
        scales: Scales | None = None,
    ) -> list[Condition]:
        """Compose IdentityNet, ReferenceNet and AnimateNet; see `Stack.conditions`."""
        scales = scales or Scales()
        made: list[Condition] = []
        if scales.identity:
            made.append(IdentityCondition(self.adapters, identity.embeddings, scales.identity))
        latents = self.encode(self._sized(identity.crops)) if scales.reference or maps is not None else None
        if scales.reference and latents is not None:
            made.append(ReferenceCondition(self.adapters, latents, self.text.encode([""]), scales.reference))
        if maps is not None and latents is not None:
            moved, size = partial(self._moved, identity), self.config.contour_size
            warped = self._warped_latents(moved, maps)
            if len(maps.landmarks) > 1:  # a single frame, such as a look's, is drawn as stage 1 learned to
                made.append(TemporalCondition(self.adapters))
            nets = (self.warp.net,)
            made.append(
                StructureCondition(self.adapters, maps, latents[:1], moved, warped, size, nets, self.line_width)
            )
            if scales.audio:
                made.append(AudioCondition(self.adapters, features, scales.audio))
        return made

    def _sized(self, pictures: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 size size"]:
        size = self.config.size
        return pictures if pictures.shape[-1] == size else functional.interpolate(pictures, (size, size), mode="area")

    def _moved(self, identity: Identity, landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 3 size size"]:
        return self.warp.warped(identity, landmarks, self.config.size)

    def _warped_latents(self, moved: WarpedPictures, maps: StructureMaps) -> WarpedLatents:
        """Return what gives the latents of the warped picture: the VAE, or what it gave before sampling."""
        if self.codec.runs_while_sampling:
            return lambda frames, pictures: self.codec.encode(pictures)
        parts = maps.landmarks.split(ENCODED_AT_ONCE)
        beforehand = torch.cat([self.codec.encode(moved(part.to(self.device))) for part in parts])

        def latents(frames: Int[Tensor, "n"], pictures: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
            return beforehand[frames]

        return latents

    def release(self) -> None:
        """Keep everything: it is small."""


def placed(network: N, device: torch.device) -> N:
    """Move a convolutional network to a device, its weights in the order that convolutions on a CPU prefer."""
    return cast(Any, network).to(device, memory_format=torch.channels_last)


def _hearing(folder: Path, config: ModelConfig) -> SpeechEncoder | None:
    """Return what a folder's audio attention listens with where that is not its `speech`; raises `WeightsMismatch`."""
    found = load_hearing(folder)
    if found is None or found.is_shipped:
        return None
    if found.width != config.audio_dim:
        raise WeightsMismatch(
            f"{folder / RECORD}: must name an encoder of {config.audio_dim} features, which the denoiser hears, but "
            f"{found.name} gives {found.width}. Give the folder as it was trained."
        )
    return found.encoder
