"""What people wear in a photograph: beards, the shape of glasses, and colours of hair and clothes.

Naming what a photograph shows already changes nothing; so it must be known.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...people.palette import HAIR
from ..head_camera import face_unit, head_camera, seen
from ..masked import as_photographed, blurred, filled, inside, luma, mean_of, softened
from ..scene import Scene
from .beards import AREAS, BARE, beard_density, lips_of
from .details import CLOTHES_COLOURS, HAIR_COLOURS
from .hair_colours import hair_of_colour

_TINT, _OFFSET = 0.4, 0.1  # how much tints count beside brightness; of it, below which there is hardly any
_SAME, _NEAREST = 0.13, 0.075  # distance of hair from the colour of its name, and beyond that of the nearest name
_OTHER_TONE, _TONE = 0.8, (0.04, 0.11)  # share of a lip with a moustache that has another colour than skin; how far
_DARK, _TINTED = 0.62, 0.047  # how light such a lip is at most beside skin, or how much its tint differs at least
_SMOOTH, _PLAIN = 0.6, 0.8  # times the detail of the lip that a chin without a beard has, and as unlike cheeks
_CHEEKS = 1.5  # times as light as the chin are cheeks that no beard covers
_HAIRS, _NEAR, _NOTHING = (
    0.02,
    0.06,
    0.02,
)  # in distances of the eyes: detail of hairs, what is near a beard; share of none
_SHAPES = (("round glasses", 2.0, (0.95, 1.05)), ("square glasses", 4.2, (0.65, 0.75, 0.85)))
"""Of lenses: the power of their outline, and how high they are beside their width."""
_ASIDE, _LOWER = (0.45, 0.5, 0.55), (0.0, 0.05, 0.1, 0.15, 0.2)  # in distances of the eyes: where lenses may be
_HALF_WIDTHS, _DEPTH = (0.26, 0.3, 0.34, 0.38, 0.42, 0.46), 0.1
_CORNERS = 48  # of an outline
_OF_ITS_TINT, _COLOURLESS = 0.35, 0.05  # of a colour's tint, that what has it has; range of black, grey and white
_CELLS = 64  # of a picture a side, in which clothes are looked at


def has_hair_colour(scene: Scene, name: str) -> bool:
    """Say whether hair has a colour already, or one that pictures cannot tell from it.

    Args:
        scene: The photograph.
        name: Of `details.HAIR_COLOURS`.
    """
    hair, skin = scene.hair, scene.was("skin")
    own = _tone(mean_of(scene.shown, hair.square())).flatten(1)
    known = dict.fromkeys((f"{colour} hair" for colour in HAIR), 0.0) | {name: 0.0}
    for other in known:
        known[other] = float(
            (_tone(hair_of_colour(HAIR_COLOURS[other], scene.shown, skin)).flatten(1) - own).norm(dim=1).mean()
        )
    return known[name] < _SAME and known[name] < min(known.values()) + _NEAREST


def has_clothes_colour(scene: Scene, names: Collection[str]) -> bool:
    """Say whether clothes may have one of some colours already: none is much nearer.

    Args:
        scene: The photograph.
        names: Of `details.CLOTHES_COLOURS`.
    """
    own = _tone(mean_of(scene.shown, scene.was("clothes").square())).flatten(1)
    away = {
        name: float(
            (_tone(as_photographed(colour, scene.shown, scene.was("skin"))).flatten(1) - own).norm(dim=1).mean()
        )
        for name, colour in CLOTHES_COLOURS.items()
    }
    return min(away[name] for name in names) < min(away.values()) + _NEAREST


def share_of_clothes(scene: Scene, names: Collection[str]) -> float:
    """Return how much of all clothes may have one of some colours already: that of stripes, of a jacket, of a collar.

    Args:
        scene: The photograph.
        names: Of `details.CLOTHES_COLOURS`.
    """
    small = functional.interpolate(softened(scene.shown, 1.0), (_CELLS, _CELLS), mode="area")
    clothes = functional.interpolate(scene.was("clothes"), (_CELLS, _CELLS), mode="area").square().flatten(1)
    own = _tone(small)
    tones = {
        name: _tone(as_photographed(colour, scene.shown, scene.was("skin"))) for name, colour in CLOTHES_COLOURS.items()
    }
    away = {name: (tone - own).norm(dim=1).flatten(1) for name, tone in tones.items()}
    nearest = torch.stack([*away.values()]).amin(0)
    named = torch.zeros_like(nearest, dtype=torch.bool)
    for name in names:
        near, tint = away[name] < nearest + _NEAREST, tones[name][:, 1:]
        if max(CLOTHES_COLOURS[name]) - min(CLOTHES_COLOURS[name]) > _COLOURLESS:  # what is dark has hardly any tint
            alike = (own[:, 1:] * tint).sum(1) / tint.square().sum(1).clamp(min=1e-6)
            near &= (alike > _OF_ITS_TINT).flatten(1)
        named |= near
    return float((named * clothes).sum() / clothes.sum().clamp(min=1e-3))


def _tone(colour: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return how bright colours are, and their tint."""
    light = luma(colour)
    red, green, blue = ((colour - light) / (light + _OFFSET)).split(1, 1)
    return torch.cat([light, _TINT * (red - blue), _TINT * (red - green)], 1)


