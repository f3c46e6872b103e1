"""What is behind and below the face: background, neck, clothes, ears."""

from __future__ import annotations

import torch
from torch import Tensor

from .paint import Colour, bump, cover, norm, ridge, step
from .scene import Scene


def background(scene: Scene) -> Colour:
    """Paint a soft gradient, on half of the pictures with discs of blurred light; nothing of it moves with the head."""
    p, x, y = scene.p, scene.x, scene.y
    seed = p["background_seed"]
    glow = torch.zeros_like(x * seed)
    for k in range(3):
        away_x = x - 0.85 * torch.sin(seed * (1.7 + k) + k * 2.1)
        away_y = y - 0.75 * torch.cos(seed * (2.3 + k) + k)
        radius = 0.20 + 0.08 * torch.sin(seed * 3 + k * 1.3)
        glow = glow + 0.09 * step(0.06, -0.06, norm(away_x, away_y) - radius)
    vignette = 1.08 - 0.20 * (y * 0.5 + 0.5) - 0.06 * (x * x + y * y)
    return scene.colour("background").shade(vignette + p["bokeh"] * glow)


def neck(scene: Scene, picture: Colour) -> Colour:
    """Paint the neck; it follows the head a little, and the chin shadows it."""
    p, y = scene.p, scene.y
    x = scene.x - 0.7 * p["x"]
    edge = torch.maximum(torch.abs(x) - 0.215 - 0.12 * step(0.62, 0.92, y) ** 2, 0.1 - y)
    shadow = step(0.98, 0.56, y - 0.10 * p["jaw"])
    shade = 0.88 + 0.30 * scene.light.x * x - 0.34 * shadow - 0.10 * step(0.12, 0.24, torch.abs(x))
    skin = scene.colour("skin").shade(shade, shade * 0.97, shade * 0.95)
    return picture.mix(skin, cover(edge, scene.pixel))


def clothes(scene: Scene, picture: Colour) -> Colour:
    """Paint a shirt with a round or a V-shaped collar."""
    p, y = scene.p, scene.y
    x = scene.x - 0.5 * p["x"]
    top = 0.80 + 0.34 * torch.clamp(torch.abs(x) / 0.85, 0, 2) ** 2.2
    outline = torch.maximum((top - y) * 0.85, torch.abs(x) - 0.95)
    crew = (norm(x / 0.27, (y - 0.76) / 0.13) - 1) * 0.15
    vee = torch.maximum(torch.abs(x) * 1.3 + (y - 0.76) * 1.1 - 0.26, 0.3 - y) * 0.6
    collar = crew * (1 - p["collar"]) + vee * p["collar"]
    fold = 0.04 * torch.sin(x * 9 + 2 * torch.sin(y * 5 + p["hair_seed"])) * step(0.80, 0.95, y)
    shade = 0.90 + 0.28 * scene.light.x * x + fold - 0.22 * step(0.60, 0.92, torch.abs(x))
    seam = 1 - 0.22 * ridge(collar - 0.03, 0.014)
    cloth = scene.colour("clothes").shade(shade).lift(0.02).shade(seam)
    return picture.mix(cloth, cover(outline, scene.pixel) * cover(-collar, scene.pixel))


def ears(scene: Scene, picture: Colour) -> Colour:
    """Paint the ears; the far one goes behind the head when it turns."""
    for side in (-1.0, 1.0):
        picture = _ear(scene, picture, side)
    return picture


def _ear(scene: Scene, picture: Colour, side: float) -> Colour:
    p, size = scene.p, scene.p["ear"]
    angle = 1.45 * side + p["yaw"]
    cos = torch.cos(angle)
    behind = torch.clamp(cos + 0.06, max=0)
    x = scene.u - p["face_width"] * torch.sin(angle) - side * (0.008 + 0.45 * behind)
    y = scene.v - p["eye_y"] - 0.07 - scene.nod * cos
    edge = (norm(x / (size * 0.62), y / (size * 1.15)) - 1) * size * 0.75
    hollow: Tensor = 0.28 * bump(x / 0.7, y, size * 0.45)
    shade = 0.86 + 0.15 * scene.light.x * side - hollow
    skin = scene.colour("skin").shade(shade, shade * 0.92, shade * 0.90)
    covered = p["style_bob"] + p["style_long"]
    return picture.mix(skin, cover(edge, scene.fine) * (1 - covered))
