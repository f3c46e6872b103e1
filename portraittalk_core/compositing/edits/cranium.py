"""Knitted hats, on an ellipsoid behind the forehead."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..head_camera import face_unit, head_camera
from ..masked import blurred, colourfulness, luma

_MIDDLE, _RADII = (0.0, -0.57, -1.28), (1.25, 1.27, 1.48)
"""Of the ellipsoid, in the head's coordinates: it runs through the points of the forehead and ends as far
above the eyes as the chin is below them."""


@dataclass(frozen=True)
class Cranium:
    """Where an ellipsoid about the head is seen."""

    share: Float[Tensor, "n 1 s s"]
    """How much of each pixel is inside."""
    beyond: Float[Tensor, "n 1 s s"]
    """How far each pixel is outside, in distances of the eyes; negative inside."""
    facing: Float[Tensor, "n 1 s s"]
    """How far its surface faces the viewer, 1 in its middle and 0 at its edge."""
    places: Float[Tensor, "n 3 s s"]
    """The surface, in the head's coordinates."""
    normals: Float[Tensor, "n 3 s s"]
    """Of the surface, of length 1, likewise."""


def cranium(landmarks: Float[Tensor, "n 478 2"], like: Float[Tensor, "n c s s"], thick: float = 0.0) -> Cranium:
    """Return where a head without hair is seen.

    Args:
        landmarks: In [-1, 1].
        like: Has the size.
        thick: What is around it, in distances of the eyes.
    """
    side = like.shape[-1]
    camera = head_camera(landmarks)
    onto, origin = camera[:, :3], camera[:, 3]  # [n, 3, 2], [n, 2]
    sight = torch.linalg.cross(onto[..., 0], onto[..., 1])
    sight = sight / sight.norm(dim=1, keepdim=True).clamp(min=1e-9)
    sight = sight * sight[:, 2:].sign()
    middle, radii = (onto.new_tensor(value) for value in (_MIDDLE, _RADII))
    radii = radii + thick
    axis = (torch.arange(side, dtype=onto.dtype) * 2 + 1) / side - 1
    grid = torch.stack([axis[None].expand(side, -1), axis[:, None].expand(-1, side)], -1)
    back = onto @ torch.linalg.inv(onto.mT @ onto)  # least places that are seen at a point
    starts = torch.einsum("nkd,nhwd->nhwk", back, grid - origin[:, None, None]) - middle
    unit_start, unit_way = starts / radii, (sight / radii)[:, None, None]
    a, b = unit_way.square().sum(-1), (unit_start * unit_way).sum(-1)
    rest = b.square() - a * (unit_start.square().sum(-1) - 1)
    depth = (-b + rest.clamp(min=0).sqrt()) / a
    places = starts + depth[..., None] * sight[:, None, None]
    normals = places / radii.square()
    normals = normals / normals.norm(dim=-1, keepdim=True).clamp(min=1e-6)
    facing = (normals * sight[:, None, None]).sum(-1).clamp(0, 1)
    pixel = 2 / side / face_unit(landmarks)[:, None, None]  # in distances of the eyes
    beyond = ((1 - rest / a).clamp(min=0).sqrt() - 1) * radii[0]
    share = (0.5 - beyond / pixel).clamp(0, 1)
    layers = (layer[:, None].to(like) for layer in (share, beyond, facing))
    return Cranium(*layers, *((layer.permute(0, 3, 1, 2).to(like)) for layer in (places + middle, normals)))


def knitted(
    picture: Float[Tensor, "n 3 s s"],
    landmarks: Float[Tensor, "n 478 2"],
    light: Float[Tensor, "n 1 1 1"],
    colour: tuple[float, float, float] = (0.27, 0.3, 0.36),
) -> tuple[Float[Tensor, "n 3 s s"], Float[Tensor, "n 1 s s"]]:
    """Draw a knitted hat.

    Args:
        picture: In [0, 1]; its size counts, and whether it has colours.
        landmarks: In [-1, 1].
        light: How bright the face is.
        colour: Of the wool.

    Returns:
        The hat, and how much of each pixel it has.
    """
    inner, fold = cranium(landmarks, picture, 0.1), cranium(landmarks, picture, 0.15)
    wool = picture.new_tensor(colour).view(1, 3, 1, 1)
    wool = luma(wool) + colourfulness(picture) * (wool - luma(wool))
    drawn, share = torch.zeros_like(picture), torch.zeros_like(picture[:, :1])
    unit = float(face_unit(landmarks).mean()) / 2
    for part, top, ribs in ((inner, None, 60.0), (fold, -0.95, 44.0)):
        x, y, z = part.places.unsqueeze(1).unbind(2)
        height = y + 0.16 * (z + 0.2)  # the edge is lower behind
        here = part.share * (0.5 - (height + 0.6) / 0.02).clamp(0, 1)
        if top is not None:
            here = here * (0.5 + (height - top) / 0.03).clamp(0, 1)
        around = torch.atan2(x, z + 1.3)
        rib = torch.cos(around * ribs) * (part.facing.clamp(0, 1) ** 0.5)
        stitch = torch.cos(height * 95 + 1.5 * torch.cos(around * ribs))
        shade = 0.5 + 0.45 * part.facing - 0.22 * part.normals[:, 1:2] + 0.1 * part.normals[:, :1]
        made = wool * (1.25 * light) * shade * (1 + 0.16 * rib + 0.07 * stitch)
        if top is not None:  # the fold throws a shadow on what is above it
            drawn = drawn * (1 - 0.35 * blurred(here, 0.05 * unit))
        drawn, share = drawn + here * (made - drawn), torch.maximum(share, here)
    return drawn.clamp(0, 1), share
