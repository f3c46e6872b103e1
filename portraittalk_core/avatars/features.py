"""The parts of the face that move: mouth, eyes, brows."""

from __future__ import annotations

import torch

from . import shape
from .paint import Colour, bump, cover, norm, plain, ridge, step
from .scene import Face, Scene


def mouth(scene: Scene, face: Face, colour: Colour) -> Colour:
    """Paint the lips, and between them teeth and tongue as far as they are open."""
    p, y, fine = scene.p, face.y, scene.fine
    half = shape.mouth_half_width(p)
    x = face.x - shape.MOUTH_DEPTH * scene.sin_yaw
    along = x / half
    lines = shape.mouth(p, along)
    room = step(1.02, 0.98, torch.abs(along))
    lips = cover(lines.upper_out - y, fine) * cover(y - lines.lower_out, fine) * room
    inside = cover(lines.upper_in - y, fine) * cover(y - lines.lower_in, fine) * room
    upper = 0.16 * step(0.0, -0.03, y - lines.centre)
    shine = bump((x - scene.light.x * 0.02) * 0.6, y - lines.lower_in - p["lip_lower"] * 0.45, 0.016)
    lip = scene.colour("lip").shade(face.shade * 0.92 - upper + 0.22 * shine * (1 - p["press"]))
    colour = colour.shade(1 - 0.10 * ridge(y - lines.lower_out, 0.012) * room)
    colour = colour.mix(lip, lips)
    opening = shape.mouth_opening(p)
    colour = colour.mix(_cavity(scene, x, y, along, lines), inside * step(0.0, 0.008, opening))
    seam = ridge(y - lines.centre, 0.0060 + 0.0015 * p["press"]) * step(1.06, 0.96, torch.abs(along))
    colour = colour.mix(scene.colour("lip").shade(0.40, 0.27, 0.27), 0.9 * seam * step(0.03, 0.0, opening))
    corner = bump(torch.abs(x) - half, y - p["mouth_y"] + 0.007 + 0.050 * p["smile"], 0.016)
    return colour.shade(1 - corner * (0.20 + 0.08 * torch.clamp(p["smile"], min=0)))


def _cavity(scene: Scene, x: torch.Tensor, y: torch.Tensor, along: torch.Tensor, lines: shape.Mouth) -> Colour:
    p, fine = scene.p, scene.fine
    opening = shape.mouth_opening(p)
    side = torch.abs(along)
    depth = torch.clamp((y - lines.upper_in) / (opening + 0.01), 0, 1)
    colour = plain(x, 0.28, 0.06, 0.07).shade(0.55 + 0.5 * depth)
    half = shape.mouth_half_width(p)
    tongue = (norm(x / (half * 0.62), (y - lines.lower_in - 0.005) / (0.045 + 0.35 * opening)) - 1) * 0.05
    tone = 0.85 + 0.12 * bump(x, y - lines.lower_in + 0.03, 0.03)
    colour = colour.mix(plain(x, 0.80, 0.36, 0.38).shade(tone), 0.9 * cover(tongue, fine * 2))
    gaps = 1 - 0.10 * ridge(torch.remainder(x / 0.028 + 0.5, 1) - 0.5, 0.12)
    tooth = plain(x, 1.0, 0.97, 0.92).shade(gaps * (0.93 - 0.3 * along**2))
    upper = cover(y - lines.upper_in - 0.032 * step(0.0, 0.05, opening), fine) * step(1.0, 0.86, side)
    colour = colour.mix(tooth, upper)
    lower = cover(lines.lower_in - 0.018 * step(0.05, 0.12, opening) - y, fine) * step(0.75, 0.6, side)
    return colour.mix(tooth.shade(0.90), 0.9 * lower * step(0.04, 0.08, opening))


def eyes(scene: Scene, face: Face, colour: Colour) -> Colour:
    """Paint both eyes with their lids, lashes and brows."""
    for side in (-1.0, 1.0):
        colour = _brow(scene, face, _eye(scene, face, colour, side), side)
    return colour


def _eye(scene: Scene, face: Face, colour: Colour, side: float) -> Colour:
    p, fine = scene.p, scene.fine
    outward = face.x * side - p["eye_x"]
    y = face.y - p["eye_y"] + p["eye_tilt"] * outward
    along = outward / p["eye_width"]
    upper, lower = shape.eye_lids(p, along)
    reach = torch.abs(along)
    room = torch.clamp(1 - along * along, min=0)
    open_lid = -p["eye_height"] * room * (1.12 - 0.12 * along)
    lid = step(-0.022, -0.008, y - open_lid) * step(0.004, -0.004, y - upper) * step(1.05, 0.9, reach)
    colour = colour.shade(1 - 0.10 * lid)
    ball = _eyeball(scene, outward, y, y - upper, side)
    visible = cover(upper - y, fine) * cover(y - lower, fine) * step(1.02, 0.97, reach)
    colour = colour.mix(ball, visible)
    colour = colour.shade(1 - 0.26 * ridge(y - open_lid + 0.020, 0.006) * step(1.05, 0.8, reach))
    thick = 0.0062 + 0.0012 * along + 0.0022 * p["lash"]
    wing = 1.02 + 0.14 * p["lash"]
    lashes = 0.92 * ridge(y - upper + 0.002, thick) * step(wing + 0.08, wing - 0.04, reach)
    rim = 0.32 * ridge(y - lower, 0.0045) * step(1.02, 0.85, reach)
    return colour.mix(plain(y, 0.09, 0.06, 0.06), torch.clamp(lashes + rim, 0, 1))


