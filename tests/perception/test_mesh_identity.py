"""Who is in photographs: framing, choosing, and MediaPipe itself where it is installed."""

import importlib.util

import pytest
import torch

from portraittalk_core.checkpoints import native as weights
from portraittalk_core.errors import BadInput, MissingExtra, NoFaceFound, WeightsMismatch
from portraittalk_core.media.image import read_image
from portraittalk_core.perception.face_mesh import FaceMesher, _distinct, _tiles
from portraittalk_core.perception.mesh_identity import FACE_SHARE, frame_portrait, identify_mesh
from portraittalk_core.types import Face

from ..real_files import PHOTOGRAPHS, TASK, WITH_MEDIAPIPE, WITH_PHOTOGRAPHS


def face(x, y, tall):
    """Points of a face, `tall` pixels high, around a place in the picture."""
    points = torch.rand(478, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    points[0, :2], points[1, :2] = torch.tensor([0.0, -0.5]), torch.tensor([0.0, 0.5])
    return points * torch.tensor([0.8 * tall, tall, tall]) + torch.tensor([x, y, 0.0])


class Finds:
    hint = "Look closer."

    def __init__(self, faces):
        self.faces = faces

    def find(self, pixels):
        return self.faces


def seen(x, y, half, number):
    embedding = torch.zeros(512)
    embedding[number] = 1.0
    landmarks = torch.zeros(70, 2)
    for row, place in {68: (-0.3, -0.3), 69: (0.3, -0.3), 30: (0, 0), 48: (-0.25, 0.4), 54: (0.25, 0.4)}.items():
        landmarks[row] = torch.tensor([x, y]) + half * torch.tensor(place)
    return Face(torch.tensor([x - half, y - half, x + half, y + half]).float(), landmarks, 0.9, embedding)


def test_a_well_framed_square_stays_whole_and_others_are_cut_inside_the_picture():
    picture = torch.rand(3, 200, 200) * 2 - 1
    crop, points = frame_portrait(picture, face(100, 100, 100), 200)
    assert torch.equal(crop, picture) and torch.allclose(points * 200, face(100, 100, 100), atol=1e-4)
    wide = torch.rand(3, 300, 500) * 2 - 1
    for x, y in ((40, 60), (480, 280), (250, 150)):
        crop, points = frame_portrait(wide, face(x, y, 90), 128)
        tall = points[:, 1].max() - points[:, 1].min()
        assert crop.shape == (3, 128, 128) and float(tall) == pytest.approx(FACE_SHARE, abs=0.01)
        assert points[0, 2] == pytest.approx(float(face(x, y, 90)[0, 2]) / 200, abs=1e-4)
    far = face(250, 150, 290)  # nearly as tall as the picture: all of its height, and no more
    assert frame_portrait(wide, far, 64)[1][:, 1].max() <= 1.01


def test_the_largest_or_the_asked_for_face_and_its_own_embedding():
    faces = [face(60, 60, 80), face(200, 120, 40)]
    pack = Finds([seen(200, 120, 25, 1), seen(60, 60, 50, 0)])
    picture = torch.zeros(3, 240, 320)
    one = identify_mesh([picture], Finds(faces), pack, size=64)
    assert one.embeddings.argmax(1).tolist() == [0] and one.faces.shape == (1, 3, 224, 224)
    assert identify_mesh([picture], Finds(faces), pack, face=2, size=64).embeddings.argmax(1).tolist() == [1]
    bare = identify_mesh([picture, picture], Finds(faces), size=64)
    assert bare.embeddings is None and bare.crops.shape == (2, 3, 64, 64) and bare.landmarks.shape == (2, 478, 3)


def test_what_cannot_be_found_is_one_line():
    picture = torch.zeros(3, 240, 320)
    with pytest.raises(NoFaceFound, match="picture 1: no face was found in it. Look closer"):
        identify_mesh([picture], Finds([]))
    with pytest.raises(NoFaceFound, match="at most the number of faces, 1, but got 3"):
        identify_mesh([picture], Finds([face(60, 60, 80)]), face=3)
    with pytest.raises(NoFaceFound, match="a face that insightface does not"):
        identify_mesh([picture], Finds([face(60, 60, 80)]), Finds([seen(200, 120, 25, 1)]))
    with pytest.raises(BadInput, match="at least one"):
        identify_mesh([], Finds([]))


def test_tiles_cover_the_picture_and_a_face_in_two_tiles_is_one():
    covered = torch.zeros(800, 1200)
    for top, left, side in _tiles(800, 1200):
        covered[top : top + side, left : left + side] += 1
    assert covered.min() >= 1 and not list(_tiles(200, 300))
    kept = _distinct([face(100, 100, 90), face(104, 98, 88), face(300, 100, 60)])
    assert [round(float(f[:, 0].mean()), -1) for f in kept] == [100, 300]


@pytest.mark.skipif(importlib.util.find_spec("mediapipe") is not None, reason="mediapipe is installed")
def test_without_mediapipe_the_command_that_installs_it_is_named(tmp_path):
    with pytest.raises(MissingExtra, match="pip install 'mediapipe"):
        FaceMesher(tmp_path / "a.task").find(torch.zeros(3, 64, 64))


@WITH_MEDIAPIPE
def test_mediapipe_finds_the_face_of_a_picture(tmp_path):
    mesher = FaceMesher(TASK)
    (points,) = mesher.find(read_image(weights.ASSETS / "portrait.png"))
    assert points.shape == (478, 3) and 60 < points[:, 1].max() - points[:, 1].min() < 256
    assert mesher.find(torch.zeros(3, 300, 300)) == []
    mesher.close()
    (tmp_path / "bad.task").write_bytes(b"no landmarker")
    for path in (tmp_path / "bad.task", tmp_path / "none.task"):
        with pytest.raises(WeightsMismatch, match=r"is no face landmarker|no such file"):
            FaceMesher(path).find(torch.zeros(3, 64, 64))


@WITH_MEDIAPIPE
@pytest.mark.slow
@WITH_PHOTOGRAPHS
def test_every_photograph_is_handled(capsys):
    mesher = FaceMesher(TASK)
    counts = {f.name[:3]: len(mesher.find(read_image(f))) for f in sorted(PHOTOGRAPHS.iterdir()) if f.name[0] == "p"}
    mesher.close()
    with capsys.disabled():
        print(f"\nfaces: {counts}")
    assert counts.pop("p09") == 0 and counts.pop("p08") >= 10  # no face; a group of 29, of whom tiles find most
    profile = counts.pop("p04")  # a small profile: found or not, never a crash
    assert profile in (0, 1) and min(counts.values()) >= 1
