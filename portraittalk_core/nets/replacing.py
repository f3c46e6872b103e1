"""Put other layers of the same weights in the place of a network's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from torch import nn

N = TypeVar("N", bound=nn.Module)


def with_layers(net: N, make: Callable[[nn.Module], nn.Module | None]) -> N:
    """Replace layers of a network.

    Args:
        net: Changed in place.
        make: Returns the empty layer that takes the place of one, and its weight and bias; None leaves it.

    Returns:
        The same network.
    """
    for parent in list(net.modules()):
        for name, layer in list(parent.named_children()):
            made = make(layer)
            if made is not None:
                made.weight, made.bias = cast(nn.Parameter, layer.weight), cast(nn.Parameter, layer.bias)
                setattr(parent, name, made.train(layer.training))
    return net
