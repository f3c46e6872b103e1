"""Where networks run, and in which precision, unless the user says otherwise."""

from __future__ import annotations

import logging
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from ..errors import BadInput

logger = logging.getLogger(__name__)

PRECISIONS = ("auto", "float32")
"""What a model on a CPU may be asked for; see `fast_dtype`."""


def default_device() -> torch.device:
    """Return the accelerator that is here, the CPU where there is none."""
    # A build for an accelerator that is not here names it all the same, hence the first question.
    found = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return found or torch.device("cpu")


def fast_dtype(device: torch.device | str, precision: str = "auto") -> torch.dtype | None:
    """Return the data type in which a device multiplies float32 networks twice as fast.

    Args:
        device: Where the networks are.
        precision: `float32` never lowers it; `auto` does on CPUs that multiply bfloat16 natively (AVX512-BF16, AMX).

    Returns:
        A type for `lowered`; None leaves float32, as on accelerators, whose networks have their own precision.

    Raises:
        BadInput: For another word.
    """
    if precision not in PRECISIONS:
        raise BadInput(f"`precision` must be {' or '.join(PRECISIONS)}, but got {precision!r}. Try auto.")
    if precision != "auto" or torch.device(device).type != "cpu":
        return None
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # torch has no public question
    native = any(bool(getattr(torch.cpu, name, bool)()) for name in names)
    return torch.bfloat16 if native and torch.backends.mkldnn.is_available() else None


def network_dtype(device: torch.device | str) -> torch.dtype:
    """Return the data type that the weights of large networks have: half where the device computes in it, and rightly.

    Some cards lack it, and some (GeForce 16) give convolutions that are not numbers.

    Args:
        device: Where the networks will be.
    """
    place = torch.device(device)
    if place.type == "cpu":
        return torch.float32
    if not _halves(place):
        logger.warning("%s does not compute in half precision; going on in float32, in twice the memory.", place)
        return torch.float32
    return torch.float16


@torch.no_grad()
def _halves(device: torch.device) -> bool:
    """Return whether a convolution and a product in half precision are what they are in float32."""
    maps = torch.linspace(-1, 1, 8 * 16 * 16, device=device).reshape(1, 8, 16, 16).sin()
    kernel = torch.linspace(-1, 1, 8 * 8 * 9, device=device).reshape(8, 8, 3, 3).cos() / 8

    def made(dtype: torch.dtype) -> Tensor:
        drawn = F.conv2d(maps.to(dtype), kernel.to(dtype), padding=1).flatten(1)
        return (drawn.view(8, 256) @ drawn.view(8, 256).T / 256).float()

    try:
        return bool(torch.allclose(made(torch.float16), made(torch.float32), atol=2e-2))  # false for what is no number
    except (RuntimeError, NotImplementedError):
        return False


def lowered(dtype: torch.dtype | None, device: torch.device | str) -> AbstractContextManager[object]:
    """Multiply in another precision for a while; weights, and what must be exact, stay in theirs.

    Args:
        dtype: Of `fast_dtype`; None changes nothing.
        device: Where the networks are.
    """
    return nullcontext() if dtype is None else torch.autocast(torch.device(device).type, dtype)


SEARCHED_AFTER = 60
"""Runs of one shape before cuDNN tries all its ways to compute its convolutions, which costs seconds."""


class SearchedConvolutions:
    """Lets cuDNN look for the fastest convolutions, once a shape has come so often that the search will pay.

    The global switch is as before between runs. Nothing is searched where somebody has asked for what is deterministic.
    """

    def __init__(self) -> None:
        """Count nothing yet."""
        self._counts: dict[torch.Size, int] = {}

    @contextmanager
    def running(self, latents: Tensor) -> Generator[None, None, None]:
        """Hold the switch for a run.

        Args:
            latents: What the network is given.
        """
        count = self._counts[latents.shape] = self._counts.get(latents.shape, 0) + 1
        backend = torch.backends.cudnn
        before = backend.benchmark
        if latents.is_cuda and count > SEARCHED_AFTER and not backend.deterministic:
            backend.benchmark = True
        try:
            yield
        finally:
            backend.benchmark = before


def open_device(name: torch.device | str, option: str = "device") -> torch.device:
    """Return a device on which something has been computed.

    Args:
        name: As PyTorch calls it: `cpu`, `cuda`, `cuda:1`, `mps` ...
        option: What messages call it.

    Raises:
        BadInput: When this machine has no such device.
    """
    try:
        device = torch.device(name)
        torch.ones(1, device=device).add(1).item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError, AttributeError, TypeError) as error:
        here = default_device()
        others = "" if here.type == "cpu" else f" or {here}"
        raise BadInput(
            f"`{option}` must be a device of this machine, cpu{others}, but got {str(name)!r}. Try {here}."
        ) from error
    return device
