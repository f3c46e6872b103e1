"""Shards that are streamed: every batch is what its number says, the same that a bank of them would give."""

import dataclasses
import re

import numpy as np
import pytest
import torch

from portraittalk_core.checkpoints.native import load_speech_encoder
from portraittalk_core.errors import BadInput, BadMedia
from portraittalk_core.motion.geometry import mouth_opening
from portraittalk_core.preparation.samples import wave_samples
from portraittalk_core.preparation.shards import read_samples
from portraittalk_core.training.denoiser.stages import ASSETS
from portraittalk_core.training.denoiser.stream import ShardDraws, StreamStore, throughput

from .shards import COUNT, SIDE, damage_first_sample

RUN = {"seed": 3, "refs": 2, "targets": 1, "clip": 4, "size": SIDE}


@pytest.fixture(scope="module")
def store(text, readers, encoders):
    return lambda clip: StreamStore(encoders, readers, text.tokenize, torch.device("cpu"), clip)


def test_a_batch_follows_from_its_number_alone_and_each_sample_comes_once_a_round(shards):
    draws = ShardDraws(shards, **RUN)
    again = ShardDraws(shards, **RUN)
    one, two = draws[5], again[5]
    assert one.names == two.names and torch.equal(one.pictures, two.pictures)
    assert draws[6].names != one.names
    rounds = [[name.partition(":")[0] for number in (3 * k, 3 * k + 1, 3 * k + 2) for name in draws[number].names]
              for k in range(4)]  # fmt: skip
    assert all(sorted(names) == ["c_0", "c_0", "c_1", "c_1", "c_2", "c_2"] for names in rounds)
    assert len({tuple(names) for names in rounds}) > 1
    # twice the batch draws what two batches draw: so is a run that is spread over two processes the same run
    wide = ShardDraws(shards, **{**RUN, "refs": 4})
    assert wide[1].names == draws[2].names + draws[3].names


def test_rows_are_the_frames_that_they_should_be(shards, store, text):
    samples = {sample.key: sample for sample in read_samples(shards)}
    draws = ShardDraws(shards, **RUN)
    batch = store(4).gather(draws[1])
    assert batch.latents.shape == (8, 4, 8, 8) and batch.clip == 4 and batch.features.shape == (2, 4, 128)
    for k, name in enumerate(batch.names):
        key, _, rest = name.partition(":")
        reference, first = (int(value) for value in rest.split(">"))
        track = torch.from_numpy(samples[key].array("points"))
        rows = slice(4 * k, 4 * k + 4)
        assert torch.equal(batch.landmarks[rows], track[first : first + 4])
        assert torch.equal(batch.reference_landmarks[k], track[reference])
        assert not first <= reference < first + 4
        sound = wave_samples(samples[key].files["wav"])
        heard = load_speech_encoder(ASSETS / "speech.safetensors").encode(sound, 25.0, len(track)).hidden
        assert torch.allclose(batch.features[k], heard[first : first + 4], atol=1e-5)
        assert torch.allclose(batch.embeddings[rows, 0].norm(dim=1), torch.ones(4), atol=1e-5)
        said = text.tokenize([samples[key].caption])[0]
        assert (batch.ids[rows] == said).all()
    assert batch.unseen is not None and float(batch.unseen.mean()) == pytest.approx(0.25)
    light = batch.latents[:4, :3].mean((1, 2, 3)).diff()
    assert bool((light > 0.002).all() | (light.min() < -0.2))  # frames grow brighter one by one, or begin anew


def test_single_frames_and_references_apart_from_them(shards, store):
    batch = store(1).gather(ShardDraws(shards, **{**RUN, "clip": 1, "targets": 3})[0])
    assert batch.latents.shape[0] == 6 and batch.features is None and batch.owner.tolist() == [0, 0, 0, 1, 1, 1]
    assert batch.reference_latents.shape[0] == 2 and bool(batch.present.all())


def test_what_is_dropped_is_gone(shards, store, text):
    drops = {f"drop_{name}": 1.0 for name in ("text", "identity", "reference")}
    batch = store(4).gather(ShardDraws(shards, **RUN, drops={**drops, "drop_audio": 1.0})[0])
    assert not batch.embeddings.any() and not batch.present.any() and not batch.features.any()
    assert (batch.ids == text.tokenize([""])).all()
    quiet = store(4).gather(ShardDraws(shards, **RUN, drops={"drop_mouth": 1.0})[0])
    assert bool(quiet.features.any()) and float((quiet.shown - quiet.landmarks).abs().max()) < 0.2
    gap = mouth_opening(quiet.shown) - mouth_opening(quiet.landmarks)
    assert float(gap.max()) < 0.01


def test_a_broken_sample_is_skipped_and_said(tmp_path, shards, store):
    damage_first_sample(shards, tmp_path)
    draws = ShardDraws(tmp_path, **RUN)
    found = [draws[number] for number in range(3)]
    assert not any("c_0" in name for draw in found for name in draw.names)
    said = [what for draw in found for what in draw.skipped]
    assert len(said) >= 2 and "train-000000.tar: sample c_0: its bytes are not those that were written" in said[0]
    assert store(4).gather(found[[bool(draw.skipped) for draw in found].index(True)]).skipped
    (tmp_path / "train-000000.tar").write_bytes(b"")
    with pytest.raises(BadMedia, match="bytes are not those"):
        draws[0]


def test_shards_without_what_is_needed_are_refused(shards):
    with pytest.raises(BadInput, match=f"samples of {COUNT + 2} frames in `train`"):
        ShardDraws(shards, **{**RUN, "clip": COUNT + 1})
    with pytest.raises(BadInput, match="in `test`"):
        ShardDraws(shards, **RUN, split="test")
    assert list(throughput(ShardDraws(shards, **RUN), 2)) == [10, 10]


def test_the_first_frames_of_each_sample_are_drawn_from_where_a_run_says_so(shards, store):
    draws = ShardDraws(shards, **RUN, frames=6)
    said = [re.split("[:>]", name) for number in range(12) for name in draws[number].names]
    assert {key for key, *_ in said} == {"c_0", "c_1", "c_2"}
    assert all(int(reference) < 6 and int(first) + RUN["clip"] <= 6 for _, reference, first in said)
    whole = store(4).gather(ShardDraws(shards, **RUN)[0])
    assert store(4).gather(draws[0]).features.shape == whole.features.shape  # heard in the whole of the sample
    with pytest.raises(BadInput, match="samples of 5 frames"):
        ShardDraws(shards, **RUN, frames=4)


def test_a_draw_needs_no_network(shards):
    draw = ShardDraws(shards, **RUN)[0]
    kinds = {field.name: getattr(draw, field.name) for field in dataclasses.fields(draw)}
    assert kinds["pictures"].dtype == torch.uint8 and kinds["pictures"].shape == (8, SIDE, SIDE, 3)
    assert np.isclose(float(kinds["faces"].norm(dim=1).min()), 1.0)
