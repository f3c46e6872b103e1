"""A photograph in two layers: a person, cut out with a soft matte, before a clean plate of the place.

A network's shares are those of cells four pixels wide, and where it takes a rim of hair or of a hat for still, or a
piece of the place for moved, a head that turns leaves ghosts. Here the place never moves and the person always does as
one: what is moved is the person's light, `photograph - (1 - matte) * plate`, so that strands of hair carry nothing of
the old place along, and a head at rest is the photograph to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.image import to_side
from ..media.resampling import averaged, enlarged, interleaved, largest, sampled
from ..nets.dense_motion import DenseMotion, identity_grid, pixel_flow, warp_pixels
from ..topology import SEGMENTS
from ..types import CropPlace
from .edits.hats import hat_of
from .head_camera import head_camera
from .head_field import Holds
from .lashes import lash_lines
from .lids import ClosingEye, closing_eyes, lid_seams, over_lids, unfolded
from .lips import LipEdges, over_lips, seamed, shut
from .masked import STRANDS, blurred, filled, surely
from .matting import loose_locks
from .other_half import other_half
from .unseen import redrawn, toned
from .worn_glasses import WornGlasses, before_eyes

_STRAY = 0.15  # share of a person below which a pixel is all place, and of a place below which it is all person
_SURELY_PLACE = 0.9  # share from which on a pixel between parts of a hat is what is behind it
_FRAME = 0.02  # of [-1, 1]: so near its end a photograph may have a frame, which says nothing of the place
_RING, _ALONG = 4, 0.12  # cells at the edge that say whether somebody is there; how far along it they say so
_WORN = 0.4  # share of a cell from which on there are glasses
_KNOWN = 0.8  # share of a pixel that is the photograph's from which on its colour counts
_HARDLY = 0.02  # share of what is drawn that is not seen: a level or two
_BESIDE = 3  # cells around glasses in which the other half is no help
_SEEN = 0.05  # share of the other half from which on a pixel is its


@dataclass(frozen=True)
class Layers:
    """A photograph taken apart."""

    portrait: Float[Tensor, "3 s s"]
    """The photograph, in [-1, 1]."""

    landmarks: Float[Tensor, "1 478 2"]
    """Of the face, in [-1, 1]."""

    person: Float[Tensor, "4 s s"]
    """The person's light, which the matte has been multiplied into, and the matte: the share of the person."""

    plate: Float[Tensor, "3 s s"]
    """The photograph with what is behind the person filled in, in [-1, 1]."""

    holds: Holds
    """What keeps parts of it where they are."""

    glasses: WornGlasses | None
    """Frames of glasses; None where there are none."""

    top: float
    """Where the photograph ends above, in [-1, 1] of the crop; minus infinity where it goes on."""

    @property
    def matte(self) -> Float[Tensor, "1 s s"]:
        """The share of the person in each pixel."""
        return self.person[3:]


@dataclass(frozen=True)
class Moved:
    """A person who moves before a place."""

    pixels: Float[Tensor, "n 3 s s"]
    """The pictures, in [-1, 1]."""

    flow: Float[Tensor, "n 2 s s"]
    """Where each pixel of the person lies in the photograph, in [-1, 1]."""

    matte: Float[Tensor, "n 1 s s"]
    """The share of the person in each pixel."""

    own: Float[Tensor, "n 1 s s"]
    """How far the person's are the photograph's own, where `flow` says."""


