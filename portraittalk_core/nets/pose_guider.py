"""AniPortrait's pose guider: a drawing of the face becomes maps that are added along the U-Net's way down."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import BadInput
from ..host import InputBranch
from ..sites import Site
from .attention import GatedFeedForward, attend
from .structure_encoder import MapResidual


class PoseGuider(nn.Module):
    """Turns drawings of a face (`perception.face_drawing.draw_for_aniportrait`) into five maps.

    Structure and state-dict keys are those of the public file (github.com/Zejun-Yang/AniPortrait, `pose_guider.py`).
    Its transformers are called cross-attention there but have nothing to attend to beside themselves, so that the
    drawing of the reference face, which the original also takes, changes nothing; it is left out here.

    The released program normalises with the statistics of the batch instead of the trained ones, and feeds pixels in
    [-1, 509]; the former hides the latter. What the training did, trained statistics and pixels in [-1, 1], is close
    but not equal, and a frame's maps do not depend on its neighbours.

    Args:
        width: Of the first map; SD1.5: 320.
        heads: Of the attention.
        head_dim: Width of a head.
        as_released: True does what the released program does, for whole clips at a time; False what the training did.
    """

    def __init__(self, *, width: int = 320, heads: int = 16, head_dim: int = 88, as_released: bool = False) -> None:
        super().__init__()
        self.as_released = as_released
        plan = [(3, 3, 1), (3, 16, 2), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1), (64, 128, 1)]
        self.conv_layers = _convolutions(plan)
        self.final_proj = nn.Conv2d(128, width, 1)
        self.conv_layers_1 = _convolutions([(width, width, 1), (width, width, 2)], halving=3)
        self.conv_layers_2 = _convolutions([(width, width, 1), (width, 2 * width, 2)], halving=3)
        self.conv_layers_3 = _convolutions([(2 * width, 2 * width, 1), (2 * width, 4 * width, 2)], halving=3)
        self.conv_layers_4 = _convolutions([(4 * width, 4 * width, 1)])
        for number, factor in enumerate((1, 2, 4, 4), 1):
            self.add_module(f"cross_attn{number}", _PictureTransformer(factor * width, heads, head_dim))
        self.scale = nn.Parameter(torch.full((1,), 2.0))

    def forward(self, drawings: Float[Tensor, "frames 3 h w"]) -> list[Tensor]:
        """Return the five maps, one row a frame.

        Args:
            drawings: In [0, 1]; both sides are multiples of 8.

        Returns:
            Maps of width 320, 320, 640, 1280, 1280 at 1/8, 1/16, 1/32, 1/64 and 1/64 of the drawings' size.

        Raises:
            BadInput: For other sides, and for a single frame of up to 64 pixels `as_released`, which has no statistics.
        """
        if drawings.ndim != 4 or drawings.shape[-1] % 8 or drawings.shape[-2] % 8:
            raise BadInput(
                f"`drawings` must be [frames, 3, h, w] with sides that are multiples of 8, but got "
                f"{list(drawings.shape)}. Draw them at the video's size."
            )
        if self.as_released and len(drawings) == 1 and max(drawings.shape[-2:]) <= 64:
            raise BadInput("`drawings` must be more than one frame of 64 pixels `as_released`. Give the whole clip.")
        for module in self.modules():
            if isinstance(module, _Norm):
                module.of_batch = self.as_released
        pixels = drawings * 255 if self.as_released else drawings
        hidden = self.final_proj(self.conv_layers(2 * pixels - 1)) * self.scale
        maps = [hidden]
        for number in range(1, 5):
            hidden = self.get_submodule(f"conv_layers_{number}")(hidden)
            hidden = self.get_submodule(f"cross_attn{number}")(hidden)
            maps.append(hidden)
        return maps

    def branches(self, maps: Sequence[Tensor], scale: float = 1.0) -> list[InputBranch]:
        """Return the INPUT branches of `forward`'s maps, seen by every pass.

        The first is added to the first feature map, before it is a skip; the others to what enters the next block on
        the way down and, last, the mid block, and are in no skip.

        Args:
            maps: What `forward` returned, one row a frame.
            scale: Multiplies what is added; at 0 there are no branches.
        """
        if scale == 0:
            return []
        sites = [None, Site("down", 1, 0), Site("down", 2, 0), Site("down", 3, 0), Site("mid", 0, 0)]
        return [MapResidual(site, given, None, scale) for site, given in zip(sites, maps, strict=True)]


class _Norm(nn.BatchNorm2d):
    """A batch norm that is told whose statistics to use and never changes its own."""

    of_batch = False

    def forward(self, input: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        if self.of_batch:
            return F.batch_norm(input, None, None, self.weight, self.bias, training=True, eps=self.eps)
        return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


def _convolutions(plan: Sequence[tuple[int, int, int]], halving: int = 4) -> nn.Sequential:
    """Return convolution, norm and ReLU for each (channels in, channels out, stride); halving: kernel at stride 2."""
    layers: list[nn.Module] = []
    for inner, outer, stride in plan:
        kernel = halving if stride == 2 else 3
        layers += [nn.Conv2d(inner, outer, kernel, stride, padding=1), _Norm(outer), nn.ReLU()]
    return nn.Sequential(*layers)


class _PictureTransformer(nn.Module):
    """Self-attention over the places of a map and a gated feed forward, in the layout of diffusers."""

    def __init__(self, width: int, heads: int, head_dim: int) -> None:
        super().__init__()
        inner = heads * head_dim
        self.norm = nn.GroupNorm(32, width, eps=1e-6)
        self.proj_in = nn.Conv2d(width, inner, 1)
        self.transformer_blocks = nn.ModuleList([_Block(inner, heads)])
        self.proj_out = nn.Conv2d(inner, width, 1)

    def forward(self, hidden: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        inner = self.proj_in(self.norm(hidden))
        tokens = self.transformer_blocks[0](inner.flatten(2).transpose(1, 2))
        return hidden + self.proj_out(tokens.transpose(1, 2).unflatten(2, inner.shape[2:]))


class _Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = _SelfAttention(width, heads)
        self.norm3 = nn.LayerNorm(width)
        self.ff = GatedFeedForward(width)

    def forward(self, tokens: Float[Tensor, "n l c"]) -> Float[Tensor, "n l c"]:
        tokens = tokens + self.attn1(self.norm1(tokens))
        return tokens + self.ff(self.norm3(tokens))


class _SelfAttention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(width, width, bias=False)
        self.to_k = nn.Linear(width, width, bias=False)
        self.to_v = nn.Linear(width, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, tokens: Float[Tensor, "n l c"]) -> Float[Tensor, "n l c"]:
        return self.to_out[0](attend(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens), self.heads))
