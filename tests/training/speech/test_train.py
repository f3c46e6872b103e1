import ctypes.util

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion, load_speech_encoder
from portraittalk_core.training.denoiser.clips import SpeechClips, draw_clip, load_speech_clips, save_speech_clips
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


def test_clips_survive_the_file_and_join_mouth_and_idle_motion(tmp_path):
    generator = torch.Generator().manual_seed(0)
    made = SpeechClips(
        torch.randn(60, 128).half(), torch.rand(60, 4).half(), 0.1 * torch.randn(60, 10).half(), [0, 20, 60]
    )
    save_speech_clips(made, tmp_path / "c.npz")
    clips = load_speech_clips(tmp_path / "c.npz")
    assert torch.equal(clips.features, made.features) and clips.starts == made.starts
    for _ in range(5):
        coefficients, pose, features = draw_clip(clips, 24, generator)
        assert coefficients.shape == (24, 10) and pose.shape == (24, 6) and features.shape == (24, 128)
        at = int((made.features.float() == features[0]).all(1).nonzero())
        assert 20 <= at <= 36  # the first recording is too short
        torch.testing.assert_close(coefficients[:, :4], made.mouth[at : at + 24].float())
        assert (pose[:, 5] == 1).all() and coefficients.max() <= 1
