import math

import pytest
import torch
from safetensors.torch import save_file

from portraittalk_core.checkpoints.native import ASSETS, load_speech_encoder
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.perception.speech import SpeechEncoder, loudness_track, resample_rows, speech_level
from portraittalk_core.types import SPEECH_RATE


@pytest.fixture(scope="module")
def encoder() -> SpeechEncoder:
    return load_speech_encoder(ASSETS / "tiny" / "speech.safetensors")


def babble(seconds: float) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    time_s = torch.arange(int(seconds * SPEECH_RATE)) / SPEECH_RATE
    voice = sum(torch.sin(2 * math.pi * 120 * k * time_s) / k for k in range(1, 12))
    return 0.1 * voice * (0.5 + 0.5 * torch.sin(2 * math.pi * 4 * time_s)) + 0.01 * torch.randn(
        len(time_s), generator=generator
    )


def test_there_is_a_row_for_every_frame_of_the_video(encoder):
    for seconds, fps, frames in ((1.0, 25, 25), (0.99, 30, 30), (0.01, 25, 1), (2.5, 23.976, 60)):
        features = encoder.encode(babble(seconds), fps)
        assert features.hidden.shape == (frames, encoder.dim) and features.loudness.shape == (frames,)
        assert features.fps == fps


def test_a_long_recording_is_encoded_in_pieces_that_join(encoder):
    speech = babble(7.0)
    pieces = SpeechEncoder(encoder.model, chunk_s=2.0, context_s=1.0)
    whole, joined = encoder.encode(speech, 25), pieces.encode(speech, 25)
    assert torch.equal(whole.loudness, joined.loudness)
    error = (whole.hidden - joined.hidden).norm() / whole.hidden.norm()
    assert 0 < error < 0.05


def test_loudness_is_that_of_each_frame(encoder):
    speech = torch.cat([torch.full((SPEECH_RATE,), 0.1), torch.zeros(SPEECH_RATE)])
    loudness = encoder.encode(speech, 25).loudness
    assert loudness[:25].tolist() == pytest.approx([-20.0] * 25, abs=1e-3)
    assert loudness[25:].max() <= -99.9


@pytest.mark.parametrize("fps", [20, 25, 50])
def test_loudness_is_librosas_where_frames_are_whole_samples(fps):
    import librosa

    speech = babble(1.0)
    hop = SPEECH_RATE // fps
    level = librosa.feature.rms(y=speech.numpy(), frame_length=hop, hop_length=hop, center=False)[0]
    torch.testing.assert_close(
        loudness_track(speech, fps, fps), 20 * torch.from_numpy(level).log10(), atol=1e-4, rtol=0
    )


def test_the_level_of_speech_is_that_of_its_loud_frames_and_silence_has_none():
    speech = torch.cat([torch.full((60,), -20.0), torch.full((40,), -70.0)])
    assert speech_level(speech) == -20 and speech_level(speech - 50) == -70
    one_word = torch.full((100,), -90.0)
    one_word[50:53] = -20
    assert speech_level(one_word) == -35
    for nothing in (torch.full((50,), -160.0), torch.full((50,), -70.0), torch.tensor([-99.5])):
        assert speech_level(nothing) is None
    assert speech_level(torch.full((50,), -30.0)) == -30


def test_the_level_of_a_recording_does_not_matter(encoder):
    speech = babble(1.0)
    torch.testing.assert_close(
        encoder.encode(speech, 25).hidden, encoder.encode(1e-4 * speech, 25).hidden, atol=1e-3, rtol=0
    )


@pytest.mark.parametrize(
    ("speech", "fps", "rule"),
    [
        (torch.zeros(0), 25, "must be one channel"),
        (torch.zeros(2, 100), 25, "must be one channel"),
        (torch.tensor([0.0, math.nan, 0.0]), 25, "must be finite"),
        (torch.zeros(100), 0, "must be positive"),
    ],
)
def test_what_is_no_speech_is_refused(encoder, speech, fps, rule):
    with pytest.raises(BadInput, match=rule):
        encoder.encode(speech, fps)


def test_rows_are_read_off_at_the_middle_of_frames():
    rows = torch.arange(50.0)[:, None]
    assert resample_rows(rows, 50, 25, 25)[:, 0].tolist() == [0.5 + 2 * k for k in range(25)]
    assert resample_rows(rows, 50, 50, 50)[:, 0].tolist() == list(range(50))


@pytest.mark.slow
def test_another_file_is_no_encoder(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"config": "{}"})
    with pytest.raises(WeightsMismatch, match="must be a speech encoder .*, but masked_spec_embed is missing"):
        load_speech_encoder(tmp_path / "a.safetensors")
    with pytest.raises(WeightsMismatch, match="there is no such weights file"):
        load_speech_encoder(tmp_path / "none.safetensors")
