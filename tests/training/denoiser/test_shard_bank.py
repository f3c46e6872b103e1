"""Shards of real people become the bank of both stages: every row is the frame that it should be."""

import logging

import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.motion.geometry import mouth_opening
from portraittalk_core.preparation.samples import wave_samples
from portraittalk_core.preparation.shards import is_shards, read_samples
from portraittalk_core.training.denoiser.bank import EncodedBank
from portraittalk_core.training.denoiser.clip_bank import FRAMES, ClipDraws, ClipStore, open_clip_bank
from portraittalk_core.training.denoiser.pairs import FrameStore, PairDraws
from portraittalk_core.training.denoiser.shard_bank import encode_shards

from .shards import COUNT, SIDE, damage_first_sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory, shards, readers, encoders):
    made = tmp_path_factory.mktemp("bank")
    encode_shards(made, shards, encoders, readers, (SIDE,))
    return made


def test_every_row_is_its_frame(folder, shards, readers):
    samples = list(read_samples(shards))
    clips = open_clip_bank(folder, SIDE)
    bank = clips.bank
    assert len(bank.tags) == 4 * (FRAMES + 1) and clips.features.shape[:2] == (4, FRAMES)
    for stretch, (sample, first) in enumerate(((0, 0), (0, FRAMES), (2, 0), (2, FRAMES))):
        track = torch.from_numpy(samples[sample].array("points"))
        reference = (first + FRAMES // 2 + COUNT // 2) % COUNT
        rows = [reference, *range(first, first + FRAMES)]
        place = slice(stretch * (FRAMES + 1), (stretch + 1) * (FRAMES + 1))
        assert torch.equal(bank.landmarks[place], track[rows])
        assert set(bank.first[place].tolist()) == {place.start} and set(bank.person[place].tolist()) == {stretch}
        heard = readers.speech.encode(wave_samples(samples[sample].files["wav"]), 25.0, COUNT).hidden.half()
        assert torch.equal(clips.features[stretch], heard[rows[1:]])
        face = torch.from_numpy(samples[sample].array("faces")).mean(0)
        assert torch.allclose(bank.embeddings[place.start], face / face.norm(), atol=1e-6)
    # frames grow brighter one by one, which the latents show
    light = bank.latents[1 : FRAMES + 1, :3].float().mean((1, 2, 3))
    assert bool((light.diff() > 0.002).all())


def test_the_reference_stays_itself_and_the_mouth_rests(folder):
    clips = open_clip_bank(folder, SIDE)
    first = clips.bank.first == np.arange(len(clips.bank.first))
    own = (clips.bank.warped_latents - clips.bank.latents)[torch.from_numpy(first)].float().abs().mean()
    assert float(own) < 0.03 and not bool(clips.bank.unseen[torch.from_numpy(first)].any())
    assert float(clips.bank.unseen.min()) >= 0 and float(clips.bank.unseen.max()) <= 1
    gap = mouth_opening(clips.resting.landmarks) - mouth_opening(clips.bank.landmarks)
    assert float(gap.max()) < 0.01 and float((clips.resting.landmarks - clips.bank.landmarks).abs().max()) < 0.2


def test_both_stages_draw_from_it(folder, text):
    clips = open_clip_bank(folder, SIDE)
    pairs = PairDraws(EncodedBank.open(folder, SIDE), text.tokenize, seed=0, refs=2, targets=2, drop_text=0.0)
    batch = FrameStore(clips.bank, torch.device("cpu")).gather(pairs[0])
    assert batch.latents.shape == (4, 4, 8, 8) and len(set(batch.ids.flatten().tolist())) > 4
    draws = ClipDraws(clips.bank, text.tokenize, seed=0, clips=2, frames=8, drop_audio=0.0)
    batch = ClipStore(clips, 8, torch.device("cpu")).gather(draws[0])
    assert batch.latents.shape == (16, 4, 8, 8) and batch.features.shape[:2] == (2, 8)


def test_the_first_frames_of_each_sample_alone(tmp_path, shards, readers, encoders):
    encode_shards(tmp_path, shards, encoders, readers, (SIDE,), frames=FRAMES + 2)
    bank = EncodedBank.open(tmp_path, SIDE)
    tracks = [torch.from_numpy(sample.array("points")) for sample in read_samples(shards)]
    rows = [FRAMES // 2 + (FRAMES + 2) // 2, *range(FRAMES)]
    assert torch.equal(bank.landmarks, torch.cat([tracks[0][rows], tracks[2][rows]]))


def test_a_broken_sample_is_reported_and_left_out(tmp_path, shards, readers, encoders, caplog):
    damage_first_sample(shards, tmp_path)
    with caplog.at_level(logging.WARNING):
        encode_shards(tmp_path / "bank", tmp_path, encoders, readers, (SIDE,))
    assert "sample c_0: its bytes are not those that were written; it is left out" in caplog.text
    assert len(EncodedBank.open(tmp_path / "bank", SIDE).tags) == 2 * (FRAMES + 1)
    with pytest.raises(BadInput, match=f"stretches of {FRAMES + 1} frames in `test`"):
        encode_shards(tmp_path / "none", tmp_path, encoders, readers, (SIDE,), split="test")
    assert is_shards(tmp_path) and not is_shards(tmp_path / "bank") and not is_shards(tmp_path / "none")
