"""Conditions of the SD1.5 stacks, made of networks that others trained: a drawn face mesh, text beside an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from ..checkpoints.native import ASSETS, load_structure
from ..host import Branch, Host
from ..hosts.diffusers_control import control_branches
from ..motion.mesh_motion import MeshMaps, MeshMotion, mesh_motion
from ..motion.structure import clamp_coefficients, kept_expression
from ..nets.attention import KeyValues
from ..nets.face_perceiver import PlusIdentityNet
from ..nets.identity_net import IdentityNet
from ..nets.low_rank import LowRankPatch
from ..nets.pose_guider import PoseGuider
from ..nets.reference_net import ReferenceFeatures, ReferenceNet
from ..perception.face_drawing import draw_for_aniportrait, draw_for_controlnet
from ..perception.metric_mesh import CanonicalFace
from ..types import FaceMotion
from .base import Condition
from .prompts import PromptEmbeds

if TYPE_CHECKING:
    from diffusers.models.controlnets.controlnet import ControlNetModel


KEPT_BYTES = 1 << 30
"""Of drawings that are kept: 54 s of 512 x 512 at 25 frames a second. Others are drawn anew."""


class FixedBranches(Condition):
    """Branches that are the same for every frame and every step, made beforehand."""

    def __init__(
        self,
        branches: Sequence[Branch],
        networks: Sequence[nn.Module] = (),
        patches: Sequence[LowRankPatch] = (),
    ) -> None:
        """Keep branches.

        Args:
            branches: Them.
            networks: What they run while the U-Net samples; none where they hold results.
            patches: Low-rank corrections of the U-Net that go with them.
        """
        self._branches, self.networks, self.patches = list(branches), networks, patches

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return them."""
        return list(self._branches)


class RecordedReference(Condition):
    """How the reference pictures look to a ReferenceNet, recorded beforehand."""

    def __init__(self, features: ReferenceFeatures, scale: float = 1.0) -> None:
        """Keep features.

        Args:
            features: Of `ReferenceNet.record`, on any device.
            scale: See `ReferenceNet.branches`.
        """
        self._features, self._scale = features, scale
        self._made: list[Branch] | None = None

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the same branches for all frames; features lie where the denoiser runs while it runs."""
        if self._made is None:
            moved = ReferenceFeatures({site: tokens.to(device) for site, tokens in self._features.tokens.items()})
            self._made = list(ReferenceNet(sites=list(moved.tokens)).branches(moved, scale=self._scale))
        return self._made

    def reset(self) -> None:
        """Give the device's memory back."""
        self._made = None


def identity_branches(
    net: IdentityNet | PlusIdentityNet,
    embeddings: Float[Tensor, "references 512"],
    image_embeds: Float[Tensor, "references patches clip"] | None,
    uncond_image_embeds: Float[Tensor, "patches clip"] | None,
    scale: float,
) -> list[Branch]:
    """Return the branches of an IP-Adapter FaceID file.

    Args:
        net: The file's network.
        embeddings: Of insightface, unit length, one a reference picture.
        image_embeds: For FaceID-Plus: what CLIP makes of the aligned faces; see `PlusIdentityNet.branches`.
        uncond_image_embeds: For FaceID-Plus: what CLIP makes of nothing.
        scale: lambda_id.

    Returns:
        A CROSS branch for every site.
    """
    weights = next(net.parameters())
    rows = embeddings.to(weights)
    if isinstance(net, PlusIdentityNet):
        assert image_embeds is not None and uncond_image_embeds is not None  # `check_spec` has seen to it
        return list(net.branches(rows[None], image_embeds[None].to(weights), uncond_image_embeds.to(weights), scale))
    return list(net.branches(rows, scale))


