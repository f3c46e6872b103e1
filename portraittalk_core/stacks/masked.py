"""Colours of parts of pictures: means, fillings and changes that stay inside a mask."""

from __future__ import annotations

import cv2
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

STRANDS = 0.012
"""How far single hairs reach into what is behind them, in sides of the picture."""

_LUMA = (0.299, 0.587, 0.114)
_REACHES = (0.008, 0.02, 0.05, 0.12, 0.3)  # of a picture's side, over which unknown pixels look for known ones
_NEAR = 0.05  # share of known pixels within reach that is enough
_SURE = 0.9  # share from which on a pixel is nothing else
_WIDEST = 0.025  # of a picture's side: half of the widest line that is thinned
_DARK = 0.12  # of the range: what is darker has hardly less contrast


def luma(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Return the brightness of pictures, in their range."""
    return (pictures * pictures.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def blurred(values: Float[Tensor, "n c s s"], reach: float) -> Float[Tensor, "n c s s"]:
    """Blur nearly like a Gaussian: three means over squares, on fewer pixels where the blur is large.

    Args:
        values: Pictures or masks.
        reach: Half the side of the squares, in sides of the picture.
    """
    side = values.shape[-1]
    small = min(side, max(16, round(4 / reach)))
    out = functional.interpolate(values, (small, small), mode="area") if small < side else values
    half = max(1, round(reach * small))
    for _ in range(3):
        out = functional.avg_pool2d(functional.pad(out, (half,) * 4, mode="replicate"), 2 * half + 1, 1)
    return functional.interpolate(out, (side, side), mode="bilinear", align_corners=False) if small < side else out


def filled(values: Float[Tensor, "n c s s"], known: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n c s s"]:
    """Fill what is not known with what is known nearest, the softer the further it is.

    Args:
        values: Pictures.
        known: How far each pixel is known, in [0, 1].
    """
    weighted = values * known
    result, trust = weighted, known
    for reach in _REACHES:
        sums, near = blurred(weighted, reach), blurred(known, reach)
        share = (1 - trust).clamp(min=0) * (near / _NEAR).clamp(max=1)
        result = result + share * sums / near.clamp(min=1e-4)
        trust = trust + share
    return result / trust.clamp(min=1e-4)


def mean_of(values: Float[Tensor, "n c h w"], weight: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n c 1 1"]:
    """Return the weighted mean of each channel; 0 where nothing has weight.

    Args:
        values: Pictures.
        weight: Of each pixel.
    """
    return (values * weight).sum((-2, -1), keepdim=True) / weight.sum((-2, -1), keepdim=True).clamp(min=1e-4)


def recoloured(
    picture: Float[Tensor, "n 3 h w"], old: Float[Tensor, "n 3 #h #w"], new: Float[Tensor, "n 3 #h #w"]
) -> Float[Tensor, "n 3 h w"]:
    """Give a surface another colour; what is light and dark in it stays so.

    Contrast grows and shrinks with the brightness, as that of a dyed surface does, and colour with the shade.

    Args:
        picture: In [0, 1].
        old: The colour that the surface has on the whole.
        new: The colour that it gets.
    """
    light, before, after = luma(picture), luma(old), luma(new)
    contrast = ((after + _DARK) / (before + _DARK)).clamp(0.3, 1.6)
    made = after + contrast * (light - before)
    shade = (made / after.clamp(min=0.02)).clamp(0.2, 1.5)
    # Strands and threads that differ in colour keep half of it.
    varied = (picture - light) - (old - before) * (light / before.clamp(min=0.02)).clamp(0.2, 1.5)
    return (made + (new - after) * shade + 0.5 * contrast.clamp(max=1) * varied).clamp(0, 1)


def thinned(share: Float[Tensor, "n 1 s s"], kept: float) -> Float[Tensor, "n 1 s s"]:
    """Make the lines of a mask thinner from both sides.

    Args:
        share: In [0, 1]; from 0.5 on a pixel is in a line.
        kept: Of the lines' width.
    """
    side = share.shape[-1]
    masks = (share[:, 0] > 0.5).to(torch.uint8).cpu().numpy()
    inside = [torch.from_numpy(cv2.distanceTransform(mask, cv2.DIST_L2, 5)) for mask in masks]
    depth = blurred(torch.stack(inside)[:, None].to(share), 0.002)
    reach = max(1, round(_WIDEST * side))
    deepest = functional.max_pool2d(depth, 2 * reach + 1, 1, reach).clamp(min=1)
    edge = deepest * (1 - kept)
    return ((depth - edge) / (0.25 * deepest).clamp(min=1)).clamp(0, 1)


def surely(share: Float[Tensor, "n 1 s s"], reach: float = 0.0) -> Float[Tensor, "n 1 s s"]:
    """Return where there is nothing else.

    Args:
        share: In [0, 1].
        reach: How near nothing else may be, in sides of the picture; `STRANDS` where it may be hair.
    """
    near = blurred(share, reach) if reach else share
    return ((near - _SURE) / (1 - _SURE)).clamp(0, 1)
