"""Measure faces by their landmarks: alignment for head pose, distances, head motion, blinks, lips in silence.

Landmarks are `[frames, 70 or 68, 2]`: iBUG's 68 points (then the irises, unused here), x to the right, y down, in any
scale with square pixels. A row that holds a NaN is a frame without a face.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...errors import BadInput

POINTS = 68
"""Points of iBUG's scheme."""

MOUTH = tuple(range(48, 68))
"""Points of the lips."""

UPPER_FACE = tuple(range(17, 27)) + tuple(range(36, 48))
"""Points of brows and eyes."""

STEADY = (*range(27, 36), 36, 39, 42, 45)
"""Points that speech hardly moves, by which the pose is taken out: nose and corners of the eyes."""

_OUTER_CORNERS = (36, 45)
_GAPS = ((61, 67), (62, 66), (63, 65))
_MOUTH_CORNERS = (60, 64)
_LIDS = (((37, 41), (38, 40), (36, 39)), ((43, 47), (44, 46), (42, 45)))
_BLINK_SHARE, _LONGEST_BLINK_S = 0.65, 0.6

_HEAD_MODEL = {
    **{27: (0.0, -0.18, -0.42), 28: (0.0, 0.08, -0.55), 29: (0.0, 0.34, -0.70), 30: (0.0, 0.58, -0.84)},
    **{31: (-0.28, 0.78, -0.42), 33: (0.0, 0.84, -0.58), 35: (0.28, 0.78, -0.42)},
    **{36: (-1.0, 0.0, 0.0), 39: (-0.38, 0.02, -0.14), 42: (0.38, 0.02, -0.14), 45: (1.0, 0.0, 0.0)},
}
"""A rough head of our own: x, y, z (away from the viewer) in half distances of the outer corners of the eyes."""


def check_track(landmarks: Float[Tensor, "f p 2"], name: str = "landmarks") -> Float[Tensor, "f 68 2"]:
    """Return the 68 points in double precision on the CPU, incomplete rows all NaN.

    Args:
        landmarks: [frames, 70 or 68, 2].
        name: Of the argument, for the message.

    Raises:
        BadInput: For another shape.
    """
    if landmarks.ndim != 3 or landmarks.shape[1] not in (POINTS, POINTS + 2) or landmarks.shape[2] != 2:
        raise BadInput(
            f"`{name}` must have the shape [frames, 70, 2] or [frames, 68, 2], but got {list(landmarks.shape)}. "
            f"Give iBUG's 68 points a row."
        )
    points = landmarks[:, :POINTS].detach().double().cpu()
    known = torch.isfinite(points).flatten(1).all(1)
    return torch.where(known[:, None, None], points, torch.nan)


def known_frames(landmarks: Float[Tensor, "f p 2"]) -> Bool[Tensor, "f"]:
    """Return which frames have a face: rows without NaN or infinity.

    Args:
        landmarks: One row of points a frame.
    """
    return torch.isfinite(landmarks).flatten(1).all(1)


def interocular(landmarks: Float[Tensor, "f p 2"]) -> Float[Tensor, "f"]:
    """Return the distance between the outer corners of the eyes in each frame, in the landmarks' own unit."""
    return (landmarks[:, _OUTER_CORNERS[1]] - landmarks[:, _OUTER_CORNERS[0]]).norm(dim=-1)


def similarity(
    points: Float[Tensor, "f n 2"], target: Float[Tensor, "n 2"]
) -> tuple[Float[Tensor, "f 2 2"], Float[Tensor, "f 2"]]:
    """Fit turn, size and shift that take `points` of each frame to `target`: `points @ matrix + shift`.

    Least squares in closed form (Umeyama 1991, in the plane, without mirroring).

    Args:
        points: Of each frame; NaN rows give NaN.
        target: Where they belong.

    Returns:
        Matrix and shift of each frame.
    """
    middle, goal = points.mean(1, keepdim=True), target.mean(0)
    centred, wanted = points - middle, target - goal
    power = centred.square().sum((1, 2)).clamp(min=1e-12)
    along = (centred * wanted).sum((1, 2)) / power
    across = (centred[..., 0] * wanted[..., 1] - centred[..., 1] * wanted[..., 0]).sum(1) / power
    matrix = torch.stack([torch.stack([along, across], -1), torch.stack([-across, along], -1)], -2)
    return matrix, goal - (middle @ matrix)[:, 0]