def worn_beard(scene: Scene) -> str | None:
    """Return which of `AREAS` a face wears; None where there is none, or no more than stubble.

    Args:
        scene: The photograph.
    """
    points, shown, skin = scene.landmarks, scene.shown, scene.was("skin")
    whole, chin, lip = (beard_density(points, AREAS[kind], shown) for kind in ("beard", "goatee", "mustache"))
    cheeks, lower = (whole - chin - lip).clamp(min=0), (chin - lip).clamp(min=0)
    unit = float(face_unit(points).mean()) / 2
    face = inside(points[:, list(BARE)], shown)
    # The skin that is expected is that of the cheeks and around a beard, lips left out.
    around = (5 * (skin - 0.8)).clamp(0, 1) * (blurred(whole + lips_of(points, shown), _NEAR * unit) < _NOTHING)
    expected = filled(shown, torch.maximum(around, face))
    apart = ((blurred(shown, _HAIRS * unit) - expected).abs().amax(1, keepdim=True) - _TONE[0]) / (_TONE[1] - _TONE[0])
    if float(mean_of(apart.clamp(0, 1), lip).mean()) < _OTHER_TONE:
        return None
    light, other = _tone(mean_of(shown, lip)), _tone(mean_of(expected, lip))
    darker, tint = (light[:, 0] / other[:, 0].clamp(min=0.02)).mean(), (light - other)[:, 1:].norm(dim=1).mean()
    if float(darker) > _DARK and float(tint) < _TINTED:
        return None
    bright = luma(shown)
    fine = (bright - softened(bright, 2 * _HAIRS * unit * shown.shape[-1])).square()
    plain = (mean_of(fine, lower) / mean_of(fine, lip).clamp(min=1e-9)).sqrt() < _SMOOTH
    away = [(mean_of(bright, part) - mean_of(bright, face * skin)).abs() for part in (lower, lip)]
    if bool((plain & (away[0] < _PLAIN * away[1])).all()):
        return "mustache"
    bare = mean_of(bright, cheeks * skin) > _CHEEKS * mean_of(bright, lower * skin)
    return "goatee" if bool(bare.all()) else "beard"


def worn_lenses(frame: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"]) -> str:
    """Return whether glasses are `round glasses` or `square glasses`: along which outlines there is more of a frame.

    Args:
        frame: Share of accessories around the eyes, of each pixel.
        landmarks: In [-1, 1].
    """
    camera = head_camera(landmarks)

    def found(rims: Float[Tensor, "r k 3"]) -> Float[Tensor, "r"]:
        at = seen(camera, rims.reshape(-1, 3).to(landmarks))[:, None]
        there = functional.grid_sample(frame.float(), at.float(), align_corners=False).mean((0, 1, 2))
        return there.reshape(len(rims), -1).mean(1)

    most: dict[str, float] = {}
    for name, power, heights in _SHAPES:
        sizes = itertools.product(_ASIDE, _LOWER, _HALF_WIDTHS, heights)
        rims = [(_pair(*size, power), _pair(*size, power, within=0.6)) for size in sizes]
        around, inside_them = (torch.stack(part) for part in zip(*rims, strict=True))
        most[name] = float((found(around) - 0.5 * found(inside_them)).amax())
    return max((much, name) for name, much in most.items())[1]


def _pair(aside: float, lower: float, wide: float, high: float, power: float, within: float = 1.0) -> Tensor:
    """Return outlines before both eyes, superellipses, in the head's coordinates."""
    turn = torch.arange(_CORNERS) / _CORNERS * 2 * torch.pi
    x, y = (within * wide * value.sign() * value.abs() ** (2 / power) for value in (turn.cos(), turn.sin()))
    return torch.cat(
        [torch.stack([eye + x, lower + high * y, torch.full_like(x, _DEPTH)], 1) for eye in (-aside, aside)]
    )
