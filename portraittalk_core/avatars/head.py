"""The face itself: shaded skin with its colour, lines of age and of expression, nose and beard."""

from __future__ import annotations

import torch
from torch import Tensor

from . import shape
from .paint import Colour, bump, cover, norm, ridge, step
from .scene import Face, Scene


def skin(scene: Scene, face: Face) -> Colour:
    """Paint the bare skin under its light, with red on cheeks and nose and hollows around the eyes."""
    p = scene.p
    dim = 1 - 0.05 * face.gloom
    colour = scene.colour("skin").shade(face.shade, face.shade * dim, face.shade * (1 - 0.09 * face.gloom))
    side, tip = torch.abs(face.x), shape.nose_tip(p)
    smile = torch.clamp(p["smile"], min=0)
    rise = 0.03 * smile
    red = bump(side - 0.235, (face.y - tip + rise) * 1.1, 0.11) * p["cheek"] * 0.55 + 0.10 * bump(
        face.x, face.y - tip, 0.09
    )
    colour = colour.shade(1 + 0.02 * red, 1 - 0.30 * red, 1 - 0.26 * red)
    hollow = 0.14 * bump((side - p["eye_x"]) * 0.8, (face.y - p["eye_y"] + 0.045) * 1.1, 0.095)
    chin_dip = 0.12 * bump(face.x * 0.6, face.y - p["mouth_y"] - 0.095 - 0.12 * p["jaw"], 0.035)
    colour = colour.shade((1 - hollow) * (1 - chin_dip))
    forehead = 0.10 * bump(face.x - scene.light.x * 0.12, (face.y + 0.30) * 0.8, 0.13)
    apple = (0.05 + 0.05 * smile) * bump(side - 0.21, (face.y - 0.10 + rise) * 1.2, 0.06)
    colour = colour.lift((forehead + apple) * scene.light.strength * face.facing)
    return _freckles(scene, face, _lines(scene, face, colour))


def _lines(scene: Scene, face: Face, colour: Colour) -> Colour:
    """Paint the lines of age, smile and frown."""
    p, y = scene.p, face.y
    side, tip, age = torch.abs(face.x), shape.nose_tip(p), p["age"]
    smile, raised = torch.clamp(p["smile"], min=0), torch.clamp(p["brow_raise"], min=0)
    forehead = torch.zeros_like(y)
    for k in range(3):
        row = p["eye_y"] - p["brow_distance"] - 0.085 - 0.055 * k - 0.02 * p["brow_raise"]
        forehead = forehead + ridge(y - row - 0.02 * torch.cos(face.x * 9 + k), 0.008) * step(0.24, 0.12, side)
    fold = ridge(side - 0.095 - (y - tip) * 0.55, 0.012) * step(tip - 0.03, tip + 0.04, y)
    fold = fold * step(p["mouth_y"] + 0.06, p["mouth_y"] - 0.02, y)
    outer = side - p["eye_x"] - p["eye_width"]
    crow = torch.zeros_like(y)
    for k in (-1, 0, 1):
        crow = crow + ridge(y - p["eye_y"] - k * 0.6 * outer, 0.007) * step(0.015, 0.03, outer) * step(
            0.10, 0.05, outer
        )
    across = side - p["eye_x"]
    bag = ridge(y - p["eye_y"] - p["eye_height"] - 0.025 + 6 * across**2, 0.011) * step(0.075, 0.03, torch.abs(across))
    brow = p["eye_y"] - p["brow_distance"] + 0.01
    frown = ridge(side - 0.026, 0.009) * step(brow - 0.065, brow - 0.02, y) * step(brow + 0.065, brow + 0.02, y)
    dark = age * (0.20 * forehead + 0.14 * crow + 0.16 * bag) + fold * (0.16 * age + 0.12 * smile)
    dark = dark + 0.07 * raised * forehead * (1 - age) + 0.20 * p["brow_frown"] * frown
    return colour.shade(1 - torch.clamp(dark, 0, 0.6))


