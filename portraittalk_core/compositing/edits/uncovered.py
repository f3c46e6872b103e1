"""Heads from which hair is taken: skin, clothes and the place where it was."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ...topology import BROW_OUTLINES, EYES, OUTER_LIPS, OVAL, SEGMENTS
from ..head_camera import face_unit
from ..lip_points import frames_of_eyes, places_of
from ..masked import blurred, filled, inside, luma, mean_of, softened, softness, surely
from ..matting import loose_locks
from ..scene import Scene
from .removal import PATCH, pores
from .scalp import head_of, kept_near, scattered, skin_of_head

BARE_SHOULDERS = "bare shoulders"
"""What is settled of a photograph: whether it shows them, see `shows_shoulders`."""

_INPAINTED = 192  # pixels a side at which edges run on into what hair hid
STRANDS_GO = 0.028  # of the picture's side: how far hairs reach beyond those that are found
_HAIRLINE = -0.75  # in distances of the eyes below them: where it is
_NAPE, _COLLAR = 0.9, 2.6  # where necks begin and end below the eyes, in their distance
_NECK = 1.1  # half as wide as necks are at most
_CRISP = 4.0  # how much harder outlines of shoulders are than what is known of them
_ENOUGH = 0.002  # share of the picture's pixels that are enough to know clothes by
_SHOULDERS = 1.5  # likewise, above which there are no clothes behind hair
_SLOPE = (1.6, 0.4)  # likewise, where shoulders begin in the middle, and how much lower they are the further out
_ASIDE, _BELOW_MOUTH = 1.1, 0.5  # likewise, how far from the middle of the mouth shoulders surely are
_BARE = 0.25  # squares of it of skin there that tell
_SHADED, _STRAY = 0.1, 0.3  # likewise, of the skin: how far hair shades it

_PATCH, _FINEST, _KNOWN = 0.03, 0.004, 0.95  # likewise, half of a patch of the place; what is grain; how sure it is
_BESIDE, _PATCHES = 0.1, 12  # likewise, how far from a gap patches are taken; how many are looked at
_COARSEST, _VARIES = 1.5, 1e-4  # pixels, that grain has where they are few; of the range, between pixels
_TIPS = 0.05  # likewise, how far tips reach beyond those that are found
_OTHER = 0.2  # of the range: how far colours of clothes and hair differ that are told apart


def bared(scene: Scene, picture: Tensor, where: Tensor) -> Tensor:
    """Take the hair off a head.

    Args:
        scene: The photograph, and what the denoiser made of it.
        picture: What is changed, in [0, 1].
        where: How far it may be.
    """
    skin, hair = scene.was("skin"), scene.was("hair")
    unit = float(face_unit(scene.landmarks).mean()) / 2
    head = head_of(scene)
    share = softened(head.share, softness(scene.shown, skin))
    strands = STRANDS_GO / scene.view.zoom
    sure = surely(scene.was("background"), strands)
    place = place_behind(scene, sure)
    # Single hairs and tufts around hair are often taken for something else.
    stray = (20 * blurred(hair, _STRAY * unit)).clamp(max=1) * (1 - sure)
    stray = stray * (1 - scene.was("clothes", "accessory"))
    sort = _rather(picture, mean_of(scene.shown, skin), mean_of(scene.shown, hair))
    locks = locks_beside(scene, unit)
    stray = torch.maximum(stray * (1 - sort), locks)  # necks beside hair stay
    face = (3 * blurred(inside(scene.landmarks[:, list(OVAL)], picture), 0.05 * unit)).clamp(max=1)
    face = face * ((head.places[:, 1:2] + 0.4) / 0.2).clamp(0, 1)
    gone = torch.maximum((6 * blurred(hair, strands)).clamp(max=1), stray * (1 - face))
    clothes = _dressed(scene, picture)
    gone = gone * (1 - clothes) * (1 - scene.hand)
    gone = gone * torch.maximum(where, where.amax((2, 3), keepdim=True) * (1 - face))
    # The skin beside hair is in its shade, and often hair.
    seen = surely(skin, _SHADED * unit) * (1 - _features(scene.landmarks, picture))
    fine = scattered(pores(scene.shown, scene.landmarks), max(3, round(PATCH * unit * picture.shape[-1])))
    scalp = skin_of_head(picture, seen, head, fine)
    # Below the head, hair hides a neck and clothes.
    low = (head.places[:, 1:2] - _NAPE).clamp(0, 1)
    dressed = scene.becomes("clothes") / scene.becomes("skin", "background", "clothes").clamp(min=1e-3)
    if scene.view.beyond:  # beyond the crop nothing is drawn: what is beside the hair goes on behind it
        beside = filled(torch.cat([scene.was("clothes"), scene.was("background")], 1), surely(1 - hair))
        dressed = beside[:, :1] / beside.sum(1, keepdim=True).clamp(min=1e-3)
    dressed = (_CRISP * (dressed - 0.5) + 0.5).clamp(0, 1)  # shoulders have an outline
    known = surely(scene.was("clothes")) * clothes
    enough = (known.mean((-2, -1), keepdim=True) / _ENOUGH).clamp(max=1)
    cloth = torch.lerp(place if scene.view.beyond else scene.drawn, filled(picture, known), enough)
    if scene.settled(BARE_SHOULDERS, lambda: shows_shoulders(skin[:1], scene.landmarks[:1])):
        body, naked = _body_beside(scene, hair)
        flesh = filled(picture, surely(skin) * (head.places[:, 1:2] > _NAPE)) + fine
        slope = ((head.places[:, 1:2] - _SLOPE[0] - _SLOPE[1] * head.places[:, :1].abs()) / 0.3).clamp(0, 1)
        under = place + body * slope * (torch.lerp(cloth, flesh, naked) - place)
    else:
        under = place + dressed * ((head.places[:, 1:2] - _SHOULDERS) / 0.4).clamp(0, 1) * (cloth - place)
    bare = share * (1 - low * (1 - (1 - dressed) * _neck(head.places)))
    under = under + bare * (scalp - under)
    above = (0.5 - (head.places[:, 1:2] - _HAIRLINE) / 0.3).clamp(0, 1)
    kept = ((kept_near(skin, head, unit) - 0.6) / 0.3).clamp(0, 1) * (1 - above)  # ears and cheeks
    kept = torch.maximum(kept, skin * sort * (1 - above)) * (1 - locks)
    kept = torch.maximum(kept * (1 - share), surely(skin, 0.5 * _SHADED * unit) * (1 - above))
    changed = torch.maximum(gone * (1 - kept), share * above * (1 - seen))
    # Sideburns are taken for skin.
    darker = ((luma(scalp) - luma(picture) - 0.08) / 0.08).clamp(0, 1) * scene.was("skin", "hair") * share
    beside = ((head.places[:, :1].abs() - 0.85) / 0.1).clamp(0, 1) * (0.5 - (head.places[:, 1:2] - 0.9) / 0.2)
    beside = beside.clamp(0, 1) * (1 - head.ears) * (6 * blurred(hair, _STRAY * unit)).clamp(max=1)
    changed = torch.maximum(changed, (3 * blurred(darker * beside, 0.02 * unit)).clamp(max=1))
    return picture + blurred(changed, 0.01 * unit) * (under - picture)


def shows_shoulders(skin: Float[Tensor, "1 1 s s"], landmarks: Float[Tensor, "1 478 2"]) -> bool:
    """Say whether somebody's shoulders are bare: skin lies beside the neck and below it.

    Args:
        skin: Its share of each pixel of a picture.
        landmarks: In [-1, 1] of it.
    """
    side, frame = skin.shape[-1], frames_of_eyes(landmarks)
    x, y = frame.local(places_of(slice(0, side), slice(0, side), side)).unbind(-1)
    aside = ((x.abs() > _ASIDE) & (y > _BELOW_MOUTH)).view(side, side)
    pixels = float(frame.across.norm()) * side / 2
    return float((surely(skin)[0, 0] * aside).sum()) > _BARE * pixels**2


def _body_beside(scene: Scene, hair: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far a body, and how far its bare skin, goes on behind hair that falls before it."""
    names = ("clothes", "background", "skin")
    shares = filled(torch.cat([scene.was(name) for name in names], 1), surely(1 - hair, STRANDS_GO / scene.view.zoom))
    clothes, place, skin = (shares / shares.sum(1, keepdim=True).clamp(min=1e-3)).split(1, 1)
    naked = skin / (skin + clothes).clamp(min=1e-3)
    return (_CRISP * (0.5 - place) + 0.5).clamp(0, 1), (_CRISP * (naked - 0.5) + 0.5).clamp(0, 1)


