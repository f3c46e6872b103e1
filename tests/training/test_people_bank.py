"""Banks of rendered people on disk, drawn here by a renderer that draws nothing."""

import dataclasses

import numpy as np
import pytest

from portraittalk_core.errors import BadInput
from portraittalk_core.people import framing
from portraittalk_core.people.landmarks import mix_landmarks
from portraittalk_core.training.people import draw
from portraittalk_core.training.people.bank import MAP_SIZE, draw_bank, open_bank

from ..rendered_people import portraits
from .synthetic import JAW, LIPS, FakeRenderer, fake_renderer, shot


def shots(seed: int) -> list[draw.Shot]:
    return [shot(seed, 3), shot(seed, 2), shot(seed, 1)]


def speaking(seed: int) -> list[draw.Shot]:
    rest = np.ones((2, 52), np.float32)
    return [shot(seed, 2, at_rest=rest, facts={"heard": np.array([-1, 7 * seed])})]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("people")
    with pytest.MonkeyPatch.context() as patch:
        fake_renderer(patch)
        draw_bank(place, range(2), shots=shots, people=2)
    return place


def test_what_is_drawn_is_read(folder):
    bank = open_bank(folder)
    assert len(bank) == 24 and bank.numbers == (0, 1)
    assert bank.person.tolist() == np.repeat([0, 1, 2, 3], 6).tolist()
    assert bank.appearance.tolist() == [0, 0, 0, 1, 1, 2] * 4
    assert (bank.shard[11], bank.row[11], bank.shard[12], bank.row[12]) == (0, 11, 1, 0)
    assert [int(bank.picture(i)[-1, 0, 0]) for i in (0, 6, 23)] == [20, 30, 50]
    np.testing.assert_allclose(bank.blendshapes[:3, JAW], [0, 0.5, 1])
    np.testing.assert_allclose(bank.landmarks[5], mix_landmarks(portraits()[1][0].numpy()), atol=1e-5)
    assert abs(bank.landmarks[2] - bank.landmarks[5])[LIPS].min() > 0.03
    assert bank.rotation[8].tolist() == [1, 1, 1] and bank.traits.shape == (4, 13)
    assert bank.tags[3]["sex"] == "female" and {"hair", "background", "expression"} <= set(bank.tags[3])


def test_maps_are_thinned_out_and_only_the_first_appearance_has_them(folder):
    source, visible, segments = open_bank(folder).maps(1)
    assert source.shape == (12, MAP_SIZE, MAP_SIZE, 2) and segments.dtype == np.uint8
    axis = (np.arange(MAP_SIZE) * 2 + 1) / MAP_SIZE - 1
    np.testing.assert_allclose(source[0, 5, :, 0].astype(float), axis, atol=1e-3)  # nothing moved
    np.testing.assert_allclose(source[0, :, 5, 1].astype(float), axis, atol=1e-3)
    assert visible[0].all() and not visible[1, :, : MAP_SIZE // 2].any() and visible[1, :, MAP_SIZE // 2 :].all()
    assert not source[3:6].any() and not visible[3:6].any() and not segments[3:6].any()


def test_only_missing_shards_are_drawn_and_a_part_may_be_read(folder, monkeypatch):
    fake_renderer(monkeypatch)
    before = (folder / "00000.npy").stat().st_mtime_ns
    (folder / "00001.npy").unlink()  # as an interruption leaves it: the facts are written first
    assert open_bank(folder).numbers == (0,)
    draw_bank(folder, range(2), shots=shots, people=2)
    assert FakeRenderer.drawn == [2, 2, 2, 3, 3, 3] and (folder / "00000.npy").stat().st_mtime_ns == before
    assert not list(folder.glob("*.part.npy"))
    assert open_bank(folder, range(1, 90)).person.tolist() == [2] * 6 + [3] * 6


def test_a_bank_keeps_what_its_shots_know_besides(tmp_path, monkeypatch):
    fake_renderer(monkeypatch)
    draw_bank(tmp_path, range(3, 5), seed=100, shots=speaking, people=2)
    bank = open_bank(tmp_path)
    assert bank.person.tolist() == [106, 106, 107, 107, 108, 108, 109, 109]
    assert bank.fact("heard").tolist() == [v for seed in range(106, 110) for v in (-1, 7 * seed)]
    moved = portraits()[1][0].numpy()
    moved[LIPS] += 20 / 256  # the fake rig moves lips by ten pixels for a jaw of 1
    np.testing.assert_allclose(bank.at_rest()[3], mix_landmarks(moved), atol=1e-5)
    with pytest.raises(BadInput, match="shard 3 keeps no 'said'"):
        bank.fact("said")


def test_no_people_is_one_line_with_the_remedy(tmp_path):
    with pytest.raises(BadInput, match="holds no people. Draw them with `python -m portraittalk_core.training.people"):
        open_bank(tmp_path)


def test_a_camera_frames_the_head_that_a_shot_names(monkeypatch):
    """A clip in other clothes stands before the camera of its portrait."""
    posed = []
    points = (portraits()[1][0].numpy() + 1) * 128
    monkeypatch.setattr(framing, "place_camera", lambda actor, camera: type("View", (), {"matrix": None}))
    monkeypatch.setattr(framing, "project_landmarks", lambda *given: points)
    actor = FakeRenderer(256).actor(shot(3, 1).person)
    actor.rig.pose = lambda *given: posed.append(given)
    portrait, clip = shot(3, 1), shot(3, 4)
    clip = dataclasses.replace(clip, framing=(portrait.blendshapes[0] + 1, portrait.rotation[0]))
    cameras = [draw.framed(actor, s, 256).camera for s in (portrait, clip)]
    assert (posed[0][0] == portrait.blendshapes[0]).all() and (posed[1][0] == 1).all()
    assert cameras[0] == cameras[1]  # the same chance, the same points
