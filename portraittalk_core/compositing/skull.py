"""Forehead and hair go with the skull: how a head moves as a whole, read off the points that lie well.

Points beyond the brows and at the temples are guesses of whoever finds them, for hair hides what they mean; and a
network of few cells does not carry hair as far as the face below it. So where only such points are near, the field is
that of a rigid head: place, size, roll and, by the depth of each place, yaw and pitch, fitted to the rest of the face.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..motion.geometry import eye_line
from ..nets.dense_motion import DenseMotion, cell_axis, identity_grid, lengths, nearness, spread
from ..topology import BROWS, EYE_CORNERS, LOWER_BROWS, OVAL

_NOSE = (168, 6, 197, 195, 5, 4, 1, 2, 98, 327, 8, 122, 351, 193, 417, 114, 343, 188, 412, 174, 399, 236, 456, 198, 420)
_BROWS = tuple(dict.fromkeys(point for line in (*BROWS, *LOWER_BROWS) for point in line))
_CHEEKS = (50, 280, 101, 330, 36, 266, 117, 346, 118, 347, 119, 348, 100, 329, 116, 345, 111, 340, 123, 352)
_FOREHEAD = (9, 10, 67, 69, 103, 104, 108, 109, 151, 297, 299, 332, 333, 337, 338)
_EARS, _CHIN = (234, 454), 152

_WEIGHTS = ((1.0, (*EYE_CORNERS, *_NOSE)), (1.0, _BROWS), (0.25, _CHEEKS), (0.3, _FOREHEAD))
"""How much points say about the skull. Brows are raised and cheeks lifted: the fit leaves out what then disagrees."""

_HIDDEN = tuple(dict.fromkeys((*OVAL, *_FOREHEAD)))
_LIE_WELL = tuple(point for point in range(468) if point not in _HIDDEN)

# In [-1, 1].
_WRONG = 0.01  # error of a point from which on it counts less and less
_ROUNDS = 8
_FACE = 0.05  # reach of points that lie well
_HEAD = 0.08  # and of the others, beyond which the skull says nothing
_DEEP = 0.1  # over which depth is spread
_AGREE = 0.03  # further apart, the network is right: heads that turn far, hair that hangs


def with_skull(
    motion: DenseMotion,
    reference: Float[Tensor, "1 478 2"],
    landmarks: Float[Tensor, "n 478 2"],
    depths: Float[Tensor, "478"],
) -> DenseMotion:
    """Move forehead and hair as the skull moves.

    Args:
        motion: Of each frame.
        reference: Points of the photograph, in [-1, 1].
        landmarks: Of each frame.
        depths: Of the points of any head, larger towards the viewer, in any unit.

    Returns:
        The same motion with another field around the face.
    """
    skull = skull_flow(reference, landmarks, depths, motion.flow.shape[-1])
    change = skull - motion.flow
    share = _share(landmarks, motion.flow) * torch.exp(-(lengths(change) / _AGREE).square())
    return replace(motion, flow=motion.flow + share * change)


def skull_flow(
    reference: Float[Tensor, "1 478 2"], landmarks: Float[Tensor, "n 478 2"], depths: Float[Tensor, "478"], size: int
) -> Float[Tensor, "n 2 size size"]:
    """Return where each cell lies in the photograph if all of it goes with the skull.

    Args:
        reference: See `with_skull`.
        landmarks: Likewise.
        depths: Likewise.
        size: Side of the field, cells.
    """
    depths = depths.to(landmarks)
    moved, middle = _fitted(reference, landmarks, depths)
    axis = cell_axis(size, landmarks)
    sums, weight = spread(depths[None, :, None].expand(len(landmarks), -1, 2), landmarks, axis, axis, _DEEP)
    far = 1e-8  # of the points, where depth is that of the nearest
    deep = (sums[:, 0] + far * depths.mean()) / (weight[:, 0] + far)
    x, y = axis[None, None] - middle[:, 0, None, None], axis[None, :, None] - middle[:, 1, None, None]
    real, imaginary, yaw, pitch, right, down = moved[..., None, None].unbind(1)
    field = torch.stack(
        [real * x - imaginary * y + yaw * deep + right, real * y + imaginary * x + pitch * deep + down], 1
    )
    return field + identity_grid(field)


def _fitted(reference: Tensor, landmarks: Tensor, depths: Tensor) -> tuple[Float[Tensor, "n 6"], Float[Tensor, "n 2"]]:
    """Fit rigid motion by least squares, reweighted (Geman and McClure 1987) so that what errs counts little.

    Returns:
        What is linear in x, y and depth, about the points' middles, and the middles.
    """
    chosen = [point for _, points in _WEIGHTS for point in points]
    trust = torch.cat([depths.new_full((len(points),), weight) for weight, points in _WEIGHTS])
    points, deep = landmarks[:, chosen], depths[chosen].expand(len(landmarks), -1)
    wanted = reference[:, chosen].to(landmarks) - points
    middle = (points * trust[:, None]).sum(1) / trust.sum()
    x, y = (points - middle[:, None]).unbind(-1)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    rows = torch.cat(
        [torch.stack([x, -y, deep, zero, one, zero], -1), torch.stack([y, x, zero, deep, zero, one], -1)], 1
    )
    values = wanted.mT.flatten(1)[..., None]
    weights, found = trust.expand(len(landmarks), -1), values.new_zeros(len(landmarks), 6, 1)
    ridge = 1e-9 * torch.eye(6, device=rows.device, dtype=rows.dtype)
    for _ in range(_ROUNDS):
        weighted = weights.repeat(1, 2)[..., None] * rows
        found = torch.linalg.solve(weighted.mT @ rows + ridge, weighted.mT @ values)
        off = (values - rows @ found)[..., 0].unflatten(1, (2, -1)).square().sum(1)
        weights = trust / (1 + off / _WRONG**2).square()
    return found[..., 0], middle


def _share(landmarks: Float[Tensor, "n 478 2"], like: Float[Tensor, "n 2 m m"]) -> Float[Tensor, "n 1 m m"]:
    """Return where the skull rules: around the face and above the chin, where no point lies that is known well."""
    size = like.shape[-1]
    around = (2 * nearness(landmarks[:, list(_HIDDEN)], size, _HEAD)).clamp(max=1)
    right = eye_line(landmarks)
    up = torch.stack([right[:, 1], -right[:, 0]], 1)
    chin, ears = landmarks[:, _CHIN], landmarks[:, list(_EARS)].mean(1)
    high = ((ears - chin) * up).sum(1).clamp(min=1e-3)
    above = identity_grid(like) - chin[:, :, None, None]
    above = ((above * up[:, :, None, None]).sum(1, keepdim=True) / high[:, None, None, None]).clamp(0, 1)
    return around * above * (1 - nearness(landmarks[:, list(_LIE_WELL)], size, _FACE))
