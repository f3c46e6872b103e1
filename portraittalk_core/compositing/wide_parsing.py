"""What each pixel of a whole photograph belongs to.

Face parsing has learned from squares around heads. So the photograph is read in squares that grow around the crop, and
colours say where the person ends in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..topology import SEGMENTS
from .bare_skin import bare_skin
from .colour_parsing import LARGEST, connected_with, fallen_hair, grab_cut, like, with_collar
from .face_parser import Parser, guided
from .masked import blurred, surely
from .surroundings import Surroundings, away, cut_part, laid

_GROWTH, _WIDEST = 2**0.5, 4.0  # of squares around the crop that are read; crops that the widest is wide
_LOWER = 0.25  # of what a square is larger than the crop, by which it lies lower: bodies are below heads
_SOFT = 0.4  # of half a square's side, over which it passes into the larger one: near its end a network sees less
_STEEP = 2.0  # how much harder than a guided filter's the person's outline is
_SURE, _FAR = 0.9, 2.2  # share that is no question; half crops from the crop's middle from which on all of it is one
_SHOULDERS, _WIDE, _HIGH = 0.3, 3.0, 1.8  # half crops below, beside and above the crop's middle, in which bodies are
_HATS = 1.35  # half crops around it, likewise, in which hair and hats are
_HOLE, _GAP = 0.35, 0.2  # sides of crops: a square as large as the largest hole in somebody; width of a gap
_HAIR_FALLS, _HAIR_FADES, _HAIR_BESIDE = 0.8, 0.5, 1.15  # crops below it; over which hair is given up; half crops
_CHIN = 0.8  # of the crop's side, below its beginning: above, what is beside a face is hair or worn


@dataclass(frozen=True)
class CropParser:
    """Finds the segments of a crop whose surroundings are known: towards its end a network sees less than they say."""

    parser: Parser
    """Reads crops."""

    known: Float[Tensor, "1 segments s s"]
    """Segments of the crop of the photograph."""

    @torch.no_grad()
    def segments(
        self, pictures: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]
    ) -> Float[Tensor, "n segments s s"]:
        """Return the share of each of `topology.SEGMENTS` in every pixel; see `FaceParser.segments`."""
        side = pictures.shape[-1]
        known = self.known.to(pictures).expand(len(pictures), -1, -1, -1)
        if known.shape[-1] != side:
            known = functional.interpolate(known, (side, side), mode="bilinear", align_corners=False)
        return laid(known, self.parser.segments(pictures, landmarks), (0.0, 0.0), 1.0, _SOFT)


@dataclass(frozen=True)
class WideParser:
    """Finds the segments of the square that holds a photograph: in the crop by looking, around it they are known."""

    parser: Parser
    """Reads crops."""

    around: Float[Tensor, "1 segments s s"]
    """Segments of the photograph."""

    where: Surroundings
    """Where the crop lies."""

    @torch.no_grad()
    def segments(
        self, pictures: Float[Tensor, "n 3 s s"], landmarks: Float[Tensor, "n 478 2"]
    ) -> Float[Tensor, "n segments s s"]:
        """Return the share of each of `topology.SEGMENTS` in every pixel; see `FaceParser.segments`."""
        where = self.where
        crop = self.parser.segments(where.cut(pictures), where.inside(landmarks))
        return where.with_crop(self.around.expand(len(pictures), -1, -1, -1), crop, _SOFT)


@torch.no_grad()
def segments_around(
    picture: Float[Tensor, "1 3 s s"], where: Surroundings, landmarks: Float[Tensor, "1 478 2"], parser: Parser
) -> Float[Tensor, "1 segments s s"]:
    """Return the share of each of `topology.SEGMENTS` in every pixel of a whole photograph.

    Args:
        picture: The square that holds it, in [-1, 1].
        where: The crop lies in it.
        landmarks: Of the crop, in [-1, 1].
        parser: Reads squares.
    """
    points, half = where.outside(landmarks), where.crop.side
    sizes = [_GROWTH]
    while half * sizes[-1] < 1 and sizes[-1] * _GROWTH <= _WIDEST:
        sizes.append(sizes[-1] * _GROWTH)
    read: Tensor | None = None
    for size in reversed(sizes):
        large = min(half * size, 1.0)
        x, y = where.middle
        y += _LOWER * (half * size - half)
        middle = (min(max(x, large - 1), 1 - large), min(max(y, large - 1), 1 - large))
        part = cut_part(picture, middle, large, max(1, round(large * picture.shape[-1])))
        found = parser.segments(part, (points - points.new_tensor(middle)) / large)
        whole = picture.new_zeros(1, len(SEGMENTS), *picture.shape[-2:])
        read = laid(whole if read is None else read, found, middle, large, 0.0 if read is None else _SOFT)
    assert read is not None
    crop = parser.segments(where.cut(picture), landmarks)
    read = where.with_crop(read, crop, _SOFT)
    falls = fallen_hair(picture, read, where)
    person = _person(picture, torch.maximum(1 - read[:, :1], falls), where)
    return _sorted(picture, read, person, falls, where)


def _person(
    picture: Float[Tensor, "1 3 s s"], share: Float[Tensor, "1 1 s s"], where: Surroundings
) -> Float[Tensor, "1 1 s s"]:
    """Return where somebody is: colours decide what face parsing leaves open, the more the further from the face."""
    side = min(LARGEST, picture.shape[-1])
    small = functional.interpolate(picture, (side, side), mode="area")[0]
    known = functional.interpolate(share, (side, side), mode="area")[0, 0].numpy()
    far, (body, beyond) = (away(where, side) > _FAR).numpy(), _reach_of_body(where, side)
    mask = np.where(known > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    mask[(known > _SURE) & ~far] = cv2.GC_FGD
    mask[((known < 1 - _SURE) & ~far) | ((known < 0.5) & ~body) | beyond] = cv2.GC_BGD
    person = (cv2.GC_FGD, cv2.GC_PR_FGD)
    if len(np.unique(np.isin(mask, person))) < 2:  # all of it is somebody, or nobody
        return share
    found = _connected(grab_cut(small, mask), where)
    made = guided(torch.from_numpy(found.astype(np.float32))[None, None], picture)
    return ((made - 0.5) * _STEEP + 0.5).clamp(0, 1)


def _reach_of_body(where: Surroundings, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where a body may be whatever face parsing says, and where it cannot be."""
    axis = (np.arange(side) * 2 + 1) / side - 1
    beside, below = ((axis - middle) / where.crop.side for middle in where.middle)
    beside, below = np.abs(beside)[None], below[:, None]
    body = (below > _SHOULDERS) & (beside < np.minimum(1.2 + below, _WIDE))
    return body | (np.maximum(beside, np.abs(below)) < _HATS), (beside > _WIDE) | (below < -_HIGH)


