"""A bank of rendered avatars: drawn once, encoded once, read many times.

A person in the bank has several appearances (hair, clothes, glasses, beard, background), each drawn in several
expressions and poses under the same light. Pairs of frames of one person are what the model learns from: with the
same appearance it learns to keep, with another appearance it learns to obey the prompt.

Pictures stay on the disk, for a hundred thousand of them fill 20 GB and their latents 1.6; a step reads those of its
references.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ...avatars import landmarks as avatar_landmarks
from ...avatars import parameters as traits
from ...avatars.render import Renderer
from ...errors import BadInput
from ..model import VAE_FACTOR

logger = logging.getLogger(__name__)

EDITABLE = ("hair", "style", "background", "clothes", "beard", "glasses")
"""The attributes that a prompt may change; everything else belongs to the person."""

REDRAWN = (0.85, 0.25)
"""Chance that an attribute differs between two appearances, the one or the other: large changes, or edits must pay too
little and the model learns to copy; small ones, for then all else must stay."""

ALONE = 0.35
"""Chance that an appearance differs from the first in one attribute only, and surely: what people ask for most, and
what a model that sees it seldom ignores, for a mustache that stays costs little where hair and clothes change as
well."""

ALONE_CHANCES = {"beard": 0.4, "glasses": 0.3, "hair": 0.1, "style": 0.1, "clothes": 0.05, "background": 0.05}
"""Which attribute that is: the smallest in the picture most often, by the same reasoning."""

SAME_POSE, NEAR_POSE, NEAR_SPREAD = 0.25, 0.45, 0.3
"""Chance that a picture has the head pose of the person's first one, chance that it is near, and how far it strays
then, as a share of all poses; the others have any. So it is in a video of speech, which never leaves its portrait by
much. Where poses are always far apart, no copy of the reference is exact, and what is learned then is to blur it."""

SAME_MOOD = 0.5
"""Chance that brows and smile are those of the person's first picture and only mouth and eyes move."""

Encode = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b c h w"]]
Embed = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 70 2"]], Float[Tensor, "b 512"]]


@dataclass(frozen=True)
class FrameEncoders:
    """What a bank keeps of a picture besides its pixels, and where it is made."""

    encode: Encode
    """Pictures in [-1, 1] to latents."""

    embed: Embed
    """Pictures in [-1, 1] and their landmarks to unit face embeddings."""

    device: torch.device | str
    """Where pictures are drawn and encoded."""


@dataclass(frozen=True)
class Album:
    """Frames that are yet to be drawn; row i of every field is frame i."""

    parameters: Float[Tensor, "n p"]
    """What the renderer draws a frame from, see `avatars.parameters.PARAMETERS`."""

    person: np.ndarray
    """To whom a frame belongs, int [n]; a person's frames follow one another."""

    appearance: np.ndarray
    """Which appearance of the person a frame shows, from 0, int [n]."""

    tags: list[dict[str, str]]
    """What a caption can say of each frame, by attribute."""

    def landmarks(self) -> Float[Tensor, "n 70 2"]:
        """Return the exact landmarks of every frame."""
        return torch.cat([avatar_landmarks.landmarks(part).float() for part in self.parameters.split(4096)])


@dataclass(frozen=True)
class Bank:
    """An album that has been drawn and encoded: the pictures as latents, the faces as embeddings."""

    album: Album
    """What was drawn."""

    landmarks: Float[Tensor, "n 70 2"]
    """Exact, in [-1, 1]."""

    latents: Float[Tensor, "n c h w"]
    """Of the pictures at the size that is trained on, float16."""

    embeddings: Float[Tensor, "n 512"]
    """Of the faces, unit length."""

    pictures: np.ndarray
    """uint8, [n, 3, size, size] at the model's own size: an array, or a file that is mapped into memory."""

    @classmethod
    def open(cls, folder: Path, size: int = 256) -> Bank:
        """Read a bank that `make_bank` finished.

        Args:
            folder: Where it lies.
            size: Side in pixels of the pictures whose latents are read.

        Raises:
            BadInput: When the bank holds no latents of that size.
        """
        if not (folder / f"latents_{size}.npy").exists():
            raise BadInput(f"{folder}: holds no latents of pictures of {size} pixels. Name another folder for them.")
        index = json.loads((folder / "index.json").read_text())
        parameters, landmarks, latents, embeddings = (
            torch.from_numpy(np.load(folder / f"{name}.npy"))
            for name in ("parameters", "landmarks", f"latents_{size}", "embeddings")
        )
        album = Album(
            parameters, np.array(index["person"]), np.array(index.get("appearance", index.get("look"))), index["tags"]
        )
        return cls(album, landmarks, latents, embeddings, np.load(folder / "pictures.npy", mmap_mode="r"))

    def read_pictures(self, rows: Int[Tensor, "k"], device: torch.device) -> Float[Tensor, "k 3 s s"]:
        """Return some pictures in [-1, 1], eight times the side of the latents.

        Args:
            rows: Of the album.
            device: Where they are wanted.
        """
        pixels = to_pixels(torch.from_numpy(self.pictures[rows.cpu().numpy()]).to(device))
        side = self.latents.shape[-1] * VAE_FACTOR
        return pixels if side == pixels.shape[-1] else F.interpolate(pixels, (side, side), mode="area")


