"""Colours of hair as a photograph would show them: in the light of its face, and with strands."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..masked import STRANDS, as_photographed, blurred, luma, softened
from ..scene import Scene
from .details import HAIR_COLOURS
from .strands import strands_of_head

_LIT = 0.85  # of the light: strands shade one another
_LIGHTER = 0.15  # of the range: by which hair whose strands are to be seen has become lighter
_STRANDED = 0.13  # of hair's light: deviation of its strands
_BRIGHTEST, _GLEAM = (
    1.8,
    0.05,
)  # times as light as hair on the whole, and how much more, that strands are at most


def lightest_strands(colour: Float[Tensor, "n 3 #s #s"]) -> Float[Tensor, "n 3 #s #s"]:
    """Return how light strands of hair are at most: what is lighter is skin or a place between them.

    Args:
        colour: That the hair has on the whole, in [0, 1].
    """
    return _BRIGHTEST * colour + _GLEAM


def hair_of_colour(
    colour: tuple[float, float, float], picture: Float[Tensor, "n 3 s s"], skin: Float[Tensor, "n 1 s s"]
) -> Float[Tensor, "n 3 1 1"]:
    """Return what hair of some colour looks like on the whole in a photograph.

    Args:
        colour: In linear light.
        picture: The photograph, in [0, 1].
        skin: Where skin is seen; it says how bright the light is.
    """
    red, green, blue = (_LIT * share for share in colour)
    return as_photographed((red, green, blue), picture, skin)


def named_colour(scene: Scene) -> Float[Tensor, "n 3 1 1"] | None:
    """Return the colour of hair that a prompt names, as the photograph would show it; None where it names none.

    Args:
        scene: The photograph.
    """
    named = sorted(scene.details & set(HAIR_COLOURS))
    return hair_of_colour(HAIR_COLOURS[named[0]], scene.shown, scene.was("skin")) if named else None


def with_strands(
    picture: Float[Tensor, "n 3 s s"],
    old: Float[Tensor, "n 3 1 1"],
    colour: Float[Tensor, "n 3 1 1"],
    hair: Float[Tensor, "n 1 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    softness: float = 0.0,
) -> Float[Tensor, "n 3 s s"]:
    """Draw strands where hair shows none: what was black has hardly any light and dark to be kept.

    Args:
        picture: The hair in its new colour, in [0, 1].
        old: The colour that it had, on the whole.
        colour: The new one.
        hair: Its share of each pixel.
        landmarks: Of the face, in [-1, 1].
        softness: Of the photograph, pixels: how far it blurs a line.
    """
    light, usual = luma(picture), _STRANDED * luma(colour)
    detail = (light - blurred(light, STRANDS)).square()
    has = blurred(detail * hair, 0.05) / blurred(hair, 0.05).clamp(min=0.05)
    lighter = ((luma(colour) - luma(old)) / _LIGHTER).clamp(0, 1)
    missing = lighter * (usual.square() - has).clamp(min=0).sqrt() / luma(colour).clamp(min=0.02)
    if float((missing * hair).amax()) < 0.02:
        return picture
    strands = softened(strands_of_head(landmarks, picture).clamp(-2, 2), softness)
    return (picture * (1 + missing * strands)).clamp(0, 1)
