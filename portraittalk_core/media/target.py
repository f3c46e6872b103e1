"""Check the files that are read and written; write all or nothing.

What is checked before the work is what is used after it: `check_target` makes, beside the target, a part file and a
file of the target's own name, which is what `Partial` and its `commit` will do.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import os
import shutil
import stat
import time
import uuid
from collections.abc import Iterable
from pathlib import Path

from ..errors import BadMedia
from .waiting import Unanswered, answered, is_silent
from .write_errors import BUSY, GONE, codes, read_remedy, reason_of, write_failure

VIDEO_SUFFIXES = (".mp4", ".webp")
"""Endings of videos that can be written."""

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
"""Endings of pictures that can be written."""

PART_FILES = ".portraittalk-*.part"
"""What files in the making are called, as a pattern; one is left only where a program was killed."""

RUN_VARIABLE = "PORTRAITTALK_RUN"
"""The environment variable that begins the names of part files: who kills its workers knows what they leave."""

_CLEANING_S = 10.0
_BUSY_S = (0.1, 0.4, 1.5, 4.0)
"""How long what is in use is waited for, each time; a viewer or a virus scanner holds a file for moments."""

_unfinished: dict[Path, int] = {}
"""Part files that exist, and the process that makes each. An interrupt may come between making one and its `with`."""


def existing_file(path: str | Path, what: str = "file") -> Path:
    """Return the absolute path of a file that is there, readable and not empty.

    The path is absolute so that a name with a colon is never taken for the address of a protocol.

    Args:
        path: The file.
        what: What messages call it.

    Raises:
        BadMedia: When it is missing, a folder, no ordinary file, unreadable or empty, or its disk does not answer.
    """
    return answered(lambda: _existing(path, what), path)


def _existing(path: str | Path, what: str) -> Path:
    found = Path(path).absolute()
    try:
        kind = found.stat().st_mode
        if stat.S_ISDIR(kind):
            raise BadMedia(f"The {what} must be a file, but `{path}` is a folder. Name a file in it.")
        if not stat.S_ISREG(kind):  # opening a pipe would wait for ever
            raise BadMedia(f"The {what} must be an ordinary file, but `{path}` is none. Save it as a file first.")
        with found.open("rb") as stream:
            head = stream.read(1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise BadMedia(f"The {what} must exist, but there is no `{path}`. Check the name and the folder.") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise BadMedia(f"The {what} `{path}` cannot be read ({reason_of(error)}). {read_remedy(error)}") from error
    if not head:
        raise BadMedia(f"The {what} must hold data, but `{path}` has zero bytes. Copy or export it again.")
    return found


def file_there(paths: Iterable[Path]) -> Path | None:
    """Return the first of some files that is there, None where none is.

    A name that the disk does not take, as one that was made of a long name may be, is that of no file.

    Args:
        paths: What is looked for, in order.
    """
    for path in paths:
        try:
            if path.is_file():
                return path
        except OSError as error:
            if error.errno not in codes(("ENAMETOOLONG", "EINVAL")):
                raise
    return None


def check_disk(path: str | Path, error: Exception) -> None:
    """Tell a disk that is gone from a damaged file, after an error while a file was read.

    Args:
        path: The file.
        error: What was raised.

    Raises:
        BadMedia: When it is the disk.
    """
    code = getattr(error, "errno", None)
    if code not in codes(GONE):
        return
    try:
        if code == errno.EIO:  # FFmpeg says so of files that end early, too
            with Path(path).open("rb") as file:
                file.seek(-1, os.SEEK_END)
                file.read(1)
            return
    except OSError as failed:
        error = failed
    raise BadMedia(f"`{path}` cannot be read any more ({reason_of(error)}). {read_remedy(error)}") from error


def check_target(path: str | Path, suffixes: tuple[str, ...] = VIDEO_SUFFIXES, folder: bool = True) -> Path:
    """Return the absolute path that a result will be written to; call it before any work is done.

    Args:
        path: The target. An existing file will be replaced; a path that ends in a slash, or an existing empty folder,
            means a folder of numbered pictures.
        suffixes: Endings that a file may have.
        folder: Whether the target may be a folder.

    Raises:
        BadMedia: When nothing can be written there, or its disk does not answer.
    """
    return answered(lambda: _checked_target(path, suffixes, folder), path)


def _checked_target(path: str | Path, suffixes: tuple[str, ...], folder: bool) -> Path:
    target = Path(path).absolute()
    try:
        if target.is_symlink() and not target.is_dir():
            target = _end_of(target)  # a link stays, and what it stands for is replaced
        there = target.is_dir()
        if folder and (str(path).endswith(("/", os.sep)) or there) and target.suffix.lower() not in suffixes:
            if target.exists() and (not there or any(target.iterdir())):
                raise BadMedia(f"The output folder must be new or empty, but `{path}` is neither. Name another folder.")
        elif target.suffix.lower() not in suffixes:
            also = ", or a folder name that ends in /" if folder else ""
            raise BadMedia(
                f"The output must end in {' or '.join(suffixes)}{also}, but got `{path}`. Change its ending."
            )
        elif there:
            raise BadMedia(f"The output must be a file, but `{path}` is a folder. Name a file in it.")
        elif target.exists() and not target.is_file():
            raise BadMedia(f"The output must be an ordinary file, but `{path}` is none. Choose another name.")
        elif target.exists() and not (os.access(target, os.W_OK) and _may_replace(target)):
            _try_writing(target, path)  # a disk that lets nothing be written says so
            raise BadMedia(f"The output `{path}` is write-protected. Choose another name or make it writable.")
        _try_writing(target, path)
    except (OSError, ValueError) as error:
        raise write_failure(path, error) from error
    return target


def _end_of(link: Path) -> Path:
    """Return the file that a link stands for, which need not exist."""
    with contextlib.suppress(FileNotFoundError):  # but not links that go round
        link.stat()
    return Path(os.path.realpath(link))


def check_folder(path: str | Path, option: str, *, deep: bool = True) -> Path:
    """Return the absolute path of a folder of results that can be made and written into; before any work is done.

    Args:
        path: The folder; it may exist and hold files.
        option: What messages call it, such as `--out`.
        deep: Whether folders above it are made as well; else a missing one is an error, as a wrong name often is.

    Raises:
        BadMedia: When it cannot be made or nothing can be written into it, or its disk does not answer.
    """
    return answered(lambda: _checked_folder(path, option, deep), path)


def _checked_folder(path: str | Path, option: str, deep: bool) -> Path:
    found = Path(path).absolute()
    try:
        if not deep and not found.parent.exists():
            raise BadMedia(f"The folder of `{option}` must exist, but `{found.parent}` does not. Create it first.")
        if found.exists() and not found.is_dir():
            raise BadMedia(f"`{option}` must be a folder, but `{path}` is a file. Name a folder.")
        nearest = next(parent for parent in (found, *found.parents) if parent.exists())
        if not nearest.is_dir():
            raise BadMedia(f"`{option}` must be a folder, but `{nearest}` is a file. Name another folder.")
        with _Probe(nearest) as probe:
            inside = probe / found.relative_to(nearest)
            inside.mkdir(parents=True, exist_ok=True)
            _touch(_part_name(inside))
    except (OSError, ValueError) as error:
        raise write_failure(path, error) from error
    return found


def _may_replace(target: Path) -> bool:
    """Return whether the folder lets this user replace a file: a sticky one only its owner, and that of the folder."""
    if not hasattr(os, "getuid"):
        return True
    above = target.parent.stat()
    return not above.st_mode & stat.S_ISVTX or os.getuid() in (0, above.st_uid, target.lstat().st_uid)


def _try_writing(target: Path, path: str | Path) -> None:
    parent = _parts_folder(target)
    if not parent.is_dir():
        raise BadMedia(f"The output folder must exist, but `{parent}` (of `{path}`) does not. Create it first.")
    # Real files are the only honest test: permission bits say nothing of read-only mounts, quotas, root or the
    # names that a file system refuses.
    with _Probe(parent) as probe:
        part = _part_name(probe)
        _touch(part, anywhere=target.suffix.lower() in VIDEO_SUFFIXES)
        os.replace(part, probe / (target.name or "x"))  # as `commit` does


class _Probe:
    """A hidden folder of the name that a part file will have, and a file in it; both are gone in the end."""

    def __init__(self, parent: Path) -> None:
        self._path = _part_name(parent)

    def __enter__(self) -> Path:
        _remember(self._path)
        self._path.mkdir()
        return self._path

    def __exit__(self, *_: object) -> None:
        _remove(self._path)


def _touch(path: Path, anywhere: bool = False) -> None:
    """Write a block; `anywhere` as who writes a video does: some shares take a file from beginning to end only."""
    with path.open("xb", buffering=0) as file:
        file.write(bytes(4096))  # a full disk takes names, and small files that fit beside them, but no block
        if anywhere:
            file.seek(0)
            file.write(bytes(1))
        try:
            os.fsync(file.fileno())  # a quota or a network share may refuse only now
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some file systems know no syncing
                raise


def _remember(path: Path) -> None:
    """See to it that a part file is gone when the process ends, wherever an interrupt met it."""
    if not _unfinished:
        atexit.unregister(remove_unfinished)
        atexit.register(remove_unfinished)
    _unfinished[path] = os.getpid()


def remove_unfinished() -> None:
    """Delete the part files of this process that nobody has finished or discarded; the interpreter's end does it."""
    for path in [path for path, process in list(_unfinished.items()) if process == os.getpid()]:
        if not is_silent(path):  # a share that hangs must not hold the end up, too
            _remove(path)


