"""Places behind people, out of focus as in a portrait: painted as behind rendered people, in the photograph's light.

A small denoiser draws a place in some hundred cells, which says what kind of place it is and no more. So of several
paintings of that kind one is taken that is most like what was drawn.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...people.background import paint_background
from ...people.brushes import out_of_focus
from ...people.interiors import INDOORS
from ...people.palette import WALLS
from ...people.scenery import OUTDOORS
from ..masked import colourfulness, luma, mean_of, softened

SCENES = {**OUTDOORS, **INDOORS}
"""Places that are painted for photographs, see `people.scenery.OUTDOORS`."""

_TRIED, _SCENES_TRIED = 8, 3  # pictures of a place, of which one is taken
_COMPARED = 16  # cells of a picture in which that is decided
_BRIGHT = {"bookshelf": 0.14, "brick wall": 0.18, "curtain": 0.16} | {name: row[1] for name, row in SCENES.items()}
_WALL = 1.1  # of a wall's own brightness
_USUAL = 0.26  # mean of a place in linear light, where a face has `_FACE`
_FACE = 0.32
_DARKER = (0.5, 0.85)  # at least, of places and of walls: a white wall in the shade would be a grey one
_GRAIN = 0.05  # at most, of the range


def painted_place(
    name: str,
    drawn: Float[Tensor, "n 3 s s"],
    picture: Float[Tensor, "n 3 s s"],
    place: Float[Tensor, "n 1 s s"],
    skin: Float[Tensor, "n 1 s s"],
) -> Float[Tensor, "n 3 s s"]:
    """Paint a place of one kind.

    Args:
        name: Of `PAINTED`.
        drawn: What the denoiser drew, in [0, 1].
        picture: The photograph, whose light and grain the place has.
        place: Which pixels of what was drawn are place.
        skin: Which of the photograph are skin.
    """
    side = picture.shape[-1]
    tried = [_pictures(name, seed) for seed in range(_SCENES_TRIED if name in SCENES else _TRIED)]
    small = torch.stack([functional.adaptive_avg_pool2d(one[None], _COMPARED)[0] for one in tried])
    weight = functional.adaptive_avg_pool2d(place, _COMPARED)
    meant = functional.adaptive_avg_pool2d(drawn * place, _COMPARED) / weight.clamp(min=1e-3)
    found: list[Tensor] = []
    for row in range(len(picture)):
        differences = (_even(small, weight[row]) - _even(meant[row : row + 1], weight[row])).square()
        best = int((differences * weight[row]).sum((1, 2, 3)).argmin())
        found.append(functional.interpolate(tried[best][None], (side, side), mode="bicubic", antialias=False)[0])
    linear = torch.stack(found).clamp(min=0).to(picture)
    face = mean_of(luma(picture), skin).pow(2.2).clamp(0.08, 0.6)
    wanted = (
        _BRIGHT.get(name, _USUAL)
        if name not in WALLS
        else _WALL * float(luma(linear.new_tensor(WALLS[name]).view(1, 3, 1, 1)))
    )
    linear = linear * (
        wanted * (face / _FACE).clamp(_DARKER[name in WALLS], 1.5) / mean_of(luma(linear), torch.ones_like(skin))
    )
    if name not in WALLS:
        grey = luma(linear)
        linear = grey + colourfulness(picture) * (linear - grey)
    shown = (linear / (1 + 0.25 * linear.square())).clamp(0, 1).pow(1 / 2.2)
    return (shown + _grain(picture) * _noise(shown)).clamp(0, 1)


def _pictures(name: str, seed: int) -> Float[Tensor, "3 s s"]:
    """Return one in linear light, blurred at least as a lens for portraits does."""
    if name in SCENES:
        paint, _, focus = SCENES[name]
        painted = out_of_focus(paint(np.random.default_rng([seed, 77])), focus)
        return torch.from_numpy(painted.transpose(2, 0, 1).copy()).float()
    painted = paint_background(name, seed, 288)
    return torch.from_numpy(np.ascontiguousarray(cv2.GaussianBlur(painted, (0, 0), 2.2).transpose(2, 0, 1))).float()


def _even(small: Float[Tensor, "n 3 k k"], weight: Float[Tensor, "1 k k"]) -> Tensor:
    """Return pictures of the same brightness and contrast."""
    weight = weight[None].expand(len(small), -1, -1, -1)
    away = small - mean_of(small, weight)
    return away / mean_of(away.square(), weight).mean(1, keepdim=True).sqrt().clamp(min=1e-3)


def _grain(picture: Tensor) -> Tensor:
    """Return how strong the photograph's grain is: what its evenest parts have of it."""
    light = luma(picture)
    rough = (light - softened(light, 0.8)).abs()
    even = functional.adaptive_avg_pool2d(rough, 24).flatten(1).quantile(0.25, dim=1)
    return (2 * even).clamp(max=_GRAIN)[:, None, None, None]


def _noise(like: Tensor) -> Tensor:
    chance = torch.Generator().manual_seed(0)
    return torch.randn(1, 1, *like.shape[-2:], generator=chance).to(like)
