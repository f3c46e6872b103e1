"""Tar shards as WebDataset has them, with an index that checks every sample; written and read by the standard library.

A sample is the files of one key, one after the other:

| file | holds |
|---|---|
| `KEY.0000.jpg` ... | a frame each, 25 a second, square (`.webp` where that was asked for) |
| `KEY.wav` | the sound, 16 kHz, one channel, 640 samples a frame; missing where there is none |
| `KEY.points.npy` | float32 [frames, 478, 2], MediaPipe's points in [-1, 1] of the square |
| `KEY.motion.npy` | float32 [frames, 58], ARKit's 52 coefficients and the 6 of the pose, as the fitter reads them |
| `KEY.faces.npy` | float32 [k, 512], unit embeddings of k frames |
| `KEY.latents.npy` | float16 [frames, c, h, w], latents of the frames, where `--latents` was given |
| `KEY.speech.npy` | float16 [frames, d], features of the sound, there too |
| `KEY.txt` | the caption |
| `KEY.json` | who, from where, what was measured, which frames were embedded |

`index.json` names every shard with its SHA-256, and every sample in it with its place and its own SHA-256, so that a
sample is read without the others, and a broken one is known before it is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import BadMedia
from ..media.target import Partial
from ..media.write_errors import write_failure

logger = logging.getLogger(__name__)

INDEX = "index.json"
"""The file that says what a folder of shards holds."""

_END = bytes(2 * tarfile.BLOCKSIZE)


def pack(key: str, files: Mapping[str, bytes]) -> bytes:
    """Return a sample as a piece of a tar file: the same files give the same bytes.

    Args:
        key: Of the sample; has no dot.
        files: By ending, such as `0000.jpg`, in the order of the tar.
    """
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for ending, content in files.items():
            entry = tarfile.TarInfo(f"{key}.{ending}")
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
        length = tar.offset
    return out.getvalue()[:length]


def unpack(key: str, piece: bytes) -> dict[str, bytes]:
    """Undo `pack`.

    Args:
        key: Of the sample.
        piece: Of a tar file.

    Raises:
        BadMedia: When it is no piece of a tar file, or holds another sample.
    """
    try:
        with tarfile.open(fileobj=io.BytesIO(piece + _END)) as tar:
            files = {entry.name: _content(tar, entry) for entry in tar}
    except tarfile.TarError as error:
        raise BadMedia(f"sample {key}: is no piece of a tar file ({error}). Prepare it again.") from error
    if not files or any(name.partition(".")[0] != key for name in files):
        raise BadMedia(f"sample {key}: holds files of another. Prepare it again.")
    return {name.partition(".")[2]: content for name, content in files.items()}


def _content(tar: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(entry)
    return b"" if file is None else file.read()


def digest(content: bytes) -> str:
    """Return the SHA-256 of bytes."""
    return hashlib.sha256(content).hexdigest()


def array_bytes(values: np.ndarray) -> bytes:
    """Return an array as a .npy file.

    Args:
        values: Of any shape.
    """
    out = io.BytesIO()
    np.save(out, np.ascontiguousarray(values), allow_pickle=False)
    return out.getvalue()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, a crash of the machine included.

    Args:
        path: The file; its folder is made.
        content: What it will hold.

    Raises:
        BadMedia: When it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Partial(path) as partial, partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise write_failure(path, error) from error


class ShardWriter:
    """Joins samples to one shard, whole or not at all.

    Args:
        path: Of the shard.
    """

    def __init__(self, path: Path) -> None:
        self.samples: list[dict[str, Any]] = []
        self.bytes = 0
        self._partial = Partial(path)
        self._file = self._partial.path.open("wb")
        self._digest = hashlib.sha256()

    def add(self, entry: Mapping[str, Any], piece: bytes) -> None:
        """Append a sample.

        Args:
            entry: What the index says of it besides its place.
            piece: Of `pack`.
        """
        self.samples.append({**entry, "offset": self.bytes, "bytes": len(piece), "sha256": digest(piece)})
        self._write(piece)

    def _write(self, piece: bytes) -> None:
        self._file.write(piece)
        self._digest.update(piece)
        self.bytes += len(piece)

    def finish(self, split: str) -> dict[str, Any]:
        """Put the shard in its place; return what the index says of it.

        Args:
            split: That it is of.
        """
        self._write(_END)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        self._partial.commit()
        said = {"file": self._partial.target.name, "split": split, "bytes": self.bytes}
        return {**said, "sha256": self._digest.hexdigest(), "samples": self.samples}

    def discard(self) -> None:
        """Leave nothing."""
        self._file.close()
        self._partial.discard()


@dataclass(frozen=True)
class Sample:
    """A stretch of a clip, as it was prepared."""

    key: str
    """Its name."""

    files: Mapping[str, bytes]
    """By ending, see the module."""

    @property
    def facts(self) -> dict[str, Any]:
        """Who, from where, and what was measured."""
        return json.loads(self.files["json"])

    @property
    def caption(self) -> str:
        """What can be said of it."""
        return self.files["txt"].decode()

    @property
    def frames(self) -> list[bytes]:
        """Its pictures, encoded, in order."""
        return [content for name, content in sorted(self.files.items()) if name[:4].isdigit()]

    def array(self, name: str) -> np.ndarray:
        """Return one of its arrays.

        Args:
            name: points, motion, faces, latents or speech.
        """
        return np.load(io.BytesIO(self.files[f"{name}.npy"]), allow_pickle=False)


def read_index(folder: Path) -> dict[str, Any]:
    """Read the index of a folder of shards.

    Args:
        folder: Where they lie.

    Raises:
        BadMedia: When there is none, or it is damaged.
    """
    path = folder / INDEX
    if not path.is_file():
        raise BadMedia(f"`{folder}` must hold shards, but has no {INDEX}. Make them with `portraittalk prepare`.")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        whole = all({"file", "split", "samples"} <= set(shard) for shard in found["shards"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadMedia(f"`{path}` is damaged ({error}). Run `portraittalk prepare` again.") from error
    if not whole:
        raise BadMedia(f"`{path}` is no index of shards. Run `portraittalk prepare` again.")
    return found


def is_shards(folder: Path) -> bool:
    """Say whether a folder holds shards.

    Args:
        folder: Any.
    """
    try:
        return "shards" in json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        return False


def read_samples(
    folder: Path, split: str = "train", on_broken: Callable[[str, str], None] | None = None
) -> Iterator[Sample]:
    """Read the samples of a split, one after the other. A broken one is reported and left out.

    Args:
        folder: Of the shards.
        split: That is read.
        on_broken: Told of each broken sample by shard and reason; None: a warning is logged.

    Yields:
        The samples, in the order of the index.

    Raises:
        BadMedia: When the folder has no index.
    """
    report = on_broken or _warn
    for shard in read_index(folder)["shards"]:
        if shard["split"] == split:
            for entry in shard["samples"]:
                try:
                    yield read_sample(folder / shard["file"], entry)
                except BadMedia as error:
                    report(shard["file"], str(error))


def _warn(where: str, why: str) -> None:
    logger.warning("%s: %s; it is left out.", where, why)


def read_sample(shard: Path, entry: Mapping[str, Any]) -> Sample:
    """Read one sample and check it.

    Args:
        shard: The tar file.
        entry: Of the index.

    Raises:
        BadMedia: When the shard cannot be read, or the sample is not what was written.
    """
    key = entry["key"]
    try:
        with shard.open("rb") as file:
            file.seek(entry["offset"])
            piece = file.read(entry["bytes"])
    except OSError as error:
        raise BadMedia(f"sample {key}: its shard cannot be read ({error.strerror or error})") from error
    if len(piece) != entry["bytes"] or digest(piece) != entry["sha256"]:
        raise BadMedia(f"sample {key}: its bytes are not those that were written")
    return Sample(key, unpack(key, piece))