def remove_of_run(run: str, folders: Iterable[Path]) -> None:
    """Delete the part files that the killed workers of a run have left.

    Args:
        run: What `RUN_VARIABLE` was for them.
        folders: Where their targets are.
    """
    pattern = PART_FILES.replace("*", f"{run}*")
    for folder in folders:
        with contextlib.suppress(OSError, Unanswered):
            for path in answered(functools.partial(_listed, folder, pattern), folder, _CLEANING_S):
                _remove(path)


def _listed(folder: Path, pattern: str) -> list[Path]:
    return list(folder.glob(pattern))


def _remove(path: Path) -> None:
    """Delete a part file or folder, whatever is wrong with it: who cleans up has an error to report already."""

    def delete() -> None:
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)

    with contextlib.suppress(OSError, Unanswered):
        answered(delete, path, _CLEANING_S)
    _unfinished.pop(path, None)


def _replace(part: Path, target: Path) -> None:
    """Rename a file that took minutes to make, and do not give it up for what passes."""
    passing = (
        *codes(BUSY),
        *(codes(("EACCES", "EPERM")) if os.name == "nt" else ()),
    )  # what Windows says of open files
    for wait_s in _BUSY_S:
        try:
            return os.replace(part, target)
        except OSError as error:
            if error.errno not in passing:
                raise
        time.sleep(wait_s)
    os.replace(part, target)


