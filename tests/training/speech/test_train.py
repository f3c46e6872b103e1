import csv
import ctypes.util

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion, load_speech_encoder
from portraittalk_core.training.speech.corpus import make_recording
from portraittalk_core.training.speech.losses import speech_loss
from portraittalk_core.training.speech.mouth import train_mouth
from portraittalk_core.training.speech.scores import best_lag, correlation, evaluate_speech
from portraittalk_core.training.speech.train import train_speech
from portraittalk_core.types import MOUTH
from portraittalk_core.voices.mouth_shapes import shape_row
from portraittalk_core.voices.speech import HELD_OUT_VOICES, TRAIN_VOICES

ESPEAK = ctypes.util.find_library("espeak-ng")


def test_lag_is_how_late_the_prediction_is():
    true = torch.sin(torch.arange(100) / 5.0) + torch.sin(torch.arange(100) / 2.3)
    assert best_lag(true.roll(2)[3:-3], true[3:-3], 5) == 2 and best_lag(true, true, 5) == 0
    assert correlation(true, 3 * true + 1) == pytest.approx(1.0) and correlation(true, 0 * true) == 0


def test_no_voice_is_both_heard_and_held_out():
    assert not set(TRAIN_VOICES) & set(HELD_OUT_VOICES)


@pytest.mark.skipif(ESPEAK is None, reason="espeak-ng is not installed: apt-get install -y espeak-ng")
def test_the_shipped_listener_hears_voices_it_never_heard():
    corpus = [make_recording(HELD_OUT_VOICES, torch.Generator().manual_seed(2_000_000 + k)) for k in range(4)]
    encoder = load_speech_encoder(ASSETS / "tiny" / "speech.safetensors")
    a2m, _ = load_motion(ASSETS / "tiny" / "motion.safetensors")
    scores = evaluate_speech(encoder, a2m, corpus)
    assert scores["r_jawOpen"] > 0.85 and scores["r_mouthPress"] > 0.7 and abs(scores["lag_frames"]) <= 0.5
    assert scores["r_mouthRollLower"] > 0.6 and scores["r_mouthPucker"] > 0.6 and scores["loud_r_jawOpen"] > 0.6


def recordings(count: int) -> list[tuple[torch.Tensor, ...]]:
    """Return noise that swells as a jaw opens."""
    made = []
    for number in range(count):
        jaw = 0.5 - 0.5 * torch.cos(torch.arange(700) / 15)
        sound = torch.randn(700 * 160, generator=torch.Generator().manual_seed(number)) * jaw.repeat_interleave(160)
        made.append(((sound * 3000).short(), shape_row({"jawOpen": 1.0}) * jaw[:, None], (jaw > 0.5).to(torch.int8)))
    return made


@pytest.mark.slow
def test_training_goes_on_where_it_was_and_from_an_encoder(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    for name, count in (("corpus_0_0.1", 2), ("recorded_0_0.1", 1), ("held_out", 1)):
        torch.save(recordings(count), work / f"{name}.pt")
    small = {"minutes": 0.1, "batch": 2, "steps": 2, "prior_steps": 2, "work_dir": work, "start": ASSETS / "tiny"}
    scores = train_speech(tmp_path / "out", **small)
    assert {"r_jawOpen", "r_mouthPress", "lag_frames", "loud_r_jawOpen", "loud_rest"} <= set(scores)
    a2m, _ = load_motion(tmp_path / "out" / "motion.safetensors")
    assert a2m.columns == MOUTH
    was, now = (load_speech_encoder(f / "speech.safetensors").state_dict() for f in (ASSETS / "tiny", tmp_path / "out"))
    moved = [float((now[name] - was[name]).abs().max()) for name in was]
    assert 0 < max(moved) < 0.05
    assert train_speech(tmp_path / "out", **small) == scores  # nothing is left to do
    with (work / "speech.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["2"]


@pytest.mark.slow
def test_a_mouth_learns_anew_over_an_encoder_and_a_prior_that_stay(tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    for name, count in (("corpus_0_0.1", 2), ("recorded_0_0.1", 1), ("held_out", 1)):
        torch.save(recordings(count), work / f"{name}.pt")
    small = {"minutes": 0.1, "lessons": 2, "batch": 2, "steps": 3, "work_dir": work}
    scores = train_mouth(tmp_path / "out", ASSETS / "tiny", **small)
    was, now = (load_motion(folder / "motion.safetensors") for folder in (ASSETS / "tiny", tmp_path / "out"))
    assert all(torch.equal(was[1].state_dict()[name], tensor) for name, tensor in now[1].state_dict().items())
    assert not torch.equal(was[0].leave.weight, now[0].leave.weight) and now[0].columns == MOUTH
    assert not (tmp_path / "out" / "speech.safetensors").exists()
    assert train_mouth(tmp_path / "out", ASSETS / "tiny", **small) == scores  # nothing is left to do
    (work / "mouth.pt").unlink()
    assert train_mouth(tmp_path / "out", ASSETS / "tiny", **small) == scores  # and a second run is the first


def test_a_column_that_hardly_moves_counts_as_the_jaw_does():
    spread = torch.ones(len(MOUTH))
    spread[1] = 0.1
    wanted = torch.zeros(1, 50, len(MOUTH))
    losses = []
    for column, size in ((1, 0.1), (2, 1.0)):
        found = wanted.clone()
        found[..., column] = size
        losses.append(float(speech_loss(found, wanted, spread)))
    assert losses[0] == pytest.approx(losses[1]) and losses[0] > 0
    assert float(speech_loss(wanted, wanted, spread)) == 0
