"""Hair: what hangs behind the head, what falls over the shoulders, and the cap in front."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from . import shape
from .paint import Colour, cover, norm, ridge, step
from .scene import Face, Scene, hair_texture


class BackHair(NamedTuple):
    """Hair behind the head: its colour, its coverage, and the distance to the outline of the long style."""

    colour: Colour
    amount: Tensor
    long_edge: Tensor


def lobes(scene: Scene) -> Tensor:
    """Return the waviness of the outline of curly hair: round lobes, too wide to come off as flecks."""
    angle = torch.atan2(scene.v + 0.1, scene.u)
    seed = scene.p["hair_seed"]
    return 0.016 * torch.sin(angle * 17 + seed) + 0.010 * torch.sin(angle * 9 + seed * 2)


def back(scene: Scene) -> BackHair:
    """Shape the hair behind the head for the styles that have any."""
    p, v, fine = scene.p, scene.v, scene.fine
    seed, width = p["hair_seed"], p["face_width"]
    u = scene.u + 0.10 * scene.sin_yaw
    side = torch.abs(u)
    half = width * 1.22 + 0.05 * step(-0.3, 0.6, v) + 0.012 * torch.sin(v * 13 + seed)
    crown = (norm(u / (width * 1.24), (v + 0.05) / 0.62) - 1) * 0.4
    crown = torch.where(v < -0.05, crown, torch.full_like(crown, -1.0))
    long_edge = torch.maximum(torch.maximum(side - half, v - 1.15), crown)
    hem = v - 0.44 - 0.012 * torch.sin(scene.u * 25 + seed) + 0.5 * torch.clamp(side - 0.33, min=0)
    bob_edge = torch.maximum(torch.maximum(side - half - 0.03 * step(-0.2, 0.35, v), hem), crown)
    curly_edge = (norm(u / (width * 1.42), (v + 0.13) / 0.60) - 1) * 0.45 + lobes(scene)
    bun_edge = norm(u + 0.02, v + 0.59 - 0.3 * scene.nod) - 0.135
    amount = p["style_long"] * cover(long_edge, fine) + p["style_bob"] * cover(bob_edge, fine)
    amount = amount + p["style_curly"] * cover(curly_edge, fine) + p["style_bun"] * cover(bun_edge, fine)
    strands, curls = hair_texture(scene, u)
    texture = strands * (1 - p["style_curly"]) + curls * p["style_curly"]
    depth = 0.16 * p["style_bun"] * step(0.1, -0.12, bun_edge) + 0.22 * p["style_curly"] * step(-0.02, -0.2, curly_edge)
    tone = 0.50 + 0.20 * texture + 0.12 * scene.light.x * u - 0.15 * step(0.0, 0.8, v) + depth
    return BackHair(scene.colour("hair").shade(tone).lift(0.02), amount, long_edge)


def shoulders(scene: Scene, hair: BackHair, picture: Colour) -> Colour:
    """Paint the strands of long hair that fall in front of the shoulders."""
    inner = 0.29 - torch.abs(scene.u + 0.10 * scene.sin_yaw) + 0.08 * step(0.2, 0.9, scene.v)
    amount = scene.p["style_long"] * cover(torch.maximum(hair.long_edge, inner), scene.fine) * step(0.25, 0.45, scene.v)
    return picture.mix(hair.colour.shade(1.12), amount)


class _Cap(NamedTuple):
    """The surface of the hair on the head: as `Face`, a little larger than the skull."""

    x: Tensor
    y: Tensor
    sin: Tensor
    edge: Tensor


def _cap(scene: Scene) -> _Cap:
    p, u, v = scene.p, scene.u, scene.v
    volume = 1.09 + 0.05 * (p["style_long"] + p["style_bob"]) + 0.10 * p["style_curly"] + 0.01 * p["style_bun"]
    top = shape.CROWN * (volume + 0.02)
    # Short and tied hair lies close at the temples, or slivers of it would stand off the face.
    close = 0.085 * (p["style_short"] + p["style_bun"]) * step(-0.34, -0.10, v)
    width = p["face_width"] * (volume - close)
    height = torch.where(v < 0, torch.abs(v) / top, torch.abs(v) / 0.9)
    slope = torch.sqrt((2 * u / width**2) ** 2 + (2.15 * height**1.15 / top) ** 2 + 1e-4)
    edge = ((u / width) ** 2 + height**2.15 - 1) / slope + lobes(scene) * p["style_curly"]
    half = width * torch.sqrt(torch.clamp(1 - height**2.15, min=0.004))
    sin = torch.clamp(u / half, -0.999, 0.999)
    cos = torch.sqrt(1 - sin * sin)
    x = sin * scene.cos_yaw - cos * scene.sin_yaw
    return _Cap(x, v - scene.nod * cos, sin, edge)


def _hairline(scene: Scene, face: Face, cap: _Cap) -> Tensor:
    """Return Y of the lower edge of the hair on the surface of the cap."""
    p, side, seed = scene.p, torch.abs(cap.x), scene.p["hair_seed"]
    parted = -0.08 * ridge(cap.x - p["parting"], 0.17) * (1 - p["fringe"]) * (1 - p["style_curly"])
    fringe = p["fringe"] * (0.165 * step(0.95, 0.5, side) + 0.010 * torch.sin(cap.x * 30 + seed))
    curls = p["style_curly"] * (0.018 * torch.sin(cap.x * 22 + seed) + 0.010 * torch.sin(cap.x * 37 + 2 * seed))
    line = -0.325 + p["hairline"] + parted + fringe + curls
    temple = -0.05 + 0.37 * (p["style_bob"] + p["style_long"]) + 0.17 * p["style_curly"] - 0.04 * p["style_bun"]
    # Beyond the outline of the face there is no forehead, or the background would show between it and the hair.
    beyond = torch.maximum(step(0.74, 0.97, side), step(-0.01, 0.01, face.edge))
    return line + (temple - line) * beyond


def front(scene: Scene, face: Face, picture: Colour) -> Colour:
    """Paint the hair on the head, and its shadow on the forehead."""
    p, light = scene.p, scene.light
    cap = _cap(scene)
    below = cap.y - _hairline(scene, face, cap)
    hairy = scene.has_hair
    amount = cover(cap.edge, scene.fine) * cover(below * 0.8, scene.fine * 1.8) * hairy
    shadow = ridge(torch.clamp(below, min=0), 0.045) * face.inside * hairy * 0.26 * (1 - amount)
    picture = picture.shade(1 - shadow)
    seed = p["hair_seed"]
    from_parting = cap.x - p["parting"]
    strands = torch.sin(from_parting * 34 + 6 * cap.y * from_parting + 1.5 * torch.sin(cap.y * 9 + seed) + seed)
    strands = 0.5 + 0.5 * strands * (0.7 + 0.3 * torch.sin(from_parting * 60 + seed))
    curls = hair_texture(scene, scene.u)[1]
    curly = p["style_curly"]
    texture = strands * (1 - curly) + curls * curly
    gloss = ridge(cap.y + 0.45 - 0.10 * light.y - 0.08 * cap.x**2 + 0.02 * strands, 0.075)
    gloss = gloss * (0.5 + 0.5 * torch.clamp(1 - torch.abs(cap.x - light.x * 0.5), 0, 1))
    groove = 0.22 * ridge(from_parting, 0.03) * step(-0.2, -0.3, cap.y) * (1 - curly) * (1 - p["fringe"])
    tone = 0.68 + 0.22 * texture + 0.20 * light.x * cap.sin - 0.20 * step(-0.3, 0.2, cap.y) - groove
    colour = scene.colour("hair").shade(tone).lift(0.19 * gloss * (0.35 + 0.65 * texture) * light.strength)
    return picture.mix(colour, amount)
