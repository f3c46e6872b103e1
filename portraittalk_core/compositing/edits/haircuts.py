"""What prompts change of the hair on a head, and what they put on it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ...topology import BROW_OUTLINES, SEGMENTS
from ..head_camera import face_unit
from ..head_mesh import PlacedHead
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
from ..scene import Scene, View
from .cranium import Cranium, cranium, knitted
from .details import HAIRCUTS, HAT_COLOURS
from .hair_colours import named_colour
from .hair_drawing import drawn_strands
from .hairstyles import grown
from .removal import PATCH, pores
from .scalp import BareHead, head_of, light_way, scattered
from .strands import head_of_hair
from .uncovered import STRANDS_GO, bared, locks_beside, place_behind, without_hair
from .worn_hair import WornHair, worn_hair

_NEARBY = 0.5  # how far new hair has the light and the colour of the old hair beside it
_CONTRASTS = (0.8, 1.15)  # of drawn strands' light and dark, that is kept
_BODY = -1.2  # depth of a body
_SHADE = 0.3  # of the light, that hair takes from the skin below it
_GRAIN = 0.7  # of the grain of a photograph, that is that of its hair
_WARMER = (0.0, 0.06, 0.18)  # powers by which each colour is darker in the shade, for light goes through hair
_GLOSS, _WHITE = 1.15, 0.4  # times as light as hair is, from where on it shines; how white shine is
_PRESSED, _SPREADS = 0.4, 1.2  # in distances of the eyes: how far down a hat presses hair, and how fast it goes out
_SHADOW = 0.012  # of the picture's side: how far down a hat's shadow falls
_OTHER_WORDS = {"buzz": "cropped", "curly": "curls"}  # of cuts, that mean more or less than those


def another_haircut(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Another haircut, or none, or something on the head: new hair is drawn, what hair no longer hides is uncovered."""
    if keeps_hat(scene) or _keeps_cut(scene, _cut_of(scene)):
        return picture
    if _cut_of(scene) is not None:
        return _styled(scene, picture, where)
    was, becomes = scene.was("hair"), scene.becomes("hair")
    # Hair ends in single strands, and the place behind it is full of them.
    place = filled(scene.shown, surely(scene.was("background"), STRANDS))
    bare = scene.becomes("skin") / scene.becomes("skin", "background").clamp(min=1e-3)
    face = mean_of(scene.shown, scene.was("skin") * scene.becomes("skin"))
    skin = recoloured(scene.drawn, mean_of(scene.drawn, was * scene.becomes("skin")), face)
    hats = [share * (1 - scene.eyes) for share in (scene.was("accessory"), scene.becomes("accessory"))]
    gone = (2 * blurred((was + hats[0]).clamp(max=1), STRANDS)).clamp(max=1)
    lost = gone * (1 - scene.becomes("hair", "clothes", "accessory"))
    picture = picture + where * lost * (place + bare * (skin - place) - picture)
    # New hair is of the colour that there was, if there was any: the denoiser's is that of most people.
    old = mean_of(scene.shown, was.square())
    new = mean_of(scene.drawn, (becomes * (1 - was)).square())
    known = (was.mean((-2, -1), keepdim=True) / 0.02).clamp(max=1)
    hair = head_of_hair(scene.drawn + known * (recoloured(scene.drawn, new, old) - scene.drawn), scene.landmarks)
    picture = picture + where * becomes * (1 - was) * (hair - picture)
    return picture + where * hats[1] * (scene.drawn - picture)


