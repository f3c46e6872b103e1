"""A head in space, seen by a camera: where the points of a face are for an expression and a turn of the head.

A linear model of shapes with ARKit's blendshapes, as morphable models of faces are (Blanz and Vetter 1999), about a
neck and before a pinhole camera. Its numbers are taken from rendered people; see `training.motion.structure`.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..perception.contact import keep_apart
from ..topology import STEADY
from ..types import COEFFICIENTS, LANDMARKS

ANGLES = 3
_CLOSE, _JAW = COEFFICIENTS.index("mouthClose"), COEFFICIENTS.index("jawOpen")
_PUCKER, _FUNNEL = COEFFICIENTS.index("mouthPucker"), COEFFICIENTS.index("mouthFunnel")
_GAIN_REACH, _PIVOT_REACH = 0.5, 0.3


class HeadModel(nn.Module):
    """A head whose shape is a code; everything else is fixed numbers.

    Head coordinates: the middle of the steady points of the head at rest is the origin, x to the right of the picture,
    y down, z towards the camera; in the plane of the origin a unit is one of the picture's at the usual framing.

    Args:
        shapes: How many directions in which shapes differ.
    """

    mean: Tensor
    """The mean head [478, 3]."""
    shapes: Tensor
    """What a unit of the code adds [shapes, 478, 3]."""
    actions: Tensor
    """What each blendshape adds where it is 1 [52, 478, 3]."""
    powers: Tensor
    """To which power each blendshape is raised [52]."""
    pivot: Tensor
    """About what heads turn [3]."""
    nearness: Tensor
    """One over the usual distance of the camera."""

    def __init__(self, shapes: int = 40) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(LANDMARKS, 3))
        self.register_buffer("shapes", torch.zeros(shapes, LANDMARKS, 3))
        self.register_buffer("actions", torch.zeros(len(COEFFICIENTS), LANDMARKS, 3))
        self.register_buffer("powers", torch.ones(len(COEFFICIENTS)))
        self.register_buffer("pivot", torch.zeros(3))
        self.register_buffer("nearness", torch.tensor(0.3))

    @property
    def code_size(self) -> int:
        """How many numbers make a head: shape, gain of each blendshape, pivot and nearness of the camera."""
        return len(self.shapes) + len(COEFFICIENTS) + 3 + 1

    def forward(
        self, code: Float[Tensor, "n code"], blendshapes: Float[Tensor, "n 52"], angles: Float[Tensor, "n 3"]
    ) -> Float[Tensor, "n 478 2"]:
        """Return where the points are seen, roll undone.

        Args:
            code: Whose head it is; 0 is the mean.
            blendshapes: The expression.
            angles: Yaw, pitch and roll, radians, signs as in `types.POSE`.
        """
        shape, gains, pivot, near = code.split([len(self.shapes), len(COEFFICIENTS), 3, 1], 1)
        still = self.mean + torch.einsum("nk,kpc->npc", shape, self.shapes)
        driven = self.drive(blendshapes) * (_GAIN_REACH * gains).exp()
        points = still + torch.einsum("nk,kpc->npc", driven, self.actions)
        centre = (self.pivot + _PIVOT_REACH * pivot)[:, None]
        return keep_apart(before_camera(points, angles, centre, self.nearness * near.exp()))

    def drive(self, blendshapes: Float[Tensor, "n 52"]) -> Float[Tensor, "n 52"]:
        """Return how far each action goes.

        Lips close no further than the jaw opens, and `mouthFunnel` takes the place of `mouthPucker`, as in people.

        Args:
            blendshapes: In any range; [0, 1] counts.
        """
        clipped = blendshapes.clamp(0, 1)
        row = clipped.clone()
        row[:, _CLOSE] = torch.minimum(clipped[:, _CLOSE], clipped[:, _JAW])
        row[:, _PUCKER] = clipped[:, _PUCKER] * (1 - clipped[:, _FUNNEL].clamp(min=1e-6) ** self.powers[_FUNNEL])
        return row.clamp(min=1e-6) ** self.powers


class Neck(nn.Module):
    """Where the middle of a face goes and how large it looks when the mean head turns: what arithmetic takes out.

    A head turns about its neck, so its face moves sideways as it turns; without this, every turn would have to say so.
    """

    steady: Tensor
    """Steady points of the mean head [k, 3], as `HeadModel.mean` has them."""
    pivot: Tensor
    """About what heads turn [3]."""
    nearness: Tensor
    """One over the usual distance of the camera."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("steady", torch.randn(len(STEADY), 3, generator=torch.Generator().manual_seed(0)))
        self.register_buffer("pivot", torch.zeros(3))
        self.register_buffer("nearness", torch.tensor(0.3))

    def forward(self, angles: Float[Tensor, "n 3"]) -> tuple[Float[Tensor, "n 2"], Float[Tensor, "n"]]:
        """Return middle and size of the steady points in head coordinates, roll undone.

        Args:
            angles: Yaw, pitch and roll, radians, signs as in `types.POSE`.
        """
        seen = before_camera(self.steady[None], angles, self.pivot[None, None], self.nearness)
        middle = seen.mean(1)
        return middle, (seen - middle[:, None]).square().sum(2).mean(1).clamp(min=1e-8).sqrt()


def before_camera(
    points: Float[Tensor, "#n k 3"], angles: Float[Tensor, "n 3"], pivot: Float[Tensor, "#n 1 3"], nearness: Tensor
) -> Float[Tensor, "n k 2"]:
    """Turn points of heads about their necks and see them, roll undone.

    Args:
        points: In head coordinates.
        angles: Radians, signs as in `types.POSE`.
        pivot: Of each neck.
        nearness: One over the distance of the camera, for all or for each [n, 1].
    """
    turned = (points - pivot) @ rotation(angles).mT + pivot
    depth = (1 - turned[..., 2] * nearness).clamp(min=0.1)
    return turn(turned[..., :2] / depth[..., None], -angles[:, 2])


def rotation(angles: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Return the rotation of heads in head coordinates (y down).

    Args:
        angles: Yaw to the right of the picture, pitch down and roll clockwise as the viewer sees it, radians.
    """
    (cy, cp, cr), (sy, sp, sr) = angles.cos().unbind(1), angles.sin().unbind(1)
    zero, one = torch.zeros_like(cy), torch.ones_like(cy)
    yaw = torch.stack([cy, zero, sy, zero, one, zero, -sy, zero, cy], 1).view(-1, 3, 3)
    pitch = torch.stack([one, zero, zero, zero, cp, sp, zero, -sp, cp], 1).view(-1, 3, 3)
    roll = torch.stack([cr, -sr, zero, sr, cr, zero, zero, zero, one], 1).view(-1, 3, 3)
    return yaw @ pitch @ roll


def turn(points: Float[Tensor, "n k 2"], angle: Float[Tensor, "n"]) -> Float[Tensor, "n k 2"]:
    """Turn points about the origin, clockwise as the viewer sees it (y down).

    Args:
        points: Of each face.
        angle: For each face, radians.
    """
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    x, y = points[..., 0], points[..., 1]
    return torch.stack([x * cos - y * sin, x * sin + y * cos], -1)
