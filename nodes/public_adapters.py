"""PORTRAITTALK of the stacks of public files: their networks beside the host's SD1.5, known to the host."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import comfy.lora
import comfy.model_management
import comfy.model_patcher
import torch
from comfy.patcher_extension import CallbacksMP
from torch import Tensor, nn

from ..portraittalk_core import builders
from ..portraittalk_core.errors import BadInput, NoFaceFound
from ..portraittalk_core.host import Branch, Host
from ..portraittalk_core.motion.audio_to_motion import MotionDials
from ..portraittalk_core.motion.mesh_motion import MeshMotion
from ..portraittalk_core.nets.low_rank import LowRankPatch, comfy_names
from ..portraittalk_core.nets.reference_net import ReferenceFeatures
from ..portraittalk_core.perception.face import FaceAnalyser
from ..portraittalk_core.perception.face_drawing import CONTROLNET
from ..portraittalk_core.perception.face_mesh import PHOTOGRAPH_HINT
from ..portraittalk_core.perception.mesh_identity import MeshIdentity
from ..portraittalk_core.sites import UNetShape
from ..portraittalk_core.stacks.conditions import Conditions
from ..portraittalk_core.stacks.loader import LOADERS, Shelf
from ..portraittalk_core.stacks.mesh_conditions import (
    DrawnFaceCondition,
    FixedBranches,
    TextBesideCondition,
    draw_faces,
    reference_branches,
)
from ..portraittalk_core.stacks.public import BESIDE, WINDOWS_KEPT, PublicPortraitTalk, SpokenFeatures
from ..portraittalk_core.types import Sound
from . import convert
from .adapters import castable
from .comfy_host import attach
from .public_models import scheduled
from .sockets import Conditioning, Encoded, Model, Moving, Told

LOOK = "portraittalk_look"
"""In a CONDITIONING's further values: that its tokens are a look, no text."""

CORRECTED = "portraittalk_lora"
"""In `transformer_options`: the files whose low-rank corrections the MODEL has."""

_OVAL = list(CONTROLNET[0][1][0])
_UPPER_LIP, _LOWER_LIP = 13, 14


