"""Face parsing: pictures and truth belong together whatever is done to them, and training goes on where it was."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core.checkpoints.native import load_face_parsing
from portraittalk_core.errors import BadInput
from portraittalk_core.nets.face_parsing import SIDE, FaceParsingNet
from portraittalk_core.topology import SEGMENTS
from portraittalk_core.training import averaged
from portraittalk_core.training.parsing import train as parsing
from portraittalk_core.training.parsing.augmentation import (
    patterned,
    shaded,
    slipped,
    wall_alike,
    with_arm,
    with_fringe,
)
from portraittalk_core.training.parsing.data import ParsedPortraits, PortraitStore, _placed
from portraittalk_core.training.people.bank import MAP_SIZE, SIZE

from ..rendered_people import bank as plain_bank
from ..rendered_people import portraits

HAIR, SKIN = SEGMENTS.index("hair"), SEGMENTS.index("skin")


@pytest.fixture(scope="module")
def store():
    whole = plain_bank()
    segments = np.zeros((len(whole), MAP_SIZE, MAP_SIZE), np.uint8)
    segments[:, 20:110, 30:98] = SKIN
    segments[:, 14:40, 30:98] = HAIR
    segments[:, 110:] = SEGMENTS.index("clothes")

    class WithMaps(type(whole)):
        def maps(self, shard):
            return None, None, segments

    fields = {field.name: getattr(whole, field.name) for field in dataclasses.fields(whole)}
    return PortraitStore(WithMaps(**fields), leaves=2)


def test_batches_follow_from_seed_and_step(store):
    one, same, other = (store.batch(3, step, 4) for step in (7, 7, 8))
    for field in dataclasses.fields(ParsedPortraits):
        assert torch.equal(getattr(one, field.name), getattr(same, field.name)), field.name
    assert not torch.equal(one.pictures, other.pictures)
    assert one.pictures.shape == (4, 3, SIDE, SIDE) and one.pictures.abs().max() <= 1
    assert one.segments.shape == (4, MAP_SIZE, MAP_SIZE) and one.segments.max() < len(SEGMENTS)


def marked(segments):
    """A picture that shows its segments: what is hair is white."""
    share = np.kron(segments == HAIR, np.ones((2, 2)))
    return np.repeat((share * 255).astype(np.uint8)[..., None], 3, 2)


def test_pictures_points_and_segments_are_moved_together():
    segments = np.full((MAP_SIZE, MAP_SIZE), SKIN, np.uint8)
    segments[40:60, 30:100] = HAIR
    corner = np.array([[30 / 64 - 1, 40 / 64 - 1]], np.float32)
    for seed in range(4):
        picture, points, found = _placed(np.random.default_rng(seed), marked(segments), corner, segments)
        white = picture[..., 0].reshape(MAP_SIZE, 2, MAP_SIZE, 2).mean((1, 3)) > 127
        assert (white == (found == HAIR)).mean() > 0.985
        x, y = (points[0] + 1) * 64
        rows, columns = np.nonzero(found == HAIR)
        assert np.hypot(columns - x, rows - y).min() < 3
        moved, other = slipped(np.random.default_rng(seed), marked(segments), segments)
        white = moved[..., 0].reshape(MAP_SIZE, 2, MAP_SIZE, 2).mean((1, 3)) > 127
        assert (white == (other == HAIR)).mean() > 0.97 and ((other == HAIR) >= (segments == HAIR)).all()


def test_it_learns_and_is_scored(store):
    torch.manual_seed(0)
    net = FaceParsingNet(widths=(16, 16, 16))
    optimiser = torch.optim.Adam(net.parameters(), 5e-3)
    before = parsing.score_parsing(net, store, 4)
    portraits = store.exact([0, 1])
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(parsing.parse(net, portraits), portraits.segments)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = parsing.score_parsing(net, store, 4)
    assert after.keys() == set(SEGMENTS) and after["skin"] > before["skin"] + 0.3
    disguised = parsing.score_parsing(net, store, 4, augmented=True)
    assert disguised == parsing.score_parsing(net, store, 4, augmented=True) and disguised["skin"] < after["skin"]


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(store, tmp_path, monkeypatch):
    clock = iter(range(100_000))
    monkeypatch.setattr(averaged.time, "monotonic", lambda: float(next(clock)))
    monkeypatch.setattr(parsing, "FaceParsingNet", lambda: FaceParsingNet(widths=(8, 8)))
    monkeypatch.setattr(parsing, "open_bank", lambda folder, shards: None)
    monkeypatch.setattr(parsing, "PortraitStore", lambda *given, seed: store)
    options = {"steps": 4, "batch": 1, "seed": 5}
    whole = parsing.train_parsing(tmp_path, tmp_path / "whole", 1e3, **options)
    parsing.train_parsing(tmp_path, tmp_path / "parts", 5 / 60, **options)
    assert 0 < averaged.steps_done(tmp_path / "parts") < 4
    parts = parsing.train_parsing(tmp_path, tmp_path / "parts", 1e3, **options)
    one, other = load_file(whole), load_file(parts)
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert load_face_parsing(parts).config["widths"] == [8, 8]


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(BadInput, match="holds no JPEG or PNG"):
        parsing._places(tmp_path)
    assert SIZE == SIDE


def test_patterns_are_printed_on_clothes_alone_and_keep_their_folds():
    clothes = SEGMENTS.index("clothes")
    segments = np.full((MAP_SIZE, MAP_SIZE), SKIN, np.uint8)
    segments[80:] = clothes
    picture = np.full((SIZE, SIZE, 3), 120, np.uint8)
    picture[:, ::2] = 80  # folds
    made = patterned(picture, segments, np.full((SIZE, SIZE, 3), (200, 20, 20), np.float32))
    assert (made[:150] == picture[:150]).all()
    red, green, _ = made[200].astype(float).mean(0)
    assert red > 4 * green and made[200, 1, 0] > 1.3 * made[200, 0, 0]
    assert (patterned(picture, np.full_like(segments, SKIN), picture) == picture).all()


def test_walls_are_as_light_as_what_stands_before_them():
    segments = np.full((MAP_SIZE, MAP_SIZE), HAIR, np.uint8)
    segments[64:] = SEGMENTS.index("clothes")
    for level in (30, 200):
        made = [
            wall_alike(np.random.default_rng(k), np.full((SIZE, SIZE, 3), level, np.uint8), segments) for k in range(20)
        ]
        assert abs(np.mean(made) / level - 1) < 0.2 and np.std(made[0]) > 0.5


def test_an_arm_is_skin_or_a_sleeve_where_it_is_drawn_and_nothing_else_changes():
    segments = np.full((MAP_SIZE, MAP_SIZE), HAIR, np.uint8)
    segments[20:70, 40:90] = SKIN
    picture = np.zeros((SIZE, SIZE, 3), np.uint8)
    picture[40:140, 80:180] = (220, 170, 150)
    sleeved = 0
    for seed in range(12):
        made, found = with_arm(np.random.default_rng(seed), picture, segments)
        changed = (made != picture).any(2).reshape(MAP_SIZE, 2, MAP_SIZE, 2).any((1, 3))
        arm = (found != segments) | ((found == SKIN) & changed)
        assert changed[arm & (segments == HAIR)].mean() > 0.99
        far = cv2.dilate(arm.astype(np.uint8), np.ones((5, 5))) == 0
        assert (found[far] == segments[far]).all() and not changed[far].any()
        sleeved += (found == SEGMENTS.index("clothes")).any()
        assert 100 < (found != segments).sum() < MAP_SIZE**2 / 3
    assert 2 < sleeved < 10
    nobody = np.full_like(segments, HAIR)
    assert with_arm(np.random.default_rng(0), picture, nobody)[1] is nobody


def test_shade_falls_to_one_side():
    picture = np.full((SIZE, SIZE, 3), 200, np.uint8)
    made = np.stack([shaded(np.random.default_rng(seed), picture) for seed in range(20)]).astype(float)
    assert (made <= 200).all() and made.max((1, 2, 3)).min() > 100 and np.median(made.min((1, 2, 3))) < 120


def test_fringes_are_hair_where_they_are_drawn_and_leave_the_lower_face():
    points = portraits()[1][0].numpy().astype(np.float32)
    segments = np.full((MAP_SIZE, MAP_SIZE), SKIN, np.uint8)
    segments[:20] = HAIR
    picture = np.full((SIZE, SIZE, 3), 200, np.uint8)
    picture[:40] = (60, 30, 20)
    nose = int((points[1, 1] + 1) * MAP_SIZE / 2)
    lengths = []
    for seed in range(12):
        made, found = with_fringe(np.random.default_rng(seed), picture, points, segments)
        hair = (found == HAIR) & (segments == SKIN)
        shown = made.reshape(MAP_SIZE, 2, MAP_SIZE, 2, 3).mean((1, 3, 4))
        assert (shown[hair] < 175).mean() > 0.95 and (found[segments == HAIR] == HAIR).all()
        far = cv2.dilate(hair.astype(np.uint8), np.ones((9, 9))) == 0
        assert (shown[far & (segments == SKIN)] > 190).mean() > 0.97
        assert not hair[nose + 12 :].any()
        lengths.append(hair.any(1).sum())
    assert max(lengths) > 2 * min(lengths)
    bald = np.full_like(segments, SKIN)
    assert (with_fringe(np.random.default_rng(0), picture, points, bald)[1] == HAIR).any()
