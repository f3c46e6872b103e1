"""The models that can be chosen, by name; nothing is loaded."""

from __future__ import annotations

from pathlib import Path

from ..portraittalk_core.presets import PUBLIC

STACK = "stack.toml"
"""In a folder, says which public files a stack is made of; see `models.StackFile`."""

_OWN = ("denoiser.safetensors", STACK)


def available() -> list[str]:
    """Return the names of models to choose from.

    `tiny` is shipped, the SD1.5 stacks are made of public files, others are folders in ComfyUI's models/portraittalk.
    """
    import folder_paths

    folders = [Path(folder) for folder in folder_paths.get_folder_paths("portraittalk") if Path(folder).is_dir()]
    found = {file.parent.name for folder in folders for name in _OWN for file in folder.glob(f"*/{name}")}
    return ["tiny", *PUBLIC, *sorted(found)]


def located(name: str) -> str:
    """Return a name that is no folder's, or the path of the folder of that name under models/portraittalk."""
    import folder_paths

    if name == "tiny" or name in PUBLIC:
        return name
    for folder in folder_paths.get_folder_paths("portraittalk"):
        if (Path(folder) / name).is_dir():
            return str(Path(folder) / name)
    return name
