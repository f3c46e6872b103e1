"""Which model a name means, and its parts: the tiny model and its like, or a stack of public files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..portraittalk_core.checkpoints.native import model_files
from ..portraittalk_core.config import read_toml
from ..portraittalk_core.errors import BadConfig
from ..portraittalk_core.presets import PUBLIC
from . import adapters
from .sockets import Model, PortraitAdapters


@dataclass(frozen=True)
class StackFile:
    """What a folder's stack.toml says. stack: which ready stack to begin with; size: side of a frame in pixels;
    parts: what takes the place of its parts, as `--part` of the command: names of the catalogue, or paths, also such
    as begin at the folder.
    """

    stack: str = PUBLIC[0]
    size: int = 512
    parts: dict[str, str] = field(default_factory=dict)


def load(name: str) -> tuple[Model, Any, Any, PortraitAdapters]:
    """Return MODEL, CLIP, VAE and the adapters. Raises `BadInput`, `BadConfig` and `WeightsMismatch`."""
    chosen = adapters.located(name)
    if _is_stack(chosen):
        from .public_models import load_base

        stack = _load_stack(chosen)
        return *load_base(stack.talk.mix, stack.talk.config), stack
    from . import tiny_models

    files = model_files(chosen)
    vae = tiny_models.load_vae(files["vae"])
    base, clip = tiny_models.load_model(files["denoiser"]), tiny_models.load_clip(files["text"])
    return base, clip, vae, adapters.load(chosen, vae)


def load_adapters(name: str) -> PortraitAdapters:
    """Return the adapters alone; raises as `load` does."""
    chosen = adapters.located(name)
    if _is_stack(chosen):
        return _load_stack(chosen, hosted=True)
    from . import tiny_models

    return adapters.load(chosen, tiny_models.load_vae(model_files(chosen)["vae"]), alone=True)


def _is_stack(chosen: str) -> bool:
    return chosen in PUBLIC or (Path(chosen) / adapters.STACK).is_file()


def _load_stack(chosen: str, hosted: bool = False) -> Any:
    """Return the adapters of a ready stack, or of a folder whose stack.toml says what it is mixed from.

    hosted: MODEL, CLIP and VAE come from elsewhere.
    """
    import comfy.model_management
    import folder_paths

    from ..portraittalk_core.stacks.public import PublicPortraitTalk
    from .public_adapters import HostShelf, PublicAdapters

    asked = StackFile(chosen) if chosen in PUBLIC else _read(Path(chosen))
    models = Path(folder_paths.models_dir)
    talk = PublicPortraitTalk.load_public(
        asked.stack,
        comfy.model_management.get_torch_device(),
        parts=asked.parts,
        size=asked.size,
        comfyui=models.parent if models.name == "models" and models.is_dir() else None,
        shelf=HostShelf,
        hosted=hosted,
    )
    assert isinstance(talk.shelf, HostShelf)
    return PublicAdapters(Path(chosen).name, talk, talk.shelf)


def _read(folder: Path) -> StackFile:
    file = folder / adapters.STACK
    asked = read_toml(StackFile, file)
    if not isinstance(asked.parts, dict) or not all(isinstance(given, str) for given in asked.parts.values()):
        raise BadConfig(f'{file}: `parts` must be a table of names, such as `vae = "none"`. Mend it.')
    beside = {part: str(folder / given) for part, given in asked.parts.items() if (folder / given).exists()}
    return StackFile(asked.stack, asked.size, {**asked.parts, **beside})
