"""Check the files that are read and written; write all or nothing."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from pathlib import Path

from ..errors import BadMedia

VIDEO_SUFFIXES = (".mp4", ".webp")
"""Endings of videos that can be written."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of pictures that can be written."""


def existing_file(path: str | Path, what: str = "file") -> Path:
    """Return the absolute path of a file that is there, readable and not empty.

    The path is absolute so that a name with a colon is never taken for the address of a protocol.

    Args:
        path: The file.
        what: What messages call it.

    Raises:
        BadMedia: When it is missing, a folder, unreadable or empty.
    """
    found = Path(path).absolute()
    if not found.exists():
        raise BadMedia(f"The {what} must exist, but there is no `{path}`. Check the name and the folder.")
    if found.is_dir():
        raise BadMedia(f"The {what} must be a file, but `{path}` is a folder. Name a file in it.")
    try:
        with found.open("rb") as stream:
            head = stream.read(1)
    except OSError as error:
        raise BadMedia(f"The {what} `{path}` cannot be read ({error.strerror}). Check its permissions.") from error
    if not head:
        raise BadMedia(f"The {what} must hold data, but `{path}` has zero bytes. Copy or export it again.")
    return found


def check_target(path: str | Path, suffixes: tuple[str, ...] = VIDEO_SUFFIXES, folder: bool = True) -> Path:
    """Return the absolute path that a result will be written to; call it before any work is done.

    Args:
        path: The target. An existing file will be replaced; a path that ends in a slash, or an existing empty folder,
            means a folder of numbered pictures.
        suffixes: Endings that a file may have.
        folder: Whether the target may be a folder.

    Raises:
        BadMedia: When nothing can be written there.
    """
    target = Path(path).absolute()
    if folder and (str(path).endswith(("/", os.sep)) or target.is_dir()) and target.suffix.lower() not in suffixes:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise BadMedia(f"The output folder must be new or empty, but `{path}` is neither. Name another folder.")
    elif target.suffix.lower() not in suffixes:
        also = ", or a folder name that ends in /" if folder else ""
        raise BadMedia(f"The output must end in {' or '.join(suffixes)}{also}, but got `{path}`. Change its ending.")
    elif target.is_dir():
        raise BadMedia(f"The output must be a file, but `{path}` is a folder. Name a file in it.")
    elif target.exists() and not os.access(target, os.W_OK):
        raise BadMedia(f"The output `{path}` is write-protected. Choose another name or make it writable.")
    _check_parent(target.parent, path)
    return target


def _check_parent(parent: Path, path: str | Path) -> None:
    if not parent.is_dir():
        raise BadMedia(f"The output folder must exist, but `{parent}` (of `{path}`) does not. Create it first.")
    try:
        # A real file is the only honest test: permission bits say nothing of read-only mounts, quotas or root.
        with tempfile.TemporaryFile(dir=parent) as probe:
            probe.write(b"\0")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise BadMedia(
            f"The output folder `{parent}` cannot be written to ({reason}). Choose another folder."
        ) from error


class Partial:
    """A file or folder in the making, beside its target; `commit` renames it, `discard` deletes it.

    As a context manager it commits on success and discards on any exception, KeyboardInterrupt included, so that
    the target is always either the old one or the whole new one.

    Args:
        target: What it becomes.
        folder: Whether it is a folder, which is made at once.
    """

    def __init__(self, target: Path, *, folder: bool = False) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
        if folder:
            self.path.mkdir()

    def commit(self) -> None:
        """Put the finished result in the target's place in one step."""
        if self.path.is_dir() and self.target.is_dir():
            self.target.rmdir()
        os.replace(self.path, self.target)

    def discard(self) -> None:
        """Delete what was written so far. Calling it twice is harmless."""
        if self.path.is_dir():
            shutil.rmtree(self.path, ignore_errors=True)
        else:
            self.path.unlink(missing_ok=True)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()
