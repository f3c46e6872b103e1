"""What every part of the painting shares: the picture's coordinates, the head's, the light."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from . import shape
from .paint import Colour, plain, step


class Light(NamedTuple):
    """Direction to the light (x, y, z; z to the viewer) and its strength."""

    x: Tensor
    y: Tensor
    z: Tensor
    strength: Tensor


class Scene(NamedTuple):
    """A batch of pictures being painted.

    p: columns as [b, 1, 1]; x, y: picture coordinates [1, h, w]; pixel: size of a pixel; u, v: coordinates of the
    head [b, h, w]; fine: size of a pixel in head units; sin_yaw, cos_yaw, nod: the turn of the head.
    """

    p: Mapping[str, Tensor]
    x: Tensor
    y: Tensor
    pixel: float
    u: Tensor
    v: Tensor
    fine: Tensor
    sin_yaw: Tensor
    cos_yaw: Tensor
    nod: Tensor
    light: Light

    def colour(self, name: str) -> Colour:
        """Return the colour in the columns `name`_r, `name`_g, `name`_b."""
        return plain(self.u, self.p[f"{name}_r"], self.p[f"{name}_g"], self.p[f"{name}_b"])

    @property
    def has_hair(self) -> Tensor:
        """1 where the hair style is not bald."""
        p = self.p
        return p["style_short"] + p["style_curly"] + p["style_bob"] + p["style_long"] + p["style_bun"]


class Face(NamedTuple):
    """The surface of the face: X, Y on it as seen from straight ahead, and how it takes the light.

    edge: signed distance to the outline; inside: its coverage; shade: brightness; facing: towards the viewer, 0 to 1.
    """

    x: Tensor
    y: Tensor
    edge: Tensor
    inside: Tensor
    shade: Tensor
    gloom: Tensor
    facing: Tensor


def stage(p: Mapping[str, Float[Tensor, "b 1 1"]], x: Tensor, y: Tensor, pixel: float) -> Scene:
    """Place the head and the light."""
    length = torch.sqrt(p["light_x"] ** 2 + p["light_y"] ** 2 + 0.8)
    light = Light(p["light_x"] / length, p["light_y"] / length, 0.8**0.5 / length, p["light_strength"])
    size = p["scale"] * shape.SIZE
    across, down = (x - p["x"]) / size, (y - p["y"]) / size
    cos, sin = torch.cos(p["roll"]), torch.sin(p["roll"])
    u, v = across * cos + down * sin, down * cos - across * sin
    nod = shape.NOD * torch.sin(p["pitch"])
    return Scene(p, x, y, pixel, u, v, pixel / size, torch.sin(p["yaw"]), torch.cos(p["yaw"]), nod, light)


def surface(scene: Scene) -> Face:
    """Find for every pixel the point of the face under it."""
    p, u, v, light = scene.p, scene.u, scene.v, scene.light
    below = v > 0
    power = shape.skull_power(p, v)
    exponent = torch.where(below, p["jaw_shape"], torch.full_like(p["jaw_shape"], 2.15))
    extent = torch.where(below, shape.chin(p), torch.full_like(p["jaw_shape"], shape.CROWN))
    width = p["face_width"]
    slope_u, slope_v = 2 * u / width**2, exponent * power / (torch.abs(v) + 1e-4 * extent)
    edge = ((u / width) ** 2 + power - 1) / torch.sqrt(slope_u**2 + slope_v**2 + 1e-4)
    half = shape.half_width(p, v)
    sin = torch.clamp(u / half, -0.999, 0.999)
    cos = torch.sqrt(1 - sin * sin)
    x = half * (sin * scene.cos_yaw - cos * scene.sin_yaw)
    y = v - scene.nod * cos
    normal_y, normal_x = torch.clamp(v / extent, -1, 1) * 0.75, sin * 0.92
    normal_z = torch.sqrt(torch.clamp(1 - normal_x**2 - normal_y**2, min=0.02))
    lit = torch.clamp(0.5 + 0.5 * (normal_x * light.x + normal_y * light.y + normal_z * light.z), 0, 1)
    gloom = 1 - lit
    shade = 1 + light.strength * (0.10 - 0.80 * gloom**1.2)
    return Face(x, y, edge, _inside(edge, scene), shade, gloom, normal_z)


def _inside(edge: Tensor, scene: Scene) -> Tensor:
    return torch.clamp(0.5 - edge / scene.fine, 0, 1)


def hair_texture(scene: Scene, along: Tensor) -> tuple[Tensor, Tensor]:
    """Return (strands, curls) in [0, 1]; strands run along lines of constant `along`.

    Neither is finer than about 8 pixels at 256: the VAE does not keep less, and it would shimmer when the head moves.
    """
    seed, u, v = scene.p["hair_seed"], scene.u, scene.v
    strands = 0.5 + 0.5 * torch.sin(along * 52 + 3 * torch.sin(v * 4 + seed) + 1.5 * torch.sin(along * 17 + seed))
    warp_u, warp_v = u + 0.030 * torch.sin(v * 23 + seed), v + 0.030 * torch.sin(u * 21 + seed * 1.7)
    lumps = torch.sin(warp_u * 27 + seed) * torch.sin(warp_v * 25 + seed)
    return strands, 0.5 + 0.5 * step(-0.8, 0.8, lumps) + 0.10 * torch.sin(warp_u * 54 - warp_v * 50)
