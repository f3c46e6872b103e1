"""Beards, moustaches and stubble, hair by hair: where the points of a face say that they grow.

A beard that a small denoiser draws is a patch with an edge. Real ones have none: they are dense on the chin, thin out
over the cheeks, and every hair begins in the skin. So only the colour and the light are the picture's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from ...topology import BROW_OUTLINES, MIRROR, OUTER_LIPS
from ..head_camera import face_unit
from ..masked import blurred, inside, luma, mean_of, softened

BARE = (50, 205, 203, 49, 6, 279, 423, 425, 280, 347, 6, 118)
"""Points around cheeks and nose, where no beard grows."""

_CHEEK = ((137,), (177,), (213,), (192, 187), (212, 216), (216, 186), (92, 186), (165, 92), (167, 165), (164, 2))
_JAW = ((152,), (148,), (176,), (149,), (150,), (136,), (172,), (58,), (132,), (93, 132))
_MOUSTACHE = ((57, 186), (216, 186), (92, 206), (165,), (165, 167), (167, 97), (164, 2))
_TRIMMED = ((61, 57), (57, 186), (186, 92), (165, 92), (165, 167), (167, 164), (164, 2, 164))
_LIP = ((0,), (37,), (39,), (40,), (185,), (61,))
_CHIN = ((18,), (83, 182), (204, 182), (211, 204), (170, 211), (149, 140), (176,), (148,), (152,))
_BELOW = 1.05  # of the jaw's distance from the lip: beards end a little below it


@dataclass(frozen=True)
class BeardKind:
    """How a kind of beard looks; lengths are in distances of the eyes."""

    parts: tuple[str, ...]
    """Where it grows: `cheeks`, `moustache`, `chin`, or `trimmed`: a moustache that follows the lip."""
    length: float
    """Of a hair."""
    width: float
    """Of a hair."""
    hairs: int
    """How many there are where it is dense, a square of the distance of the eyes."""
    cover: float
    """How much of the skin is dark below the hairs."""
    opacity: float
    """Of a hair: real ones are thinner than those that are drawn."""
    thinner: float = 1.0
    """Power of the density of cheeks: above 1 beards begin there with single hairs."""


BEARDS = {
    "beard": BeardKind(("cheeks", "moustache", "chin"), 0.14, 0.0046, 13000, 0.5, 0.8, 2.0),
    "goatee": BeardKind(("trimmed", "chin"), 0.13, 0.0048, 13000, 0.55, 0.8),
    "mustache": BeardKind(("trimmed",), 0.1, 0.0048, 12000, 0.42, 0.8),
    "stubble": BeardKind(("cheeks", "moustache", "chin"), 0.02, 0.005, 4200, 0.24, 0.42),
}
"""By the word that asks for it."""

AREAS = {
    "beard": replace(BEARDS["beard"], thinner=1.0),
    "goatee": replace(BEARDS["goatee"], parts=("moustache", "chin")),
    "mustache": replace(BEARDS["mustache"], parts=("moustache",)),
}
"""Likewise, where they may be in a photograph: people's moustaches are wider than drawn ones."""

_FEATHER = {"cheeks": 0.3, "moustache": 0.06, "trimmed": 0.06, "chin": 0.14}  # softness of the edges
_TUFT = 0.07  # in distances of the eyes: of hairs that are alike
_UNDER_LIP, _UNDER_JAW, _SHADE = 0.42, 0.8, 0.28  # below the upper lip: where shade is; how much darker it is
_FINE = 440  # pixels of the canvas a distance of the eyes
_TONES = 10  # of hairs that are drawn in one go
_LAYERS = 14  # from the ends of a beard upwards: hair lies over what grows below it
_BENDS = 4  # of a hair
_ENOUGH = 0.004  # share of a picture that hair has whose colour is known
_BLUER = 0.04  # than red: what is so is no hair
_DARKER = 0.68  # than those: a chin with a beard
_BESIDE = 0.5  # how far a beard has the colour of the hair beside it, which is in the shade
_ROOTS = 0.76  # of the hair's colour, of what is seen between hairs


def beard_density(
    landmarks: Float[Tensor, "n 478 2"], kind: BeardKind, like: Float[Tensor, "n c s s"]
) -> Float[Tensor, "n 1 s s"]:
    """Return how densely a beard grows at each place, in [0, 1].

    Args:
        landmarks: In [-1, 1].
        kind: Of the beard.
        like: Has the size.
    """
    unit = float(face_unit(landmarks).mean()) / 2  # of the picture's side
    total = torch.zeros_like(like[:, :1])
    for part in kind.parts:
        mask = blurred(inside(_outline(landmarks, part), like), _FEATHER[part] * unit / 2)
        part_here = ((mask - 0.1) / 0.85).clamp(0, 1)
        total = torch.maximum(total, part_here.pow(kind.thinner) if part == "cheeks" else part_here)
    return total * (1 - lips_of(landmarks, like))


