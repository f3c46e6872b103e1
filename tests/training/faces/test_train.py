"""Training the face pack: the recipe end to end on a few people, the ONNX writer, the geometry of the data."""

import numpy as np
import pytest
import torch
from torch import Generator, nn

from portraittalk_core import topology
from portraittalk_core.perception.face_geometry import face_box, five_points
from portraittalk_core.perception.face_nets import Detector, DetectorOutputs, Landmarker, Recogniser
from portraittalk_core.training.faces import train as faces
from portraittalk_core.training.faces.collage import LEVELS, assign, collage, collage_batch
from portraittalk_core.training.faces.data import (
    MIRROR,
    aligned,
    landmark_batch,
    landmark_crop,
    lookalikes,
    recogniser_batch,
)
from portraittalk_core.training.faces.landmarks import ANCHORS, fit_lift, landmark_loss
from portraittalk_core.training.faces.onnx import export_onnx, start_from_onnx
from portraittalk_core.training.faces.photography import photograph
from portraittalk_core.training.faces.reshaping import bend, draw_bend
from portraittalk_core.training.faces.surfaces import lookalike, occlude, overgrow, surface
from portraittalk_core.training.faces.train import Recipe, averaged, fit, make_recipes, train_faces

from ...rendered_people import people as rendered_people

pytest.importorskip("cv2", reason="opencv is not installed: pip install opencv-python-headless")


@pytest.fixture(scope="module")
def people():
    return rendered_people()


def test_pictures_are_grouped_by_person(people):
    assert len(people) == 4 and list(people.rows(1)) == [2, 3] and list(people.rows(3)) == [6, 7]
    assert people.cover(0) is None


def test_mirrored_points_are_those_of_a_mirrored_face(people):
    points = people.bank.landmarks.mean(0)
    shape = points - points.mean(0)
    apart = np.linalg.norm(shape[topology.IRISES[0]] - shape[topology.IRISES[1]])
    mirrored = shape[MIRROR] * [-1, 1]
    assert np.array_equal(MIRROR[MIRROR], np.arange(topology.POINTS))
    assert np.linalg.norm(mirrored - mirrored.mean(0) - shape, axis=1).mean() < 0.12 * apart


def test_crops_move_the_points_with_the_picture(people):
    """A landmark that is painted blue in the picture is blue in the crop."""
    marked = people.bank.picture(0).copy()
    at = people.pixels(0)[topology.IRISES[0]]
    for radius, colour in ((8, (255, 255, 255)), (3, (0, 0, 255))):
        y, x = np.mgrid[0:256, 0:256]
        marked[(x - at[0]) ** 2 + (y - at[1]) ** 2 < radius**2] = colour

    class Marked:
        bank = type("Bank", (), {"picture": lambda self, i: marked, "landmarks": people.bank.landmarks})()
        pixels = staticmethod(people.pixels)

    hits = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        crop, points = landmark_crop(rng, Marked(), 0)
        spots = [((points[k] + 1) * 96 - 0.5).round().astype(int) for k in topology.IRISES]
        inside = [s for s in spots if (s >= 0).all() and (s < 192).all()]
        hits += any(int(crop[y, x, 2]) > int(crop[y, x, 0]) + 40 for x, y in inside)
    assert hits >= 8  # grey pictures, colour casts and hands take the rest


def test_batches_depend_on_the_step_alone(people):
    same = [recogniser_batch(people, 3, 5, 4) for _ in range(2)]
    assert np.array_equal(same[0][0], same[1][0]) and np.array_equal(same[0][1], same[1][1])
    assert not np.array_equal(same[0][0], recogniser_batch(people, 3, 6, 4)[0])
    crops, points = landmark_batch(people, seed=3, step=0, size=4)
    assert crops.shape == (4, 3, 192, 192) and points.shape == (4, 478, 2)
    assert np.array_equal(crops, landmark_batch(people, seed=3, step=0, size=4)[0])


def test_aligned_faces_have_eyes_and_mouth_where_arcface_wants_them(people):
    plain = aligned(people, 0, None)
    assert plain.shape == (112, 112, 3)
    eyes, cheeks = plain[48:56, 30:46].astype(int), plain[66:74, 28:40].astype(int)
    assert eyes.std() > cheeks.std()


