"""Beards that are taken off: the skin of the face, continued over lip, cheeks and chin in the light that falls on it.

The shape of the jaw is the mean head's, for hair hides this one's; what is below it, a neck and a collar, is what the
denoiser drew. Where neither knows enough, nothing is taken off.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...topology import BROW_OUTLINES, EYES, OVAL
from ..head_camera import face_unit
from ..masked import blurred, filled, grown, inside, luma, mean_of, softened, surely
from ..scene import Scene
from .beards import AREAS, beard_density, lips_of
from .removal import PATCH, pores
from .scalp import continued_skin, scattered

_TONE = (0.05, 0.12)  # of the range: how far hairs are from the skin that is expected there
_DENSE = (0.1, 0.18)  # likewise, of more than a shade of stubble
_ROUGH = (1.6, 2.4)  # times as rough as cheeks, which hairs are
_CHANGE, _CHANGE_BELOW = (0.07, 0.15), (0.035, 0.09)  # of the range: what the denoiser changes where it takes hair off
_BEARD = 0.6  # of the lip or the chin, that hair covers: less may be folds of a smile, or shadows
_TAKEN_OFF = 0.07  # of the range: change of lip or chin, from which on the denoiser took a beard off
_FULL = 0.7  # of the jaw beside the chin, from which on the denoiser has to know what is below it
_GRAINY = 0.017  # of the range: grain of cheeks beside which hairs cannot be told without it
_DARK = (0.62, 0.5)  # of the light of cheeks: skin is hardly so dark
_SHADED, _HUE = (0.6, 0.15), (0.15, 0.15)  # of the light of a face: necks are hardly so dark; and how far its hue is
_LIGHTER = (1.1, 0.15)  # times as light as skin would be there
# In distances of the eyes.
_FINE = 0.04  # detail that is finer is hairs
_AREA = 0.14  # how far beards grow beyond where they usually do
_SMOOTH = 0.035  # over which the mean head's relief is smoothed: it is not quite this one's
_BARE = (50, 101, 118, 119, 120, 6, 349, 348, 347, 330, 280, 4)  # cheeks below the eyes, and the nose between
_CHEEKS = ((117, 118, 101, 36, 205, 187, 123), (346, 347, 330, 266, 425, 411, 352))
_NOSTRILS = (98, 97, 2, 326, 327, 294, 4, 64)


@dataclass(frozen=True)
class _Skin:
    """What a face tells of its skin."""

    known: Float[Tensor, "n 1 s s"]
    """Where it is seen."""
    rough: Float[Tensor, "n 1 s s"]
    """How surely a place is too rough for skin."""
    grain: float
    """How rough skin is, of the range."""


def shaven(scene: Scene, picture: Tensor, drawn: bool = True) -> Tensor | None:
    """Take a beard off a face; the picture as it is where there is none, None where it hides too much.

    Args:
        scene: The photograph, and what the denoiser made of it.
        picture: What is changed, in [0, 1].
        drawn: Whether it drew the face without a beard.
    """
    found = _found(scene, drawn)
    if found is None:
        return picture
    gone, skin = found
    return None if gone is None else picture + gone * (skin - picture)


def beard_of(scene: Scene, hairs: bool = False) -> Float[Tensor, "n 1 s s"]:
    """Return where a face has a beard; nowhere where there is none, or a shade of one.

    Args:
        scene: The photograph.
        hairs: Only where hairs are seen, not wherever they may be.
    """
    whole, chin, lip = _parts(scene)
    if scene.view.beyond:  # it is in the crop
        return torch.zeros_like(whole)
    skin = _skin(scene, whole)
    unit = float(face_unit(scene.landmarks).mean()) / 2
    hairy = skin.rough * _tone(scene, _continued(scene, skin.known, unit)) * scene.was("skin", "hair", "mouth")
    if max(float(mean_of(hairy, part).amax()) for part in (chin, lip)) < _BEARD:
        return torch.zeros_like(whole)
    spread = (3 * blurred(hairy * whole, 0.03 * unit)).clamp(0, 1)
    return spread * (1 - lips_of(scene.landmarks, whole)) if hairs else (2 * whole).clamp(max=1)


def _found(scene: Scene, drawn: bool) -> tuple[Tensor | None, Tensor] | None:
    """Return the share of a beard, None where it hides too much, and the skin in its place; None: there is no beard."""
    points, shown = scene.landmarks, scene.shown
    unit, side = float(face_unit(points).mean()) / 2, shown.shape[-1]
    whole, chin, lip = _parts(scene)
    oval = inside(points[:, list(OVAL)], shown)
    skin = _skin(scene, whole)
    expected = _continued(scene, skin.known, unit)
    change = torch.zeros_like(whole)
    if drawn:
        change = blurred(scene.change(), 0.02 * unit)
        change = (change - 2 * mean_of(change, skin.known)).clamp(min=0)
    taken = max(float(mean_of(change, part).amax()) for part in (chin, lip)) > _TAKEN_OFF
    tone = _tone(scene, expected)
    hairy = tone * skin.rough
    covered = [float(mean_of(hairy, part).amax()) for part in (chin, lip)]
    dense = _tone(scene, expected, _DENSE) * skin.rough
    cheeks = float(mean_of(dense, (whole - chin - lip).clamp(min=0)).amax())
    if not taken:
        if max(covered) < _BEARD:
            return None
        if cheeks > _FULL or skin.grain > _GRAINY:
            return None, expected
    changed, changed_below = (((change - low) / (high - low)).clamp(0, 1) for low, high in (_CHANGE, _CHANGE_BELOW))
    area = grown(whole, _AREA * unit) * oval
    near = grown(whole, 0.06 * unit) * oval
    hairy = torch.maximum(torch.maximum(tone, skin.rough) * near, torch.maximum(changed, hairy) * area)
    made = expected
    if taken:
        below = _below(points[:, 13, 1], 0.8 * unit, whole) * (1 - oval)
        changed_below = changed_below * (2 * blurred(_no_neck(scene, expected, skin), 0.06 * unit)).clamp(max=1)
        hairy = torch.maximum(hairy, below * changed_below)
        other = surely(1 - blurred(torch.maximum(hairy, area * oval), 0.1 * unit))
        drawn_there = scene.drawn + blurred(filled(blurred(shown - scene.drawn, 0.03 * unit), other), 0.05 * unit)
        # Necks are in the shade of a face.
        drawn_there = torch.lerp(drawn_there, drawn_there.minimum(expected), scene.becomes("skin"))
        made = expected + below * (1 - blurred(oval, 0.04 * unit)) * (drawn_there - expected)
        beside = (3 * blurred(below * changed_below, 0.25 * unit)).clamp(max=1)
        hairy = torch.maximum(hairy, below * beside * _tone(scene, made))
        area = torch.maximum(area, below)
    spread = (4 * blurred(hairy, 0.08 * unit) - 0.6).clamp(0, 1)
    person = scene.was("skin") + scene.was("hair") * oval
    gone = (1.6 * blurred(area * spread, 0.03 * unit)).clamp(0, 1)
    gone = gone * (1 - lips_of(points, shown)) * (person / 0.8).clamp(max=1)
    half = max(3, round(PATCH * unit * side))
    return gone, made + 1.2 * scattered(pores(shown, points), half)


def _parts(scene: Scene) -> list[Float[Tensor, "n 1 s s"]]:
    """Return where a full beard grows, and of it chin and lip."""
    return [beard_density(scene.landmarks, AREAS[kind], scene.shown) for kind in ("beard", "goatee", "mustache")]


def _below(heights: Float[Tensor, "n"], over: float, like: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 s 1"]:
    """Return what is below some heights, in [-1, 1]: 1 from a little further down on."""
    side = like.shape[-1]
    axis = ((torch.arange(side) * 2 + 1) / side - 1).to(like)
    return ((axis - heights.to(like)[:, None]) / over).clamp(0, 1)[:, None, :, None]


def _skin(scene: Scene, whole: Float[Tensor, "n 1 s s"]) -> _Skin:
    """Find the skin of which a face without a beard is made.

    Args:
        scene: The photograph.
        whole: Where beards grow.
    """
    points, shown = scene.landmarks, scene.shown
    unit, side = float(face_unit(points).mean()) / 2, shown.shape[-1]
    features = [inside(points[:, list(outline)], shown) for outline in (*BROW_OUTLINES, *EYES)]
    features = grown(sum(features, torch.zeros_like(whole)), 0.09 * unit)
    nostrils = grown(inside(points[:, list(_NOSTRILS)], shown), 0.03 * unit)
    free = (1 - features) * (1 - nostrils) * (1 - grown(whole, 0.16 * unit)).clamp(min=0)
    known = surely(scene.was("skin"), 0.02 * unit) * free * inside(points[:, list(OVAL)], shown)
    bare = known * inside(points[:, list(_BARE)], shown)
    light = luma(shown)
    fine = (light - softened(light, _FINE * unit * side)).square()
    cheeks = [mean_of(fine, bare * inside(points[:, list(cheek)], shown) + 1e-6 * bare) for cheek in _CHEEKS]
    usual = torch.stack(cheeks).amin(0).clamp(min=0).sqrt().clamp(min=2e-3)
    rough = blurred(fine, 0.05 * unit).clamp(min=0).sqrt() / usual
    rough = ((rough - _ROUGH[0]) / (_ROUGH[1] - _ROUGH[0])).clamp(0, 1)
    level = mean_of(light, bare).clamp(min=1e-3)
    dark = (softened(light, 0.03 * unit * side) / level - _DARK[0]) / (_DARK[1] - _DARK[0])
    # Beards reach far up some cheeks.
    strange = (torch.maximum(rough, dark) > 0.5).float() * _below(points[:, 2, 1] - 0.5 * unit, 0.01, whole)
    return _Skin(known * (1 - grown(strange, 0.06 * unit)), rough, float(usual.amax()))


def _tone(
    scene: Scene, expected: Float[Tensor, "n 3 s s"], bounds: tuple[float, float] = _TONE
) -> Float[Tensor, "n 1 s s"]:
    """Return how surely a place has another colour than skin."""
    unit = float(face_unit(scene.landmarks).mean()) / 2
    away = (blurred(scene.shown, 0.02 * unit) - blurred(expected, 0.02 * unit)).abs().amax(1, keepdim=True)
    return ((away - bounds[0]) / (bounds[1] - bounds[0])).clamp(0, 1)


def _no_neck(scene: Scene, expected: Float[Tensor, "n 3 s s"], skin: _Skin) -> Float[Tensor, "n 1 s s"]:
    """Return how surely a place is no skin in the shade of a jaw, which keeps its hue and some of its light.

    It is darker, of another hue, or lighter than skin would be without that shade, as white beards are.
    """
    unit = float(face_unit(scene.landmarks).mean()) / 2
    shown = blurred(scene.shown, 0.02 * unit)
    light = luma(shown)
    level = mean_of(luma(scene.shown), skin.known).clamp(min=1e-3)
    dark = (_SHADED[0] - light / level) / _SHADED[1]
    other = (shown / light.clamp(min=0.05) - expected / luma(expected).clamp(min=0.05)).norm(dim=1, keepdim=True)
    lighter = (light / luma(expected).clamp(min=0.05) - _LIGHTER[0]) / _LIGHTER[1]
    return torch.stack([dark, (other - _HUE[0]) / _HUE[1], lighter]).amax(0).clamp(0, 1)


def _continued(scene: Scene, known: Float[Tensor, "n 1 s s"], unit: float) -> Float[Tensor, "n 3 s s"]:
    if "skin without a beard" not in scene.made:
        person = scene.was("skin", "hair")
        made = continued_skin(scene.shown, known, scene.landmarks, person, _SMOOTH * unit)
        scene.made["skin without a beard"] = made
    return scene.made["skin without a beard"]