class DrawnFaceCondition(Condition):
    """Where the face is: drawings of its points, through a ControlNet or AniPortrait's pose guider."""

    def __init__(
        self, net: ControlNetModel | PoseGuider, maps: MeshMaps, size: tuple[int, int], scale: float = 1.0
    ) -> None:
        """Bind a motion to a structure network.

        Args:
            net: The network.
            maps: The moving points.
            size: Height and width of the video in pixels.
            scale: Multiplies what is added.
        """
        self._net, self._maps, self._size, self._scale = net, maps, size, scale
        self._drawn: dict[int, Tensor] = {}
        self.networks = (net,)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Draw the frames. The pose guider looks at them now, a ControlNet at every step."""
        drawings = self._bytes(frames).to(device).float() / 255
        if isinstance(self._net, PoseGuider):
            return list(self._net.branches(self._net(drawings.to(next(self._net.parameters()).dtype)), self._scale))
        return control_branches(self._net, drawings, self._scale)

    def drawings(self, frames: Int[Tensor, "n"]) -> Float[Tensor, "n 3 h w"]:
        """Return the drawings of some frames as the network knows them, in [0, 1]."""
        return self._bytes(frames).float() / 255

    def _bytes(self, frames: Int[Tensor, "n"]) -> UInt8[Tensor, "n 3 h w"]:
        """Return the drawings as they are drawn. They are kept: windows come again at every step, and overlap."""
        numbers = frames.tolist()
        most = KEPT_BYTES // (3 * self._size[0] * self._size[1])
        new = [n for n in numbers if n not in self._drawn]
        made: dict[int, Tensor] = {}
        if new:
            for_aniportrait = isinstance(self._net, PoseGuider)
            drawn = draw_faces(self._maps.landmarks[new], self._size, for_aniportrait).mul(255).round().to(torch.uint8)
            made = dict(zip(new, drawn, strict=True))
            self._drawn |= dict(list(made.items())[: max(0, most - len(self._drawn))])
        return torch.stack([made[n] if n in made else self._drawn[n] for n in numbers])


def draw_faces(
    landmarks: Float[Tensor, "n 478 2"], size: tuple[int, int], for_aniportrait: bool
) -> Float[Tensor, "n 3 h w"]:
    """Draw face meshes as a structure network was trained on them.

    Args:
        landmarks: x and y as shares of the picture.
        size: Height and width in pixels.
        for_aniportrait: As its pose guider knows them; else as ControlNetMediaPipeFace does.

    Returns:
        Pictures in [0, 1].
    """
    if for_aniportrait:
        return torch.stack([draw_for_aniportrait(face, *size) for face in landmarks])
    return torch.stack([draw_for_controlnet([face], *size) for face in landmarks])


@torch.no_grad()
def on_mesh(motion: FaceMotion, reference: Float[Tensor, "478 3"], canonical: CanonicalFace) -> MeshMotion:
    """Put a motion of ARKit's blendshapes on the mesh of a face; what it leaves open stays as the reference has it.

    Args:
        motion: How the face moves.
        reference: The face's points as shares of a square picture.
        canonical: The face that meshes are compared with.
    """
    fitter, shaper = load_structure(ASSETS / "tiny" / "structure.safetensors")
    has = clamp_coefficients(fitter(reference[None, :, :2].float().cpu() * 2 - 1)[0])
    wanted = kept_expression(motion.coefficients.cpu(), has)
    return mesh_motion(replace(motion, coefficients=wanted), has, shaper.head, canonical)


class TextBesideCondition(Condition):
    """Text for a U-Net whose cross-attention reads an image embedding: the base's own keys and values, beside it.

    Our definition: AniPortrait's U-Net began as SD1.5's and still asks in much the same words, so that the keys and
    values which SD1.5 learned for text are lent to it.
    """

    def __init__(self, net: KeyValues, prompts: PromptEmbeds, scale: float) -> None:
        """Bind prompts.

        Args:
            net: The base's keys and values of text.
            prompts: What they project.
            scale: Multiplies what is added; 0 adds nothing.
        """
        self._net, self._prompts, self._scale = net, prompts, scale
        self.networks = (net,)

    def branches(self, host: Host, frames: Int[Tensor, "n"], uncond: bool, device: torch.device) -> list[Branch]:
        """Return the branches of some frames."""
        if self._scale == 0:
            return []
        weights = next(self._net.parameters())
        given, absent = self._prompts.at(frames).to(weights), self._prompts.negative_prompt_embeds.to(weights)
        return list(self._net.branches(given, absent, "text", self._scale))
