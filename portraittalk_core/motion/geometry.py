"""Measure faces by their landmarks and draw them as soft contours: plain geometry, nothing learned.

Everything takes landmarks `[n, 70, 2]` in the order and the coordinates of `types` ([-1, 1] over a square picture).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from ..errors import BadInput
from ..types import LANDMARKS

CONTOUR_GROUPS = ("jaw", "brows", "nose", "eyes", "outer_lips", "inner_lips", "irises")
"""What each channel of `contours` shows, in order."""

CONTOUR_SIGMA = 0.022
"""Width of a contour in [-1, 1] units: about a pixel at 64x64, so that a lip moving by a fraction of it is seen."""

_LINES = (  # channel, first point, end (exclusive), closed
    (0, 0, 17, False),
    (1, 17, 22, False),
    (1, 22, 27, False),
    (2, 27, 31, False),
    (2, 31, 36, False),
    (3, 36, 42, True),
    (3, 42, 48, True),
    (4, 48, 60, True),
    (5, 60, 68, True),
    (6, 68, 69, True),  # an iris is a line from a point to itself
    (6, 69, 70, True),
)

STEADY = (0, 1, 2, 3, 13, 14, 15, 16, *range(27, 36), 36, 39, 42, 45)
"""Points that expression hardly moves: upper jaw line, nose, corners of the eyes."""

_EYE_CORNERS = (36, 39, 42, 45)
_SIMILARITY_PULL = 0.1
_CHUNK_CPU, _CHUNK = 4, 128
_WARP_REACH, _WARP_RIDGE, _WARP_SIZE = 0.1, 0.1, 64


def check_landmarks(landmarks: Float[Tensor, "n 70 2"], name: str = "landmarks") -> None:
    """Check that landmarks are finite and `[n, 70, 2]`.

    Args:
        landmarks: What is checked.
        name: What the message calls it.

    Raises:
        BadInput: When they are not.
    """
    if landmarks.ndim != 3 or tuple(landmarks.shape[1:]) != (LANDMARKS, 2):
        raise BadInput(
            f"`{name}` must have the shape [n, {LANDMARKS}, 2], but got {list(landmarks.shape)}. "
            f"Give 68 iBUG points and two irises a row."
        )
    if not bool(torch.isfinite(landmarks).all()):
        raise BadInput(f"`{name}` must be finite, but got NaN or infinity. Drop the frames without a face.")


def contours(
    landmarks: Float[Tensor, "n 70 2"], size: int = 64, sigma: float = CONTOUR_SIGMA
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
        BadInput: When landmarks are not finite `[n, 70, 2]`, or size or sigma are not above 0.
    """
    check_landmarks(landmarks)
    if size < 1 or sigma <= 0:
        raise BadInput(f"`size` and `sigma` must be above 0, but got {size} and {sigma}. Try 64 and {CONTOUR_SIGMA}.")
    points = landmarks.float()
    chunk = _CHUNK_CPU if points.device.type == "cpu" else _CHUNK
    drawn = [_draw(part, size, sigma) for part in points.split(chunk)]
    return torch.cat(drawn) if drawn else points.new_zeros(0, len(CONTOUR_GROUPS), size, size)


def draw_lines(landmarks: Float[Tensor, "n 70 2"], size: int = 256) -> Float[Tensor, "n 1 size size"]:
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


