"""The dense motion: its geometry is exact where geometry alone decides, and its training learns and goes on."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core.checkpoints.native import load_dense_motion
from portraittalk_core.nets.dense_motion import (
    SHARES,
    DenseMotion,
    DenseMotionNet,
    anchored,
    identity_grid,
    sparse_motion,
    warp_pixels,
)
from portraittalk_core.topology import MIRROR
from portraittalk_core.training import averaged
from portraittalk_core.training.dense import train as dense
from portraittalk_core.training.dense.data import (
    OWN,
    STILL,
    WARPED,
    MotionPairs,
    MotionStore,
    framed,
    leaned,
    photographic,
)
from portraittalk_core.training.people.bank import MAP_SIZE, Bank

from ..rendered_people import FOLDER, pictures, portraits

FRAMES = 2


@pytest.fixture(scope="module")
def bank():
    """Two people of two frames each; the second frame moved by four cells to the right, its left half not seen."""
    rows = [0, 0, 2, 2]
    points = portraits()[1].numpy()[rows]
    points[1::2, :, 0] += 8 / MAP_SIZE
    axis = (np.arange(MAP_SIZE, dtype=np.float32) * 2 + 1) / MAP_SIZE - 1
    source = np.stack(np.meshgrid(axis, axis), -1)[None].repeat(4, 0)
    source[1::2, ..., 0] -= 8 / MAP_SIZE
    visible = np.ones((4, MAP_SIZE, MAP_SIZE), bool)
    visible[1::2, :, : MAP_SIZE // 2] = False
    segments = np.ones((4, MAP_SIZE, MAP_SIZE), np.uint8)
    segments[:, -8:] = 6  # clothes
    segments[:, :8] = 0  # background

    class WithMaps(Bank):
        def maps(self, shard):
            return source.astype(np.float16), visible, segments

    count = len(rows)
    return WithMaps(
        pixels=[pictures()[rows]],
        shard=np.zeros(count, np.int64),
        row=np.arange(count),
        landmarks=points,
        blendshapes=np.zeros((count, 52), np.float32),
        rotation=np.zeros((count, 3), np.float32),
        person=np.arange(count) // FRAMES,
        appearance=np.zeros(count, np.int64),
        tags=[{}] * count,
        traits=np.zeros((2, 1), np.float32),
        folder=FOLDER,
        numbers=(0,),
    )


def affine(points, matrix):
    return points @ matrix[:, :, :2].mT + matrix[:, None, :, 2]


def test_sparse_motion_is_exact_for_a_head_that_moves_as_a_whole():
    target = portraits()[1][:2]
    matrix = torch.tensor([[[0.9, 0.1, 0.05], [-0.1, 1.1, -0.2]], [[1.0, 0.0, 0.0], [0.0, 1.0, 0.3]]])
    found = sparse_motion(affine(target, matrix), target, matrix, 16)
    grid = identity_grid(torch.zeros(1, 2, 16, 16))
    there = affine(grid.flatten(2).mT.expand(2, -1, -1), matrix).mT.reshape(2, 2, 16, 16)
    for k in range(2):
        torch.testing.assert_close(found[:, 2 * k : 2 * k + 2], there - grid, atol=1e-5, rtol=0)
    near = found[:, 4:]
    assert (near >= 0).all() and (near <= 1).all() and near[0, 1, 8, 8] > 0.9 > 0.1 > near[0, 0, 0, 0]


def test_sparse_motion_follows_points_near_them_and_the_head_far_away():
    target = portraits()[1][:1]
    reference = target.clone()
    reference[..., 1] += 0.1
    still = torch.eye(2, 3)[None]
    found = sparse_motion(reference, target, still, 32)
    x, y = ((target[0, 4] + 1) * 16).long().tolist()  # the tip of the nose
    assert found[0, 1, y, x] == pytest.approx(0.1, abs=0.01) and abs(found[0, 1, 0, 0]) < 0.001


def test_warped_pixels_of_standing_still_are_the_picture():
    picture = portraits()[0][:1]
    grid = identity_grid(torch.zeros(1, 2, 16, 16))
    shares = torch.tensor([0.2, 0.5, 0.3]).view(1, 3, 1, 1).expand(2, -1, 16, 16)
    moved, found = warp_pixels(picture, DenseMotion(grid.expand(2, -1, -1, -1), shares))
    assert moved.shape == (2, 3, 256, 256)
    torch.testing.assert_close(moved, picture.expand(2, -1, -1, -1), atol=1e-3, rtol=0)
    torch.testing.assert_close(found, shares[..., :1, :1].expand(-1, -1, 256, 256))


def test_an_untrained_net_moves_as_the_points_say(bank):
    pairs = MotionStore(bank, 1).pairs(0, 1, 2, rough=False)
    found = dense.predict(DenseMotionNet(widths=(8, 16)), pairs)
    assert found.flow.shape == (2, 2, MAP_SIZE, MAP_SIZE) and found.shares.shape == (2, len(SHARES), MAP_SIZE, MAP_SIZE)
    torch.testing.assert_close(found.shares, torch.full_like(found.shares, 1 / 3), atol=2e-3, rtol=0)
    torch.testing.assert_close(found.flow[..., 40:90, 40:90], pairs.flow[..., 40:90, 40:90], atol=5e-3, rtol=0)


def test_pairs_follow_from_seed_and_step_and_know_whose_each_cell_is(bank):
    store = MotionStore(bank, 1)
    one, same, other = (store.pairs(3, step, 4) for step in (7, 7, 8))
    for field in dataclasses.fields(MotionPairs):
        assert torch.equal(getattr(one, field.name), getattr(same, field.name)), field.name
    assert not torch.equal(one.picture, other.picture)
    assert one.picture.abs().max() <= 1 and one.picture.shape == (4, 3, MAP_SIZE, MAP_SIZE)
    exact = store.pairs(3, 7, 4, rough=False)
    moved = next(k for k in range(4) if exact.flow[k, 0, 0, 0] < -1)
    owner = exact.owner[moved]
    half = MAP_SIZE // 2
    assert (owner[:, :half] == OWN).all() and (owner[8:, half:] == WARPED).all() and (owner[:8, half:] == STILL).all()


def rendered(shift=(0.0, 0.0)):
    """Return pairs of a person who does not move: a square with points on it, before a place."""
    picture = torch.rand(6, 3, MAP_SIZE, MAP_SIZE, generator=torch.Generator().manual_seed(0))
    points = (torch.rand(6, 478, 2, generator=torch.Generator().manual_seed(1)) - 0.5) * 0.6
    person = torch.zeros(6, 1, MAP_SIZE, MAP_SIZE)
    person[..., 30:100, 30:100] = 1
    flow = identity_grid(picture).repeat(6, 1, 1, 1)
    owner = torch.where(person[:, 0] > 0, WARPED, STILL)
    return MotionPairs(picture, points, points + torch.tensor(shift), flow, owner, picture), person


def came_from(pairs):
    """Return where the target's points lie in the reference, as the flow says."""
    found = torch.nn.functional.grid_sample(pairs.flow, pairs.target[:, :, None], align_corners=False)
    return found[..., 0].mT