def lips_of(landmarks: Float[Tensor, "n 478 2"], like: Float[Tensor, "n c s s"]) -> Float[Tensor, "n 1 s s"]:
    """Return the share of lips, and what is between them, of each pixel.

    Args:
        landmarks: In [-1, 1].
        like: Has the size.
    """
    return blurred(inside(landmarks[:, list(OUTER_LIPS)], like), 0.003)


def bearded(
    picture: Float[Tensor, "n 3 s s"],
    density: Float[Tensor, "n 1 s s"],
    colour: Float[Tensor, "n 3 #s #s"],
    kind: BeardKind,
    landmarks: Float[Tensor, "n 478 2"],
    softness: float = 0.0,
) -> Float[Tensor, "n 3 s s"]:
    """Let a beard grow.

    Args:
        picture: The face, in [0, 1].
        density: Of `beard_density`.
        colour: Of hairs, with the light that falls on them.
        kind: How long and thick they are.
        landmarks: Of the face, in [-1, 1].
        softness: Of the photograph, pixels: how far it blurs a line.
    """
    drawn = [_hairs(row[0], points, kind) for row, points in zip(density.float(), landmarks.float(), strict=True)]
    hairs = softened(torch.from_numpy(np.stack(drawn)).to(picture), softness)
    opacity, tone = hairs[:, :1], hairs[:, 1:] / hairs[:, :1].clamp(min=1e-3)
    opacity = kind.opacity * opacity * (1 - lips_of(landmarks, picture))
    below = kind.cover * density.pow(1.5)
    picture = picture + below * (colour * _ROOTS - picture)
    return picture + opacity * ((colour * tone).clamp(0, 1) - picture)


def _outline(landmarks: Float[Tensor, "n 478 2"], part: str) -> Float[Tensor, "n k 2"]:
    half: dict[str, tuple[tuple[int, ...], ...]] = {
        "cheeks": (*_CHEEK[::-1], *_JAW[::-1]),
        "moustache": (*_MOUSTACHE[::-1], *_LIP[::-1]),
        "trimmed": (*_TRIMMED[::-1], *_LIP[::-1]),
        "chin": _CHIN,
    }
    names = half[part]
    sides = [
        torch.stack([landmarks[:, [MIRROR[k] if other else k for k in name]].mean(1) for name in names], 1)
        for other in (False, True)
    ]
    if part not in ("moustache", "trimmed"):
        low, middle = [k for k, name in enumerate(names) if name in _JAW], landmarks[:, [0]]
        for side in sides:
            side[:, low] = middle + _BELOW * (side[:, low] - middle)
    return torch.cat([sides[0], sides[1].flip(1)], 1)


