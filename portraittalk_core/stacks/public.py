"""The system made of public files: perception, motion, structure, denoising and decoding with networks of others.

The steps and their order are those of `PortraitTalk`; what each does is said in docs/sd15.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .. import builders
from ..checkpoints.face_landmarker import read_canonical_face
from ..checkpoints.native import ASSETS, load_motion
from ..config import ModelConfig
from ..diffusion.guidance import GuidanceScales
from ..diffusion.latent_fusion import sample_video
from ..diffusion.wrapped_windows import sample_wrapped
from ..errors import BadInput
from ..host import Branch
from ..hosts.diffusers_host import DiffusersHost
from ..hosts.diffusers_patches import PatchAttachment
from ..hosts.sd15_models import VAE_SCALE
from ..media.audio import speech_waveform
from ..motion.audio_to_motion import MotionDials
from ..motion.mesh_motion import MeshMaps, MeshMotion, mesh_maps, prior_to_pose
from ..nets.audio_to_mesh import VERTICES, encode_at_rate, frame_count
from ..nets.audio_to_pose import STYLES, move_head
from ..nets.low_rank import LowRankPatch
from ..nets.reference_net import ReferenceFeatures, ReferenceNet
from ..perception.clip_input import SIDE, clip_pixels
from ..perception.face import FaceAnalyser
from ..perception.face_mesh import PHOTOGRAPH_HINT, FaceMesher
from ..perception.mesh_identity import MeshIdentity, identify_mesh
from ..perception.speech import loudness_track, resample_rows
from ..pipeline import JOINT_UP_TO_S, Fusion, OnStep, PortraitTalk
from ..presets import PRESETS
from ..types import POSE, Frames, LatentVideo, Sound, SpeechFeatures
from .conditions import Conditions
from .loader import Shelf
from .mesh_conditions import (
    DrawnFaceCondition,
    FixedBranches,
    PublicDenoiser,
    TextBesideCondition,
    identity_branches,
    reference_branches,
)
from .prompts import PromptTrack
from .spec import Mix, find_mix

BESIDE = 0.5
"""Strength of text and identity beside AniPortrait's networks. Our choice: nobody has trained them together."""

WINDOWS_KEPT = 4
"""Windows whose drawings are kept for the next step; a longer video's are drawn anew, which is cheap."""

MESH_FPS = 30.0
"""Frames a second at which AniPortrait's speech networks were trained; other rates are read off between the rows."""

PLENTY_BYTES = 12e9
"""Accelerator memory above which guidance's passes run at once."""

_POSITIONS = {"v1": 24, "AnimateLCM": 64}


@dataclass(frozen=True)
class SpokenFeatures(SpeechFeatures):
    """Speech as a stack of public files hears it. hidden: states of audio2mesh's encoder; waveform: mono at 16 kHz."""

    waveform: Float[Tensor, "samples"]


@dataclass(frozen=True)
class _Told:
    """What is known before the first step, on the CPU or, where it belongs to branches, on the device."""

    tokens: Tensor
    unprompted: Tensor
    look: Tensor | None
    branches: list[Branch]
    patches: Sequence[Any]


