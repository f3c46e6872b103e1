"""Rebuild the metric face mesh from landmarks: where each of 468 points is in centimetres, and how the head stands.

MediaPipe computes the mesh inside and gives only the matrix away. The method is that of its face geometry pipeline
(github.com/google-ai-edge/mediapipe, `face_geometry`): a camera of 63 degrees, and the canonical face fitted by
weighted Procrustes analysis, first for the scale and then for the pose.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput

POINTS = 468
"""Points of the mesh; the ten of the irises are in none."""

_NEAR, _FIELD_OF_VIEW = 1.0, math.radians(63)


@dataclass(frozen=True)
class CanonicalFace:
    """The face that others are compared with."""

    vertices: Float[Tensor, "468 3"]
    """Where its points are, centimetres: x to the viewer's right, y up, z towards the viewer."""
    weights: Float[Tensor, "468"]
    """What each point counts in the comparison; most are 0."""


@dataclass(frozen=True)
class MetricFace:
    """A face in space."""

    mesh: Float[Tensor, "468 3"]
    """Its points in centimetres, turned as the canonical face is."""
    matrix: Float[Tensor, "4 4"]
    """From there to the camera, which is at the origin and looks along -z; the scale is in it."""


def metric_face(landmarks: Float[Tensor, "points 3"], width: int, height: int, canonical: CanonicalFace) -> MetricFace:
    """Return the mesh and the pose of a face, computed in float64.

    Args:
        landmarks: MediaPipe's, as shares of width and height, with depth; the first 468 are used.
        width: Of the picture, pixels.
        height: Of the picture, pixels.
        canonical: The face to compare with.

    Raises:
        BadInput: When there are fewer points, or points without depth.
    """
    if landmarks.ndim != 2 or len(landmarks) < POINTS or landmarks.shape[1] != 3:
        raise BadInput(f"`landmarks` must be [{POINTS} or more, 3], but got {list(landmarks.shape)}.")
    source, weights = canonical.vertices.double(), canonical.weights.double()
    tall = 2 * _NEAR * math.tan(_FIELD_OF_VIEW / 2)
    wide = tall * width / height
    x, y, z = landmarks[:POINTS].double().unbind(1)
    screen = torch.stack([(x - 0.5) * wide, (0.5 - y) * tall, z * wide], 1)
    scale = _scale(source, screen * screen.new_tensor([1, 1, -1]), weights)
    scale = scale * _scale(source, _in_space(screen, scale), weights)
    points = _in_space(screen, scale)
    matrix = _fit(source, points, weights)
    mesh = (points - matrix[:3, 3]) @ torch.linalg.inv(matrix[:3, :3]).T
    return MetricFace(mesh.float(), matrix.float())


def project(points: Float[Tensor, "n 3"], width: int, height: int) -> Float[Tensor, "n 2"]:
    """Return where points are in the picture.

    Args:
        points: Before the camera, which is at the origin and looks along -z: z < 0.
        width: Of the picture, pixels.
        height: Of the picture, pixels.

    Returns:
        x and y in pixels, (0, 0) at the upper left.
    """
    tall = 2 * _NEAR * math.tan(_FIELD_OF_VIEW / 2)
    flat = points[:, :2] / -points[:, 2:] * _NEAR
    share = flat / points.new_tensor([tall * width / height, -tall]) + 0.5
    return share * points.new_tensor([width, height])


def _in_space(screen: Float[Tensor, "n 3"], scale: Tensor) -> Float[Tensor, "n 3"]:
    """Return the points before the camera that are seen at `screen`, the mean depth at the near plane times scale."""
    depth = (screen[:, 2] - screen[:, 2].mean() + _NEAR) / scale
    return torch.stack([screen[:, 0] * depth / _NEAR, screen[:, 1] * depth / _NEAR, -depth], 1)


def _scale(source: Float[Tensor, "n 3"], target: Float[Tensor, "n 3"], weights: Float[Tensor, "n"]) -> Tensor:
    return _fit(source, target, weights)[:3, 0].norm()


def _fit(
    source: Float[Tensor, "n 3"], target: Float[Tensor, "n 3"], weights: Float[Tensor, "n"]
) -> Float[Tensor, "4 4"]:
    """Return the rotation, scale and translation that bring `source` nearest to `target`, by weighted squares."""
    share = (weights / weights.sum())[:, None]
    centre = (source * share).sum(0)
    centred = source - centre
    u, _, vt = torch.linalg.svd((target * share).T @ centred)
    if torch.linalg.det(u) * torch.linalg.det(vt) < 0:
        u = u * u.new_tensor([1, 1, -1])
    rotation = u @ vt
    scale = ((centred @ rotation.T) * target * share).sum() / (centred * source * share).sum()
    matrix = torch.eye(4, dtype=source.dtype)
    matrix[:3, :3] = scale * rotation
    matrix[:3, 3] = ((target - source @ matrix[:3, :3].T) * share).sum(0)
    return matrix
