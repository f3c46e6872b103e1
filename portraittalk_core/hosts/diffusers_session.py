"""Open a diffusers U-Net for as long as one video is denoised."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import TYPE_CHECKING

from .diffusers_host import DiffusersHost
from .diffusers_patches import Patch, PatchAttachment

if TYPE_CHECKING:
    import torch
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel


class DiffusersSession:
    """Hands out a host for a U-Net that is in memory already, or is read when it is opened."""

    def __init__(
        self, load: Callable[[], AbstractContextManager[UNet2DConditionModel]], multiplies: torch.dtype | None = None
    ) -> None:
        """Read nothing yet.

        Args:
            load: Holds the U-Net until its context ends.
            multiplies: See `DiffusersHost`.
        """
        self._load, self._multiplies = load, multiplies

    @classmethod
    def resident(cls, unet: UNet2DConditionModel, multiplies: torch.dtype | None = None) -> DiffusersSession:
        """Return a session of a U-Net that stays in memory."""
        return cls(lambda: nullcontext(unet), multiplies)

    @classmethod
    def when_wanted(
        cls, load: Callable[[], UNet2DConditionModel], multiplies: torch.dtype | None = None
    ) -> DiffusersSession:
        """Return a session of a U-Net that is read when it is opened first, and stays in memory from then on."""
        kept = cache(load)
        return cls(lambda: nullcontext(kept()), multiplies)

    @contextmanager
    def open(self, patches: Sequence[Patch] = ()) -> Generator[DiffusersHost, None, None]:
        """Hold the U-Net.

        Args:
            patches: Low-rank corrections that it runs with.

        Yields:
            A host; with the context the patches end, and what was read is let go.
        """
        with self._load() as unet, PatchAttachment(unet, patches):
            yield DiffusersHost(unet, self._multiplies)