class PublicPortraitTalk(PortraitTalk):
    """A model made of public files. Networks are read when their stage begins and let go when it is over."""

    def __init__(
        self,
        config: ModelConfig,
        mix: Mix,
        device: torch.device | str,
        *,
        low_memory: bool | None = None,
        shelf: type[Shelf] = Shelf,
    ) -> None:
        self.config, self.mix, self.device = config, mix, torch.device(device)
        dtype = torch.float32 if self.device.type == "cpu" else torch.float16
        self.shelf = shelf(mix, self.device, dtype)
        self.passes_at_once = not (_is_small(self.device) if low_memory is None else low_memory)

    @classmethod
    def load_public(
        cls,
        name: str,
        device: torch.device | str = "cpu",
        *,
        parts: Mapping[str, str] | None = None,
        size: int | None = None,
        comfyui: Path | None = None,
        low_memory: bool | None = None,
        shelf: type[Shelf] = Shelf,
        hosted: bool = False,
    ) -> PublicPortraitTalk:
        """Find the files of a stack, check them, and return the model; reads no weights yet.

        parts, comfyui, hosted: see `checkpoints.mixes.find_mix`; size: side of a frame in pixels, a multiple of 64;
        low_memory: run guidance's passes one after the other (by default on accelerators below 12 GB); shelf: what
        lends the networks. Raises as `find_mix` does.
        """
        mix = find_mix(name, parts, comfyui, hosted=hosted)
        side = PRESETS[name]().size if size is None else size
        if side < 64 or side % 64:
            raise BadInput(f"`size` must be a multiple of 64 pixels, but got {side}. Try 512.")
        version = mix.kinds["temporal"].version if "temporal" in mix.kinds else ""
        config = replace(PRESETS[name](), size=side, schedule=mix.schedule, temporal_frames=_POSITIONS.get(version, 32))
        made = cls(config, mix, device, low_memory=low_memory, shelf=shelf)
        made.shelf.check()
        return made

    def identify(self, images: Sequence[Float[Tensor, "3 h w"]], face: int | None = None) -> Any:
        """Find the person in the pictures; a `MeshIdentity`. Raises `NoFaceFound`."""
        files = self.mix.files
        mesher = FaceMesher(files["landmarks"])
        analyser = FaceAnalyser(files["faces"], threshold=0.5, hint=PHOTOGRAPH_HINT) if "faces" in files else None
        try:
            return identify_mesh(images, mesher, analyser, face=face, size=self.config.size)
        finally:
            mesher.close()

    @torch.no_grad()
    def listen(self, speech: Sound, fps: float = 25.0) -> SpokenFeatures:
        """Encode a recording, whole, at 30 frames a second and read it off at `fps`."""
        waveform, frames = speech_waveform(speech), speech.frame_count(fps)
        if not torch.isfinite(waveform).all() or len(waveform) < 400:
            raise BadInput("`speech` must be finite and last at least 0.025 s. Repair the recording.")
        with self.shelf.lend("mesh") as (net,):
            rows = frame_count(len(waveform), MESH_FPS)
            hidden = encode_at_rate(net.audio_encoder, waveform[None].to(self.device), rows)[0].cpu()
        hidden = resample_rows(hidden, MESH_FPS, fps, frames)
        return SpokenFeatures(hidden, loudness_track(waveform, fps, frames), fps, waveform)

    @torch.no_grad()
    def move(
        self,
        features: SpeechFeatures,
        *,
        dials: MotionDials | None = None,
        seed: int = 0,
        prompts: PromptTrack | None = None,
    ) -> Any:
        """Return how face and head move with the speech; a `MeshMotion`.

        Prompts do not change it: CLIP says nothing of expressions in centimetres.
        """
        dials = dials or MotionDials()
        if dials.blink != 1 or dials.expression != 1:
            raise BadInput(
                "`blink` and `expression` must be 1 with models of public files, whose motion is one mesh, but got "
                f"{dials.blink:g} and {dials.expression:g}. `lip` scales the whole face's motion."
            )
        with self.shelf.lend("mesh") as (net,):  # both layers are linear, so that rows may be read off before them
            offsets = net.out_fn(net.in_fn(features.hidden.to(self.device))).cpu().unflatten(-1, (VERTICES, 3))
        strength = 0.0 if dials.still_head else dials.head
        return MeshMotion(offsets * dials.lip, self._head(features, seed) * strength, features.fps)

    def _head(self, features: SpeechFeatures, seed: int) -> Float[Tensor, "frames 6"]:
        frames = len(features.hidden)
        if "head" in self.mix.files and isinstance(features, SpokenFeatures):
            with self.shelf.lend("head") as (net,):
                moved = move_head(net, features.waveform.to(self.device), seed % STYLES).cpu()
            return resample_rows(moved, MESH_FPS, features.fps, frames)
        _, prior = load_motion(ASSETS / "tiny" / "motion.safetensors")
        free = prior.generate(features.loudness, features.fps, torch.Generator().manual_seed(seed))
        zero = torch.zeros_like(features.loudness)
        return prior_to_pose(torch.stack([free.get(name, zero) for name in POSE], 1))

    def structure(self, motion: Any, identity: Any) -> Any:
        """Move the points of the first reference's face; `MeshMaps`."""
        if not isinstance(motion, MeshMotion):
            raise BadInput(
                f"`motion` must be a MeshMotion with this model, but is {type(motion).__name__}. See `move`."
            )
        return mesh_maps(motion, identity.landmarks[0], read_canonical_face(self.mix.files["landmarks"]))

    def animate(
        self,
        identity: Any,
        structure: Any,
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
        """Yield the latents of the video in order. Arguments as in `generate`; cfg guides text and identity together.
        reference_scale acts in AniPortrait's stack, by default as identity_scale does up to 1.

        fusion: `wrapped` is AniPortrait's own way, see `diffusion.wrapped_windows`.
        """
        if audio_scale is not None:
            raise BadInput(
                "`audio_scale` must be left out: no public file tells this denoiser of sound, it sees the moved face."
            )
        if reference_scale is not None and not self.mix.is_aniportrait:
            raise BadInput(
                "`reference_scale` must be left out: this stack has no ReferenceNet. Use sd15-magictalk, or "
                "`identity_scale`."
            )
        usual, count = self.config.sampling, len(structure.landmarks)
        window = usual.window if window is None else window
        overlap = min(usual.overlap, window // 2) if overlap is None else overlap
        self.check_window(window)
        chosen = fusion or ("joint" if count / structure.fps <= JOINT_UP_TO_S else "streaming")
        scale = usual.text_scale if cfg is None else cfg
        options: dict[str, Any] = {
            "generator": torch.Generator().manual_seed(seed),
            "steps": usual.steps if steps is None else steps,
            "window": window,
            "overlap": overlap,
            "scales": GuidanceScales(text=scale, identity=scale, end=usual.guidance_end),
            "shared_noise": usual.shared_noise,
            "on_step": on_step,
            "device": self.device,
        }
        strength = usual.identity_scale if identity_scale is None else identity_scale
        shown = min(1.0, strength) if reference_scale is None else reference_scale
        told = self._tell(identity, prompts, negative, strength, shown)
        return self._denoise(told, structure, prompts, chosen, options)

    def check_window(self, window: int) -> None:
        """Raise `BadInput` for more frames than the motion module was trained on at once."""
        if "temporal" in self.mix.files and window > self.config.temporal_frames:
            raise BadInput(
                f"`window` must be at most {self.config.temporal_frames} frames with this motion module, but got "
                f"{window}. Try {self.config.sampling.window}."
            )

    def _denoise(
        self, told: _Told, maps: MeshMaps, prompts: PromptTrack, fusion: str, options: dict[str, Any]
    ) -> Iterator[LatentVideo]:
        """Hold the denoising networks while latents are made, and not while the last of them are decoded."""
        count, schedule = len(maps.landmarks), builders.noise_schedule(self.config)
        with ExitStack() as stack:
            denoiser = self._denoiser(stack, told, maps, prompts, keep=WINDOWS_KEPT)
            if fusion == "wrapped":
                chunks = sample_wrapped(denoiser.predict, count, self._latent_shape(), schedule, **options)
            else:
                fused: Any = fusion
                chunks = sample_video(denoiser.predict, count, self._latent_shape(), schedule, fusion=fused, **options)
            if fusion == "streaming":
                yield from (LatentVideo(latents.clone(), maps.fps) for _, latents in chunks)
                return
            made = [LatentVideo(latents.clone(), maps.fps) for _, latents in chunks]
            del denoiser, chunks
        yield from made

    def _denoiser(
        self, stack: ExitStack, told: _Told, maps: MeshMaps, prompts: PromptTrack, keep: int
    ) -> PublicDenoiser:
        names = ["unet", "structure"] + [n for n in ("temporal",) if n in self.mix.files]
        names += ["text_beside"] if told.look is not None else []
        nets = dict(zip(names, stack.enter_context(self.shelf.lend(*names)), strict=True))
        stack.enter_context(PatchAttachment(nets["unet"], told.patches))
        size = (self.config.size, self.config.size)
        conditions: list[Any] = [FixedBranches(told.branches), DrawnFaceCondition(nets["structure"], maps, size)]
        if "temporal" in nets:
            conditions.append(FixedBranches(nets["temporal"].branches()))
        tokens, without = (t.to(self.device) for t in (told.tokens, told.unprompted))
        shown: PromptTrack | None = prompts
        if told.look is not None:
            conditions.append(TextBesideCondition(nets["text_beside"], tokens, without, prompts, BESIDE))
            tokens = told.look.to(self.device)
            without, shown = torch.zeros_like(tokens), None
        host = DiffusersHost(nets["unet"])
        together = Conditions(conditions, keep)
        return PublicDenoiser(host, together, tokens, without, shown, passes_at_once=self.passes_at_once)

    @torch.no_grad()
    def _tell(self, identity: MeshIdentity, prompts: PromptTrack, negative: str, scale: float, shown: float) -> _Told:
        """Run everything that looks at prompts and pictures, one network after the other."""
        text = self.shelf.text()
        tokens, unprompted = text.encode(prompts.prompts).cpu(), text.encode([negative]).cpu()
        del text
        self.shelf.clear()
        look, branches = None, []
        if self.mix.is_aniportrait:
            look = self.look(identity)
            branches += reference_branches(self.record(self.encode(identity.crops[:1]), look), shown)
        made, patches = self.recognise(identity, scale)
        return _Told(tokens, unprompted, look, [*branches, *made], patches)

    @torch.no_grad()
    def look(self, identity: MeshIdentity) -> Float[Tensor, "1 1 768"]:
        """Return what CLIP makes of the first picture: what AniPortrait's U-Net is told where SD1.5's is told text."""
        return self._look(clip_pixels(identity.crops[:1])).image_embeds[None].cpu()

    def _look(self, pictures: Float[Tensor, "n 3 224 224"], **options: Any) -> Any:
        """Return what CLIP makes of pictures; a method, so that the network is gone when the next one is read."""
        with self.shelf.lend("look") as (net,):
            return net(pictures.to(self.device, self.shelf.dtype), **options)

    @torch.no_grad()
    def record(self, latents: Float[Tensor, "1 c h w"], look: Float[Tensor, "1 1 768"]) -> ReferenceFeatures:
        """Return how a picture looks to AniPortrait's reference network; see `ReferenceNet.record`."""
        with self.shelf.lend("reference") as (unet,):
            return ReferenceNet(sites=unet_sites(self.config)).record(
                DiffusersHost(unet), latents.to(self.device, unet.dtype), look.to(self.device, unet.dtype)
            )

    @torch.no_grad()
    def recognise(self, identity: MeshIdentity, scale: float) -> tuple[list[Branch], Sequence[LowRankPatch]]:
        """Return the branches of the stack's identity file and its LoRA, which is not scaled; beside AniPortrait the
        former are `BESIDE` strong. Nothing where there is no such file, or at scale 0.
        """
        if "identity" not in self.mix.files or not scale:
            return [], ()
        scale *= BESIDE if self.mix.is_aniportrait else 1.0
        assert identity.embeddings is not None and identity.faces is not None  # `check_mix` has asked for insightface
        looks = no_look = None
        if self.mix.plus is not None:
            # Blue first: so the model card of FaceID-Plus hands its close-ups, cut by OpenCV, to CLIP.
            pictures = torch.cat([clip_pixels(identity.faces.flip(1)), torch.zeros(1, 3, SIDE, SIDE)])
            seen = self._look(pictures, output_hidden_states=True).hidden_states[-2]
            looks, no_look = seen[:-1], seen[-1]
        with self.shelf.lend("identity") as (loaded,):
            net = loaded.net.to(self.device)
            patches = tuple(
                replace(patch, down=patch.down.to(self.device), up=patch.up.to(self.device)) for patch in loaded.lora
            )
            embeddings = identity.embeddings.to(self.device)
            return identity_branches(net, embeddings, looks, no_look, scale), patches

    def decode(self, video: LatentVideo) -> Iterator[Frames]:
        """Yield the pictures of a video one by one, on the CPU: the VAE's decoder is what needs most room a pixel."""
        with self.shelf.lend("vae") as (vae,):
            for latents in video.latents:
                with torch.inference_mode():
                    scaled = latents[None].to(self.device, vae.dtype) / VAE_SCALE
                    pixels = vae.decode(scaled).sample.float().clamp(-1, 1).cpu()
                yield Frames(pixels.clone(), video.fps)

    @torch.no_grad()
    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures: the mean of what the encoder says, scaled."""
        with self.shelf.lend("vae") as (vae,):
            rows = [vae.encode(row[None].to(self.device, vae.dtype)).latent_dist.mean for row in pixels]
        return torch.cat(rows).float() * VAE_SCALE


def unet_sites(config: ModelConfig) -> list[Any]:
    """Return where AniPortrait's reference network is recorded: every self-attention."""
    return builders.unet_shape(config).attention_sites()


def _is_small(device: torch.device) -> bool:
    if device.type == "cpu":
        return False
    module = torch.get_device_module(device)
    return hasattr(module, "mem_get_info") and module.mem_get_info()[1] < PLENTY_BYTES