def test_lookalikes_are_different_people_and_alike():
    traits = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
    chosen = lookalikes(np.random.default_rng(1), traits, 32)
    assert len(set(chosen.tolist())) == 32

    def nearest(rows):
        apart = np.square(rows[:, None] - rows[None]).sum(2)
        return np.sort(apart, 1)[:, 1:8].mean()

    assert nearest(traits[chosen]) < 0.9 * nearest(traits[:32])


@pytest.mark.parametrize("scale", [0.15, 0.4, 1.0])
def test_targets_lead_back_to_the_box_and_key_points(people, scale):
    points = people.pixels(0) * scale
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


def test_what_is_ignored_is_neither_a_face_nor_none(people):
    points = people.pixels(0) * 0.4
    target = assign([], 16, 32.0, 96.0, ignored=[face_box(points)])
    assert (target[0] == -1).any() and not (target[0] == 1).any()


def test_collages_with_and_without_faces_occur(people):
    batch = collage_batch(people, 1, 0, 24)
    occupied = np.stack([(t[:, 0] == 1).any((1, 2)) for t in batch.targets]).any(0)
    assert 0.2 < occupied.mean() < 0.95 and np.abs(batch.pictures).max() <= 1


def test_every_face_that_is_asked_for_can_be_seen(people):
    rng = np.random.default_rng(4)
    for made in (collage(rng, people) for _ in range(40)):
        for points in made.faces:
            five = five_points(points)
            assert (five > 0).all() and (five < np.array(made.limit)).all()


@pytest.mark.parametrize("draw", [surface, lambda rng, side: lookalike(rng, surface(rng, side))])
def test_surfaces_are_pictures_and_differ(draw):
    made = [draw(np.random.default_rng(seed), 64) for seed in range(8)]
    assert all(one.shape == (64, 64, 3) and one.dtype == np.uint8 for one in made)
    assert len({one.tobytes() for one in made}) == 8


def test_photographs_differ_from_renderings_but_show_the_same(people):
    picture = people.bank.picture(2)
    changed = [photograph(np.random.default_rng(seed), picture, soft_px=2.0) for seed in range(12)]
    assert all(one.shape == picture.shape and one.dtype == np.uint8 for one in changed)
    grey = picture.mean(2).ravel()
    alike = [np.corrcoef(one.mean(2).ravel(), grey)[0, 1] for one in changed]
    assert np.median(alike) > 0.8 and np.mean([np.abs(one.astype(int) - picture).mean() for one in changed]) > 5


def test_something_stands_before_the_face(people):
    picture, points = people.bank.picture(4).copy(), people.pixels(4)
    hidden = [occlude(np.random.default_rng(seed), picture.copy(), points) for seed in range(8)]
    assert np.mean([(one != picture).any(2).mean() > 0.001 for one in hidden]) > 0.7


def test_all_points_follow_from_the_anchors(people):
    points = people.bank.landmarks
    lift = fit_lift(points)
    assert np.allclose(lift.sum(1), 1, atol=1e-3)
    lifted = lift @ (points[:, ANCHORS] * [0.5, -1.3] + [2, 3])
    assert np.abs(lifted - (points * [0.5, -1.3] + [2, 3])).max() < 0.02


def test_the_landmark_loss_is_least_where_the_points_are(people):
    net = make_recipes(people, 0, {"landmarks": 1})[0].net
    crops, points = landmark_batch(people, 1, 0, 2)
    wrong = points + 0.5
    net.eval()
    with torch.no_grad():
        placed = net(torch.from_numpy(crops)).view(2, 478, 2).numpy()
        assert landmark_loss(net, crops, placed) < landmark_loss(net, crops, wrong)


