"""The SD1.5 stacks: networks that others trained and published, put together.

What each stage does, and after whom, is said in docs/sd15.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .. import builders
from ..checkpoints.catalogue import fast_parts
from ..checkpoints.face_landmarker import read_canonical_face
from ..checkpoints.native import ASSETS, load_motion
from ..config import ModelConfig, SamplingConfig
from ..diffusion.schedule import NoiseSchedule
from ..errors import BadInput, NoFaceFound
from ..hosts.devices import network_dtype, open_device
from ..hosts.diffusers_host import DiffusersHost
from ..media.audio import speech_waveform
from ..motion.audio_to_motion import MotionDials
from ..motion.mesh_motion import MeshMaps, MeshMotion, mesh_maps, prior_to_pose
from ..motion.priors import drawing_for
from ..nets.audio_to_mesh import VERTICES, encode_at_rate, frame_count
from ..nets.audio_to_pose import STYLES, move_head
from ..nets.reference_net import ReferenceFeatures, ReferenceNet
from ..perception.clip_input import SIDE, clip_pixels
from ..perception.face import FaceAnalyser
from ..perception.face_mesh import PHOTOGRAPH_HINT, FaceMesher
from ..perception.identity import Finder
from ..perception.mesh_identity import MeshIdentity, identify_mesh
from ..perception.speech import loudness_track, resample_rows
from ..presets import FAST, PRESETS
from ..types import POSE, FaceMotion, Sound, SpeechFeatures
from .base import Condition
from .codec import Codec, CodecMethods
from .loaded_codec import LoadedCodec
from .loader import NetworkLoader
from .mesh_conditions import (
    DrawnFaceCondition,
    FixedBranches,
    RecordedReference,
    TextBesideCondition,
    draw_faces,
    identity_branches,
    on_mesh,
)
from .options import Limits, Scales
from .prompts import PromptEmbeds, PromptTrack
from .spec import StackSpec, find_spec

BESIDE_ANIPORTRAIT = 0.5
"""Strength of text and identity beside AniPortrait's networks. Our choice: nobody has trained them together."""

WINDOWS_KEPT = 4
"""Windows whose branches are kept for the next step where memory is short; a longer video's are made anew."""

WINDOWS_KEPT_IN_PLENTY = 48
"""The same on accelerators of more than `PLENTY_BYTES`: all of 20 s, at about .05 GB each."""

MESH_FPS = 30.0
"""Frames a second at which AniPortrait's speech networks were trained; other rates are read off between the rows."""

SHORTEST_SPEECH = 400
"""Samples at 16 kHz: what one state of wav2vec2 hears."""

PLENTY_BYTES = 12e9
"""Accelerator memory above which guidance's passes run at once."""

_MOTION_FRAMES = {"v1": 24, "AnimateLCM": 64}
"""Frames that motion modules were trained on at once, by version; 32 for the others."""

_DEAF = "no public file conditions this denoiser on sound, it sees the moved face."
_ONE_MESH = "models of public files move one mesh, and `lip` scales the whole face's motion."


@dataclass(frozen=True)
class SpokenFeatures(SpeechFeatures):
    """Speech as an SD1.5 stack hears it; `hidden` are states of audio2mesh's encoder."""

    waveform: Float[Tensor, "samples"] = field(kw_only=True)
    """Mono at 16 kHz."""


