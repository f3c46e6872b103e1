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

GLASSES = {
    "round glasses": Eyewear((0.222, 0.222), 2.0, 0.019, PLASTICS["black"]),
    "square glasses": Eyewear((0.25, 0.187), 4.2, 0.026, PLASTICS["black"]),
}
"""By the words that ask for them; within what rendered people wear."""

RIMS = {"thin rims": 0.013, "thick rims": 0.038}
"""Half widths of rims that are asked for, in decimetres."""

_METAL_RIM = 0.016  # if nothing else is said
_GOLD = (0.60, 0.31, 0.06)  # of which frames look golden also where nothing is mirrored in them
_NAMED = {"gold": _GOLD, "silver": METALS["silver"], "brown": PLASTICS["brown"], "grey": PLASTICS["grey"]}
RIM_COLOURS = {f"{name} rims": colour for name, (colour, _) in CLOTHES.colours.items()} | {
    f"{name} rims": colour for name, colour in _NAMED.items()
}
"""Colours of frames that are asked for, in linear light."""

_WORN = 0.045  # squares of the distance of the eyes that rims have in a picture
_FINE = 260  # pixels of the canvas a distance of the eyes
_CORNERS = 72  # of a lens' outline
_UNIT = 2 * LIDS_APART  # decimetres of the template that are a distance of the eyes
_NEARER = 0.1  # of the distance of the eyes: how much nearer lenses are to people's eyes than to rendered people's
_TO_EAR = 0.62  # of temples that is seen before ears
_SHADOW, _SHADOW_BELOW = 0.3, 0.06
_TINT, _REFLEX, _DARK_REFLEX = 0.04, 0.16, 0.07  # how much light lenses swallow, and mirror; dark ones less
_SHINE, _METAL_SHINE = 0.35, 0.8  # how bright the upper edges of frames are
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
    layers = torch.from_numpy(np.stack([_layers(row, kind, picture.shape[-1]) for row in landmarks.float()]))
    frame, temples, lens, gloss, reflex, low = softened(layers.to(picture), softness).split(1, 1)
    unit = float(face_unit(landmarks).mean()) / 2
    rim = torch.maximum(frame, temples * (1 - behind))
    down = round(_SHADOW_BELOW * unit * picture.shape[-1])
    shadow = blurred(rim.roll(down, 2), 0.03 * unit)
    light = _light(picture, landmarks)
    # Dark lenses let more light through below than above.
    swallowed = torch.full_like(low, _TINT) if not kind.dark else (kind.dark + 0.17 - 0.22 * low).clamp(max=0.94)
    picture = picture * (1 - _SHADOW * shadow * (1 - behind)) * (1 - swallowed * lens)
    picture = picture + reflex * (_REFLEX if not kind.dark else _DARK_REFLEX) * (light - picture).clamp(min=0)
    tint = picture.new_tensor(kind.tint).pow(1 / 2.2).view(1, 3, 1, 1)
    grey = luma(picture)
    darkest = grey.flatten(1).quantile(0.01, dim=1)[:, None, None, None]
    colour = luma(tint) + colourfulness(picture) * (tint - luma(tint))
    colour = (colour * (0.15 + 0.95 * light)).clamp(max=1) + 0.5 * darkest * (1 - luma(tint))
    shine = _METAL_SHINE if kind.metal else _SHINE
    colour = colour + gloss * shine * (1 - colour).clamp(min=0) * light
    return picture + rim * (colour - picture)


