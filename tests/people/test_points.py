"""Points of people without a picture."""

import numpy as np
import pytest
import torch

from portraittalk_core.errors import MissingExtra
from portraittalk_core.motion.geometry import eye_opening, mouth_opening
from portraittalk_core.people.anatomy import load_anatomy
from portraittalk_core.people.arkit import coefficients
from portraittalk_core.people.landmarks import iris_points, landmark_vertices, mix_landmarks
from portraittalk_core.people.motion import Rig
from portraittalk_core.people.person import draw_person
from portraittalk_core.people.points import Crowd, turn_matrices
from portraittalk_core.people.projection import rotation
from portraittalk_core.people.shape import shape_person
from portraittalk_core.people.surface import load_surface
from portraittalk_core.topology import MEETING_LIPS

SEEDS = (4_000_000, 4_000_001, 4_000_002)


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    try:
        load_anatomy()
    except MissingExtra as error:
        pytest.skip(f"people cannot be shaped here: {error}")
    return Crowd([draw_person(seed) for seed in SEEDS])


def test_points_are_those_of_the_rig_but_for_the_seam_of_the_lips(crowd):
    rng = np.random.default_rng(0)
    rows = 0.6 * rng.random((3, 52)).astype(np.float32)
    turns = rng.normal(size=(3, 3)).astype(np.float32) * 15
    found = crowd.world(np.arange(3), rows, turns)
    lower = [pair[1] for pair in MEETING_LIPS]
    for k, seed in enumerate(SEEDS):
        rig = Rig(load_surface(), shape_person(draw_person(seed)))
        pose = rig.pose(rows[k], turns[k])
        skin = rig.posed(pose)[np.searchsorted(load_surface().used, landmark_vertices())]
        apart = np.linalg.norm(mix_landmarks(np.concatenate([skin, iris_points(pose)])) - found[k], axis=1)
        assert apart[lower].max() < 0.08 and np.delete(apart, lower).max() < 0.005  # decimetres


def flat(crowd, **actions) -> torch.Tensor:
    rows = np.tile(coefficients(actions), (len(crowd), 1))
    world = crowd.world(np.arange(len(crowd)), rows, np.zeros((len(crowd), 3), np.float32))
    return torch.from_numpy(world[..., :2] * [1, -1]).float()


def test_people_at_rest_have_shut_mouths_and_the_jaw_opens_them(crowd):
    assert float(mouth_opening(flat(crowd)).abs().max()) < 1e-3
    half, wide = (mouth_opening(flat(crowd, jawOpen=jaw)) for jaw in (0.5, 1.0))
    assert float(half.min()) > 0.12 and bool((wide > 1.6 * half).all())


def test_a_funnel_is_a_round_hole_within_thick_lips(crowd):
    """No tails beside the hole, in which lips stay shut; the red grows higher as it becomes narrow."""
    rest, funnel = flat(crowd), flat(crowd, mouthFunnel=0.6)
    upper, lower = ([pair[k] for pair in MEETING_LIPS] for k in (0, 1))
    gaps = (funnel[:, upper] - funnel[:, lower]).norm(dim=-1)
    assert bool((gaps[:, 1:-1] > 0.4 * gaps.amax(1, keepdim=True)).all())
    for points, share in (((61, 291), (0.5, 0.75)), ((0, 17), (1.05, 1.6))):
        now, was = ((faces[:, points[0]] - faces[:, points[1]]).norm(dim=-1) for faces in (funnel, rest))
        assert bool(((now / was > share[0]) & (now / was < share[1])).all()), (points, now / was)


def test_lids_close(crowd):
    opened, half, shut = (eye_opening(flat(crowd, eyeBlink=blink)) for blink in (0.0, 0.5, 1.0))
    assert bool((shut < 0.03).all()) and bool((shut < half).all()) and bool((half < opened).all())


def test_turns_are_those_of_one_head():
    turns = np.array([[10.0, 20.0, -7.0], [0.0, 0.0, 0.0], [-30.0, 5.0, 12.0]])
    for matrix, turn in zip(turn_matrices(turns), turns):
        assert np.allclose(matrix, rotation(*turn), atol=1e-9)