def test_a_pair_that_is_mirrored_and_zoomed_into_is_the_same_pair():
    pairs, _ = rendered()
    made = framed(pairs, torch.Generator().manual_seed(0))
    mirrored = [bool(k) for k in (made.reference[:, list(MIRROR)] - pairs.reference).abs().mean((1, 2)) > 0.2]
    assert any(mirrored) and not all(mirrored)
    inside = (made.target.abs() < 0.9).all(2)
    assert (came_from(made) - made.reference)[inside].abs().max() < 0.02
    spread, before = (value.reference.std(1).mean() for value in (made, pairs))
    assert spread > 1.05 * before, "cut out more closely"


def test_a_person_who_leans_moves_as_a_whole_before_a_place_that_stays():
    pairs, person = rendered()
    made = leaned(pairs, person, person, torch.Generator().manual_seed(0))
    away = (made.target - pairs.target)[:, 0]
    leaning = away.abs().amax(1) > 0.01
    assert leaning.any() and not leaning.all()
    assert (came_from(made) - made.reference)[leaning].abs().max() < 0.02
    assert torch.equal(made.flow[~leaning], pairs.flow[~leaning])
    uncovered = (made.owner == OWN).flatten(1).any(1)
    assert torch.equal(uncovered, leaning), "what was behind the person nobody has seen"
    corner = made.flow[:, :, :8, :8] - pairs.flow[:, :, :8, :8]
    assert corner.abs().max() < 1e-6 and (made.owner[:, :8, :8] == STILL).all()
    below = made.flow[:, :, -1] - pairs.flow[:, :, -1]
    assert below.abs().max() < 0.002, "the lower edge stays where the rest of the photograph is"


