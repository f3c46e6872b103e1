"""Other finders of faces before our own recogniser."""

from pathlib import Path

import pytest
import torch

from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.perception import face
from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.perception.other_faces import MeshAnalyser, open_faces

from ..real_files import TASK, WITH_MEDIAPIPE
from ..rendered_people import portraits

PACK = Path(face.__file__).parents[1] / "assets" / "tiny" / "faces"


@pytest.fixture(autouse=True)
def _insightface():
    pytest.importorskip("insightface", reason="insightface is not installed: pip install insightface onnxruntime")


def test_without_another_the_pack_finds_faces_itself(tmp_path):
    assert isinstance(open_faces(PACK), FaceAnalyser) and open_faces(PACK).hint == face.FACE_HINT
    with pytest.raises(BadInput, match=r"`faces` must be MediaPipe's face landmarker .* but got `nothing`"):
        open_faces(PACK, "nothing")
    with pytest.raises(WeightsMismatch, match="must hold a detector"):
        open_faces(PACK, tmp_path).find(torch.zeros(3, 64, 64))


def test_the_detector_of_another_pack_finds_the_same_face():
    pixels, _ = portraits()
    own, other = (open_faces(PACK, folder).find(pixels[2]) for folder in (None, PACK))
    assert torch.allclose(own[0].landmarks, other[0].landmarks) and torch.equal(own[0].embedding, other[0].embedding)


@WITH_MEDIAPIPE
def test_mediapipe_gives_points_and_our_recogniser_says_who():
    pixels, points = portraits()
    finder = open_faces(PACK, TASK)
    assert isinstance(finder, MeshAnalyser)
    (found,) = finder.find(pixels[2])
    expected = (points[2] + 1) * 128
    apart = (expected[468] - expected[473]).norm()
    assert (found.landmarks - expected).norm(dim=1).mean() < 0.07 * apart and found.score == 1
    own = FaceAnalyser(PACK).find(pixels[2])[0]
    assert float(found.embedding @ own.embedding) > 0.8
