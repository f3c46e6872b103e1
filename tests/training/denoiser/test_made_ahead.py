"""Shards that bring latents and features: a batch is the same, and nothing is encoded that was."""

import json
import logging
from typing import cast

import pytest
import torch

from portraittalk_core.checkpoints.hearing import open_hearing, sign_of_speech
from portraittalk_core.checkpoints.native import load_speech_encoder, load_structure, load_vae
from portraittalk_core.compositing.head_warp import HeadWarp
from portraittalk_core.config import TrainingConfig
from portraittalk_core.preparation.cache import sign_of_vae
from portraittalk_core.preparation.shards import INDEX, ShardWriter, array_bytes, pack, read_samples
from portraittalk_core.training.denoiser import stages
from portraittalk_core.training.denoiser.bank import FrameEncoders
from portraittalk_core.training.denoiser.shard_bank import Readers
from portraittalk_core.training.denoiser.stages import ASSETS, streamed_batches
from portraittalk_core.training.denoiser.stream import ShardDraws, StreamStore

from ...small_wav2vec2 import WIDTH, small_public, write_public
from .shards import SIDE, Still, mean_colours, write_shards

AT = torch.device("cpu")
RUN = {"seed": 3, "refs": 2, "targets": 1, "size": SIDE}


@pytest.fixture(scope="module")
def speech():
    return load_speech_encoder(ASSETS / "speech.safetensors")


@pytest.fixture(scope="module")
def shards(tmp_path_factory, speech, vae_file):
    """The samples of `write_shards` once more, with what was made of them."""
    plain = write_shards(tmp_path_factory.mktemp("plain"), (12, 16))
    folder = tmp_path_factory.mktemp("made")
    store = StreamStore(*encoders(speech), None, torch.device("cpu"))
    writer = ShardWriter(folder / "train-000000.tar")
    for sample in read_samples(plain):
        from portraittalk_core.preparation.samples import decoded, wave_samples

        levels = torch.stack([torch.from_numpy(decoded(content)) for content in sample.frames])
        heard = speech.encode(wave_samples(sample.files["wav"]), 25.0, len(levels)).hidden
        made = {"latents.npy": array_bytes(store._latents(None, levels).half().numpy())}
        made["speech.npy"] = array_bytes(heard.half().numpy())
        facts = {"key": sample.key, "clip": "c", "frames": len(levels)}
        writer.add(facts, pack(sample.key, {**sample.files, **made}))
    signs = sign_of_vae(load_vae(vae_file)), sign_of_speech(speech)
    cached = {
        "latents": {"made by": "a", "size": SIDE, "sign": signs[0]},
        "speech": {"made by": "b", "sign": signs[1]},
    }
    (folder / INDEX).write_text(json.dumps({"cached": cached, "shards": [writer.finish("train")]}))
    return folder


def encoders(speech):
    still = FrameEncoders(mean_colours, cast(HeadWarp, Still()), None, "cpu")
    return still, Readers(*load_structure(ASSETS / "structure.safetensors"), speech)


@pytest.mark.parametrize("clip", [1, 4])
def test_a_batch_is_that_of_pictures_and_sound(shards, speech, text, clip):
    store = StreamStore(*encoders(speech), text.tokenize, torch.device("cpu"), clip)
    plain = ShardDraws(shards, **RUN, clip=clip)[1]
    short = ShardDraws(shards, **RUN, clip=clip, made=("latents", "speech"))[1]
    assert plain.names == short.names and short.pictures.numel() == 0 and not short.sounds
    whole, quick = store.gather(plain), store.gather(short)
    for name in ("latents", "reference_latents", "warped_latents", "landmarks", "embeddings", "unseen"):
        torch.testing.assert_close(getattr(quick, name), getattr(whole, name), atol=2e-3, rtol=2e-3)
    assert torch.equal(quick.owner, whole.owner) and float(whole.latents.std()) > 0.1
    if clip > 1:
        torch.testing.assert_close(quick.features, whole.features, atol=5e-3, rtol=2e-3)


def test_frames_are_not_encoded_again(shards, speech, text):
    asked = []

    def counted(pixels):
        asked.append(len(pixels))
        return mean_colours(pixels)

    still = FrameEncoders(counted, cast(HeadWarp, Still()), None, "cpu")
    store = StreamStore(still, encoders(speech)[1], text.tokenize, torch.device("cpu"), 4)
    for made, encoded in (((), 2 + 8 + 8), (("latents", "speech"), 8)):
        asked.clear()
        store.gather(ShardDraws(shards, **RUN, clip=4, made=made)[0])
        assert sum(asked) == encoded  # references, the same moved to each frame, the frames


@pytest.mark.parametrize(
    ("change", "left"),
    [({}, ["latents", "speech"]), ({"size": 128}, ["speech"]), ({"vae": ASSETS / "vae.safetensors"}, ["speech"])],
)
def test_a_run_takes_what_its_own_networks_made(shards, vae_file, monkeypatch, caplog, text, change, left):
    asked = []
    monkeypatch.setattr(stages, "ShardDraws", lambda *_, **options: asked.append(options["made"]))
    config = TrainingConfig(stream=True, size=change.get("size", SIDE))
    with caplog.at_level(logging.WARNING):
        streamed_batches(config, shards, (change.get("vae", vae_file), ASSETS / "dense_motion.safetensors"), text)
    assert asked == [left]
    assert ("is made anew" in caplog.text) == (len(left) < 2)


def test_another_encoder_hears_the_sound_of_shards_itself(shards, vae_file, text, tmp_path, caplog):
    with small_public():
        hearing = open_hearing(write_public(tmp_path / "wav2vec2.safetensors"))
    config = TrainingConfig(stream=True, stage=2, size=SIDE, refs=2, targets=1, clip=4, seed=3, drop_audio=0.0)
    networks = (vae_file, ASSETS / "dense_motion.safetensors")
    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(stages, "frame_encoders", lambda *_: encoders(None)[0])
        batch = next(iter(streamed_batches(config, shards, networks, text.tokenize, hearing=hearing)(0, 0, 1, AT)))
    assert "speech in it is of other networks or pictures (b, 128 wide): it is made anew" in caplog.text
    draw = ShardDraws(shards, **RUN, clip=4, made=("latents",))[0]
    heard = [hearing.encoder.encode(sound, 25.0, len(sound) // 640).hidden for sound in draw.sounds]
    expected = torch.stack([rows[k : k + 4] for rows, k in zip(heard, draw.first.tolist(), strict=True)])
    assert batch.features is not None and batch.features.shape == (2, 4, WIDTH)
    torch.testing.assert_close(batch.features, expected)