def mean_face(landmarks: Float[Tensor, "f p 2"]) -> Float[Tensor, "68 2"]:
    """Return the average face of a track, upright, outer corners of the eyes one apart, their middle at the origin.

    Args:
        landmarks: [frames, 70 or 68, 2] in any scale, NaN rows without a face.

    Raises:
        BadInput: When no frame has a face.
    """
    track = check_track(landmarks)
    track = track[known_frames(track)]
    if not len(track):
        raise BadInput("`landmarks` must have a face in at least one frame, but all rows hold NaN. Check the detector.")
    right, left = (track[:, corner] for corner in _OUTER_CORNERS)
    axis = left - right
    size = axis.square().sum(1, keepdim=True).clamp(min=1e-12)
    cos, sin = (axis / size).unbind(1)
    turn = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    return ((track - (right + left)[:, None] / 2) @ turn).mean(0)


def align(landmarks: Float[Tensor, "f p 2"], face: Float[Tensor, "68 2"] | None = None) -> Float[Tensor, "f 68 2"]:
    """Take head pose out of a track: each frame is turned, sized and shifted so that its steady points fit `face`.

    Turns out of the picture's plane are left in, they squeeze a face by their cosine.

    Args:
        landmarks: [frames, 70 or 68, 2] in any scale, NaN rows without a face.
        face: What `mean_face` returned; None: of this track.

    Returns:
        The track in interocular distances; frames without a face stay NaN.

    Raises:
        BadInput: When no frame has a face.
    """
    track = check_track(landmarks)
    face = mean_face(track) if face is None else face
    matrix, shift = similarity(track[:, STEADY], face[list(STEADY)])
    return track @ matrix + shift[:, None]


def mouth_shape(aligned: Float[Tensor, "f 68 2"]) -> Float[Tensor, "f 2"]:
    """Return opening (mean gap between the inner lips) and width of the mouth, in the unit of the landmarks.

    Args:
        aligned: A track, such as `align` returns.
    """
    gaps = [(aligned[:, low] - aligned[:, up]).norm(dim=-1) for up, low in _GAPS]
    width = (aligned[:, _MOUTH_CORNERS[1]] - aligned[:, _MOUTH_CORNERS[0]]).norm(dim=-1)
    return torch.stack([torch.stack(gaps).mean(0), width], -1)


def landmark_distance(
    landmarks: Float[Tensor, "f p 2"], reference: Float[Tensor, "f p 2"], points: tuple[int, ...]
) -> float:
    """Return the mean distance of `points` from those of the reference, per cent of its interocular distance.

    In each frame both sets are shifted to a common centre first and nothing else is changed, as in LMD (Chen et al.
    2018, "Lip movements generation at a glance"); the size of the reference's face, mean over the clip, makes it
    independent of resolution. Frames without a face on either side do not count.

    Args:
        landmarks: [frames, 70 or 68, 2], NaN rows without a face.
        reference: Likewise, in the same scale and of as many frames.
        points: Numbers of the points that count.

    Returns:
        At least 0, lower is better.

    Raises:
        BadInput: For unequal frame counts, or when no frame is left.
    """
    first, second = check_track(landmarks), check_track(reference, "reference")
    if len(first) != len(second):
        raise BadInput(
            f"`landmarks` and `reference` must have one number of frames, but got {len(first)} and {len(second)}. "
            f"Cut both to the shorter."
        )
    known = known_frames(first) & known_frames(second)
    if not bool(known.any()):
        raise BadInput("LMD: unscored, no frame has a face in both tracks. Check the detector.")
    a, b = (track[known][:, list(points)] for track in (first, second))
    offset = (a - a.mean(1, keepdim=True)) - (b - b.mean(1, keepdim=True))
    return 100 * float(offset.norm(dim=-1).mean() / interocular(second[known]).mean())


def f_lmd(landmarks: Float[Tensor, "f p 2"], reference: Float[Tensor, "f p 2"]) -> float:
    """Return F-LMD, the `landmark_distance` over the whole face: at least 0, per cent, lower is better.

    Args:
        landmarks: [frames, 70 or 68, 2], NaN rows without a face.
        reference: Likewise, in the same scale and of as many frames.

    Raises:
        BadInput: As `landmark_distance`.
    """
    return landmark_distance(landmarks, reference, tuple(range(POINTS)))


def m_lmd(landmarks: Float[Tensor, "f p 2"], reference: Float[Tensor, "f p 2"]) -> float:
    """Return M-LMD, the `landmark_distance` over the mouth alone: at least 0, per cent, lower is better.

    Args:
        landmarks: [frames, 70 or 68, 2], NaN rows without a face.
        reference: Likewise, in the same scale and of as many frames.

    Raises:
        BadInput: As `landmark_distance`.
    """
    return landmark_distance(landmarks, reference, MOUTH)


