"""Which encoder a training listens with: named, begun with, of the shards, public, shipped; or a line why not."""

import json

import pytest

from portraittalk_core.checkpoints import hearing as hearings
from portraittalk_core.checkpoints.hearing import RECORD, open_hearing
from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadConfig, BadInput, WeightsMismatch
from portraittalk_core.preparation.shards import INDEX
from portraittalk_core.training.denoiser.stages import ASSETS, train_stage
from portraittalk_core.training.listening import choose_hearing

from ..small_wav2vec2 import WIDTH, small_public, write_public


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    return write_public(tmp_path_factory.mktemp("public") / "wav2vec2.safetensors")


@pytest.fixture
def found(monkeypatch):
    """Where the public file is found; nowhere until a test says so."""
    places = []
    monkeypatch.setattr(hearings, "find", lambda entry, folders: places[-1] if places else None)
    with small_public():
        yield places


def shards(folder, hearing=None):
    cached = {} if hearing is None else {"cached": {"latents": {}, "speech": hearing.record}}
    folder.mkdir(exist_ok=True)
    (folder / INDEX).write_text(json.dumps({"shards": [], **cached}))
    return folder


def test_what_is_named_comes_first_and_stays(public, found, tmp_path):
    plain = shards(tmp_path / "s")
    assert choose_hearing(tmp_path / "a", plain, str(public)).width == WIDTH
    assert choose_hearing(tmp_path / "a", plain).file == public  # the same command goes on
    assert choose_hearing(tmp_path / "a", plain, str(public)).file == public
    with pytest.raises(BadInput, match=f"begun with wav2vec2.safetensors, {WIDTH} .* names the shipped encoder, 128"):
        choose_hearing(tmp_path / "a", plain, "shipped")


def test_features_in_shards_decide_where_nothing_is_named(public, found, tmp_path):
    made = shards(tmp_path / "s", open_hearing(public))
    with pytest.raises(WeightsMismatch, match=f"heard with wav2vec2.safetensors, {WIDTH} .* not here. Name its file"):
        choose_hearing(tmp_path / "a", made)
    assert choose_hearing(tmp_path / "b", made, "shipped").is_shipped
    found.append(public)
    assert choose_hearing(tmp_path / "a", made).file == public
    shipped = shards(tmp_path / "t", open_hearing())
    assert choose_hearing(tmp_path / "c", shipped, public=True).is_shipped


def test_a_model_from_public_files_listens_with_the_public_encoder_where_it_is(public, found, tmp_path):
    plain = shards(tmp_path / "s")
    assert choose_hearing(tmp_path / "a", plain, public=True).is_shipped
    found.append(public)
    assert choose_hearing(tmp_path / "a", plain, public=True).is_shipped  # it was begun so
    assert choose_hearing(tmp_path / "b", plain, public=True).file == public
    assert choose_hearing(tmp_path / "c", plain).is_shipped
    (tmp_path / "old" / "stage1").mkdir(parents=True)
    (tmp_path / "old" / "stage1" / "state.pt").touch()  # of a version that had no other encoder
    assert choose_hearing(tmp_path / "old", plain, public=True).is_shipped
    assert not (tmp_path / "old" / RECORD).exists()


def test_a_model_of_another_width_is_refused(public, found, small, vae_file, tmp_path):
    hearing = open_hearing(public)
    with pytest.raises(BadConfig, match=f"`audio_dim` must be {WIDTH}, the width of wav2vec2.safetensors, but got 128"):
        train_stage(
            TrainingConfig(stream=True), tmp_path, data=tmp_path, people=tmp_path, model=small, vae=vae_file,
            hearing=hearing, warp=ASSETS / "dense_motion.safetensors",
        )  # fmt: skip
