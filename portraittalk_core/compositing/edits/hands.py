"""Hands before hair, clothes or the place: people prop up their heads, and face parsing has seen no hands."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from ...topology import OVAL, SEGMENTS
from ..head_camera import face_unit
from ..head_mesh import head_mesh, placed_head
from ..masked import blurred, filled, inside, mean_of, softened, surely
from ..scene import Scene

# In distances of the eyes, where nothing else is said.
_PLAIN = 0.02  # over which pixels are evened out
_NOISE, _PLACE = 0.04, 0.07  # of the range: deviation that every colour has, and that of a place
_LIKE, _RATHER = 9.0, 1.5  # squared deviations from skin at most; by how much it is likelier than anything else
_FINGER, _LEAST = 0.09, 0.2  # how wide the least part of a hand is; squares that a hand has
_PALM = 0.14  # how deep within a hand its palm is
_HAIRY = 0.5  # share of hair that a hand has at most
_FARTHEST = 0.5  # how far from a face or its hair a hand may be
_CHIN = 1.0  # below the eyes: where the mean head's neck begins to be seen beside its chin
_NECK = 2.2  # below the eyes: what is skin on the mean head down to there is face, ear or neck
_THROAT = ((-0.7, 1.2, -0.6), (0.7, 1.2, -0.6), (3.0, 3.7, -1.0), (-3.0, 3.7, -1.0))
"""Corners in the head's coordinates, between which skin is no hand: throat and chest."""
_CONTOUR = 0.12  # how far the mean head's outline may be off


def with_hands(scene: Scene) -> Scene:
    """Say that hands are skin, whatever they were taken for, and that they are before what changes.

    Args:
        scene: The photograph.
    """
    hand = hands_of(scene.shown, scene.before, scene.landmarks)
    before = scene.before * (1 - hand)
    before[:, [SEGMENTS.index("skin")]] += hand
    return replace(scene, before=before, hair=scene.hair * (1 - hand), hand=hand)


def hands_of(
    picture: Float[Tensor, "n 3 s s"],
    segments: Float[Tensor, "n segments s s"],
    landmarks: Float[Tensor, "n 478 2"],
) -> Float[Tensor, "n 1 s s"]:
    """Return how much of each pixel is a hand, or another thing of the colour of the face before something else.

    It is found by its colour alone: where hair, clothes or the place are of skin's colour, too, none is.

    Args:
        picture: In [0, 1].
        segments: Shares of `topology.SEGMENTS`.
        landmarks: In [-1, 1].
    """
    share = {name: segments[:, [SEGMENTS.index(name)]] for name in ("background", "skin", "hair", "clothes")}
    unit = float(face_unit(landmarks).mean()) / 2
    pixels = unit * picture.shape[-1]
    even = softened(picture, _PLAIN * pixels)
    face = inside(landmarks[:, list(OVAL)], picture)
    skin = _apart(even, face * surely(share["skin"], 0.05 * unit))
    others = [_apart(even, surely(share[name], 0.03 * unit)) for name in ("hair", "clothes")]
    place = (even - filled(picture, surely(share["background"], 0.03 * unit))).square().sum(1, keepdim=True)
    others.append(place / _PLACE**2 + 6 * np.log(_PLACE))
    rather = torch.stack(others).amin(0) - skin
    body, throat = _body(landmarks, picture)
    body = torch.maximum(face, body)
    like = ((skin - 6 * np.log(_NOISE) < _LIKE) & (rather > _RATHER)).float()
    near = (share["hair"] + share["skin"] > 0.5).float()
    masks = torch.cat([like, body, near, throat, share["hair"]], 1).cpu().numpy()
    hand = torch.from_numpy(np.stack([_found(row, pixels) for row in masks]))[:, None].to(picture)
    return (1.6 * blurred(hand * (1 - face * surely(share["skin"], 0.05 * unit)), 0.012 * unit)).clamp(max=1)


def _body(
    landmarks: Float[Tensor, "n 478 2"], like: Float[Tensor, "n c s s"]
) -> tuple[Float[Tensor, "n 1 s s"], Float[Tensor, "n 1 s s"]]:
    """Return where the mean head's head, ears and neck are, and where its throat and chest are."""
    mesh, side = head_mesh(), like.shape[-1]
    height = mesh.points[:, 1]
    masks = np.zeros((len(landmarks), 2, side, side), np.uint8)
    for (body, throat), points in zip(masks, landmarks.float().cpu().numpy(), strict=True):
        head = placed_head(points, side)
        for part in (height < _CHIN, (height > _CHIN) & (height < _NECK)):
            cv2.fillConvexPoly(body, cv2.convexHull(head.pixels[part].round().astype(np.int32)), 1)
        corners, _ = head.seen(np.array(_THROAT, np.float32))
        cv2.fillConvexPoly(throat, cv2.convexHull(corners.round().astype(np.int32)), 1)
    bodies, throats = torch.from_numpy(masks).to(like).split(1, 1)
    return bodies, throats


def _apart(picture: Float[Tensor, "n 3 s s"], where: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n 1 s s"]:
    """Return minus twice the logarithm of how likely pixels are those of a part, but for a constant."""
    mean = mean_of(picture, where)
    off = picture - mean
    rows: list[Tensor] = []
    for row, weight in zip(off, where, strict=True):
        if float(weight.sum()) < 30:
            rows.append(torch.full_like(row[:1], 1e3))
            continue
        spread = torch.einsum("chw,dhw->cd", row * weight, row) / weight.sum() + _NOISE**2 * torch.eye(3).to(row)
        rows.append(torch.einsum("chw,cd,dhw->hw", row, torch.linalg.inv(spread), row)[None] + torch.logdet(spread))
    return torch.stack(rows)


def _found(masks: Float32[ndarray, "5 s s"], unit: float) -> Float32[ndarray, "s s"]:
    """Return the parts of what is like skin that are wide and large enough for a hand.

    Args:
        masks: What is like skin, face and neck, hair and skin, the throat, and the share of hair.
        unit: Pixels a distance of the eyes.
    """
    like, body, near, throat, hair = masks
    free = (like > 0.5) & (_away(body) > _CONTOUR * unit) & (_away(near) < _FARTHEST * unit)
    opened = cv2.morphologyEx(free.astype(np.uint8), cv2.MORPH_OPEN, _disk(_FINGER * unit))
    palm = (cv2.distanceTransform(opened, cv2.DIST_L2, 3) > _PALM * unit) & (throat < 0.5)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(opened)
    parts = [(k, labels == k) for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] > _LEAST * unit**2]
    large = [k for k, part in parts if palm[part].any() and hair[part].mean() < _HAIRY]
    # Fingers go on to where they lie on the face, and to their own edges.
    return cv2.dilate(np.isin(labels, large).astype(np.float32), _disk(2 * _FINGER * unit)) * like


def _away(mask: Float32[ndarray, "s s"]) -> Float32[ndarray, "s s"]:
    return cv2.distanceTransform((mask < 0.5).astype(np.uint8), cv2.DIST_L2, 3)


def _disk(wide: float) -> ndarray:
    size = max(1, round(wide))
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
