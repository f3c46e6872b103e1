"""ReferenceNet: features of the reference pictures as keys and values of the denoiser's self-attention (MAGIC-Talk)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import BadInput
from ..host import Call, Host, SelfBranch
from ..sites import Site


@dataclass(frozen=True)
class ReferenceFeatures:
    """What the self-attentions of a U-Net read on the reference pictures."""

    tokens: dict[Site, Float[Tensor, "references tokens c"]]
    """Normed hidden states by site, one row a reference; a token is a place of the feature map."""


class ReferenceNet:
    """Records the inputs of a U-Net's self-attentions on reference pictures and offers them as SELF branches.

    It has no weights of its own: the host decides whose they are. A host of the denoiser shares them; a
    host of a copy makes a ReferenceNet of its own. The idea of recording the normed input of self-attention at
    timestep 0 and joining it to keys and values is that of reference-only control
    (github.com/Mikubill/sd-webui-controlnet) and of AniPortrait (github.com/Zejun-Yang/AniPortrait).

    Args:
        sites: Where to record, for example only the coarse levels. The pass over the reference stops after the last.

    Raises:
        BadInput: For no sites.
    """

    def __init__(self, *, sites: Sequence[Site]) -> None:
        if not sites:
            raise BadInput("`sites` must name at least one attention site, but got none. Try `attention_sites()`.")
        self.sites = tuple(sorted(sites))  # stages, blocks and layers sort in running order

    def record(self, host: Host, latents: Float[Tensor, "r c h w"], text: Float[Tensor, "r t d"]) -> ReferenceFeatures:
        """Run the host's U-Net once on clean reference latents at timestep 0, without any attached branch.

        Gradients flow into the features unless the caller disables them.

        Args:
            host: Of the U-Net that looks at the references.
            latents: Of the reference pictures, as large as the latents that will be denoised.
            text: Tokens for cross-attention, one row a reference; those of the empty prompt, say.

        Raises:
            SiteNotFound: For a site that the U-Net lacks.
        """
        found: dict[Site, Tensor] = {}
        recorders = [_Recorder(site, found, last=site == self.sites[-1]) for site in self.sites]
        timestep = torch.zeros(len(latents), dtype=torch.long, device=latents.device)
        bare = host.bare()
        with bare.attach(recorders):
            try:
                bare.denoise(latents, timestep, text, Call(frames=torch.arange(len(latents))))
            except _Recorded:
                pass  # the rest of the U-Net would compute what nobody reads
        return ReferenceFeatures(found)

    def branches(
        self, features: ReferenceFeatures, rows: Int[Tensor, "n references"] | None = None, scale: float = 1.0
    ) -> list[SelfBranch]:
        """Return a SELF branch for every recorded site.

        A frame without a reference gets copies of its own tokens in the reference's place: attention over whole copies
        of the same tokens is plain self-attention. Passes without identity get copies throughout. So all rows have
        equally many tokens and no host needs a mask.

        Args:
            features: What `record` returned.
            rows: Which references each frame (in training: each sample) sees, indices into the recorded ones, -1 for
                none; one row serves all frames; None shows every frame all references.
            scale: lambda_ref: blends each reference token with the own token at its place, from 0 (copies: plain
                self-attention, hence no branches) to 1 (the reference). We blend tokens instead of biasing attention,
                because a host can then join tokens before it projects them.

        Raises:
            BadInput: For a scale outside [0, 1], or indices that do not exist.
        """
        count = len(next(iter(features.tokens.values())))
        index = torch.arange(count)[None] if rows is None else rows
        if not 0 <= scale <= 1:
            raise BadInput(f"`scale` must lie in [0, 1], but got {scale}. Try 1.")
        if index.ndim != 2 or not index.numel() or int(index.min()) < -1 or int(index.max()) >= count:
            raise BadInput(
                f"`rows` must be [n, references] with indices from -1 to {count - 1}, but got {list(index.shape)} "
                f"{index.unique().tolist()[:8]}. Use -1 for a row without reference."
            )
        if scale == 0:
            return []
        return [ReferenceTokens(site, tokens, index, scale) for site, tokens in features.tokens.items()]


class ReferenceTokens:
    """Offers recorded tokens to one self-attention; see `ReferenceNet.branches`.

    Args:
        site: The self-attention.
        recorded: Its tokens in `ReferenceFeatures`.
        rows: Which references each frame sees, -1 for none.
        scale: In (0, 1].
    """

    def __init__(
        self,
        site: Site,
        recorded: Float[Tensor, "references tokens c"],
        rows: Int[Tensor, "n references"],
        scale: float,
    ) -> None:
        self.site = site
        self._recorded, self._scale = recorded, scale
        self._rows = rows.to(recorded.device)
        self._missing = bool((rows < 0).any())

    def tokens(self, hidden: Float[Tensor, "b l c"], call: Call) -> Float[Tensor, "b m c"]:
        """Return the tokens that are joined; see `host.SelfBranch`.

        Raises:
            BadInput: When the reference was recorded at another size.
        """
        if hidden.shape[1:] != self._recorded.shape[1:]:
            raise BadInput(
                f"The reference latent must be as large as the denoised one, but at {self.site} it gave "
                f"{self._recorded.shape[1]} tokens of {self._recorded.shape[2]} and the denoiser has {hidden.shape[1]} "
                f"of {hidden.shape[2]}. Resize the reference picture."
            )
        groups = hidden.unflatten(0, (len(call.passes), len(call.frames)))
        rows = call.rows(self._rows)
        parts = [
            self._seen(own, rows) if p.identity else self._copies(own, rows) for p, own in zip(call.passes, groups)
        ]
        return torch.cat(parts).flatten(1, 2)

    def _copies(self, own: Float[Tensor, "f l c"], rows: Int[Tensor, "f n"]) -> Float[Tensor, "f n l c"]:
        return own[:, None].expand(-1, rows.shape[1], -1, -1)

    def _seen(self, own: Float[Tensor, "f l c"], rows: Int[Tensor, "f n"]) -> Float[Tensor, "f n l c"]:
        seen = self._recorded[rows.clamp(min=0)].to(own.dtype)
        if self._scale < 1:
            seen = torch.lerp(self._copies(own, rows), seen, self._scale)
        if self._missing:
            seen = torch.where((rows < 0)[:, :, None, None], self._copies(own, rows), seen)
        return seen


class _Recorded(Exception):
    """Ends a reference pass once the last site is recorded."""


class _Recorder:
    """Keeps what a self-attention sees and adds nothing."""

    def __init__(self, site: Site, found: dict[Site, Tensor], last: bool) -> None:
        self.site = site
        self._found, self._last = found, last

    def tokens(self, hidden: Float[Tensor, "b l c"], call: Call) -> None:
        self._found[self.site] = hidden
        if self._last:
            raise _Recorded
