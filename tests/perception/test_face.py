"""The face analyser over a pack, and identities from pictures."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from portraittalk_core import topology
from portraittalk_core.errors import BadInput, NoFaceFound, WeightsMismatch
from portraittalk_core.perception import face
from portraittalk_core.perception.face import FaceAnalyser
from portraittalk_core.perception.face_geometry import (
    ARCFACE_POINTS,
    cut,
    five_points,
    move,
    similarity,
    upright_square,
)
from portraittalk_core.perception.face_search import FaceSearch, tiles
from portraittalk_core.perception.identity import identify
from portraittalk_core.types import Face

from ..rendered_people import portraits

PACK = Path(face.__file__).parents[1] / "assets" / "tiny" / "faces"
LIPS = [*topology.OUTER_LIPS, *topology.INNER_LIPS]


@pytest.fixture(scope="module")
def analyser():
    pytest.importorskip("insightface", reason="insightface is not installed: pip install insightface onnxruntime")
    return FaceAnalyser(PACK)


@pytest.fixture(scope="module")
def people():
    return portraits()


def errors(found, expected):
    apart = (expected[topology.IRISES[0]] - expected[topology.IRISES[1]]).norm()
    return (found.landmarks - expected).norm(dim=1) / apart


def test_insightface_itself_loads_the_pack():
    app = pytest.importorskip("insightface.app", reason="insightface is not installed: pip install insightface")
    analysis = app.FaceAnalysis(name=str(PACK), providers=["CPUExecutionProvider"])
    assert set(analysis.models) == {"detection", "landmark_2d_478", "recognition"}


def test_insightface_itself_finds_points_and_embeds(people):
    app = pytest.importorskip("insightface.app", reason="insightface is not installed: pip install insightface")
    analysis = app.FaceAnalysis(name=str(PACK), providers=["CPUExecutionProvider"])
    analysis.prepare(ctx_id=-1, det_size=(256, 256))
    picture = ((people[0][2] + 1) * 127.5).byte().permute(1, 2, 0).numpy()[..., ::-1]
    (found,) = analysis.get(np.ascontiguousarray(picture))
    expected = ((people[1][2] + 1) * 128).numpy() - 0.5
    apart = np.linalg.norm(expected[468] - expected[473])
    assert np.linalg.norm(found.landmark_2d_478 - expected, axis=1).mean() < 0.08 * apart
    assert np.linalg.norm(found.kps - five_points(expected), axis=1).mean() < 0.12 * apart
    assert found.embedding.shape == (512,)


def test_the_face_of_each_portrait_is_found_with_its_landmarks(analyser, people):
    for picture, points in zip(*people):
        (found,) = analyser.find(picture)
        expected = (points + 1) * 128
        off = errors(found, expected)
        assert found.landmarks.shape == (478, 2)
        assert off.mean() < 0.06 and off[LIPS].mean() < 0.05 and off[list(topology.IRISES)].mean() < 0.05
        low, high = expected.amin(0), expected.amax(0)
        assert (found.box - torch.cat([low, high])).abs().max() < 12 and found.score >= face.THRESHOLD
        assert found.embedding.norm().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("degrees", [-25, 25])
def test_a_head_that_leans_is_found(analyser, people, degrees):
    turn = np.radians(degrees)
    matrix = torch.tensor([[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0]], dtype=torch.float32)
    grid = F.affine_grid(matrix[None], [1, 3, 256, 256], align_corners=False)
    leaning = F.grid_sample(people[0][:1], grid, padding_mode="border", align_corners=False)[0]
    (found,) = analyser.find(leaning)
    expected = people[1][0] @ torch.linalg.inv(matrix[:, :2]).T
    assert errors(found, (expected + 1) * 128).mean() < 0.07


def test_a_larger_picture_gives_larger_coordinates(analyser, people):
    large = F.interpolate(people[0][:1], (1400, 1400), mode="bilinear")[0]
    (found,) = analyser.find(large)
    assert errors(found, (people[1][0] + 1) * 700).mean() < 0.06


def test_a_small_face_in_a_large_picture_is_found_in_a_part_of_it(analyser, people):
    scene = torch.zeros(3, 900, 1500) + torch.linspace(-0.5, 0.5, 1500)
    scene[:, 500:628, 1300:1428] = F.interpolate(people[0][2:3], (128, 128), mode="area")[0]
    found = analyser.find(scene)
    assert found
    expected = (people[1][2] + 1) * 64 + torch.tensor([1300.0, 500.0])
    assert errors(found[0], expected).mean() < 0.08


def test_smaller_faces_beside_a_large_one_are_found_in_parts_of_a_large_picture(analyser, people):
    scene = torch.zeros(3, 900, 2200) + torch.linspace(-0.5, 0.5, 2200)
    scene[:, 300:700, 100:500] = F.interpolate(people[0][:1], (400, 400), mode="bilinear")[0]
    scene[:, 500:628, 1900:2028] = F.interpolate(people[0][2:3], (128, 128), mode="area")[0]
    found = analyser.find(scene, portrait=True)
    assert [face.box[0] > 1500 for face in found] == [False, True], "the largest first"
    assert errors(found[1], (people[1][2] + 1) * 64 + torch.tensor([1900.0, 500.0])).mean() < 0.08
    identity = identify([scene], SimpleNamespace(find=partial(analyser.find, portrait=True)))
    (other,) = identity.bystanders
    middle = other.place.left + other.place.side / 2
    assert 1900 < middle < 2028 and other.landmarks.abs().max() < 1
    assert len(analyser.find(scene)) == 1, "from afar it is not seen"


def test_what_is_another_face_in_the_mirror_is_none(analyser, people, monkeypatch):
    """Heads of animals, which the detector takes for faces; videos' frames are not looked at twice."""
    (found,) = analyser.find(people[0][0], portrait=True)
    search, (picture, _) = face._search(analyser._load()), face._as_opencv(people[0][0])
    points = found.landmarks.numpy() - 0.5
    assert search._same_in_the_mirror(picture, points)
    assert not search._same_in_the_mirror(picture, points + [0.1 * (points[263] - points[33])[0], 0.0])
    monkeypatch.setattr(FaceSearch, "_same_in_the_mirror", lambda *_: False)
    assert analyser.find(people[0][0], portrait=True) == [] and len(analyser.find(people[0][0])) == 1


