"""People whose pictures are stored, with everything that is known of them; `make_people.py` drew them."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from portraittalk_core.media.image import read_image

DATA = Path(__file__).parent / "data"


@dataclass(frozen=True)
class StoredPerson:
    """One picture."""

    picture: Tensor
    """[3, 256, 256] in [-1, 1]."""
    landmarks: Tensor
    """MediaPipe's points [478, 2] in [-1, 1]."""
    blendshapes: Tensor
    """[52]."""
    rotation: Tensor
    """Yaw, pitch and roll as the renderer has them, degrees."""
    tags: dict[str, str]
    person: int
    """Number of who it is."""


@functools.cache
def stored_people() -> list[StoredPerson]:
    """Return the eight pictures: four people from the front and at rest, then each in another appearance, speaking."""
    strip = read_image(DATA / "people.jpg", longest_side=None)
    rows = json.loads((DATA / "people.json").read_text(encoding="utf-8"))
    return [
        StoredPerson(
            picture.clone(),
            torch.tensor(row["landmarks"]).view(478, 2),
            torch.tensor(row["blendshapes"]),
            torch.tensor(row["rotation"]),
            row["tags"],
            row["person"],
        )
        for picture, row in zip(strip.split(256, 2), rows, strict=True)
    ]


@functools.cache
def talking_face() -> dict[str, Tensor]:
    """Return iBUG's points of a face in space [70, 3], `rest`, and how far each word of a motion moves them."""
    found = json.loads((DATA / "talk.json").read_text(encoding="utf-8"))
    return {name: torch.tensor(values).view(70, 3) for name, values in found.items()}
