"""Rendered people on disk, drawn once and read by everything that learns from pictures.

A bank is a folder of shards, each drawn by one process from seeds that its number decides, so several processes fill
a bank together, an interrupted drawing goes on, and training can begin with what is there.

    python -m portraittalk_core.training.people.bank --out runs/people --shards 100 --part 0/2
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float16, Float32, Int, UInt8
from numpy import ndarray

from ...errors import BadInput
from ...people.anatomy import load_anatomy
from ...people.caption import tags
from ...people.drawing import place_camera
from ...people.landmarks import mix_landmarks, project_vertices
from ...people.person import Person
from ...people.renderer import Renderer
from ...people.scene import Scene
from .draw import Shot, draw_shots, framed

log = logging.getLogger(__name__)

PEOPLE_A_SHARD = 16

SIZE = 256
"""Side of the pictures, pixels."""

MAP_SIZE = 128
"""Side of the maps, cells."""

_NUMBERS = ("age", "male", "muscle", "weight", "melanin", "blood", "freckles", "moles", "brow")


@dataclass(frozen=True)
class Bank:
    """Pictures of people with their truth; row i of every field is picture i, a person's pictures in a row."""

    pixels: list[UInt8[ndarray, "k size size 3"]]
    """One array a shard, mapped into memory."""

    shard: Int[ndarray, "n"]
    """In which shard a picture lies."""

    row: Int[ndarray, "n"]
    """In which row of it."""

    landmarks: Float32[ndarray, "n 478 2"]
    """MediaPipe's points, in [-1, 1]."""

    blendshapes: Float32[ndarray, "n 52"]
    """What the face does."""

    rotation: Float32[ndarray, "n 3"]
    """Yaw, pitch and roll in degrees."""

    person: Int[ndarray, "n"]
    """Seed of who is shown."""

    appearance: Int[ndarray, "n"]
    """0: the clip whose maps point to its first frame; 2: another light; all else: other attributes."""

    tags: list[dict[str, str]]
    """What a caption can say of each picture."""

    traits: Float32[ndarray, "people k"]
    """What makes each person's face, standardised; in the order of the pictures."""

    folder: Path
    """Where it lies."""

    numbers: tuple[int, ...]
    """Under which numbers its shards are stored."""

    def __len__(self) -> int:
        return len(self.row)

    def picture(self, i: int) -> UInt8[ndarray, "size size 3"]:
        """Return a picture, RGB in 0..255.

        Args:
            i: Its number.
        """
        return np.asarray(self.pixels[self.shard[i]][self.row[i]])

    def maps(self, shard: int) -> tuple[Float16[ndarray, "k m m 2"], Bool[ndarray, "k m m"], UInt8[ndarray, "k m m"]]:
        """Return the maps of a shard's pictures; those of appearances but the first hold nothing.

        Args:
            shard: As `Bank.shard` counts.

        Returns:
            Where each cell lies in the reference frame ([-1, 1]), whether it is seen there, and its segment.
        """
        with np.load(self.folder / f"{self.numbers[shard]:05d}.npz") as stored:
            return stored["source"], stored["visible"], stored["segments"]

    def at_rest(self) -> Float32[ndarray, "n 478 2"]:
        """Return MediaPipe's points of every picture with the mouth at rest, in [-1, 1].

        Raises:
            BadInput: When the bank was drawn of shots that know nothing of it.
        """
        return _points(self.fact("at_rest"))

    def fact(self, name: str) -> ndarray:
        """Return a fact of every picture that the bank's shots had besides.

        Args:
            name: See `Shot.facts`.

        Raises:
            BadInput: When a shard keeps nothing of that name.
        """
        parts: list[ndarray] = []
        for number in self.numbers:
            with np.load(self.folder / f"{number:05d}.npz") as stored:
                if name not in stored.files:
                    raise BadInput(f"{self.folder}: shard {number} keeps no {name!r}. Name another folder of people.")
                parts.append(stored[name])
        return np.concatenate(parts)


