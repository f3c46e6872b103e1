"""AnimateNet: what moves. Structure, identity and temporal attention, and speech, as one network (PortraitTalk)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput
from ..host import Call, SelfBranch
from ..sites import Site, UNetShape
from .attention import TokenProjection
from .audio_net import AudioNet
from .occlusion_net import OcclusionNet, Schedule
from .structure_encoder import StructureEncoder, structure_channels
from .temporal import TemporalNet


class AnimateNet(nn.Module):
    """The parts of AnimateNet for one U-Net, each with its own `branches()`.

    They are separate modules because the two training stages freeze them separately and a user may scale them
    separately; `nets.adapters` puts them together.

    Args:
        shape: Of the U-Net.
        latent_channels: Channels of a latent.
        feature_dim: Width of a frame's speech features.
        embedding_dim: Width of a face embedding.
        contour_groups: Channels of the contour pictures; see `motion.geometry.contours`.
        contour_fold: Side of a contour picture over the latent's.
        picture_fold: Side of a frame over the latent's.
        cue: Width of the head-pose cue; see `motion.geometry.head_cue`.
        structure_width: Channels inside the structure encoder.
        identity_tokens: That one reference picture becomes in identity attention.
        identity_sites: Where identity attention acts; None: every self-attention.
        audio_tokens: That the speech around one frame becomes.
        audio_window: Frames of speech on either side that a frame knows of.
        temporal_sites: Layers that temporal attention follows; None: all.
        temporal_heads: Heads of temporal attention.
        max_frames: Frames of the longest window of temporal attention.
        schedule: The noise schedule of the U-Net, a `diffusion.schedule.NoiseSchedule`.
        occlusion_fade: See `nets.occlusion_net`; 1 or more.
    """

    structure: StructureEncoder
    """Where the head is and what the face does."""

    occlusion: OcclusionNet
    """Where structure's warped reference may be the answer."""

    identity: IdentityAttention
    """Identity tokens in self-attention."""

    temporal: TemporalNet
    """Attention over the frames of a window."""

    audio: AudioNet
    """Speech beside the text."""

    def __init__(
        self,
        *,
        shape: UNetShape,
        latent_channels: int,
        feature_dim: int,
        embedding_dim: int = 512,
        contour_groups: int = 7,
        contour_fold: int = 2,
        picture_fold: int = 8,
        cue: int = 6,
        structure_width: int = 64,
        identity_tokens: int = 4,
        identity_sites: Sequence[Site] | None = None,
        audio_tokens: int = 4,
        audio_window: int = 2,
        temporal_sites: Sequence[Site] | None = None,
        temporal_heads: int = 8,
        max_frames: int = 32,
        schedule: Schedule,
        occlusion_fade: float = 1.0,
    ) -> None:
        super().__init__()
        conditioning = structure_channels(
            latent_channels=latent_channels,
            groups=contour_groups,
            fold=contour_fold,
            cue=cue,
            picture_fold=picture_fold,
        )
        identity_sites = shape.attention_sites() if identity_sites is None else identity_sites
        temporal_sites = shape.layer_sites() if temporal_sites is None else temporal_sites
        self.structure = StructureEncoder(in_channels=conditioning, channels=shape.channels, width=structure_width)
        self.identity = IdentityAttention(
            embedding_dim=embedding_dim,
            token_dim=shape.cross_dim,
            tokens=identity_tokens,
            sites=[(site, shape.width(site)) for site in identity_sites],
        )
        self.temporal = TemporalNet(
            sites=[(site, shape.width(site)) for site in temporal_sites], heads=temporal_heads, max_frames=max_frames
        )
        last = shape.layer_sites()[-1]
        self.occlusion = OcclusionNet(
            site=last,
            width=shape.width(last),
            latent_channels=latent_channels,
            schedule=schedule,
            fade=occlusion_fade,
        )
        self.audio = AudioNet(
            feature_dim=feature_dim,
            token_dim=shape.cross_dim,
            sites=[(site, shape.width(site)) for site in shape.adapter_sites()],
            tokens=audio_tokens,
            window=audio_window,
        )


class IdentityAttention(nn.Module):
    """Appends projected identity tokens to the keys and values of self-attention.

    Args:
        token_dim: Width of a token of the shared projection.
        sites: The self-attentions and their widths.
        embedding_dim: Width of a face embedding.
        tokens: That one reference picture becomes.
    """

    def __init__(
        self, *, token_dim: int, sites: Sequence[tuple[Site, int]], embedding_dim: int = 512, tokens: int = 4
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.sites = tuple(site for site, _ in sites)
        self.token_proj = TokenProjection(
            input_dim=embedding_dim, token_dim=token_dim, tokens=tokens, hidden_dim=2 * embedding_dim
        )
        self.layers = nn.ModuleList(nn.Linear(token_dim, width) for _, width in sites)

    def branches(self, embeddings: Float[Tensor, "*rows references embedding"], scale: float = 1.0) -> list[SelfBranch]:
        """Return a SELF branch for every site. Passes without identity get the tokens of the zero embedding.

        Args:
            embeddings: `[references, 512]` for all frames or `[rows, references, 512]`, one row a frame (in training:
                a sample).
            scale: In [0, 1], goes from the tokens of the zero embedding to the person's; at exactly 0 there are no
                branches.

        Raises:
            BadInput: For a scale or shape outside that.
        """
        if not 0 <= scale <= 1 or embeddings.ndim not in (2, 3) or embeddings.shape[-1] != self.embedding_dim:
            raise BadInput(
                f"`embeddings` must be [references, {self.embedding_dim}] or [rows, references, {self.embedding_dim}] "
                f"and `scale` in [0, 1], but got {list(embeddings.shape)} and {scale}. Try a scale of 1."
            )
        if scale == 0:
            return []
        rows = embeddings if embeddings.ndim == 3 else embeddings[None]
        absent = self.token_proj(torch.zeros_like(rows[:1])).flatten(1, 2)
        given = torch.lerp(absent.expand(len(rows), -1, -1), self.token_proj(rows).flatten(1, 2), scale)
        return [_IdentityTokens(s, la(given), la(absent)) for s, la in zip(self.sites, self.layers, strict=True)]


class _IdentityTokens:
    """Offers the same tokens at every step, projected once."""

    def __init__(self, site: Site, given: Float[Tensor, "n m c"], absent: Float[Tensor, "1 m c"]) -> None:
        self.site = site
        self._given, self._absent = given, absent

    def tokens(self, hidden: Float[Tensor, "b l c"], call: Call) -> Float[Tensor, "b m c"]:
        return call.batch(self._given, self._absent, "identity").to(hidden.dtype)
