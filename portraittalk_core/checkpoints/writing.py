"""Safetensors files that others can read, too."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor


def save_tensors(tensors: Mapping[str, Tensor], path: Path | str, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file with the rights that any new file gets.

    safetensors 0.8 gives them to the owner alone, and a cluster's other users cannot read the model.

    Args:
        tensors: By name.
        path: The file.
        metadata: Strings that go with them.
    """
    from safetensors.torch import save_file

    save_file(dict(tensors), path, None if metadata is None else dict(metadata))
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)