def taken_apart(
    portrait: Float[Tensor, "3 s s"],
    segments: Float[Tensor, "1 segments s s"],
    landmarks: Float[Tensor, "1 478 2"],
    side: int,
    place: CropPlace | None = None,
) -> Layers:
    """Take a photograph apart.

    Args:
        portrait: The crop of the photograph, in [-1, 1].
        segments: Of it, see `topology.SEGMENTS`.
        landmarks: In [-1, 1].
        side: Of the maps that say what is held, cells.
        place: Of the crop in its photograph; None: it goes on at all sides.
    """
    behind = segments[:, [SEGMENTS.index("background")]]
    behind = ((behind - _STRAY) / (1 - 2 * _STRAY)).clamp(0, 1)
    hat = hat_of(segments, landmarks, torch.zeros_like(behind))
    behind = behind * (1 - hat * ((_SURELY_PLACE - behind) / (1 - _SURELY_PLACE)).clamp(0, 1))
    hair = segments[:, [SEGMENTS.index("hair")]]
    behind = behind * (1 - loose_locks((portrait[None] + 1) / 2, behind, hair))
    ends = _ends(place)
    plate = _plate(portrait[None], surely(behind, STRANDS), ends)[0]
    small = functional.interpolate(torch.cat([segments, behind], 1), (side, side), mode="area")
    holds = _holds(small[:, :-1], 1 - small[:, -1:], landmarks, ends)
    worn = float(holds.glasses.amax()) > _WORN
    return Layers(
        portrait,
        landmarks,
        interleaved(torch.cat([portrait - behind[0] * plate, 1 - behind[0]])),
        plate,
        holds,
        WornGlasses.of(portrait, segments, landmarks) if worn else None,
        ends[1] if ends[1] >= -1 else -torch.inf,
    )


def _ends(place: CropPlace | None) -> tuple[float, float, float, float]:
    """Return left, top, right and bottom end of the photograph, in [-1, 1] of the crop."""
    if place is None:
        return -torch.inf, -torch.inf, torch.inf, torch.inf
    left, top = (-2 * start / place.side - 1 for start in (place.left, place.top))
    return left, top, left + 2 * place.width / place.side, top + 2 * place.height / place.side


def _plate(
    portrait: Float[Tensor, "1 3 s s"], place: Float[Tensor, "1 1 s s"], ends: tuple[float, float, float, float]
) -> Float[Tensor, "1 3 s s"]:
    """Fill in what is behind a person.

    What goes on beyond a photograph is its last row or column, often a frame's: nothing in the photograph is filled
    with it.

    Args:
        portrait: The crop, in [-1, 1].
        place: Where surely nobody is.
        ends: Of the photograph, see `_ends`.
    """
    x, y = identity_grid(portrait).split(1, 1)
    away = torch.stack(torch.broadcast_tensors(x - ends[0], y - ends[1], ends[2] - x, ends[3] - y)).amin(0)
    shown = (away > _FRAME).to(portrait)
    plate = filled(portrait, place * shown)
    return plate if bool(shown.all()) else torch.lerp(filled(portrait, place), plate, shown)


def _holds(
    segments: Float[Tensor, "1 segments m m"],
    solid: Float[Tensor, "1 1 m m"],
    landmarks: Float[Tensor, "1 478 2"],
    ends: tuple[float, float, float, float],
) -> Holds:
    """Say what of a photograph may stand still while the head moves.

    Shoulders, neck and clothes may, hair and hats only below the chin. What goes on beyond the crop or the photograph
    stays at its edge, but for a head that a photograph cuts off: it moves, and what is beyond is mirrored.
    """

    def part(*names: str) -> Tensor:
        return segments[:, [SEGMENTS.index(name) for name in names]].sum(1, keepdim=True)

    here = identity_grid(segments)
    chin, eyes = float(landmarks[0, 152, 1]), float(landmarks[0, [33, 263], 1].mean())
    low = (1.5 * (here[:, 1:] - chin) / max(chin - eyes, 0.05)).clamp(0, 1)
    body = (part("skin", "clothes") + low * part("hair", "accessory")).clamp(0, 1)
    left, top, right, bottom = (min(max(end, -1.0), 1.0) for end in ends)
    x, y = here.expand(1, -1, *solid.shape[-2:]).split(1, 1)
    away = torch.stack([x - left, right - x, *([y - top] if ends[1] < -1 else [])]).amin(0)
    edge = torch.minimum(away, bottom - y)
    ring = (edge < 2 * _RING / solid.shape[-1]).float()
    somebody = blurred(solid * ring, _ALONG) / blurred(ring, _ALONG).clamp(min=1e-3)
    frames = largest((2 * part("accessory")).clamp(max=1), 1)
    glasses = averaged(frames, 1) * before_eyes(landmarks, solid.shape[-1])
    away = torch.cat([away, bottom - y], 1)
    return Holds(solid, body, low, glasses, away, (2.5 * somebody).clamp(0, 1), head_camera(landmarks))