def test_one_person_is_more_like_itself_than_others(analyser, people):
    vectors = torch.stack([analyser.find(picture)[0].embedding for picture in people[0]])
    alike = vectors[::2] @ vectors[1::2].T
    assert alike.argmax(1).tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("level", [-1.0, 0.0, 1.0])
def test_a_blank_picture_has_no_face(analyser, people, level):
    with pytest.raises(NoFaceFound, match="picture 2: no face was found in it. Use a picture in which a person"):
        identify([people[0][0], torch.full((3, 200, 300), level)], analyser)


def test_the_largest_face_comes_first_and_others_by_number(analyser, people):
    first, second = people[0][0], people[0][2]
    small = F.interpolate(second[None], (160, 160), mode="area")[0]
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
    assert identity.landmarks.shape == (2, 478, 2)


def test_squares_hold_a_face_upright():
    generator = np.random.default_rng(0)
    points = generator.normal(size=(478, 2)).astype(np.float32) * 20 + [300, 200]
    five = move(ARCFACE_POINTS, np.array([[0.8, -0.6, 250], [0.6, 0.8, 100]], np.float32))
    matrix = upright_square(points, five, 192)
    turned = move(five, matrix)
    assert np.allclose(similarity(turned, ARCFACE_POINTS)[0, 1], 0, atol=1e-5)
    inside = move(points, matrix)
    assert np.allclose(inside.max(0).max() - inside.min(0).min(), 128, atol=64) and (inside > 0).all()


@pytest.mark.parametrize("times", [1, 3, 7])
def test_a_cut_that_shrinks_keeps_places(times):
    picture = np.zeros((420, 420, 3), np.uint8)
    picture[200 : 200 + 4 * times, 100 : 100 + 4 * times] = 255
    middle = np.array([100, 200]) + (4 * times - 1) / 2
    scale = 1 / times
    matrix = np.array([[scale, 0, 30 - scale * middle[0]], [0, scale, 30 - scale * middle[1]]], np.float32)
    found = cut(picture, matrix, 60)[..., 0].astype(float)
    y, x = np.mgrid[0:60, 0:60]
    assert (x * found).sum() / found.sum() == pytest.approx(30, abs=0.1)
    assert (y * found).sum() / found.sum() == pytest.approx(30, abs=0.1)


def test_who_it_is_does_not_hang_on_where_the_picture_ends(analyser, people):
    margin = 60
    for picture, points in zip(people[0][::2], people[1][::2]):
        top = int(((points[:, 1].min() + 1) * 128).round())
        short = picture[:, top:]  # the photograph ends at the forehead
        framed = F.pad(short[None], (margin,) * 4, mode="replicate")[0]
        at = (points + 1) * 128 - torch.tensor([0.0, top])
        own, again = analyser.embed(short, at), analyser.embed(framed, at + margin)
        assert own @ again > 0.98


def test_parts_of_a_picture_cover_it():
    for parts in (2, 4):
        seen = np.zeros((700, 1000), bool)
        for top, left, side in tiles(700, 1000, parts):
            seen[top : top + side, left : left + side] = True
        assert seen.all()
    assert not list(tiles(300, 200, 2)) and not list(tiles(700, 1000, 8))


class OneBox:
    """A detector that sees the same face everywhere, and points that are elsewhere."""

    input_mean, input_std, output_names, input_name = 127.5, 128.0, ["o"], "i"

    def detect(self, picture):
        five = ARCFACE_POINTS + [70, 60]
        return np.array([[90.0, 80, 170, 180, 0.9]]), five[None]

    def run(self, names, inputs):
        return [np.random.default_rng(0).uniform(-1, 1, (1, 956)).astype(np.float32)]

    @property
    def session(self):
        return self


def test_a_face_that_two_networks_see_differently_is_none():
    assert FaceSearch(OneBox(), OneBox(), OneBox(), 256).find(np.zeros((256, 256, 3), np.uint8)) == []


class FromAfar(OneBox):
    """A detector that sees nobody in a picture without a margin."""

    def detect(self, picture):
        return super().detect(picture) if not picture[:, 0].any() else (np.zeros((0, 5)), None)


class FacesWhereSeen(FaceSearch):
    def place(self, picture, around, five, looks=2):
        points = np.repeat(five.mean(0)[None], 478, 0)
        for rows, at in zip((*map(list, topology.EYES), [4], [61], [291]), five):
            points[rows] = at
        return points


def test_a_face_that_is_not_found_is_looked_for_from_further_away():
    net = FromAfar()
    (found,) = FacesWhereSeen(net, net, net, 240).find(np.full((160, 160, 3), 200, np.uint8))
    # With a margin of 40 pixels the picture is as large as the detector's.
    assert np.allclose(five_points(found.points), ARCFACE_POINTS + [30, 20], atol=1e-3)


class Nobody:
    hint = "Try another."

    def find(self, pixels):
        return []


class Somebody(Nobody):
    def find(self, pixels):
        return [Face(torch.tensor([0.0, 0, 9, 9]), torch.rand(478, 2) * 9, 0.9, torch.eye(512)[0])]


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
