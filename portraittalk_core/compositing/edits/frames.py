"""Thick frames of glasses that are taken off: skin is continued below them in the light of the face.

What they hid of brows is drawn hair by hair, and the veil of their lenses goes. A frame that is not seen to close
around both eyes has parts that are not found; it stays.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...topology import BROW_OUTLINES, EYES, OVAL
from ..head_camera import face_unit
from ..masked import blurred, filled, grown, inside, mean_of, softness, surely
from ..scene import Scene
from .beards import beard_colour
from .brows import with_brows
from .removal import PATCH, drawn_across, has_dark_lenses, pores
from .scalp import continued_skin, scattered

_FRAME = 0.4  # share of a frame from which on a pixel is one
_PERHAPS = 0.1  # likewise, where the denoiser takes it away
_CHANGE = (0.16, 0.26)  # of the range: what the denoiser changes there
_VEIL = 0.25  # of the range, that lenses add at most
_HIDDEN = 0.3  # of a brow, from which on what is hidden of it is drawn
_SEEN = 0.4  # of a brow, from which on its colour is known
# In distances of the eyes.
_AROUND, _RIM, _LIDS, _LASHES, _BROWS = 0.1, 0.03, 0.03, 0.12, 0.05
_SMOOTH = 0.035  # of the mean head's relief
_LENS = 0.04  # squares of it that a lens has at least


def without_thick_frame(scene: Scene, picture: Tensor, where: Tensor) -> Tensor | None:
    """Take a thick frame off; None where lenses are dark, or it is not seen to close around both eyes.

    Args:
        scene: The photograph, and what the denoiser made of it.
        picture: What is changed, in [0, 1].
        where: Around the eyes.
    """
    if has_dark_lenses(scene) or scene.wears_hat:
        return None
    points, shown = scene.landmarks, scene.shown
    unit, side = float(face_unit(points).mean()) / 2, shown.shape[-1]
    none = torch.zeros_like(where)
    outlines = [inside(points[:, list(outline)], shown) for outline in EYES]
    eyes = sum(outlines, none).clamp(max=1)
    brows = sum((inside(points[:, list(outline)], shown) for outline in BROW_OUTLINES), none).clamp(max=1)
    worn = scene.glasses * where
    near = grown((worn > _PERHAPS).to(worn), _AROUND * unit) * where
    changed = (blurred(scene.change(), 0.015 * unit) - _CHANGE[0]) / (_CHANGE[1] - _CHANGE[0])
    frame = torch.maximum((worn > _FRAME).to(worn), (near * changed > 0.5).to(worn))
    lenses = _enclosed(frame, _LENS * (unit * side) ** 2)
    if any(float(mean_of(torch.maximum(lenses, frame), eye).amin()) < 0.8 for eye in outlines):
        return None
    gone = grown(frame, _RIM * unit) * (1 - grown(eyes, _LIDS * unit))
    free = (1 - grown(torch.maximum(gone, lenses), _RIM * unit)) * (1 - grown(eyes, _LASHES * unit))
    free = free * (1 - grown(brows, _BROWS * unit)) * inside(points[:, list(OVAL)], shown)
    known = surely(scene.was("skin"), 0.01 * unit) * free
    skin = continued_skin(shown, known, points, scene.was("skin", "hair", "accessory"), _SMOOTH * unit)
    inner = lenses * (1 - grown(eyes, _LASHES * unit)) * (1 - grown(brows, 0.03 * unit)) * (1 - gone)
    veil = blurred(filled(shown - skin, inner + 1e-4 * lenses), 0.08 * unit).clamp(-_VEIL, _VEIL)
    clear = picture - blurred(lenses, 0.01 * unit) * veil
    fine = scattered(pores(shown, points), max(3, round(PATCH * unit * side)))
    # Temples lie over hair and what is behind it.
    face = blurred(inside(points[:, list(OVAL)], shown), 0.03 * unit)
    reach = max(3, round(_BROWS * unit * side))
    pairs = zip(clear, gone[:, 0], strict=True)
    across = torch.stack([drawn_across(row, hole, reach) for row, hole in pairs]).to(picture)
    made = clear + blurred(gone, 0.012 * unit) * (across + face * (skin + fine - across) - clear)
    if float(mean_of(gone, brows).amax()) < _HIDDEN:
        return made
    seen = brows * (1 - grown(gone, 0.01 * unit)) * scene.was("skin", "hair")
    enough = (seen.sum((1, 2, 3), keepdim=True) / brows.sum((1, 2, 3), keepdim=True).clamp(min=1) / _SEEN).clamp(max=1)
    other = beard_colour(shown, scene.hair, points)
    colour = other + enough * (mean_of(shown, seen + 1e-6) - other)
    return with_brows(made, blurred(gone, 0.012 * unit) * face, colour, points, softness(shown, known))


def _enclosed(frame: Float[Tensor, "n 1 s s"], least: float) -> Float[Tensor, "n 1 s s"]:
    """Return the holes of frames that have at least some pixels."""
    rows: list[Tensor] = []
    for row in (frame[:, 0] > 0.5).cpu().numpy():
        _, parts, stats, _ = cv2.connectedComponentsWithStats((~row).astype(np.uint8), connectivity=4)
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        large = np.nonzero(stats[:, cv2.CC_STAT_AREA] >= least)[0]
        holes = [k for k in large if k not in edge]
        rows.append(torch.from_numpy(np.isin(parts, holes) & ~row))
    return torch.stack(rows)[:, None].to(frame)