def _neck(places: Tensor) -> Tensor:
    """Return which places of the mean head are no shoulders: those are dressed, or where hair hid them nobody knows."""
    low = (places[:, 1:2] > _NAPE + 0.5).float()
    aside = ((places[:, :1].abs() - _NECK) / 0.2 + 0.5).clamp(0, 1)
    return (places[:, 1:2] < _COLLAR) * (1 - low * aside)


def locks_beside(scene: Scene, unit: float) -> Tensor:
    """Return how far pixels are tips of hair that were taken for the place.

    Args:
        scene: The photograph.
        unit: Distance of the eyes, half sides of the picture.
    """
    locks = loose_locks(scene.shown, scene.was("background"), scene.hair, scene.view.zoom)
    locks = locks * (1 - scene.was("skin").square()) * (1 - scene.was("clothes", "accessory"))
    return (6 * blurred(locks * (1 - scene.hand), _TIPS * unit)).clamp(max=1)


def _dressed(scene: Scene, picture: Tensor) -> Tensor:
    """Return how far pixels are clothes, and no hair over them."""
    clothes = scene.was("clothes")
    cloth, hair = (mean_of(picture, surely(share)) for share in (clothes, scene.was("hair")))
    told = ((cloth - hair).square().sum(1, keepdim=True).sqrt() / _OTHER).clamp(max=1)
    return ((clothes - 0.5) / 0.3).clamp(0, 1) * (1 - told * (1 - _rather(picture, cloth, hair)))


