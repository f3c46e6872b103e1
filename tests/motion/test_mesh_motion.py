"""A mesh in motion: rest gives the reference back, and rotations are scipy's."""

import math

import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.motion.arkit import blendshapes
from portraittalk_core.motion.head_model import HeadModel, rotation
from portraittalk_core.motion.mesh_motion import MeshMotion, mesh_maps, mesh_motion, pose_matrix, prior_to_pose
from portraittalk_core.perception.framing import SIZE
from portraittalk_core.perception.metric_mesh import CanonicalFace, metric_face, project
from portraittalk_core.topology import STEADY
from portraittalk_core.types import COEFFICIENTS, POSE, FaceMotion


@pytest.fixture
def canonical():
    generator = torch.Generator().manual_seed(3)
    vertices = torch.randn(468, 3, generator=generator) * torch.tensor([5.0, 7.0, 3.0])
    weights = torch.zeros(468)
    weights[torch.randperm(468, generator=generator)[:33]] = torch.rand(33, generator=generator) + 0.01
    return CanonicalFace(vertices, weights)


@pytest.fixture
def reference(canonical):
    """The canonical face seen by the camera, 40 cm away and turned, with irises between the corners of the eyes."""
    turned = pose_matrix(torch.tensor([[5.0, -12.0, 3.0, 1.0, 0.5, -40.0]]).double())[0]
    points = canonical.vertices.double() @ turned[:3, :3].T + turned[:3, 3]
    depth = -points[:, 2] / (40 * math.tan(math.radians(31.5)) * 2)
    flat = torch.cat([project(points, 1, 1), (depth - depth.mean())[:, None]], 1).float()
    irises = [(flat[a] + flat[b])[None].expand(5, -1) / 2 for a, b in ((33, 133), (362, 263))]
    return torch.cat([flat, *irises])


def still(frames=2):
    return MeshMotion(torch.zeros(frames, 468, 3), torch.zeros(frames, 6), 30.0)


def test_no_motion_gives_the_reference_back(canonical, reference):
    maps = mesh_maps(still(), reference, canonical)
    assert maps.landmarks.shape == (2, 478, 2) and maps.fps == 30
    torch.testing.assert_close(maps.landmarks[1], reference[:, :2], atol=1e-5, rtol=0)


def test_poses_turn_as_scipy_does():
    rotation = pytest.importorskip("scipy.spatial.transform").Rotation
    pose = torch.tensor([[10.0, -25.0, 40.0, 1.0, 2.0, 3.0], [-80.0, 5.0, 0.0, 0.0, 0.0, 0.0]]).double()
    found = pose_matrix(pose)
    expected = torch.from_numpy(rotation.from_euler("xyz", pose[:, :3].numpy(), degrees=True).as_matrix().copy())
    torch.testing.assert_close(found[:, :3, :3], expected)
    assert found[0, :3, 3].tolist() == [1, 2, 3] and found[1, 3].tolist() == [0, 0, 0, 1]


def test_offsets_and_shifts_move_points_the_way_they_say(canonical, reference):
    motion = still(3)
    motion.offsets[1, 14, 1] = 1.0  # a point up
    motion.pose[2, 3] = 1.0  # the head to the viewer's right
    moved = mesh_maps(motion, reference, canonical).landmarks - reference[:, :2]
    assert moved[1, 14, 1] < -0.01 and moved[1, [0, 100, 467]].abs().max() < 1e-5
    assert moved[2, :, 0].min() > 0.005 and moved[2, 468:, 0].min() > 0.005


def test_a_head_of_the_prior_moves_as_far_as_it_says(canonical, reference):
    rest = [0.0] * 5 + [1.0]
    pose = torch.tensor([[0.0, 0.0, 0.3, 0.1, -0.2, 1.0], rest])
    found = prior_to_pose(pose, reach_cm=20.0)
    assert found[0].tolist() == pytest.approx([0, 0, -math.degrees(0.3), 2.0, 4.0, 0]) and not found[1].any()
    # Roll is clockwise in the picture: the corner of the eye on the viewer's right goes down.
    rolled = MeshMotion(torch.zeros(1, 468, 3), prior_to_pose(torch.tensor([[0.0, 0.0, 0.1, 0.0, 0.0, 1.0]])), 25.0)
    face = metric_face(reference, 1, 1, canonical)
    right = int(face.mesh[:, 0].argmax())
    moved = mesh_maps(rolled, reference, canonical).landmarks[0] - reference[:, :2]
    assert moved[right, 1] > 0.005


@pytest.mark.parametrize(("name", "axis"), [("yaw", 0), ("pitch", 1)])
def test_a_nose_goes_where_the_nose_of_a_fitted_head_goes(canonical, reference, name, axis):
    """Both stacks turn a head to the same side."""
    pose = torch.tensor([[0.2 * (part == name) for part in POSE]])
    maps = mesh_maps(MeshMotion(torch.zeros(1, 468, 3), prior_to_pose(pose), 25.0), reference, canonical)
    middle = canonical.vertices[:, :2].norm(dim=1) < 3
    nose = int(torch.where(middle, canonical.vertices[:, 2], -99.0).argmax())
    fitted = (rotation(pose[:, :3])[0] @ torch.tensor([0.0, 0.0, 1.0]))[axis]
    assert fitted > 0.01 and (maps.landmarks[0] - reference[:, :2])[nose, axis] > 0.01


def test_blendshapes_move_the_mesh_from_what_the_reference_has(canonical):
    head = HeadModel(4)
    jaw = COEFFICIENTS.index("jawOpen")
    head.actions[jaw, 14, 1] = SIZE  # as much down as the face is large
    motion = FaceMotion(torch.zeros(3, 52), torch.tensor([[0.1, 0, 0, 0, 0, 1]]).repeat(3, 1), 25.0)
    motion.coefficients[1, jaw], motion.coefficients[2, jaw] = 0.2, 0.7
    moved = mesh_motion(motion, blendshapes(jawOpen=0.2)[None], head, canonical)
    steady = canonical.vertices[list(STEADY), :2]
    size = float((steady - steady.mean(0)).square().sum(1).mean().sqrt())
    assert moved.offsets[:, 14, 1].tolist() == pytest.approx([0.2 * size, 0.0, -0.5 * size], abs=1e-4)
    assert not moved.offsets[:, 13].any() and moved.fps == 25
    assert moved.mouth_opening.tolist() == pytest.approx([-0.2 * size, 0.0, 0.5 * size], abs=1e-4)
    assert float(moved.pose[0, 1]) == pytest.approx(math.degrees(0.1))


def test_wrong_motions_are_one_line(canonical, reference):
    with pytest.raises(BadInput, match=r"offsets \[frames, 468, 3\] and poses \[frames, 6\], but got \[2, 400, 3\]"):
        mesh_maps(MeshMotion(torch.zeros(2, 400, 3), torch.zeros(2, 6), 25.0), reference, canonical)
    far = still()
    far.pose[0, 5] = 100.0
    with pytest.raises(BadInput, match="before the camera"):
        mesh_maps(far, reference, canonical)
    with pytest.raises(BadInput, match=r"must be \[478, 3\]"):
        mesh_maps(still(), reference[:468], canonical)
