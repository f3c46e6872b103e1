"""Which model a name means, and its parts: the tiny model and its like, or an SD1.5 stack of public files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ..portraittalk_core.checkpoints.catalogue import comfyui_of
from ..portraittalk_core.checkpoints.native import model_files, read_denoiser
from ..portraittalk_core.config_file import read_toml
from ..portraittalk_core.errors import BadConfig
from ..portraittalk_core.presets import PUBLIC
from ..portraittalk_core.stacks.public import PublicStack
from .host_loader import HostLoader
from .hosted_stack import HostedStack, Patcher, load_tiny
from .model_names import STACK, located

if TYPE_CHECKING:
    import comfy.sd


@dataclass(frozen=True)
class StackFile:
    """What a folder's stack.toml says."""

    stack: str = PUBLIC[0]
    """The ready stack to begin with."""

    size: int = 512
    """Side of a frame in pixels."""

    parts: dict[str, str] = field(default_factory=dict)
    """What takes the place of its parts: names of the catalogue, or paths, also such as begin at the folder."""


def load(name: str, fast: bool = False) -> tuple[Patcher, comfy.sd.CLIP, comfy.sd.VAE, HostedStack]:
    """Load a whole model.

    Args:
        name: Of `model_names.available`.
        fast: Take parts that are faster and not as good; tiny has none.

    Returns:
        MODEL, CLIP, VAE and the stack.

    Raises:
        BadInput: For an unknown name, and for parts that cannot be mixed.
        BadConfig: For a stack.toml that cannot be read.
        WeightsMismatch: For files that are missing or do not fit.
    """
    chosen = located(name)
    if _is_public(chosen):
        from .public_models import load_base

        hosted, stack = _load_public(chosen, fast=fast)
        return *load_base(stack.loader.spec, stack.config), hosted
    from . import tiny_models

    files = model_files(chosen)
    vae = tiny_models.load_vae(files["vae"])
    base, clip = tiny_models.load_model(files["denoiser"]), tiny_models.load_clip(files["text"])
    return base, clip, vae, load_tiny(chosen, vae, base.model.latent_format, multiplies=tiny_models.multiplies())


def load_adapters(name: str) -> HostedStack:
    """Return the adapters alone; raises as `load` does."""
    chosen = located(name)
    if _is_public(chosen):
        return _load_public(chosen, hosted=True)[0]
    from . import tiny_models

    files = model_files(chosen)
    latent = tiny_models.LATENTS[read_denoiser(files["denoiser"])[0].unet.latent_channels]()
    vae = tiny_models.load_vae(files["vae"])
    return load_tiny(chosen, vae, latent, alone=True, multiplies=tiny_models.multiplies())


def _is_public(chosen: str) -> bool:
    return chosen in PUBLIC or (Path(chosen) / STACK).is_file()


def _load_public(chosen: str, hosted: bool = False, fast: bool = False) -> tuple[HostedStack, PublicStack]:
    """Return a ready stack, or that of a folder whose stack.toml says which files it is made of.

    hosted: MODEL, CLIP and VAE come from elsewhere.
    """
    import comfy.model_management
    import folder_paths

    asked = StackFile(chosen) if chosen in PUBLIC else stack_file(Path(chosen))
    stack = PublicStack.load(
        asked.stack,
        comfy.model_management.get_torch_device(),
        parts=asked.parts,
        size=asked.size,
        comfyui=comfyui_of(Path(folder_paths.models_dir)),
        loader=HostLoader,
        hosted=hosted,
        fast=fast,
    )
    assert isinstance(stack.loader, HostLoader)
    return HostedStack(Path(chosen).name, stack, stack.loader.memory, sets_schedule=True), stack


def stack_file(folder: Path) -> StackFile:
    """Return what a folder's stack.toml says. Raises `BadConfig` for one that cannot be read."""
    file = folder / STACK
    asked = read_toml(StackFile, file)
    parts = cast(object, asked.parts)  # a file may hold anything
    if not isinstance(parts, dict) or not all(isinstance(given, str) for given in parts.values()):
        raise BadConfig(f'{file}: `parts` must be a table of names, such as `vae = "none"`. Fix it.')
    beside = {part: str(folder / given) for part, given in asked.parts.items() if (folder / given).exists()}
    return StackFile(asked.stack, asked.size, {**asked.parts, **beside})
