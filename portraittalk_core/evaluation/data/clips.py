"""The clip, what everything here is about, and how clips are found by files and folders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import BadInput, BadMedia
from ...media.target import file_there
from .expected import Expected

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
"""Endings of the files that count as videos."""

SOUND_SUFFIXES = (".wav", ".mp3", ".flac", ".m4a", ".ogg", *SUFFIXES)
"""Endings of the files that count as sounds; a video has a sound too."""


@dataclass(frozen=True)
class Clip:
    """A video to score."""

    path: Path
    """The video."""

    label: str
    """Its name in results and report, unique in a run."""

    sound: Path | None = None
    """A sound or video file whose sound replaces the video's own; None for its own."""

    reference: Path | None = None
    """The true video, which it is compared with; None where there is none."""

    facts: dict[str, Any] = field(default_factory=dict)
    """What is known of it before it is scored, by key of its record."""

    expected: Expected | None = None
    """What the protocol of its data set says of it; None for a clip of no set."""

    @property
    def signature(self) -> dict[str, str]:
        """Size and time of every file that the scores depend on, by `clip`, `sound` and `reference`."""
        files = {"clip": self.path, "sound": self.sound, "reference": self.reference}
        return {name: _stamp(path) for name, path in files.items() if path is not None}


def find_clips(
    videos: Sequence[str], audio: str | None = None, reference: str | None = None, output: str | None = None
) -> list[Clip]:
    """Find the clips that were named, by folder or one by one, with what belongs to each.

    A clip is called by its path in its folder; where two would have one name, by the path that was given.

    Args:
        videos: Video files and folders. Folders are searched through, without hidden files and `output`.
        audio: One sound for all clips, or a folder that holds a file of the same name for each; None for their own.
        reference: One true video for all clips, or a folder likewise; None for none.
        output: The folder of the report, whose own files are no clips.

    Returns:
        The clips, those of a folder in the order of their paths.

    Raises:
        BadMedia: When a name is not there.
        BadInput: When no video is found.
    """
    found: dict[Path, Path] = {}
    for name in videos:
        path = Path(name)
        if not path.exists():
            raise BadMedia(f"The video must exist, but there is no `{name}`. Check the name and the folder.")
        inside = _videos_in(path, output) if path.is_dir() else [path]
        found |= {file: file.relative_to(path) if path.is_dir() else Path(file.name) for file in inside}
    if not found:
        raise BadInput(
            f"There must be a video, but {', '.join(videos)} holds none ({' '.join(SUFFIXES)}). Name another."
        )
    sounds, truths = _companions(audio, "--audio", SOUND_SUFFIXES), _companions(reference, "--reference", SUFFIXES)
    names = list(found.values())
    return [
        Clip(
            path=file,
            label=printable((name if names.count(name) == 1 else file).as_posix()),
            sound=sounds(name),
            reference=truths(name),
        )
        for file, name in found.items()
    ]


def _videos_in(folder: Path, output: str | None) -> list[Path]:
    own = None if output is None else Path(output).resolve()
    files = (file for file in folder.rglob("*") if file.is_file() and file.suffix.lower() in SUFFIXES)
    shown = (file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    return sorted(file for file in shown if own is None or own not in file.resolve().parents or own == folder.resolve())


def _companions(given: str | None, option: str, suffixes: Sequence[str]) -> Callable[[Path], Path | None]:
    # A file that the folder lacks is reported with its clip, hence its path is returned all the same.
    if given is None:
        return lambda name: None
    base = Path(given)
    if not base.exists():
        raise BadMedia(f"`{option}` must be a file or a folder, but there is no `{given}`. Check the name.")
    if base.is_file():
        return lambda name: base

    def companion(name: Path) -> Path:
        candidates = [base / name.with_suffix(suffix) for suffix in (name.suffix, *suffixes)]
        return file_there(candidates) or base / name

    return companion


def printable(name: str) -> str:
    """Return a file's name as reports can hold it: what is no UTF-8, as in an old archive, as an escape.

    Args:
        name: As the system gave it.
    """
    return name.encode("utf-8", "backslashreplace").decode()


def _stamp(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    return f"{found.st_size} bytes, {found.st_mtime_ns}"
