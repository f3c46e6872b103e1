"""Count the memory that code needs while it runs without any: on torch's meta device tensors have shapes, no values.

Attention counts as a fused kernel that keeps no matrix. What the driver, the convolution libraries and the allocator's
gaps take is not seen.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")


class MemoryMeter:
    """Bytes of the meta tensors that are alive."""

    def __init__(self) -> None:
        """Begin at nothing."""
        self.now = 0
        """At this moment."""
        self.most = 0
        """At most, since `mark`."""
        self.counts = True
        """Whether new tensors count; weights are counted apart."""
        self._seen: weakref.WeakSet[Any] = weakref.WeakSet()

    def mark(self) -> int:
        """Begin a new stage.

        Returns:
            Bytes that earlier stages left.
        """
        self.most = self.now
        return self.now

    @contextmanager
    def running(self) -> Generator[None, None, None]:
        """Count what is made in the block, without gradients."""
        with torch.no_grad(), _FusedAttention(), _Counter(self):
            yield

    @contextmanager
    def training(self) -> Generator[None, None, None]:
        """Count what is made in the block, with gradients and what is kept for them."""
        # The backward pass knows no function modes, but recomputes attention: a mode would be seen half of the time.
        with torch.enable_grad(), _Counter(self), patch.object(F, "scaled_dot_product_attention", _fused):
            yield

    @contextmanager
    def paused(self) -> Generator[None, None, None]:
        """Do not count what is made in the block."""
        before, self.counts = self.counts, False
        try:
            yield
        finally:
            self.counts = before

    def add(self, tensor: Tensor) -> None:
        """Count a new tensor until it is gone.

        Args:
            tensor: On any device; only meta tensors count.
        """
        storage: Any = tensor.untyped_storage()
        if not self.counts or tensor.device != META or storage in self._seen:
            return
        size = storage.nbytes()
        self._seen.add(storage)
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self.now -= size


class _Counter(TorchDispatchMode):
    """Shows every new tensor to a meter."""

    def __init__(self, meter: MemoryMeter) -> None:
        super().__init__()
        self._meter = meter
        self._forms: dict[tuple[Any, ...], list[tuple[torch.Size, tuple[int, ...], torch.dtype]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = tree_leaves((args, kwargs))
        tensors = [leaf for leaf in given if isinstance(leaf, Tensor)]
        known = {_address(tensor) for tensor in tensors}
        if func in _COMPOSED and all(tensor.device == META for tensor in tensors):
            out = self._made(func, args, kwargs or {}, given)
        else:
            out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and _address(tensor) not in known:
                self._meter.add(tensor)
        return out

    def _made(self, func: Any, args: Any, kwargs: dict[str, Any], given: list[Any]) -> Any:
        """Return what an operation makes, asking it only once about tensors of the same form."""
        forms = (_form(leaf) if isinstance(leaf, Tensor) else (type(leaf), leaf) for leaf in given)  # 1 is not 1.0
        key = (func, *kwargs, *forms)
        if key not in self._forms:
            self._forms[key] = [_form(tensor) for tensor in tree_leaves(func(*args, **kwargs))]
        made = [torch.empty_strided(size, stride, dtype=kind, device=META) for size, stride, kind in self._forms[key]]
        return made[0] if len(made) == 1 else tuple(made)


def _form(tensor: Tensor) -> tuple[torch.Size, tuple[int, ...], torch.dtype]:
    """Return what a meta tensor is: size, stride and type."""
    return tensor.shape, tensor.stride(), tensor.dtype


_ATEN = torch.ops.aten
_COMPOSED = {
    _ATEN.native_layer_norm.default,
    _ATEN.native_group_norm.default,
    _ATEN.addmm.default,
    _ATEN.add.Tensor,
    _ATEN.mul.Tensor,
    _ATEN.div.Tensor,
    _ATEN.gelu.default,
    _ATEN.silu.default,
}
"""Operations which torch puts together out of others, in Python, to know what they make: a millisecond each time."""


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]; meta tensors have no data_ptr


class _FusedAttention(TorchFunctionMode):
    """Lets attention take what the fused kernels take: its result."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is F.scaled_dot_product_attention:
            query, value = args[0], (kwargs or {}).get("value", args[2] if len(args) > 2 else args[0])
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return func(*args, **(kwargs or {}))


def _fused(query: Tensor, key: Tensor, value: Tensor, *_options: Any, **_more: Any) -> Any:
    return _Attention.apply(query, key, value)


class _Attention(torch.autograd.Function):
    """What a fused kernel makes and keeps for its backward pass: result and sums of rows, no matrix."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(tensor) for tensor in ctx.saved_tensors[:3])
