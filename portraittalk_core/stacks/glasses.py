"""Glasses, drawn as things in space before the eyes: so they sit on the nose and turn with the head.

A small denoiser draws rims with gaps, as wide as its cells are. What glasses look like is known: two lenses, a bridge,
and temples that run to the ears.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import Tensor

from ..topology import EYES
from .head_camera import face_unit, head_camera, seen
from .masked import blurred, colourfulness, luma, softened


@dataclass(frozen=True)
class Glasses:
    """A kind of glasses; lengths are in distances of the eyes."""

    half: tuple[float, float]
    """Half of a lens' width and height."""
    power: float
    """Of the superellipse that a lens is: 2 is round."""
    rim: float
    """Half of a rim's width."""
    colour: tuple[float, float, float]
    """Of the frame, in [0, 1]."""


GLASSES = {
    "round glasses": Glasses((0.355, 0.355), 2.0, 0.026, (0.16, 0.1, 0.07)),
    "square glasses": Glasses((0.41, 0.295), 4.2, 0.038, (0.06, 0.055, 0.055)),
}
"""By the words that ask for them; as rendered people wear them."""

_WORN = 0.045  # squares of the distance of the eyes that rims have in a picture
_FINE = 260  # pixels of the canvas a distance of the eyes
_CORNERS = 72  # of a lens' outline
_APART = 0.5  # of a lens' middle from that of the face
_LOWER = 0.05  # of a lens' middle below the eye's
_BEFORE, _CURVE = 0.25, 0.16  # how far lenses are before the eyes; how much less at the sides
_EAR = (1.19, -0.02, -0.82)  # where temples lie on ears
_SHADOW, _SHADOW_BELOW = 0.3, 0.06
_TINT, _REFLEX = 0.04, 0.16  # how much light lenses swallow, and mirror


