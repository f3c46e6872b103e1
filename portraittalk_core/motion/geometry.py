"""Measure faces by their landmarks and draw them as soft contours: plain geometry, nothing learned.

Everything takes landmarks `[n, 478, 2]` in the order of `topology` and the coordinates of `types` ([-1, 1] over a
square picture).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..errors import BadInput
from ..media.resampling import bordered, enlarged, falling_off, off_apple
from ..topology import (
    BROWS,
    EYE_CORNERS,
    EYES,
    INNER_LIPS,
    IRISES,
    JAW,
    LOWER_BROWS,
    NOSE,
    OUTER_LIPS,
    OVAL,
    STEADY,
)
from ..types import LANDMARKS

CONTOUR_GROUPS = ("jaw", "brows", "nose", "eyes", "outer_lips", "inner_lips", "irises")
"""What each channel of `contours` shows, in order."""

CONTOUR_SIGMA = 0.022
"""Width of a contour in [-1, 1] units: about a pixel at 64x64, so that a lip moving by a fraction of it is seen."""

_LINES = (  # channel, points, closed
    (0, JAW, False),
    *((1, line, False) for line in BROWS),
    *((2, line, False) for line in NOSE),
    *((3, line, True) for line in EYES),
    (4, OUTER_LIPS, True),
    (5, INNER_LIPS, True),
    *((6, (point,), True) for point in IRISES),  # an iris is a line from a point to itself
)

_CORNERS = EYE_CORNERS
_LIPS = ((82, 13, 312), (87, 14, 317))
"""Three places of the edge at which the lips meet: above, below."""

_LIDS = ((160, 158, 385, 387), (144, 153, 380, 373))
"""Two places of each eye's lids: above, below."""

_NOSE_TIP = 4

_AROUND_LIPS = (
    *(62, 76, 291, 292, 306, 183, 42, 41, 38, 12, 268, 271, 272, 407, 96, 89, 179, 86, 15, 316, 403, 319, 325),
    *(106, 83, 18, 313, 335, 57, 287, 43, 273, 186, 92, 165, 167, 164, 393, 391, 322, 410),
)
_CHEEKS = (50, 280, 205, 425, 187, 411, 123, 352, 101, 330, 36, 266, 9, 151, 200, 207, 427, 202, 422, 48, 278)
_FOREHEAD = (69, 299, 108, 337)

WARPED = tuple(
    dict.fromkeys(
        (
            *OVAL[::2],
            *(point for brow in BROWS for point in brow),
            *(point for brow in LOWER_BROWS for point in brow[::2]),
            *(point for line in NOSE for point in line),
            *(point for eye in EYES for point in eye[::2]),
            *(*OUTER_LIPS, *INNER_LIPS, *IRISES, *_AROUND_LIPS, *_CHEEKS, *_FOREHEAD),
        )
    )
)
"""The points that `face_warp` brings from their places: all of the lips, enough of the rest."""

_SIMILARITY_PULL = 0.1
_CHUNK_CPU, _CHUNK = 4, 128
_WARP_SIZE = 64
_WARP_SCALES = ((0.25, 1.0), (0.05, 0.1))
"""Reach and ridge of the smooth fields: first what whole parts of the face do, then what is left at each point."""

_HEAD_REACH = (1.4, 3.0)
"""From where to where the head's own motion fades, in sizes of the face from its middle: the room stands still."""


def check_landmarks(landmarks: Float[Tensor, "n 478 2"], name: str = "landmarks") -> None:
    """Check that landmarks are finite and `[n, 478, 2]`.

    Args:
        landmarks: What is checked.
        name: What the message calls it.

    Raises:
        BadInput: When they are not.
    """
    if landmarks.ndim != 3 or tuple(landmarks.shape[1:]) != (LANDMARKS, 2):
        raise BadInput(
            f"`{name}` must have the shape [n, {LANDMARKS}, 2], but got {list(landmarks.shape)}. "
            "Give MediaPipe's 478 points a row."
        )
    if not bool(torch.isfinite(landmarks).all()):
        raise BadInput(f"`{name}` must be finite, but got NaN or infinity. Drop the frames without a face.")


