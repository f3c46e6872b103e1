"""Glasses, drawn as things in space before the eyes: so they sit on the nose and turn with the head.

A small denoiser draws rims with gaps, as wide as its cells are. What glasses look like is known: two lenses, a bridge,
and temples that run to the ears.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from numpy import ndarray
from torch import Tensor

from ...people.eyewear import (
    EYE_DEPTH,
    EYE_HEIGHT,
    EYES_APART,
    LID_DEPTH,
    LIDS_APART,
    METALS,
    PLASTICS,
    SUNGLASSES,
    Eyewear,
    place_glasses,
)
from ...people.palette import CLOTHES
from ...topology import EYES
from ..head_camera import face_unit, head_camera, seen
from ..masked import blurred, colourfulness, luma, softened
from .rims import Canvas, relief, rim_of

_DARK = (0.024, 0.017, 0.014)

GLASSES = {
    "round glasses": Eyewear((0.222, 0.222), 2.0, 0.015, _DARK),
    "square glasses": Eyewear((0.25, 0.187), 3.4, 0.018, _DARK),
}
"""By the words that ask for them; within what rendered people wear."""

RIMS = {"thin rims": 0.010, "thick rims": 0.034}
"""Half widths of rims that are asked for, in decimetres."""

_METAL_RIM = 0.012  # if nothing else is said
_GOLD = (0.60, 0.31, 0.06)  # of which frames look golden also where nothing is mirrored in them
_NAMED = {"gold": _GOLD, "silver": METALS["silver"], "brown": PLASTICS["brown"], "grey": PLASTICS["grey"]}
RIM_COLOURS = {f"{name} rims": colour for name, (colour, _) in CLOTHES.colours.items()} | {
    f"{name} rims": colour for name, colour in _NAMED.items()
}
"""Colours of frames that are asked for, in linear light."""

_WORN = 0.045  # squares of the distance of the eyes that rims have in a picture
_ONE_SIDE, _THIN = 0.15, 1.5  # times that: on each side of the nose at least, and on one side of thin rims at most
_BESIDE_NOSE = 1.0  # distances of the eyes, that glasses reach to each side
_FINE = 260  # pixels of the canvas a distance of the eyes
_CORNERS = 72  # of a lens' outline
_UNIT = 2 * LIDS_APART  # decimetres of the template that are a distance of the eyes
_NEARER = 0.1  # of the distance of the eyes: how much nearer lenses are to people's eyes than to rendered people's
_TO_EAR = 0.95  # of temples that is seen before ears
_SHADOW, _SHADOW_BELOW = 0.3, 0.06
_TINT, _REFLEX, _DARK_REFLEX = 0.04, 0.12, 0.12  # how much light lenses swallow, and mirror; dark ones less
_ASIDE = 2.5  # times the difference of both cheeks, of their light: how far from one side the light comes
_STEPS = 6  # of dark lenses from above to below


def glasses_of(kind: str, details: Collection[str]) -> Eyewear:
    """Return glasses as a prompt has them.

    Args:
        kind: Of `GLASSES`.
        details: Some of `details.OF_GLASSES`.
    """
    glasses = GLASSES[kind]
    for name, colour in RIM_COLOURS.items():
        if name in details:
            metal = colour in (*METALS.values(), _GOLD)
            glasses = replace(glasses, tint=colour, metal=metal, rim=_METAL_RIM if metal else glasses.rim)
    for name, rim in RIMS.items():
        if name in details:
            glasses = replace(glasses, rim=rim)
    return replace(glasses, dark=SUNGLASSES) if "dark lenses" in details else glasses


def with_glasses(
    picture: Float[Tensor, "n 3 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    kind: Eyewear,
    behind: Float[Tensor, "n 1 s s"],
    softness: float = 0.0,
) -> Float[Tensor, "n 3 s s"]:
    """Put glasses on faces.

    Args:
        picture: The faces, in [0, 1].
        landmarks: Their points, in [-1, 1].
        kind: Of the glasses.
        behind: Where temples are hidden: hair and what is beside the head, in [0, 1].
        softness: Of the photograph, pixels: how far it blurs a line.
    """
    light, aside = _light(picture, landmarks)
    ways = aside.flatten().tolist()
    drawn = [_layers(row, kind, picture.shape[-1], way) for row, way in zip(landmarks.float(), ways, strict=True)]
    layers = softened(torch.from_numpy(np.stack(drawn)).to(picture), softness)
    frame, temples, lens, reflex, low, lit, shine = layers.split(1, 1)
    unit = float(face_unit(landmarks).mean()) / 2
    rim = torch.maximum(frame, temples * (1 - behind))
    lit, shine = (layer / torch.maximum(frame, temples).clamp(min=1e-3) for layer in (lit, shine))
    down = round(_SHADOW_BELOW * unit * picture.shape[-1])
    shadow = blurred(rim.roll(down, 2), 0.03 * unit)
    # Dark lenses let more light through below than above.
    swallowed = torch.full_like(low, _TINT) if not kind.dark else (kind.dark + 0.17 - 0.22 * low).clamp(max=0.94)
    picture = picture * (1 - _SHADOW * shadow * (1 - behind)) * (1 - swallowed * lens)
    mirrored = reflex * _REFLEX if not kind.dark else lens * _DARK_REFLEX * (1 - low).square()
    picture = picture + mirrored * (light - picture).clamp(min=0)
    tint = picture.new_tensor(kind.tint).pow(1 / 2.2).view(1, 3, 1, 1)
    grey = luma(picture)
    darkest = grey.flatten(1).quantile(0.01, dim=1)[:, None, None, None]
    colour = luma(tint) + colourfulness(picture) * (tint - luma(tint))
    colour = (colour * (0.15 + 0.95 * light) * lit).clamp(max=1) + 0.3 * darkest * (1 - luma(tint))
    colour = colour + shine * (1 - colour).clamp(min=0) * light
    return picture + rim * (colour - picture)


def _light(
    picture: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]
) -> tuple[Float[Tensor, "n 1 1 1"], Float[Tensor, "n"]]:
    """Return how bright the brightest of the face is, and from which side the light comes: -1 is the left."""
    side = picture.shape[-1]
    at = ((landmarks[:, [50, 280, 151, 4, 6]] + 1) * (side / 2)).long().clamp(0, side - 1)
    light = blurred(luma(picture), 0.01)[:, 0]
    rows = torch.stack([frame[points[:, 1], points[:, 0]] for frame, points in zip(light, at, strict=True)])
    left, right = rows[:, 0], rows[:, 1]
    aside = _ASIDE * (right - left) / (right + left).clamp(min=0.05)
    return rows.amax(1)[:, None, None, None].clamp(min=0.1), aside.clamp(-1, 1)


def _layers(points: Float[Tensor, "478 2"], kind: Eyewear, side: int, aside: float) -> Float32[ndarray, "7 s s"]:
    """Return the shares of frame, temples and lenses, what these mirror, how low a pixel is, and two of light.

    Those say how far frame and temples are lit and shine, times their share.
    """
    camera = head_camera(points[None])
    # The eyes themselves say where glasses sit, the head only how they are turned.
    eyes = torch.stack([points[list(eye)].mean(0) for eye in EYES]).mean(0)
    offset = eyes - seen(camera, torch.zeros(1, 3))[0, 0]

    def pixels(places: ndarray) -> ndarray:
        on_picture = seen(camera, torch.from_numpy(places).float())[0] + offset
        return ((on_picture.numpy() + 1) * (side / 2) - 0.5).astype(np.float64)

    unit = float(face_unit(points[None])) * side / 2
    fine = int(np.clip(np.ceil(_FINE / unit), 1, 8))
    reach = pixels(np.array([[x, y, z] for x in (-1.5, 1.5) for y in (-0.5, 0.65) for z in (0.4, -1.7)]))
    low = np.floor(reach.min(0)).clip(0, side - 1).astype(int)
    high = np.ceil(reach.max(0)).clip(1, side).astype(int)
    canvas = Canvas(low, (high - low).clip(min=1), fine)
    worn = place_glasses(kind, {1: EYES_APART, -1: EYES_APART}, EYE_HEIGHT, EYE_DEPTH, _CORNERS)
    frame, temples = canvas.empty(), canvas.empty()
    lens, reflex, lower = canvas.empty(), canvas.empty(), canvas.empty()
    thick = 2 * kind.rim / _UNIT * unit
    for curve in worn.lenses.values():
        outer, inner = (pixels(_on_head(ring)) for ring in rim_of(curve, kind))
        canvas.fill(frame, outer)
        canvas.fill(frame, inner, 0)
        canvas.fill(lens, inner)
        middle, half = inner.mean(0), (inner.max(0) - inner.min(0)) / 2
        a, b = (-0.75, -0.1), (-0.35, 0.3)
        band = np.array([(a[0], 1), (a[1], -1), (b[1], -1), (b[0], 1)])
        canvas.fill(reflex, middle + band * half)
        for step in range(_STEPS):
            top = middle[1] + half[1] * (2 * (step + 1) / (_STEPS + 1) - 1)
            box = np.array(
                [(-1.1, top), (1.1, top), (1.1, middle[1] + 1.2 * half[1]), (-1.1, middle[1] + 1.2 * half[1])]
            )
            canvas.fill(lower, box * (half[0], 1) + (middle[0], 0), 255 * (step + 1) // _STEPS)
    reflex = cv2.bitwise_and(reflex, lens)
    canvas.line(frame, pixels(_on_head(worn.bridge)), thick, False)
    nose = pixels(np.array([[0.0, 0.1, 0.2]]))[0]
    for bends in (pixels(_on_head(path)) for path in worn.temples.values()):
        start, end = bends[0], bends[3]
        if np.linalg.norm(end - nose) > np.linalg.norm(start - nose):  # else it is behind the face
            canvas.line(temples, np.stack([start, start + _TO_EAR * (end - start)]), 0.8 * thick, False)
            canvas.line(frame, np.stack([start, start + 0.06 * (end - start)]), 1.1 * thick, False)
    lit, shine = relief(np.maximum(frame, temples), 0.5 * thick * fine, kind.metal, aside)
    layers = [frame, temples, lens, reflex, cv2.GaussianBlur(lower, (0, 0), 0.04 * unit * fine), lit, shine]
    layers[3] = cv2.GaussianBlur(reflex, (0, 0), 0.02 * unit * fine)
    return np.stack([canvas.in_picture(layer, side) for layer in layers])


def _on_head(places: Float64[ndarray, "k 3"]) -> Float64[ndarray, "k 3"]:
    """Return places of the template in the head's coordinates."""
    x, y, z = places.T
    return np.stack([x / _UNIT, (EYE_HEIGHT - y) / _UNIT, (z - LID_DEPTH) / _UNIT - _NEARER], 1)


