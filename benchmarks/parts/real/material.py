"""The people: clips, photographs and recordings of a folder, and what may be shown of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import UInt8
from torch import Tensor

from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import from_bytes, to_bytes
from portraittalk_core.media.video import read_video
from portraittalk_core.types import Sound

PICTURES = (".png", ".jpg", ".jpeg", ".webp")
SOUNDS = (".wav", ".mp3", ".flac", ".ogg", ".m4a")


@dataclass(frozen=True)
class Clip:
    """A video of a person who speaks."""

    name: str
    """Of its file, without the ending."""

    levels: UInt8[Tensor, "f 3 h w"]
    """Its frames, 0 to 255."""

    fps: float
    """Frames a second, those left out not counted."""

    sound: Sound | None
    """Its own."""

    def frame(self, number: int) -> Tensor:
        """Return a frame in [-1, 1].

        Args:
            number: Of the frame.
        """
        return from_bytes(self.levels[number])


def clips(folder: Path) -> list[Path]:
    """Name the clips of a folder.

    Args:
        folder: Holds .mp4 files.
    """
    return sorted(folder.glob("*.mp4"))


def read_clip(path: Path, frames: int, step: int = 1) -> Clip:
    """Read the beginning of a clip.

    Args:
        path: The file.
        frames: How many of its frames count, at most.
        step: Of these, every how many are kept.
    """
    chunks, fps, sound = read_video(path)
    found: list[Tensor] = []
    for chunk in chunks:
        found.append(to_bytes(chunk.pixels))
        if sum(map(len, found)) >= frames:
            break
    return Clip(path.stem, torch.cat(found)[:frames][::step].contiguous(), fps / step, sound)


def files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """Name the files of a folder that end so, in order.

    Args:
        folder: Is searched, without the folders in it.
        endings: Such as `PICTURES`.
    """
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in endings)


def recordings(folder: Path, seconds: float) -> Iterator[tuple[str, Sound]]:
    """Read the recordings of a folder.

    Args:
        folder: Holds them.
        seconds: What is longer is cut.

    Yields:
        Name and sound.
    """
    for path in files(folder, SOUNDS):
        sound = read_sound(path)
        yield path.stem, cut(sound, seconds)


def cut(sound: Sound, seconds: float) -> Sound:
    """Return the beginning of a recording.

    Args:
        sound: Of any length.
        seconds: What is kept, at most.
    """
    return Sound(sound.samples[:, : round(seconds * sound.sample_rate)], sound.sample_rate)


def mono(sound: Sound) -> Tensor:
    """Return the mean of the channels.

    Args:
        sound: Of any number of channels.
    """
    return sound.samples.float().mean(0)


def may_be_shown(folder: Path) -> set[str]:
    """Name the files of a folder that may be published: those that its manifest calls `ok`.

    Args:
        folder: Whose MANIFEST.json, or that of the folder around it, says so for each file.

    Returns:
        File names; none where there is no manifest.
    """
    for place in (folder, folder.parent):
        manifest = place / "MANIFEST.json"
        if manifest.exists():
            entries = json.loads(manifest.read_text(encoding="utf-8"))["files"]
            return {Path(e["file"]).name for e in entries if e.get("redistribution") == "ok"}
    return set()


def same_person(one: str, other: str) -> bool:
    """Say whether two files show one person, by their names: a number, then who it is.

    Args:
        one: Such as `c03_grid_lwbsza`.
        other: Such as `p15_grid_lwbsza_frame0`.
    """
    a, b = (name.partition("_")[2] for name in (one, other))
    return bool(a) and bool(b) and (a.startswith(b) or b.startswith(a))