def test_its_losses_fall_and_are_least_for_the_truth(bank):
    pairs = MotionStore(bank, 1).pairs(0, 1, 2)
    torch.manual_seed(0)
    net = DenseMotionNet(widths=(16, 24))
    optimiser = torch.optim.Adam(net.parameters(), 2e-3)
    curve = []
    for _ in range(16):
        found = dense.losses(dense.predict(net, pairs), pairs)
        optimiser.zero_grad()
        found["loss"].backward()
        optimiser.step()
        curve.append({name: float(value.detach()) for name, value in found.items()})
    assert all(p.grad is not None for p in net.parameters())
    assert curve[-1]["loss"] < 0.9 * curve[0]["loss"] and curve[-1]["owner"] < 0.8 * curve[0]["owner"]
    sure = torch.nn.functional.one_hot(pairs.owner, 3).permute(0, 3, 1, 2).float()
    best = dense.losses(DenseMotion(pairs.flow, sure), pairs)
    assert best["flow"] < 0.01 and best["owner"] < 0.01 and best["look"] < 0.01 < curve[-1]["loss"]


@pytest.fixture
def quick(monkeypatch, bank):
    """Train small nets on the synthetic bank, by a clock that counts how often it is read."""
    clock = iter(range(100_000))
    monkeypatch.setattr(averaged.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(dense, "DenseMotionNet", lambda: DenseMotionNet(widths=(8, 16)))
    monkeypatch.setattr(dense, "_store", lambda folder: MotionStore(bank, 1))


@pytest.mark.usefixtures("quick")
def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path):
    options = {"steps": 4, "batch": 1, "seed": 5}
    whole = dense.train_dense_motion(tmp_path, tmp_path / "whole", 1e3, **options)
    dense.train_dense_motion(tmp_path, tmp_path / "parts", 5 / 60, **options)  # the clock is read twice a step
    assert 0 < averaged.steps_done(tmp_path / "parts") < 4 == averaged.steps_done(tmp_path / "whole")
    parts = dense.train_dense_motion(tmp_path, tmp_path / "parts", 1e3, **options)
    one, other = load_file(whole), load_file(parts)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert load_dense_motion(parts).config["widths"] == [8, 16] and averaged.steps_done(tmp_path / "none") == 0


def test_photographic_pictures_stay_in_range_and_differ_in_all_but_what_they_show():
    picture = portraits()[0][:1].expand(6, -1, -1, -1)
    one, same = (photographic(picture, torch.Generator().manual_seed(1), grain=False) for _ in range(2))
    assert torch.equal(one, same) and one.abs().max() <= 1
    apart = (one[:, None] - one[None]).abs().mean((2, 3, 4)) + torch.eye(6)
    assert apart.min() > 0.01
    for row in one:  # what is light stays light
        flat = torch.stack([picture[0].mean(0).flatten(), row.mean(0).flatten()])
        assert torch.corrcoef(flat)[0, 1] > 0.9
    grainy = photographic(picture, torch.Generator().manual_seed(1))
    assert not torch.equal(grainy, one) and grainy.abs().max() <= 1


def test_an_anchored_field_meets_its_points_and_keeps_the_rest():
    reference = portraits()[1][:1].float()
    target = reference + torch.tensor([0.03, -0.02])
    still = identity_grid(torch.zeros(1, 1, MAP_SIZE, MAP_SIZE))

    def there(flow):
        return torch.nn.functional.grid_sample(flow, target[:, :, None], align_corners=False)[..., 0].mT

    before, after = ((there(flow) - reference).norm(dim=-1) for flow in (still, anchored(still, reference, target)))
    assert before.mean() > 0.03 and after.mean() < 0.1 * before.mean()
    assert torch.allclose(anchored(still, reference, target)[:, :, :4, :4], still[:, :, :4, :4], atol=1e-4)
    exact = still - torch.tensor([0.03, -0.02]).view(1, 2, 1, 1)
    torch.testing.assert_close(anchored(exact, reference, target), exact, atol=2e-5, rtol=0)
