"""What colours say where face parsing has seen too little: how far hair falls, and where below a chin clothes begin.

Face parsing knows squares around heads, and the less the nearer their ends. There its surest pixels are samples of what
hair, skin and clothes look like in this photograph, and colours and edges say the rest (GrabCut, Rother et al., 2004),
but only where the samples can be told from one another.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..topology import SEGMENTS
from .face_parser import guided
from .masked import blurred, mean_of, softened
from .surroundings import Surroundings, away, cut_part, laid

LARGEST = 384
"""Pixels a side at which colours say where something ends."""

_ROUNDS = 4
_SURE = 0.9  # share that is no question
_FEW = 0.001  # share of the pixels that are too few for a sample
_LIKE = 0.1  # of the range: deviation of hair's colour at least
_MAY_BE = 0.3  # share from which on something may be hair
_FALLS, _BESIDE = 2.6, 1.9  # half crops below and beside the crop's middle, in which hair falls
_NEAR, _INSIDE = 1.35, 0.75  # half crops around it: what is there must be told from hair, and is what it is read as
_TOLD = 0.1  # share of what is not hair that has its colour, at most, where hair is told by it
_NECK, _CHIN, _PASSES = 1.4, 0.62, 0.1  # half crops: the square around a neck, where it begins, and how softly
_SPREAD, _MISTAKEN = 0.03, 0.2  # deviation of a colour at least; share of skin or clothes that may look like the other
_ENDS = 0.4  # of half the square's side, over which what is said of a neck fades out


def grab_cut(picture: Float[Tensor, "3 s s"], mask: np.ndarray) -> np.ndarray:
    """Let colours say what a mask leaves open.

    Args:
        picture: In [-1, 1].
        mask: OpenCV's `GC_` values, [s, s]; changed.

    Returns:
        Where the foreground is, [s, s].
    """
    levels = ((picture.flip(0).permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy()
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(np.ascontiguousarray(levels), mask, (0, 0, 0, 0), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.isin(mask, (cv2.GC_FGD, cv2.GC_PR_FGD))


def fallen_hair(
    picture: Float[Tensor, "1 3 s s"], read: Float[Tensor, "1 segments s s"], where: Surroundings
) -> Float[Tensor, "1 1 s s"]:
    """Return where the hair of a head falls, if nothing around it has its colour; 0 everywhere else.

    Args:
        picture: The square that holds a photograph, in [-1, 1].
        read: What face parsing says of it.
        where: The crop lies in it.
    """
    side = min(LARGEST, picture.shape[-1])
    small, shares = (functional.interpolate(values, (side, side), mode="area") for values in (picture, read))
    place, hair = (shares[:, [SEGMENTS.index(name)]] for name in ("background", "hair"))
    other = shares[:, [SEGMENTS.index(name) for name in ("skin", "clothes", "accessory")]].amax(1, keepdim=True)
    distance = away(where, side)
    sure = ((hair > _SURE) & (distance < 1)).float()
    near, inside = (((place > _SURE) & (distance < far)) | (other > _SURE) for far in (_NEAR, _INSIDE))
    alike = like((small + 1) / 2, sure)
    if sure.mean() < _FEW or float(mean_of(alike, near.float())) > _TOLD:
        return torch.zeros_like(picture[:, :1])
    axis = (torch.arange(side) * 2 + 1) / side - 1
    beside, below = ((axis - middle) / where.crop.side for middle in where.middle)
    reach = (beside.abs() < _BESIDE)[None] & ((below > 0) & (below < _FALLS))[:, None]
    mask = _mask(alike > 0.5, sure > 0, ~reach | inside)
    falls = connected_with(torch.from_numpy(grab_cut(small[0], mask))[None, None] * reach.float(), sure)
    return guided(falls, picture)


def with_collar(
    picture: Float[Tensor, "1 3 s s"], parts: Float[Tensor, "1 segments s s"], where: Surroundings
) -> Float[Tensor, "1 segments s s"]:
    """Say anew where below a chin skin ends and clothes begin, if the two have different colours.

    Args:
        picture: The square that holds a photograph, in [-1, 1].
        parts: Its segments.
        where: The crop lies in it.
    """
    skin, clothes = ([SEGMENTS.index(name)] for name in ("skin", "clothes"))
    large, side = where.crop.side * _NECK, min(LARGEST, max(1, round(where.crop.side * _NECK * picture.shape[-1])))
    shown, shares = (cut_part(values, where.middle, large, side) for values in (picture, parts))
    down = (((torch.arange(side) * 2 + 1) / side - 1) * _NECK)[:, None]  # half crops from the crop's middle
    face = ((shares[:, skin] > _SURE) & (down < _CHIN)).float()
    cloth = ((shares[:, clothes] > _SURE) & (down > 1)).float()
    even = softened((shown + 1) / 2, 1.0)
    rather = _surprise(even, cloth) - _surprise(even, face)
    mistaken = max(float(mean_of((rather > 0).float(), cloth)), float(mean_of((rather < 0).float(), face)))
    if min(float(face.mean()), float(cloth.mean())) < _FEW or mistaken > _MISTAKEN:
        return parts
    either = shares[:, skin] + shares[:, clothes]
    mask = _mask(rather > 0, face > 0, (down < _CHIN) | (either < 0.5) | (cloth > 0))
    bare = guided(torch.from_numpy(grab_cut(shown[0], mask))[None, None].float(), shown)
    change = ((down - _CHIN) / _PASSES).clamp(0, 1) * (bare * either - shares[:, skin])
    change = laid(torch.zeros_like(picture[:, :1]), change, where.middle, large, _ENDS)
    made = parts.clone()
    made[:, skin] += change
    made[:, clothes] -= change
    return made.clamp(0, 1)


def like(shown: Float[Tensor, "1 3 s s"], sure: Float[Tensor, "1 1 s s"]) -> Float[Tensor, "1 1 s s"]:
    """Return how far each pixel has the colour of a part.

    Args:
        shown: In [0, 1].
        sure: Where surely is the part.
    """
    even = softened(shown, 1.0)
    mean = mean_of(even, sure)
    spread = mean_of((even - mean).square().sum(1, keepdim=True), sure).clamp(min=_LIKE**2)
    return torch.exp(-0.5 * ((even - mean).square().sum(1, keepdim=True) / spread - 3).clamp(min=0))


def connected_with(likely: Float[Tensor, "1 1 s s"], sure: Float[Tensor, "1 1 s s"]) -> Float[Tensor, "1 1 s s"]:
    """Leave of what may be hair what is connected with the hair of the head.

    Args:
        likely: How likely it is hair.
        sure: Where surely is hair.
    """
    _, labels = cv2.connectedComponents((likely[0, 0].cpu().numpy() > _MAY_BE).astype(np.uint8))
    known = np.unique(labels[(sure[0, 0].cpu().numpy() > 0.5) & (labels > 0)])
    return likely * blurred(torch.from_numpy(np.isin(labels, known)).to(likely)[None, None], 0.004)


def _mask(likely: Tensor, surely: Tensor, never: Tensor) -> np.ndarray:
    """Return OpenCV's mask of a part."""
    mask = np.where(likely[0, 0].numpy(), cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[never.expand_as(likely)[0, 0].numpy()] = cv2.GC_BGD
    mask[surely[0, 0].numpy()] = cv2.GC_FGD
    return mask


def _surprise(shown: Float[Tensor, "1 3 s s"], part: Float[Tensor, "1 1 s s"]) -> Float[Tensor, "1 1 s s"]:
    """Return how little each pixel's colour is to be expected in a part, as a Gaussian has it."""
    mean = mean_of(shown, part)
    spread = mean_of((shown - mean).square(), part).clamp(min=_SPREAD**2)
    return ((shown - mean).square() / spread + spread.log()).sum(1, keepdim=True)
