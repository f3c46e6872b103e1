"""The stack of the tiny model and its like: networks of our own, trained together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..types import Frames, Identity, SpeechFeatures, StructureMaps
from .base import Condition
from .conditions import (
    AudioCondition,
    IdentityCondition,
    ReferenceCondition,
    StructureCondition,
    TemporalCondition,
    WarpedLatents,
    WarpedPictures,
)
from .options import Scales
from .prompts import PromptEmbeds, PromptTrack

if TYPE_CHECKING:
    from diffusers.models.autoencoders.autoencoder_tiny import AutoencoderTiny

N = TypeVar("N", bound=nn.Module)

DECODED_AT_ONCE = 8
"""Pictures."""

ENCODED_AT_ONCE = 16
"""Pictures that are encoded before sampling begins: only their latents, a twenty-fourth, grow with the video."""


@dataclass(frozen=True)
class ResidentCodec:
    """A small VAE that stays on its device."""

    vae: AutoencoderTiny
    """The network."""

    device: torch.device
    """Where it is."""

    runs_while_sampling: bool = True
    """See `Codec`."""

    @torch.no_grad()
    def composite(
        self, frames: Iterable[Frames], identity: Identity, maps: StructureMaps, size: int | None = None
    ) -> Iterator[Frames]:
        """Take what the photograph shows from it; see `Stack.composite`."""
        return self.warp.composite(frames, identity, maps, size)

    def encode_prompts(self, prompts: PromptTrack, negative: str = "") -> PromptEmbeds:
        """Run the text encoder; see `Stack.encode_prompts`."""
        return PromptEmbeds(self.text.encode(prompts.prompts), self.text.encode([negative]), prompts)

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
        latents = self.encode(identity.crops) if scales.reference or maps is not None else None
        if scales.reference and latents is not None:
            made.append(ReferenceCondition(self.adapters, latents, self.text.encode([""]), scales.reference))
        if maps is not None and latents is not None:
            moved, size = partial(self.warp.warped, identity), self.config.contour_size
            warped = self._warped_latents(moved, maps)
            made.append(TemporalCondition(self.adapters))
            made.append(StructureCondition(self.adapters, maps, latents[:1], moved, warped, size))
            if scales.audio:
                made.append(AudioCondition(self.adapters, features, scales.audio))
        return made

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
