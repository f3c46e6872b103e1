"""IdentityNet: who the person is, beside the text in the U-Net's cross-attentions (PortraitTalk)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput
from ..host import CrossBranch
from ..sites import Site
from .attention import KeyValues, TokenProjection


class IdentityNet(nn.Module):
    """Turns face embeddings into tokens that every cross-attention attends to beside the text.

    `out = Attn(q, text) + scale * Attn(q, identity)`, the same q, separate softmaxes, summed before the output
    projection. Structure, formula and state-dict keys (`image_proj.*`, `ip_adapter.{i}.to_k_ip.weight`) are those of
    the public IP-Adapter FaceID files (github.com/tencent-ailab/IP-Adapter), so one class serves both.

    Args:
        token_dim: Width of the U-Net's text tokens: its `cross_dim`.
        sites: The cross-attentions and their widths, in the order of `UNetShape.adapter_sites()`, from which the
            numbers of the public files follow.
        embedding_dim: Width of a face embedding.
        tokens: That one reference picture becomes.
        hidden_dim: Width inside the projection; None: twice the embedding.
    """

    def __init__(
        self,
        *,
        token_dim: int,
        sites: Sequence[tuple[Site, int]],
        embedding_dim: int = 512,
        tokens: int = 4,
        hidden_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.image_proj = TokenProjection(
            input_dim=embedding_dim, token_dim=token_dim, tokens=tokens, hidden_dim=hidden_dim or 2 * embedding_dim
        )
        self.ip_adapter = KeyValues(token_dim, sites)

    def tokens(self, embeddings: Float[Tensor, "*rows references embedding"]) -> Float[Tensor, "n tokens token"]:
        """Project each reference's embedding and join the tokens of a row's references.

        Args:
            embeddings: `[references, 512]`, which gives one row, or `[rows, references, 512]`. Zeros stand for nobody.

        Returns:
            `references` times `tokens` tokens a row.

        Raises:
            BadInput: For another shape or width, or no reference.
        """
        if embeddings.ndim not in (2, 3) or embeddings.shape[-1] != self.embedding_dim or not embeddings.shape[-2]:
            raise BadInput(
                f"`embeddings` must be [references, {self.embedding_dim}] or [rows, references, {self.embedding_dim}], "
                f"but got {list(embeddings.shape)}. Give one embedding a reference picture."
            )
        rows = embeddings if embeddings.ndim == 3 else embeddings[None]
        return self.image_proj(rows).flatten(1, 2)

    def branches(
        self, embeddings: Float[Tensor, "*rows references embedding"], scale: float = 1.0
    ) -> list[CrossBranch]:
        """Return a CROSS branch for every site. Passes without identity see the projection of the zero embedding.

        Args:
            embeddings: Unit length, `[references, 512]` for all frames or `[rows, references, 512]`, one row a frame
                (in training: a sample).
            scale: The paper's lambda_id; at 0 there are no branches.

        Raises:
            BadInput: As `tokens`.
        """
        if scale == 0:
            return []
        given = self.tokens(embeddings)
        absent = self.tokens(embeddings.new_zeros(embeddings.shape[-2:]))
        return self.ip_adapter.branches(given, absent, "identity", scale)