def placement(reference: Float[Tensor, "n 70 2"], target: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n 2 3"]:
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
    linear = linear + torch.linalg.solve(moved.mT @ moved + ridge, moved.mT @ error).mT
    shift = fixed_mean.mT - linear @ moved_mean.mT
    return torch.cat([linear, shift], 2)


def face_warp(
    reference: Float[Tensor, "n 70 2"], target: Float[Tensor, "n 70 2"], size: int = 256
) -> Float[Tensor, "n size size 2"]:
    """Return where each pixel of the output lies in the reference, so that every landmark comes from its own place.

    `placement` plus a smooth field (Gaussian radial basis functions around the landmarks, held back by a ridge) that
    takes up what is left at the landmarks and fades beside the face.

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
    fixed, moved = reference.float().expand(len(target), -1, -1), target.float()
    left = fixed - (moved @ linear[..., :2].mT + linear[..., 2][:, None])
    near = _radial(moved[:, :, None], moved[:, None])
    # What is left is spread as weights over the landmarks; the ridge keeps neighbours that disagree from folding it.
    weights = torch.linalg.solve(near + _WARP_RIDGE * torch.eye(near.shape[1], device=near.device), left)
    coarse = min(size, _WARP_SIZE)
    axis = (torch.arange(coarse, device=moved.device) + 0.5) * (2 / coarse) - 1
    x, y = (torch.exp((axis - moved[..., k, None]).square() * (-0.5 / _WARP_REACH**2)) for k in (0, 1))
    field = torch.einsum("nky,nkx,nkc->ncyx", y, x, weights)
    if coarse != size:
        field = functional.interpolate(field, (size, size), mode="bilinear", align_corners=False)
    whole = functional.affine_grid(linear, [len(linear), 1, size, size], align_corners=False)
    return whole + field.permute(0, 2, 3, 1)


def warp_picture(
    picture: Float[Tensor, "#n 3 size size"], reference: Float[Tensor, "#n 70 2"], target: Float[Tensor, "n 70 2"]
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
    warped = functional.grid_sample(rows, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return warped.clamp(-1, 1)  # bicubic overshoots at edges


def eye_distance(landmarks: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n"]:
    """Measure the distance of the outer eye corners, the unit of `mouth_opening`."""
    return (landmarks[:, 45] - landmarks[:, 36]).norm(dim=1).clamp(min=1e-6)


def mouth_opening(landmarks: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n"]:
    """Measure the gap of the inner lips over the distance of the outer eye corners.

    Returns:
        The mean of three places, along the face's own vertical: 0 is closed, wide open is about 0.4; the noise of a
        detector may make it slightly negative.
    """
    gap = (landmarks[:, [67, 66, 65]] - landmarks[:, [61, 62, 63]]).mean(1)
    return (gap * _down(landmarks)).sum(1) / eye_distance(landmarks)


def eye_opening(landmarks: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n"]:
    """Measure the gap of the lids over the width of the eye, mean of both eyes: 0 is shut, open is 0.3 to 0.5."""
    gap = (landmarks[:, [41, 40, 47, 46]] - landmarks[:, [37, 38, 43, 44]]).mean(1)
    width = (landmarks[:, [39, 45]] - landmarks[:, [36, 42]]).norm(dim=2).mean(1).clamp(min=1e-6)
    return (gap * _down(landmarks)).sum(1) / width


def head_cue(landmarks: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n 6"]:
    """Summarise where the head is and how it is turned, by geometry alone.

    Returns:
        Sideways and downward offset of the nose tip from the middle of the eyes over the eye distance (they grow with
        yaw and with pitch, about a rest that differs between faces), roll in radians, x and y of the middle of the
        eyes, and the eye distance.

    Raises:
        BadInput: When landmarks are not finite `[n, 70, 2]`.
    """
    check_landmarks(landmarks)
    middle = landmarks[:, list(_EYE_CORNERS)].mean(1)
    distance, down = eye_distance(landmarks), _down(landmarks)
    right = torch.stack([down[:, 1], -down[:, 0]], 1)
    nose = (landmarks[:, 30] - middle) / distance[:, None]
    roll = torch.atan2(right[:, 1], right[:, 0])
    return torch.stack([(nose * right).sum(1), (nose * down).sum(1), roll, middle[:, 0], middle[:, 1], distance], 1)


def _down(landmarks: Float[Tensor, "n 70 2"]) -> Float[Tensor, "n 2"]:
    across = landmarks[:, [42, 45]].mean(1) - landmarks[:, [36, 39]].mean(1)
    across = across / across.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return torch.stack([-across[:, 1], across[:, 0]], 1)


def _radial(a: Float[Tensor, "*shape 2"], b: Float[Tensor, "*shape 2"]) -> Float[Tensor, "*shape"]:
    return torch.exp((a - b).square().sum(-1) * (-0.5 / _WARP_REACH**2))


def _similarity(
    fixed: Float[Tensor, "n k 2"], moved: Float[Tensor, "n k 2"], spread: Float[Tensor, "n"]
) -> Float[Tensor, "n 2 2"]:
    """Fit rotation and scale between centred points: a complex number in closed form."""
    real = (fixed * moved).sum((1, 2)) / spread
    imaginary = (fixed[..., 1] * moved[..., 0] - fixed[..., 0] * moved[..., 1]).sum(1) / spread
    return torch.stack([real, -imaginary, imaginary, real], 1).view(-1, 2, 2)


def _draw(points: Float[Tensor, "n 70 2"], size: int, sigma: float) -> Float[Tensor, "n 7 size size"]:
    axis = (torch.arange(size, device=points.device) + 0.5) * (2 / size) - 1
    nearest: list[Tensor | None] = [None] * len(CONTOUR_GROUPS)
    for channel, first, end, closed in _LINES:
        line = points[:, first:end]
        start, stop = (line, line.roll(-1, 1)) if closed else (line[:, :-1], line[:, 1:])
        squared = _squared_distance(start, stop, axis).amin(1)
        known = nearest[channel]
        nearest[channel] = squared if known is None else torch.minimum(known, squared)
    return torch.exp(torch.stack([near for near in nearest if near is not None], 1) * (-1 / sigma**2))


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
