"""A voice is taken out by another package; here by one that returns half of what it is given, at its own rate."""

import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from portraittalk_core.errors import BadMedia, MissingExtra
from portraittalk_core.perception import voice_separation
from portraittalk_core.perception.voice_separation import check_separator, separate_voice
from portraittalk_core.types import Sound


class NoCommonClass(Exception):
    """As ONNX Runtime's errors are."""


class Half:
    """Stands in for `audio_separator.separator.Separator`."""

    def __init__(self, output_dir, output_single_stem, sample_rate, log_level, model_file_dir="none"):
        self.folder, self.rate = Path(output_dir), sample_rate
        assert output_single_stem == "Vocals"

    def load_model(self, model_filename):
        if model_filename == "nowhere.onnx":
            raise ConnectionError("HTTPSConnectionPool(host='raw.githubusercontent.com', port=443): Max retries")
        if model_filename == "damaged.onnx":
            raise NoCommonClass("[ONNXRuntimeError] : 7 : INVALID_PROTOBUF" + " : Load model failed" * 50)

    def separate(self, path):
        rate, samples = wavfile.read(path)
        time_s = np.arange(int(len(samples) * self.rate / rate)) / self.rate
        mono = np.interp(time_s, np.arange(len(samples)) / rate, samples.mean(1)) / 2
        wavfile.write(self.folder / "mixed_(Vocals).wav", self.rate, np.stack([mono, mono], 1).astype(np.float32))
        return ["mixed_(Vocals).wav"]


@pytest.fixture
def installed(monkeypatch):
    package, module = types.ModuleType("audio_separator"), types.ModuleType("audio_separator.separator")
    module.Separator = Half
    monkeypatch.setitem(sys.modules, "audio_separator", package)
    monkeypatch.setitem(sys.modules, "audio_separator.separator", module)
    monkeypatch.setattr(voice_separation, "find_spec", lambda name: package)


def song() -> Sound:
    time_s = torch.arange(16_001) / 16_000
    return Sound(torch.stack([torch.sin(2 * torch.pi * 200 * time_s), torch.sin(2 * torch.pi * 200 * time_s)]), 16_000)


def test_the_voice_is_as_long_as_the_song_and_at_its_rate(installed):
    voice = separate_voice(song())
    assert voice.sample_rate == 16_000 and voice.samples.shape == (1, 16_001) and voice.path is None
    torch.testing.assert_close(voice.samples[0, 100:-100], song().samples[0, 100:-100] / 2, atol=5e-3, rtol=0)


@pytest.mark.parametrize(
    ("network", "why"),
    [("nowhere.onnx", "is not here, and nothing can be fetched"), ("damaged.onnx", "INVALID_PROTOBUF")],
)
def test_a_network_that_cannot_be_had_is_one_line(installed, network, why):
    with pytest.raises(BadMedia, match=f"could not be separated with {network} .*{why}") as caught:
        separate_voice(song(), network)
    assert f"audio-separator --download_model_only -m {network}" in str(caught.value) and len(str(caught.value)) < 450


def test_without_the_package_the_cure_is_named(monkeypatch):
    monkeypatch.setattr(voice_separation, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match="pip install 'audio-separator"):
        check_separator()