class HostShelf(Shelf):
    """Lends networks that the host moves and frees.

    What denoises is read once and stays (`kept`); what is asked once a graph is read when it is lent and let go.
    """

    def __init__(self, mix: Any, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(mix, device, dtype)
        self._kept: dict[str, comfy.model_patcher.ModelPatcher] = {}

    @contextmanager
    def lend(self, *names: str) -> Iterator[list[Any]]:
        """Lend networks by name, on the device and whole, until the block ends."""
        nets = [LOADERS[name](self.mix, self.dtype) for name in names]
        patchers = [_patcher(net if isinstance(net, nn.Module) else net.net) for net in nets]
        comfy.model_management.load_models_gpu(patchers, force_full_load=True)
        try:
            yield nets
        finally:
            nets.clear()
            patchers.clear()
            comfy.model_management.cleanup_models()
            comfy.model_management.soft_empty_cache()

    def kept(self, name: str, cast: bool = True) -> comfy.model_patcher.ModelPatcher:
        """Return a network for sampling, as the additional model of a MODEL; `patcher.model.net` is the network.

        cast: whether its layers fetch their weights when they run, so that the host may leave some where they are.
        """
        if name not in self._kept:
            net = LOADERS[name](self.mix, self.dtype)
            if cast:
                castable(net)
            self._kept[name] = _patcher(net)
        return self._kept[name]

    def patchers(self) -> list[comfy.model_patcher.ModelPatcher]:
        """Return those of the networks that are kept."""
        return list(self._kept.values())


class _Held(nn.Module):
    """Holds a network, for the host sets attributes (`device`) that some networks of others refuse."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


def _patcher(net: nn.Module) -> comfy.model_patcher.ModelPatcher:
    patcher = comfy.model_patcher.ModelPatcher(
        _Held(net).eval().requires_grad_(False),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    patcher.add_callback(CallbacksMP.ON_LOAD, _bring_rest)
    return patcher


def _bring_rest(patcher: comfy.model_patcher.ModelPatcher, device: Any, *_: Any) -> None:
    """Move what cannot fetch itself when it runs: the host leaves buffers and bare parameters where memory is short."""
    for module in patcher.model.modules():
        if device is None or hasattr(module, "comfy_cast_weights"):
            continue
        for own in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if own.device != torch.device(device):
                own.data = own.data.to(device)


class RecordedReference:
    """How the reference looked to AniPortrait's reference network; it lies where the denoiser runs while that runs."""

    def __init__(self, features: ReferenceFeatures, strength: float) -> None:
        store = comfy.model_management.intermediate_device()
        self._features = {site: tokens.to(store) for site, tokens in features.tokens.items()}
        self._strength = strength
        self._made: list[Branch] | None = None

    def branches(self, host: Host, frames: Tensor, known: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames."""
        if self._made is None:
            moved = ReferenceFeatures({site: tokens.to(device) for site, tokens in self._features.items()})
            self._made = reference_branches(moved, self._strength)
        return self._made

    def forget(self) -> None:
        """Give the device's memory back."""
        self._made = None


@dataclass(frozen=True)
class PublicAdapters:
    """See `sockets.PortraitAdapters`. name: that the user chose; talk: the core's model, whose shelf is `shelf`."""

    name: str
    talk: PublicPortraitTalk
    shelf: HostShelf

    @property
    def shape(self) -> UNetShape:
        """SD1.5's."""
        return builders.unet_shape(self.talk.config)

    def get_models(self) -> list[Model]:
        """Return what the host shall know of when it counts memory."""
        return self.shelf.patchers()

    def finder(self) -> FaceAnalyser:
        """Return insightface's networks, where the stack has them."""
        files = self.talk.mix.files
        if "faces" not in files:
            raise BadInput(
                f"{self.name} brings no networks that find faces in a finished video. Connect the adapters of "
                "sd15-portraittalk, or add faces=buffalo_l to the stack."
            )
        return FaceAnalyser(files["faces"], threshold=0.5, hint=PHOTOGRAPH_HINT)

    def identify(self, images: Sequence[Tensor], face: int, skip: bool) -> MeshIdentity:
        """Find the person."""
        if not skip:
            return self.talk.identify(images, face=face)
        found: list[MeshIdentity] = []
        for number, image in enumerate(images, 1):
            try:
                found.append(self.talk.identify([image], face=face))
            except NoFaceFound:
                if number == len(images) and not found:
                    raise
        rows = [[getattr(one, name) for one in found] for name in ("crops", "landmarks", "embeddings", "faces")]
        return MeshIdentity(*(None if parts[0] is None else torch.cat(parts) for parts in rows))

    def outlines(self, identity: MeshIdentity) -> Tensor:
        """Return the oval of the face."""
        return identity.landmarks[:, _OVAL, :2]

    def listen(self, sound: Sound, fps: float, encoded: Encoded | None = None) -> SpokenFeatures:
        """Encode a recording with the encoder that the motion network was trained with."""
        if encoded is not None:
            raise BadInput(
                f"`encoded` must be left out with {self.name}, whose motion network listens with an encoder of its "
                "own. Disconnect it."
            )
        return self.talk.listen(sound, fps)

    def move(
        self, speech: Any, identity: MeshIdentity, dials: dict[str, Any], seed: int, prompt: Conditioning | None
    ) -> MeshMotion:
        """Return how the mesh moves. Prompts do not change it."""
        return self.talk.move(speech, dials=MotionDials(**dials), seed=seed)

    def preview(self, motion: MeshMotion, identity: MeshIdentity, size: int) -> Tensor:
        """Return the drawings that the structure network will see."""
        maps = self.talk.structure(motion, identity)
        return draw_faces(maps.landmarks, (size, size), self.talk.mix.is_aniportrait).movedim(1, -1)

    def opening(self, motion: MeshMotion) -> Tensor:
        """Return by how many centimetres the inner lips part, beyond the reference's."""
        return motion.offsets[:, _UPPER_LIP, 1] - motion.offsets[:, _LOWER_LIP, 1]

    def tell_identity(
        self, told: Told, identity: MeshIdentity, scale: float, percent: tuple[float, float], hides: bool
    ) -> Told:
        """Attach the identity file, where there is one; AniPortrait's U-Net gets a look for text."""
        told = Told(scheduled(told.model, self.talk.config), told.positive, told.negative)
        if self.talk.mix.is_aniportrait:
            told = self._with_look(told, identity, hides)
        branches, patches = self.talk.recognise(identity, scale)
        if not branches:
            return told
        model = attach(told.model, FixedBranches(branches), self.shape, percent=percent, hides=hides)
        return Told(self._corrected(model, patches), told.positive, told.negative)

    def _with_look(self, told: Told, identity: MeshIdentity, hides: bool) -> Told:
        """Put CLIP's look of the first picture where the text was, and the text beside it, half strong."""
        if told.positive[0][1].get(LOOK):
            return told  # another node before this one has done so
        look = self.talk.look(identity)
        tokens, unprompted = convert.embeddings(told.positive), convert.embeddings(told.negative)[:1]
        keys = self.shelf.kept("text_beside", cast=False)
        beside = Conditions([TextBesideCondition(keys.model.net, tokens, unprompted, None, BESIDE)], WINDOWS_KEPT)
        frames = len(tokens) if len(tokens) > 1 else None
        model = attach(told.model, beside, self.shape, keys, frames=frames, hides=hides)
        without = torch.zeros_like(look) if hides else look
        positive, negative = (
            [[shown, {**extra, LOOK: True}] for _, extra in given]
            for shown, given in ((look, told.positive), (without, told.negative))
        )
        return Told(model, positive, negative)

    def _corrected(self, model: Model, patches: Sequence[LowRankPatch]) -> Model:
        """Give the file's LoRA to a MODEL of our own, once, as the host patches weights."""
        file, options = str(self.talk.mix.files["identity"]), model.model_options["transformer_options"]
        if not patches or file in options.get(CORRECTED, ()):
            return model
        options[CORRECTED] = (*options.get(CORRECTED, ()), file)
        state: dict[str, Tensor] = {}
        for name, patch in comfy_names(patches, self.shape).items():
            state |= {f"{name}.lora_up.weight": patch.up.cpu(), f"{name}.lora_down.weight": patch.down.cpu()}
        keys = {name: f"diffusion_model.{name}" for name in comfy_names(patches, self.shape)}
        model.add_patches(comfy.lora.load_lora(state, keys))
        return model

    def tell_reference(self, model: Model, identity: MeshIdentity, vae: Any, strength: float) -> Model:
        """Attach what AniPortrait's reference_unet sees in the first picture."""
        if strength == 0:
            return model
        if not self.talk.mix.is_aniportrait:
            raise BadInput(
                f"{self.name} has no ReferenceNet: IdentityNet Conditioning alone says who the person is. Leave "
                "ReferenceNet Apply out, or use sd15-magictalk."
            )
        latents = convert.latents(model, vae, identity.crops[:1])
        features = self.talk.record(latents, self.talk.look(identity))
        return attach(scheduled(model, self.talk.config), RecordedReference(features, strength), self.shape)

    def tell_motion(self, model: Model, moving: Moving, identity: MeshIdentity, vae: Any) -> Model:
        """Attach the motion module, and the structure network that follows the drawn mesh."""
        self.talk.check_window(moving.window)
        if moving.audio_scale != 1:
            raise BadInput(
                f"`audio_scale` must be 1 with {self.name}, but got {moving.audio_scale:g}: no public file tells this "
                "denoiser of sound, it sees the moved face. Set 1."
            )
        maps, size = self.talk.structure(moving.motion, identity), (self.talk.config.size,) * 2
        nets = {name: self.shelf.kept(name) for name in ("structure", "temporal") if name in self.talk.mix.files}
        conditions: list[Any] = [DrawnFaceCondition(nets["structure"].model.net, maps, size)]
        if "temporal" in nets:
            conditions.append(FixedBranches(nets["temporal"].model.net.branches()))
        together = Conditions(conditions, min(moving.keep, WINDOWS_KEPT))
        told = scheduled(model, self.talk.config)
        return attach(told, together, self.shape, *nets.values(), frames=moving.frames)

    def flicker(self) -> float:
        """Return what the configuration says."""
        return self.talk.config.sampling.flicker

    def empty(self, frames: int) -> dict[str, Any]:
        """Return a LATENT whose frames start from noise of their own, as AnimateDiff was trained."""
        config = self.talk.config
        side = config.size // config.vae_factor
        empty = {"samples": torch.zeros(frames, config.unet.latent_channels, side, side)}
        return {**empty, "batch_index": [0] * frames} if config.sampling.shared_noise else empty
