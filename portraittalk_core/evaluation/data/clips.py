"""Find the clips of a run by files and folders, each with the sound and the reference that go with its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import BadInput, BadMedia
from ..scoring.score import Clip

SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v", ".mpg", ".mpeg")
SOUND_SUFFIXES = (".wav", ".mp3", ".flac", ".m4a", ".ogg", *SUFFIXES)
"""Endings of the files that count as videos, and as sounds; a video has a sound too."""


def find_clips(
    videos: Sequence[str], audio: str | None = None, reference: str | None = None, output: str | None = None
) -> list[Clip]:
    """Return the clips that were named, by folder or one by one, with what belongs to each.

    Folders are searched through, hidden ones and the report's own left out. A clip is called by its path in its folder;
    where two would have one name, by the path that was given. Raises `BadMedia` for names that are not there and
    `BadInput` where no video is found.
    """
    found: dict[Path, Path] = {}
    for name in videos:
        path = Path(name)
        if not path.exists():
            raise BadMedia(f"The video must exist, but there is no `{name}`. Check the name and the folder.")
        inside = _videos_in(path, output) if path.is_dir() else [path]
        found |= {file: file.relative_to(path) if path.is_dir() else Path(file.name) for file in inside}
    if not found:
        raise BadInput(f"`evaluate` needs a video, but {', '.join(videos)} holds none ({' '.join(SUFFIXES)}).")
    sounds, truths = _companions(audio, "--audio", SOUND_SUFFIXES), _companions(reference, "--reference", SUFFIXES)
    names = list(found.values())
    return [
        Clip(
            path=file,
            label=(name if names.count(name) == 1 else file).as_posix(),
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
    """Return which file goes with the video of a name: one for all, or that of the same name in a folder.

    A file that the folder lacks is reported with its clip, hence its path is returned all the same.
    """
    if given is None:
        return lambda name: None
    base = Path(given)
    if not base.exists():
        raise BadMedia(f"`{option}` must be a file or a folder, but there is no `{given}`. Check the name.")
    if base.is_file():
        return lambda name: base

    def companion(name: Path) -> Path:
        candidates = [base / name.with_suffix(suffix) for suffix in (name.suffix, *suffixes)]
        return next((file for file in candidates if file.is_file()), base / name)

    return companion
