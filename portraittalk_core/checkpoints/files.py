"""Open weights files that others wrote: the names and shapes first, the tensors when they are asked for.

Names and shapes decide what a file is, and a file may hold gigabytes; so opening one reads only its directory.
"""

from __future__ import annotations

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


@dataclass(frozen=True)
class WeightsFile:
    """An opened file. shapes: by flat name; `{"image_proj": {"norm.bias": …}}` has the name `image_proj.norm.bias`.

    metadata: the text entries of a safetensors header; pickled: whether it is a pickle, which was opened by torch's
    restricted unpickler.
    """

    path: Path
    shapes: dict[str, Shape]
    metadata: dict[str, str] = field(default_factory=dict)
    pickled: bool = False

    def tensors(
        self, dtype: torch.dtype | None = None, prefix: str = "", names: Collection[str] | None = None
    ) -> dict[str, Tensor]:
        """Read the tensors whose names begin with `prefix`, or those of `names`, on the CPU; floating ones in `dtype`
        if it is given.
        """
        wanted = [name for name in self.shapes if name.startswith(prefix)] if names is None else list(names)
        found = _from_pickle(self.path, "cpu") if self.pickled else _from_safetensors(self.path, wanted)
        return {
            name: found[name].to(dtype) if dtype and found[name].is_floating_point() else found[name] for name in wanted
        }


def open_weights(path: Path | str) -> WeightsFile:
    """Open a safetensors file or a pickle of tensors, without reading tensors.

    Raises `WeightsMismatch` for a file that is missing, cut off or no weights file (a web page, a Git LFS pointer),
    and `UnsafeWeights` for a pickle that holds more than tensors.
    """
    file = Path(path)
    if not file.is_file():
        raise WeightsMismatch(f"{file}: there is no such weights file. Run `portraittalk models list`.")
    with file.open("rb") as opened:
        start = opened.read(64)
    if start.startswith(b"version https://git-lfs"):
        raise WeightsMismatch(f"{file}: is a Git LFS pointer, not the file itself. Run `git lfs pull` or download it.")
    if start.lstrip()[:1] == b"<":
        raise WeightsMismatch(f"{file}: is a web page, not weights. Download the file itself, not the page about it.")
    if start[:4] == b"PK\x03\x04" or (start[:1] == b"\x80" and start[1:2] in b"\x02\x03\x04\x05"):
        tensors = _from_pickle(file, "meta")
        return WeightsFile(file, {name: tuple(t.shape) for name, t in tensors.items()}, pickled=True)
    return _safetensors_directory(file)


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


def _from_pickle(file: Path, device: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError  # what torch raises for bytes that are no pickle at all

    try:
        # Mapped, so that a part of a file of gigabytes costs only what is read; the old format cannot be mapped.
        mapped = device == "cpu" and zipfile.is_zipfile(file)
        found = torch.load(file, map_location=device, weights_only=True, mmap=mapped)
    except UnpicklingError as error:
        raise UnsafeWeights(
            f"{file}: is a pickle that holds more than tensors, and opening it could run code. Use a .safetensors "
            "version of it."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, SafetensorError) as error:
        why = str(error).splitlines()[0] if str(error) else "it is cut off"
        raise WeightsMismatch(f"{file}: cannot be read ({why}). Fetch it again.") from error
    for wrapper in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    tensors = dict(_flat(found)) if isinstance(found, Mapping) else {}
    parallel = tensors and all(name.startswith("module.") for name in tensors)
    return {name.removeprefix("module.") if parallel else name: tensor for name, tensor in tensors.items()}


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    for name, value in values.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{name}", value
        elif isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
