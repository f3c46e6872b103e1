"""A stack whose networks the host moves and frees: the value of a PORTRAITTALK_STACK socket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from comfy.patcher_extension import CallbacksMP
from jaxtyping import Float
from torch import Tensor, nn

from ..portraittalk_core import builders
from ..portraittalk_core.checkpoints.native import load_adapters, model_files
from ..portraittalk_core.compositing.motions_kept import MotionsKept
from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.motion.mesh_motion import MeshMotion
from ..portraittalk_core.nets.replacing import N, with_layers
from ..portraittalk_core.perception.mesh_identity import MeshIdentity
from ..portraittalk_core.sites import UNetShape
from ..portraittalk_core.stacks.base import Stack
from ..portraittalk_core.stacks.tiny import TinyStack
from ..portraittalk_core.types import FaceMotion, Identity
from . import convert
from .host_values import LatentFormat, VaeLike
from .looks import Look, Looks

Patcher = comfy.model_patcher.ModelPatcher
"""MODEL, and any network that the host moves."""

Motion = FaceMotion | MeshMotion
"""The value of a PORTRAITTALK_MOTION socket."""


@dataclass(frozen=True)
class HostCodec:
    """The host's VAE as a stack's codec.

    It is not asked while a MODEL samples: loading it then might push that out of memory.
    """

    vae: VaeLike | None
    """None where nothing was connected, which is an error once it is needed."""

    latent_format: LatentFormat
    """Of the MODEL that is to see the latents."""

    runs_while_sampling: bool = False
    """See `stacks.codec.Codec`."""

    def encode(self, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n c h w"]:
        """Return the latents of pictures as the MODEL sees latents. Raises `BadInput` without a VAE."""
        return self.latent_format.process_in(self._checked().encode(convert.images(pixels)))

    def decode(self, latents: Float[Tensor, "n c h w"]) -> Iterator[Float[Tensor, "n 3 s s"]]:
        """Yield the pictures of latents. Raises `BadInput` without a VAE."""
        yield torch.stack(convert.pictures(self._checked().decode(self.latent_format.process_out(latents))))

    def _checked(self) -> VaeLike:
        if self.vae is None:
            raise BadInput(
                "`vae` must be connected where the adapters were loaded alone, but it is not. Connect the VAE."
            )
        return self.vae


class HostMemory:
    """The networks that run beside a MODEL, each known to the host."""

    def __init__(self, networks: Iterable[nn.Module] = ()) -> None:
        self._patchers = [(net, _patcher(net)) for net in networks]

    def add(self, net: nn.Module) -> None:
        """Let the host move and free a network."""
        self._patchers.append((net, _patcher(net)))

    def patchers(self, networks: Iterable[nn.Module] | None = None) -> list[Patcher]:
        """Return those of some networks; by default all."""
        wanted = None if networks is None else {id(net) for net in networks}
        return [patcher for net, patcher in self._patchers if wanted is None or id(net) in wanted]


@dataclass(frozen=True)
class HostedStack:
    """A stack, and what the host has to know of it."""

    name: str
    """That the user chose."""

    stack: Stack
    """The model."""

    memory: HostMemory
    """Its networks."""

    vae: VaeLike | None = None
    """The model's own; None for adapters that go with a stock checkpoint."""

    sets_schedule: bool = False
    """Whether a MODEL has to be put on the stack's noise schedule; tiny's MODEL is on it already."""

    moving: tuple[nn.Module, ...] = ()
    """Those of its networks that `Stack.composite` runs."""

    @property
    def shape(self) -> UNetShape:
        """Of the U-Net that its networks were made for."""
        return builders.unet_shape(self.stack.config)

    def get_models(self) -> list[Patcher]:
        """Return what the host shall know of when it counts memory."""
        return self.memory.patchers()

    def bring_moving(self) -> None:
        """Let the host load what `Stack.composite` runs."""
        if self.moving:
            comfy.model_management.load_models_gpu(self.memory.patchers(self.moving))

    def codec(self, model: Patcher, vae: VaeLike | None) -> HostCodec:
        """Return a VAE of the graph, or its own, for latents as a MODEL sees them."""
        return HostCodec(vae or self.vae, model.model.latent_format)

    def with_vae(self, model: Patcher, vae: VaeLike | None) -> Stack:
        """Return the stack with such a VAE."""
        return self.stack.with_codec(self.codec(model, vae))