def shows_glasses(accessory: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"]) -> bool:
    """Say whether somebody wears glasses already: on both sides of the nose, for paint around one eye is none.

    Args:
        accessory: Share of accessories around the eyes, of each pixel.
        landmarks: In [-1, 1].
    """
    side = accessory.shape[-1]
    unit = float(face_unit(landmarks).mean()) * side / 2
    axis = (torch.arange(side, device=landmarks.device, dtype=landmarks.dtype) * 2 + 1) / side - 1
    left, right = (landmarks[:, list(eye)].mean(1) for eye in EYES)
    across = (right - left) / (right - left).square().sum(1, keepdim=True).clamp(min=1e-9)
    nose = landmarks[:, 168, :, None, None]
    away = (axis[None, None] - nose[:, 0]) * across[:, 0, None, None]
    away = away + (axis[None, :, None] - nose[:, 1]) * across[:, 1, None, None]
    worn = accessory[:, 0].float()
    sides = [(away * sign > 0) & (away * sign < _BESIDE_NOSE) for sign in (-1, 1)]
    areas = [float((worn * there).sum((1, 2)).mean()) / unit**2 for there in sides]
    # Half of a thin rim is easily missed, of a thick one not.
    both = min(areas) > _ONE_SIDE * _WORN or max(areas) < _THIN * _WORN
    return both and float(worn.sum((1, 2)).mean()) / unit**2 > _WORN