def open_bank(folder: Path, shards: range | None = None) -> Bank:
    """Open what is drawn of a bank.

    Args:
        folder: Where it lies.
        shards: Which shards; None for all that are there.

    Raises:
        BadInput: When there is none.
    """
    found = sorted(int(file.stem) for file in folder.glob("[0-9]*.npz") if file.with_suffix(".npy").exists())
    chosen = [k for k in found if shards is None or k in shards]
    if not chosen:
        raise BadInput(f"{folder}: holds no people. Draw them with `python -m {__spec__.name} --out {folder}`.")
    small = [_facts(folder / f"{k:05d}.npz") for k in chosen]
    joined = {name: np.concatenate([s[name] for s in small]) for name in small[0] if name != "tags"}
    traits = joined["traits"].astype(np.float32)
    sizes = [len(s["person"]) for s in small]
    return Bank(
        pixels=[np.load(folder / f"{k:05d}.npy", mmap_mode="r") for k in chosen],
        shard=np.repeat(np.arange(len(chosen)), sizes),
        row=np.concatenate([np.arange(size) for size in sizes]),
        landmarks=_points(joined["landmarks"]),
        blendshapes=joined["blendshapes"].astype(np.float32),
        rotation=joined["rotation"],
        person=joined["person"],
        appearance=joined["appearance"],
        tags=[row for s in small for row in json.loads(str(s["tags"]))],
        traits=(traits - traits.mean(0)) / (traits.std(0) + 1e-3),
        folder=folder,
        numbers=tuple(chosen),
    )


def _points(vertices: Float32[ndarray, "n 478 2"]) -> Float32[ndarray, "n 478 2"]:
    """Return MediaPipe's points of what shards keep: the vertices near them, so that the mixture may change."""
    return mix_landmarks(vertices)


_FACTS = ("landmarks", "blendshapes", "rotation", "person", "appearance", "tags", "traits")


def _facts(file: Path) -> dict[str, ndarray]:
    with np.load(file) as stored:
        return {name: stored[name] for name in _FACTS}


Shots = Callable[[int], list[Shot]]
"""What a bank shows of the person of a seed; only the first shot's pictures have maps."""


def draw_bank(
    folder: Path,
    shards: range,
    textures: Path | None = None,
    seed: int = 0,
    *,
    shots: Shots = draw_shots,
    people: int = PEOPLE_A_SHARD,
) -> None:
    """Draw the shards that are missing.

    Args:
        folder: Where the bank lies.
        shards: Their numbers, which decide the people.
        textures: Folder of MakeHuman's textures, or None for painted skin alone.
        seed: Of the first person; people of one bank count from it.
        shots: What is drawn of each person; all of a bank keep the same facts.
        people: In a shard.
    """
    folder.mkdir(parents=True, exist_ok=True)
    renderer: Renderer | None = None
    for k in shards:
        if (folder / f"{k:05d}.npy").exists() and (folder / f"{k:05d}.npz").exists():
            continue
        renderer = renderer or Renderer(SIZE, textures)
        pixels, facts = _draw_shard(renderer, range(seed + k * people, seed + (k + 1) * people), shots)
        stored: dict[str, Any] = facts
        np.savez(folder / f"{k:05d}.npz", **stored)
        partial = folder / f"{k:05d}.part.npy"
        np.save(partial, pixels)
        partial.replace(folder / f"{k:05d}.npy")
        log.info("drew shard %d", k)


