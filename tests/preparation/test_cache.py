"""Latents and speech features that are made ahead: what training would make of the same sample, and by whom."""

import dataclasses
import io
import json

import numpy as np
import pytest
import torch

from portraittalk_core.checkpoints.hearing import made_by_same, sign_of_speech
from portraittalk_core.checkpoints.native import ASSETS, load_speech_encoder, load_vae, save_modules
from portraittalk_core.checkpoints.speech import load_wav2vec2
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.hosts.diffusers_models import build_tiny_vae
from portraittalk_core.perception.speech import TINY_SPEECH, SpeechEncoder, build_wav2vec2
from portraittalk_core.preparation.cache import open_cache, sign_of_vae
from portraittalk_core.preparation.decoding import pixels_of
from portraittalk_core.preparation.run import Preparation
from portraittalk_core.preparation.samples import decoded, wave_bytes, wave_samples
from portraittalk_core.preparation.settings import Settings
from portraittalk_core.preparation.shards import read_samples
from portraittalk_core.preparation.sources import find_sources

from ..small_wav2vec2 import WIDTH, small_public, write_public
from .conftest import frames, write

LAYOUT = {"latent_channels": 4, "width": 8, "encoder_blocks": [1, 1, 1, 1], "decoder_blocks": [1, 1, 1, 1]}
HEARS = {**TINY_SPEECH, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32}


@pytest.fixture(scope="module")
def networks(tmp_path_factory):
    """Files of a VAE and of a wav2vec 2.0, both with random weights."""
    folder = tmp_path_factory.mktemp("networks")
    torch.manual_seed(1)
    save_modules(folder / "vae.safetensors", build_tiny_vae(**LAYOUT).state_dict(), LAYOUT)
    model = build_wav2vec2(**HEARS)
    save_modules(folder / "speech.safetensors", model.state_dict(), SpeechEncoder(model).config)
    return folder / "vae.safetensors", folder / "speech.safetensors"


@pytest.fixture(scope="module")
def shards(tmp_path_factory, networks, settings, fitter):
    from portraittalk_core.preparation.clip import Tools

    from .conftest import KnownFinder

    folder = tmp_path_factory.mktemp("made")
    voice = 0.1 * torch.sin(torch.arange(0, 16_000) / 10)
    voice[:6400] = voice[9600:] = 0  # too short to be speech
    write(folder / "clips" / "ann" / "one.mp4", frames(13), voice[: 13 * 640])
    write(folder / "clips" / "bob" / "silent.mp4", frames(11))
    cache = open_cache(*(str(file) for file in networks))
    tools = Tools(KnownFinder(), lambda picture, mesh: torch.eye(512)[0], fitter, cache=cache)
    told = dataclasses.replace(settings, latents=str(networks[0]), speech=str(networks[1]), quality=100)
    preparation = Preparation(folder / "shards", find_sources(folder / "clips"), told, tools)
    list(preparation.run())
    preparation.pack()
    return folder / "shards"


def test_latents_and_features_of_every_frame_lie_beside_it(shards, networks):
    vae, encoder = load_vae(networks[0]), load_speech_encoder(networks[1])
    spoken, silent = read_samples(shards)
    for sample in (spoken, silent):
        count = len(sample.frames)
        latents, features = (torch.from_numpy(sample.array(name)) for name in ("latents", "speech"))
        assert latents.dtype == features.dtype == torch.float16
        assert latents.shape == (count, 4, 16, 16) and features.shape == (count, 32)
        pixels = torch.stack([pixels_of(decoded(content)) for content in sample.frames])
        with torch.no_grad():
            again = vae.encode(pixels).latents
        near = (latents.float() - again).square().mean().sqrt() / again.std()
        assert near < 0.05  # what the picture format changes
    sound = wave_samples(spoken.files["wav"])
    heard = encoder.encode(sound, 25.0, len(spoken.frames)).hidden
    torch.testing.assert_close(torch.from_numpy(spoken.array("speech")).float(), heard, atol=2e-3, rtol=1e-3)
    assert "wav" not in silent.files


def test_the_index_says_by_which_networks(shards, networks):
    index = json.loads((shards / "index.json").read_text())
    assert index["settings"]["latents"] == "vae.safetensors" and index["tools"]["latents"] == "vae.safetensors"
    made = index["cached"]
    assert made["latents"]["size"] == 128 and made["speech"]["made by"] == "speech.safetensors"
    assert made["speech"]["width"] == 32 and not made["speech"]["public"]
    vae, encoder = load_vae(networks[0]), load_speech_encoder(networks[1])
    assert made_by_same(sign_of_vae(vae), made["latents"]["sign"])
    assert made_by_same(sign_of_vae(vae.bfloat16()), made["latents"]["sign"])
    assert made_by_same(sign_of_speech(encoder), made["speech"]["sign"])
    tiny = load_vae(ASSETS / "tiny" / "vae.safetensors"), load_speech_encoder(ASSETS / "tiny" / "speech.safetensors")
    assert not made_by_same(sign_of_vae(tiny[0]), made["latents"]["sign"])
    assert not made_by_same(sign_of_speech(tiny[1]), made["speech"]["sign"])
    torch.manual_seed(2)
    assert not made_by_same(sign_of_vae(build_tiny_vae(**LAYOUT)), made["latents"]["sign"])


def test_the_public_encoder_makes_features_of_its_width(networks, tmp_path):
    file = write_public(tmp_path / "wav2vec2-base-960h.safetensors")
    with small_public():
        cache = open_cache(str(networks[0]), str(file))
        heard = load_wav2vec2(file).encoder
    sound = 0.1 * torch.sin(torch.arange(5 * 640) / 9)
    squares = [np.zeros((64, 64, 3), np.uint8)] * 5
    made = np.load(io.BytesIO(cache.files(squares, sound)["speech.npy"]))
    expected = heard.encode(wave_samples(wave_bytes(sound)), 25.0, 5).hidden
    assert made.shape == (5, WIDTH) and made.dtype == np.float16
    torch.testing.assert_close(torch.from_numpy(made).float(), expected, atol=2e-3, rtol=1e-3)
    said = cache.record(128)["speech"]
    assert said["made by"] == file.name and said["width"] == WIDTH and said["public"]
    assert made_by_same(said["sign"], sign_of_speech(heard))


def test_what_cannot_be_made_ahead_is_refused(networks, tmp_path):
    with pytest.raises(BadInput, match="there is no --latents"):
        Settings(speech="speech.safetensors")
    with pytest.raises(WeightsMismatch, match="must be a VAE"):
        open_cache(str(networks[1]), None)
    with pytest.raises(WeightsMismatch):
        open_cache(str(tmp_path / "none.safetensors"), None)
