"""Read the networks of an SD1.5 stack for a host that moves and frees them."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import torch
from torch import Tensor, nn

from ..portraittalk_core.stacks.loader import READERS, NetworkLoader
from ..portraittalk_core.stacks.spec import StackSpec
from .hosted_stack import HostMemory, castable

_WHOLE = ("text_beside",)
"""Networks whose weights are asked for their place before they run, so that no layer of them may stay behind."""


class HostLoader(NetworkLoader):
    """Lets the host move what a stack reads.

    What denoises is read once and stays known to the host (`keep`); what is asked once a graph is read when it is
    asked for and let go.
    """

    def __init__(self, spec: StackSpec, device: torch.device, dtype: torch.dtype) -> None:
        """Read nothing yet.

        Args:
            spec: Which files.
            device: Where networks run.
            dtype: Of their weights there.
        """
        super().__init__(spec, device, dtype)
        self.memory = HostMemory()

    @contextmanager
    def load(self, *names: str) -> Generator[list[Any], None, None]:
        """Hold networks by name, on the device and whole, until the block ends."""
        nets = [READERS[name](self.spec, self.dtype) for name in names]
        patchers = HostMemory([net if isinstance(net, nn.Module) else net.net for net in nets]).patchers()
        comfy.model_management.load_models_gpu(patchers, force_full_load=True)
        try:
            yield nets
        finally:
            nets.clear()
            patchers.clear()
            self.clear()

    def keep(self, name: str) -> Any:
        """Return a network for sampling: an additional model of a MODEL, which the host loads with it."""
        if name not in self._kept:
            net = READERS[name](self.spec, self.dtype)
            self._kept[name] = net if name in _WHOLE else castable(net)
            self.memory.add(self._kept[name])
        return self._kept[name]

    def release(self) -> None:
        """Keep what was read: the host frees it when it needs the memory."""

    def wait(self, result: Tensor) -> Tensor:
        """Return a result where the host keeps such."""
        return result.to(comfy.model_management.intermediate_device())

    def clear(self) -> None:
        """Let the host take back what was let go."""
        comfy.model_management.cleanup_models()
        comfy.model_management.soft_empty_cache()
