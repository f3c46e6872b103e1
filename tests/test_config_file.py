"""Configuration records are read from TOML and plain values, checked all at once, and turned back."""

import json

import pytest

from portraittalk_core import presets
from portraittalk_core.config import ModelConfig, TrainingConfig
from portraittalk_core.config_file import from_mapping, read_toml, to_mapping
from portraittalk_core.errors import BadConfig


@pytest.mark.parametrize("name", sorted(presets.PRESETS))
def test_a_preset_survives_json(name):
    config = presets.PRESETS[name]()
    again = from_mapping(ModelConfig, json.loads(json.dumps(to_mapping(config))))
    assert again == config and hash(again) == hash(config) and config.name == name


def test_all_problems_are_told_at_once():
    values = {"sise": 256, "unet": {"chanels": [64], "heads": "four"}, "sampling": {"steps": True}}
    with pytest.raises(BadConfig) as caught:
        from_mapping(ModelConfig, values, "mine.toml")
    text = str(caught.value)
    assert text.startswith("mine.toml: ") and "\n" not in text
    for part in ("`sise`", "`unet.chanels`", "known: latent_channels", "`unet.heads` must be int, but got 'four'"):
        assert part in text
    assert "`sampling.steps` must be int, but got True" in text


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"size": [256]}, r"`size` must be int, but got \[256\]"),
        ({"unet": 3}, "`unet` must be a table, but got 3"),
        ({"unet": {"channels": 64}}, "`unet.channels` must be a list, but got 64"),
        ({"unet": {"channels": [64, "x"]}}, r"`unet.channels\[1\]` must be int, but got 'x'"),
        ({"reference_layers": "mid.0.0"}, "`reference_layers` must be a list, but got 'mid.0.0'"),
        ({"name": 1}, "`name` must be str, but got 1"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(values, told):
    with pytest.raises(BadConfig, match=told):
        from_mapping(ModelConfig, values)


def test_whole_numbers_serve_as_floats_and_lists_become_tuples():
    config = from_mapping(ModelConfig, {"sampling": {"cfg": 3}, "unet": {"channels": [8, 16]}})
    assert isinstance(config.sampling.cfg, float) and config.unet.channels == (8, 16)


def test_a_key_of_older_files_is_read():
    assert from_mapping(ModelConfig, {"sampling": {"text_scale": 3.0}}).sampling.cfg == 3.0
    with pytest.raises(BadConfig, match="`sampling.text_scale` must be float, but got 'x'"):
        from_mapping(ModelConfig, {"sampling": {"text_scale": "x"}})
    with pytest.raises(BadConfig, match="unknown key `text_scale`"):
        from_mapping(ModelConfig, {"text_scale": 3.0})


def test_toml_with_overrides(tmp_path):
    path = tmp_path / "stage.toml"
    path.write_text("stage = 2\nclip = 8\n", encoding="utf-8")
    config = read_toml(TrainingConfig, path, clip=4, minutes=None)
    assert config == TrainingConfig(stage=2, clip=4)


@pytest.mark.parametrize(
    ("text", "told"),
    [(text, "is no TOML file") for text in (b"a = = 1", b"a = '\xff'", b"a = " + b"[" * 100_000)],
    ids=["signs", "bytes", "deep"],
)
def test_a_file_that_is_no_toml_is_told(tmp_path, text, told):
    path = tmp_path / "bad.toml"
    path.write_bytes(text)
    with pytest.raises(BadConfig, match=told):
        read_toml(TrainingConfig, path)
    with pytest.raises(BadConfig, match="cannot be read"):
        read_toml(TrainingConfig, tmp_path / "none.toml")
