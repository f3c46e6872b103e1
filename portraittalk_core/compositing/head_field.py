"""A head's motion to its last hair: the dense motion's field where it knows, a head in space where it does not.

The network is taught to say how pixels of the person move, not of those around it, and beside a person its field runs
back to standing still. So the outermost hairs and the rims of hats are torn. Beyond the face hair and hats are taken to
be a plane through the middle of the head, seen by the camera that is fitted to the points (`head_camera`): near its
edge a head that turns is nearly that. What the field knows of them it says as a smooth difference from that plane.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..media.resampling import averaged, enlarged, largest, sampled
from ..nets.dense_motion import DenseMotion, identity_grid, lengths, nearness
from ..topology import BROWS, EYES, LOWER_BROWS, OUTER_LIPS
from .head_camera import head_camera
from .masked import blurred, filled
from .teeth import smooth_step
from .unseen import stretching

_SIDE = 64  # cells, on which hair moves: it does so smoothly
_DEPTH = -1.3  # of the plane, in the head's coordinates: the middle of a head is as far behind the eyes
_BETWEEN = 1  # cells around frames that go with them: of two, cheeks went along
_LIDS, _LID = [160, 159, 158, 144, 145, 153, 387, 386, 385, 373, 374, 380], 0.035  # what does not, reach in [-1, 1]
_BROWS = [k for line in (*BROWS, *LOWER_BROWS) for k in line]
_WORN = 0.15  # depth of glasses, likewise
_FACE = 0.07  # of [-1, 1]: within it of a point of the face the field is kept as it is
_RIM = 2  # cells beside what moves surely in which the field already runs back
_FADES = 0.08  # reach, in sides, over which the difference from the plane fades
_SMOOTH = 0.03  # reach, in sides, over which hair moves alike
_UNSURE = 0.02  # share below which the network says nothing of a cell
_CROWDED, _STEPS = 1.6, 2.4  # shrinking from which on a contour is smoothed, and wholly: it would come in steps
_FEATURES, _FEATURE = [*EYES[0], *EYES[1], *OUTER_LIPS], 0.05  # lids and lips that close, and their reach in [-1, 1]
_LIVELY = 4  # of their nearness: what is a quarter near is left as it is
_JAW = 0.14  # reach of lips in [-1, 1] within which skin is drawn out because jaws move
_DRAWN_OUT, _TEARING = 0.7, 0.3  # least magnification below which a field is evened out, and from which on wholly
_EDGE, _LEAST_EDGE, _ROOM = 0.45, 0.16, 5  # of [-1, 1]: from where motion runs out, most and least; of its length
_NECK = 4  # of how far below a chin something is: the body
_CHIN = 0.04  # of [-1, 1]: reach of points of the face, which no end holds
_EVENINGS, _AROUND = 10, 3  # how often; cells around such a place


@dataclass(frozen=True)
class Holds:
    """What of a photograph stays where it is while a head moves, and how that head is seen."""

    solid: Float[Tensor, "1 1 m m"]
    """The share of the person."""

    body: Float[Tensor, "1 1 m m"]
    """The share of what may stand still: skin, clothes, hair below the chin."""

    low: Float[Tensor, "1 1 m m"]
    """How far below the chin, in [0, 1]: there is no head."""

    glasses: Float[Tensor, "1 1 m m"]
    """The share of frames of glasses, which no brow and no cheek bends."""

    ends: Float[Tensor, "1 2 m m"]
    """How far the crop or the photograph goes on, in [-1, 1]: to the nearest end but the lower one, and to that."""

    beyond: Float[Tensor, "1 1 m m"]
    """How surely somebody goes on beyond the nearest end, in [0, 1]."""

    camera: Float[Tensor, "1 4 2"]
    """Of `head_camera`."""


def head_field(motion: DenseMotion, holds: Holds, landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 2 m m"]:
    """Return where each cell of a moving person lies in the photograph.

    Args:
        motion: Of each frame.
        holds: Of the photograph.
        landmarks: Of each frame, in [-1, 1].
    """
    side = motion.flow.shape[-1]
    here = identity_grid(motion.flow)
    away = motion.flow - here
    _, warped, still = motion.shares.split(1, 1)
    solid, skin = sampled(torch.cat([holds.solid, holds.body], 1), motion.flow, cubic=False).split(1, 1)
    firm = (1 - largest(1 - warped * solid, _RIM)).square()
    body = still * holds.body
    trust = (firm + body).clamp(max=1)
    surely = away * (firm / (firm + body).clamp(min=1e-4))
    plane = (plane_of_head(holds.camera, head_camera(landmarks), motion.flow) - here) * (1 - holds.low)
    both = functional.interpolate(torch.cat([(surely - plane) * trust, trust], 1), (_SIDE, _SIDE), mode="area")
    share = both[:, 2:]
    differs = filled(both[:, :2] / share.clamp(min=1e-3), share)
    differs = differs * torch.maximum(share, (1.5 * blurred(share, _FADES)).clamp(max=1))
    smooth = plane + enlarged(blurred(differs, _SMOOTH), (side, side))
    # Faces, necks and clothes are the network's, with a gradual way from what moves to what stands still.
    known = away * (warped + _UNSURE) / (warped + body + _UNSURE)
    kept = torch.maximum(nearness(landmarks, side, _FACE).sqrt(), skin * warped)
    found = torch.lerp(smooth, known, kept.clamp(0, 1))
    found = _held(_with_rigid_glasses(found, here, holds, landmarks), holds, landmarks)
    lively = nearness(landmarks[:, _FEATURES], side, _FEATURE).clamp(max=1)
    jaw = nearness(landmarks[:, list(OUTER_LIPS)], side, _JAW).clamp(max=1)
    # Evening out acts again and again: where lids are only a little near, it would undo them wholly in the end.
    found = _without_tears(found, here, (1 - _LIVELY * lively).clamp(min=0) * (1 - jaw))
    _, most = stretching(here + found)
    steep = largest(((most - _CROWDED) / (_STEPS - _CROWDED)).clamp(0, 1), 2)
    steep = averaged(steep, 1) * (1 - lively)
    return here + torch.lerp(found, averaged(found, 1, 3), steep)


def _without_tears(
    away: Float[Tensor, "n 2 m m"], here: Float[Tensor, "1 2 m m"], where: Float[Tensor, "n 1 m m"]
) -> Float[Tensor, "n 2 m m"]:
    """Even a field out where it draws a picture out to streaks or folds it.

    A cheek that turns away leaves its outline, which hair behind it does not follow. Between the two a field in cells
    jumps, unevenly: outlines get teeth, and strands and cables are torn to pieces that fly beside the head.

    Args:
        away: By how much each cell of the picture lies elsewhere.
        here: Where each cell is.
        where: How far it may be evened out.
    """
    away, rows = away.clone(), torch.arange(len(away), device=away.device)
    for _ in range(_EVENINGS):
        part = away[rows]
        least = stretching(here + part)[0][..., 1:-1, 1:-1]  # cells at the border have half their neighbours
        least = functional.pad(least, (1, 1, 1, 1), value=1.0)
        torn = ((_DRAWN_OUT - least) / (_DRAWN_OUT - _TEARING)).clamp(0, 1)
        left = torn.amax((1, 2, 3)) > 0  # a frame that is whole stays as it is
        if not bool(left.any()):
            break
        rows, part, torn = rows[left], part[left], torn[left]
        near = averaged(largest(torn, _AROUND), _AROUND)
        away[rows] = torch.lerp(part, averaged(part, _AROUND, 2), near * where[rows])
    return away


def _held(
    away: Float[Tensor, "n 2 m m"], holds: Holds, landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 2 m m"]:
    """Let a person's motion run out towards the ends of the crop, where it is pasted back, but for the face.

    Hair that hardly moves does so within a few cells: further in it goes with the head. Bodies stand still, and slow
    down from below the chin on.

    Args:
        away: By how much each cell of the picture lies elsewhere.
        holds: Of the photograph.
        landmarks: Of each frame, in [-1, 1].
    """
    above, below = holds.ends.split(1, 1)
    most = (lengths(away) * holds.beyond * (above < _EDGE)).amax((1, 2, 3), keepdim=True)
    beside = smooth_step(1 - above / (_ROOM * most).clamp(_LEAST_EDGE, _EDGE))
    body = smooth_step(1 - below / _EDGE) * (_NECK * holds.low).clamp(max=1)
    body = torch.maximum(body, smooth_step(1 - below / _LEAST_EDGE))
    face = nearness(landmarks, away.shape[-1], _CHIN)
    return away * (1 - torch.maximum(beside, body) * holds.beyond * (1 - face))


def _with_rigid_glasses(
    away: Float[Tensor, "n 2 m m"], here: Float[Tensor, "1 2 m m"], holds: Holds, landmarks: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 2 m m"]:
    """Let frames of glasses go with the head: brows that fall behind them would bend them."""
    if not bool(holds.glasses.any()):
        return away
    rigid = plane_of_head(holds.camera, head_camera(landmarks), away, _WORN) - here
    share = sampled(holds.glasses, here + rigid, cubic=False)
    # Where skin would bring its piece of a frame along there would be two.
    left = sampled(holds.glasses, here + away, cubic=False)
    near = (2 * largest(torch.maximum(share, left), _BETWEEN)).clamp(max=1)
    lids, brows = (nearness(landmarks[:, k], away.shape[-1], _LID).mul(1.5).clamp(max=1) for k in (_LIDS, _BROWS))
    # Lids and brows beside a frame move as they do; of a frame itself brows bring nothing along.
    near = torch.maximum(left, averaged(near, 1) * (1 - brows)) * (1 - lids)
    return torch.lerp(away, rigid, torch.maximum(share, near))


def plane_of_head(
    before: Float[Tensor, "1 4 2"], after: Float[Tensor, "n 4 2"], like: Float[Tensor, "n c m m"], depth: float = _DEPTH
) -> Float[Tensor, "n 2 m m"]:
    """Return where each cell lies in the photograph if it belongs to a plane through the head.

    Args:
        before: Camera of the photograph, see `head_camera`.
        after: Cameras of the frames.
        like: Has the size.
        depth: Of the plane, in the head's coordinates; by default it goes through the middle.
    """
    here = identity_grid(like).flatten(2).to(after)
    at = torch.linalg.solve(after[:, :2].mT, here - (depth * after[:, 2] + after[:, 3])[..., None])
    there = before[:, :2].mT @ at + (depth * before[:, 2] + before[:, 3])[..., None]
    return there.unflatten(2, like.shape[-2:]).to(like)
