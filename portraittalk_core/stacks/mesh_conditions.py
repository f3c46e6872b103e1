"""What the denoiser of a stack of public files is told: conditions made of networks that others trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..host import Branch, Call, Host, Pass
from ..hosts.diffusers_control import control_branches
from ..hosts.diffusers_host import DiffusersHost
from ..motion.mesh_motion import MeshMaps
from ..nets.attention import KeyValues
from ..nets.face_perceiver import PlusIdentityNet
from ..nets.identity_net import IdentityNet
from ..nets.pose_guider import PoseGuider
from ..nets.reference_net import ReferenceFeatures, ReferenceNet
from ..perception.face_drawing import draw_for_aniportrait, draw_for_controlnet
from .conditions import Condition
from .prompts import PromptTrack

if TYPE_CHECKING:
    from diffusers.models.controlnets.controlnet import ControlNetModel


class FixedBranches:
    """Branches that are the same for every frame and every step, made beforehand."""

    def __init__(self, branches: Sequence[Branch]) -> None:
        self._branches = list(branches)

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return them."""
        return list(self._branches)

    def forget(self) -> None:
        """Keep them: what made them is not at hand any more."""


def identity_branches(
    net: IdentityNet | PlusIdentityNet,
    embeddings: Float[Tensor, "references 512"],
    image_embeds: Float[Tensor, "references patches clip"] | None,
    uncond_image_embeds: Float[Tensor, "patches clip"] | None,
    scale: float,
) -> list[Branch]:
    """Return the branches of a FaceID file. The embeds: for FaceID-Plus, see `PlusIdentityNet.branches`."""
    weights = next(net.parameters())
    rows = embeddings.to(weights)
    if isinstance(net, PlusIdentityNet):
        assert image_embeds is not None and uncond_image_embeds is not None  # `check_mix` has seen to it
        seen, unseen = image_embeds[None].to(weights), uncond_image_embeds.to(weights)
        return list(net.branches(rows[None], seen, unseen, scale))
    return list(net.branches(rows, scale))


def reference_branches(features: ReferenceFeatures, strength: float = 1.0) -> list[Branch]:
    """Return the branches that lend recorded features to the denoiser."""
    net = ReferenceNet(sites=list(features.tokens))
    return list(net.branches(features, scale=strength))


class DrawnFaceCondition:
    """Where the face is: drawings of its points, through a ControlNet or AniPortrait's pose guider.

    size: height and width of the video in pixels; scale: multiplies what is added.
    """

    def __init__(
        self, net: ControlNetModel | PoseGuider, maps: MeshMaps, size: tuple[int, int], scale: float = 1.0
    ) -> None:
        self._net, self._maps, self._size, self._scale = net, maps, size, scale

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Draw the frames. The pose guider looks at them now, a ControlNet at every step."""
        drawings = self.drawings(frames).to(device)
        if isinstance(self._net, PoseGuider):
            return list(self._net.branches(self._net(drawings.to(next(self._net.parameters()).dtype)), self._scale))
        return control_branches(self._net, drawings, self._scale)

    def drawings(self, frames: Int[Tensor, "n"]) -> Float[Tensor, "n 3 h w"]:
        """Return the drawings of some frames as the network knows them, in [0, 1]."""
        return draw_faces(self._maps.landmarks[frames], self._size, isinstance(self._net, PoseGuider))

    def forget(self) -> None:
        """Keep nothing: drawings are made for each window."""


def draw_faces(
    landmarks: Float[Tensor, "n 478 2"], size: tuple[int, int], for_aniportrait: bool
) -> Float[Tensor, "n 3 h w"]:
    """Return a drawing of each face in [0, 1], as the pose guider or else the ControlNet knows it; size: h and w."""
    if for_aniportrait:
        return torch.stack([draw_for_aniportrait(face, *size) for face in landmarks])
    return torch.stack([draw_for_controlnet([face], *size) for face in landmarks])


class TextBesideCondition:
    """Text for a U-Net whose cross-attention is told a look: the base's own keys and values, in a branch beside it.

    Our definition: AniPortrait's U-Net began as SD1.5's and still asks in much the same words, so that the keys and
    values which SD1.5 learned for text are lent to it, `scale` strong. net: those; tokens, unprompted: of the prompts
    and of the negative prompt; prompts: how the prompts follow one another, None where `tokens` has a row a frame of
    the video, or one for all.
    """

    def __init__(
        self,
        net: KeyValues,
        tokens: Float[Tensor, "prompts t d"],
        unprompted: Float[Tensor, "1 t d"],
        prompts: PromptTrack | None,
        scale: float,
    ) -> None:
        self._net, self._tokens, self._unprompted, self._scale = net, tokens, unprompted, scale
        self._prompts = prompts

    def branches(self, host: Host, frames: Int[Tensor, "n"], known: bool, device: torch.device) -> list[Branch]:
        """Return the branches of some frames."""
        if self._scale == 0:
            return []
        weights = next(self._net.parameters())
        shown = self._shown(frames).to(weights)
        return list(self._net.branches(shown, self._unprompted.to(weights), "text", self._scale))

    def _shown(self, frames: Tensor) -> Tensor:
        if self._prompts is not None:
            return self._prompts.mix(self._tokens, frames)
        return self._tokens if len(self._tokens) == 1 else self._tokens[frames]

    def forget(self) -> None:
        """Keep nothing: tokens are projected for each window."""


class PublicDenoiser:
    """Runs a stack's U-Net on windows of one video.

    prompts: which of `tokens` each frame shows; passes without text see `without`. None: the tokens are the look of the
    reference, the same in every frame, which passes without identity do not see. passes_at_once: False runs guidance's
    passes one after the other, which takes half of the memory. Weights may have any precision; latents stay in single
    precision between steps.
    """

    def __init__(
        self,
        host: DiffusersHost,
        conditions: Condition,
        tokens: Float[Tensor, "prompts t d"],
        without: Float[Tensor, "1 t d"],
        prompts: PromptTrack | None,
        *,
        passes_at_once: bool = True,
    ) -> None:
        self._host, self._conditions = host, conditions
        self._tokens, self._without, self._prompts = tokens, without, prompts
        self._at_once = passes_at_once

    @torch.no_grad()
    def predict(
        self,
        latents: Float[Tensor, "n c h w"],
        timestep: Int[Tensor, ""],
        frames: Int[Tensor, "n"],
        passes: tuple[Pass, ...],
    ) -> Float[Tensor, "rows c h w"]:
        """Run the U-Net on a window for each pass; see `latent_fusion.Predict`."""
        known = all(p.identity for p in passes)
        groups = [passes] if self._at_once else [(p,) for p in passes]
        with self._host.attach(self._conditions.branches(self._host, frames, known, latents.device)):
            return torch.cat([self._run(latents, timestep, frames, group) for group in groups])

    def _run(self, latents: Tensor, timestep: Tensor, frames: Tensor, passes: tuple[Pass, ...]) -> Tensor:
        weights = self._host.unet.dtype
        text = torch.cat([self._shown(p, frames) for p in passes]).to(weights)
        rows = latents.to(weights).repeat(len(passes), 1, 1, 1)
        call = Call(frames=torch.arange(len(frames)), passes=passes, clip=len(frames))
        return self._host.denoise(rows, timestep, text, call).to(latents.dtype)

    def _shown(self, seen: Pass, frames: Tensor) -> Tensor:
        if not (seen.text if self._prompts is not None else seen.identity):
            return self._without.expand(len(frames), -1, -1)
        if self._prompts is None:
            return self._tokens.expand(len(frames), -1, -1)
        return self._prompts.mix(self._tokens, frames)