@dataclass(frozen=True)
class PublicStack(CodecMethods):
    """A `Stack` of public files. Networks are read when their stage begins and let go when it is over."""

    config: ModelConfig
    """What it is made of."""

    loader: NetworkLoader
    """Reads the networks; its `spec` says from which files."""

    codec: Codec
    """The VAE."""

    limits: Limits
    """What it can do."""

    @classmethod
    def load(
        cls,
        name: str,
        device: torch.device | str = "cpu",
        *,
        parts: Mapping[str, str] | None = None,
        size: int | None = None,
        comfyui: Path | None = None,
        low_memory: bool | None = None,
        loader: type[NetworkLoader] = NetworkLoader,
        hosted: bool = False,
        fast: bool = False,
    ) -> PublicStack:
        """Find the files of a stack and check them; reads no weights yet.

        Args:
            name: Of `presets.PUBLIC`.
            device: Where networks run, in half precision unless it is the CPU.
            parts: Files that take the place of the stack's, see `spec.find_spec`.
            size: Side of a frame in pixels, a multiple of 64.
            comfyui: ComfyUI's folder, whose models are used too.
            low_memory: Run guidance's passes one after the other; by default on accelerators below 12 GB.
            loader: What reads the networks.
            hosted: A host brings U-Net, text encoder and VAE, whose files need not be here.
            fast: Take parts and settings that are faster and not as good.

        Returns:
            The stack.

        Raises:
            BadInput: For an unknown name or size, and for parts that cannot be mixed.
            WeightsMismatch: For files that are not here or are something else.
        """
        spec = find_spec(name, {**(fast_parts(name) if fast else {}), **(parts or {})}, comfyui, hosted=hosted)
        side = PRESETS[name]().size if size is None else size
        if side < 64 or side % 64:
            raise BadInput(f"`size` must be a multiple of 64 pixels, but got {side}. Try 512.")
        version = spec.kinds["temporal"].version if "temporal" in spec.kinds else ""
        frames = _MOTION_FRAMES.get(version, 32)
        config = replace(PRESETS[name](), size=side, schedule=spec.schedule, temporal_frames=frames)
        config = replace(config, sampling=_sampled(config, spec, fast))
        place = open_device(device)
        made = loader(spec, place, network_dtype(place))
        made.check()
        at_once = not (_is_small(place) if low_memory is None else low_memory)
        return cls.of(config, made, passes_at_once=at_once)

    @classmethod
    def of(cls, config: ModelConfig, loader: NetworkLoader, *, passes_at_once: bool = True) -> PublicStack:
        """Put a stack together.

        Args:
            config: What it is made of.
            loader: Reads its networks.
            passes_at_once: See `Limits.passes_at_once`.

        Returns:
            The stack.
        """
        ours = loader.spec.is_aniportrait
        lacks = {"audio_scale": _DEAF, "blink": _ONE_MESH, "expression": _ONE_MESH}
        if not ours:
            lacks["reference_scale"] = "this stack has no ReferenceNet. Use sd15-magictalk, or `identity_scale`."
        limits = Limits(
            window=config.temporal_frames if "temporal" in loader.spec.files else None,
            window_of="with this motion module",
            fusions=("joint", "streaming", "wrapped"),
            lacks=lacks,
            other_encoders=False,
            reference_follows_identity=ours,
            windows_kept=WINDOWS_KEPT_IN_PLENTY if passes_at_once and loader.device.type != "cpu" else WINDOWS_KEPT,
            passes_at_once=passes_at_once,
        )
        return cls(config, loader, LoadedCodec(loader, 16 if passes_at_once else 1), limits)

    @property
    def device(self) -> torch.device:
        """Where its networks run."""
        return self.loader.device

    @property
    def schedule(self) -> NoiseSchedule:
        """That of the parts."""
        return builders.noise_schedule(self.config)

    def identify(
        self, images: Sequence[Float[Tensor, "3 h w"]], face: int | None = None, skip_missing: bool = False
    ) -> MeshIdentity:
        """Find the person in the pictures; see `Stack.identify`."""
        mesher = FaceMesher(self.loader.spec.files["landmarks"])
        analyser = self.face_finder() if "faces" in self.loader.spec.files else None
        try:
            if not skip_missing or not images:
                return identify_mesh(images, mesher, analyser, face=face, size=self.config.size)
            found: list[MeshIdentity] = []
            for number, image in enumerate(images, 1):
                try:
                    found.append(identify_mesh([image], mesher, analyser, face=face, size=self.config.size))
                except NoFaceFound:
                    if number == len(images) and not found:
                        raise
            return MeshIdentity.join(found)
        finally:
            mesher.close()

    @torch.no_grad()
    def listen(self, speech: Sound, fps: float = 25.0) -> SpokenFeatures:
        """Encode a recording, whole, at 30 frames a second and read it off at `fps`; see `Stack.listen`."""
        waveform, frames = speech_waveform(speech), speech.frame_count(fps)
        if not torch.isfinite(waveform).all() or len(waveform) < SHORTEST_SPEECH:
            raise BadInput("`speech` must be finite and last at least 0.025 s. Repair the recording.")
        with self.loader.load("mesh") as (net,):
            rows = frame_count(len(waveform), MESH_FPS)
            hidden = self.loader.wait(encode_at_rate(net.audio_encoder, waveform[None].to(self.device), rows)[0])
        hidden = resample_rows(hidden, MESH_FPS, fps, frames)
        return SpokenFeatures(hidden, loudness_track(waveform, fps, frames), fps, waveform=waveform)

    @torch.no_grad()
    def move(
        self,
        features: SpeechFeatures,
        *,
        dials: MotionDials | None = None,
        seed: int = 0,
        expression: Float[Tensor, "n 52"] | None = None,
    ) -> MeshMotion:
        """Return how face and head move with the speech; see `Stack.move`. Prompts do not change it."""
        dials = dials or MotionDials()
        self.limits.check(blink=dials.blink, expression=dials.expression)
        with self.loader.load("mesh") as (net,):  # both layers are linear, so that rows may be read off before them
            offsets = self.loader.wait(net.out_fn(net.in_fn(features.hidden.to(self.device)))).unflatten(
                -1, (VERTICES, 3)
            )
        strength = 0.0 if dials.still_head else dials.head
        return MeshMotion(offsets * dials.lip, self._head(features, seed) * strength, features.fps)

    def _head(self, features: SpeechFeatures, seed: int) -> Float[Tensor, "frames 6"]:
        frames = len(features.hidden)
        if "head" in self.loader.spec.files and isinstance(features, SpokenFeatures):
            with self.loader.load("head") as (net,):
                moved = self.loader.wait(move_head(net, features.waveform.to(self.device), seed % STYLES))
            return resample_rows(moved, MESH_FPS, features.fps, frames)
        _, prior = load_motion(ASSETS / "tiny" / "motion.safetensors")
        free = prior.generate(features.loudness, features.fps, drawing_for(features.loudness, seed))
        zero = torch.zeros_like(features.loudness)
        return prior_to_pose(torch.stack([free.get(name, zero) for name in POSE], 1))

    def expression(self, prompts: PromptTrack | Float[Tensor, "n t d"]) -> None:
        """Return None: CLIP says nothing of expressions in centimetres."""
        return None

    def structure(self, motion: Any, identity: MeshIdentity) -> MeshMaps:
        """Move the points of the first reference's face; see `Stack.structure`."""
        if not isinstance(motion, MeshMotion | FaceMotion):
            raise BadInput(
                f"`motion` must be a MeshMotion or a FaceMotion, but is {type(motion).__name__}. See `move`."
            )
        canonical = read_canonical_face(self.loader.spec.files["landmarks"])
        if isinstance(motion, FaceMotion):
            motion = on_mesh(motion, identity.landmarks[0], canonical)
        return mesh_maps(motion, identity.landmarks[0], canonical)

    def draw(self, maps: MeshMaps, size: int) -> Float[Tensor, "n 3 size size"]:
        """Draw the mesh as the structure network is shown it; see `Stack.draw`."""
        return draw_faces(maps.landmarks, (size, size), self.loader.spec.is_aniportrait)

    def face_finder(self) -> Finder:
        """Return insightface's networks, where the stack has them; see `Stack.face_finder`."""
        files = self.loader.spec.files
        if "faces" not in files:
            raise BadInput(
                f"{self.config.name} brings no networks that find faces in a finished video. Use those of "
                "sd15-portraittalk, or add faces=buffalo_l to the stack."
            )
        return FaceAnalyser(files["faces"], threshold=0.5, hint=PHOTOGRAPH_HINT)

    @torch.no_grad()
    def warn_of_prompts(self, prompts: PromptTrack, asked: bool) -> None:
        """Nothing: CLIP has a token for every word."""

    def encode_prompts(self, prompts: PromptTrack, negative: str = "") -> PromptEmbeds:
        """Run CLIP's text encoder; see `Stack.encode_prompts`."""
        with self.loader.load_text() as text:
            wait = self.loader.wait
            return PromptEmbeds(wait(text.encode(prompts.prompts)), wait(text.encode([negative])), prompts)

    def cross_attention(self, prompts: PromptEmbeds, identity: MeshIdentity) -> PromptEmbeds:
        """Return the prompts; AniPortrait's U-Net reads CLIP's embedding of the first picture in their place."""
        if not self.loader.spec.is_aniportrait:
            return prompts
        image_embeds = self.image_embeds(identity)
        return PromptEmbeds(image_embeds, torch.zeros_like(image_embeds), None, "identity")

    def conditions(
        self,
        identity: MeshIdentity,
        maps: MeshMaps | None = None,
        features: SpeechFeatures | None = None,
        prompts: PromptEmbeds | None = None,
        scales: Scales | None = None,
    ) -> list[Condition]:
        """Compose ReferenceNet, IdentityNet, the drawn face, the motion module and text; see `Stack.conditions`.

        What only looks at pictures runs now, one network after the other. What denoises is kept until `release`.
        """
        scales = scales or Scales()
        ours = self.loader.spec.is_aniportrait
        made: list[Condition] = []
        if ours and scales.reference:
            made.append(RecordedReference(self._reference_features(identity), scales.reference))
        if "identity" in self.loader.spec.files and scales.identity:
            made.append(self._identity_condition(identity, scales.identity * (BESIDE_ANIPORTRAIT if ours else 1.0)))
        if maps is not None:
            size = (self.config.size, self.config.size)
            made.append(DrawnFaceCondition(self.loader.keep("structure"), maps, size))
            if "temporal" in self.loader.spec.files:
                temporal = self.loader.keep("temporal")
                made.append(FixedBranches(temporal.branches(), [temporal]))
        if ours and prompts is not None:
            keys = self.loader.keep("text_beside")
            made.append(TextBesideCondition(keys, prompts.to(self.device), BESIDE_ANIPORTRAIT))
        return made

    def release(self) -> None:
        """Let go of what `conditions` keeps."""
        self.loader.release()

    @torch.no_grad()
    def image_embeds(self, identity: MeshIdentity) -> Float[Tensor, "1 1 768"]:
        """Return CLIP's embedding of the first picture: what AniPortrait's U-Net reads where SD1.5's reads text."""
        pictures = clip_pixels(identity.crops[:1])
        return self.loader.once(identity, lambda: self._image_encoder(pictures).image_embeds[None])

    def _image_encoder(self, pictures: Float[Tensor, "n 3 224 224"], **options: Any) -> Any:
        """Run CLIP's image encoder; a method, so that the network is gone when the next one is read."""
        with self.loader.load("image_encoder") as (net,):
            return net(pictures.to(self.device, self.loader.dtype), **options)

    @torch.no_grad()
    def _reference_features(self, identity: MeshIdentity) -> ReferenceFeatures:
        """Return how the first picture looks to AniPortrait's reference network; see `ReferenceNet.record`."""
        image_embeds, latents = self.image_embeds(identity), self.encode(identity.crops[:1])
        with self.loader.load("reference") as (unet,):
            net = ReferenceNet(sites=builders.unet_shape(self.config).attention_sites())
            shown = (value.to(self.device, unet.dtype) for value in (latents, image_embeds))
            return net.record(DiffusersHost(unet), *shown)

    @torch.no_grad()
    def _identity_condition(self, identity: MeshIdentity, scale: float) -> FixedBranches:
        """Return the identity file's branches, and its LoRA, which is not scaled."""
        spec = self.loader.spec
        assert identity.embeddings is not None and identity.faces is not None  # `check_spec` has asked for insightface
        image_embeds = uncond_image_embeds = None
        if spec.plus is not None:
            # Blue first: so the model card of FaceID-Plus hands its close-ups, cut by OpenCV, to CLIP.
            pictures = torch.cat([clip_pixels(identity.faces.flip(1)), torch.zeros(1, 3, SIDE, SIDE)])
            seen = self._image_encoder(pictures, output_hidden_states=True).hidden_states[-2]
            image_embeds, uncond_image_embeds = seen[:-1], seen[-1]
        with self.loader.load("identity") as (loaded,):
            net = loaded.net.to(self.device)
            patches = tuple(
                replace(patch, down=patch.down.to(self.device), up=patch.up.to(self.device)) for patch in loaded.lora
            )
            embeddings = identity.embeddings.to(self.device)
            branches = identity_branches(net, embeddings, image_embeds, uncond_image_embeds, scale)
        return FixedBranches(branches, patches=patches)


def _sampled(config: ModelConfig, spec: StackSpec, fast: bool) -> SamplingConfig:
    """Return how the parts of a stack are sampled: those for few steps have guidance folded in."""
    few = spec.few_steps
    if few is not None:
        return replace(config.sampling, sampler=few.sampler, steps=few.steps, cfg=1.0)
    return replace(config.sampling, **FAST[config.name]) if fast else config.sampling


def _is_small(device: torch.device) -> bool:
    if device.type == "cpu":
        return False
    module = torch.get_device_module(device)
    return hasattr(module, "mem_get_info") and module.mem_get_info()[1] < PLENTY_BYTES