def place_behind(scene: Scene, sure: Tensor) -> Tensor:
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
    made = softened(torch.stack(rows).to(soft), 0.006 / scene.view.zoom * soft.shape[-1])
    near = (3 * blurred(sure, 0.1 / scene.view.zoom)).clamp(max=1)
    return soft + (1 - sure) * (near * (made - soft) + _grain(scene.shown, sure))


def _grain(picture: Tensor, sure: Tensor) -> Tensor:
    """Return grain and fine texture as what is known beside gaps has them: without it a filled gap is a smooth spot."""
    side = picture.shape[-1]
    half = max(3, round(_PATCH * side))
    bright = luma(picture)
    fine = bright - softened(bright, max(_COARSEST, _FINEST * side))
    size = 2 * half
    known = -functional.max_pool2d(-sure, size, half) > _KNOWN  # all of a patch
    for axis in (2, 3):  # what a square repeats of a photograph's last row or column is no texture
        known &= functional.avg_pool2d((bright.roll(1, axis) - bright).abs(), size, half) > _VARIES
    near = functional.avg_pool2d(blurred(1 - sure, _BESIDE), size, half)
    strength = functional.avg_pool2d(fine.square(), size, half)
    made = torch.zeros_like(fine)
    for row in range(len(picture)):
        places = known[row, 0].nonzero()
        places = places[near[row, 0][known[row, 0]].argsort(descending=True)[:_PATCHES]]
        if len(places):  # an edge or a thing in one would be repeated
            chosen = strength[row, 0][tuple(places.T)].argsort()[len(places) // 4]
            y, x = (half * places[chosen]).tolist()
            made[row] = scattered(fine[row : row + 1, :, y : y + size, x : x + size], half, side, 1.0)[0]
    return made


def _rather(picture: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Return how far each pixel has one colour rather than another."""
    apart = [(picture - colour).square().sum(1, keepdim=True).sqrt() for colour in (one, other)]
    return (0.5 + 4 * (apart[1] - apart[0] - 0.1)).clamp(0, 1)


def _features(landmarks: Tensor, like: Tensor) -> Tensor:
    """Return where eyes, brows and lips are."""
    shares = [inside(landmarks[:, list(outline)], like) for outline in (*EYES, *BROW_OUTLINES, OUTER_LIPS)]
    return (3 * blurred(torch.stack(shares).amax(0), 0.012)).clamp(max=1)


def without_hair(scene: Scene, where: Tensor) -> Scene:
    """Say that there is skin or place where hair was."""
    if scene.wears_hat:
        return scene
    bare = head_of(scene)
    body = bare.share * _neck(bare.places)
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