def _draw_shard(
    renderer: Renderer, people: range, shots: Shots
) -> tuple[UInt8[ndarray, "n size size 3"], dict[str, ndarray]]:
    rows: dict[str, list[ndarray]] = {}
    known: list[dict[str, str]] = []
    for seed in people:
        drawn = shots(seed)
        for number, shot in enumerate(drawn):
            scene = framed(renderer.actor(shot.person), shot, SIZE)
            clip = renderer.render(shot.person, shot.blendshapes, shot.rotation, scene, maps=number == 0)
            count = len(clip.pixels)
            found = {
                "pixels": clip.pixels,
                "landmarks": clip.vertices / SIZE * 2 - 1,
                "blendshapes": shot.blendshapes.astype(np.float16),
                "rotation": shot.rotation,
                "person": np.full(count, seed),
                "appearance": np.full(count, number),
                **_small_maps(clip.maps, count),
                **shot.facts,
            }
            if shot.at_rest is not None:
                found["at_rest"] = _vertices(renderer, shot, scene, shot.at_rest) / SIZE * 2 - 1
            for name, value in found.items():
                rows.setdefault(name, []).append(value)
            known += [_tags(shot.person, mood) for mood in shot.expressions]
        rows.setdefault("traits", []).append(_traits(drawn[0].person)[None])
    joined = {name: np.concatenate(values) for name, values in rows.items()}
    pixels = joined.pop("pixels")
    return pixels, {**joined, "tags": np.array(json.dumps(known))}


def _vertices(
    renderer: Renderer, shot: Shot, scene: Scene, blendshapes: Float32[ndarray, "n 52"]
) -> Float32[ndarray, "n 478 2"]:
    """Return the vertices near the points of a shot's frames, were the face to do something else, in pixels."""
    actor = renderer.actor(shot.person)
    matrix = place_camera(actor, scene.camera).matrix
    poses = [actor.rig.pose(row, turn) for row, turn in zip(blendshapes, shot.rotation, strict=True)]
    return np.stack([project_vertices(actor, pose, matrix, renderer.size) for pose in poses])


def _small_maps(maps: object, count: int) -> dict[str, ndarray]:
    """Thin maps out to `MAP_SIZE`: a cell takes what one of its pixels has, for means of two things are neither."""
    from ...people.renderer import Maps

    if not isinstance(maps, Maps):
        shape = (count, MAP_SIZE, MAP_SIZE)
        return {
            "source": np.zeros((*shape, 2), np.float16),
            "visible": np.zeros(shape, bool),
            "segments": np.zeros(shape, np.uint8),
        }
    step = SIZE // MAP_SIZE
    near = slice(step // 2, None, step)
    # The pixel beside a cell's middle lies half a pixel right of and below it; so does what it shows in the reference.
    source = (maps.source[:, near, near] - 0.5) / SIZE * 2 - 1
    return {
        "source": source.astype(np.float16),
        "visible": maps.visible[:, near, near],
        "segments": maps.segments[:, near, near],
    }


def _tags(person: Person, mood: str) -> dict[str, str]:
    return {"sex": "male" if person.male > 0.5 else "female", **tags(replace(person, expression=mood))}


def _traits(person: Person) -> Float32[ndarray, "k"]:
    names = list(load_anatomy().local)
    shape = dict(person.local)
    numbers = [*(getattr(person, name) for name in _NUMBERS), *person.ancestry]
    return np.array([*(shape.get(name, 0.0) for name in names), *numbers], np.float32)


def drawing_parser(
    description: str | None, shards: int, holds: str = f"{PEOPLE_A_SHARD} people"
) -> argparse.ArgumentParser:
    """Return the command line of what draws shards, alone or beside others.

    Args:
        description: Of the command.
        shards: How many it draws unless told otherwise.
        holds: What is in each.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of what is drawn")
    parser.add_argument("--shards", type=int, default=shards, help=f"of {holds} each ({shards})")
    parser.add_argument("--part", default="0/1", metavar="I/N", help="which of N processes this one is (0/1)")
    parser.add_argument("--textures", type=Path, help="folder of MakeHuman's CC0 textures (painted skin alone)")
    return parser


def begin_drawing(given: argparse.Namespace) -> range:
    """Set up the process, and return which shards are its own.

    Args:
        given: What `drawing_parser` has read.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)
    number, parts = (int(value) for value in given.part.split("/"))
    return range(number, given.shards, parts)


def main() -> None:
    """Read the command line and draw."""
    parser = drawing_parser(__doc__, 100)
    parser.add_argument("--seed", type=int, default=0, help="of the first person (0)")
    given = parser.parse_args()
    draw_bank(given.out, begin_drawing(given), given.textures, given.seed)


if __name__ == "__main__":
    main()
