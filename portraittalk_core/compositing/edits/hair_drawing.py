"""Hair drawn strand by strand, those that are nearer over those behind."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from ..head_mesh import PlacedHead, head_mesh
from .hair_light import lit
from .hairstyles import Hair
from .locks import Strands

_THICK = 0.0055  # of a strand, in distances of the eyes
_FINE = 400  # pixels of the canvas a distance of the eyes
_LAYERS, _TONES = 40, 32
_THICKEST, _WIDTHS = 0.12, 8  # of the dense middle of a lock, in distances of the eyes; how many there are
_LIGHTEST = 0.998  # share of hairs whose light and dark are told apart
_BETWEEN, _DENSE = 0.02, 0.95  # likewise, between hairs; how much of what is there is hair, too
_HIDDEN = 0.06  # in distances of the eyes: how far behind a surface hair is still drawn
_OVER = 0.14  # likewise, within which strands lie over one another by chance
_SUNK = 0.04  # likewise, how far below its strands the middle of a lock is


def drawn_strands(
    hair: Hair, head: PlacedHead, surface: Float32[ndarray, "s s"], light: Float32[ndarray, "3"]
) -> Float32[ndarray, "2 s s"]:
    """Draw hairs, and none that the head hides.

    Args:
        hair: Of `hairstyles.grown`.
        head: Where the head is.
        surface: How near it is at each pixel of the picture, -inf where it is not.
        light: Which way it comes from, in the head's coordinates.

    Returns:
        How much of each pixel is hair, and that times how light it is, the hair's own colour being 1.
    """
    side = len(surface)
    fine = int(np.clip(np.ceil(_FINE / head.unit), 1, 6))
    least = max(1, round(_THICK * head.unit * fine))
    most = max(least + 1, _THICKEST * head.unit * fine)
    parts = [
        _segments(part, opened, head, surface, light) for part, opened in zip(hair.strands, hair.opened, strict=True)
    ]
    lines, depth, tone, thick = (np.concatenate(found) for found in zip(*parts, strict=True))
    if not len(tone):  # all of it is hidden, or beside the picture
        return np.zeros((2, side, side), np.float32)
    level = np.clip(tone / float(np.quantile(tone, _LIGHTEST)) * 255, 8, 255)
    step = np.floor((level - 8) / 248 * _TONES).clip(0, _TONES - 1).astype(int)
    width = np.where(thick > 0, 1 + np.floor((thick * fine - least) / (most - least) * _WIDTHS), 0)
    width = width.clip(0, _WIDTHS).astype(int)
    order = np.argsort(np.argsort(depth)) * _LAYERS // max(1, len(depth))
    canvas = np.zeros((side * fine, side * fine), np.uint8)
    at = ((lines + 0.5) * fine * 16 - 8).round().astype(np.int32)
    group = (order * (_WIDTHS + 1) + (_WIDTHS - width)) * _TONES + step
    sort = np.argsort(group, kind="stable")
    kinds, bounds = np.unique(group[sort], return_index=True)
    chance = np.random.default_rng(1).random(len(kinds))  # or the lightest would lie on all others
    at = at[sort]
    ends = np.append(bounds[1:], len(sort))
    for number in np.lexsort((chance, kinds // _TONES)):
        kind = int(kinds[number])
        value = int(8 + (kind % _TONES + 0.5) / _TONES * 248)
        nth = _WIDTHS - (kind // _TONES) % (_WIDTHS + 1)
        wide = round(least + (nth - 0.5) / _WIDTHS * (most - least)) if nth else least
        cv2.polylines(canvas, at[bounds[number] : ends[number]], False, value, wide, cv2.LINE_8, 4)
    return _dense(canvas, side, head.unit)


def _dense(canvas: ndarray, side: int, unit: float) -> Float32[ndarray, "2 s s"]:
    """Return the shares of a canvas and their tones; what is between hairs is hair below them."""
    there = (canvas > 0).astype(np.float32)
    planes = (there, canvas.astype(np.float32))
    share, tone = (cv2.resize(plane, (side, side), interpolation=cv2.INTER_AREA) for plane in planes)
    near = cv2.GaussianBlur(np.stack([share, tone], -1), (0, 0), max(0.5, _BETWEEN * unit))
    more = np.clip(_DENSE * near[..., 0] - share, 0, 1)
    tone = tone + more * near[..., 1] / np.maximum(near[..., 0], 1e-3)
    share = share + more
    return np.stack([share, tone * share.sum() / max(float(tone.sum()), 1e-6)])


def _segments(
    strands: Strands,
    opened: Float32[ndarray, "n k ways"],
    head: PlacedHead,
    surface: Float32[ndarray, "s s"],
    light: Float32[ndarray, "3"],
) -> tuple[ndarray, ndarray, ndarray, ndarray]:
    """Return what of hairs is seen as lines of two points, how near it is, how light and how thick."""
    from scipy.spatial import KDTree

    side = len(surface)
    pixels, depth = head.seen(strands.places)
    near = KDTree(head_mesh().points).query(strands.places[:, 0])[1]
    pixels = pixels + head.bent[near][:, None]
    way = np.diff(strands.places, axis=1)
    way = way / np.maximum(np.linalg.norm(way, axis=-1, keepdims=True), 1e-6)
    middle, nearness = (pixels[:, 1:] + pixels[:, :-1]) / 2, (depth[:, 1:] + depth[:, :-1]) / 2
    at = middle.round().astype(int).clip(0, side - 1)
    seen = nearness > surface[at[..., 1], at[..., 0]] - _HIDDEN
    seen &= ((middle > -20) & (middle < side + 20)).all(-1)
    out = strands.outward[:, 1:][seen]
    out = out / np.maximum(np.linalg.norm(out, axis=-1, keepdims=True), 1e-6)
    tone = lit(way[seen], out, opened[:, 1:][seen], light, head.view[2]) * strands.light[:, 1:][seen]
    lines = np.stack([pixels[:, :-1], pixels[:, 1:]], 2)[seen]
    if strands.thick is not None:
        return lines, nearness[seen] - _SUNK, tone, strands.thick[:, 1:][seen] * head.unit
    # What lies over what is a strand's own: else each would be seen in dashes.
    lies = np.random.default_rng(2).uniform(0, _OVER, (len(strands.places), 1))
    return lines, (nearness + lies)[seen], tone, np.zeros_like(tone)