def contours(
    landmarks: Float[Tensor, "n 478 2"], size: int = 64, sigma: float = CONTOUR_SIGMA
) -> Float[Tensor, "n 7 size size"]:
    """Draw soft lines through the parts of each face.

    A pixel's value is `exp(-d^2 / sigma^2)`, d being the distance of its centre to the nearest line: smooth in the
    landmarks, so that motion below a pixel changes it. Pixel centres follow `grid_sample` with `align_corners=False`.

    Args:
        landmarks: Of each face, in [-1, 1].
        size: Side of the maps, pixels.
        sigma: Width of a line, in units of the landmarks.

    Returns:
        Maps in [0, 1], one channel a group of `CONTOUR_GROUPS`.

    Raises:
        BadInput: When landmarks are not finite `[n, 478, 2]`, or size or sigma are not above 0.
    """
    check_landmarks(landmarks)
    if size < 1 or sigma <= 0:
        raise BadInput(f"`size` and `sigma` must be above 0, but got {size} and {sigma}. Try 64 and {CONTOUR_SIGMA}.")
    points = landmarks.float()
    chunk = _CHUNK_CPU if points.device.type == "cpu" else _CHUNK
    drawn = [_draw(part, size, sigma) for part in points.split(chunk)]
    return torch.cat(drawn) if drawn else points.new_zeros(0, len(CONTOUR_GROUPS), size, size)


def draw_lines(landmarks: Float[Tensor, "n 478 2"], size: int = 256) -> Float[Tensor, "n 1 size size"]:
    """Draw the contours for people to look at: thin bright lines on black.

    Args:
        landmarks: Of each face, in [-1, 1].
        size: Side of the pictures, pixels.

    Returns:
        Pictures in [0, 1].

    Raises:
        BadInput: As `contours` does.
    """
    return contours(landmarks, size, sigma=0.008 * max(1.0, 256 / size)).amax(1, keepdim=True)


