"""Older and younger faces: what years do to their shape, lines, colours and hair."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ...topology import BROW_OUTLINES
from ..head_camera import face_unit
from ..masked import (
    STRANDS,
    blurred,
    colourfulness,
    filled,
    inside,
    luma,
    mean_of,
    recoloured,
    softened,
    softness,
    surely,
)
from ..matting import person_share
from ..scene import Scene
from .ageing import bare_forehead, sagged, spotted
from .beards import lips_of
from .details import HAIR_COLOURS
from .hair_colours import hair_of_colour, lightest_strands
from .removal import pores
from .shaving import beard_of
from .wrinkles import wrinkled

_LINES = 0.012  # of the picture's side: how wide lines of age are at most
_OLDER, _YOUNGER, _GLOSS = 0.35, 0.7, 0.3  # how much deeper and fainter lines of the skin become, and fainter lights
_FOLDS, _SHALLOWER = 0.03, 0.4  # of the picture's side: how wide folds are; how much fainter they become
_COLOURLESS, _WHITE = (0.12, 0.3), (0.35, 0.5)  # tint of hair that is grey, and its light as a share of skin's
_DEEPEST, _LIGHTEST = 0.15, 0.03  # of the range, that is deepened: edges of the face are no lines
OLD, FIRM = 1.0, -0.35
"""How far old faces sag, and young ones do not."""
_PORE = 0.035  # of the distance of the eyes: detail that is finer is pores
_PALE_LIPS = 0.35  # how far lips lose their colour
_PALER = 0.08  # how much of its colour the skin of the old loses
_GREY_BROWS = 0.3  # how far hairs of the face become as light as grey hair
_DARK_HAIR = (0.04, 0.16)  # of the range: how much darker than skin they are
_REDDEST = 0.65  # share of its red that hair has more than green: a scarf may have
_SCARF = 0.25  # of the range: how far colours are from hair of the same brightness that are not hair's
_GREY, _GREY_LIGHT = (0.5, 0.2), (0.5, 0.12)  # share of grey strands and how it differs; of white, and at least more


def older(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Lines and spots that old faces have, and deeper ones of the skin; paler colours; all of it sags."""
    free = 1 - blurred(scene.was("accessory"), 0.008).mul(4).clamp(max=1) * scene.eyes
    skin = blurred(_bare_skin(scene, picture), 0.004) * free * bare_forehead(scene.shown, scene.landmarks)
    made = picture + _OLDER * skin * _lines(picture, skin).clamp(-_DEEPEST, _LIGHTEST)
    made = made + _PALER * skin * (luma(made) - made)
    lips = lips_of(scene.landmarks, made) * (1 - scene.was("mouth", "teeth"))
    made = made + _PALE_LIPS * lips * (
        mean_of(made, skin) * luma(made) / luma(mean_of(made, skin)).clamp(min=0.02) - made
    )
    made = spotted(made, skin, scene.landmarks)
    made = wrinkled(made, skin, scene.landmarks, softness(scene.shown, scene.was("skin")))
    return sagged(made, scene.landmarks, OLD)


def with_sagged_face(much: float, scene: Scene, where: Tensor) -> Scene:
    """Say where everything lies on a face that sags, for what comes after.

    Args:
        much: How far, see `ageing.sagged`.
        scene: The photograph.
        where: How far it may be; all of a face sags.
    """
    return replace(scene, before=sagged(scene.before, scene.landmarks, much))


