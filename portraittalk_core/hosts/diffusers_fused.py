"""Run a diffusers network's own layers through kernels, for as long as it runs: nothing is left on it afterwards."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Protocol, cast

from torch import Tensor, nn

from ..host import Call
from ..kernels.choice import wanted
from ..kernels.cross import cross_attention
from ..kernels.elementwise import gated, group_norm
from .diffusers_once import swapped

if TYPE_CHECKING:
    from diffusers.models.attention_processor import Attention


class FusedLayers:
    """Gates (GEGLU), and group norms with the SiLU behind them, of a network of diffusers.

    Layers take the place of others while a call runs, so that modules, weights, and what others have hooked on them
    stay what they are, and nothing is compiled anew when branches come and go.
    """

    def __init__(self, net: nn.Module) -> None:
        """Look for nothing yet.

        Args:
            net: A U-Net, ControlNet or VAE.
        """
        self._net, self._weight = net, next(net.parameters(), None)
        self._places: list[tuple[nn.Module, str, object, object]] | None = None

    @contextmanager
    def installed(self, like: Tensor) -> Generator[None, None, None]:
        """Hold the layers in the network until the context ends, where kernels run.

        Args:
            like: What the network is given.
        """
        with ExitStack() as stack:
            if self._weight is not None and wanted(like, self._weight):
                for parent, name, there, fused in self._found():
                    if getattr(parent, name) is there:  # else somebody has put another one there since
                        stack.enter_context(swapped(parent, name, fused))
            yield

    def _found(self) -> list[tuple[nn.Module, str, object, object]]:
        if self._places is None:
            modules = list(self._net.modules())
            made = [(layer, name, fused) for layer in modules for name, fused in _replacements(layer)]
            self._places = [(layer, name, getattr(layer, name), fused) for layer, name, fused in made]
        return self._places


class One:
    """The number 1 as a divisor of tensors, which gives them back and reads nothing.

    diffusers divides the result of every residual layer and every attention by a factor that is 1 in SD1.5: 55 times a
    pass of the U-Net, 5 % of all that it moves (`python -m benchmarks.step_traffic`).
    """

    def __rtruediv__(self, divided: Tensor) -> Tensor:
        """Return what is divided."""
        return divided

    def __eq__(self, other: object) -> bool:
        """Say whether another is 1, too."""
        return other == 1 or isinstance(other, One)

    __hash__ = None  # pyright: ignore[reportAssignmentType] - equal to numbers, whose hash it has not


def _replacements(layer: nn.Module) -> list[tuple[str, object]]:
    """Return what takes the place of a layer's children and factors, by name."""
    factors = ("output_scale_factor", "rescale_output_factor")
    units: list[tuple[str, object]] = [(name, One()) for name in factors if getattr(layer, name, None) == 1]
    return [*units, *_fused(layer)]


def _fused(layer: nn.Module) -> list[tuple[str, object]]:
    from diffusers.models.activations import GEGLU
    from diffusers.models.resnet import ResnetBlock2D

    if isinstance(layer, nn.ModuleList) and len(layer) and type(layer[0]) is GEGLU and not _hooked(layer[0]):
        return [("0", _Gate(layer[0]))]
    if type(layer) is not ResnetBlock2D:
        return []
    norms = [layer.norm1, layer.norm2]
    plain = not any(map(_hooked, norms)) and type(layer.nonlinearity) is nn.SiLU
    if not plain or layer.time_embedding_norm != "default" or _hooked(layer.nonlinearity):
        return []
    normed = [(f"norm{k}", _NormWithSiLU(norm)) for k, norm in enumerate(norms, 1)]
    return [*normed, ("nonlinearity", _OnlyEmbeddings())]


def _hooked(layer: nn.Module) -> bool:
    return any(vars(layer).get(name) for name in ("_forward_hooks", "_forward_pre_hooks"))


class _Gate(nn.Module):
    """GEGLU, from what its projection gives."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.proj = layer.proj

    def forward(self, hidden: Tensor, *_: object, **__: object) -> Tensor:
        return gated(self.proj(hidden))


class _NormWithSiLU(nn.Module):
    """A ResNet's group norm, with the activation that follows it there."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = cast(nn.GroupNorm, norm)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        return group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps, silu=True)


class _OnlyEmbeddings(nn.Module):
    """A ResNet's activation where norms bring their own: the one on the time embedding is left."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.ndim == 4 else nn.functional.silu(x)


class Reached(Protocol):
    """A branch that is counted."""

    branch: Any
    """A `host.CrossBranch`."""

    calls: list[Call]
    """Those in progress; the last says what the rows are."""

    def reached(self) -> None:
        """Count it."""
        ...


class FusedCross:
    """An attention processor that runs text's attention and what branches add to it through one kernel.

    Args:
        acting: Branches of this place, at least one, in the order in which they add up.
    """

    def __init__(self, acting: Sequence[Reached]) -> None:
        self._acting = acting

    def __call__(
        self, attn: Attention, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **_: object
    ) -> Tensor:
        """Return the attention's result, projected; see diffusers' `AttnProcessor2_0`."""
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = attn.to_q(hidden_states), cast(Any, attn.to_k)(context), cast(Any, attn.to_v)(context)
        for one in self._acting:
            one.reached()
        branches, call = [one.branch for one in self._acting], self._acting[0].calls[-1]
        out = cross_attention(query, key, value, attn.heads, branches, call)
        projection, dropout = cast(nn.ModuleList, attn.to_out)
        return dropout(projection(out))

    @staticmethod
    def fits(attention: Any) -> bool:
        """Say whether it computes what the processor there would.

        Args:
            attention: Of diffusers.
        """
        from diffusers.models.attention_processor import AttnProcessor2_0

        others = ("spatial_norm", "group_norm", "norm_cross", "norm_q", "norm_k", "residual_connection")
        plain = type(attention.processor) is AttnProcessor2_0 and attention.rescale_output_factor == 1
        return plain and not any(getattr(attention, name, None) for name in others)
