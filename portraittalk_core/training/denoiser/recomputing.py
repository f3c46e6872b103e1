"""Run a U-Net with branches and gradient checkpointing: what the backward pass needs is computed again.

A host's hooks are on the U-Net only while it runs, and the backward pass runs later. So each recomputation puts them
back for as long as it lasts, those of the call that it repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from ...host import AfterBranch, Call
from ...hosts.diffusers_host import DiffusersHost

if TYPE_CHECKING:
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

_Hooks = Callable[[], AbstractContextManager[None]]


class RecomputingHost(DiffusersHost):
    """A `DiffusersHost` that keeps what enters the U-Net's layers and computes the rest again in the backward pass.

    It costs a second forward pass. A host of the same U-Net for references, as `bare` returns it, does the same.
    """

    def __init__(self, unet: UNet2DConditionModel, hooks: list[_Hooks] | None = None) -> None:
        """Turn diffusers' gradient checkpointing on.

        Args:
            unet: Of SD1.5's layout.
            hooks: Those of the run in progress, which hosts of one U-Net share; for `bare` alone.
        """
        super().__init__(unet)
        self._again: list[_Hooks] = [nullcontext] if hooks is None else hooks
        if hooks is None:
            unet.enable_gradient_checkpointing(self._checkpoint)

    def bare(self) -> DiffusersHost:
        """Return a host of the same U-Net that has no branches."""
        return RecomputingHost(self.unet, self._again)

    def _refuse_checkpointing(self) -> None:
        """Allow it."""

    @contextmanager
    def _hooked(self, call: Call, acting: list[Any], ahead: Sequence[Any]) -> Generator[None, None, None]:
        before, self._again[-1] = self._again[-1], lambda: super(RecomputingHost, self)._hooked(call, acting, ahead)
        try:
            with super()._hooked(call, acting, ahead):
                yield
        finally:
            self._again[-1] = before

    def _checkpoint(self, module: Any, *inputs: Any) -> Any:
        """Run a layer of the U-Net so that it can be run again; where the first run ends early, the second does too."""
        first = _First()

        def run(*given: Any) -> Any:
            try:
                return module(*given)
            except Exception as error:  # a recorder ends the pass over the reference at its last site
                if not first.ends(error):
                    raise
                return given[0]

        again = self._again[-1]
        out: Any = checkpoint(
            run, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=lambda: (nullcontext(), again())
        )
        first.finish()
        return out


class _First:
    """How the first run of a layer ended. Its exception is let go: it holds everything that the layer had made."""

    def __init__(self) -> None:
        self._over = False
        self._error: Exception | None = None
        self._kind: type[Exception] | tuple[()] = ()

    def ends(self, error: Exception) -> bool:
        """Take note of an exception of the first run; say whether one of a later run is of the same kind."""
        if self._over:  # torch ends recomputations itself, by an exception of its own
            return isinstance(error, self._kind)
        self._error, self._kind = error, type(error)
        return True

    def finish(self) -> None:
        """End the first run, with its exception where there was one."""
        self._over = True
        error, self._error = self._error, None
        if error is not None:
            raise error


def recomputed(branches: Sequence[AfterBranch]) -> list[AfterBranch]:
    """Return branches that are computed again in the backward pass: the U-Net's own checkpoints end before them.

    Args:
        branches: Whose result hangs on what they are given alone.
    """
    return [_Again(branch) for branch in branches]


class _Again:
    """An AFTER branch that keeps what it is given and nothing that it makes."""

    def __init__(self, branch: AfterBranch) -> None:
        self.site, self._branch = branch.site, branch

    def after(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        again: Any = checkpoint(self._branch.after, hidden, call, use_reentrant=False, preserve_rng_state=False)
        return again
