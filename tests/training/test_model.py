"""The model that is trained is a value: read from a recipe, refused where it cannot be."""

import dataclasses

import pytest

from portraittalk_core import presets
from portraittalk_core.config import ScheduleConfig
from portraittalk_core.errors import BadConfig
from portraittalk_core.training.model import check_model, read_model

from .small import SMALL


def test_a_model_is_a_preset_a_file_or_a_table(tmp_path):
    assert read_model() == presets.tiny() and read_model("sd15-magictalk") == presets.sd15_magictalk()
    table = read_model(SMALL)
    assert table.unet.channels == (32, 64) and table.unet.cross_dim == presets.tiny().unet.cross_dim
    assert table.audio_tokens == presets.tiny().audio_tokens and table.schedule.prediction_type == "epsilon"
    (tmp_path / "other.toml").write_text('base = "sd15-magictalk"\nidentity_tokens = 8\n[unet]\nheads = 4\n')
    other = read_model("other.toml", tmp_path)
    assert (other.name, other.identity_tokens, other.unet.heads) == ("other", 8, 4)
    assert other.unet.channels == presets.sd15_magictalk().unet.channels


@pytest.mark.parametrize(
    ("choice", "rule"),
    [
        ("huge", "`model` must be one of tiny"),
        ("none.toml", "cannot be read"),
        (3, "a preset's name, a TOML file or a table"),
        ({"base": "huge"}, "`base` must be one of"),
        ({"unet": {"colour": 1}}, "unknown key `unet.colour`"),
    ],
)
def test_what_is_no_model_is_named(choice, rule, tmp_path):
    with pytest.raises(BadConfig, match=rule):
        read_model(choice, tmp_path)


@pytest.mark.parametrize(
    ("table", "rule"),
    [
        ({"schedule": {"prediction_type": "epsilon"}}, "must not be epsilon with zero terminal signal"),
        ({"schedule": {"prediction_type": "flow"}}, "`prediction_type` must be one of"),
        ({"occlusion_fade": 0.5}, "`occlusion_fade` must be 1 or more"),
        ({"unet": {"channels": [64, 128]}}, "`unet.channels` and `unet.attention` must be as long"),
        ({"unet": {"channels": [64, 100, 128]}}, "must be multiples of 32"),
        ({"unet": {"heads": 0}}, "`unet.heads` must be 1 or more"),
        ({"temporal_layers": ["down.9.0"]}, "`temporal_layers` must be among"),
        ({"reference_layers": ["down.0.0"]}, "`reference_layers` must be among"),
        ({"vae_factor": 4}, "`vae_factor` must be 8"),
        ({"embedding_dim": 128}, "`embedding_dim` must be 512"),
        ({"size": 100}, "`size` must be a multiple of 64"),
        ({"contour_size": 48}, "`contour_size` must be a multiple of 32"),
    ],
)
def test_what_cannot_be_is_refused_when_it_is_configured(table, rule):
    with pytest.raises(BadConfig, match=rule):
        read_model(table)


def test_everything_that_cannot_be_is_named_at_once():
    schedule = ScheduleConfig(prediction_type="epsilon", rescale_betas_zero_snr=True)
    with pytest.raises(BadConfig, match=r"zero terminal signal.*occlusion_fade"):
        check_model(dataclasses.replace(presets.tiny(), schedule=schedule, occlusion_fade=0.0))