def long_hair(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Long hair behind the face and on the shoulders."""
    keeps = keeps_hat(scene) or _keeps_cut(scene, _cut_of(scene) or "long")
    return picture if keeps else _styled(scene, picture, where)


def _cut_of(scene: Scene) -> str | None:
    """Return which of `people.hair.STYLES` a prompt names."""
    return min((HAIRCUTS[name] for name in scene.details & set(HAIRCUTS)), default=None)


def _shows_cut(scene: Scene, name: str | None) -> bool:
    """Say whether the photograph shows a haircut already; None: a fringe, or straight hair, if that is asked for."""
    return scene.settled(f"shows {name}", lambda: _shows(scene, name))


def _shows(scene: Scene, name: str | None) -> bool:
    worn = _worn(scene)
    if "fringe" in scene.details and not worn.fringe:
        return False
    if name is None:
        return "fringe" in scene.details or ("straight" in scene.details and worn.straight)
    other = _OTHER_WORDS.get(name, name)
    return worn.is_cut(other if other in scene.details else name)


def _keeps_cut(scene: Scene, name: str | None) -> bool:
    """Likewise, and say so."""
    shows = _shows_cut(scene, name)
    if shows:
        scene.warn("The photograph shows such hair already: it is left as it is.")
    return shows


def _worn(scene: Scene) -> WornHair:
    if "worn hair" not in scene.made:
        scene.made["worn hair"] = worn_hair(scene.shown, scene.hair, scene.landmarks)
    return scene.made["worn hair"]


def _styled(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Take the hair off and let other grow."""
    name = _cut_of(scene) or "long"
    share, tone = _strands_of(scene, name)
    unit = float(face_unit(scene.landmarks).mean()) / 2
    hair = _lit_hair(scene, picture, share, tone, unit)
    bare = bared(scene, picture, where)
    shade = blurred(share.roll(round(0.1 * unit * picture.shape[-1]), 2), 0.1 * unit) * scene.was("skin")
    shade = shade * (1 - scene.hand)
    bare = bare * (1 - _SHADE * shade * (1 - share))
    made = bare + share * (hair - bare)
    return picture + where.amax((2, 3), keepdim=True) * (made - picture)


def _lit_hair(scene: Scene, picture: Tensor, share: Tensor, tone: Tensor, unit: float) -> Tensor:
    """Return the colour of drawn hair in the light of the photograph, and with its grain."""
    colour = scene.settled("colour of new hair", lambda: hair_colour(scene, picture))
    own = surely(scene.hair, 0.03 * unit)
    enough = scene.settled("shows hair", lambda: (mean_of(own, torch.ones_like(own)) / 0.01).clamp(max=1))
    old = scene.settled("colour of old hair", lambda: mean_of(picture, own))
    near = colour * (blurred(filled(luma(picture), own), 0.2 * unit) / luma(old).clamp(min=0.02)).clamp(0.6, 1.5)
    close = (2 * blurred(own, 0.4 * unit)).clamp(max=1)
    colour = colour + enough * close * _NEARBY * (near - colour)
    light = luma(picture)
    varied = mean_of((light - luma(blurred(filled(picture, own), 0.2 * unit))).square(), own).sqrt()
    usual = mean_of((tone - 1).square(), share).sqrt().clamp(min=0.05)
    contrast = scene.settled(
        "contrast of hair", lambda: (varied / luma(old).clamp(min=0.05) / usual).clamp(*_CONTRASTS)
    )
    tone = (1 + (1 + enough * (contrast - 1)) * (tone - 1)).clamp(min=0.1)
    dark, gloss = tone.clamp(max=_GLOSS), (tone - _GLOSS).clamp(min=0)
    shine = colour + _WHITE * (0.25 + 0.75 * luma(colour) - colour)
    grain = scattered(pores(scene.shown, scene.landmarks), max(3, round(PATCH * unit * picture.shape[-1])))
    warm = dark.clamp(max=1) ** (dark.new_tensor(_WARMER).view(1, 3, 1, 1) * colourfulness(scene.shown))
    return (colour * dark * warm + gloss * shine + _GRAIN * grain).clamp(0, 1)


def _strands_of(scene: Scene, name: str) -> tuple[Tensor, Tensor]:
    """Return how much of each pixel drawn hair has, and how light it is."""
    if name not in scene.made:
        skin, side, head = scene.was("skin"), scene.shown.shape[-1], head_of(scene)
        ways = scene.settled("way of the light", lambda: light_way(scene.shown, skin, head).numpy())
        hair = grown(name, "fringe" in scene.details, scene.settled("room", lambda: _room_of_all(scene, head)))
        rows: list[Tensor] = []
        for placed, depth, way in zip(head.placed, head.depths, ways, strict=True):
            drawn = drawn_strands(hair, placed, depth, way)
            planes = [cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in drawn]
            rows.append(torch.from_numpy(np.stack(planes)))
        planes = softened(torch.stack(rows).to(scene.shown), softness(scene.shown, skin))
        scene.made[name] = planes[:, :1] * (1 - scene.hand), planes[:, 1:] / planes[:, :1].clamp(min=1e-3)
    return scene.made[name]


def _room_of_all(scene: Scene, head: BareHead) -> tuple[float, float]:
    """Return how far above and below the eyes the photograph goes in all frames."""
    rooms = [_room(placed, len(depth), scene.view) for placed, depth in zip(head.placed, head.depths, strict=True)]
    above, below = (min(room) for room in zip(*rooms, strict=True))
    return above, below


def _room(head: PlacedHead, side: int, view: View) -> tuple[float, float]:
    """Return likewise of a picture of so many pixels, to a tenth of the distance of the eyes."""
    _, down, near, origin = head.camera[:, 1]
    middle = origin + _BODY * near
    first, last = (side * (end - view.top) / view.side for end in view.rows)
    return round(float((middle - first) / down), 1), round(float((last - middle) / down), 1)


def hair_colour(scene: Scene, picture: Tensor) -> Tensor:
    """Return the colour that new hair has: the one that a prompt names, else that of the old, else that of the brows.

    Args:
        scene: The photograph.
        picture: What has been made of it so far, in [0, 1].
    """
    named = named_colour(scene)
    if named is not None:
        return named
    brows = torch.stack([inside(scene.landmarks[:, list(outline)], picture) for outline in BROW_OUTLINES]).amax(0)
    colour = mean_of(picture, brows)
    known = (scene.hair.mean((-2, -1), keepdim=True) / 0.02).clamp(max=1)
    return colour + known * (mean_of(picture, scene.hair.square()) - colour)


def _in_new_hair(scene: Scene, where: Tensor, name: str) -> Scene:
    """Say where hair is after a haircut."""
    share, _ = _strands_of(scene, name)
    bare = without_hair(scene, where.amax((2, 3), keepdim=True).expand_as(where))
    grown_here = share * where.amax((2, 3), keepdim=True)
    before = bare.before * (1 - grown_here)
    before[:, [SEGMENTS.index("hair")]] += grown_here
    return replace(bare, before=before)


def with_long_hair(scene: Scene, where: Tensor) -> Scene:
    """Say that it is there."""
    name = _cut_of(scene) or "long"
    return scene if scene.wears_hat or _shows_cut(scene, name) else _in_new_hair(scene, where, name)


def bald(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """No hair: the skin of the face continued over the head, beside it the place, below it what was drawn."""
    if keeps_hat(scene) or _keeps_cut(scene, "bald"):
        return picture
    return bared(scene, picture, where)


def knitted_hat(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """A knitted hat, and the place where hair was that is beneath it now."""
    if keeps_hat(scene):
        return picture
    light = mean_of(luma(picture), scene.was("skin"))
    hat, share = knitted(picture, scene.landmarks, light, *_wool(scene))
    share = softened(share, softness(scene.shown, scene.was("skin")))
    head = cranium(scene.landmarks, picture)
    strands, falls = STRANDS_GO / scene.view.zoom, _SHADOW / scene.view.zoom
    place = place_behind(scene, surely(scene.was("background"), strands))
    hair = (3 * blurred(scene.was("hair"), strands)).clamp(max=1)
    hair = torch.maximum(hair, locks_beside(scene, float(face_unit(scene.landmarks).mean()) / 2))
    gone = hair * _hidden_by_hat(head) * (1 - scene.was("skin"))
    picture = picture + gone * (place - picture)
    shadow = blurred(share.roll(round(falls * picture.shape[-1]), 2), falls)
    return picture * (1 - 0.35 * shadow * (1 - share)) * (1 - share) + share * hat


def _wool(scene: Scene) -> list[tuple[float, float, float]]:
    """Return the colour of wool that a prompt names, as a picture has it; none where it names none."""
    named = sorted(scene.details & set(HAT_COLOURS))
    # Wool is lit and shaded: black would be a hole, white a light.
    return [tuple(0.05 + 1.4 * part ** (1 / 2.2) for part in HAT_COLOURS[name]) for name in named[:1]]


def cap(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Nothing: a cap needs a peak."""
    scene.warn("A cap cannot be drawn: the head is left as it is. Ask for a beanie.")
    return picture


def no_hat(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Nothing, for what a hat hides is not known."""
    keeps_hat(scene)
    return picture


def _hidden_by_hat(head: Cranium) -> Tensor:
    """Return where a hat leaves no hair: it comes out below the hat's edge, the further down the further out."""
    falls = head.places[:, 1:2] + 0.16 * (head.places[:, 2:] + 0.2) + 0.72  # below the edge
    out = falls + _SPREADS * (falls - _PRESSED).clamp(min=0).square()
    return (0.5 - (out - 1.3 * head.beyond.clamp(min=0)) / 0.2).clamp(0, 1)


def keeps_hat(scene: Scene) -> bool:
    """Say whether somebody wears a hat, which cannot be taken off."""
    if scene.wears_hat:
        scene.warn("The photograph shows a hat: it and the hair are left as they are. tiny cannot take hats off.")
    return scene.wears_hat


def with_new_hair(scene: Scene, where: Tensor) -> Scene:
    """Say that hair lies where it has been drawn, for what comes after."""
    name = _cut_of(scene)
    if scene.wears_hat or _shows_cut(scene, name):
        return scene
    if name is not None:
        return _in_new_hair(scene, where, name)
    return replace(scene, before=scene.before + where * (scene.after - scene.before))


def with_hat(scene: Scene, where: Tensor) -> Scene:
    """Say that there is a hat, and no hair beside it."""
    if scene.wears_hat:
        return scene
    _, share = knitted(scene.shown, scene.landmarks, scene.shown.new_tensor(1.0))
    place, hair = SEGMENTS.index("background"), SEGMENTS.index("hair")
    before = scene.before.clone()
    gone = where * before[:, [hair]] * _hidden_by_hat(cranium(scene.landmarks, where))
    before[:, [hair]] -= gone
    before[:, [place]] += gone
    before = before * (1 - share * where)
    before[:, [SEGMENTS.index("accessory")]] += share * where
    return replace(scene, before=before)