@dataclass(frozen=True)
class BoundIdentity:
    """The value of a PORTRAITTALK_IDENTITY socket: who it is, and the stack that has found them."""

    identity: Identity | MeshIdentity
    """Of `Stack.identify`."""

    hosted: HostedStack
    """Whose networks condition a MODEL on them."""

    photograph: Float[Tensor, "h w c"] | None = None
    """The picture that the first crop was cut out of, as IMAGE; None where it is not known."""

    looks: Looks | None = None
    """What prompts have made of the photograph, of which `identity` is the first; frames of it are plain ones. None
    where nobody has drawn that yet: frames are then drawn as their prompts want them."""

    @property
    def each(self) -> Sequence[Look]:
        """The person in each look."""
        return self.looks.each if self.looks else (Look(cast(Identity, self.identity), self.hosted.stack),)

    def stack_for(self, look: Look, model: Patcher, vae: VaeLike | None) -> Stack:
        """Return the stack as it denoises frames of a look: plain ones may be smaller; see `HostedStack.codec`."""
        stack = look.stack.with_codec(self.hosted.codec(model, vae))
        plain = stack.config.sampling.plain_size
        return stack if self.looks is None or plain is None else stack.at(plain)

    def __deepcopy__(self, memo: dict[int, object]) -> BoundIdentity:
        return self  # it travels in a MODEL's options, which the host copies with every clone


def remembering(stack: Stack) -> Stack:
    """Return the same stack with motions of its own to keep: those of another look would be forgotten in turn."""
    if not isinstance(stack, TinyStack):
        return stack
    return replace(stack, warp=replace(stack.warp, kept=MotionsKept()))


def load_tiny(
    name: str,
    vae: VaeLike,
    latent_format: LatentFormat,
    alone: bool = False,
    multiplies: torch.dtype | None = None,
) -> HostedStack:
    """Load the adapters of `tiny`, or of a folder of the same files.

    Args:
        name: Of the model, or its folder.
        vae: The model's own, as the host's class.
        latent_format: Of the model.
        alone: MODEL and VAE come from elsewhere; the own VAE then only finds pictures that are out of domain.
        multiplies: In which precision the dense motion does, see `TinyStack.load`.

    Returns:
        The stack.

    Raises:
        BadInput: For an unknown name.
        WeightsMismatch: For files that do not fit.
    """
    config, adapters = load_adapters(model_files(name)["denoiser"])
    stack = TinyStack.load(
        name,
        adapters=(config, castable(adapters)),
        codec=HostCodec(vae, latent_format),
        multiplies=multiplies,
    )
    moving = castable(stack.warp.net)
    return HostedStack(name, stack, HostMemory([adapters, moving]), None if alone else vae, moving=(moving,))


def _patcher(net: nn.Module) -> Patcher:
    patcher = Patcher(
        _Held(net).eval().requires_grad_(False),
        load_device=comfy.model_management.get_torch_device(),
        offload_device=comfy.model_management.unet_offload_device(),
    )
    patcher.add_callback(CallbacksMP.ON_LOAD, _bring_rest)
    return patcher


class _Held(nn.Module):
    """Holds a network, for the host sets attributes (`device`) that some networks of others refuse."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net


def _bring_rest(patcher: Patcher, device: torch.device | str | None, *_: object) -> None:
    """Move what cannot fetch itself when it runs: the host leaves buffers and bare parameters where memory is short."""
    for module in patcher.model.modules():
        if device is None or hasattr(module, "comfy_cast_weights"):
            continue
        for own in (*module.parameters(recurse=False), *module.buffers(recurse=False)):
            if own.device != torch.device(device):
                own.data = own.data.to(device)


def castable(net: N) -> N:
    """Replace layers by the host's, which fetch and cast their weights when they run (low memory, half precision).

    Nothing of the network is trained after that.

    Args:
        net: Changed in place.

    Returns:
        The same network.
    """
    return with_layers(net, _host_layer).requires_grad_(False)


def _host_layer(layer: nn.Module) -> nn.Linear | nn.LayerNorm | nn.GroupNorm | nn.Conv2d | None:
    """Return the host's empty layer of the same kind, None for what holds no weights of its own."""
    ops, nowhere, bias = comfy.ops.manual_cast, torch.device("meta"), getattr(layer, "bias", None) is not None
    kind = type(layer)
    if isinstance(layer, nn.Linear) and kind is nn.Linear:
        return ops.Linear(layer.in_features, layer.out_features, bias=bias, device=nowhere)
    if isinstance(layer, nn.LayerNorm) and kind is nn.LayerNorm:
        return ops.LayerNorm(list(layer.normalized_shape), eps=layer.eps, device=nowhere)
    if isinstance(layer, nn.GroupNorm) and kind is nn.GroupNorm:
        return ops.GroupNorm(layer.num_groups, layer.num_channels, eps=layer.eps, device=nowhere)
    if isinstance(layer, nn.Conv2d) and kind is nn.Conv2d:
        size = cast("tuple[int, int]", layer.kernel_size)
        stride, padding = cast("tuple[int, int]", layer.stride), cast("tuple[int, int]", layer.padding)
        return ops.Conv2d(
            layer.in_channels, layer.out_channels, size, stride=stride, padding=padding, bias=bias, device=nowhere
        )
    return None
