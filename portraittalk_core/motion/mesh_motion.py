"""Move a face mesh in space and see where its points are in the picture: AniPortrait's motion space.

The expression of a frame is 468 offsets, in centimetres, from the mesh of the reference face; its pose is a rotation
and a shift before the pose that the reference has. The arithmetic is AniPortrait's (github.com/Zejun-Yang/AniPortrait),
with one camera for taking the mesh out of the picture and for putting it back, so that no motion gives the reference.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..errors import BadInput
from ..perception.framing import SIZE
from ..perception.metric_mesh import POINTS, CanonicalFace, metric_face, project
from ..topology import STEADY
from ..types import FaceMotion
from .head_model import HeadModel

_REFINED = 478

REACH_CM = 19.0
"""Half of what a picture shows at the distance of a head of 17 cm that fills 0.45 of it, as `mesh_identity` frames."""

_UPPER_LIP, _LOWER_LIP = 13, 14
"""The middle of the inner lips in the mesh."""

_EYES = ((33, 133, range(468, 473)), (362, 263, range(473, 478)))
"""Outer and inner corner of each eye in the mesh, and the points of its iris."""


@dataclass(frozen=True)
class MeshMotion:
    """How a face mesh moves."""

    offsets: Float[Tensor, "frames 468 3"]
    """The expression: by how much each point leaves its place in the reference, in centimetres, in the space of the
    canonical face, where x is right as the viewer sees it, y up and z towards the viewer."""
    pose: Float[Tensor, "frames 6"]
    """Rotation about x, y and z in degrees (in this order, about axes that stand still), then a shift in centimetres;
    both come before the pose that the reference has."""
    fps: float
    """Frames a second."""

    @property
    def frame_count(self) -> int:
        """How many frames it lasts."""
        return len(self.offsets)

    @property
    def mouth_opening(self) -> Float[Tensor, "frames"]:
        """By how many centimetres the inner lips part in each frame, beyond the reference's."""
        return self.offsets[:, _UPPER_LIP, 1] - self.offsets[:, _LOWER_LIP, 1]


@dataclass(frozen=True)
class MeshMaps:
    """Where the moving face's points are in the picture."""

    landmarks: Float[Tensor, "frames 478 2"]
    """x and y as shares of the square picture."""
    fps: float
    """Frames a second."""


def mesh_maps(motion: MeshMotion, reference: Float[Tensor, "478 3"], canonical: CanonicalFace) -> MeshMaps:
    """Return the points of the reference face in motion.

    Irises are in no mesh: they keep their place between the corners of the eye.

    Args:
        motion: How the face moves.
        reference: Its points, as shares of a square picture, with depth.
        canonical: The face that meshes are compared with.

    Raises:
        BadInput: When motion or reference have another form, or the motion moves the face behind the camera.
    """
    frames = len(motion.offsets)
    if not frames or motion.offsets.shape[1:] != (POINTS, 3) or tuple(motion.pose.shape) != (frames, 6):
        raise BadInput(
            f"`motion` must have offsets [frames, {POINTS}, 3] and poses [frames, 6], but got "
            f"{list(motion.offsets.shape)} and {list(motion.pose.shape)}. Move the face with a mesh network."
        )
    if tuple(reference.shape) != (_REFINED, 3):
        raise BadInput(f"`reference` must be [{_REFINED}, 3] points of a face mesh, but got {list(reference.shape)}.")
    face = metric_face(reference, 1, 1, canonical)
    moved = pose_matrix(motion.pose.double())
    matrix = face.matrix.double() @ moved
    points = (face.mesh.double() + motion.offsets.double().cpu()) @ matrix[:, :3, :3].mT + matrix[:, None, :3, 3]
    if bool((points[..., 2] > -1e-3).any()):
        raise BadInput("`motion` must leave the face before the camera, but shifts it behind. Weaken the head motion.")
    flat = project(points.flatten(0, 1), 1, 1).unflatten(0, (frames, POINTS)).float()
    return MeshMaps(torch.cat([flat, _irises(flat, reference[:, :2].float())], 1), motion.fps)


