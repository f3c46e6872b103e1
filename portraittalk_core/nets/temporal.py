"""Temporal attention in the layout of AnimateDiff: each place of the picture attends over the frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BadInput
from ..host import AfterBranch, Call
from ..kernels.attention import over_frames
from ..kernels.choice import wanted
from ..kernels.elementwise import group_norm
from ..sites import Site
from .attention import GatedFeedForward, attend


class TemporalNet(nn.Module):
    """One temporal module for each given site, in the layout of AnimateDiff (github.com/guoyww/AnimateDiff).

    State-dict keys are those of its motion modules, for example
    `down_blocks.1.motion_modules.0.temporal_transformer.proj_in.weight`. Unlike diffusers' `MotionAdapter`, the group
    norm sees one frame at a time, as in the original.

    Args:
        sites: The layers that a module follows, with the widths there.
        heads: Attention heads over time.
        max_frames: Frames of the longest window.
    """

    def __init__(self, *, sites: Sequence[tuple[Site, int]], heads: int = 8, max_frames: int = 32) -> None:
        super().__init__()
        self.max_frames = max_frames
        self._paths: dict[Site, str] = {}
        for site, width in sites:
            path = _path(site)
            holder: nn.Module = self
            for name in path[:-1]:
                if name not in dict(holder.named_children()):
                    holder.add_module(name, nn.Module())
                holder = holder.get_submodule(name)
            holder.add_module(path[-1], _MotionModule(width, heads, max_frames))
            self._paths[site] = ".".join(path)

    @property
    def sites(self) -> tuple[Site, ...]:
        """The sites that have a module."""
        return tuple(self._paths)

    def branches(self, scale: float = 1.0) -> list[AfterBranch]:
        """Return an AFTER branch for every site.

        Args:
            scale: Multiplies what a module adds; at 0 there are no branches.
        """
        if scale == 0:
            return []
        return [
            _TemporalBranch(site, self.get_submodule(f"{path}.temporal_transformer"), scale, self.max_frames)
            for site, path in self._paths.items()
        ]


class TemporalTransformer(nn.Module):
    """Adds to each place what attention over its frames gives; zero while `proj_out` is zero, as it starts.

    Per-frame group norm, projection, self-attention over frames (twice, with sinusoidal positions), gated feed
    forward, projection.

    Args:
        width: Channels of the feature map, a multiple of `groups` and `heads`.
        heads: Attention heads over time.
        max_frames: Frames of the longest clip.
        groups: Of the group norm.
    """

    def __init__(self, *, width: int, heads: int = 8, max_frames: int = 32, groups: int = 32) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, width, eps=1e-6)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([_TemporalBlock(width, heads, max_frames)])
        self.proj_out = nn.Linear(width, width)
        nn.init.zeros_(self.proj_out.weight)
        nn.init.zeros_(self.proj_out.bias)

    def forward(self, hidden: Float[Tensor, "clips frames c h w"]) -> Float[Tensor, "clips frames c h w"]:
        """Return what is added to feature maps.

        Args:
            hidden: Maps of the frames of each clip, at most `max_frames`.
        """
        if wanted(hidden, self.proj_in.weight):
            return self._in_place(hidden)
        clips, frames, _, height, width = hidden.shape
        normed = self.norm(hidden.flatten(0, 1)).unflatten(0, (clips, frames))
        # clips f c h w -> (clips h w) f c: every place is a sequence of frames
        tokens = self.proj_in(normed.permute(0, 3, 4, 1, 2).flatten(0, 2))
        for block in self.transformer_blocks:
            tokens = block(tokens)
        return self.proj_out(tokens).unflatten(0, (clips, height, width)).permute(0, 3, 4, 1, 2)

    def _in_place(self, hidden: Float[Tensor, "clips frames c h w"]) -> Float[Tensor, "clips frames c h w"]:
        """Do the same in the order in which pictures lie in memory: the frames of a place are never moved together.

        Everything but the attention looks at one token at a time, and the kernel finds a place's frames where they are.
        Both projections read and write maps as they lie, channels first: matrix products can do so, copies are saved.
        """
        norm, into, out = self.norm, self.proj_in, self.proj_out
        normed = group_norm(hidden.flatten(0, 1), norm.num_groups, norm.weight, norm.bias, norm.eps).flatten(2)
        weight = into.weight.t().expand(len(normed), -1, -1)
        # (clips f) c (h w) -> clips f (h w) c
        tokens = torch.baddbmm(into.bias, normed.transpose(1, 2), weight).unflatten(0, hidden.shape[:2])
        for block in self.transformer_blocks:
            tokens = cast(_TemporalBlock, block).in_place(tokens)
        weight = out.weight.expand(len(normed), -1, -1)
        return torch.baddbmm(out.bias[:, None], weight, tokens.flatten(0, 1).transpose(1, 2)).view(hidden.shape)


class _MotionModule(nn.Module):
    """Holds the transformer under the name that the public files use."""

    def __init__(self, width: int, heads: int, max_frames: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(width=width, heads=heads, max_frames=max_frames)


class _TemporalBlock(nn.Module):
    def __init__(self, width: int, heads: int, max_frames: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(_FrameAttention(width, heads, max_frames) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ff = GatedFeedForward(width)
        self.ff_norm = nn.LayerNorm(width)

    def forward(self, tokens: Float[Tensor, "n f c"]) -> Float[Tensor, "n f c"]:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + attention(norm(tokens))
        return tokens + self.ff(self.ff_norm(tokens))

    def in_place(self, tokens: Float[Tensor, "clips f p c"]) -> Float[Tensor, "clips f p c"]:
        for attention, norm in zip(self.attention_blocks, self.norms, strict=True):
            tokens = tokens + cast(_FrameAttention, attention).in_place(norm(tokens))
        return tokens + self.ff(self.ff_norm(tokens))


class _FrameAttention(nn.Module):
    def __init__(self, width: int, heads: int, max_frames: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.pos_encoder = _FramePositions(width, max_frames)

    def forward(self, tokens: Float[Tensor, "n f c"]) -> Float[Tensor, "n f c"]:
        tokens = self.pos_encoder(tokens)
        return self.to_out[0](attend(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens), self.heads))

    def in_place(self, tokens: Float[Tensor, "clips f p c"]) -> Float[Tensor, "clips f p c"]:
        # One product for all three, and positions projected by themselves: they are the same at every place.
        weight = torch.cat([self.to_q.weight, self.to_k.weight, self.to_v.weight])
        positions = self.pos_encoder.pe[0, : tokens.shape[1]].to(tokens)
        return self.to_out[0](over_frames(F.linear(tokens, weight), F.linear(positions, weight), self.heads))


class _FramePositions(nn.Module):
    """Adds interleaved sines and cosines of the frame's place in the window, base 10000."""

    pe: Tensor

    def __init__(self, width: int, max_frames: int) -> None:
        super().__init__()
        angle = torch.arange(max_frames)[:, None] * torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
        self.register_buffer("pe", torch.stack([angle.sin(), angle.cos()], -1).flatten(1)[None, :, :width])

    def forward(self, tokens: Float[Tensor, "n f c"]) -> Float[Tensor, "n f c"]:
        return tokens + self.pe[:, : tokens.shape[1]].to(tokens)


class _TemporalBranch:
    """Runs a temporal module over the clips of a batch."""

    def __init__(self, site: Site, module: nn.Module, scale: float, max_frames: int) -> None:
        self.site = site
        self._module, self._scale, self._max_frames = module, scale, max_frames

    def after(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        clip = call.clip or len(call.frames)
        if len(call.frames) % clip or clip > self._max_frames:
            raise BadInput(
                f"`clip` must divide the {len(call.frames)} frames of a call and be at most {self._max_frames}, "
                f"but got {clip}. Use shorter windows."
            )
        added = self._module(hidden.unflatten(0, (-1, clip))).flatten(0, 1)
        return hidden + (added if self._scale == 1 else self._scale * added)


def _path(site: Site) -> list[str]:
    """Return the public name of a site's module, split at the dots."""
    block = ["mid_block"] if site.stage == "mid" else [f"{site.stage}_blocks", str(site.block)]
    return [*block, "motion_modules", str(site.layer)]