def with_glasses(
    picture: Float[Tensor, "n 3 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    kind: Glasses,
    behind: Float[Tensor, "n 1 s s"],
    softness: float = 0.0,
) -> Float[Tensor, "n 3 s s"]:
    """Put glasses on faces.

    Args:
        picture: The faces, in [0, 1].
        landmarks: Their points, in [-1, 1].
        kind: Of the glasses.
        behind: Where temples are hidden: hair, in [0, 1].
        softness: Of the photograph, pixels: how far it blurs a line.
    """
    layers = torch.from_numpy(np.stack([_layers(row, kind, picture.shape[-1]) for row in landmarks.float()]))
    frame, temples, lens, gloss, reflex = softened(layers.to(picture), softness).split(1, 1)
    unit = float(face_unit(landmarks).mean()) / 2
    rim = torch.maximum(frame, temples * (1 - behind))
    down = round(_SHADOW_BELOW * unit * picture.shape[-1])
    shadow = blurred(rim.roll(down, 2), 0.03 * unit)
    light = _light(picture, landmarks)
    picture = picture * (1 - _SHADOW * shadow * (1 - behind)) * (1 - _TINT * lens)
    picture = picture + reflex * _REFLEX * (light - picture).clamp(min=0)
    tint = picture.new_tensor(kind.colour).view(1, 3, 1, 1)
    grey = luma(picture)
    darkest = grey.flatten(1).quantile(0.01, dim=1)[:, None, None, None]
    colour = (luma(tint) + colourfulness(picture) * (tint - luma(tint))) * (0.35 + 0.9 * light) + 0.5 * darkest
    colour = colour + gloss * 0.35 * (light - colour)
    return picture + rim * (colour - picture)


def _light(picture: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 1 1 1"]:
    """Return how bright the brightest of the face is."""
    side = picture.shape[-1]
    at = ((landmarks[:, [50, 280, 151, 4, 6]] + 1) * (side / 2)).long().clamp(0, side - 1)
    light = blurred(luma(picture), 0.01)[:, 0]
    rows = [frame[points[:, 1], points[:, 0]].max() for frame, points in zip(light, at, strict=True)]
    return torch.stack(rows)[:, None, None, None].clamp(min=0.1)


def _layers(points: Float[Tensor, "478 2"], kind: Glasses, side: int) -> Float32[ndarray, "5 s s"]:
    """Return the shares of frame, temples and lenses, and how much frame and lenses shine."""
    camera = head_camera(points[None])
    # The eyes themselves say where glasses sit, the head only how they are turned.
    eyes = torch.stack([points[list(eye)].mean(0) for eye in EYES]).mean(0)
    offset = eyes - seen(camera, torch.zeros(1, 3))[0, 0]

    def pixels(places: ndarray) -> ndarray:
        on_picture = seen(camera, torch.from_numpy(places).float())[0] + offset
        return ((on_picture.numpy() + 1) * (side / 2) - 0.5).astype(np.float64)

    unit = float(face_unit(points[None])) * side / 2
    fine = int(np.clip(np.ceil(_FINE / unit), 1, 8))
    reach = pixels(np.array([[x, y, z] for x in (-1.35, 1.35) for y in (-0.5, 0.6) for z in (0.3, -0.9)]))
    low = np.floor(reach.min(0)).clip(0, side - 1).astype(int)
    high = np.ceil(reach.max(0)).clip(1, side).astype(int)
    canvas = _Canvas(low, (high - low).clip(min=1), fine)
    lenses = {sign: _outline(kind, sign) for sign in (-1, 1)}
    hinges = {
        sign: _place(np.array([[sign * (_APART + kind.half[0]), _LOWER - 0.45 * kind.half[1]]]))[0] for sign in (-1, 1)
    }
    frame, gloss = canvas.empty(), canvas.empty()
    lens, reflex = canvas.empty(), canvas.empty()
    thick = 2 * kind.rim * unit
    for sign, outline in lenses.items():
        ring = pixels(_place(outline))
        canvas.line(frame, ring, thick, True)
        canvas.fill(lens, ring)
        upper = outline[:, 1] < _LOWER - 0.3 * kind.half[1]
        lit = pixels(_place(outline[upper][np.argsort(outline[upper][:, 0])]))
        canvas.line(gloss, lit - (0, 0.3 * thick), 0.3 * thick, False)
        a, b = (-0.75, -0.1), (-0.35, 0.3)
        middle, (w, h) = np.array([sign * _APART, _LOWER]), kind.half
        band = [(a[0], 1), (a[1], -1), (b[1], -1), (b[0], 1)]
        canvas.fill(reflex, pixels(_place(middle + np.array(band) * (w, h))))
    reflex = cv2.bitwise_and(reflex, lens)
    inner = _APART - kind.half[0]
    t = np.linspace(-1, 1, 9)[:, None]
    arch = np.concatenate([t * inner * 1.04, _LOWER - 0.3 * kind.half[1] - 0.05 * (1 - t**2)], 1)
    canvas.line(frame, pixels(_place(arch)), 0.9 * thick, False)
    temples = canvas.empty()
    nose = pixels(np.array([[0.0, 0.1, 0.2]]))[0]
    for sign, hinge in hinges.items():
        ear = np.array([sign * _EAR[0], *_EAR[1:]])
        start, end = pixels(np.stack([hinge, ear]))
        if np.linalg.norm(end - nose) > np.linalg.norm(start - nose):  # else it is behind the face
            canvas.line(temples, np.stack([start, end]), 0.75 * thick, False)
            canvas.line(frame, np.stack([start, start + 0.06 * (end - start)]), 1.1 * thick, False)
    layers = [frame, temples, lens, gloss, cv2.GaussianBlur(reflex, (0, 0), 0.02 * unit * fine)]
    return np.stack([canvas.in_picture(layer, side) for layer in layers])


def _outline(kind: Glasses, sign: int) -> Float32[ndarray, "k 2"]:
    angle = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    ring = np.stack([np.cos(angle), np.sin(angle)], 1)
    ring = np.sign(ring) * np.abs(ring) ** (2 / kind.power) * kind.half
    ring[:, 0] -= sign * 0.06 * ring[:, 1] * (ring[:, 0] * sign < 0)  # narrower below, beside the nose
    return ring + (sign * _APART, _LOWER)


def _place(flat: ndarray) -> ndarray:
    """Return places in space on the curved front of glasses."""
    depth = _BEFORE - _CURVE * np.square(np.abs(flat[:, :1]) - 0.1).clip(min=0)
    return np.concatenate([flat, depth], 1)


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

    def fill(self, layer: ndarray, pixels: ndarray) -> None:
        cv2.fillPoly(layer, [self._at(pixels)], 255, cv2.LINE_AA, 4)

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
