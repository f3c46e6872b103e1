"""`portraittalk train --data` and `plan --train`: what a whole model is trained with, and what is refused."""

from __future__ import annotations

import importlib
import re
import sys
import types as python_types
from pathlib import Path

import pytest

from portraittalk_core.cli.main import main


@pytest.fixture
def shards(tmp_path) -> Path:
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "index.json").write_text('{"shards": []}')
    return tmp_path / "shards"


@pytest.fixture
def programs(monkeypatch):
    """Stands in for the training, and notes what it is asked."""
    calls = []
    real = importlib.import_module("portraittalk_core.training.program")
    module = python_types.ModuleType(real.__name__)
    vars(module).update(vars(real))
    vars(module).update(
        train_program=lambda program: calls.append(program) or True,
        export_lora=lambda out, file: calls.append((out, file)) or 128,
    )
    monkeypatch.setitem(sys.modules, real.__name__, module)
    monkeypatch.setattr(sys.modules["portraittalk_core.training"], "program", module, raising=False)
    return calls


def failure(capsys) -> str:
    output = capsys.readouterr().err
    assert output.startswith("portraittalk: error: ") and output.count("\n") == 1
    return output


def test_the_large_model_is_trained_by_the_shipped_recipe(shards, programs, tmp_path, capsys):
    argv = ["train", "--model", "sd15", "--data", str(shards), "--out", f"{tmp_path}/r", "--base", "b.safetensors"]
    assert main([*argv, "--identity", "faceid", "--vae", "v.safetensors", "--steps", "9", "--workers", "0"]) == 0
    (program,) = programs
    assert program.model.name == "sd15" and program.shards == shards and program.out == tmp_path / "r"
    assert program.sources == {"base": "b.safetensors", "identity": "faceid", "vae": "v.safetensors"}
    assert [(run.stage, run.max_steps, run.workers, run.rate) for run in program.runs] == [
        (1, 9, 0, 1e-5),
        (2, 9, 0, 1e-5),
    ]
    assert "done" in capsys.readouterr().out


def test_any_model_and_recipe_go_through_the_same_program(shards, programs, tmp_path):
    (tmp_path / "small.toml").write_text("[model]\nidentity_tokens = 8\n[[runs]]\nrefs = 2\n[[runs]]\nstage = 2\n")
    argv = ["train", "--config", f"{tmp_path}/small.toml", "--data", str(shards), "--out", f"{tmp_path}/r"]
    assert main([*argv, "--minutes", "3", "--start", "s.safetensors"]) == 0
    (program,) = programs
    assert program.model.identity_tokens == 8 and program.start == (Path("s.safetensors"),) and not program.sources
    assert [(run.stage, run.refs, run.minutes) for run in program.runs] == [(1, 2, 3.0), (2, 6, 3.0)]


def test_a_lora_is_exported(programs, tmp_path, capsys):
    assert main(["train", "--out", f"{tmp_path}/r", "--export-lora", f"{tmp_path}/l.safetensors"]) == 0
    assert programs == [(tmp_path / "r", tmp_path / "l.safetensors")]
    assert "128 layers" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ([], "`--part`, `--stage` or `--data` must be given"),
        (["--data", "EMPTY"], "`--data` must hold shards"),
        (["--data", "SHARDS", "--textures", "t"], "`--textures` means nothing to a whole model"),
        (["--data", "SHARDS", "--steps", "0"], "`--steps` must be 1 or more"),
        (["--data", "SHARDS", "--workers", "-1"], "`--workers` must not be negative"),
        (["--data", "SHARDS", "--config", "ONE"], r"must have \[\[runs\]\]"),
        (["--stage", "1", "--base", "x"], "`--base` means nothing to a stage"),
        (["--part", "vae", "--export-lora", "x"], "`--export-lora` means nothing to vae"),
    ],
)
def test_wrong_trainings_of_models(shards, tmp_path, capsys, options, rule):
    (tmp_path / "one.toml").write_text("refs = 3")
    named = {"SHARDS": str(shards), "EMPTY": str(tmp_path), "ONE": f"{tmp_path}/one.toml"}
    assert main(["train", "--out", f"{tmp_path}/r", *(named.get(o, o) for o in options)]) == 2
    assert re.search(rule, failure(capsys))


def test_a_step_of_training_is_planned(monkeypatch, capsys):
    from portraittalk_core.training import memory

    asked, widths = [], []

    def pretended(model, config):
        asked.append((model.name, config.stage, config.refs, config.clip, config.size))
        widths.append((model.audio_dim, model.identity_tokens))
        return memory.Parts(*(int(k * 1e9) for k in range(1, 8)), int(15e9 / (1 if config.optimiser == "adamw" else 9)))

    monkeypatch.setattr(memory, "plan_step", pretended)
    argv = ["plan", "--train", "--model", "sd15", "--stage", "2", "--batch", "3", "--frames"]
    assert main([*argv, "16"]) == 0
    out = capsys.readouterr().out
    assert asked[0] == ("sd15", 2, 3, 16, 512) and "sd15, stage 2: 3 clips of 16 frames, 512 px" in out
    parts = ("trained", "frozen", "gradients", "optimiser", "average", "activations", "together")
    assert all(f"  {part} " in out for part in parts)
    assert '40 GB: with optimiser = "adamw8bit": 29.7 GB' in out and "80 GB: fits as it is: 43.0 GB" in out
    assert "24 GB: not even with" in out
    assert widths[0] == (768, 4) and "768 features heard" in out  # as wav2vec2-base-960h
    assert main([*argv, "16", "--speech", "shipped", "--identity", "faceid-portrait"]) == 0
    assert widths[-1] == (128, 16) and "128 features heard" in capsys.readouterr().out
    assert main([*argv, "16", "--speech", "wav2vec2"]) == 0 and widths[-1] == (768, 4)
    assert main([*argv, "99"]) == 2 and "frames at most 32" in failure(capsys)
    assert main(["plan", "--model", "sd15"]) == 2 and "add --train" in failure(capsys)
