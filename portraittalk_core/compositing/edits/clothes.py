"""Clothes of another colour; their cut stays."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from ..bare_skin import bare_skin
from ..masked import (
    as_photographed,
    blurred,
    colourfulness,
    evenness,
    filled,
    luma,
    mean_of,
    recoloured,
    surely,
    surface_colour,
)
from ..scene import Scene
from .details import CLOTHES_COLOURS
from .worn import has_clothes_colour, share_of_clothes

_HALO = 0.3  # share of clothes that is read where there are none, beside edges that are hard to tell
_REACH = 0.05  # of the picture's side: over which clothes have one colour
_ONE_COLOUR = 0.6  # how far all of them have one
_PLAIN = 0.05  # of the range: how far half of them are from their colour; named stripes are not even
_HARDLY = 0.06  # share of clothes, that a jacket at the crop's ends has at least
_OF_ITS_NAME = 0.85  # how far their colour is that of its name


def other_clothes(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Give clothes another colour, with the folds and the cut that they have.

    Args:
        scene: The photograph, and what the denoiser made of it.
        picture: What is changed, in [0, 1].
        where: Below the head.
    """
    was, becomes = scene.was("clothes"), scene.becomes("clothes")
    was = ((was - _HALO) / (1 - 2 * _HALO)).clamp(0, 1)
    was = was * (1 - bare_skin(scene.shown, surely(scene.was("skin")), surely(was)))
    if "clothes of no colour" in scene.details:
        scene.warn('Clothes are left as they are: tiny changes their colours only. Name one, as in "a red dress".')
        return picture
    if "a garment" in scene.details:
        scene.warn("Clothes keep the cut that they have in the photograph: tiny changes their colours only.")
    reach = _REACH / scene.view.zoom
    both = (was * becomes).square()
    mean = scene.settled("colour of clothes", lambda: mean_of(scene.drawn, both))
    new = blurred(filled(scene.drawn, both), reach)
    new = new + (1.0 if scene.view.beyond else _ONE_COLOUR) * (mean - new)
    for colour in _named(scene):
        new = new + _OF_ITS_NAME * (colour - new)
    new = luma(new) + colourfulness(scene.shown) * (new - luma(new))
    old = surface_colour(scene.shown, was.square(), reach)
    share = scene.settled("other clothes", lambda: torch.where(_surely_other(scene), 1.0, scene.otherwise(was)))
    return picture + share * was * (recoloured(picture, old, new) - picture)


def _named(scene: Scene) -> list[Tensor]:
    """Return the colours that a prompt names, as the photograph would show them."""

    def made() -> list[Tensor]:
        named, skin = sorted(scene.details & set(CLOTHES_COLOURS)), scene.was("skin")
        return [as_photographed(CLOTHES_COLOURS[name], scene.shown, skin) for name in named]

    return scene.settled("named for clothes", made)


def _surely_other(scene: Scene) -> Bool[Tensor, "n 1 1 1"]:
    """Say whether clothes are of one colour, and surely of another than a prompt names; or hardly a part has that."""
    was = scene.was("clothes")
    even = evenness(scene.shown, surely(was)) < _PLAIN
    named = scene.details & set(CLOTHES_COLOURS)
    if not named:
        return torch.zeros_like(even, dtype=torch.bool)
    hardly = share_of_clothes(scene, named) < _HARDLY
    return (even & (not has_clothes_colour(scene, named))) | hardly
