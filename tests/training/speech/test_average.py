"""The mean of two listeners lies between them, and what is new is kept."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_motion, load_speech_encoder
from portraittalk_core.errors import BadInput
from portraittalk_core.motion.audio_to_motion import AudioToMotion
from portraittalk_core.training.speech.average import average, main
from portraittalk_core.training.speech.train import save_listener


def test_the_mean_of_two_listeners(tmp_path):
    encoder, (_, prior) = (
        load_speech_encoder(ASSETS / "tiny" / "speech.safetensors"),
        load_motion(ASSETS / "tiny" / "motion.safetensors"),
    )
    was, now = AudioToMotion(), AudioToMotion(closures=True)
    save_listener(tmp_path / "was", encoder, was, prior)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1.0)
    save_listener(tmp_path / "now", encoder, now, prior)
    main([str(tmp_path / "was"), str(tmp_path / "now"), "--share", "0.25", "--out", str(tmp_path / "out")])
    mean, _ = load_motion(tmp_path / "out" / "motion.safetensors")
    expected = 0.75 * was.leave.weight + 0.25 * now.leave.weight
    torch.testing.assert_close(mean.leave.weight, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(mean.close.weight, now.close.weight, atol=1e-3, rtol=0)
    heard = load_speech_encoder(tmp_path / "out" / "speech.safetensors").state_dict()
    for key, value in encoder.state_dict().items():
        torch.testing.assert_close(heard[key], value - 0.75, atol=2e-3, rtol=1e-3)
    with pytest.raises(BadInput, match="must have gone on from"):
        average(tmp_path / "now", tmp_path / "was", tmp_path / "no")
    with pytest.raises(BadInput, match="`share` must lie between 0 and 1, but got 2"):
        average(tmp_path / "was", tmp_path / "now", tmp_path / "no", 2)
