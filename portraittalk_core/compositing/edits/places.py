"""Places behind people, out of focus as in a portrait: painted as behind rendered people, in the photograph's light.

A small denoiser draws a place in some hundred cells, which says what kind of place it is and no more. So of several
paintings of that kind one is taken that is most like what was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from ..scene import Scene, View

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


@dataclass(frozen=True)
class _Painting:
    """A place that has been chosen for somebody."""

    pictures: Float[Tensor, "n 3 p p"]
    """In linear light, behind the whole photograph."""

    light: Float[Tensor, "n 1 1 1"]
    """What they are multiplied by."""

    colour: Float[Tensor, "n 1 1 1"]
    """How colourful they are: 0 is black and white."""

    grain: Float[Tensor, "n 1 1 1"]
    """Deviation of the noise that the photograph has, of the range."""


def painted_place(name: str, scene: Scene) -> Float[Tensor, "n 3 s s"]:
    """Paint a place of one kind behind somebody, in the photograph's light and with its grain.

    Args:
        name: Of `PAINTED`.
        scene: The photograph, and what the denoiser drew.
    """
    painting = scene.settled(f"painting of {name}", lambda: _chosen(name, scene))
    linear = _seen(painting.pictures, scene.view, scene.shown.shape[-1]).clamp(min=0).to(scene.shown) * painting.light
    grey = luma(linear)
    linear = grey + painting.colour * (linear - grey)
    shown = (linear / (1 + 0.25 * linear.square())).clamp(0, 1).pow(1 / 2.2)
    return (shown + painting.grain * _noise(shown)).clamp(0, 1)


def _chosen(name: str, scene: Scene) -> _Painting:
    """Choose the painting that is most like what was drawn."""
    tried = torch.stack([_pictures(name, seed) for seed in range(_SCENES_TRIED if name in SCENES else _TRIED)])
    place, skin = scene.becomes("background"), scene.was("skin")
    small = functional.adaptive_avg_pool2d(_seen(tried, scene.view, tried.shape[-1]), _COMPARED)
    weight = functional.adaptive_avg_pool2d(place, _COMPARED)
    meant = functional.adaptive_avg_pool2d(scene.drawn * place, _COMPARED) / weight.clamp(min=1e-3)
    found: list[Tensor] = []
    for row in range(len(place)):
        differences = (_even(small, weight[row]) - _even(meant[row : row + 1], weight[row])).square()
        found.append(tried[int((differences * weight[row]).sum((1, 2, 3)).argmin())])
    pictures = torch.stack(found)
    face = mean_of(luma(scene.shown), skin).pow(2.2).clamp(0.08, 0.6)
    wanted = (
        _BRIGHT.get(name, _USUAL)
        if name not in WALLS
        else _WALL * float(luma(skin.new_tensor(WALLS[name]).view(1, 3, 1, 1)))
    )
    mean = luma(pictures).clamp(min=0).mean((1, 2, 3), keepdim=True).to(skin)
    light = wanted * (face / _FACE).clamp(_DARKER[name in WALLS], 1.5) / mean
    coloured = colourfulness(scene.shown) if name not in WALLS else torch.ones_like(light)
    return _Painting(pictures, light, coloured, _grain(scene.shown))


def _seen(pictures: Float[Tensor, "n 3 p p"], view: View, side: int) -> Float[Tensor, "n 3 side side"]:
    """Return what a part of the photograph shows of pictures that lie behind all of it."""
    if view.side == 1:
        return functional.interpolate(pictures, (side, side), mode="bicubic", antialias=False)
    middles = [2 * (start + view.side / 2) - 1 for start in (view.left, view.top)]
    affine = pictures.new_tensor([[view.side, 0, middles[0]], [0, view.side, middles[1]]]).expand(len(pictures), -1, -1)
    grid = functional.affine_grid(affine, [len(pictures), 3, side, side], align_corners=False)
    return functional.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False)


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
