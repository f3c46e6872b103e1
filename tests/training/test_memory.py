"""The plan of a training step: parts add up, switches help, and the same step is the same plan."""

import dataclasses

import pytest

from portraittalk_core import builders
from portraittalk_core.config import TrainingConfig
from portraittalk_core.training import memory
from portraittalk_core.training.memory import Parts, fits, plan_step, remedies

CLIPS = TrainingConfig(stage=2, size=64, refs=2, targets=1, clip=4, optimiser="adamw", precision="bf16")


@pytest.fixture(scope="module")
def plans(small):
    """Without gradient checkpointing, with it, and with it once more."""
    return [plan_step(small, dataclasses.replace(CLIPS, recompute=again)) for again in (False, True, True)]


def test_parts_are_what_is_learned_and_what_stays(small, plans):
    parts = plans[0]
    nets = builders.adapters(small).animate_net
    learned = sum(
        p.numel() for net in (nets.temporal, nets.audio, nets.structure, nets.occlusion) for p in net.parameters()
    )
    found = (parts.trained, parts.gradients, parts.optimiser, parts.average)
    assert found == (4 * learned, 4 * learned, 8 * learned, 4 * learned)
    assert parts.lowered <= 2 * learned and parts.activations > 0
    assert parts.total == sum(dataclasses.asdict(parts).values())


def test_where_shards_are_streamed_what_encodes_them_counts(small, plans):
    from portraittalk_core.checkpoints.native import ASSETS, load_speech_encoder, load_text_encoder, load_vae

    files = [(load(ASSETS / "tiny" / f"{name}.safetensors"), width) for load, name, width in (
        (load_text_encoder, "text", 2), (load_vae, "vae", 4), (load_speech_encoder, "speech", 4)
    )]  # fmt: skip
    sizes = [width * sum(p.numel() for p in net.parameters()) for net, width in files]
    streamed = plan_step(small, dataclasses.replace(CLIPS, stream=True, recompute=True))
    assert plans[1].encoders == sizes[0] and streamed.encoders == sum(sizes)
    assert streamed.activations > plans[1].activations  # the VAE, of small pictures and a small U-Net


def test_a_wider_hearing_is_learned_and_counted(small, plans):
    wide = plan_step(dataclasses.replace(small, audio_dim=768), dataclasses.replace(CLIPS, stream=True))
    assert wide.trained > plans[0].trained
    assert wide.encoders - plans[0].encoders > 4 * 94e6  # wav2vec2-base itself


def test_recomputing_takes_less_and_a_plan_is_the_same_again(plans):
    plain, first, second = plans
    assert first == second  # a recomputed layer that is held on to would show here
    assert first.activations < 0.7 * plain.activations


def test_remedies_are_named_until_a_step_fits(small, monkeypatch):
    def pretended(_model, config):
        large = 9e9 * config.refs * config.clip / (4 if config.recompute else 1)
        return Parts(0, 0, 0, 0, 0, int(8e9 if config.optimiser == "adamw" else 2e9), int(4e9 * config.ema), int(large))

    monkeypatch.setattr(memory, "plan_step", pretended)
    assert remedies(small, CLIPS, 200)[0] == []
    assert remedies(small, CLIPS, 35)[0] == ["recompute = true"]
    switches, fitted = remedies(small, CLIPS, 17)
    assert switches == ["recompute = true", 'optimiser = "adamw8bit"', "refs = 1, with `accumulate` instead"]
    assert fits(fitted, 17) and fitted.total == pytest.approx(2e9 + 4e9 * CLIPS.ema + 9e9)
    nothing, still = remedies(small, dataclasses.replace(CLIPS, clip=24), 3)
    assert nothing[-2:] == ["clip = 16", "clip = 8"] and "ema = 0" in nothing and not fits(still, 3)


@pytest.mark.slow
def test_the_large_model_fits_the_cards_that_the_documents_say():
    from portraittalk_core.cli.train_parts import recipe_path
    from portraittalk_core.config_file import from_mapping, toml_values
    from portraittalk_core.training.model import read_model

    runs = [from_mapping(TrainingConfig, run) for run in toml_values(recipe_path("sd15.toml"))["runs"]]
    totals = [plan_step(read_model("sd15"), run).total / 1e9 for run in runs]
    assert totals == pytest.approx([25.8, 22.3], abs=0.1)
