"""Training the face pack: the recipe end to end on painted dots, the ONNX writer, the geometry of the data."""

import numpy as np
import pytest
import torch
from torch import Generator, nn

from portraittalk_core.avatars.landmarks import landmarks
from portraittalk_core.avatars.parameters import column
from portraittalk_core.perception.face_nets import Detector, DetectorOutputs, Landmarker, Recogniser
from portraittalk_core.training.faces import train as faces
from portraittalk_core.training.faces.collage import LEVELS, assign, collage_batch
from portraittalk_core.training.faces.data import (
    ARCFACE_POINTS,
    MIRROR,
    face_box,
    five_points,
    landmark_batch,
    lookalikes,
    move,
    open_album,
    recogniser_batch,
    similarity,
)
from portraittalk_core.training.faces.onnx import export_onnx
from portraittalk_core.training.faces.pack import PlanePoints, SpacePoints
from portraittalk_core.training.faces.people import person
from portraittalk_core.training.faces.train import Recipe, fit, train_faces

pytest.importorskip("cv2", reason="opencv is not installed: pip install opencv-python-headless")


def dots(seed, people, views):
    """Paint a white block on each landmark instead of a person: quick, and easy to find again."""
    generator = Generator().manual_seed(seed)
    points = landmarks(torch.stack([row for _ in range(people) for row in person(generator, views)])).numpy()
    frames = np.zeros((people * views, 256, 256, 3), np.uint8)
    for frame, face in zip(frames, points):
        x, y = ((face + 1) * 128 - 0.5).round().astype(int).T
        for step in (-1, 0, 1):
            frame[y + step, x] = frame[y, x + step] = 255
    return frames, points, points[::views, :, 0]


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    return open_album(tmp_path_factory.mktemp("album"), seed=1, people=32, views=2, draw=dots)


def test_an_album_is_drawn_once(tmp_path):
    first = open_album(tmp_path, seed=1, people=16, views=2, draw=dots)
    second = open_album(tmp_path, seed=1, people=16, views=2, draw=None)
    assert np.array_equal(first.points, second.points) and np.array_equal(first.picture(31), second.picture(31))
    assert first.people == 16


def test_mirrored_landmarks_are_those_of_a_mirrored_face():
    row = person(Generator().manual_seed(2), 1)[0][None]
    for name in ("yaw", "roll", "x", "gaze_x", "parting"):
        column(row, name).zero_()
    points = landmarks(row)[0].numpy()
    assert np.abs(points[MIRROR] * [-1, 1] - points).max() < 0.01


def test_crops_move_the_points_with_the_picture(album):
    crops, points = landmark_batch(album, seed=3, step=0, size=8)
    assert crops.shape == (8, 3, 192, 192) and np.abs(points).max() < 1
    pixels = ((points[:, :48] + 1) * 96).round().astype(int)
    at_points = np.stack([crop[:, y, x] for crop, (x, y) in zip(crops, pixels.transpose(0, 2, 1))])
    assert at_points.mean() > crops.mean() + 0.5


def test_batches_depend_on_the_step_alone(album):
    same = [recogniser_batch(album, 3, 5, 4) for _ in range(2)]
    assert np.array_equal(same[0][0], same[1][0]) and np.array_equal(same[0][1], same[1][1])
    assert not np.array_equal(same[0][0], recogniser_batch(album, 3, 6, 4)[0])


def test_lookalikes_are_different_people_and_alike():
    traits = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    chosen = lookalikes(np.random.default_rng(1), traits, 32)
    assert len(set(chosen.tolist())) == 32

    def nearest(rows):
        apart = np.square(rows[:, None] - rows[None]).sum(2)
        return np.sort(apart, 1)[:, 1:8].mean()

    assert nearest(traits[chosen]) < 0.9 * nearest(traits[:32])


def test_similarity_recovers_a_turn():
    matrix = np.array([[0.8, -0.3, 5], [0.3, 0.8, -2]], np.float32)
    assert np.allclose(similarity(ARCFACE_POINTS, move(ARCFACE_POINTS, matrix)), matrix, atol=1e-4)