NETS = {
    "detector": (DetectorOutputs(Detector()), 256),
    "points": (Landmarker(), 192),
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
def test_training_stops_in_time_and_later_writes_the_same_pack(tmp_path, people, monkeypatch):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
    monkeypatch.setattr(faces, "open_people", lambda folder: people)
    monkeypatch.setattr(faces, "BATCH", {"landmarks": 2, "detector": 2, "recogniser": 3})
    common = {"bank": tmp_path, "steps": {"landmarks": 2, "detector": 1, "recogniser": 1}}
    assert train_faces(tmp_path / "whole", work_dir=tmp_path / "a", **common)
    assert not train_faces(tmp_path / "parts", work_dir=tmp_path / "b", minutes=0, **common)
    assert not (tmp_path / "parts").exists()
    assert train_faces(tmp_path / "parts", work_dir=tmp_path / "b", **common)
    names = sorted(path.name for path in (tmp_path / "parts").iterdir())
    assert names == ["det.onnx", "landmark_2d_478.onnx", "recogniser.onnx"]
    for name in names:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_the_averaged_weights_ship_without_the_tutor(tmp_path, people):
    recipe = make_recipes(people, 0, {"recogniser": 1})[0]
    torch.save({"average": recipe.net.state_dict()}, tmp_path / "recogniser.pt")
    assert isinstance(averaged(recipe, tmp_path), Recogniser)


def test_a_moustache_grows_where_the_mouth_is(people):
    picture, points = people.bank.picture(4), people.pixels(4)
    grown = [overgrow(np.random.default_rng(seed), picture.copy(), points) for seed in range(4)]
    for one in grown:
        rows, columns = np.nonzero((one != picture).any(2))
        middle = points[[61, 291]].mean(0)
        assert len(rows) > 30 and np.abs(np.array([columns.mean(), rows.mean()]) - middle).max() < 30


def test_a_bent_face_keeps_its_points_on_its_features(people):
    """What is painted on a point moves as the point does."""
    points = people.pixels(2)
    rng = np.random.default_rng(3)
    for _ in range(5):
        change = draw_bend(rng, points)
        moved = change.moved(points.astype(np.float64))
        assert np.abs(change.source(moved) - points).max() < 0.05
    marked = np.zeros((256, 256, 3), np.uint8)
    spot = points[topology.INNER_LIPS[15]].round().astype(int)
    marked[spot[1] - 2 : spot[1] + 3, spot[0] - 2 : spot[0] + 3] = 255
    bent, moved = bend(np.random.default_rng(5), marked, points)
    y, x = np.mgrid[0:256, 0:256]
    weight = bent[..., 0] / bent[..., 0].sum()
    found = np.array([(x * weight).sum(), (y * weight).sum()])
    wanted = moved[topology.INNER_LIPS[15]] + (spot - points[topology.INNER_LIPS[15]])
    assert np.abs(found - wanted).max() < 0.8 and np.abs(moved - points).max() > 1


def trained_a_little(net, example):
    """Give normalisations statistics and weights that are not those of the beginning."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    net.train()
    for _ in range(30):
        net(example)
    return net.eval()


@pytest.mark.parametrize(
    ("make", "shape", "outputs"),
    [
        (Recogniser, (8, 3, 112, 112), {"embedding": ["None", 512]}),
        (Landmarker, (4, 3, 192, 192), {"fc1": ["None", 956]}),
    ],
)
def test_a_network_goes_on_from_its_file(tmp_path, make, shape, outputs):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
    torch.manual_seed(0)
    example = torch.rand(shape) * 2 - 1
    net = trained_a_little(make(), example)
    export_onnx(net, tmp_path / "net.onnx", shape=("None", *shape[1:]), outputs=outputs)
    again = make()
    start_from_onnx(again, tmp_path / "net.onnx", example)
    with torch.no_grad():
        wanted, evaluated, training = net(example), again.eval()(example), again.train()(example)
    scale = float(wanted.std())
    assert float((evaluated - wanted).abs().max()) < 0.02 * scale, "half precision apart"
    assert float((training - wanted).abs().max()) < 0.02 * scale, "normalisations have batches' statistics"
    assert all(parameter.requires_grad for parameter in again.parameters())


def test_a_file_of_another_network_is_refused(tmp_path):
    pytest.importorskip("onnx", reason="onnx is not installed: pip install onnx")
    file = tmp_path / "recogniser.onnx"
    export_onnx(Recogniser().eval(), file, shape=("None", 3, 112, 112), outputs={"embedding": ["None", 512]})
    with pytest.raises(ValueError, match="another network"):
        start_from_onnx(Recogniser(widths=(16, 32, 64, 96)), file, torch.zeros(2, 3, 112, 112))