def _hairs(density: Tensor, points: Float[Tensor, "478 2"], kind: BeardKind) -> Float32[ndarray, "2 s s"]:
    """Return the share of hairs of each pixel, and that times how light they are."""
    side = density.shape[-1]
    result = np.zeros((2, side, side), np.float32)
    unit = float(face_unit(points[None])) * side / 2
    rows, columns = (density > 0.02).nonzero().T.numpy().reshape(2, -1)
    if not len(rows):
        return result
    margin = round(2 + kind.length * unit)
    top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
    end, right = min(side, rows.max() + margin + 1), min(side, columns.max() + margin + 1)
    fine = int(np.clip(np.ceil(_FINE / unit), 1, 8))
    lines, tones, order = _lines(density.numpy(), points.numpy(), kind, (left, top, right, end), unit)
    canvas = np.zeros(((end - top) * fine, (right - left) * fine), np.uint8)
    lines = ((lines - (left, top)) * fine * 16).round().astype(np.int32)
    layer = np.floor(order * _LAYERS).clip(0, _LAYERS - 1) * _TONES + np.floor(tones * _TONES).clip(0, _TONES - 1)
    thick = max(1, round(kind.width * unit * fine))
    groups = np.unique(layer)
    chance = np.random.default_rng(1).random(len(groups))  # or the lightest would lie on all others
    for number in groups[np.lexsort((chance, groups // _TONES))]:
        level = 60 + int(170 * (number % _TONES) / (_TONES - 1))
        cv2.polylines(canvas, list(lines[layer == number]), False, level, thick, shift=4)
    there = canvas > 0
    size = (int(right - left), int(end - top))
    for k, values in enumerate((there.astype(np.float32), canvas.astype(np.float32) / 128)):
        result[k, top:end, left:right] = cv2.resize(values, size, interpolation=cv2.INTER_AREA)
    return result


def _lines(
    density: Float32[ndarray, "s s"],
    points: Float32[ndarray, "478 2"],
    kind: BeardKind,
    box: tuple[int, int, int, int],
    unit: float,
) -> tuple[ndarray, ndarray, ndarray]:
    """Return hairs as lines in pixels, how light each is and how late it is drawn, both in [0, 1]."""
    rng = np.random.default_rng(0)
    left, top, right, end = box
    count = int(kind.hairs * (right - left) * (end - top) / unit**2)
    roots = rng.uniform((left, top), (right, end), (count, 2)).astype(np.float32)
    here = density[roots[:, 1].astype(int), roots[:, 0].astype(int)]
    grows = rng.uniform(0, 1, count) < here**1.5
    roots, here = roots[grows], here[grows]
    pixels = (points + 1) * (len(density) / 2) - 0.5
    across = pixels[[362, 263]].mean(0) - pixels[[33, 133]].mean(0)
    across = across / np.linalg.norm(across)
    down = np.array([-across[1], across[0]], np.float32)
    lip = pixels[0]
    aside, below = ((roots - lip) @ across) / unit, ((roots - lip) @ down) / unit
    # A moustache is parted in the middle; beards fall, and run together below the chin.
    upper = np.clip(0.5 - below / 0.15, 0, 1) * np.clip(1.5 - np.abs(aside) / 0.4, 0, 1)
    lean = upper * np.clip(aside / 0.16, -1, 1) * 1.1 + (1 - upper) * -0.22 * np.clip(aside, -1, 1)
    # Hairs that stand together are alike, and run alike.
    column, row = ((roots - (left, top)) / (_TUFT * unit) * 8).astype(int).T % 384
    tuft, way_of_tuft = (_smooth_noise(rng)[row, column] for _ in range(2))
    angle = np.arctan2(lean, 1) + 0.3 * way_of_tuft + rng.normal(0, 0.2, len(roots))
    length = kind.length * unit * rng.uniform(0.55, 1.2, len(roots)) * (0.22 + 0.78 * here)
    curl = rng.normal(0, 0.25, len(roots)) - 0.3 * np.sin(angle)
    steps = [roots]
    for step in range(_BENDS):
        turned = angle + curl * step / _BENDS
        way = np.sin(turned)[:, None] * across + np.cos(turned)[:, None] * down
        steps.append(steps[-1] + way * (length / _BENDS)[:, None])
    # Under the lip and below the jaw a beard is in its own shade.
    shade = np.exp(-(((below - _UNDER_LIP) / 0.07) ** 2)) * np.clip(1.4 - np.abs(aside) / 0.3, 0, 1)
    shade = np.maximum(shade, np.clip((below - _UNDER_JAW) / 0.3, 0, 1))
    tones = np.clip(0.5 + 0.16 * tuft - _SHADE * shade + rng.normal(0, 0.19, len(roots)), 0, 1)
    order = 1 - (below - below.min()) / max(float(np.ptp(below)), 1e-3) + rng.normal(0, 0.03, len(roots))
    return np.stack(steps, 1), tones, order


def _smooth_noise(rng: np.random.Generator) -> Float32[ndarray, "384 384"]:
    return cv2.resize(rng.normal(0, 1, (48, 48)).astype(np.float32), (384, 384), interpolation=cv2.INTER_LINEAR)


def beard_colour(
    picture: Float[Tensor, "n 3 s s"], hair: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 3 1 1"]:
    """Return the colour of a beard: that of hair beside the face, else of hair above it, else of the brows.

    Above a face there may be a hat, of any colour; beside it there is none.

    Args:
        picture: In [0, 1].
        hair: Share of each pixel.
        landmarks: In [-1, 1].
    """
    side = picture.shape[-1]
    axis = (torch.arange(side, dtype=landmarks.dtype) * 2 + 1) / side - 1
    height, unit = landmarks[:, [105, 334], 1].mean(1), face_unit(landmarks)
    lower = ((axis[None] - height[:, None]) / unit[:, None] * 4 + 0.5).clamp(0, 1)[:, None, :, None]
    edges = [landmarks[:, list(outline)] for outline in BROW_OUTLINES]
    brows = sum((inside(edge, picture) for edge in edges), torch.zeros_like(hair))
    colour = 0.65 * mean_of(picture, brows)
    for weight, share in ((hair.square(), 1.0), (hair.square() * lower, _BESIDE)):
        found = mean_of(picture, weight)
        red, _, blue = found.split(1, 1)
        enough = (weight.mean((-2, -1), keepdim=True) / _ENOUGH).clamp(max=1) * (blue < red + _BLUER)
        colour = colour + share * enough * (found - colour)
    return luma(colour) * 0.08 + colour * 0.86  # a little darker than hair of the head


def shows_beard(
    picture: Float[Tensor, "n 3 s s"], skin: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"]
) -> bool:
    """Say whether a face has a dark beard: whether lip and chin are much darker than cheeks and nose.

    Args:
        picture: In [0, 1].
        skin: Share of each pixel; beards are part of it.
        landmarks: In [-1, 1].
    """
    light = luma(picture)
    chin = mean_of(light, beard_density(landmarks, AREAS["goatee"], picture) * skin)
    bare = mean_of(light, inside(landmarks[:, list(BARE)], picture) * skin)
    return bool((chin < _DARKER * bare).all())