@pytest.mark.parametrize("scale", [0.15, 0.4, 1.0])
def test_targets_lead_back_to_the_box_and_key_points(album, scale):
    points = album.pixels(0) * scale
    cells = 0
    for stride, smallest, largest in LEVELS:
        target = assign([points], stride, smallest, largest)
        for y, x in np.argwhere(target[0] == 1):
            left, top, right, bottom = target[1:5, y, x] * stride
            place = np.array([x, y]) * stride
            assert np.allclose([*place - [left, top], *place + [right, bottom]], face_box(points), atol=1e-3)
            assert np.allclose(place + target[5:, y, x].reshape(5, 2) * stride, five_points(points), atol=1e-3)
            cells += 1
    assert cells


def test_collages_with_and_without_faces_occur(album):
    batch = collage_batch(album, 1, 0, 24)
    occupied = np.stack([(t[:, 0] == 1).any((1, 2)) for t in batch.targets]).any(0)
    assert 0.2 < occupied.mean() < 0.95 and np.abs(batch.pictures).max() <= 1


NETS = {
    "detector": (DetectorOutputs(Detector()), 256),
    "space": (SpacePoints(Landmarker()), 192),
    "plane": (PlanePoints(Landmarker()), 192),
    "recogniser": (Recogniser(), 112),
}


@pytest.mark.parametrize("name", NETS)
def test_the_onnx_file_computes_what_the_network_does(name, tmp_path):
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install onnxruntime onnx")
    net, side = NETS[name]
    net.eval()
    picture = torch.randn(1, 3, side, side, generator=Generator().manual_seed(1))
    with torch.no_grad():
        expected = net(picture)
    expected = expected if isinstance(expected, tuple) else (expected,)
    outputs = {f"o{i}": list(value.shape) for i, value in enumerate(expected)}
    export_onnx(net, tmp_path / "net.onnx", shape=(1, 3, side, side), outputs=outputs)
    session = runtime.InferenceSession(str(tmp_path / "net.onnx"), providers=["CPUExecutionProvider"])
    for got, wanted in zip(session.run(None, {"input": picture.numpy()}), expected, strict=True):
        assert np.abs(got - wanted.numpy()).max() < 2e-3 * max(1.0, float(wanted.abs().max()))


def test_an_unknown_operation_is_refused(tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
    with pytest.raises(NotImplementedError, match="no ONNX operator is written down"):
        export_onnx(nn.Sequential(nn.GELU()), tmp_path / "net.onnx", shape=(1, 3, 8, 8), outputs={"o": [1]})


def test_a_run_cut_in_the_middle_resumes_exactly(tmp_path, monkeypatch):
    def run(folder, end_s):
        torch.manual_seed(0)
        net = nn.Linear(2, 1)

        def loss(net, step):
            return (net(torch.full((1, 2), float(step))) - 1).square().mean()

        return fit(Recipe("line", net, loss, steps=6), work_dir=folder, end_s=end_s)

    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    assert run(tmp_path / "a", float("inf"))
    ticks = iter(range(100))
    monkeypatch.setattr(faces.time, "monotonic", lambda: next(ticks))
    assert not run(tmp_path / "b", 6)
    saved = torch.load(tmp_path / "b" / "line.pt", weights_only=True)
    assert 0 < saved["step"] < 6
    assert run(tmp_path / "b", float("inf"))
    whole, parts = (torch.load(tmp_path / name / "line.pt", weights_only=True) for name in ("a", "b"))
    for kind in ("net", "average"):
        assert all(torch.equal(whole[kind][key], parts[kind][key]) for key in whole[kind])


@pytest.mark.slow
def test_training_stops_in_time_and_later_writes_the_same_pack(tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
    common = {"people": 32, "views": 2, "steps": (2, 1, 1), "draw": dots}
    assert train_faces(tmp_path / "whole", work_dir=tmp_path / "a", **common)
    assert not train_faces(tmp_path / "parts", work_dir=tmp_path / "b", minutes=0, **common)
    assert not (tmp_path / "parts").exists()
    assert train_faces(tmp_path / "parts", work_dir=tmp_path / "b", **common)
    names = sorted(path.name for path in (tmp_path / "parts").iterdir())
    assert names == ["det.onnx", "landmark_2d_106.onnx", "landmark_3d_68.onnx", "recogniser.onnx"]
    for name in names:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