def _connected(found: np.ndarray, where: Surroundings) -> np.ndarray:
    """Leave out what is not connected with the head, and close small holes."""
    side = len(found)
    _, labels = cv2.connectedComponents(found.astype(np.uint8))
    x, y = (round((value + 1) / 2 * side) for value in where.middle)
    reach = max(1, round(where.crop.side * side / 6))
    here = labels[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach]
    person = np.isin(labels, np.unique(here[here > 0]))
    crop = where.crop.side * side
    wide = max(1, round(_GAP * crop))
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, wide))
    framed = cv2.copyMakeBorder(person.astype(np.uint8), wide, wide, wide, wide, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(framed, cv2.MORPH_CLOSE, disk)[wide:-wide, wide:-wide].astype(bool)
    person |= closed & (away(where, side) > 1).numpy()
    count, labels, stats, _ = cv2.connectedComponentsWithStats((~person).astype(np.uint8))
    small = [k for k in range(1, count) if stats[k, cv2.CC_STAT_AREA] < (_HOLE * crop) ** 2]
    return person | np.isin(labels, small)


def _sorted(
    picture: Float[Tensor, "1 3 s s"],
    read: Float[Tensor, "1 segments s s"],
    person: Float[Tensor, "1 1 s s"],
    falls: Float[Tensor, "1 1 s s"],
    where: Surroundings,
) -> Float[Tensor, "1 segments s s"]:
    """Say of somebody what is hair, skin or clothes: away from the head hair and skin are known by their colours."""
    shown = (picture + 1) / 2
    place, skin, hair, clothes, worn = map(SEGMENTS.index, ("background", "skin", "hair", "clothes", "accessory"))
    side = picture.shape[-1]
    near = ((1.0 - away(where, side)) / _SOFT).clamp(0, 1)[None, None]  # within the crop
    sure = [surely(read[:, [k]], 0.01 / where.whole.zoom) * near for k in (skin, hair, clothes)]
    ends = (torch.arange(side) + 0.5) / side
    below = (ends - where.crop.top - where.crop.side) / where.crop.side
    beside = (2 * ends - 1 - where.middle[0]).abs() / where.crop.side
    reach = ((_HAIR_FALLS - below) / _HAIR_FADES).clamp(0, 1)[:, None] * ((_HAIR_BESIDE - beside) / 0.1).clamp(0, 1)
    likely = torch.maximum(connected_with(read[:, [hair]] * like(shown, sure[1]) * reach, sure[1]), falls)
    shoulders = where.crop.top + _CHIN * where.crop.side
    beside_face = ((shoulders - ends) / (0.1 * where.crop.side) + 0.5).clamp(0, 1)[:, None]  # no clothes, hardly a hand
    bare = torch.minimum(bare_skin(shown, sure[0], sure[2], read[:, [skin]]), 1 - likely) * (1 - beside_face)
    rest = (1 - likely - bare).clamp(min=0)
    fringe = blurred(likely, 0.02 / where.whole.zoom)
    fringe = rest * fringe / (fringe + blurred(read[:, [clothes]], 0.02 / where.whole.zoom) + 0.05)
    parts = torch.zeros_like(read)
    rest = rest - fringe
    beside_head = rest * beside_face
    near_hair = read[:, [hair]] * ((_HAIR_BESIDE + 0.2 - beside) / 0.1).clamp(0, 1)
    hats = beside_head * (1 - near_hair / (read[:, [worn]] + read[:, [hair]]).clamp(min=1e-3))
    parts[:, [hair]], parts[:, [skin]] = likely + fringe + beside_head - hats, bare
    parts[:, [worn]], parts[:, [clothes]] = hats, rest - beside_head
    parts = parts * person
    parts[:, [place]] = 1 - person
    # Hats, eyes, mouths: of the head alone.
    return with_collar(picture, torch.lerp(parts, read, near * (1 - falls)), where)
