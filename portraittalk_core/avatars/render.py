"""Render batches of avatar portraits in torch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from . import body, features, hair, head
from .paint import Colour, ridge
from .parameters import PARAMETERS, unpack
from .scene import Scene, stage, surface


def render(parameters: Float[Tensor, "b p"], size: int = 256) -> Float[Tensor, "b 3 size size"]:
    """Render portraits eagerly, on the device of the parameters.

    Args:
        parameters: Rows of `PARAMETERS`. A picture depends on its own row only.
        size: Side of a picture in pixels.

    Returns:
        Pictures in [-1, 1].

    Raises:
        BadInput: When the rows do not have one number for each column.
    """
    _check(parameters)
    x, y = _grid(size, parameters.device)
    return _paint(parameters, x, y, 2.0 / size)


class Renderer:
    """Renders many portraits quickly: the same pictures as `render`, compiled for one batch size.

    Compilation happens at the first call and takes about two minutes on a CPU. The last batch is padded, since another
    batch size would be compiled anew.

    Args:
        size: Side of a picture in pixels.
        batch: Pictures that are drawn at once.
        compile: False draws without compilation.
    """

    def __init__(self, size: int = 256, batch: int = 8, compile: bool = True):
        self.size = size
        self.batch = batch
        self._paint = torch.compile(_paint, dynamic=False) if compile else _paint

    def __call__(self, parameters: Float[Tensor, "b p"]) -> Float[Tensor, "b 3 size size"]:
        """Render rows of `PARAMETERS` to pixels in [-1, 1]."""
        _check(parameters)
        x, y = _grid(self.size, parameters.device)
        count = len(parameters)
        padding = -count % self.batch
        rows = torch.cat([parameters, parameters[-1:].expand(padding, -1)])
        pictures = [self._paint(part.contiguous(), x, y, 2.0 / self.size) for part in rows.split(self.batch)]
        return torch.cat(pictures)[:count]


def _check(parameters: Tensor) -> None:
    if parameters.ndim != 2 or parameters.shape[1] != len(PARAMETERS) or not len(parameters):
        shape = tuple(parameters.shape)
        raise BadInput(
            f"`parameters` must be [b, {len(PARAMETERS)}] with b >= 1, but got {shape}. Build rows with `pack`."
        )


def _grid(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    centres = (torch.arange(size, device=device) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return x[None].contiguous(), y[None].contiguous()


def _paint(parameters: Tensor, x: Tensor, y: Tensor, pixel: float) -> Tensor:
    p = {name: values[:, None, None] for name, values in unpack(parameters).items()}
    scene = stage(p, x, y, pixel)
    return _warm(scene, _layers(scene))


def _layers(scene: Scene) -> Colour:
    """Paint from back to front."""
    back = hair.back(scene)
    picture = body.background(scene).mix(back.colour, back.amount)
    picture = body.clothes(scene, body.neck(scene, picture))
    picture = body.ears(scene, hair.shoulders(scene, back, picture))
    face = surface(scene)
    colour = head.nose(scene, face, head.skin(scene, face))
    colour = features.mouth(scene, face, head.beard(scene, face, colour))
    colour = features.eyes(scene, face, colour)
    picture = picture.mix(colour, face.inside).shade(1 - 0.10 * ridge(face.edge, 0.02))
    return hair.front(scene, face, features.glasses(scene, face, picture))


def _warm(scene: Scene, picture: Colour) -> Tensor:
    warmth = 0.05 * scene.p["light_warmth"]
    warm = picture.shade(1 + warmth, 1.0, 1 - warmth)
    return torch.stack([torch.clamp(channel, 0, 1) for channel in warm], dim=1) * 2 - 1
