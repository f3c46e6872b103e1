"""Structure networks learn from the points of people whom nobody draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from portraittalk_core.checkpoints.native import load_structure
from portraittalk_core.errors import MissingExtra
from portraittalk_core.motion.geometry import eye_opening, mouth_opening
from portraittalk_core.motion.structure import head_pose
from portraittalk_core.people.anatomy import load_anatomy
from portraittalk_core.perception.framing import CENTRE, SIZE, face_frame
from portraittalk_core.training.motion import people as people_module
from portraittalk_core.training.motion import structure
from portraittalk_core.training.motion.head import fill_head
from portraittalk_core.types import COEFFICIENTS


@pytest.fixture(scope="module")
def people():
    try:
        load_anatomy()
    except MissingExtra as error:
        pytest.skip(f"people cannot be shaped here: {error}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(people_module, "_POOL", 400)
        yield people_module.People(0, 6, 5_000_000)


def test_pairs_are_two_views_of_faces_that_are_framed(people):
    pair = people.pair(64, np.random.default_rng(0))
    assert pair.reference.shape == pair.target.shape == (64, 478, 2)
    measured = [face_frame(points.numpy()) for points in pair.reference]
    assert np.mean([size for _, size in measured]) == pytest.approx(SIZE, rel=0.1)
    assert np.mean([middle for middle, _ in measured], 0) == pytest.approx(np.array(CENTRE), abs=0.08)
    assert float((pair.reference - pair.target).abs().mean()) > 0.01
    assert float(pair.coefficients.min()) >= 0 and float(pair.coefficients.max()) <= 1
    assert 0.15 < float(pair.pose[:, 0].abs().max()) < 0.65
    again = people.pair(64, np.random.default_rng(0))
    assert torch.equal(pair.target, again.target)
    assert pair[:3].pose.shape == (3, 6)


def test_the_truth_is_what_it_says(people):
    pair = people.pair(200, np.random.default_rng(1))
    for name, opening in (("jawOpen", mouth_opening), ("eyeBlinkLeft", lambda p: -eye_opening(p))):
        said = pair.coefficients[:, COEFFICIENTS.index(name)]
        assert float(torch.corrcoef(torch.stack([said, opening(pair.target)]))[0, 1]) > 0.6
    torch.testing.assert_close(head_pose(pair.target, pair.pose[:, :3], people.neck), pair.pose)


def test_a_filled_head_is_the_mean_of_the_people(people):
    head = structure.FaceShaper(**structure.SHAPER).head
    fill_head(head, people)
    code, rest = torch.zeros(1, head.code_size), torch.zeros(1, 52)
    seen = head(code, rest, torch.zeros(1, 3))
    middle, size = face_frame(seen[0].numpy())
    assert size == pytest.approx(SIZE, rel=0.05) and middle == pytest.approx(np.zeros(2), abs=0.02)
    rest[0, COEFFICIENTS.index("jawOpen")] = 0.5
    assert float(mouth_opening(head(code, rest, torch.zeros(1, 3)))) > 0.1 > 0.02 > float(mouth_opening(seen).abs())


def test_training_goes_on_where_it_stopped(tmp_path: Path, people, monkeypatch):
    monkeypatch.setattr(structure, "People", lambda seed, count: people)
    monkeypatch.setattr(structure, "_SEEN", 200)
    weights = structure.train_structure(tmp_path, seed=3, minutes=0.06, batch=8)
    before = torch.load(tmp_path / "structure_state.pt", weights_only=True)
    read = load_structure(weights)
    torch.testing.assert_close(read[0].seen.mean, before["fitter"]["seen.mean"], atol=1e-3, rtol=1e-3)
    assert read[1].limits == (0.5, 0.3, 0.3)
    structure.train_structure(tmp_path, seed=3, minutes=before["spent"] / 60 + 0.03, batch=8)
    after = torch.load(tmp_path / "structure_state.pt", weights_only=True)
    assert after["steps"] > before["steps"] > 0 and after["spent"] > before["spent"] + 1.2
    assert not list(tmp_path.glob("*.partial"))


@torch.no_grad()
def test_measures_of_networks_that_know_nothing_are_those_of_points_that_stay(people):
    fitter, shaper = structure.FaceFitter(**structure.FITTER), structure.FaceShaper(**structure.SHAPER)
    for net in (fitter, shaper):
        net.neck.load_state_dict(people.neck.state_dict())
    fill_head(shaper.head, people)
    figures = structure.measure(fitter, shaper, people, structure.Noise(shaper.head.mean[:, :2]), 64)
    assert 5 < figures["still"] < 40 and figures["points"] < figures["still"] and figures["deg_yaw"] > 2
