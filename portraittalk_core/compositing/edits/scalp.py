"""Heads without hair: the mean head's cranium, ears and neck in the skin and the light of a photograph's face."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn import functional

from ..head_mesh import PlacedHead, head_mesh, placed_head, rasterised
from ..masked import blurred, filled
from ..scene import Scene

_RASTER = (512, 900)  # least and most pixels a side at which the mesh is filled
_GAMMA = 2.2
_FACE = 0.75  # below the eyes, in their distance: where a face is lit as plainly as a skull
_USUAL = (0.75, 0.05, -0.16, 0.2)  # light of a studio: from everywhere, and by direction
_PULL = 0.06  # towards it, a share of the pixels of the face
_TRIMMED = 1.5  # deviations from which on a pixel is a shadow, a gloss or a line
_DARKEST = 0.22  # of the mean light, that a place gets that faces away
_GLOSS, _GLOSS_WIDTH = 0.1, 0.1  # of a bare scalp
_FINE = 0.6  # of a cheek's detail, which has freckles and lines besides pores
_EARS = (1.06, 0.96, 0.93)  # redder than a face


@dataclass(frozen=True)
class BareHead:
    """Where a head without hair is seen, and what it looks like."""

    share: Float[Tensor, "n 1 s s"]
    """How much of each pixel it has."""
    places: Float[Tensor, "n 3 s s"]
    """Its surface in the head's coordinates, see `head_mesh`; beside it that of the nearest."""
    normals: Float[Tensor, "n 3 s s"]
    openness: Float[Tensor, "n 1 s s"]
    ears: Float[Tensor, "n 1 s s"]
    placed: tuple[PlacedHead, ...]
    """The mean head in pictures of `raster_side` pixels."""
    depths: tuple[Float32[np.ndarray, "m m"], ...]
    """How near it is at each of their pixels; -inf where it is not."""


def bare_head(landmarks: Float[Tensor, "n 478 2"], person: Float[Tensor, "n 1 s s"]) -> BareHead:
    """Return where a head without hair is seen.

    Args:
        landmarks: In [-1, 1].
        person: How much of each pixel is skin or hair: no skull is higher.
    """
    side, like = person.shape[-1], person
    found = [
        _layers(points.float().numpy(), share, side)
        for points, share in zip(landmarks.cpu(), person[:, 0].float().cpu().numpy(), strict=True)
    ]
    rows, placed, depths = zip(*found, strict=True)
    layers = torch.stack([torch.from_numpy(row).to(like) for row in rows])
    if layers.shape[-1] != side:
        small = layers.shape[-1] < side
        layers = functional.interpolate(layers, (side, side), mode="bilinear" if small else "area")
    share = layers[:, :1].clamp(0, 1)
    values = filled(layers[:, 1:] / share.clamp(min=1e-3), share)
    normals, places, openness, ears = values.split([3, 3, 1, 1], 1)
    normals = normals / normals.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return BareHead(share, places, normals, openness, ears, placed, depths)


def head_of(scene: Scene) -> BareHead:
    """Return where the head is without hair."""
    if "head" not in scene.made:
        person = (scene.was("skin") + scene.hair).clamp(max=1)
        scene.made["head"] = bare_head(scene.landmarks, person)
    return scene.made["head"]


