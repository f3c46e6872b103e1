"""Lips that are painted: another colour, with the light and dark, the lines and the gloss that they have."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...topology import INNER_LIPS, OUTER_LIPS
from ..head_camera import face_unit
from ..lip_points import red_of_lips
from ..masked import as_photographed, blurred, grown, inside, luma, mean_of, recoloured, surely
from ..scene import Scene
from .beards import lips_of
from .details import LIP_COLOURS

_AROUND, _BEYOND = 0.3, 0.05  # in distances of the eyes: skin beside lips; how far they may be from their points
_TOLD = 0.04  # of their light: how far lips and skin differ at least that colours tell apart
_BETWEEN = 0.03  # in distances of the eyes, how far beyond their points what is between lips may go
_DARK = 0.05  # of the range: what is darker has hardly a colour
_CORE = 0.025  # in distances of the eyes, how far within their points lips surely are
_ROUGH = 0.012  # likewise: what is finer is no edge of a lip
_LIPS = (0.2, 0.55)  # of the way from the colour of skin to that of lips: what is skin, and what is lip
_COVERS = 0.85  # how far paint hides the colour below
_GLOSS = (0.35, 0.2)  # by how much lighter than lips gloss is that stays, and over how much it comes


def with_lipstick(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Give lips the colour that a prompt names, in the light of the photograph.

    Args:
        scene: The photograph.
        picture: What is changed, in [0, 1].
        where: Around the mouth.
    """
    named = sorted(scene.details & set(LIP_COLOURS))
    if not named:
        return picture
    lips = red_share(scene)
    old, new = mean_of(picture, lips), as_photographed(LIP_COLOURS[named[0]], scene.shown, scene.was("skin"))
    made = recoloured(picture, old, new)
    low, wide = _GLOSS
    gloss = ((luma(picture) - luma(old) - low) / wide).clamp(0, 1)
    return picture + _COVERS * lips * (1 - gloss) * (made - picture)


def red_share(scene: Scene) -> Tensor:
    """Return how far each pixel is the red of lips: near their points, and rather of their colour than of the skin's.

    Args:
        scene: The photograph.
    """
    unit = float(face_unit(scene.landmarks).mean()) / 2
    shown = blurred(scene.shown, _ROUGH * unit)
    area, inner = (inside(scene.landmarks[:, list(line)], shown) for line in (OUTER_LIPS, INNER_LIPS))
    between = grown(inner, _BETWEEN * unit) * (3 * scene.was("mouth", "teeth")).clamp(max=1)
    skin = scene.was("skin") * grown(area, _AROUND * unit) * (1 - grown(area, 2 * _BEYOND * unit))
    at = red_of_lips(scene.landmarks)[:, :, None].to(shown)
    red = functional.grid_sample(shown, at, padding_mode="border", align_corners=False).median(2, keepdim=True).values
    pale = _tint(mean_of(shown, skin))
    way = _tint(red) - pale
    along = ((_tint(shown) - pale) * way).sum(1, keepdim=True) / way.square().sum(1, keepdim=True).clamp(min=1e-4)
    low, high = _LIPS
    alike = ((along - low) / (high - low)).clamp(0, 1)
    told = (way.norm(dim=1, keepdim=True) / _TOLD - 1).clamp(0, 1)
    near = blurred(grown(area, _BEYOND * unit), 0.5 * _BEYOND * unit)
    core = surely(area, _CORE * unit)  # gloss is no skin
    found = torch.lerp(lips_of(scene.landmarks, shown), near * torch.maximum(alike, core), told)
    found = blurred(found, _ROUGH * unit)
    return found * (1 - between * (1 - alike)) * (1 - scene.was("hair", "accessory"))


def _tint(colour: Tensor) -> Tensor:
    """Return how colours differ from grey, whatever their light: lips lie in light and in shade."""
    light = luma(colour)
    return (colour - light) / (light + _DARK)