def _part_name(parent: Path) -> Path:
    return parent / PART_FILES.replace("*", os.environ.get(RUN_VARIABLE, "") + uuid.uuid4().hex[:8])


def _parts_folder(target: Path) -> Path:
    """Return where the part file lies: beside the target, or inside a folder that is a mount and cannot be replaced."""
    return target if target.is_dir() and _is_fixed(target) else target.parent


def _is_fixed(folder: Path) -> bool:
    return os.path.ismount(folder) or folder.resolve() == Path.cwd() or folder.is_symlink()


class Partial:
    """A file or folder in the making, beside its target; `commit` renames it, `discard` deletes it.

    As a context manager it commits on success and discards on any exception, KeyboardInterrupt included, so that
    the target is always either the old one or the whole new one.

    Args:
        target: What it becomes.
        folder: Whether it is a folder, which is made at once.

    Raises:
        BadMedia: When the folder cannot be made.
    """

    def __init__(self, target: Path, *, folder: bool = False) -> None:
        self.target = target
        self.path = _part_name(_parts_folder(target) if folder else target.parent)
        _remember(self.path)
        if folder:
            try:
                self.path.mkdir()
            except OSError as error:
                raise write_failure(target, error) from error

    def commit(self) -> None:
        """Put the finished result in the target's place: in one step, but for a folder that is a mount.

        Raises:
            BadMedia: When it cannot be put there.
        """
        try:
            if self.path.parent == self.target:
                for file in sorted(self.path.iterdir()):
                    _replace(file, self.target / file.name)
                self.path.rmdir()
                _unfinished.pop(self.path, None)
                return
            if self.path.is_dir() and self.target.is_dir():
                self.target.rmdir()
            _replace(self.path, self.target)
        except OSError as error:
            raise write_failure(self.target, error) from error
        _unfinished.pop(self.path, None)

    def discard(self) -> None:
        """Delete what was written so far. Calling it twice is harmless, and it never raises."""
        _remove(self.path)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if kind is None:
                self.commit()
        finally:
            self.discard()
