"""Prepare pictures for CLIP's image encoder, as the public adapters were fed."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..media.image import to_bytes

SIDE = 224
"""Side of the pictures that CLIP's image encoders take, pixels."""

MEAN, SPREAD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of the pixels that CLIP was trained on (github.com/openai/CLIP)."""

_TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
_TEMPLATE_SIDE = 112


def clip_pixels(pictures: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 224 224"]:
    """Return pictures as CLIP wants them: 224 x 224, bicubic, normalised by its mean and spread.

    A picture is squeezed to a square, not cut: AniPortrait resizes its reference so before the processor sees it. The
    numbers are those of transformers' `CLIPImageProcessor` on a picture of bytes.

    Args:
        pictures: RGB in [-1, 1], of any size.
    """
    from PIL import Image

    rows: list[Tensor] = []
    for picture in to_bytes(pictures).cpu().permute(0, 2, 3, 1).numpy():
        small = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        rows.append(torch.from_numpy(np.asarray(small).copy()).permute(2, 0, 1).float() / 255)
    return (torch.stack(rows) - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None]


def aligned_face(
    picture: Float[Tensor, "3 h w"], landmarks: Float[Tensor, "70 2"], side: int = SIDE
) -> Float[Tensor, "3 side side"]:
    """Return the face of a picture turned and scaled onto ArcFace's template, as `insightface`'s `norm_crop` does.

    The five points are the irises, the tip of the nose and the corners of the mouth, of iBUG's 68 with irises; the
    original takes the five of its detector, which differ by a pixel or two.

    Args:
        picture: RGB in [-1, 1].
        landmarks: Of the face, in pixels of the picture: `types.Face.ibug`.
        side: Of the result, pixels.

    Returns:
        The face, RGB in [-1, 1]; black where it reaches beyond the picture.
    """
    import cv2

    irises = landmarks[[68, 69]]  # the picture's left one first, as in the template
    points = torch.cat([irises[irises[:, 0].argsort()], landmarks[[30, 48, 54]]])
    matrix = _similarity(points.double().numpy(), np.array(_TEMPLATE) * side / _TEMPLATE_SIDE)
    pixels = to_bytes(picture).cpu().permute(1, 2, 0).numpy()
    warped: Any = cv2.warpAffine(np.ascontiguousarray(pixels), matrix, (side, side), borderValue=(0, 0, 0))
    return torch.from_numpy(warped.copy()).permute(2, 0, 1).float() / 127.5 - 1


def _similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Fit rotation, scale and shift [2, 3] by least squares (Umeyama, in the plane: one complex number)."""
    a, b = (points[:, 0] + 1j * points[:, 1] for points in (source, target))
    turn = np.vdot(a - a.mean(), b - b.mean()) / np.vdot(a - a.mean(), a - a.mean()).real
    shift = b.mean() - turn * a.mean()
    return np.array([[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]])