def _light(picture: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 1 1 1"]:
    """Return how bright the brightest of the face is."""
    side = picture.shape[-1]
    at = ((landmarks[:, [50, 280, 151, 4, 6]] + 1) * (side / 2)).long().clamp(0, side - 1)
    light = blurred(luma(picture), 0.01)[:, 0]
    rows = [frame[points[:, 1], points[:, 0]].max() for frame, points in zip(light, at, strict=True)]
    return torch.stack(rows)[:, None, None, None].clamp(min=0.1)


def _layers(points: Float[Tensor, "478 2"], kind: Eyewear, side: int) -> Float32[ndarray, "6 s s"]:
    """Return the shares of frame, temples and lenses, how much both shine, and how low in a lens each pixel is."""
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
    canvas = _Canvas(low, (high - low).clip(min=1), fine)
    worn = place_glasses(kind, {1: EYES_APART, -1: EYES_APART}, EYE_HEIGHT, EYE_DEPTH, _CORNERS)
    frame, gloss = canvas.empty(), canvas.empty()
    lens, reflex, lower = canvas.empty(), canvas.empty(), canvas.empty()
    thick = 2 * kind.rim / _UNIT * unit
    for ring_in_space in (_on_head(curve) for curve in worn.lenses.values()):
        ring = pixels(ring_in_space)
        canvas.line(frame, ring, thick, True)
        canvas.fill(lens, ring)
        middle, half = ring.mean(0), (ring.max(0) - ring.min(0)) / 2
        upper = ring_in_space[:, 1] < ring_in_space[:, 1].mean() - 0.3 * np.ptp(ring_in_space[:, 1]) / 2
        lit = pixels(ring_in_space[upper][np.argsort(ring_in_space[upper][:, 0])])
        canvas.line(gloss, lit - (0, 0.3 * thick), 0.3 * thick, False)
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
    canvas.line(frame, pixels(_on_head(worn.bridge)), 0.9 * thick, False)
    temples = canvas.empty()
    nose = pixels(np.array([[0.0, 0.1, 0.2]]))[0]
    for bends in (pixels(_on_head(path)) for path in worn.temples.values()):
        start, end = bends[0], bends[3]
        if np.linalg.norm(end - nose) > np.linalg.norm(start - nose):  # else it is behind the face
            canvas.line(temples, np.stack([start, start + _TO_EAR * (end - start)]), 0.75 * thick, False)
            canvas.line(frame, np.stack([start, start + 0.06 * (end - start)]), 1.1 * thick, False)
    layers = [frame, temples, lens, gloss, cv2.GaussianBlur(reflex, (0, 0), 0.02 * unit * fine), lower]
    return np.stack([canvas.in_picture(layer, side) for layer in layers])


def _on_head(places: Float64[ndarray, "k 3"]) -> Float64[ndarray, "k 3"]:
    """Return places of the template in the head's coordinates."""
    x, y, z = places.T
    return np.stack([x / _UNIT, (EYE_HEIGHT - y) / _UNIT, (z - LID_DEPTH) / _UNIT - _NEARER], 1)


class _Canvas:
    """A part of a picture, in which a pixel is several."""

    def __init__(self, low: ndarray, size: ndarray, fine: int) -> None:
        self._low, self._size, self._fine = low, size, fine

    def empty(self) -> ndarray:
        return np.zeros((int(self._size[1]) * self._fine, int(self._size[0]) * self._fine), np.uint8)

    def _at(self, pixels: ndarray) -> ndarray:
        inside = (pixels + 0.5 - self._low) * self._fine - 0.5
        return (inside * 16).round().astype(np.int32)[:, None]

    def line(self, layer: ndarray, pixels: ndarray, thick: float, closed: bool) -> None:
        cv2.polylines(layer, [self._at(pixels)], closed, 255, max(1, round(thick * self._fine)), cv2.LINE_AA, 4)

    def fill(self, layer: ndarray, pixels: ndarray, level: int = 255) -> None:
        cv2.fillPoly(layer, [self._at(pixels)], level, cv2.LINE_AA, 4)

    def in_picture(self, layer: ndarray, side: int) -> Float32[ndarray, "s s"]:
        whole = np.zeros((side, side), np.float32)
        (left, top), (wide, high) = self._low, self._size
        small = cv2.resize(layer, (int(wide), int(high)), interpolation=cv2.INTER_AREA)
        whole[top : top + high, left : left + wide] = small.astype(np.float32) / 255
        return whole


def shows_glasses(accessory: Float[Tensor, "n 1 s s"], landmarks: Float[Tensor, "n 478 2"]) -> bool:
    """Say whether somebody wears glasses already.

    Args:
        accessory: Share of accessories around the eyes, of each pixel.
        landmarks: In [-1, 1].
    """
    unit = float(face_unit(landmarks).mean()) * accessory.shape[-1] / 2
    return float(accessory.sum((1, 2, 3)).mean()) / unit**2 > _WORN
