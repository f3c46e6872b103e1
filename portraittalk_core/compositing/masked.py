"""Colours of parts of pictures: means, fillings and changes that stay inside a mask."""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.resampling import averaged, enlarged, largest

STRANDS = 0.012
"""How far single hairs reach into what is behind them, in sides of the picture."""

SHARP = 0.4
"""What `softness` gives for the sharpest photographs, pixels."""

_LUMA = (0.299, 0.587, 0.114)
_COLOURLESS = 0.01  # mean saturation below which a picture is black and white
_REACHES = (0.008, 0.02, 0.05, 0.12, 0.3)  # of a picture's side, over which unknown pixels look for known ones
_NEAR = 0.05  # share of known pixels within reach that is enough
_SURE = 0.9  # share from which on a pixel is nothing else
_LEVELS, _SURFACE = 7, 0.12  # of brightness; how far a surface varies, of the range
_PATTERN = 0.2  # of the reach: what is finer is a pattern of a surface
_OTHER_SURFACE = 0.15  # of the range: by how much a pixel that differs from those around it is of another surface
_DARK = 0.12  # of the range: what is darker has hardly less contrast
_SKIN = 0.3  # of linear light, that skin reflects on the whole in a photograph of usual exposure
_EXPOSED = (0.5, 1.25)  # how much darker and lighter things are, at most, where a face is dark or light
_TONE = (1.4, 0.92, 0.66)  # of skin in white light, of its brightness
_CAST, _CASTS = 0.5, (0.75, 1.35)  # how much of a face's tint is that of the light, within what limits


