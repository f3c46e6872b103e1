"""What prompts change of the hair on a head, and what they put on it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import Tensor

from ...topology import BROW_OUTLINES, EYES, OUTER_LIPS, OVAL, SEGMENTS
from ..head_camera import face_unit
from ..masked import STRANDS, blurred, filled, inside, luma, mean_of, recoloured, softened, softness, surely
from ..matting import before_another_place
from ..scene import Scene
from .cranium import Cranium, cranium, knitted
from .details import HAIR_COLOURS, HAIRCUTS, HAT_COLOURS
from .hair_colours import hair_of_colour
from .hairstyles import drawn_strands, grown
from .removal import PATCH, pores
from .scalp import BareHead, bare_head, head_in_picture, kept_near, light_way, raster_side, scattered, skin_of_head
from .strands import head_of_hair
from .worn_hair import WornHair, worn_hair

_INPAINTED = 192  # pixels a side at which edges run on into what hair hid
_STRANDS_GO = 0.028  # of the picture's side: how far hairs reach beyond those that are found
_HAIRLINE = -0.75  # in distances of the eyes below them: where it is
_OWN = ("short", "side", "bob", "long")  # cuts in which hair lies as it mostly does
_LONGER, _FALLING = ("long", "wavy"), 0.06  # cuts for which hair may stay; squares of the distance of the eyes
_NEARBY = 0.7  # how far new hair has the colour of the old hair beside it
_CONTRASTS = (0.4, 1.0)  # of drawn strands' light and dark, that is kept
_SHADE = 0.3  # of the light, that hair takes from the skin below it
_NAPE, _COLLAR = 0.9, 2.6  # where necks begin and end below the eyes, in their distance
_SHOULDERS = 1.5  # likewise, above which there are no clothes behind hair
_OTHER_WORDS = {"buzz": "cropped", "curly": "curls"}  # of cuts, that mean more or less than those
_SHADED, _STRAY = 0.1, 0.3  # likewise, of the skin: how far hair shades it


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
    """Take the hair off and let other grow; what the photograph shows of both stays its own."""
    name = _cut_of(scene) or "long"
    share, tone = _strands_of(scene, name)
    unit = float(face_unit(scene.landmarks).mean()) / 2
    hair = _lit_hair(scene, picture, share, tone, unit)
    if name in _LONGER and _falls(scene, unit):
        return _longer(scene, picture, share, hair, unit)
    bare = bared(scene, picture, where)
    shade = blurred(share.roll(round(0.1 * unit * picture.shape[-1]), 2), 0.1 * unit) * scene.was("skin")
    bare = bare * (1 - _SHADE * shade * (1 - share))
    made = bare + share * (hair - bare)
    if name in _OWN:
        within = surely(blurred(share, 0.06 * unit)) * (1 - blurred(1 - scene.was("hair"), 0.04 * unit))
        both = blurred(scene.was("hair") * within, 0.04 * unit)
        made = made + both * (picture - made)
    return picture + where.amax((2, 3), keepdim=True) * (made - picture)


def _falls(scene: Scene, unit: float) -> bool:
    """Say whether hair beside the face falls below the eyes, so that it need only be longer."""
    height = _head(scene).places[:, 1:2]
    beside = scene.hair * ((height > 0.25) & (height < 2.5))
    return bool((beside.mean((1, 2, 3)) > _FALLING * unit**2).all())


def _longer(scene: Scene, picture: Tensor, share: Tensor, hair: Tensor, unit: float) -> Tensor:
    """Let hair fall from below and behind the hair that there is, which stays."""
    own, skin = scene.was("hair"), scene.was("skin", "eyes", "mouth", "teeth", "accessory")
    down = round(0.15 * unit * picture.shape[-1])
    hair = hair * (1 - 0.35 * blurred(own.roll(down, 2), 0.15 * unit))
    behind = picture + share * (hair - picture)
    made = before_another_place(picture, scene.shown, scene.was("background"), behind, own)
    face = skin * (0.5 - (_head(scene).places[:, 1:2] - 1.1) / 0.3).clamp(0, 1)
    front = share * (1 - own) * (1 - face)
    return made + front * (hair - made)


def _lit_hair(scene: Scene, picture: Tensor, share: Tensor, tone: Tensor, unit: float) -> Tensor:
    """Return the colour of drawn hair: light and dark as much as the old hair is, and where that is."""
    colour, own = hair_colour(scene, picture), surely(scene.hair, 0.03 * unit)
    enough = (mean_of(own, torch.ones_like(own)) / 0.01).clamp(max=1)
    near = blurred(filled(picture, own), 0.12 * unit)
    close = (2 * blurred(own, 0.4 * unit)).clamp(max=1)
    colour = colour + enough * close * _NEARBY * (near - colour)
    light = luma(picture)
    varied = mean_of((light - luma(near)).square(), own).sqrt() / luma(colour).mean().clamp(min=0.05)
    usual = mean_of((tone - 1).square(), share).sqrt().clamp(min=0.05)
    contrast = (varied / usual).clamp(*_CONTRASTS)
    contrast = 0.7 + enough * (contrast - 0.7)
    tone = (1 + contrast * (tone - 1)).clamp(min=0.1)
    dark, gloss = tone.clamp(max=1.15), (tone - 1.15).clamp(min=0)
    return (colour * dark + gloss * (0.6 * colour + 0.4 * luma(colour))).clamp(0, 1)


def _strands_of(scene: Scene, name: str) -> tuple[Tensor, Tensor]:
    """Return how much of each pixel drawn hair has, and how light it is."""
    if name not in scene.made:
        skin, side = scene.was("skin"), scene.shown.shape[-1]
        person = scene.was("skin", "hair")
        ways = light_way(scene.shown, skin, _head(scene)).numpy()
        fine, strands = raster_side(side), grown(name, "fringe" in scene.details)
        rows: list[Tensor] = []
        for points, share, way in zip(scene.landmarks.float().numpy(), person[:, 0].float().numpy(), ways, strict=True):
            drawn = drawn_strands(strands, head_in_picture(points, share, fine), fine, way)
            planes = [cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in drawn]
            rows.append(torch.from_numpy(np.stack(planes)))
        planes = softened(torch.stack(rows).to(scene.shown), softness(scene.shown, skin))
        scene.made[name] = planes[:, :1], planes[:, 1:] / planes[:, :1].clamp(min=1e-3)
    return scene.made[name]


def hair_colour(scene: Scene, picture: Tensor) -> Tensor:
    """Return the colour that new hair has: that of the old, else the one that a prompt names, else that of the brows.

    Args:
        scene: The photograph.
        picture: What has been made of it so far, in [0, 1].
    """
    colour = mean_of(
        picture, torch.stack([inside(scene.landmarks[:, list(outline)], picture) for outline in BROW_OUTLINES]).amax(0)
    )
    for name in sorted(scene.details & set(HAIR_COLOURS)):
        colour = hair_of_colour(HAIR_COLOURS[name], scene.shown, scene.was("skin"))
    known = (scene.hair.mean((-2, -1), keepdim=True) / 0.02).clamp(max=1)
    return colour + known * (mean_of(picture, scene.hair.square()) - colour)


def _in_new_hair(scene: Scene, where: Tensor, name: str) -> Scene:
    """Say where hair is after a haircut."""
    share, _ = _strands_of(scene, name)
    unit = float(face_unit(scene.landmarks).mean()) / 2
    if name in _LONGER and _falls(scene, unit):
        bare = scene
        share = share * (1 - scene.was("skin", "eyes", "mouth", "teeth", "accessory"))
    else:
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


def bared(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Take the hair off a head.

    Args:
        scene: The photograph, and what the denoiser made of it.
        picture: What is changed, in [0, 1].
        where: How far it may be.
    """
    skin, hair = scene.was("skin"), scene.was("hair")
    unit = float(face_unit(scene.landmarks).mean()) / 2
    head = _head(scene)
    share = softened(head.share, softness(scene.shown, skin))
    sure = surely(scene.was("background"), _STRANDS_GO)
    place = _place_behind(scene, sure)
    # Single hairs and tufts around hair are often taken for something else.
    stray = (20 * blurred(hair, _STRAY * unit)).clamp(max=1) * (1 - sure)
    stray = stray * (1 - scene.was("clothes", "accessory"))
    sort = _rather(picture, mean_of(scene.shown, skin), mean_of(scene.shown, hair))
    stray = stray * (1 - sort)  # hands and necks beside hair stay
    face = (3 * blurred(inside(scene.landmarks[:, list(OVAL)], picture), 0.05 * unit)).clamp(max=1)
    face = face * ((head.places[:, 1:2] + 0.4) / 0.2).clamp(0, 1)
    gone = torch.maximum((6 * blurred(hair, _STRANDS_GO)).clamp(max=1), stray * (1 - face))
    gone = gone * torch.maximum(where, where.amax((2, 3), keepdim=True) * (1 - face))
    # The skin beside hair is in its shade, and often hair.
    seen = surely(skin, _SHADED * unit) * (1 - _features(scene.landmarks, picture))
    fine = scattered(pores(scene.shown, scene.landmarks), max(3, round(PATCH * unit * picture.shape[-1])))
    scalp = skin_of_head(picture, seen, head, fine)
    # Below the head, hair hides a neck and clothes.
    low = (head.places[:, 1:2] - _NAPE).clamp(0, 1)
    dressed = scene.becomes("clothes") / scene.becomes("skin", "background", "clothes").clamp(min=1e-3)
    cloth = filled(picture, surely(scene.was("clothes")))
    under = place + dressed * ((head.places[:, 1:2] - _SHOULDERS) / 0.4).clamp(0, 1) * (cloth - place)
    bare = share * (1 - low * (1 - (1 - dressed) * (head.places[:, 1:2] < _COLLAR)))
    under = under + bare * (scalp - under)
    above = (0.5 - (head.places[:, 1:2] - _HAIRLINE) / 0.3).clamp(0, 1)
    kept = ((kept_near(skin, head, unit) - 0.6) / 0.3).clamp(0, 1) * (1 - above)  # ears and cheeks
    kept = torch.maximum(kept, skin * sort * (1 - above))
    kept = torch.maximum(kept * (1 - share), surely(skin, 0.5 * _SHADED * unit) * (1 - above))
    changed = torch.maximum(gone * (1 - kept), share * above * (1 - seen))
    # Sideburns are taken for skin.
    darker = ((luma(scalp) - luma(picture) - 0.08) / 0.08).clamp(0, 1) * scene.was("skin", "hair") * share
    beside = ((head.places[:, :1].abs() - 0.85) / 0.1).clamp(0, 1) * (0.5 - (head.places[:, 1:2] - 0.9) / 0.2)
    beside = beside.clamp(0, 1) * (1 - head.ears) * (6 * blurred(hair, _STRAY * unit)).clamp(max=1)
    changed = torch.maximum(changed, (3 * blurred(darker * beside, 0.02 * unit)).clamp(max=1))
    return picture + blurred(changed, 0.01 * unit) * (under - picture)


def _place_behind(scene: Scene, sure: Tensor) -> Tensor:
    """Return the place with what was before it filled in: edges run on into it (Bertalmio et al., 2001), then fade."""
    soft = filled(scene.shown, sure)
    rows: list[Tensor] = []
    for row, known, mean in zip(scene.shown, sure[:, 0], soft, strict=True):
        size = min(_INPAINTED, row.shape[-1])
        known_small = cv2.resize(known.numpy(), (size, size), interpolation=cv2.INTER_AREA)
        mixed = (known * row + (1 - known) * mean).permute(1, 2, 0).numpy()
        small = cv2.resize(mixed, (size, size), interpolation=cv2.INTER_AREA)
        levels = (small.clip(0, 1) * 255).round().astype(np.uint8)
        made = cv2.inpaint(levels, (known_small < 0.9).astype(np.uint8), 4, cv2.INPAINT_NS)
        large = cv2.resize(made.astype(np.float32) / 255, (row.shape[-1],) * 2, interpolation=cv2.INTER_CUBIC)
        rows.append(torch.from_numpy(large).permute(2, 0, 1))
    made = softened(torch.stack(rows).to(soft), 0.006 * soft.shape[-1])
    near = (3 * blurred(sure, 0.1)).clamp(max=1)
    return soft + (1 - sure) * near * (made - soft)


def _rather(picture: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return how far each pixel has one colour rather than another."""
    apart = [(picture - colour).square().sum(1, keepdim=True).sqrt() for colour in (one, other)]
    return (0.5 + 4 * (apart[1] - apart[0] - 0.1)).clamp(0, 1)


def _head(scene: Scene) -> BareHead:
    """Return where the head is without hair."""
    if "head" not in scene.made:
        person = (scene.was("skin") + scene.hair).clamp(max=1)
        scene.made["head"] = bare_head(scene.landmarks, person)
    return scene.made["head"]


def _features(landmarks: Tensor, like: Tensor) -> Tensor:
    """Return where eyes, brows and lips are."""
    shares = [inside(landmarks[:, list(outline)], like) for outline in (*EYES, *BROW_OUTLINES, OUTER_LIPS)]
    return (3 * blurred(torch.stack(shares).amax(0), 0.012)).clamp(max=1)


def knitted_hat(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """A knitted hat, and the place where hair was that is beneath it now."""
    if keeps_hat(scene):
        return picture
    light = mean_of(luma(picture), scene.was("skin"))
    hat, share = knitted(picture, scene.landmarks, light, *_wool(scene))
    share = softened(share, softness(scene.shown, scene.was("skin")))
    head = cranium(scene.landmarks, picture)
    place = _place_behind(scene, surely(scene.was("background"), _STRANDS_GO))
    gone = (3 * blurred(scene.was("hair"), _STRANDS_GO)).clamp(max=1) * _hidden_by_hat(head) * (1 - scene.was("skin"))
    picture = picture + gone * (place - picture)
    shadow = blurred(share.roll(round(0.012 * picture.shape[-1]), 2), 0.01)
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
    """Return where a hat leaves no hair: it falls from below the hat's edge, the further down the further out."""
    height = head.places[:, 1:2] + 0.16 * (head.places[:, 2:] + 0.2)
    return (0.5 - (height + 0.72 - 1.3 * head.beyond.clamp(min=0)) / 0.2).clamp(0, 1)


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


def without_hair(scene: Scene, where: Tensor) -> Scene:
    """Say that there is skin or place where hair was."""
    if scene.wears_hat:
        return scene
    bare = _head(scene)
    body = bare.share * (bare.places[:, 1:2] < _COLLAR)
    head = bare.share * (bare.places[:, 1:2] < _NAPE)
    place, skin, hair = (SEGMENTS.index(name) for name in ("background", "skin", "hair"))
    before = scene.before.clone()
    gone = where * before[:, [hair]]
    before[:, [hair]] -= gone
    before[:, [place]] += gone * (1 - body)
    before[:, [skin]] += gone * body
    moved = where * head * before[:, [place]]
    before[:, [place]] -= moved
    before[:, [skin]] += moved
    return replace(scene, before=before)


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
