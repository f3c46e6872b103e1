"""The face analyser over a pack, and identities from pictures."""

from pathlib import Path

import pytest
import torch
from torch import Generator

from portraittalk_core.avatars.landmarks import landmarks
from portraittalk_core.avatars.parameters import (
    pack,
    sample_attributes,
    sample_expression,
    sample_identity,
    sample_light,
    sample_pose,
)
from portraittalk_core.avatars.render import render
from portraittalk_core.errors import BadInput, NoFaceFound, WeightsMismatch
from portraittalk_core.perception import face
from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.perception.identity import JAW_CENTRE, JAW_WIDTH, frame, identify
from portraittalk_core.types import Face

PACK = Path(face.__file__).parents[1] / "assets" / "tiny" / "faces"


def portraits(count, seed=91):
    generator = Generator().manual_seed(seed)
    samplers = (sample_identity, sample_attributes, sample_expression, sample_pose, sample_light)
    rows = torch.stack([pack(*(sample(generator) for sample in samplers)) for _ in range(count)])
    return render(rows), landmarks(rows)


@pytest.fixture(scope="module")
def analyser():
    pytest.importorskip("insightface", reason="insightface is not installed: pip install insightface onnxruntime")
    return FaceAnalyser(PACK)


@pytest.fixture(scope="module")
def people():
    return portraits(3)


def test_insightface_itself_loads_the_pack():
    app = pytest.importorskip("insightface.app", reason="insightface is not installed: pip install insightface")
    analysis = app.FaceAnalysis(name=str(PACK), providers=["CPUExecutionProvider"])
    assert set(analysis.models) == {"detection", "landmark_3d_68", "landmark_2d_106", "recognition"}


def test_the_face_of_each_portrait_is_found_with_its_landmarks(analyser, people):
    pixels, truth = people
    for picture, points in zip(pixels, truth):
        (found,) = analyser.find(picture)
        expected = (points + 1) * 128
        error = (found.landmarks - expected).norm(dim=1)
        assert error.mean() < 2.5 and error[48:].mean() < 2
        assert found.box[0] < expected[36, 0] and found.box[2] > expected[45, 0] and found.score >= 0.8
        assert found.embedding.norm().item() == pytest.approx(1, abs=1e-4)


def test_a_larger_picture_gives_larger_coordinates(analyser, people):
    picture, points = people[0][0], people[1][0]
    large = torch.nn.functional.interpolate(picture[None], (1400, 1400), mode="bilinear")[0]
    (found,) = analyser.find(large)
    assert (found.landmarks / 700 - 1 - points).norm(dim=1).mean() < 3 / 128


def test_one_person_is_more_like_itself_than_others(analyser):
    generator = Generator().manual_seed(5)
    people = [sample_identity(generator) for _ in range(3)]
    moving = (sample_attributes, sample_expression, sample_pose, sample_light)
    rows = torch.stack([pack(who, *(sample(generator) for sample in moving)) for _ in range(2) for who in people])
    vectors = torch.stack([analyser.find(picture)[0].embedding for picture in render(rows)])
    alike = vectors[:3] @ vectors[3:].T
    assert alike.argmax(1).tolist() == [0, 1, 2]


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_a_blank_picture_has_no_face(analyser, level):
    with pytest.raises(NoFaceFound, match="picture 2: no face was found in it. The tiny model knows rendered avatars"):
        identify([portraits(1)[0][0], torch.full((3, 200, 300), level)], analyser)


def test_the_largest_face_comes_first_and_others_by_number(analyser, people):
    first, second = people[0][0], people[0][1]
    small = torch.nn.functional.interpolate(second[None], (160, 160), mode="area")[0]
    both = torch.full((3, 256, 430), 0.6)
    both[:, :, :256], both[:, 60:220, 265:425] = first, small
    faces = analyser.find(both)
    assert len(faces) == 2 and faces[0].box[2] < 256 < faces[1].box[0]
    largest, chosen = (identify([both], analyser, face=number) for number in (None, 2))
    assert torch.equal(largest.embeddings[0], faces[0].embedding)
    assert torch.equal(chosen.embeddings[0], faces[1].embedding)
    with pytest.raises(NoFaceFound, match="got 3 and there are 2 faces"):
        identify([both], analyser, face=3)


def test_several_pictures_give_several_references(analyser, people):
    identity = identify(list(people[0][:2]), analyser)
    assert identity.embeddings.shape == (2, 512)
    assert identity.crops.shape == (2, 3, 256, 256)
    assert identity.landmarks.shape == (2, 70, 2)
    irises = identity.landmarks[:, 68:]
    assert (irises - people[1][:2, 68:]).norm(dim=-1).max() < 4 / 128


def test_a_portrait_framed_as_in_training_comes_back_unchanged(people):
    picture, points = people[0][0], people[1][0]
    crop, marks = frame(picture, (points + 1) * 128, 256)
    assert torch.equal(crop, picture) and torch.allclose(marks, points, atol=1e-5)


def test_a_small_head_is_cut_out_at_its_usual_size(people):
    picture, points = people[0][0], people[1][0]
    wide = torch.full((3, 600, 900), -1.0)
    wide[:, 300:556, 600:856] = picture
    crop, marks = frame(wide, (points + 1) * 128 + torch.tensor([600.0, 300.0]), 256)
    jaw = marks[[0, 16]]
    assert (jaw[1] - jaw[0]).norm().item() == pytest.approx(JAW_WIDTH, rel=0.02)
    assert jaw.mean(0).tolist() == pytest.approx(list(JAW_CENTRE), abs=0.02)
    assert crop.shape == (3, 256, 256)


def test_beyond_the_edge_the_edge_is_repeated(people):
    picture = people[0][0].clone()
    picture[:, :, 0] = 0.25
    landmarks_px = (people[1][0] * 0.9 + 1) * 128 - torch.tensor([90.0, 0.0])
    crop, _ = frame(picture, landmarks_px, 256)
    assert torch.all(crop[:, :, :10] == 0.25)


class Nobody:
    hint = "Try another."

    def find(self, pixels):
        return []


class Somebody(Nobody):
    def find(self, pixels):
        return [Face(torch.tensor([0.0, 0, 9, 9]), torch.rand(70, 2) * 9, 0.9, torch.eye(512)[0])]


def test_wrong_arguments_are_named():
    with pytest.raises(BadInput, match="`pictures` must hold at least one picture"):
        identify([], Nobody())
    with pytest.raises(BadInput, match="`face` must be 1 .* but got 0"):
        identify([torch.zeros(3, 9, 9)], Nobody(), face=0)
    with pytest.raises(NoFaceFound, match="^picture 1: no face was found in it. Try another.$"):
        identify([torch.zeros(3, 9, 9)], Nobody())
    with pytest.raises(NoFaceFound, match="got 2 and there is 1 face"):
        identify([torch.zeros(3, 9, 9)], Somebody(), face=2)


def test_a_folder_that_is_no_pack_is_named(tmp_path):
    with pytest.raises(WeightsMismatch, match="holds none. Give the folder that holds the files"):
        FaceAnalyser(tmp_path).find(torch.zeros(3, 64, 64))