def _freckles(scene: Scene, face: Face, colour: Colour) -> Colour:
    x, y = face.x, face.y
    dots = torch.sin(x * 95 + 3 * torch.sin(y * 61)) * torch.sin(y * 88 + 2 * torch.sin(x * 71))
    where = bump((torch.abs(x) - 0.15) * 0.7, (y - shape.nose_tip(scene.p) + 0.06) * 1.1, 0.12)
    amount = 1.1 * scene.p["freckles"] * torch.clamp(dots - 0.55, 0, 1) * where
    return colour.shade(1 - 0.25 * amount, 1 - 0.40 * amount, 1 - 0.50 * amount)


def nose(scene: Scene, face: Face, colour: Colour) -> Colour:
    """Paint the nose: sides in shade, ridge and tip lit, wings and nostrils."""
    p, light, y = scene.p, scene.light, face.y
    tip, width = shape.nose_tip(p), p["nose_width"]
    x = face.x - shape.nose_shift(p, y, scene.sin_yaw)
    side = torch.abs(x)
    slope = step(p["eye_y"] - 0.03, tip, y)
    half = 0.018 + width * 0.65 * slope**2
    flank = (
        ridge(side - half - 0.012, 0.020)
        * step(p["eye_y"] - 0.06, p["eye_y"] + 0.02, y)
        * step(tip + 0.045, tip + 0.01, y)
    )
    colour = colour.shade(1 - flank * (0.10 - 0.10 * torch.tanh(x * 60) * light.x))
    bridge = 0.13 * ridge(x, 0.016) * step(p["eye_y"], p["eye_y"] + 0.06, y) * step(tip + 0.01, tip - 0.02, y)
    shine = 0.16 * bump(x - light.x * 0.01, y - tip + 0.012, 0.022)
    colour = colour.lift((bridge + shine) * light.strength)
    under = 0.26 * ridge(y - shape.nostril_line(p, x), 0.014) * step(width * 1.15, width * 0.75, side)
    wing = torch.abs(norm(side - width * 0.66, y - tip - 0.008) - 0.026)
    wing = 0.22 * ridge(wing, 0.006) * step(width * 0.6, width * 0.95, side)
    colour = colour.shade((1 - under) * (1 - wing))
    hole = norm((side - width * 0.45) / 0.015, (y - tip - 0.024 - 0.04 * scene.nod) / 0.0085) - 1
    return colour.mix(scene.colour("skin").shade(0.30, 0.20, 0.18), 0.85 * cover(hole * 0.008, scene.fine * 1.5))


def beard(scene: Scene, face: Face, colour: Colour) -> Colour:
    """Paint a mustache or a full beard in the colour of the hair."""
    p, x, y = scene.p, face.x, face.y
    side, seed = torch.abs(x), scene.p["hair_seed"]
    line = p["mouth_y"] - 0.035 - 0.85 * torch.clamp(side - 0.17, min=0) + 0.35 * torch.clamp(0.13 - side, min=0)
    full = step(-0.02, 0.03, y - line - 0.015 * torch.sin(side * 30 + seed)) * step(
        p["eye_y"] + 0.02, p["eye_y"] + 0.10, y
    )
    smile = torch.clamp(p["smile"], min=0)
    row = (
        (shape.nose_tip(p) + 0.034 + p["mouth_y"] - p["lip_upper"]) * 0.5 + 1.25 * side**2 - 0.20 * smile * side + 0.004
    )
    upper = step(0.036, 0.012, torch.abs(y - row)) * step(p["mouth_width"] * 1.12, p["mouth_width"] * 0.85, side)
    amount = torch.clamp(p["beard_beard"] * torch.maximum(full, upper) + p["beard_mustache"] * upper, 0, 1)
    hairs: Tensor = torch.sin(x * 60 + 2 * torch.sin(y * 25 + seed)) * torch.sin(y * 45 + 2 * torch.sin(x * 30))
    return colour.mix(scene.colour("hair").shade(0.56 + 0.22 * face.shade + 0.06 * hairs), 0.93 * amount)
