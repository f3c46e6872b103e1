"""Choose between a kernel and plain torch."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from collections.abc import Callable, Generator, Hashable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

VARIABLE = "PORTRAITTALK_KERNELS"
"""The environment variable that says where kernels run: `auto` (on a GPU), `off`, or `always`, which takes Triton's
interpreter (`TRITON_INTERPRET=1`) on a CPU, too: for tests, thousands of times slower."""

TOLERANCE = {torch.float32: 1e-3, torch.float16: 1e-2, torch.bfloat16: 4e-2}
"""How far a result may be from plain torch at the first use, in units of its largest number, by precision. Kernels run
in no other."""

_COMPARED, _LAST = 1 << 20, 1 << 12

_forced: list[str] = []
_known: dict[Hashable, bool] = {}


@contextmanager
def kernels(mode: str) -> Generator[None, None, None]:
    """Choose where kernels run for a while, whatever `VARIABLE` says.

    Args:
        mode: As `VARIABLE`.
    """
    _forced.append(mode)
    try:
        yield
    finally:
        _forced.pop()


@cache
def installed() -> bool:
    """Say whether Triton is here."""
    return importlib.util.find_spec("triton") is not None


def compiled() -> Any:
    """Return the module of the kernels themselves, which needs Triton."""
    return importlib.import_module(".programs", __package__)


def wanted(*tensors: Tensor) -> bool:
    """Say whether a kernel should be tried on tensors.

    Args:
        *tensors: All that it reads; of one device and one precision.
    """
    mode = _forced[-1] if _forced else os.environ.get(VARIABLE, "auto")
    first = tensors[0]
    if mode == "off" or not (first.is_cuda or first.is_xpu or mode == "always"):  # first what is cheapest to ask
        return False
    alike = all(t.device == first.device and t.dtype == first.dtype for t in tensors)
    learning = torch.is_grad_enabled() and any(t.requires_grad for t in tensors)
    if not alike or learning or first.dtype not in TOLERANCE or not first.numel() or not installed():
        return False
    return first.device.type != "cpu" or os.environ.get("TRITON_INTERPRET") == "1"


def either(
    name: str, variant: Hashable, like: Tensor, fused: Callable[[], Tensor], plain: Callable[[], Tensor]
) -> Tensor:
    """Return what a kernel makes, or what plain torch makes where the kernel cannot be trusted.

    Args:
        name: Of the kernel, for the log.
        variant: What decides how it is compiled; each is checked once.
        like: A tensor that it reads.
        fused: Runs it.
        plain: The same in torch.
    """
    key = (name, variant, like.device, like.dtype)
    good = _known.get(key)
    if good is False:
        return plain()
    try:
        with _on(like.device):
            made = fused()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a compiler, a driver or a missing C compiler may raise: plain torch is there
        why = (str(error).strip() or type(error).__name__).splitlines()[0]
        _refuse(key, f"cannot run here ({why[:200]})")
        return plain()
    if good is not None:
        return made
    try:
        expected = plain()
        agree = _agree(made, expected)
    except torch.OutOfMemoryError:  # for both at once: it is checked at a smaller use, if ever
        return made
    if not agree:
        _refuse(key, "gives another result here")
        return expected
    _known[key] = True
    return made


def forget() -> None:
    """Check every kernel anew at its next use."""
    _known.clear()


def _refuse(key: tuple[Hashable, ...], why: str) -> None:
    _known[key] = False
    logger.warning("The kernel %s %s; going on without it.", key[0], why)


def _agree(made: Tensor, expected: Tensor) -> bool:
    """Compare about a million numbers from all over two results, waiting for the device: once for each variant."""
    if made.shape != expected.shape or made.dtype != expected.dtype:
        return False
    step = expected.numel() // _COMPARED | 1  # odd, so that it meets every place of a row and every row of a block
    found, sought = (torch.cat([t.reshape(-1)[::step], t.reshape(-1)[-_LAST:]]).float() for t in (made, expected))
    finite = sought.isfinite()
    apart, largest = ((t * finite).nan_to_num().abs().max() for t in (found - sought, sought))
    return bool(apart <= TOLERANCE[expected.dtype] * largest) and bool((found.isfinite() == finite).all())


def _on(device: torch.device) -> AbstractContextManager[object]:
    """Make a device the current one, on which Triton launches."""
    return nullcontext() if device.type == "cpu" else torch.get_device_module(device).device(device)