def raster_side(side: int) -> int:
    """Return how many pixels a side a head is drawn with, for a picture of some."""
    return max(1, -(-_RASTER[0] // side)) * side if side < _RASTER[0] else min(side, _RASTER[1])


def head_in_picture(points: np.ndarray, person: np.ndarray, side: int) -> PlacedHead:
    """Place the mean head in an enlarged or reduced picture.

    Args:
        points: Of the face, [478, 2], in [-1, 1].
        person: How much of each pixel is skin or hair, [s, s].
        side: Of that picture.
    """
    return placed_head(points, side, cv2.resize(person, (side, side), interpolation=cv2.INTER_LINEAR))


def _layers(points: np.ndarray, person: np.ndarray, side: int) -> tuple[np.ndarray, PlacedHead, np.ndarray]:
    mesh = head_mesh()
    fine = raster_side(side)
    head = head_in_picture(points, person, fine)
    ones = np.ones_like(mesh.ears)
    values = np.concatenate([ones[:, None], mesh.normals, mesh.points, mesh.openness[:, None], mesh.ears[:, None]], 1)
    picture, depth = rasterised(head.pixels, head.depth, mesh.triangles, values, fine)
    return picture.transpose(2, 0, 1).copy(), head, depth


def skin_of_head(
    picture: Float[Tensor, "n 3 s s"],
    skin: Float[Tensor, "n 1 s s"],
    head: BareHead,
    fine: Float[Tensor, "n 1 s s"],
) -> Float[Tensor, "n 3 s s"]:
    """Continue the skin of a face over its head, in the same light.

    Args:
        picture: The face, in [0, 1].
        skin: Where its skin is seen and nothing else, in [0, 1].
        head: Of `bare_head`.
        fine: Pores and grain, of `removal.pores`.
    """
    linear = picture.clamp(min=0).pow(_GAMMA)
    light, _ = _light(linear, skin, head)
    albedo = filled(linear / light, skin)
    made = albedo * light * (1 + head.ears * (head.ears.new_tensor(_EARS).view(1, 3, 1, 1) - 1))
    made = made.clamp(min=0).pow(1 / _GAMMA)
    return (made + fine).clamp(0, 1)


def continued_skin(
    picture: Float[Tensor, "n 3 s s"],
    skin: Float[Tensor, "n 1 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    person: Float[Tensor, "n 1 s s"],
    reach: float,
) -> Float[Tensor, "n 3 s s"]:
    """Continue the skin of a face, without its pores, over what hides the rest of it.

    Args:
        picture: The face, in [0, 1].
        skin: Where its skin is seen and nothing else, in [0, 1].
        landmarks: In [-1, 1].
        person: How much of each pixel is skin or hair.
        reach: Over which the mean head's relief is smoothed, for it is not quite this one's; in sides of the picture.
    """
    head = bare_head(landmarks, person)
    return blurred(skin_of_head(picture, skin, head, torch.zeros_like(skin)), reach)


def light_way(
    picture: Float[Tensor, "n 3 s s"], skin: Float[Tensor, "n 1 s s"], head: BareHead
) -> Float[Tensor, "n 3"]:
    """Return which way most of the light on a face comes from, in the head's coordinates.

    Args:
        picture: The face, in [0, 1].
        skin: Where its skin is seen, in [0, 1].
        head: Of `bare_head`.
    """
    return _light(picture.clamp(min=0).pow(_GAMMA), skin, head)[1]


def _light(
    linear: Float[Tensor, "n 3 s s"], skin: Float[Tensor, "n 1 s s"], head: BareHead
) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n 3"]]:
    """Return what of each colour reaches the eye from each place of a head of one skin, and which way light comes from.

    Both are fitted to what is seen.
    """
    rows = torch.cat([torch.ones_like(skin), head.normals], 1)
    face = skin * (head.places[:, 1:2] < _FACE) * (head.share > 0.99) * (1 - head.ears)
    usual = rows.new_tensor(_USUAL)
    made: list[Tensor] = []
    ways: list[Tensor] = []
    for row, weight, value, opened in zip(rows, face, linear, head.openness.clamp(0, 1), strict=True):
        some = weight[0] > 0.5
        level = value[:, some].mean(1).clamp(min=1e-4) if bool(some.any()) else value.mean((1, 2)).clamp(min=1e-4)
        shaded = 0.25 + 0.75 * opened
        x, y = row[:, some].T, (value / shaded)[:, some].T / level
        fits = torch.stack([_fitted(x, column, weight[0, some], usual) for column in y.T])
        lit = torch.einsum("ck,khw->chw", fits, row)
        lit = _DARKEST + functional.softplus((lit - _DARKEST) * 8) / 8
        way = fits[:, 1:].mean(0) + fits.new_tensor([0.0, -0.1, 0.3])
        ways.append(functional.normalize(way, dim=0))
        half = functional.normalize(functional.normalize(way, dim=0) + fits.new_tensor([0.0, 0.0, 1.0]), dim=0)
        made.append((lit * shaded) * level[:, None, None] + level.mean() * _gloss(row[1:], half))
    return torch.stack(made), torch.stack(ways)


def _gloss(normals: Float[Tensor, "3 s s"], half: Float[Tensor, "3"]) -> Float[Tensor, "s s"]:
    away = 1 - (normals * half[:, None, None]).sum(0)
    return _GLOSS * torch.exp(-away / _GLOSS_WIDTH)


def _fitted(
    x: Float[Tensor, "m 4"], y: Float[Tensor, "m"], weight: Float[Tensor, "m"], usual: Float[Tensor, "4"]
) -> Float[Tensor, "4"]:
    """Fit light to skin, leaving shadows, lines and glosses out."""
    if len(y) < 50:
        return usual
    keep, fit = weight, usual
    for _ in range(4):
        pull = _PULL * float(keep.sum())
        normal = x.T @ (x * keep[:, None]) + pull * torch.eye(4).to(x)
        fit = torch.linalg.solve(normal, x.T @ (y * keep) + pull * usual)
        away = (y - x @ fit).abs()
        spread = ((away.square() * weight).sum() / weight.sum()).sqrt().clamp(min=1e-4)
        keep = weight * (away < _TRIMMED * spread)
    return fit


def scattered(
    fine: Float[Tensor, "n 1 h h"], half: int, side: int | None = None, much: float = _FINE
) -> Float[Tensor, "n 1 s s"]:
    """Return detail of the same spectrum that repeats nowhere: spot noise (van Wijk, 1991).

    Args:
        fine: Detail whose first patch counts.
        half: Of the side of that, pixels.
        side: Of what is made; None: that of `fine`.
        much: How strong it is beside that patch.
    """
    side = fine.shape[-1] if side is None else side
    size = min(2 * half, side)
    patch = fine[..., :size, :size] - fine[..., :size, :size].mean((-2, -1), keepdim=True)
    window = torch.hann_window(size, periodic=False).to(fine)
    spread = patch.std((-2, -1), keepdim=True)
    spot = torch.fft.rfft2(patch * window[:, None] * window, s=(side, side))
    noise = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(0)).to(fine)
    made = torch.fft.irfft2(spot * torch.fft.rfft2(noise), s=(side, side))
    return much * made * spread / made.std((-2, -1), keepdim=True).clamp(min=1e-6)


def kept_near(skin: Float[Tensor, "n 1 s s"], head: BareHead, unit: float) -> Float[Tensor, "n 1 s s"]:
    """Return which skin beside hair is the person's: on the head or close by, not hair that was taken for skin.

    Args:
        skin: Where skin is seen, in [0, 1].
        head: Of `bare_head`.
        unit: A distance of the eyes, in sides of the picture.
    """
    low = ((head.places[:, 1:2] - 1.5) / 0.5).clamp(0, 1)
    around = (3 * blurred(head.share, 0.06 * unit)).clamp(max=1)
    lower = (3 * blurred(head.share, 0.25 * unit)).clamp(max=1)
    return skin * (around + low * (lower - around))
