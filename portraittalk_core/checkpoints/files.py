"""Open weights files, public ones and our own: the names and shapes first, the tensors when they are asked for.

Names and shapes decide what a file is, and a file may hold gigabytes; so opening one reads only its directory.
"""

from __future__ import annotations

import struct
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ..errors import UnsafeWeights, WeightsMismatch

Shape = tuple[int, ...]

_WRAPPERS = ("state_dict", "model")

_PICKLE_ERRORS = (
    *(RuntimeError, EOFError, OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError),
    *(ArithmeticError, MemoryError, struct.error, zipfile.BadZipFile),
)
"""What torch's unpickler lets through where a file is damaged."""

PICKLE_MAGIC = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How pickles begin: torch's archives, and bare ones of protocols 2 to 5."""


@dataclass(frozen=True)
class WeightsFile:
    """An opened weights file, of which only the directory has been read."""

    path: Path
    """Where the file is."""
    shapes: dict[str, Shape]
    """Shape of every tensor by its flat name: that of `{"image_proj": {"norm.bias": …}}` is `image_proj.norm.bias`."""
    metadata: dict[str, str] = field(default_factory=dict)
    """The texts beside the tensors: the metadata of a safetensors header, or what a pickle has at its top."""
    pickled: bool = False
    """Whether it is a pickle, which is opened by torch's restricted unpickler."""

    def tensors(
        self, dtype: torch.dtype | None = None, prefix: str = "", names: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        """Read tensors to the CPU.

        Args:
            dtype: What floating tensors are converted to; None leaves them as they are in the file.
            prefix: What the names begin with; "" takes all.
            names: The names of those to read, in place of `prefix`.

        Returns:
            The tensors by their names in the file.
        """
        wanted = [name for name in self.shapes if name.startswith(prefix)] if names is None else list(names)
        found = _from_pickle(self.path, "cpu")[0] if self.pickled else _from_safetensors(self.path, wanted)
        return {
            name: found[name].to(dtype) if dtype and found[name].is_floating_point() else found[name] for name in wanted
        }


def open_weights(path: Path | str) -> WeightsFile:
    """Open a safetensors file or a pickle of tensors, without reading tensors.

    Args:
        path: The file; its content decides what it is, not its name.

    Returns:
        The directory of the file.

    Raises:
        WeightsMismatch: When the file is missing, cut off or no weights file (a web page, a Git LFS pointer).
        UnsafeWeights: When it is a pickle that holds more than tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsMismatch(
            f"{file}: there is no such weights file. Check the name; `portraittalk models list` names the public ones."
        )
    with file.open("rb") as opened:
        start = opened.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise WeightsMismatch(f"{file}: is a Git LFS pointer, not the file itself. Run `git lfs pull` or download it.")
    if start.lstrip()[:1] == b"<":
        raise WeightsMismatch(f"{file}: is a web page, not weights. Download the file itself, not the page about it.")
    if is_pickle(start):
        tensors, texts = _from_pickle(file, "meta")
        return WeightsFile(file, {name: tuple(t.shape) for name, t in tensors.items()}, texts, pickled=True)
    return _safetensors_directory(file)


def is_pickle(start: bytes) -> bool:
    """Say whether a weights file is a pickle by how it begins.

    Args:
        start: Its first bytes, nine at least. A safetensors file begins with the length of its directory, which may be
            like a pickle's beginning, and goes on with the directory, which begins with a brace.
    """
    return start.startswith(PICKLE_MAGIC) and start[8:9] != b"{"


def _safetensors_directory(file: Path) -> WeightsFile:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(file), "pt") as opened:
            shapes = {name: tuple(opened.get_slice(name).get_shape()) for name in opened.keys()}  # noqa: SIM118
            return WeightsFile(file, shapes, dict(opened.metadata() or {}))
    except (SafetensorError, OSError) as error:
        raise WeightsMismatch(f"{file}: cannot be read as safetensors ({error}). Fetch it again.") from error


def _from_safetensors(file: Path, names: Collection[str]) -> dict[str, Tensor]:
    from safetensors import safe_open

    with safe_open(str(file), "pt") as opened:
        return {name: opened.get_tensor(name) for name in names}


def _from_pickle(file: Path, device: str) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return the tensors of a pickle by flat names, and the texts beside them."""
    from safetensors import SafetensorError  # what torch raises for bytes that are no pickle at all

    try:
        # Mapped, so that a part of a file of gigabytes costs only what is read; the old format cannot be mapped.
        mapped = device == "cpu" and zipfile.is_zipfile(file)
        with warnings.catch_warnings():  # of pickles' protocols, which nobody can choose
            warnings.simplefilter("ignore")
            found = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
    except UnpicklingError as error:
        raise UnsafeWeights(
            f"{file}: is a pickle that holds more than tensors, and opening it could run code. Use a .safetensors "
            "version of it."
        ) from error
    except (*_PICKLE_ERRORS, SafetensorError) as error:
        why = str(error).splitlines()[0] if str(error) else "it is cut off"
        raise WeightsMismatch(f"{file}: cannot be read ({why}). Fetch it again.") from error
    texts = {k: v for k, v in found.items() if isinstance(v, str)} if isinstance(found, Mapping) else {}
    for wrapper in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    tensors = dict(_flat(found)) if isinstance(found, Mapping) else {}
    parallel = tensors and all(name.startswith("module.") for name in tensors)
    return {name.removeprefix("module.") if parallel else name: t for name, t in tensors.items()}, texts


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in values.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