def draw_appearances(count: int, generator: torch.Generator) -> list[traits.Traits]:
    """Draw how one person may appear; each redraws some editable attributes of the first and keeps the rest.

    Args:
        count: Of appearances.
        generator: From which they follow.
    """
    first = traits.sample_attributes(generator)
    appearances = [first]
    for _ in range(count - 1):
        if float(torch.rand((), generator=generator)) < ALONE:
            appearances.append(_edited(first, generator))
            continue
        fresh = traits.sample_attributes(generator)
        draw = torch.rand(1 + len(EDITABLE), generator=generator)
        chance = REDRAWN[int(draw[0] < 0.5)]
        appearances.append(
            traits.mixed(fresh, first, {t for t, d in zip(EDITABLE, draw[1:], strict=True) if d >= chance})
        )
    return appearances


def _edited(first: traits.Traits, generator: torch.Generator) -> traits.Traits:
    """Return an appearance of which one attribute is another, whatever the first one is."""
    chances = torch.tensor([ALONE_CHANCES[tag] for tag in EDITABLE])
    tag = EDITABLE[int(torch.multinomial(chances, 1, generator=generator))]
    while (fresh := traits.sample_attributes(generator)).tags[tag] == first.tags[tag]:
        pass
    return traits.mixed(fresh, first, set(EDITABLE) - {tag})


def draw_person(appearances: int, frames: int, generator: torch.Generator) -> list[tuple[int, Tensor, dict[str, str]]]:
    """Draw a new person.

    Args:
        appearances: Of the person.
        frames: Of each appearance.
        generator: From which everything follows.

    Returns:
        (appearance, parameters, tags) of every frame.
    """
    person, light = traits.sample_identity(generator), traits.sample_light(generator)
    first: tuple[traits.Traits, traits.Traits] | None = None
    rows: list[tuple[int, Tensor, dict[str, str]]] = []
    for number, appearance in enumerate(draw_appearances(appearances, generator)):
        for _ in range(frames):
            expression, pose = traits.sample_expression(generator), traits.sample_pose(generator)
            if first is not None:
                expression, pose = _like(*first, expression, pose, generator)
            first = first or (expression, pose)
            tags = {**person.tags, **appearance.tags, **expression.tags}
            rows.append((number, traits.pack(person, appearance, expression, pose, light), tags))
    return rows


def _like(
    mood: traits.Traits,
    usual: traits.Traits,
    expression: traits.Traits,
    pose: traits.Traits,
    generator: torch.Generator,
) -> tuple[traits.Traits, traits.Traits]:
    """Return an expression and a pose as they follow the first ones in speech or, now and then, as they are."""
    which, far, keep = torch.rand(3, generator=generator).tolist()
    share = 0.0 if which < SAME_POSE else NEAR_SPREAD * far if which < SAME_POSE + NEAR_POSE else 1.0
    near = traits.Traits({k: v + share * (pose.values[k] - v) for k, v in usual.values.items()})
    if keep >= SAME_MOOD:
        return expression, near
    kept = {name: mood.values[name] for name in ("smile", "brow_raise", "brow_frown")}
    return traits.Traits(expression.values | kept, mood.tags), near


def draw_album(people: Sequence[int], *, appearances: int = 2, frames: int = 3, processes: int = 1) -> Album:
    """Draw an album.

    Args:
        people: Each named by the seed from which everything about them follows.
        appearances: Of each person.
        frames: Of each appearance.
        processes: That draw; the album is the same for any number.
    """
    parts = in_processes(_draw_people, list(people), (appearances, frames), processes)
    rows = [row for part in parts for row in part]
    return Album(
        torch.from_numpy(np.stack([row[2] for row in rows])),
        np.array([row[0] for row in rows]),
        np.array([row[1] for row in rows]),
        [row[3] for row in rows],
    )


def _draw_people(people: list[int], appearances: int, frames: int) -> list[tuple[int, int, np.ndarray, dict[str, str]]]:
    torch.set_num_threads(1)
    rows: list[tuple[int, int, np.ndarray, dict[str, str]]] = []
    for person in people:
        drawn = draw_person(appearances, frames, torch.Generator().manual_seed(person))
        rows += [(person, appearance, parameters.numpy(), tags) for appearance, parameters, tags in drawn]
    return rows


