"""What Load Photographs and Load Recordings do: list a folder of the host's inputs, and read its files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from ..portraittalk_core.errors import BadInput

if TYPE_CHECKING:
    from .host_values import Audio

HERE = "."
"""The folder of inputs itself."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""Ends of the names of pictures."""

SOUNDS = (".wav", ".mp3", ".flac", ".m4a", ".ogg", ".opus", ".aac", ".mp4", ".mov", ".mkv", ".webm")
"""Ends of the names of recordings; of a video it is the sound."""

_FORBIDDEN = re.compile(r'[<>:"/\\|?*%\x00-\x1f]')
"""What a file's name may not hold on some system, and what the host takes for a placeholder."""


def folders() -> list[str]:
    """Return the folders of the host's inputs, that itself first; hidden ones and what is in those are left out."""
    import folder_paths

    root = Path(folder_paths.get_input_directory())
    inside = (folder.relative_to(root) for folder in root.glob("**/") if folder != root)
    return [HERE, *sorted(str(folder) for folder in inside if not any(part[0] == "." for part in folder.parts))]


def files(folder: str, ends: Sequence[str]) -> list[Path]:
    """Return the files of a folder by name.

    Args:
        folder: Of `folders`.
        ends: Of the names that count.

    Raises:
        BadInput: For a folder that is not one of the inputs', and for one without such files.
    """
    place = _place(folder)
    found = sorted((file for file in place.iterdir() if file.is_file()), key=lambda file: file.name.lower())
    chosen = [file for file in found if file.suffix.lower() in ends and not file.name.startswith(".")]
    if not chosen:
        raise BadInput(f"`folder` must hold files that end in {', '.join(ends)}, but {place} has none. Put one there.")
    return chosen


def fingerprint(folder: str, ends: Sequence[str]) -> str:
    """Return what changes with the files of a folder; see `files`."""
    return "\n".join(f"{file.name} {file.stat().st_mtime_ns} {file.stat().st_size}" for file in files(folder, ends))


def names(found: Sequence[Path], prefix: str) -> list[str]:
    """Return what the videos of files are called, without their ends.

    Args:
        found: Of `files`.
        prefix: What every name begins with.
    """
    return [prefix + _FORBIDDEN.sub("_", file.stem) for file in found]


def picture(file: Path) -> Tensor:
    """Return a file as IMAGE of one picture. Raises `BadMedia` for a damaged one."""
    from ..portraittalk_core.media.image import read_image
    from . import convert

    return convert.images(read_image(file)[None])


def sound(file: Path) -> Audio:
    """Return the sound of a file as AUDIO. Raises `BadMedia` for a damaged one, or one without sound."""
    from ..portraittalk_core.media.audio import read_sound
    from . import convert

    return convert.audio(read_sound(file))


def _place(folder: str) -> Path:
    import folder_paths

    root = Path(folder_paths.get_input_directory()).resolve()
    place = (root / folder).resolve()
    if not place.is_relative_to(root) or not place.is_dir():
        raise BadInput(f"`folder` must be one of ComfyUI's input folder, {root}, but got {folder!r}. Choose another.")
    return place
