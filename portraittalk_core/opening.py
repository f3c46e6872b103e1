"""Open a model by its name: the stack that it is, and what runs its U-Net."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol, cast

from .errors import BadInput
from .hosts.devices import fast_dtype
from .hosts.diffusers_session import DiffusersSession
from .nets.group_norm import with_fast_norms
from .presets import FAST, PUBLIC
from .stacks.base import Stack

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    import torch

    from .host import Host
    from .hosts.diffusers_patches import Patch


class HostSession(Protocol):
    """Hands out whoever runs the U-Net, for as long as one video is denoised."""

    def open(self, patches: Sequence[Patch] = ()) -> AbstractContextManager[Host]:
        """Return a host that runs with low-rank patches until its context ends."""
        ...


def open_model(name: str, device: torch.device | str = "cpu", **options: Any) -> tuple[Stack, HostSession]:
    """Open a model.

    Args:
        name: See `PortraitTalk.load`, here and below.
        device: Where networks run.
        **options: Of the model.

    Returns:
        Its stack, and who runs its U-Net.
    """
    if name in PUBLIC:
        return _open_public(name, device, options)
    own = {"faces": None, "precision": "auto", "fast": False}
    faces, precision, fast = (options.pop(key, usual) for key, usual in own.items())
    if options:
        raise BadInput(f"`{next(iter(options))}` must be left out for {name}: only models of public files have it.")
    return _open_tiny(name, device, faces, fast_dtype(device, precision), fast)


def _open_tiny(
    name: str, device: torch.device | str, faces: Path | str | None, multiplies: torch.dtype | None, fast: bool
) -> tuple[Stack, HostSession]:
    from .checkpoints.native import load_adapters, load_unet, model_files
    from .stacks.resident_codec import ResidentCodec
    from .stacks.tiny import TinyStack, placed

    file = model_files(name)["denoiser"]
    config, adapters = load_adapters(file)
    if fast:
        config = replace(config, sampling=replace(config.sampling, **FAST["tiny"]))
    stack = TinyStack.load(name, device, adapters=(config, adapters), faces=faces, multiplies=multiplies)
    # Most videos do without the U-Net, and diffusers, which it is of, takes seconds to import.
    host = DiffusersSession.when_wanted(lambda: with_fast_norms(placed(load_unet(file), stack.device)), multiplies)
    if name != "tiny":  # whether somebody's own files fit is to be known at once
        with host.open():
            cast(ResidentCodec, stack.codec).read()
    return stack, host


def _open_public(name: str, device: torch.device | str, options: dict[str, Any]) -> tuple[Stack, HostSession]:
    from .stacks.public import PublicStack

    stack = PublicStack.load(name, device, **options)

    @contextmanager
    def load_unet() -> Generator[Any, None, None]:
        with stack.loader.load("unet") as nets:
            yield nets.pop()

    return stack, DiffusersSession(load_unet)