def in_processes(work: Callable[..., Any], items: list[int], arguments: tuple[Any, ...], processes: int) -> list[Any]:
    """Return the results for parts of a list, in order, spread over processes.

    Args:
        work: Takes a part and the arguments; importable, where there are several processes.
        items: Cut into parts of 256.
        arguments: The same for every part.
        processes: One works here.
    """
    parts = [items[start : start + 256] for start in range(0, len(items), 256)]
    if processes <= 1:
        return [work(part, *arguments) for part in parts]
    # Spawned, because a fork would inherit a GPU context that it cannot use.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return [future.result() for future in [pool.submit(work, part, *arguments) for part in parts]]


def render_frames(
    parameters: Float[Tensor, "n p"], device: torch.device | str = "cpu", *, size: int = 256, compile: bool = True
) -> Iterator[UInt8[Tensor, "b 3 size size"]]:
    """Yield the pictures of an album in batches, in [0, 255].

    Args:
        parameters: One row a frame.
        device: Where they are drawn and stay.
        size: Side of a picture in pixels.
        compile: Compile the renderer first: minutes once, then several times as fast.
    """
    batch = 8 * max(1, 256 // size) ** 2 if torch.device(device).type == "cpu" else 256
    renderer = Renderer(size=size, batch=batch, compile=compile)
    for start in range(0, len(parameters), batch):
        pictures = renderer(parameters[start : start + batch].to(device))
        yield ((pictures + 1) * 127.5).round().clamp(0, 255).byte()
        if start % (batch * 100) == 0:
            logger.info("rendered %d of %d frames", start, len(parameters))


def to_pixels(frames: UInt8[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
    """Return stored pictures in [-1, 1].

    Args:
        frames: In [0, 255].
    """
    return frames.float() / 127.5 - 1


@torch.no_grad()
def encode_frames(
    parameters: Float[Tensor, "n p"],
    landmarks: Float[Tensor, "n 70 2"],
    encoders: FrameEncoders,
    sizes: Sequence[int],
    pictures: np.ndarray,
) -> tuple[list[Float[Tensor, "n c h w"]], Float[Tensor, "n 512"]]:
    """Draw frames and encode them.

    Args:
        parameters: Of the frames, one row each.
        landmarks: Of the frames, in [-1, 1].
        encoders: Make latents and embeddings.
        sizes: Sides in pixels at which latents are made.
        pictures: Is filled with the frames, uint8, [n, 3, size, size].

    Returns:
        Latents (float16, one tensor a size) and embeddings, on the CPU.
    """
    latents: list[list[Tensor]] = [[] for _ in sizes]
    embeddings: list[Tensor] = []
    done = 0
    for frames in render_frames(parameters, encoders.device, size=pictures.shape[-1]):
        pixels = to_pixels(frames)
        pictures[done : done + len(frames)] = frames.cpu().numpy()
        for size, found in zip(sizes, latents, strict=True):
            small = pixels if size == pixels.shape[-1] else F.interpolate(pixels, (size, size), mode="area")
            found.append(encoders.encode(small).half().cpu())
        marks = landmarks[done : done + len(pixels)].to(encoders.device)
        embeddings.append(encoders.embed(pixels, marks).float().cpu())
        done += len(pixels)
    return [torch.cat(found) for found in latents], torch.cat(embeddings)


def is_made(folder: Path) -> bool:
    """Say whether a bank is finished; one without pictures is of an earlier kind.

    Args:
        folder: Where it lies.
    """
    return (folder / "index.json").exists() and (folder / "pictures.npy").exists()


def make_bank(folder: Path, album: Album, encoders: FrameEncoders, sizes: Sequence[int] = (128, 256)) -> None:
    """Draw an album and encode it, unless that was done already.

    Args:
        folder: Where the bank will lie.
        album: What is drawn.
        encoders: Make latents and embeddings.
        sizes: Sides in pixels at which latents are made; pictures are drawn at the largest.
    """
    if is_made(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    landmarks = album.landmarks()
    shape = (len(landmarks), 3, max(sizes), max(sizes))
    pictures: Any = np.lib.format.open_memmap(folder / "pictures.npy", mode="w+", dtype=np.uint8, shape=shape)
    latents, embeddings = encode_frames(album.parameters, landmarks, encoders, sizes, pictures)
    pictures.flush()
    arrays = {"parameters": album.parameters, "landmarks": landmarks, "embeddings": embeddings}
    arrays |= {f"latents_{size}": found for size, found in zip(sizes, latents, strict=True)}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array.numpy())
    index = {"person": album.person.tolist(), "appearance": album.appearance.tolist(), "tags": album.tags}
    (folder / "index.json").write_text(json.dumps(index))