def head_angles(landmarks: Float[Tensor, "f p 2"]) -> Float[Tensor, "f 3"]:
    """Estimate yaw, pitch and roll from the steady points.

    A scaled orthographic camera fitted to a rough head of our own: differences over time are what it is good for,
    not angles to the degree.

    Args:
        landmarks: [frames, 70 or 68, 2] in any scale, NaN rows without a face.

    Returns:
        Radians, signs as in `types.POSE`; frames without a face give NaN.
    """
    track = check_track(landmarks)
    model = torch.tensor(list(_HEAD_MODEL.values()), dtype=torch.float64)
    model = model - model.mean(0)
    seen = track[:, list(_HEAD_MODEL)]
    rows = torch.linalg.pinv(model) @ (seen - seen.mean(1, keepdim=True))  # [f, 3, 2]
    x, y = rows.unbind(-1)
    x = x / x.norm(dim=1, keepdim=True)
    y = y / y.norm(dim=1, keepdim=True)
    yaw, pitch = torch.asin((-x[:, 2]).clamp(-1, 1)), torch.asin((-y[:, 2]).clamp(-1, 1))
    return torch.stack([yaw, pitch, torch.atan2(y[:, 0], y[:, 1])], -1)


def head_motion_diversity(angles: Float[Tensor, "f 3"]) -> float:
    """Return how much a head moves: the standard deviation of its angles over time, mean of the three, radians.

    The field takes it over an estimator's embeddings or angles (SadTalker, Zhang et al. 2023); figures only compare
    when the estimator is the same.

    Args:
        angles: Yaw, pitch and roll of each frame, radians; rows with NaN do not count.

    Raises:
        BadInput: For fewer than two rows that count.
    """
    known = angles[torch.isfinite(angles).all(1)].double()
    if len(known) < 2:
        raise BadInput(f"Head motion: unscored, 2 frames with a face are needed, but got {len(known)}.")
    return float(known.std(0, correction=0).mean())


def eye_opening(landmarks: Float[Tensor, "f p 2"]) -> Float[Tensor, "f"]:
    """Return the eye aspect ratio, mean of both eyes (Soukupová and Čech 2016): height over width of the lids' gap.

    Args:
        landmarks: [frames, 70 or 68, 2] in any scale; rows without a face give NaN.
    """
    track = check_track(landmarks)
    eyes = []
    for inner, outer, corners in _LIDS:
        a, b, c = ((track[:, low] - track[:, up]).norm(dim=-1) for up, low in (inner, outer, corners))
        eyes.append((a + b) / (2 * c.clamp(min=1e-9)))
    return torch.stack(eyes).mean(0)


def blink_rate(landmarks: Float[Tensor, "f p 2"], fps: float) -> float:
    """Return blinks a minute: people talking blink about 15 to 30 times (Bentivoglio et al. 1997).

    A blink is a run of at most 0.6 s in which the eye opening is below 0.65 of its 80th percentile over the clip, so
    that narrow eyes and closed eyes are told apart. Frames without a face continue what was before.

    Args:
        landmarks: [frames, 70 or 68, 2] in any scale, NaN rows without a face.
        fps: Frames a second.

    Raises:
        BadInput: Without a face, or with an fps that is not positive.
    """
    if not fps > 0:
        raise BadInput(f"`fps` must be positive, but got {fps}. Try 25.")
    opening = eye_opening(landmarks)
    known = torch.isfinite(opening)
    if not bool(known.any()):
        raise BadInput("Blink rate: unscored, no frame has a face. Check the detector.")
    closed = opening < _BLINK_SHARE * opening[known].quantile(0.8)
    blinks = run = 0
    for shut, seen in zip([*closed.tolist(), False], [*known.tolist(), True], strict=True):
        if shut or (not seen and run):
            run += 1
        else:
            blinks += 0 < run <= _LONGEST_BLINK_S * fps
            run = 0
    return 60 * blinks / (len(opening) / fps)


def silent_lip_motion(landmarks: Float[Tensor, "f p 2"], silent: Bool[Tensor, "f"]) -> float:
    """Return how far the lips stray from their mean place while nobody speaks, per cent of the interocular distance.

    Root mean square over the points of the mouth and the silent frames, head pose taken out; 0 is perfectly still,
    tracking noise alone gives a few tenths.

    Args:
        landmarks: [frames, 70 or 68, 2] in any scale, NaN rows without a face.
        silent: Where nobody speaks, as `voice.silent_frames` returns it.

    Raises:
        BadInput: For fewer than two silent frames with a face.
    """
    aligned = align(landmarks)[:, list(MOUTH)]
    lips = aligned[silent.cpu() & known_frames(aligned)]
    if len(lips) < 2:
        raise BadInput(f"Silent lips: unscored, 2 silent frames with a face are needed, but there are {len(lips)}.")
    return 100 * math.sqrt(float((lips - lips.mean(0)).square().sum(-1).mean()))