def mesh_motion(
    motion: FaceMotion, reference: Float[Tensor, "1 52"], head: HeadModel, canonical: CanonicalFace
) -> MeshMotion:
    """Say a motion of ARKit's blendshapes as one of the mesh.

    Each blendshape moves the mesh as it moves the mean head of the structure networks, which is as large as the
    canonical face. Gaze is lost: irises are in no mesh.

    Args:
        motion: How the face moves.
        reference: The expression that the reference has, from which offsets count.
        head: The head.
        canonical: The face that meshes are compared with.
    """
    steady = canonical.vertices[list(STEADY), :2]
    size = (steady - steady.mean(0)).square().sum(1).mean().sqrt()
    actions = head.actions[:, :POINTS].cpu() * (size / SIZE) * torch.tensor([1.0, -1.0, 1.0])
    strength = head.drive(motion.coefficients.to(head.powers)) - head.drive(reference.to(head.powers))
    offsets = torch.einsum("fk,kpc->fpc", strength.cpu(), actions)
    return MeshMotion(offsets, prior_to_pose(motion.pose), motion.fps)


def pose_matrix(pose: Float[Tensor, "n 6"]) -> Float[Tensor, "n 4 4"]:
    """Return the matrices of poses.

    Args:
        pose: As `MeshMotion.pose`: x first, then y, then z, about axes that stand still, then the shift.
    """
    x, y, z = torch.deg2rad(pose[:, :3]).unbind(1)
    matrix = torch.eye(4, dtype=pose.dtype).repeat(len(pose), 1, 1)
    matrix[:, :3, :3] = _turn(z, 0, 1) @ _turn(y, 2, 0) @ _turn(x, 1, 2)
    matrix[:, :3, 3] = pose[:, 3:]
    return matrix


def prior_to_pose(pose: Float[Tensor, "frames 6"], reach_cm: float = REACH_CM) -> Float[Tensor, "frames 6"]:
    """Return head movements around rest as poses of a mesh.

    Yaw, pitch and roll turn about the head's own axes; x and y become shifts. The scale, a constant here, is left out.

    Args:
        pose: Columns and units of `types.POSE`.
        reach_cm: Half of what is seen at the head's distance, centimetres.

    Returns:
        Poses as `MeshMotion.pose` has them, on the CPU.
    """
    yaw, pitch, roll, x, y, _ = pose.cpu().unbind(1)
    turned = torch.rad2deg(torch.stack([pitch, yaw, -roll], 1))
    return torch.cat([turned, torch.stack([x * reach_cm, -y * reach_cm, torch.zeros_like(x)], 1)], 1)


def _turn(angle: Float[Tensor, "n"], first: int, second: int) -> Float[Tensor, "n 3 3"]:
    """Return rotations that take the first axis towards the second."""
    matrix = torch.eye(3, dtype=angle.dtype).repeat(len(angle), 1, 1)
    matrix[:, first, first] = matrix[:, second, second] = angle.cos()
    matrix[:, second, first], matrix[:, first, second] = angle.sin(), -angle.sin()
    return matrix


def _irises(points: Float[Tensor, "frames 468 2"], reference: Float[Tensor, "478 2"]) -> Float[Tensor, "frames 10 2"]:
    """Carry the irises along: the similarity that moves the corners of an eye moves its iris."""
    seen, rest = torch.view_as_complex(points.contiguous()), torch.view_as_complex(reference.contiguous())
    moved = []
    for outer, inner, iris in _EYES:
        place = (rest[list(iris)] - rest[outer]) / (rest[inner] - rest[outer])
        moved.append(seen[:, outer, None] + place * (seen[:, inner] - seen[:, outer])[:, None])
    return torch.view_as_real(torch.cat(moved, 1))
