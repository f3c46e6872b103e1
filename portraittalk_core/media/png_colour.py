"""What a PNG without a colour profile says of its colours: the chunks gAMA and cHRM, as viewers honour them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from PIL.Image import Image

USUAL_GAMMA = 1 / 2.2
"""What nearly every file says, and is as good as sRGB."""

SRGB = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""White, red, green and blue of sRGB: x and y of each."""

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_CLOSE_GAMMA, _CLOSE_PLACE = 0.02, 0.005


def as_srgb(picture: Image, said: Mapping[str | tuple[int, int], Any]) -> Image:
    """Return a picture in sRGB.

    Args:
        picture: RGB, without a profile.
        said: `Image.info` of the file that it was read from. Nothing is changed where it says nothing, or sRGB, or what
            no picture can have.
    """
    gamma, places = said.get("gamma"), said.get("chromaticity")
    if "srgb" in said or not isinstance(gamma, float) or not 0.1 <= gamma <= 4:
        return picture
    matrix = np.eye(3) if places is None else _to_srgb(places)
    wide = matrix is not None and np.abs(np.subtract(places or SRGB, SRGB)).max() > _CLOSE_PLACE
    if not wide and abs(gamma - USUAL_GAMMA) < _CLOSE_GAMMA:
        return picture
    from PIL import Image as pil

    light = (np.arange(256, dtype=np.float32) / 255) ** np.float32(1 / gamma)
    linear = light[np.asarray(picture)]
    if wide:
        linear = (linear @ np.asarray(matrix, np.float32).T).clip(0, 1)
    shown = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** np.float32(1 / 2.4) - 0.055)
    return pil.fromarray((255 * shown).round().astype(np.uint8), "RGB")


def _to_srgb(places: tuple[float, ...]) -> np.ndarray | None:
    """Return what linear light of other primaries is multiplied by; None for primaries that span no colours."""
    if len(places) != 8 or min(places[1::2]) <= 0:
        return None
    try:
        there, here = _to_xyz(places), _to_xyz(SRGB)
        whites = [_BRADFORD @ matrix.sum(axis=1) for matrix in (here, there)]
        adapted = np.linalg.solve(_BRADFORD, np.diag(whites[0] / whites[1]) @ _BRADFORD)
        found = np.linalg.solve(here, adapted @ there)
    except np.linalg.LinAlgError:
        return None
    return found if np.isfinite(found).all() and np.abs(found).max() < 10 else None


def _to_xyz(places: tuple[float, ...]) -> np.ndarray:
    """Return the matrix from linear light of primaries to XYZ, whose white has a Y of 1."""
    x, y = np.array(places[::2]), np.array(places[1::2])
    columns = np.stack([x / y, np.ones(4), (1 - x - y) / y])
    return columns[:, 1:] * np.linalg.solve(columns[:, 1:], columns[:, 0])
