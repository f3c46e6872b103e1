"""The metric mesh: what must hold for any face, and MediaPipe's own matrix where it is installed."""

import math
import struct
import zipfile

import pytest
import torch

from portraittalk_core.checkpoints.face_landmarker import read_canonical_face
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.perception.metric_mesh import (
    CanonicalFace,
    metric_face,
    project,
)

from ..real_files import PHOTOGRAPHS, TASK, WITH_MEDIAPIPE, WITH_PHOTOGRAPHS


def field(number, payload):
    length, head = len(payload), bytes([number << 3 | 2])
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return head + bytes([length]) + payload


@pytest.fixture
def face():
    """A canonical face that is one only in number, the size of a head in centimetres."""
    generator = torch.Generator().manual_seed(3)
    vertices = torch.randn(468, 3, generator=generator) * torch.tensor([5.0, 7.0, 3.0])
    weights = torch.zeros(468)
    weights[torch.randperm(468, generator=generator)[:33]] = torch.rand(33, generator=generator) + 0.01
    return CanonicalFace(vertices, weights)


@pytest.fixture
def task(face, tmp_path):
    """A file laid out as MediaPipe's, packed and unpacked numbers alike."""
    rows = torch.cat([face.vertices, torch.zeros(468, 2)], 1).flatten().tolist()
    mesh = b"\x08\x00" + field(3, struct.pack("<2340f", *rows)) + field(4, b"\x01\x02\x03")
    data = field(1, mesh)
    for number in face.weights.nonzero()[:, 0].tolist():
        index = bytes([number]) if number < 128 else bytes([number & 127 | 128, number >> 7])
        data += field(2, b"\x08" + index + b"\x15" + struct.pack("<f", face.weights[number]))
    path = tmp_path / "face.task"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("geometry_pipeline_metadata_landmarks.binarypb", data)
    return path


def seen(face, angle, depth, width, height):
    """Landmarks of the canonical face turned and pushed away: exact in x and y, with a depth as MediaPipe's."""
    turn = torch.tensor([[math.cos(angle), 0, math.sin(angle)], [0, 1, 0], [-math.sin(angle), 0, math.cos(angle)]])
    points = face.vertices @ turn.T + torch.tensor([2.0, -1.0, -depth])
    pixels = project(points, width, height) / torch.tensor([width, height])
    near_wide = 2 * math.tan(math.radians(31.5)) * width / height
    relative = -(points[:, 2] + depth) / depth / near_wide
    return torch.cat([pixels, relative[:, None]], 1), points, turn


def test_the_canonical_face_comes_out_of_the_file(task, face, tmp_path):
    found = read_canonical_face(task)
    assert torch.equal(found.vertices, face.vertices) and torch.equal(found.weights, face.weights)
    with zipfile.ZipFile(tmp_path / "bad.task", "w") as archive:
        archive.writestr("geometry_pipeline_metadata_landmarks.binarypb", field(1, field(3, b"\0" * 8)))
    (tmp_path / "no.task").write_bytes(b"no zip")
    for name, message in (("bad.task", "2 numbers instead of 2340"), ("no.task", "not a zip"), ("gone.task", "gone")):
        with pytest.raises(WeightsMismatch, match=f"must be MediaPipe's face landmarker.*{message}"):
            read_canonical_face(tmp_path / name)


@pytest.mark.parametrize("width, height", [(512, 512), (640, 360)])
def test_a_face_far_away_is_found_where_it_is(face, width, height):
    landmarks, _, turn = seen(face, 0.4, 400.0, width, height)
    found = metric_face(landmarks, width, height, face)
    torch.testing.assert_close(found.matrix[:3, :3], turn, atol=0.02, rtol=0)
    assert float(found.matrix[:3, 0].norm()) == pytest.approx(1, abs=1e-3)
    placed = found.mesh @ found.matrix[:3, :3].T + found.matrix[:3, 3]
    assert placed[:, 2].max() < 0 and float(placed[:, 2].mean()) == pytest.approx(-400, rel=0.02)
    assert float((found.mesh - face.vertices).abs().mean()) < 0.25
    expected = landmarks[:, :2] * torch.tensor([width, height])
    torch.testing.assert_close(project(placed, width, height), expected, atol=2e-3, rtol=0)


def test_points_without_depth_are_refused(face):
    for shape in ((468, 2), (467, 3)):
        with pytest.raises(BadInput, match=r"must be \[468 or more, 3\], but got"):
            metric_face(torch.zeros(shape), 8, 8, face)


@pytest.mark.parity
@WITH_MEDIAPIPE
@WITH_PHOTOGRAPHS
def test_the_matrix_is_mediapipes_own_on_photographs(capsys):
    vision = pytest.importorskip("mediapipe.tasks.python.vision", reason="mediapipe is not installed")
    import mediapipe
    import numpy as np
    from mediapipe.tasks.python import BaseOptions
    from PIL import Image

    canonical = read_canonical_face(TASK)
    options = vision.FaceLandmarkerOptions(
        base_options=BaseOptions(model_asset_path=TASK), output_facial_transformation_matrixes=True, num_faces=4
    )
    count = 0
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for path in sorted(PHOTOGRAPHS.iterdir()):
            picture = np.ascontiguousarray(Image.open(path).convert("RGB"))  # MediaPipe takes neither grey nor alpha
            image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=picture)
            result = landmarker.detect(image)
            for points, matrix in zip(result.face_landmarks, result.facial_transformation_matrixes, strict=True):
                landmarks = torch.tensor([[p.x, p.y, p.z] for p in points])
                found = metric_face(landmarks, image.width, image.height, canonical)
                difference = float((found.matrix - torch.from_numpy(matrix).float()).abs().max())
                placed = found.mesh @ found.matrix[:3, :3].T + found.matrix[:3, 3]
                pixels = landmarks[:468, :2] * torch.tensor([image.width, image.height])
                away = float((project(placed, image.width, image.height) - pixels).abs().max())
                with capsys.disabled():
                    print(f"\n{path.name}: max difference of the matrix {difference:.1e}, reprojection {away:.1e} px")
                assert difference < 2e-3 and away < 1e-2
                count += 1
    assert count
