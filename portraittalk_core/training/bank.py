"""A bank of rendered avatars on disk: drawn once, encoded once, read many times.

A person in the bank has several looks (hair, clothes, glasses, beard, background), each drawn in several
expressions and poses under the same light. Pairs of frames of one person are what the model learns from: with the
same look it learns to keep, with another look it learns to obey the prompt.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..avatars import landmarks as avatar_landmarks
from ..avatars import parameters as traits
from ..avatars.render import Renderer

logger = logging.getLogger(__name__)

EDITABLE = ("hair", "style", "background", "clothes", "beard", "glasses")
"""The attributes that a prompt may change; everything else belongs to the person."""

REDRAWN = 0.85
"""Chance that an attribute differs between two looks: edits must pay, or the model learns to copy."""


@dataclass(frozen=True)
class Bank:
    """An opened bank; row i of every array is frame i.

    tags: what a caption can say of each frame; person and look: to whom a frame belongs; latents and embeddings are
    None until `encode_bank` and `embed_bank` have run.
    """

    frames: np.ndarray
    landmarks: Float[Tensor, "n 70 2"]
    parameters: Float[Tensor, "n p"]
    person: np.ndarray
    look: np.ndarray
    tags: list[dict[str, str]]
    latents: Float[Tensor, "n c h w"] | None
    embeddings: Float[Tensor, "n 512"] | None

    @classmethod
    def open(cls, folder: Path) -> Bank:
        """Open a finished bank; the frames stay on disk."""
        index = json.loads((folder / "index.json").read_text())

        def optional(name: str) -> Tensor | None:
            file = folder / name
            return torch.from_numpy(np.load(file)) if file.exists() else None

        return cls(
            frames=np.load(folder / "frames.npy", mmap_mode="r"),
            landmarks=torch.from_numpy(np.load(folder / "landmarks.npy")),
            parameters=torch.from_numpy(np.load(folder / "parameters.npy")),
            person=np.array(index["person"]),
            look=np.array(index["look"]),
            tags=index["tags"],
            latents=optional("latents.npy"),
            embeddings=optional("embeddings.npy"),
        )


def draw_looks(count: int, generator: torch.Generator) -> list[traits.Traits]:
    """Return `count` looks of one person; each redraws most editable attributes of the first and keeps the rest."""
    first = traits.sample_attributes(generator)
    looks = [first]
    for _ in range(count - 1):
        fresh = traits.sample_attributes(generator)
        keep = {t for t in EDITABLE if float(torch.rand((), generator=generator)) >= REDRAWN}
        tags = {t: (first if t in keep else fresh).tags[t] for t in EDITABLE if t in first.tags}
        looks.append(traits.attributes_from_tags(tags, generator))
    return looks


def draw_person(looks: int, frames: int, generator: torch.Generator) -> list[tuple[int, Tensor, dict[str, str]]]:
    """Return (look, parameters, tags) for every frame of a new person."""
    person, light = traits.sample_identity(generator), traits.sample_light(generator)
    rows: list[tuple[int, Tensor, dict[str, str]]] = []
    for number, look in enumerate(draw_looks(looks, generator)):
        for _ in range(frames):
            expression, pose = traits.sample_expression(generator), traits.sample_pose(generator)
            tags = {**person.tags, **look.tags, **expression.tags}
            rows.append((number, traits.pack(person, look, expression, pose, light), tags))
    return rows


def render_bank(
    folder: Path, people: int, *, looks: int = 2, frames: int = 3, seed: int = 0, size: int = 256, threads: int = 1
) -> Path:
    """Draw a bank of `people * looks * frames` pictures into `folder`; does nothing when it is already there."""
    if (folder / "index.json").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    generator = torch.Generator().manual_seed(seed)
    rows = [(p, *row) for p in range(people) for row in draw_person(looks, frames, generator)]
    parameters = torch.stack([row[2] for row in rows])
    np.save(folder / "parameters.npy", parameters.numpy())
    np.save(folder / "landmarks.npy", avatar_landmarks.landmarks(parameters).float().numpy())
    store = np.lib.format.open_memmap(folder / "frames.npy", "w+", "uint8", (len(rows), 3, size, size))
    renderer = Renderer(size=size)
    for start in range(0, len(rows), 64):
        pictures = renderer(parameters[start : start + 64])
        store[start : start + 64] = ((pictures + 1) * 127.5).round().clamp(0, 255).byte().numpy()
        if start % 960 == 0:
            logger.info("rendered %d of %d frames", start, len(rows))
    store.flush()
    index: dict[str, Any] = {
        "person": [row[0] for row in rows],
        "look": [row[1] for row in rows],
        "tags": [row[3] for row in rows],
        "seed": seed,
    }
    (folder / "index.json").write_text(json.dumps(index))
    return folder


def encode_bank(
    folder: Path, encode: Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b c h w"]], *, force: bool = False
) -> None:
    """Store the latents of every frame as float16 in `latents.npy`."""
    file = folder / "latents.npy"
    if file.exists() and not force:
        return
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    parts: list[np.ndarray] = []
    with torch.no_grad():
        for start in range(0, len(frames), 32):
            batch = torch.from_numpy(np.array(frames[start : start + 32])).float() / 127.5 - 1
            parts.append(encode(batch).half().numpy())
            if start % 960 == 0:
                logger.info("encoded %d of %d frames", start, len(frames))
    np.save(file, np.concatenate(parts))


def embed_bank(folder: Path, embed: Callable[[np.ndarray, Tensor], Tensor], *, force: bool = False) -> None:
    """Store the identity embedding of every frame in `embeddings.npy`.

    embed: (uint8 frames [b, 3, h, w], landmarks [b, 70, 2]) -> [b, 512], unit length.
    """
    file = folder / "embeddings.npy"
    if file.exists() and not force:
        return
    frames = np.load(folder / "frames.npy", mmap_mode="r")
    points = torch.from_numpy(np.load(folder / "landmarks.npy"))
    parts = [
        embed(np.array(frames[s : s + 32]), points[s : s + 32]).float().numpy() for s in range(0, len(frames), 32)
    ]
    np.save(file, np.concatenate(parts))