def placement(reference: Float[Tensor, "n 478 2"], target: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 2 3"]:
    """Fit the affine map that takes coordinates of the output (`target`) to coordinates of the reference.

    Sampling the reference with it (`affine_grid`, `grid_sample`, `align_corners=False`) puts its head where `target`
    has it. Least squares over `STEADY`: first the best similarity, then an affine correction held back by a ridge,
    so that a turned head is squeezed but never collapses.

    Args:
        reference: Landmarks in [-1, 1]; one row is shared by all targets.
        target: Landmarks where the head is wanted, in [-1, 1].

    Returns:
        Matrices as `affine_grid` takes them.

    Raises:
        BadInput: When shapes do not match, or the points of a face all coincide.
    """
    check_landmarks(reference, "reference")
    check_landmarks(target, "target")
    if len(reference) not in (1, len(target)):
        raise BadInput(
            f"`reference` must have 1 row or as many as `target` ({len(target)}), but got {len(reference)}. Repeat it."
        )
    index = list(STEADY)
    fixed = reference[:, index].float().expand(len(target), -1, -1)
    moved = target[:, index].float()
    fixed_mean, moved_mean = fixed.mean(1, keepdim=True), moved.mean(1, keepdim=True)
    fixed, moved = fixed - fixed_mean, moved - moved_mean
    spread = moved.square().sum((1, 2))
    if bool((spread < 1e-6).any()):
        raise BadInput("`target` must have points that differ, but got a face of size 0. Check the landmarks.")
    linear = _similarity(fixed, moved, spread)
    error = fixed - moved @ linear.mT
    ridge = _SIMILARITY_PULL * 0.5 * spread[:, None, None] * torch.eye(2, device=moved.device)
    corrected = torch.linalg.solve(off_apple(moved.mT @ moved + ridge), off_apple(moved.mT @ error))
    linear = linear + corrected.mT.to(linear)
    shift = fixed_mean.mT - linear @ moved_mean.mT
    return torch.cat([linear, shift], 2)


def face_warp(
    reference: Float[Tensor, "n 478 2"], target: Float[Tensor, "n 478 2"], size: int = 256
) -> Float[Tensor, "n size size 2"]:
    """Return where each pixel of the output lies in the reference, so that every landmark comes from its own place.

    The head moves by `placement`, which fades beside it: the room stands still. Smooth fields (Gaussian radial basis
    functions around the landmarks of `WARPED`, held back by ridges) take up what is left at the landmarks.

    Args:
        reference: Landmarks in [-1, 1]; one row is shared by all targets.
        target: Landmarks where they are wanted, in [-1, 1].
        size: Side of the output, pixels.

    Returns:
        x and y in [-1, 1], for `grid_sample` with `align_corners=False`.

    Raises:
        BadInput: As `placement` does.
    """
    linear = placement(reference, target)
    points = list(WARPED)
    fixed, moved = reference[:, points].float().expand(len(target), -1, -1), target[:, points].float()
    still = torch.eye(2, 3, device=moved.device).expand_as(linear)
    linear = linear - still
    middle, radius = head_size(target.float())
    near = _faded((moved - middle[:, None]).norm(dim=2) / radius[:, None])
    left = fixed - moved - near[..., None] * (moved @ linear[..., :2].mT + linear[..., 2][:, None])
    coarse = min(size, _WARP_SIZE)
    axis = (torch.arange(coarse, device=moved.device) + 0.5) * (2 / coarse) - 1
    across, down = ((axis - middle[:, k, None]).square() for k in (0, 1))
    share = _faded((down[:, :, None] + across[:, None]).sqrt() / radius[:, None, None])
    field = share[..., None] * functional.affine_grid(linear, [len(linear), 1, coarse, coarse], align_corners=False)
    field = field + _smooth_field(moved, left, axis)
    if coarse != size:
        field = enlarged(field.permute(0, 3, 1, 2), (size, size)).permute(0, 2, 3, 1)
    return functional.affine_grid(still, [len(linear), 1, size, size], align_corners=False) + field


def warp_picture(
    picture: Float[Tensor, "#n 3 size size"], reference: Float[Tensor, "#n 478 2"], target: Float[Tensor, "n 478 2"]
) -> Float[Tensor, "n 3 size size"]:
    """Move the face of a picture by `face_warp`.

    Args:
        picture: The reference in [-1, 1]; one is shared by all targets.
        reference: Its landmarks in [-1, 1].
        target: Landmarks where they are wanted, in [-1, 1].

    Returns:
        The moved pictures in [-1, 1].

    Raises:
        BadInput: As `placement` does.
    """
    grid = face_warp(reference, target, picture.shape[-1])
    rows = picture.float().expand(len(grid), -1, -1, -1)
    return bordered(rows, grid, "bicubic").clamp(-1, 1)  # bicubic overshoots at edges


def head_size(landmarks: Float[Tensor, "n 478 2"]) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n"]]:
    """Measure where faces are and how large.

    Args:
        landmarks: Of each face.

    Returns:
        The middle of the steady points, and their root mean square distance from it.
    """
    steady = landmarks[:, list(STEADY)]
    middle = steady.mean(1)
    return middle, (steady - middle[:, None]).square().sum(2).mean(1).clamp(min=1e-8).sqrt()


def eye_distance(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n"]:
    """Measure the distance of the outer eye corners, the unit of `mouth_opening`."""
    return (landmarks[:, _CORNERS[3]] - landmarks[:, _CORNERS[0]]).norm(dim=1).clamp(min=1e-6)


def mouth_opening(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n"]:
    """Measure the gap of the inner lips over the distance of the outer eye corners.

    Returns:
        The mean of three places, along the face's own vertical: 0 is closed, wide open is about 0.4; the noise of a
        detector may make it slightly negative.
    """
    upper, lower = (landmarks[:, list(part)] for part in _LIPS)
    return ((lower - upper).mean(1) * _down(landmarks)).sum(1) / eye_distance(landmarks)


def eye_opening(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n"]:
    """Measure the gap of the lids over the width of the eye, mean of both eyes: 0 is shut, open is 0.2 to 0.4."""
    upper, lower = (landmarks[:, list(part)] for part in _LIDS)
    width = (landmarks[:, list(_CORNERS[1::2])] - landmarks[:, list(_CORNERS[::2])]).norm(dim=2).mean(1)
    return ((lower - upper).mean(1) * _down(landmarks)).sum(1) / width.clamp(min=1e-6)


def head_cue(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 6"]:
    """Summarise where the head is and how it is turned, by geometry alone.

    Returns:
        Sideways and downward offset of the nose tip from the middle of the eyes over the eye distance (they grow with
        yaw and with pitch, about a rest that differs between faces), roll in radians, x and y of the middle of the
        eyes, and the eye distance.

    Raises:
        BadInput: When landmarks are not finite `[n, 478, 2]`.
    """
    check_landmarks(landmarks)
    middle = landmarks[:, list(_CORNERS)].mean(1)
    distance, down = eye_distance(landmarks), _down(landmarks)
    right = torch.stack([down[:, 1], -down[:, 0]], 1)
    nose = (landmarks[:, _NOSE_TIP] - middle) / distance[:, None]
    roll = torch.atan2(right[:, 1], right[:, 0])
    return torch.stack([(nose * right).sum(1), (nose * down).sum(1), roll, middle[:, 0], middle[:, 1], distance], 1)


def eye_line(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 2"]:
    """Return the direction, of unit length, from the eye at the left of the picture to the other one."""
    across = landmarks[:, list(_CORNERS[2:])].mean(1) - landmarks[:, list(_CORNERS[:2])].mean(1)
    return across / across.norm(dim=1, keepdim=True).clamp(min=1e-6)


def _down(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 2"]:
    across = eye_line(landmarks)
    return torch.stack([-across[:, 1], across[:, 0]], 1)


def _faded(distance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Return how much of the head's motion there is at a distance in sizes of the face: a smooth step."""
    start, end = _HEAD_REACH
    share = ((end - distance) / (end - start)).clamp(0, 1)
    return share * share * (3 - 2 * share)


def _smooth_field(
    points: Float[Tensor, "n k 2"], offsets: Float[Tensor, "n k 2"], axis: Float[Tensor, "size"]
) -> Float[Tensor, "n size size 2"]:
    """Spread offsets at points over a grid; the ridges keep neighbours that disagree from folding it."""
    apart = (points[:, :, None] - points[:, None]).square().sum(-1)
    field = points.new_zeros(len(points), len(axis), len(axis), 2)
    for reach, ridge in _WARP_SCALES:
        near = falling_off(apart * (0.5 / reach**2))
        root = torch.linalg.cholesky(off_apple(near + ridge * torch.eye(near.shape[1], device=near.device)))
        weights = torch.cholesky_solve(off_apple(offsets), root).to(offsets)
        offsets = offsets - near @ weights
        x, y = (falling_off((axis - points[..., k, None]).square() * (0.5 / reach**2)) for k in (0, 1))
        rows = (y[..., None] * weights[:, :, None]).flatten(2).mT  # [n, size * 2, k]
        field = field + (rows @ x).unflatten(1, (len(axis), 2)).mT
    return field


def _similarity(
    fixed: Float[Tensor, "n k 2"], moved: Float[Tensor, "n k 2"], spread: Float[Tensor, "n"]
) -> Float[Tensor, "n 2 2"]:
    """Fit rotation and scale between centred points: a complex number in closed form."""
    real = (fixed * moved).sum((1, 2)) / spread
    imaginary = (fixed[..., 1] * moved[..., 0] - fixed[..., 0] * moved[..., 1]).sum(1) / spread
    return torch.stack([real, -imaginary, imaginary, real], 1).view(-1, 2, 2)


def _draw(points: Float[Tensor, "n 478 2"], size: int, sigma: float) -> Float[Tensor, "n 7 size size"]:
    axis = (torch.arange(size, device=points.device) + 0.5) * (2 / size) - 1
    nearest: list[Tensor | None] = [None] * len(CONTOUR_GROUPS)
    for channel, part, closed in _LINES:
        line = points[:, list(part)]
        start, stop = (line, line.roll(-1, 1)) if closed else (line[:, :-1], line[:, 1:])
        squared = _squared_distance(start, stop, axis).amin(1)
        known = nearest[channel]
        nearest[channel] = squared if known is None else torch.minimum(known, squared)
    return falling_off(torch.stack([near for near in nearest if near is not None], 1) / sigma**2)


def _squared_distance(
    start: Float[Tensor, "n k 2"], stop: Float[Tensor, "n k 2"], axis: Float[Tensor, "size"]
) -> Float[Tensor, "n k size size"]:
    """Square the distance of every pixel centre to every segment; sums over x and y are broadcast, not stored twice."""
    along = stop - start
    dx, dy = axis - start[..., :1], axis - start[..., 1:]
    length = along.square().sum(-1).clamp(min=1e-10)[..., None, None]
    projected = (dx * along[..., :1])[..., None, :] + (dy * along[..., 1:])[..., :, None]
    at = (projected / length).clamp(0, 1)
    apart = dx.square()[..., None, :] + dy.square()[..., :, None]
    return (apart + at * (at * length - 2 * projected)).clamp(min=0)
