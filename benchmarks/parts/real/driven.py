"""The true motion of a clip, put on its first frame: by blendshapes and head, and by points."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from portraittalk_core.motion.geometry import placement
from portraittalk_core.motion.structure import clamp_coefficients, structure_maps
from portraittalk_core.topology import STEADY
from portraittalk_core.types import FaceMotion, Identity, SpeechFeatures, StructureMaps

from .boxes import in_crop
from .readings import Readings

_ROUNDS = 3  # position and size are applied after everything else: the second round is exact up to their own effect


def by_points(identity: Identity, readings: Readings, fps: float) -> StructureMaps:
    """Move the points of the photograph as MediaPipe's points of the clip move.

    Args:
        identity: Of the first frame.
        readings: Of the clip, a face in every frame.
        fps: Frames a second.
    """
    track = in_crop(readings.points, identity.places[0])
    reference = identity.landmarks[:1].cpu()
    landmarks = reference + (track - track[:1])
    return StructureMaps(landmarks, placement(reference, landmarks), fps)


def by_blendshapes(stack: Any, identity: Identity, readings: Readings, fps: float) -> tuple[FaceMotion, StructureMaps]:
    """Say the motion of a clip as the product is told of one: blendshapes, and offsets of the head.

    What the photograph shows, as the stack reads it, is changed by as much as MediaPipe's scores change. Angles are
    MediaPipe's; the head is where the steady points of the clip are, and as large.

    Args:
        stack: Tiny.
        identity: Of the first frame.
        readings: Of the clip, a face in every frame.
        fps: Frames a second.

    Returns:
        The motion, and what the stack makes of it.
    """
    has, _ = stack.fitter(identity.landmarks[:1])
    coefficients = clamp_coefficients(has.detach().cpu() + readings.scores - readings.scores[:1])
    turn = torch.deg2rad(readings.turn - readings.turn[:1])
    turn[:, 2] = -turn[:, 2]  # MediaPipe's roll is anticlockwise as the viewer sees it
    place = torch.tensor([0.0, 0.0, 1.0]).repeat(len(turn), 1)
    wanted, size = _whereabouts(in_crop(readings.points, identity.places[0]))
    reference, own = _whereabouts(identity.landmarks[:1].cpu())
    wanted, size = reference + wanted - wanted[:1], own * size / size[:1]
    for _ in range(_ROUNDS):
        motion = FaceMotion(coefficients, torch.cat([turn, place], 1), fps)
        maps = structure_maps(motion, identity, stack.fitter, stack.shaper, keep_expression=0.0)
        there, large = _whereabouts(maps.landmarks.cpu())
        place = torch.cat([place[:, :2] + wanted - there, place[:, 2:] * (size / large)[:, None]], 1)
    motion = FaceMotion(coefficients, torch.cat([turn, place], 1), fps)
    return motion, structure_maps(motion, identity, stack.fitter, stack.shaper, keep_expression=0.0)


def _whereabouts(points: Float[Tensor, "f 478 2"]) -> tuple[Float[Tensor, "f 2"], Float[Tensor, "f"]]:
    """Return the middle of the steady points, and their root mean square distance from it."""
    steady = points[:, list(STEADY)]
    middle = steady.mean(1)
    return middle, (steady - middle[:, None]).square().sum(2).mean(1).sqrt()


def heard(stack: Any, sound: Any, fps: float, frames: int) -> SpeechFeatures | None:
    """Listen to a clip's own sound.

    Args:
        stack: Listens.
        sound: The recording; None where the clip has none.
        fps: Frames a second.
        frames: How many rows there are to be: the last is repeated, what is beyond is left out.
    """
    if sound is None:
        return None
    features = stack.listen(sound, fps)
    rows = torch.arange(frames).clamp(max=len(features.hidden) - 1)
    return SpeechFeatures(features.hidden[rows], features.loudness[rows], fps)
