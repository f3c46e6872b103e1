"""Which encoder audio attention listens with: opened by name or file, named in a folder, found again or refused."""

import json
import shutil

import pytest
import torch
from safetensors.torch import save_file

from portraittalk_core.checkpoints import hearing as hearings
from portraittalk_core.checkpoints.hearing import (
    COPY,
    RECORD,
    SHIPPED,
    find_hearing,
    load_hearing,
    made_by_same,
    open_hearing,
    save_hearing,
    sign_of_speech,
)
from portraittalk_core.checkpoints.native import save_modules
from portraittalk_core.errors import BadInput, WeightsMismatch
from portraittalk_core.perception.speech import SpeechEncoder, build_wav2vec2

from ..small_wav2vec2 import NUMBERS, WIDTH, small_public, write_public


@pytest.fixture(autouse=True)
def nothing_found(monkeypatch):
    """Read small files as public ones, and find none in folders of models."""
    monkeypatch.setattr(hearings, "find", lambda entry, folders: None)
    with small_public():
        yield


@pytest.fixture(scope="module")
def public(tmp_path_factory):
    return write_public(tmp_path_factory.mktemp("public") / "wav2vec2-base-960h.safetensors")


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    file = tmp_path_factory.mktemp("own") / "mine.safetensors"
    torch.manual_seed(5)
    model = build_wav2vec2(**NUMBERS)
    save_modules(file, model.state_dict(), SpeechEncoder(model).config)
    return file


def test_a_file_says_itself_what_it_is(public, own):
    heard = {name: open_hearing(name) for name in (None, SHIPPED, public, own)}
    assert [one.width for one in heard.values()] == [128, 128, WIDTH, WIDTH]
    assert [one.is_shipped for one in heard.values()] == [True, True, False, False]
    assert [one.public for one in heard.values()] == [False, False, True, False]
    record = heard[public].record
    assert record["made by"] == public.name and record["width"] == len(record["sign"]) == WIDTH and record["public"]
    assert not made_by_same(record["sign"], heard[own].record["sign"])
    halved = sign_of_speech(heard[public].encoder.half().float())
    assert halved != sign_of_speech(heard[own].encoder) and made_by_same(halved, record["sign"])


def test_the_public_file_is_found_by_its_name(public, monkeypatch):
    with pytest.raises(BadInput, match="portraittalk models download wav2vec2"):
        open_hearing("wav2vec2")
    asked = []
    monkeypatch.setattr(hearings, "find", lambda entry, folders: asked.append(entry.name) or public)
    assert open_hearing("wav2vec2").file == public and asked == ["wav2vec2"]


def test_what_is_no_speech_encoder_is_refused(tmp_path):
    with pytest.raises(WeightsMismatch):
        open_hearing(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsMismatch, match="is no weights file that is known"):
        open_hearing(tmp_path / "other.safetensors")


def test_a_public_file_is_named_and_one_of_our_own_is_copied(public, own, tmp_path):
    save_hearing(tmp_path / "a", open_hearing(public))
    save_hearing(tmp_path / "b", open_hearing(own))
    assert [file.name for file in (tmp_path / "a").iterdir()] == [RECORD]
    assert {file.name for file in (tmp_path / "b").iterdir()} == {RECORD, COPY}
    assert json.loads((tmp_path / "a" / RECORD).read_text())["path"] == str(public)
    shutil.move(tmp_path / "b", tmp_path / "moved")
    again = load_hearing(tmp_path / "a"), load_hearing(tmp_path / "moved")
    assert [one.name for one in again] == [public.name, own.name]
    assert [one.file for one in again] == [public, tmp_path / "moved" / COPY]
    assert load_hearing(tmp_path) is None


def test_a_public_file_that_has_moved_is_found_or_missed(public, tmp_path, monkeypatch):
    save_hearing(tmp_path, open_hearing(shutil.copyfile(public, tmp_path / "gone.safetensors")))
    (tmp_path / "gone.safetensors").unlink()
    message = f"must be heard with gone.safetensors, {WIDTH} features wide, but it is not here. Fetch it: .* download"
    with pytest.raises(WeightsMismatch, match=message):
        load_hearing(tmp_path)
    other = write_public(tmp_path / "other.safetensors", seed=1)
    monkeypatch.setattr(hearings, "find", lambda entry, folders: other)
    with pytest.raises(WeightsMismatch, match="other.safetensors hears otherwise"):
        load_hearing(tmp_path)
    monkeypatch.setattr(hearings, "find", lambda entry, folders: public)
    found = load_hearing(tmp_path)
    assert found is not None and (found.file, found.name) == (public, "gone.safetensors")


def test_a_damaged_record_is_refused(tmp_path):
    (tmp_path / RECORD).write_text('{"made by": "a"')
    with pytest.raises(WeightsMismatch, match="is damaged"):
        load_hearing(tmp_path)
    (tmp_path / RECORD).write_text('{"made by": "a"}')
    with pytest.raises(WeightsMismatch, match="lacks"):
        load_hearing(tmp_path)


def test_the_shipped_encoder_is_known_by_what_it_makes(tmp_path):
    shipped = open_hearing()
    assert find_hearing(shipped.record, tmp_path, "").is_shipped
    renamed = find_hearing({"made by": "a copy", "sign": sign_of_speech(shipped.encoder)}, tmp_path, "")
    assert renamed.is_shipped and renamed.name == "a copy"