def luma(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Return the brightness of pictures, in their range."""
    return (pictures * pictures.new_tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def saturation(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 h w"]:
    """Return how far the channels of pictures are apart, of the highest one.

    Args:
        pictures: In [0, 1].
    """
    most = pictures.amax(1, keepdim=True)
    return (most - pictures.amin(1, keepdim=True)) / most.clamp(min=0.02)


def colourfulness(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 1 1 1"]:
    """Return 0 for pictures in black and white, 1 for pictures in colour, and little between.

    Args:
        pictures: In [0, 1].
    """
    return ((pictures - luma(pictures)).abs().mean((1, 2, 3), keepdim=True) / _COLOURLESS).clamp(max=1)


def blurred(values: Float[Tensor, "n c s s"], reach: float) -> Float[Tensor, "n c s s"]:
    """Blur nearly like a Gaussian: three means over squares, on fewer pixels where the blur is large.

    Args:
        values: Pictures or masks.
        reach: Half the side of the squares, in sides of the picture.
    """
    side = values.shape[-1]
    small = min(side, max(16, round(4 / reach)))
    out = functional.interpolate(values, (small, small), mode="area") if small < side else values
    out = averaged(out, max(1, round(reach * small)), times=3)
    return enlarged(out, (side, side)) if small < side else out


def filled(values: Float[Tensor, "n c s s"], known: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n c s s"]:
    """Fill what is not known with what is known nearest, the softer the further it is.

    Args:
        values: Pictures.
        known: How far each pixel is known, in [0, 1].
    """
    weighted = values * known
    result, trust, both = weighted, known, torch.cat([weighted, known], 1)
    for reach in _REACHES:
        sums, near = blurred(both, reach).split([values.shape[1], 1], 1)
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


def as_photographed(
    colour: tuple[float, float, float], picture: Float[Tensor, "n 3 s s"], skin: Float[Tensor, "n 1 s s"]
) -> Float[Tensor, "n 3 1 1"]:
    """Return what a surface of some colour looks like on the whole in a photograph.

    Args:
        colour: In linear light.
        picture: The photograph, in [0, 1].
        skin: Where skin is seen; it says how bright the light is, and what tint it has.
    """
    light = mean_of(luma(picture).clamp(min=0).pow(2.2), skin)
    exposed = (light / _SKIN).sqrt().clamp(*_EXPOSED)
    face = mean_of(picture.clamp(min=0).pow(2.2), skin)
    tint = face / luma(face).clamp(min=1e-4) / picture.new_tensor(_TONE).view(1, 3, 1, 1)
    tint = tint.clamp(min=0.02).pow(_CAST).clamp(*_CASTS)
    named = (picture.new_tensor(colour).view(1, 3, 1, 1) * tint * exposed).pow(1 / 2.2)
    return luma(named) + colourfulness(picture) * (named - luma(named))


def recoloured(
    picture: Float[Tensor, "n 3 h w"],
    old: Float[Tensor, "n 3 #h #w"],
    new: Float[Tensor, "n 3 #h #w"],
    most: float = 1.6,
) -> Float[Tensor, "n 3 h w"]:
    """Give a surface another colour; what is light and dark in it stays so.

    Contrast grows and shrinks with the brightness, as that of a dyed surface does, and colour with the shade.

    Args:
        picture: In [0, 1].
        old: The colour that the surface has on the whole.
        new: The colour that it gets.
        most: How many times as much light and dark it may have as before.
    """
    light, before, after = luma(picture), luma(old), luma(new)
    contrast = ((after + _DARK) / (before + _DARK)).clamp(0.3, most)
    made = after + contrast * (light - before)
    shade = (made / after.clamp(min=0.02)).clamp(0.2, 1.5)
    # Strands and threads that differ in colour keep half of it.
    varied = (picture - light) - (old - before) * (light / before.clamp(min=0.02)).clamp(0.2, 1.5)
    return (made + (new - after) * shade + 0.5 * contrast.clamp(max=1) * varied).clamp(0, 1)


def surface_colour(
    picture: Float[Tensor, "n 3 s s"], where: Float[Tensor, "n 1 s s"], reach: float
) -> Float[Tensor, "n 3 s s"]:
    """Return the colour that surfaces have around each pixel: of two that meet, that of the one it lies in.

    A bilateral mean, taken at some levels of brightness (Durand and Dorsey, 2002); fine patterns count as one surface.

    Args:
        picture: In [0, 1].
        where: How far each pixel counts.
        reach: In sides of the picture.
    """
    light = luma(picture)
    even = blurred(light, reach * _PATTERN)
    even = even + (light - even) - (light - even).clamp(-_OTHER_SURFACE, _OTHER_SURFACE)
    usual = blurred(filled(picture, where), reach)
    levels = torch.linspace(0, 1, _LEVELS)
    made = torch.zeros_like(picture)
    for level in levels.tolist():
        weight = where * torch.exp(-0.5 * ((even - level) / _SURFACE).square())
        sums, near = blurred(torch.cat([picture * weight, weight], 1), reach).split([3, 1], 1)
        mean = (sums + 1e-3 * usual) / (near + 1e-3)
        made = made + (1 - (even - level).abs() * (_LEVELS - 1)).clamp(min=0) * mean
    return made


def surely(share: Float[Tensor, "n 1 s s"], reach: float = 0.0) -> Float[Tensor, "n 1 s s"]:
    """Return where there is nothing else.

    Args:
        share: In [0, 1].
        reach: How near nothing else may be, in sides of the picture; `STRANDS` where it may be hair.
    """
    near = blurred(share, reach) if reach else share
    return ((near - _SURE) / (1 - _SURE)).clamp(0, 1)


def grown(share: Float[Tensor, "n c s s"], reach: float) -> Float[Tensor, "n c s s"]:
    """Return the share of what is within reach of something.

    Args:
        share: Masks.
        reach: In sides of the picture.
    """
    return largest(share, max(1, round(reach * share.shape[-1])))


def inside(outlines: Float[Tensor, "n k 2"], like: Float[Tensor, "n c s s"]) -> Float[Tensor, "n 1 s s"]:
    """Return how much of each pixel lies inside an outline.

    Args:
        outlines: In [-1, 1].
        like: Has the size.
    """
    side = like.shape[-1]
    masks = np.zeros((len(outlines), side, side), np.uint8)
    corners = ((outlines.detach().cpu().numpy() + 1) * (side / 2) - 0.5) * 16  # in sixteenths of pixels
    for mask, outline in zip(masks, corners.round().astype(np.int32), strict=True):
        cv2.fillPoly(mask, [outline[:, None]], 255, lineType=cv2.LINE_AA, shift=4)
    return torch.from_numpy(masks)[:, None].to(like) / 255


def softened(values: Float[Tensor, "n c s s"], pixels: float) -> Float[Tensor, "n c s s"]:
    """Blur by a Gaussian of some pixels' deviation; less than a fifth of one changes nothing."""
    if pixels < 0.2:
        return values
    half = max(1, round(3 * pixels))
    axis = torch.arange(-half, half + 1, dtype=values.dtype, device=values.device)
    row = torch.exp(-0.5 * (axis / pixels).square())
    row = (row / row.sum()).expand(values.shape[1], 1, 1, -1)
    padded = functional.pad(values, (half,) * 4, mode="replicate")
    wide = functional.conv2d(padded, row, groups=values.shape[1])
    return functional.conv2d(wide, row.transpose(2, 3), groups=values.shape[1])


def evenness(picture: Float[Tensor, "n 3 s s"], sure: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 1 1"]:
    """Return how far half of the pixels of a part are from its colour, of the range.

    Args:
        picture: In [0, 1].
        sure: Where the part is.
    """
    even = softened(picture, 2.0)
    away = (even - mean_of(even, sure)).abs().amax(1)
    rows = [row[where > 0.5] for row, where in zip(away, sure[:, 0], strict=True)]
    return torch.stack([row.median() if len(row) else row.new_ones(()) for row in rows])[:, None, None, None]


def softness(picture: Float[Tensor, "n 3 s s"], where: Float[Tensor, "n 1 s s"]) -> float:
    """Estimate how far a photograph blurs a line, as the deviation of a Gaussian in pixels.

    Blurring an already soft picture a little more changes its finest detail little: the shares of two fine bands say
    how much.

    Args:
        picture: In [0, 1].
        where: The part that counts: the face.
    """
    light = luma(picture)
    levels = [softened(light, pixels) for pixels in (0.0, 0.7, 1.4, 2.8)]
    bands = [mean_of((one - two).square(), where).mean() for one, two in pairwise(levels)]
    fine, middle = (float(one / two.clamp(min=1e-9)) for one, two in pairwise(bands))
    return SHARP + 1.3 * min(max(0.75 - fine, 0), 0.6) + 2 * min(max(0.4 - middle, 0), 0.3)
