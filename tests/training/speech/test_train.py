import ctypes.util

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion, load_speech_encoder
from portraittalk_core.training.speech.train import best_lag, correlation, evaluate_speech, make_recording
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
    assert scores["r_jaw"] > 0.85 and scores["r_press"] > 0.7 and abs(scores["lag_frames"]) <= 0.5
