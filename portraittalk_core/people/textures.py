"""Optional pictures of skin (MakeHuman's, CC0), used as detail over the painted tone."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from ..errors import BadInput
from .person import Person

PROCEDURAL_SHARE = 0.3
"""Share of people whose skin is painted without a picture even where a folder is given."""
_FACE = (slice(420, 800), slice(800, 950))
"""Rows and columns, of 1024, of the face in MakeHuman's textures."""


def skin_pictures(folder: Path) -> list[Path]:
    """Return the skin pictures of a folder of textures.

    Raises:
        BadInput: The folder has none.
    """
    paths = sorted((folder / "skins").glob("*_diffuse*.jpg"))
    if not paths:
        raise BadInput(f"`textures` must be a folder with MakeHuman's skins/*_diffuse.jpg, but {folder} has none.")
    return paths


def choose_skin(paths: list[Path], person: Person) -> Path | None:
    """Return the picture for a person, by age, sex and tone; None for a skin without one."""
    if person.skin_texture < PROCEDURAL_SHARE:
        return None
    age = "young" if person.age < 36 else "middleage" if person.age < 58 else "old"
    words = (f"{age}_", "dark" if person.melanin > 0.7 else "light", "_male" if person.male > 0.5 else "_female")
    fitting = [p for p in paths if all(word in p.name for word in words)] or paths
    share = (person.skin_texture - PROCEDURAL_SHARE) / (1 - PROCEDURAL_SHARE)
    return fitting[min(int(share * len(fitting)), len(fitting) - 1)]


@functools.lru_cache(maxsize=24)
def skin_detail(path: Path) -> UInt8[ndarray, "512 512 3"]:
    """Read a picture of skin as detail: linear light over the mean of the face, 128 for the mean itself.

    Rows go upwards, as textures of OpenGL do.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise BadInput(f"`textures`: {path} cannot be read as a picture.")
    picture = cv2.resize(picture, (1024, 1024), interpolation=cv2.INTER_AREA)
    linear = (picture.astype(np.float32) / 255) ** 2.2
    ratio = linear / linear[_FACE].reshape(-1, 3).mean(0)
    ratio = cv2.resize(ratio, (512, 512), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(np.clip(ratio * 128, 0, 255).astype(np.uint8)[::-1])
