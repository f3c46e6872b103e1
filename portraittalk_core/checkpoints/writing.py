"""Safetensors files that others can read, too, and states of a training: whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file with the rights that any new file gets, whole or not at all.

    safetensors 0.8 gives them to the owner alone, and a cluster's other users cannot read the model.

    Args:
        tensors: By name.
        path: The file; an older one is replaced.
        metadata: Strings that go with them.

    Raises:
        OSError: What the disk says; safetensors has a word of its own for that.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    with _whole(Path(path)) as part:
        try:
            save_file(dict(tensors), part, None if metadata is None else dict(metadata))
        except SafetensorError as error:
            if (found := re.search(r"\(os error (\d+)\)", str(error))) is None:
                raise
            number = int(found[1])
            raise OSError(number, os.strerror(number), str(path)) from error
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(part, 0o666 & ~mask)


def save_state(state: Any, path: Path | str) -> None:
    """Write what `torch.save` can, whole or not at all.

    Args:
        state: Of a training.
        path: The file; an older one is replaced.

    Raises:
        OSError: What the disk says; torch, given a name and not an open file, says something of positions.
    """
    with _whole(Path(path)) as part, part.open("wb") as file:
        torch.save(state, file)


@contextlib.contextmanager
def _whole(path: Path) -> Generator[Path, None, None]:
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise
