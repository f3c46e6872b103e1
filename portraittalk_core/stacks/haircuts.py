"""What prompts change of the hair on a head, and what they put on it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from ..topology import BROWS, EYES, LOWER_BROWS, OUTER_LIPS, SEGMENTS
from .cranium import Cranium, cranium, knitted
from .head_camera import face_unit
from .masked import STRANDS, blurred, filled, inside, luma, mean_of, recoloured, softened, softness, surely
from .removal import PATCH, pores
from .scalp import bare_head, kept_near, scattered, skin_of_head
from .scene import Scene
from .strands import falling_hair, head_of_hair

_STRANDS_GO = 0.028  # of the picture's side: how far hairs reach beyond those that are found
_HAIRLINE = -0.75  # in distances of the eyes below them: where it is
_LIT_HAIR = 1.15  # of the colour of hair, where it is lit
_NAPE, _COLLAR = 0.9, 2.6  # where necks begin and end below the eyes, in their distance
_SHADED, _STRAY = 0.1, 0.3  # likewise, of the skin: how far hair shades it


def another_haircut(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Another haircut, or none, or something on the head: new hair is drawn, what hair no longer hides is uncovered."""
    if keeps_hat(scene):
        return picture
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
    """Long hair behind the face and on the shoulders; what there is of hair stays."""
    if keeps_hat(scene):
        return picture
    share, lit = _new_long_hair(scene)
    colour = mean_of(picture, scene.hair.square())
    return picture + share * (head_of_hair(colour * lit * _LIT_HAIR, scene.landmarks) - picture)


def _new_long_hair(scene: Scene) -> tuple[Tensor, Tensor]:
    share, lit, before = falling_hair(scene.landmarks, scene.shown)
    share = share * (1 - scene.was("clothes") * (1 - before))
    return share * (1 - scene.was("skin", "hair", "eyes", "mouth", "teeth", "accessory")), lit


def with_long_hair(scene: Scene, where: Tensor) -> Scene:
    """Say that it is there."""
    if scene.wears_hat:
        return scene
    share, _ = _new_long_hair(scene)
    grown = share * where.amax((2, 3), keepdim=True)
    before = scene.before * (1 - grown)
    before[:, [SEGMENTS.index("hair")]] += grown
    return replace(scene, before=before)


def bald(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """No hair: the skin of the face continued over the head, beside it the place, below it what was drawn."""
    if keeps_hat(scene):
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
    head = bare_head(scene.landmarks, picture)
    share = softened(head.share, softness(scene.shown, skin))
    sure = surely(scene.was("background"), _STRANDS_GO)
    place = filled(scene.shown, sure)
    # Single hairs and tufts around hair are often taken for something else.
    stray = (6 * blurred(hair, _STRAY * unit)).clamp(max=1) * (1 - sure) * (1 - scene.was("clothes", "accessory"))
    gone = torch.maximum((3 * blurred(hair, _STRANDS_GO)).clamp(max=1), stray) * where
    # The skin beside hair is in its shade, and often hair.
    seen = surely(skin, _SHADED * unit) * (1 - _features(scene.landmarks, picture))
    fine = scattered(pores(scene.shown, scene.landmarks), max(3, round(PATCH * unit * picture.shape[-1])))
    scalp = skin_of_head(picture, seen, head, fine)
    # Below the head, hair hides a neck and clothes.
    low = (head.places[:, 1:2] - _NAPE).clamp(0, 1)
    dressed = scene.becomes("clothes") / scene.becomes("skin", "background", "clothes").clamp(min=1e-3)
    cloth = filled(picture, surely(scene.was("clothes")))
    under = place + dressed * low * (cloth - place)
    bare = share * (1 - low * (1 - (1 - dressed) * (head.places[:, 1:2] < _COLLAR)))
    under = under + bare * (scalp - under)
    above = (0.5 - (head.places[:, 1:2] - _HAIRLINE) / 0.3).clamp(0, 1)
    kept = ((kept_near(skin, head, unit) - 0.6) / 0.3).clamp(0, 1) * (1 - above)  # ears and cheeks
    kept = torch.maximum(kept * (1 - share), surely(skin, 0.5 * _SHADED * unit) * (1 - above))
    changed = torch.maximum(gone * (1 - kept), share * above * (1 - seen))
    return picture + blurred(changed, 0.01 * unit) * (under - picture)


def _features(landmarks: Tensor, like: Tensor) -> Tensor:
    """Return where eyes, brows and lips are."""
    brows = [[*top, *low[::-1]] for top, low in zip(BROWS, LOWER_BROWS, strict=True)]
    shares = [inside(landmarks[:, list(outline)], like) for outline in (*EYES, *brows, OUTER_LIPS)]
    return (3 * blurred(torch.stack(shares).amax(0), 0.012)).clamp(max=1)


def knitted_hat(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """A knitted hat, and the place where hair was that is beneath it now."""
    if keeps_hat(scene):
        return picture
    light = mean_of(luma(picture), scene.was("skin"))
    hat, share = knitted(picture, scene.landmarks, light)
    share = softened(share, softness(scene.shown, scene.was("skin")))
    head = cranium(scene.landmarks, picture)
    place = filled(scene.shown, surely(scene.was("background"), _STRANDS_GO))
    gone = (3 * blurred(scene.was("hair"), _STRANDS_GO)).clamp(max=1) * _hidden_by_hat(head) * (1 - scene.was("skin"))
    picture = picture + gone * (place - picture)
    shadow = blurred(share.roll(round(0.012 * picture.shape[-1]), 2), 0.01)
    return picture * (1 - 0.35 * shadow * (1 - share)) * (1 - share) + share * hat


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
    if scene.wears_hat:
        return scene
    return replace(scene, before=scene.before + where * (scene.after - scene.before))


def without_hair(scene: Scene, where: Tensor) -> Scene:
    """Say that there is skin or place where hair was."""
    if scene.wears_hat:
        return scene
    bare = bare_head(scene.landmarks, where)
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