def _eyeball(scene: Scene, outward: torch.Tensor, y: torch.Tensor, below_lid: torch.Tensor, side: float) -> Colour:
    p, fine, iris = scene.p, scene.fine, scene.p["iris"]
    gaze_x, gaze_y = shape.iris_offset(p)
    x, y = outward - gaze_x * side, y - gaze_y
    away = norm(x, y)
    white = 0.96 - 0.28 * step(0.024, 0.0, below_lid) - 0.12 * (outward / p["eye_width"]) ** 2
    colour = plain(y, 1.0, 0.985, 0.975).shade(white)
    glow = (0.85 + 0.55 * step(-0.3, 0.8, y / iris)) * (1 - 0.50 * step(0.75, 1.0, away / iris))
    ring = scene.colour("eye").shade(glow * (1 - 0.30 * step(0.022, 0.0, below_lid)))
    colour = colour.mix(ring, cover(away - iris, fine))
    colour = colour.mix(plain(y, 0.03, 0.03, 0.035), cover(away - iris * 0.44, fine))
    glint = norm(x * side - 0.016 * torch.tanh(6 * scene.light.x), y + 0.015) - 0.0115
    return colour.mix(plain(y, 1.0, 1.0, 1.0), 0.95 * cover(glint, fine))


def _brow(scene: Scene, face: Face, colour: Colour, side: float) -> Colour:
    p = scene.p
    along = (face.x * side - shape.brow_x(p, 0.0)) / (p["eye_width"] * 1.35)
    # Beyond its ends the curve is followed at the ends only, or the parabola would bend back into the picture.
    away = torch.abs(face.y - shape.brow_y(p, torch.clamp(along, -1.15, 1.15)))
    thick = p["brow_thickness"] * step(1.14, 0.4, along) * step(-1.18, -0.75, along) * (1.1 - 0.2 * along)
    hairs = 0.0025 * torch.sin(face.x * 100 * side + 40 * face.y)
    amount = cover(away - thick + hairs, scene.fine * 2.2) * step(1.12, 1.02, torch.abs(along))
    tone = scene.colour("hair").shade(0.55).lift(0.01).mix(scene.colour("skin").shade(0.40, 0.30, 0.25), 0.25)
    return colour.mix(tone, 0.92 * amount)


def glasses(scene: Scene, face: Face, colour: Colour) -> Colour:
    """Paint round or square glasses in front of the eyes."""
    p, fine = scene.p, scene.fine
    x = face.x - 0.05 * scene.sin_yaw
    from_middle = torch.abs(x)
    across, down = from_middle - p["eye_x"], face.y - p["eye_y"] - 0.012
    circle = norm(across, down) - 0.122
    box_x, box_y = torch.abs(across) - 0.100, torch.abs(down) - 0.070
    square = norm(torch.clamp(box_x, min=0), torch.clamp(box_y, min=0)) - 0.024
    square = square + torch.clamp(torch.maximum(box_x, box_y), max=0)
    edge = circle * p["glasses_round"] + square * p["glasses_square"]
    frame = cover(torch.abs(edge) - 0.0095, fine)
    bridge = cover(torch.abs(down + 0.022 + 0.4 * x * x) - 0.008, fine) * step(
        0.0, -0.01, from_middle - p["eye_x"] + 0.112
    )
    temple = cover(torch.abs(down + 0.020) - 0.009, fine) * step(0.118, 0.128, across)
    worn = (p["glasses_round"] + p["glasses_square"]) * face.inside
    glare = 0.04 + 0.12 * step(0.014, 0.0, torch.abs(across * torch.tanh(x * 60) + down * 0.8 + 0.03))
    colour = colour.mix(plain(x, 0.90, 0.95, 1.0), cover(edge, fine) * worn * glare)
    tone = p["glasses_tone"]
    rim = plain(x, 0.08 + 0.45 * tone, 0.07 + 0.20 * tone, 0.08 + 0.08 * tone)
    rim = rim.shade(0.8 + 0.3 * bump(x - scene.light.x * 0.2, down + 0.08, 0.12))
    return colour.mix(rim, torch.clamp(frame + bridge + temple, 0, 1) * worn)