def before_plate(
    drawn: Float[Tensor, "n 3 d d"],
    layers: Layers,
    motion: DenseMotion,
    landmarks: Float[Tensor, "n 478 2"],
    lips: LipEdges | None,
) -> Moved:
    """Return a person who moves before the place, which stands still.

    Args:
        drawn: The denoiser's frames, for what a photograph cannot show, in [-1, 1] and of any size.
        layers: Of the photograph.
        motion: Of each frame, its field that of `head_field`.
        landmarks: Of each frame, in [-1, 1].
        lips: Where they end in the photograph; None: they are shut there.
    """
    size = layers.portrait.shape[-1]
    eyes = closing_eyes(layers.landmarks, landmarks)
    bend = partial(_bent, layers=layers, lips=lips, eyes=eyes, landmarks=landmarks)
    flow = pixel_flow(motion, (size, size), bend)
    moved = sampled(layers.person[None], flow)
    shown, matte = moved[:, :3], moved[:, 3:].clamp_(0, 1)
    shown.addcmul_(1 - matte, layers.plate)
    worn, closing = layers.glasses, sorted({lid.row for eye in eyes for lid in eye.lids})
    if worn is not None and closing:
        shown = worn.left_behind(shown, flow, closing)
    if lips is not None:
        shown = shut(shown, flow, lips, landmarks)
    drawn_there = enlarged(redrawn(motion, landmarks), (size, size))
    if float(drawn_there.max()) > _HARDLY:
        known = (enlarged(motion.shares[:, :1], (size, size)) < 1 - _KNOWN).float()
        shown = torch.lerp(shown, toned(to_side(drawn, size), shown, known), drawn_there * matte)
    own = 1 - drawn_there
    shown, lids = unfolded(shown, eyes)
    own = own * (1 - lids)
    shown = lid_seams(shown, eyes)
    shown, lashes = lash_lines(shown, (layers.portrait if worn is None else worn.bare[:3])[None], eyes)
    own = own * (1 - lashes)
    if worn is not None and closing:
        shown, frame = worn.put_on(shown, motion, closing)
        own = own * (1 - frame)
    if lips is not None:
        shown = seamed(shown, lips, landmarks)
    for row, (other, share) in other_half(motion.flow, layers.landmarks, landmarks).items():
        # Of glasses two halves that do not meet make two rims.
        worn = _seen_there(layers.holds.glasses, torch.cat([motion.flow[row : row + 1], other]))
        whole = enlarged(share * (1 - worn.amax(0, keepdim=True)), (size, size))
        half, _ = warp_pixels(layers.portrait[None], DenseMotion(other, motion.shares[row : row + 1]))
        beside = (whole < _SEEN) * matte[row : row + 1] * (blurred(whole, 0.1) > _SEEN)
        shown[row] = torch.lerp(shown[row : row + 1], toned(half, shown[row : row + 1], beside), whole)[0]
        own[row] *= 1 - whole[0]
    return Moved(shown, flow, matte, own)


def _seen_there(part: Float[Tensor, "1 1 m m"], flow: Float[Tensor, "n 2 k k"]) -> Float[Tensor, "n 1 k k"]:
    """Return where a part of a photograph is seen, and a little around."""
    moved = functional.grid_sample(part.expand(len(flow), -1, -1, -1), flow.permute(0, 2, 3, 1), align_corners=False)
    return averaged((3 * largest(moved, _BESIDE)).clamp(max=1), 1)


def _bent(
    flow: Float[Tensor, "n 2 s s"],
    layers: Layers,
    lips: LipEdges | None,
    eyes: tuple[ClosingEye, ...],
    landmarks: Float[Tensor, "n 478 2"],
) -> Float[Tensor, "n 2 s s"]:
    """Bend a field for lips that close, and mirror what would come from above the photograph."""
    flow = over_lids(flow if lips is None else over_lips(flow, lips, landmarks), eyes)
    line = layers.top + _FRAME
    cut = (flow[:, 1:] < line) & (identity_grid(flow)[:, 1:] >= line)
    mirrored = torch.cat([flow[:, :1], 2 * line - flow[:, 1:]], 1)
    return torch.where(cut, mirrored, flow) if bool(cut.any()) else flow
