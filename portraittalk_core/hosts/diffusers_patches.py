"""Apply low-rank patches to a diffusers U-Net without touching its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor, nn

from ..errors import SiteNotFound

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
    from typing_extensions import Self


class Patch(Protocol):
    """What is added to the result of one layer; `nets.low_rank.LowRankPatch` is one."""

    @property
    def module(self) -> str:
        """The layer's name in a diffusers U-Net."""
        ...

    def added(self, inputs: Tensor) -> Tensor:
        """Return what is added to the layer's result, given what the layer was given."""
        ...


class PatchAttachment:
    """Low-rank patches that a U-Net runs with until they are detached; usable as a context manager.

    Forward hooks on the patched layers, not sums in their weights: detaching restores the U-Net bit for bit without a
    copy of what was there, half-precision weights lose nothing, and several adapters stack. They run before the
    hooks of `DiffusersHost`, which exist only during a call, so that a CROSS branch sees the patched query. The
    product with `rank` 128 costs less than a tenth of the layer itself.

    Args:
        unet: That runs with them.
        patches: What is added, and where.
        scale: Multiplies what is added; 0 attaches nothing.

    Raises:
        SiteNotFound: For a layer that the U-Net lacks.
    """

    def __init__(self, unet: UNet2DConditionModel, patches: Sequence[Patch], scale: float = 1.0) -> None:
        layers: dict[str, nn.Module] = dict(unet.named_modules())
        absent = [patch.module for patch in patches if patch.module not in layers]
        if absent:
            raise SiteNotFound(
                f"Every patched layer must be in the U-Net, but {len(absent)} are not, first {absent[0]}. "
                "Use an adapter for this U-Net's size."
            )
        used = patches if scale else ()
        self._handles = [layers[p.module].register_forward_hook(_adding(p, scale)) for p in used]

    def detach(self) -> None:
        """Take the patches off. Calling it twice is harmless."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.detach()


def _adding(patch: Patch, scale: float) -> Any:
    def hook(_module: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        added = patch.added(args[0])
        return out + (added if scale == 1 else scale * added)

    return hook
