"""The judge of the benchmark, on a few rendered people whom it learns by heart."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Generator

from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.people.words import VALUES
from portraittalk_core.training import judge
from portraittalk_core.training.people import bank as people_bank

from ..rendered_people import bank as rendered_bank

TRAITS = {f"trait {k}": {k: 1.0} for k in range(5)}


@pytest.fixture(scope="module")
def bank():
    """Four people in two lights each, what can be said of them drawn at random."""
    rng = np.random.default_rng(0)
    stored = rendered_bank()
    tags = [{tag: str(rng.choice(VALUES[tag])) for tag in judge.TAGS} for _ in range(len(stored))]
    tags[0] |= {"hat": "cap", "style": "short"}
    tags[1] |= {"style": "bald", "beard": "goatee"}
    return dataclasses.replace(stored, tags=tags)


@pytest.fixture(autouse=True)
def without_anatomy(monkeypatch):
    """Name the traits without the data of people."""
    monkeypatch.setattr(judge, "trait_axes", lambda: TRAITS)


@pytest.fixture(scope="module")
def trained(bank, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge, "trait_axes", lambda: TRAITS)
        known = {"seed": 1, "batch": 8, "width": 16, "rate": 0.01}
        judge.train_judge(bank, bank, folder / "fresh.safetensors", 1.0, steps=0, **known)
        judge.train_judge(bank, bank, folder / "judge.safetensors", 5.0, steps=40, **known)
    return folder / "fresh.safetensors", folder / "judge.safetensors"


def loss_of(file, bank):
    network = judge.load_judge(file)
    read, told = network(judge.small_frames(bank).float() / 127.5 - 1)
    return float(judge.judge_loss(read, judge.traits_of(bank), told, judge.label_rows(network, bank, "cpu")))


@pytest.mark.slow
def test_the_loss_falls(trained, bank):
    before, after = (loss_of(file, bank) for file in trained)
    assert after < 0.6 * before
    assert trained[1].with_name("judge_curve.csv").read_text().startswith("step,seconds,loss\n")


@pytest.mark.slow
def test_a_judge_from_its_file_names_what_it_learned(trained, bank):
    found = judge.score_judge(judge.load_judge(trained[1]), bank)
    assert set(found) == {"top-1", *judge.TAGS}
    assert sum(found[tag] for tag in judge.TAGS) / len(judge.TAGS) > 0.8 and found["top-1"] == 1


@pytest.mark.slow
def test_pictures_of_one_person_lie_nearest_at_any_size(trained, bank):
    network = judge.load_judge(trained[1])
    frames = torch.stack([torch.from_numpy(np.array(bank.picture(i))).permute(2, 0, 1) for i in range(len(bank))])
    frames = frames.float() / 127.5 - 1
    small = torch.nn.functional.interpolate(frames, (128, 128), mode="area")
    found = network.embed(frames)
    assert torch.allclose(found, network.embed(small), atol=1e-3)
    apart = torch.cdist(found, found) + torch.eye(len(bank)) * 1e9
    assert apart.argmin(1).tolist() == [1, 0, 3, 2, 5, 4, 7, 6]


@pytest.mark.slow
def test_whitening_makes_the_judges_errors_alike(trained):
    network = judge.load_judge(trained[1])
    assert torch.allclose(network.whitening, network.whitening.T, atol=1e-2)
    assert not torch.allclose(network.whitening, torch.eye(len(TRAITS)), atol=0.1)


@pytest.mark.slow
def test_what_cannot_be_read_does_not_count(bank, tmp_path):
    fresh = judge.train_judge(bank, bank, tmp_path / "j.safetensors", 1.0, steps=0, width=16)
    assert int((fresh.whitening.diagonal() > 0).sum()) < len(TRAITS)


def test_the_unseen_is_not_asked_for(bank):
    network = judge.Judge(words={tag: list(VALUES[tag]) for tag in judge.TAGS}, traits=list(TRAITS), width=8)
    labels = judge.label_rows(network, bank, "cpu")
    assert labels["hair"][:2].tolist() == labels["style"][:1].tolist() * 2 == [-100, -100]
    assert labels["style"][1] == VALUES["style"].index("bald") and labels["beard"][1] == VALUES["beard"].index("goatee")
    read, told = network(judge.small_frames(bank).float() / 127.5 - 1)
    nothing = {tag: torch.full_like(values, -100) for tag, values in labels.items()}
    alone = 10 * (read - judge.traits_of(bank)).square().mean()
    assert torch.allclose(judge.judge_loss(read, judge.traits_of(bank), told, nothing), alone)


def test_traits_belong_to_who_is_shown(bank):
    found = judge.traits_of(bank)
    assert torch.equal(found[::2], found[1::2])
    assert torch.allclose(found[::2], torch.from_numpy(bank.traits))
    shuffled = dataclasses.replace(bank, person=np.array([9, 9, 4, 4, 7, 7, 1, 1]))
    assert torch.equal(judge.traits_of(shuffled), found), "in the order of the pictures, whatever the seeds"


def test_traits_have_the_names_that_a_bank_stores(drawing, monkeypatch):
    monkeypatch.undo()
    assert judge.NUMBERS == people_bank._NUMBERS
    axes = judge.trait_axes()
    columns = [column for axis in axes.values() for column in axis]
    assert sorted(columns) == list(range(len(columns))) and set(judge.NUMBERS) <= set(axes)
    assert any(len(axis) == 4 for axis in axes.values()), "two sides and two directions"


def test_training_leaves_the_global_generator_alone(bank, tmp_path):
    before = torch.random.get_rng_state()
    judge.train_judge(bank, bank, tmp_path / "j.safetensors", 1.0, steps=0, width=8)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_degrading_keeps_the_picture_and_its_colours(bank):
    small = judge.small_frames(bank).float() / 127.5 - 1
    worse = judge.degrade(small, Generator().manual_seed(0))
    assert not torch.equal(worse, small)
    assert (worse.mean((2, 3)) - small.mean((2, 3))).abs().max() < 0.15


def test_another_file_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsMismatch, match="has no configuration"):
        judge.load_judge(tmp_path / "other.safetensors")


def test_a_folder_without_people_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no people"):
        judge.open_bank(tmp_path)
