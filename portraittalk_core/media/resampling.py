"""Sample and average pictures: what torch does, on a CPU by OpenCV, which takes a third to a tenth of the time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_EXACT = int(cv2.__version__.partition(".")[0]) >= 5
"""Whether OpenCV samples where it is told: before, it rounded places to 32nds of a pixel."""

_LAYERS = 4
"""That OpenCV samples at once."""

_BAND = 2**16
"""Pixels that are worked on together: what lies in between stays in a processor's cache, and costs no new memory."""

_APPLE = ("mps",)
"""Devices for which torch, in versions that are promised, has neither `bordered` nor solvers of linear systems."""


_FAR = 20.0
"""Distance from which on what falls off is nothing."""


def off_apple(tensor: Tensor) -> Tensor:
    """Return a tensor where everything can be computed: as float32 on the CPU instead of on Apple's GPU.

    Torch 2.6 to 2.10 samples there neither beyond a border nor bicubically, and solves nothing
    (pytorch/pytorch#125098, #151189, #176703).

    Args:
        tensor: Small, for it is copied.
    """
    return tensor.cpu().float() if tensor.device.type in _APPLE else tensor


def bordered(
    rows: Float[Tensor, "n c h w"], grid: Float[Tensor, "n a b 2"], mode: str = "bilinear"
) -> Float[Tensor, "n c a b"]:
    """Sample as `grid_sample` with `align_corners=False` does; beyond a row its edge pixels are repeated.

    Args:
        rows: Of any range.
        grid: x and y in [-1, 1].
        mode: bilinear or bicubic.
    """
    given = (off_apple(rows), off_apple(grid))
    return functional.grid_sample(*given, mode=mode, padding_mode="border", align_corners=False).to(rows)


def sampled(
    pictures: Float[Tensor, "#n c h w"], places: Float[Tensor, "n 2 a b"], cubic: bool = True
) -> Float[Tensor, "n c a b"]:
    """Sample pictures at places; beyond a picture its edge pixels are repeated.

    Args:
        pictures: Of any range; one is shared by all rows.
        places: x and y in [-1, 1], as for `grid_sample` with `align_corners=False`.
        cubic: Bicubically, else bilinearly.
    """
    if not (_EXACT and _for_opencv(pictures, places)):
        rows, grid = pictures.expand(len(places), -1, -1, -1), places.permute(0, 2, 3, 1)
        mode = "bicubic" if cubic else "bilinear"
        return bordered(rows, grid, mode)
    made = places.new_empty(len(places), pictures.shape[1], *places.shape[-2:])
    height, width = pictures.shape[-2:]
    way = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    layers = [part.permute(0, 2, 3, 1).contiguous().numpy() for part in pictures.split(_LAYERS, 1)]
    for row, band in ((row, band) for row in range(len(places)) for band in bands(*places.shape[-2:])):
        there = places[row, :, band]
        x, y = (torch.add(side / 2 - 0.5, there[k], alpha=side / 2).numpy() for k, side in ((0, width), (1, height)))
        for some, to in zip(layers, made[row, :, band].split(_LAYERS), strict=True):
            found = cv2.remap(some[row if len(some) > 1 else 0], x, y, way, borderMode=cv2.BORDER_REPLICATE)
            cv2.split(found, [*to.numpy()])
    return made


def interleaved(picture: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """Return the same picture, whose layers lie beside each other in memory: up to four are `sampled` faster.

    Args:
        picture: Of any range.
    """
    return picture[None].contiguous(memory_format=torch.channels_last)[0]


def bands(height: int, width: int) -> Iterator[slice]:
    """Yield rows of a large picture that are best worked on together, see `_BAND`.

    Args:
        height: Of the picture.
        width: Likewise.
    """
    rows = max(1, _BAND // max(1, width))
    for first in range(0, height, rows):
        yield slice(first, min(first + rows, height))


def enlarged(maps: Float[Tensor, "n c h w"], size: Sequence[int], cubic: bool = False) -> Float[Tensor, "n c a b"]:
    """Enlarge maps, bilinearly or bicubically.

    Args:
        maps: Of any range.
        size: Height and width of the result, pixels.
        cubic: Bicubically.
    """
    height, width = size
    if not _for_opencv(maps):
        mode = "bicubic" if cubic else "bilinear"
        return functional.interpolate(maps, (height, width), mode=mode, align_corners=False)
    made = maps.new_empty(*maps.shape[:2], height, width)
    way = cv2.INTER_CUBIC if cubic else cv2.INTER_LINEAR
    for small, large in zip(maps.flatten(0, 1), made.flatten(0, 1), strict=True):
        cv2.resize(small.contiguous().numpy(), (width, height), large.numpy(), interpolation=way)
    return made


def averaged(
    values: Float[Tensor, "n c h w"], half: int, times: int = 1, edge: bool = True
) -> Float[Tensor, "n c h w"]:
    """Return the means over squares around each pixel.

    Args:
        values: Pictures or masks.
        half: Half the side of the squares, without the pixel in the middle.
        times: How often: three times are nearly a Gaussian.
        edge: Whether edge pixels are repeated beyond the picture; else it is 0 there.
    """
    side = 2 * half + 1
    if not _for_opencv(values):
        for _ in range(times):
            around = functional.pad(values, (half,) * 4, mode="replicate" if edge else "constant")
            values = functional.avg_pool2d(around, side, 1)
        return values
    made = values.clone(memory_format=torch.contiguous_format)
    border = cv2.BORDER_REPLICATE if edge else cv2.BORDER_CONSTANT
    for layer in made.flatten(0, 1):
        plane = layer.numpy()
        for _ in range(times):
            cv2.blur(plane, (side, side), plane, borderType=border)
    return made


def largest(values: Float[Tensor, "n c h w"], half: int) -> Float[Tensor, "n c h w"]:
    """Return the largest value in a square around each pixel; beyond the picture there is nothing.

    Args:
        values: Pictures or masks.
        half: Half the side of the squares, without the pixel in the middle.
    """
    side = 2 * half + 1
    if not _for_opencv(values):
        rows = functional.max_pool2d(values, (side, 1), 1, (half, 0))
        return functional.max_pool2d(rows, (1, side), 1, (0, half))
    made = values.clone(memory_format=torch.contiguous_format)
    square = np.ones((side, side), np.uint8)
    for layer in made.flatten(0, 1):
        cv2.dilate(layer.numpy(), square, layer.numpy())
    return made


def falling_off(distance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return exp(-distance): 1 here, less and less further away, and nothing where it would be next to nothing.

    Processors multiply numbers below 1e-38 thirty times as slowly as others, and Gaussians are full of them.

    Args:
        distance: From 0; of a Gaussian squared, in half its variance.
    """
    return functional.threshold(torch.exp(-distance.clamp(max=_FAR)), 2 * math.exp(-_FAR), 0.0)


def _for_opencv(*values: Tensor) -> bool:
    """Say whether OpenCV can take them: numbers of single precision on a CPU, of which nobody wants gradients."""
    learns = torch.is_grad_enabled() and any(value.requires_grad for value in values)
    return not learns and all(value.device.type == "cpu" and value.dtype == torch.float32 for value in values)
