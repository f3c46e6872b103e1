"""AudioNet: what is being said, frame by frame, beside the text in the U-Net's cross-attentions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput
from ..host import CrossBranch
from ..sites import Site
from .attention import KeyValues, TokenProjection


class AudioNet(nn.Module):
    """Turns the speech around each frame into tokens that every cross-attention attends to beside the text.

    `out = Attn(q, text) + lambda_id Attn(q, identity) + lambda_aud Attn(q, audio)` (PortraitTalk). A frame sees the
    features of `window` frames before and after it, the clip's ends repeated. Values start at zero, so that an
    untrained net leaves the U-Net as it is.

    Args:
        feature_dim: Width of a frame's speech features.
        token_dim: Width of a token: the U-Net's `cross_dim`.
        sites: The cross-attentions and their widths, in the order of `UNetShape.adapter_sites()`.
        tokens: That one frame becomes.
        window: Frames on either side that a frame's tokens know of.
        hidden_dim: Width inside the projection.
    """

    def __init__(
        self,
        *,
        feature_dim: int,
        token_dim: int,
        sites: Sequence[tuple[Site, int]],
        tokens: int = 4,
        window: int = 2,
        hidden_dim: int = 512,
    ) -> None:
        super().__init__()
        self.feature_dim, self.window = feature_dim, window
        self.audio_proj = TokenProjection(
            input_dim=feature_dim * (2 * window + 1), token_dim=token_dim, tokens=tokens, hidden_dim=hidden_dim
        )
        self.audio_adapter = KeyValues(token_dim, sites)
        for layer in self.audio_adapter.layers.values():
            nn.init.zeros_(layer.to_v_ip.weight)

    def tokens(self, features: Float[Tensor, "*clips frames feature"]) -> Float[Tensor, "rows tokens token"]:
        """Project the window around each frame to tokens.

        Args:
            features: One row a frame: `[frames, feature]`, or `[clips, frames, feature]`.

        Returns:
            One row of tokens a frame; several clips follow one another.

        Raises:
            BadInput: For another shape or width, or no frame.
        """
        if features.ndim not in (2, 3) or features.shape[-1] != self.feature_dim or not features.shape[-2]:
            raise BadInput(
                f"`features` must be [frames, {self.feature_dim}] or [clips, frames, {self.feature_dim}], "
                f"but got {list(features.shape)}. Use the speech encoder that the model was trained with."
            )
        clips = features if features.ndim == 3 else features[None]
        frames, reach = clips.shape[1], torch.arange(-self.window, self.window + 1, device=clips.device)
        index = (torch.arange(frames, device=clips.device)[:, None] + reach).clamp(0, frames - 1)
        return self.audio_proj(clips[:, index].flatten(2).flatten(0, 1))

    def branches(self, features: Float[Tensor, "*clips frames feature"], scale: float = 1.0) -> list[CrossBranch]:
        """Return a CROSS branch for every site. Passes without audio see the tokens of zero features.

        Args:
            features: The whole video's, one row a frame; in training `[clips, frames, feature]`.
            scale: lambda_aud; at 0 there are no branches.

        Raises:
            BadInput: As `tokens`.
        """
        if scale == 0:
            return []
        given = self.tokens(features)
        absent = self.tokens(features.new_zeros(1, self.feature_dim))
        return self.audio_adapter.branches(given, absent, "audio", scale)