def younger(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Fainter lines of the skin."""
    unit = float(face_unit(scene.landmarks).mean()) / 2
    hairy = (3 * blurred(_brows(scene, picture), 0.06 * unit)).clamp(max=1)
    skin = _bare_skin(scene, picture) * (1 - hairy) * bare_forehead(scene.shown, scene.landmarks)
    lines = _lines(picture, skin)
    smoother = picture - blurred(skin, 0.006) * (_YOUNGER * lines.clamp(max=0) + _GLOSS * lines.clamp(min=0))
    folds = _lines(smoother, skin, _FOLDS).clamp(-_DEEPEST, 0)
    smoother = smoother - _SHALLOWER * blurred(skin, 0.01) * folds
    # What a line leaves is as rough as a cheek, or it would be wax.
    light = luma(smoother)
    left = (light - softened(light, _PORE * unit * picture.shape[-1])).square()
    fine = pores(scene.shown, scene.landmarks)
    usual = mean_of(fine.square(), skin).sqrt()
    lacks = (1 - blurred(left, 0.03 * unit).clamp(min=0).sqrt() / usual.clamp(min=1e-3)).clamp(0, 1)
    made = _without_grey(scene, smoother + blurred(skin, 0.006) * lacks * fine)
    return sagged(made, scene.landmarks, FIRM)


def _without_grey(scene: Scene, picture: Tensor) -> Tensor:
    """Return a picture whose hair, where it is grey on the whole, is brown as most is; not in black and white."""
    hair = scene.was("hair").square()
    if scene.details & set(HAIR_COLOURS) or bool((colourfulness(scene.shown) < 1).any()):
        return picture
    old, skin = mean_of(picture, hair), mean_of(picture, scene.was("skin"))
    tint = (old.amax(1, keepdim=True) - old.amin(1, keepdim=True)) / luma(old).clamp(min=0.02)
    (dull, some), (dark, light) = _COLOURLESS, _WHITE
    grey = ((some - tint) / (some - dull)).clamp(0, 1)
    grey = grey * ((luma(old) / luma(skin).clamp(min=0.02) - dark) / (light - dark)).clamp(0, 1)
    new = hair_of_colour(HAIR_COLOURS["brown hair"], scene.shown, scene.was("skin"))
    person, _, _ = person_share(picture, scene.shown, scene.was("background"), scene.was("hair"))
    share = grey * (1.3 * torch.minimum(scene.was("hair"), person)).clamp(max=1) * _coloured_as(picture, old)
    return picture + share * (recoloured(picture, old, new) - picture)


def greying(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Grey strands among those that there are, in brows and beards too."""
    red, green, _ = picture.split(1, 1)
    natural = ((_REDDEST - (red - green) / (red + 0.02)) / 0.1).clamp(0, 1)
    hair = scene.was("hair").square() * natural + 1e-6
    old, grey = scene.settled("grey of hair", lambda: _grey_of(scene, picture, hair))
    share, varied = _GREY
    bright = luma(picture)
    detail = bright - blurred(bright, STRANDS / scene.view.zoom)  # strands of its own: noise would lie across them
    usual = mean_of(detail.square(), scene.was("hair")).sqrt().clamp(min=1e-3)
    strands = (share + varied * detail / usual).clamp(0.1, 0.85)
    person, _, _ = person_share(picture, scene.shown, scene.was("background"), scene.was("hair"), scene.view.zoom)
    strands = strands * natural * _coloured_as(picture, old) * torch.minimum(scene.was("hair"), person)
    # Skin and place between strands are lighter than hair, and stay as they are.
    grown = recoloured(picture, old, grey).minimum(lightest_strands(grey).maximum(picture))
    made = picture + strands * (grown - picture)
    return made + _hair_of_face(scene, picture) * (_greyer(made) + _GREY_BROWS * (luma(grey) - luma(made)) - made)


def _grey_of(scene: Scene, picture: Tensor, hair: Tensor) -> tuple[Tensor, Tensor]:
    """Return which colour hair has, and which grey it gets."""
    old = mean_of(picture, hair)
    old = mean_of(picture, hair * (_coloured_as(picture, old) + 1e-4))  # without what is no hair
    light = luma(old)
    lit = mean_of(luma(picture), scene.was("skin"))
    grey = torch.maximum(_GREY_LIGHT[0] * (0.4 + lit), light + _GREY_LIGHT[1]).clamp(max=0.85)
    return old, grey + 0.06 * (old - light)


def _greyer(picture: Tensor) -> Tensor:
    return 0.4 * picture + 0.6 * luma(picture)


def _hair_of_face(scene: Scene, picture: Tensor) -> Tensor:
    """Return the share of brows and beards: of what is darker there than the skin around."""
    unit = float(face_unit(scene.landmarks).mean()) / 2
    where = (2 * blurred(_brows(scene, picture), 0.02 * unit)).clamp(max=1)
    where = torch.maximum(where, beard_of(scene, hairs=True))
    darker = luma(filled(picture, surely(scene.was("skin")) * (1 - where)) - picture)
    low, high = _DARK_HAIR
    return where * ((darker - low) / (high - low)).clamp(0, 1) * scene.was("skin", "hair") * (1 - scene.hat)


def _brows(scene: Scene, picture: Tensor) -> Tensor:
    """Return what lies within the outlines of brows."""
    brows = (inside(scene.landmarks[:, list(outline)], picture) for outline in BROW_OUTLINES)
    return sum(brows, torch.zeros_like(picture[:, :1]))


def _bare_skin(scene: Scene, picture: Tensor) -> Tensor:
    return surely(scene.was("skin")) * (1 - lips_of(scene.landmarks, picture)) * (1 - beard_of(scene))


def _lines(picture: Tensor, skin: Tensor, wide: float = _LINES) -> Tensor:
    """Return the lines of the skin, without its pores and the grain of the photograph."""
    reach = wide * float(picture.shape[-1])
    return luma(softened(picture, 0.12 * reach) - blurred(filled(picture, skin), wide))


def _coloured_as(picture: Tensor, hair: Tensor) -> Tensor:
    """Return where the colour is about that of hair, however light: a scarf is none."""
    smooth = blurred(picture, 0.004)
    away = smooth - hair * (luma(smooth) / luma(hair).clamp(min=0.02)).clamp(max=4)
    return torch.exp(-(away.square().sum(1, keepdim=True) / _SCARF**2).square())
