"""The SD1.5 stacks: networks that others trained and published, put together.

What each stage does, and after whom, is said in docs/sd15.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from .. import builders
from ..hosts.diffusers_host import DiffusersHost
from ..motion.mesh_motion import MeshMaps
from ..nets.reference_net import ReferenceFeatures, ReferenceNet
from ..perception.clip_input import SIDE, clip_pixels
from ..perception.mesh_identity import MeshIdentity
from ..types import SpeechFeatures
from .base import Condition
from .loader import NetworkLoader
from .mesh_conditions import (
    DrawnFaceCondition,
    FixedBranches,
    RecordedReference,
    TextBesideCondition,
    identity_branches,
)
from .options import Scales
from .prompts import PromptEmbeds, PromptTrack

BESIDE_ANIPORTRAIT = 0.5
"""Strength of text and identity beside AniPortrait's networks. Our choice: nobody has trained them together."""

WINDOWS_KEPT = 4
"""Windows whose drawings are kept for the next step; a longer video's are drawn anew, which is cheap."""

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

    waveform: Float[Tensor, "samples"]
    """Mono at 16 kHz."""


@dataclass(frozen=True)
class LoadedCodec:
    """SD1.5's VAE, read when it is asked for. Its decoder is what needs most memory a pixel: one picture at a time."""

    loader: NetworkLoader
    """Reads it."""

    runs_while_sampling: bool = False
    """See `Codec`."""

    @torch.no_grad()
    @torch.no_grad()
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


def _is_small(device: torch.device) -> bool:
    if device.type == "cpu":
        return False
    module = torch.get_device_module(device)
    return hasattr(module, "mem_get_info") and module.mem_get_info()[1] < PLENTY_BYTES
