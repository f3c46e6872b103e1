"""SyncNet for ADFD Score: which files there are, and the network of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..portraittalk_core.metrics.sync import SyncNetwork

NONE = "none"
"""The choice that leaves LSE out."""

_FOLDER = "syncnet"
"""Of ComfyUI's models; `portraittalk models download syncnet` writes into it."""


def available() -> list[str]:
    """Return the names to choose from."""
    import folder_paths

    folders = [Path(folder) for folder in folder_paths.get_folder_paths(_FOLDER) if Path(folder).is_dir()]
    return [NONE, *sorted({file.name for folder in folders for file in folder.iterdir() if file.is_file()})]


def load(name: str) -> SyncNetwork | None:
    """Return the network of a name, None for `NONE`. Raises `WeightsMismatch` for a file of another network."""
    if name == NONE:
        return None
    import folder_paths

    from ..portraittalk_core.checkpoints.syncnet import load_syncnet

    return load_syncnet(folder_paths.get_full_path_or_raise(_FOLDER, name)).net
