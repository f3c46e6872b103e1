"""Where things that are worn on a head are seen: an affine camera, fitted to the points of the face."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_HEAD = {
    10: (0.0, -0.844, 0.136),
    54: (-0.993, -0.647, -0.426),
    284: (0.993, -0.647, -0.426),
    67: (-0.57, -0.82, 0.006),
    297: (0.57, -0.82, 0.006),
    162: (-1.172, -0.295, -0.81),
    389: (1.172, -0.295, -0.81),
    127: (-1.215, -0.034, -0.837),
    356: (1.215, -0.034, -0.837),
    234: (-1.22, 0.242, -0.933),
    454: (1.22, 0.242, -0.933),
    33: (-0.726, -0.02, -0.03),
    263: (0.726, -0.02, -0.03),
    133: (-0.274, 0.02, 0.03),
    362: (0.274, 0.02, 0.03),
    168: (0.0, -0.05, 0.171),
    6: (0.0, 0.091, 0.208),
    197: (0.0, 0.216, 0.264),
    5: (0.0, 0.433, 0.408),
    4: (0.0, 0.559, 0.48),
    2: (0.0, 0.761, 0.38),
    9: (0.0, -0.333, 0.228),
    151: (0.0, -0.589, 0.207),
}
"""Points of the mean rendered head that expression hardly moves, in distances of the middles of the eyes from between
them: x to the right of the picture, y down, z towards the viewer."""

_CORNERS_APART = 1.452  # distance of the outer corners of the eyes
_PULL = 1e-3  # towards depth that is not seen


def head_camera(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n 4 2"]:
    """Fit how places about a head are seen: `place = [x, y, z, 1] @ camera`.

    Args:
        landmarks: In [-1, 1].
    """
    points = landmarks[:, list(_HEAD)].float()
    head = points.new_tensor(list(_HEAD.values()))
    rows = torch.cat([head, torch.ones_like(head[:, :1])], 1)
    normal = rows.T @ rows + _PULL * len(rows) * torch.diag(rows.new_tensor([0.0, 0.0, 1.0, 0.0]))
    return torch.linalg.solve(normal, rows.T @ points)


def seen(camera: Float[Tensor, "n 4 2"], places: Float[Tensor, "k 3"]) -> Float[Tensor, "n k 2"]:
    """Return where places about a head are seen.

    Args:
        camera: Of `head_camera`.
        places: In the head's coordinates.
    """
    rows = torch.cat([places, torch.ones_like(places[:, :1])], 1).to(camera)
    return rows @ camera


def face_unit(landmarks: Float[Tensor, "n 478 2"]) -> Float[Tensor, "n"]:
    """Return how long a distance of the middles of the eyes is, seen from the front, in the landmarks' unit."""
    points = landmarks.float()
    wide = (points[:, 263] - points[:, 33]).norm(dim=1) / _CORNERS_APART
    high = (points[:, 152] - points[:, 168]).norm(dim=1) / 1.835
    return torch.maximum(wide, 0.9 * high).clamp(min=1e-6)
