"""Run a ControlNet beside a U-Net: what it gives is added to the U-Net's skips and to what leaves its mid block."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..errors import BadInput
from ..host import Branch, Call, UNetInputs
from ..sites import Site
from .diffusers_fused import FusedLayers
from .diffusers_host import shape_of
from .diffusers_once import swapped, weights_dtype

if TYPE_CHECKING:
    from diffusers.models.controlnets.controlnet import ControlNetModel

_HINT_FACTOR = 8


def control_branches(net: ControlNetModel, pictures: Float[Tensor, "n 3 h w"], scale: float = 1.0) -> list[Branch]:
    """Return the branches of a ControlNet: SKIP at every layer on the way up, INPUT at the first of them.

    The net runs once a U-Net call, on the noise, the time and the text that the U-Net gets (what diffusers' pipelines
    call `guess_mode=False`).

    Args:
        net: Of the U-Net's shape.
        pictures: What it is shown, in [0, 1], eight times the latent's size, one row a frame of the video or a single
            row for all; every pass sees them.
        scale: Multiplies what is added; at 0 there are no branches.

    Raises:
        BadInput: For pictures of another form.
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3 or pictures.shape[-1] % _HINT_FACTOR:
        raise BadInput(
            f"`pictures` must be [frames, 3, h, w] with sides that are multiples of {_HINT_FACTOR}, but got "
            f"{list(pictures.shape)}. Draw them at the video's size."
        )
    if scale == 0:
        return []
    sites = shape_of(net).skip_sites()
    run = _Run(net, pictures, scale)
    return [*(_SkipResidual(site, run, k) for k, site in enumerate(sites)), _MidResidual(run)]


class _Run:
    """Runs the net once for each call of the U-Net; the branches share what it gives."""

    def __init__(self, net: ControlNetModel, pictures: Tensor, scale: float) -> None:
        self._net, self._scale, self._fused = net, scale, FusedLayers(net)
        self._pictures: Tensor | None = pictures
        self._viewed: Tensor | None = None
        self._inputs: UNetInputs | None = None
        self._made: list[Tensor | None] = []

    def take(self, number: int, call: Call) -> Tensor:
        """Return a residual, -1 being the mid block's; it is let go with that."""
        if call.inputs is None:
            raise BadInput("A ControlNet must know what the U-Net is given, but this host does not set `Call.inputs`.")
        if self._inputs is not call.inputs:
            self._inputs, self._made = call.inputs, self._compute(call.inputs, call)
        residual, self._made[number] = self._made[number], None
        if residual is None:
            raise BadInput("A ControlNet's branches must each run once in a call, but one ran twice. Attach it once.")
        return residual

    def _compute(self, given: UNetInputs, call: Call) -> list[Tensor | None]:
        weights = weights_dtype(self._net)
        viewed = self._viewed
        if viewed is None or torch.is_grad_enabled():
            viewed = self._view(given)
        if not torch.is_grad_enabled():
            self._viewed, self._pictures = viewed, None  # what it has seen is smaller, and all that is asked for again
        latents = given.latents.to(weights)
        with swapped(self._net, "controlnet_cond_embedding", nn.Identity()), self._fused.installed(latents):
            down, mid = self._net(
                latents,
                given.timestep,
                given.text.to(weights),
                controlnet_cond=call.batch(viewed),
                conditioning_scale=self._scale,
                return_dict=False,
            )
        return [*down, mid]

    def _view(self, given: UNetInputs) -> Tensor:
        """Return what the net sees in the pictures, which no step changes."""
        size, pictures = tuple(_HINT_FACTOR * side for side in given.latents.shape[-2:]), self._pictures
        if pictures is None:
            raise BadInput("A ControlNet's branches must see gradients from the first run on. Make them anew.")
        if tuple(pictures.shape[-2:]) != size:
            raise BadInput(
                f"`pictures` must be {size[0]}x{size[1]}, eight times the latent's size, but are "
                f"{pictures.shape[-2]}x{pictures.shape[-1]}. Draw them at the video's size."
            )
        return self._net.controlnet_cond_embedding(pictures.to(weights_dtype(self._net)))


class _SkipResidual:
    """Adds one of the residuals to its skip."""

    def __init__(self, site: Site, run: _Run, number: int) -> None:
        self.site = site
        self._run, self._number = run, number

    def skip(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        return self.beforehand(call).to(hidden.dtype)

    def beforehand(self, call: Call) -> Float[Tensor, "b c h w"]:
        return self._run.take(self._number, call)


class _MidResidual:
    """Adds the last residual to what leaves the mid block, which is what enters the way up."""

    site: Site | None = Site("up", 0, 0)

    def __init__(self, run: _Run) -> None:
        self._run = run

    def residual(self, hidden: Float[Tensor, "b c h w"], call: Call) -> Float[Tensor, "b c h w"]:
        return self.beforehand(call).to(hidden.dtype)

    def beforehand(self, call: Call) -> Float[Tensor, "b c h w"]:
        return self._run.take(-1, call)
