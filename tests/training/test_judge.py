"""The judge of the benchmark, on a few rendered people whose appearances change."""

import pytest
import torch
from safetensors.torch import save_file
from torch import Generator

from portraittalk_core.avatars.parameters import (
    IDENTITY,
    INDEX,
    pack,
    sample_attributes,
    sample_expression,
    sample_identity,
    sample_light,
    sample_pose,
)
from portraittalk_core.avatars.render import render
from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.training import judge

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def portraits():
    """Four people in two appearances each: frames uint8 [8, 3, 256, 256], their parameters, and what can be said."""
    generator = Generator().manual_seed(3)
    rows, tags = [], []
    for _ in range(4):
        who = sample_identity(generator)
        for _ in range(2):
            appearance, expression = sample_attributes(generator), sample_expression(generator)
            rows.append(pack(who, appearance, expression, sample_pose(generator), sample_light(generator)))
            tags.append({**who.tags, **appearance.tags, **expression.tags})
    pixels = render(torch.stack(rows))
    return ((pixels + 1) * 127.5).round().byte(), torch.stack(rows), tags


@pytest.fixture(scope="module")
def trained(portraits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("judge")
    known = {"seed": 1, "batch": 6, "width": 16, "rate": 0.01}
    fresh = judge.train_judge(*portraits, folder / "fresh.safetensors", 1.0, steps=0, **known)
    return fresh, judge.train_judge(*portraits, folder / "judge.safetensors", 1.0, steps=40, **known)


def loss_of(file, portraits):
    frames, parameters, tags = portraits
    network = judge.load_judge(file)
    traits = (parameters[:, [INDEX[name] for name in IDENTITY]] - network.mean) / network.std
    read, told = network(frames[:6].float() / 127.5 - 1)
    labels = {tag: values[:6] for tag, values in judge.label_rows(network, tags, "cpu").items()}
    return float(judge.judge_loss(read, traits[:6], told, labels))


def test_the_loss_falls(trained, portraits):
    before, after = (loss_of(file, portraits) for file in trained)
    assert after < 0.6 * before


def test_a_judge_from_its_file_names_what_it_learned(trained, portraits):
    frames, _, tags = portraits
    named = judge.load_judge(trained[1]).classify(frames[:6].float() / 127.5 - 1)
    assert set(named) == set(judge.TAGS)
    right = [told == row[tag] for tag, words in named.items() for told, row in zip(words, tags, strict=False)]
    assert sum(right) / len(right) > 0.8


def test_pictures_of_one_person_lie_nearest_at_any_size(trained, portraits):
    frames = portraits[0][:6].float() / 127.5 - 1
    network = judge.load_judge(trained[1])
    small = torch.nn.functional.interpolate(frames, (128, 128), mode="area")
    found = network.embed(frames)
    assert torch.allclose(found, network.embed(small), atol=1e-3)
    apart = torch.cdist(found, found) + torch.eye(6) * 1e9
    assert apart.argmin(1).tolist() == [1, 0, 3, 2, 5, 4]


def test_whitening_makes_the_judges_errors_alike(trained, portraits):
    network = judge.load_judge(trained[1])
    assert torch.allclose(network.whitening, network.whitening.T, atol=1e-2)
    assert not torch.allclose(network.whitening, torch.eye(len(IDENTITY)), atol=0.1)


def test_training_leaves_the_global_generator_alone(portraits, tmp_path):
    before = torch.random.get_rng_state()
    judge.train_judge(*portraits, tmp_path / "j.safetensors", 1.0, steps=0, width=16)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_degrading_keeps_the_picture_and_its_colours(portraits):
    pixels = portraits[0].float() / 127.5 - 1
    small = torch.nn.functional.interpolate(pixels, (128, 128), mode="area")
    worse = judge.degrade(small, Generator().manual_seed(0))
    assert not torch.equal(worse, small)
    assert (worse.mean((2, 3)) - small.mean((2, 3))).abs().max() < 0.15


def test_another_file_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsMismatch, match="has no configuration"):
        judge.load_judge(tmp_path / "other.safetensors")
