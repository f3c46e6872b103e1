"""The networks that run beside a U-Net, and what each of them attaches to it: the recipe, composed once."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..host import AfterBranch, Branch, CrossBranch, SelfBranch
from .animate_net import AnimateNet
from .attention import has_learned
from .identity_net import IdentityNet
from .reference_net import ReferenceFeatures, ReferenceNet
from .structure_encoder import structure_input


class Adapters(nn.Module):
    """IdentityNet, AnimateNet and ReferenceNet of one U-Net, and the branches that they attach to it.

    Generation and training call these methods and put nothing together on their own, so that a network is run as it
    was trained. Branches of one hook act in the order in which they are attached, which is part of the recipe:
    identity, reference, temporal, structure, audio.

    `state_dict()` holds `identity_net.*` and `animate_net.*`, as in the weights files.
    """

    def __init__(self, *, identity_net: IdentityNet, animate_net: AnimateNet, reference_net: ReferenceNet) -> None:
        """Join networks that belong to the same U-Net.

        Args:
            identity_net: Identity tokens beside the text.
            animate_net: Structure, occlusion, identity attention, temporal attention and audio.
            reference_net: Which self-attentions share the reference's features; it has no weights.
        """
        super().__init__()
        self.identity_net, self.animate_net = identity_net, animate_net
        self.reference_net = reference_net

    def identity_branches(
        self, embeddings: Float[Tensor, "*rows references embedding"], scale: float = 1.0
    ) -> list[Branch]:
        """Return IdentityNet's branches and those of AnimateNet's identity attention.

        Args:
            embeddings: Unit length, `[references, 512]` for all frames or `[rows, references, 512]`, one row a frame
                (in training: a sample). Passes without identity see the zero embedding.
            scale: lambda_id, 0 or more; at 0 there are no branches. Above 1 only IdentityNet's part grows: identity
                attention goes from the zero embedding's tokens (0) to the person's (1), and beyond those it has
                nothing to go to, so its scale is `min(1, scale)`.

        Returns:
            CROSS branches, then SELF branches.

        Raises:
            BadInput: When the embeddings have another shape, or the scale is negative.
        """
        attention = self.animate_net.identity.branches(embeddings, min(1.0, scale))
        return [*self.identity_net.branches(embeddings, scale), *attention]

    def reference_branches(
        self, features: ReferenceFeatures, rows: Int[Tensor, "n references"] | None = None, scale: float = 1.0
    ) -> list[SelfBranch]:
        """Return ReferenceNet's branches.

        Args:
            features: What `reference_net.record` found.
            rows: Which references each frame sees, -1 for none; None shows every frame all of them.
            scale: lambda_ref, from 0 (no branches) to 1.

        Raises:
            BadInput: When `scale` or `rows` are out of range.
        """
        return list(self.reference_net.branches(features, rows, scale))

    def structure_branches(
        self,
        *,
        contours: Float[Tensor, "n groups size size"],
        placement: Float[Tensor, "n 2 3"],
        cue: Float[Tensor, "n cue"],
        reference_latents: Float[Tensor, "#n c h w"],
        warped_pictures: Float[Tensor, "n 3 s s"],
        warped_latents: Float[Tensor, "n c h w"],
        present: Bool[Tensor, "n"] | None = None,
        uncond: bool = False,
    ) -> list[Branch]:
        """Return the branches of the structure encoder and of the occlusion map, one row a frame.

        Args:
            contours: The face's lines, in [0, 1]; see `motion.geometry.contours`.
            placement: Output coordinates to reference coordinates; see `motion.geometry.placement`.
            cue: Where the head is and how it is turned; see `motion.geometry.head_cue`.
            reference_latents: One row a frame, or one for all, as the denoiser sees latents.
            warped_pictures: The reference picture with its face moved to each frame's, in [-1, 1].
            warped_latents: Of those, as the denoiser sees latents.
            present: False for rows that are to know no reference (training drops it); None shows it to all.
            uncond: Whether a pass without identity will run. Then maps are made that know no reference, for the
                reference says who the person is; else those passes would see the same maps.

        Returns:
            INPUT branches, then the OUTPUT branch.

        Raises:
            BadInput: When contours or pictures are no multiple of the latents' side.
        """

        def maps(shown: Bool[Tensor, "#n"] | None) -> list[Tensor]:
            return self.animate_net.structure(
                structure_input(
                    contours, placement, cue, reference_latents, warped_pictures, warped_latents, present=shown
                )
            )

        given = maps(present)
        absent = maps(torch.zeros(1, dtype=torch.bool, device=contours.device)) if uncond else None
        seen = None if present is None else present.to(warped_latents)
        return [
            *self.animate_net.structure.branches(given, absent),
            *self.animate_net.occlusion.branches(warped_latents, reference_latents, seen),
        ]

    def audio_branches(self, features: Float[Tensor, "*clips frames feature"], scale: float = 1.0) -> list[CrossBranch]:
        """Return AudioNet's branches, or none before it has begun to learn.

        Args:
            features: Of the speech, one row a frame, or in training `[clips, frames, feature]`; zeros say that nothing
                is known of it. Passes without audio see zeros.
            scale: lambda_aud, 0 or more; at 0 there are no branches.

        Raises:
            BadInput: When the features have another width.
        """
        return self.animate_net.audio.branches(features, scale) if self.hears else []

    def temporal_branches(self) -> list[AfterBranch]:
        """Return the branches of temporal attention, or none before it has begun to learn."""
        temporal = self.animate_net.temporal
        return temporal.branches() if _at_work(temporal, "proj_out") else []

    @property
    def hears(self) -> bool:
        """Whether AudioNet learns or has learned."""
        return _at_work(self.animate_net.audio, "to_v_ip")


def _at_work(net: nn.Module, last: str) -> bool:
    """Say whether a net learns or has learned; while its last layers are zero, it costs time for nothing."""
    return any(p.requires_grad for p in net.parameters()) or has_learned(net, last)
