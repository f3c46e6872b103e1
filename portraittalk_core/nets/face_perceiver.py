"""IdentityNet of the FaceID-Plus files: a face embedding and CLIP's view of the face become identity tokens."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput
from ..host import CrossBranch
from ..sites import Site
from .attention import KeyValues, TokenProjection, attend


class PlusIdentityNet(nn.Module):
    """IdentityNet whose tokens also attend to CLIP's view of the face.

    Structure and state-dict keys are those of the public `ip-adapter-faceid-plus` and `-plusv2` files
    (github.com/tencent-ailab/IP-Adapter). Both have the same tensors and differ in one sum: plusv2 adds what the
    image gives to the tokens of the embedding, plus replaces them.

    Args:
        token_dim: As for `IdentityNet`.
        sites: As for `IdentityNet`.
        shortcut: True for plusv2, False for plus.
        embedding_dim: As for `IdentityNet`.
        tokens: As for `IdentityNet`.
        clip_dim: Width of CLIP's tokens; ViT-H/14: 1280.
        depth: Layers of the perceiver.
        head_dim: Width of its attention heads.
    """

    def __init__(
        self,
        *,
        token_dim: int,
        sites: Sequence[tuple[Site, int]],
        shortcut: bool,
        embedding_dim: int = 512,
        tokens: int = 4,
        clip_dim: int = 1280,
        depth: int = 4,
        head_dim: int = 64,
    ) -> None:
        super().__init__()
        self.embedding_dim, self.clip_dim = embedding_dim, clip_dim
        self.shortcut = shortcut
        self.image_proj = _PlusProjection(embedding_dim, token_dim, tokens, clip_dim, depth, head_dim)
        self.ip_adapter = KeyValues(token_dim, sites)

    def tokens(
        self,
        embeddings: Float[Tensor, "rows references embedding"],
        image_embeds: Float[Tensor, "rows references patches clip"],
    ) -> Float[Tensor, "rows tokens token"]:
        """Turn each reference's embedding and CLIP tokens into identity tokens; join those of a row's references.

        Args:
            embeddings: Face embeddings of unit length; zeros stand for nobody.
            image_embeds: CLIP's last but one hidden states of each reference's aligned face.

        Returns:
            `references` times `tokens` tokens a row.

        Raises:
            BadInput: For shapes that do not belong together.
        """
        if (
            embeddings.ndim != 3
            or embeddings.shape[-1] != self.embedding_dim
            or image_embeds.shape[:-2] != embeddings.shape[:-1]
            or image_embeds.shape[-1] != self.clip_dim
        ):
            raise BadInput(
                f"`embeddings` must be [rows, references, {self.embedding_dim}] and `image_embeds` [rows, references, "
                f"patches, {self.clip_dim}], but got {list(embeddings.shape)} and {list(image_embeds.shape)}. Give "
                "CLIP's tokens of each reference picture."
            )
        plain = self.image_proj(embeddings.flatten(0, 1))
        seen = self.image_proj.perceiver_resampler(plain, image_embeds.flatten(0, 1))
        out = plain + seen if self.shortcut else seen
        return out.unflatten(0, embeddings.shape[:2]).flatten(1, 2)

    def branches(
        self,
        embeddings: Float[Tensor, "rows references embedding"],
        image_embeds: Float[Tensor, "rows references patches clip"],
        uncond_image_embeds: Float[Tensor, "patches clip"],
        scale: float = 1.0,
    ) -> list[CrossBranch]:
        """Return a CROSS branch for every site.

        Passes without identity get the tokens of the zero embedding and of `uncond_image_embeds`, which is how the
        files were trained.

        Args:
            embeddings: Face embeddings of unit length, one row a frame, or a single row for all.
            image_embeds: CLIP's last but one hidden states of each reference's aligned face.
            uncond_image_embeds: Those of a picture that is zero after normalisation.
            scale: lambda_id; at 0 there are no branches.

        Raises:
            BadInput: As `tokens`.
        """
        if scale == 0:
            return []
        nobody = torch.zeros_like(embeddings[:1])
        absent = self.tokens(nobody, uncond_image_embeds.expand(*nobody.shape[:2], -1, -1))
        return self.ip_adapter.branches(self.tokens(embeddings, image_embeds), absent, "identity", scale)


class _PlusProjection(TokenProjection):
    """The projection of the embedding; holds the perceiver under the name of the public files."""

    def __init__(
        self, embedding_dim: int, token_dim: int, tokens: int, clip_dim: int, depth: int, head_dim: int
    ) -> None:
        super().__init__(input_dim=embedding_dim, token_dim=token_dim, tokens=tokens, hidden_dim=2 * embedding_dim)
        self.perceiver_resampler = _Perceiver(token_dim, clip_dim, depth, token_dim // head_dim)


class _Perceiver(nn.Module):
    """Lets tokens attend to CLIP's tokens and to themselves, `depth` times."""

    def __init__(self, width: int, clip_dim: int, depth: int, heads: int) -> None:
        super().__init__()
        self.proj_in = nn.Linear(clip_dim, width)
        self.proj_out = nn.Linear(width, width)
        self.norm_out = nn.LayerNorm(width)
        self.layers = nn.ModuleList(
            nn.ModuleList([_PerceiverAttention(width, heads), _feed_forward(width)]) for _ in range(depth)
        )

    def forward(self, tokens: Float[Tensor, "n t c"], image: Float[Tensor, "n p clip"]) -> Float[Tensor, "n t c"]:
        image = self.proj_in(image)
        for layer in self.layers:
            attention, feed_forward = layer  # pyright: ignore[reportGeneralTypeIssues]
            tokens = tokens + attention(tokens, image)
            tokens = tokens + feed_forward(tokens)
        return self.norm_out(self.proj_out(tokens))


class _PerceiverAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.norm2 = nn.LayerNorm(width)
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_kv = nn.Linear(width, 2 * width, bias=False)
        self.to_out = nn.Linear(width, width, bias=False)

    def forward(self, tokens: Float[Tensor, "n t c"], image: Float[Tensor, "n p c"]) -> Float[Tensor, "n t c"]:
        tokens = self.norm2(tokens)
        key, value = self.to_kv(torch.cat([self.norm1(image), tokens], 1)).chunk(2, -1)
        return self.to_out(attend(self.to_q(tokens), key, value, self.heads))


def _feed_forward(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.LayerNorm(width), nn.Linear(width, 4 * width, bias=False), nn.GELU(), nn.Linear(4 * width, width, bias=False)
    )
