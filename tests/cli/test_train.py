"""`portraittalk train`: which training is called with what, and what is refused in one line."""

from __future__ import annotations

import dataclasses
import importlib
import shutil
import sys
import types as python_types
from pathlib import Path

import pytest

from portraittalk_core.checkpoints import hearing
from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.cli.main import main
from portraittalk_core.cli.train_parts import PARTS
from portraittalk_core.presets import tiny

from ..small_wav2vec2 import WIDTH, small_public, write_public


def failure(capsys) -> str:
    output = capsys.readouterr().err
    assert output.startswith("portraittalk: error: ") and output.count("\n") == 1
    return output


def stand_in(monkeypatch, name: str, **functions) -> None:
    module = python_types.ModuleType(f"portraittalk_core.training.{name}")
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    parent, _, last = module.__name__.rpartition(".")  # which knows the real one, where that was imported before
    monkeypatch.setattr(importlib.import_module(parent), last, module, raising=False)


def record(calls: list, returned=None):
    """Return a function that notes how it is called."""
    return lambda *given, **options: calls.append((given, options)) or returned


@pytest.fixture
def root(tmp_path) -> Path:
    """Where people and clips have been drawn."""
    for folder in ("people", "clips"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "00000.npz").touch()
    (tmp_path / "clips" / "speech_clips.npz").touch()
    return tmp_path


def test_parts_are_named_in_order_each_in_a_line(capsys):
    assert main(["train", "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    at = [next(i for i, line in enumerate(lines) if line.startswith(f"  {name} ")) for name in PARTS]
    assert next(iter(PARTS)) == "people" and list(PARTS)[-1] == "denoiser" and len(PARTS) == 11
    assert at == list(range(at[0], at[0] + len(PARTS)))


def test_train_dispatches_to_a_part(tmp_path, monkeypatch):
    calls = []
    stand_in(monkeypatch, "motion.structure", train_structure=record(calls))
    stand_in(monkeypatch, "text", train_text=record(calls))
    assert main(["train", "--part", "structure", "--out", f"{tmp_path}/r", "--minutes", "2", "--seed", "4"]) == 0
    assert main(["train", "--part", "text", "--out", f"{tmp_path}/t"]) == 0
    assert calls == [((tmp_path / "r",), {"minutes": 2, "seed": 4}), ((tmp_path / "t",), {})]


def test_a_part_stands_on_what_lies_beside_it(root, monkeypatch, capsys):
    calls = []
    stand_in(monkeypatch, "faces.train", train_faces=record(calls, False))
    stand_in(monkeypatch, "pictures", train_pictures=record(calls), SCORES="scores.json")
    assert main(["train", "--part", "faces", "--out", f"{root}/faces"]) == 0
    assert capsys.readouterr().out == f"{root}/faces: not finished; the same command goes on\n"
    argv = ["train", "--part", "vae", "--out", f"{root}/vae", "--people", "elsewhere", "--photographs", "p"]
    assert main(argv) == 0
    assert calls[0] == ((root / "faces",), {"bank": root / "people", "work_dir": root / "faces" / "work"})
    assert calls[1] == ((Path("elsewhere"), root / "vae"), {"photographs": Path("p")})
    (root / "vae").mkdir()
    (root / "vae" / "scores.json").touch()
    assert main(argv) == 0 and len(calls) == 2  # it is finished: another run would change every latent


@pytest.mark.parametrize(
    ("part", "module", "function", "people"),
    [
        ("dense-motion", "dense.train", "train_dense_motion", "people"),
        ("face-parsing", "parsing.train", "train_parsing", "d/people"),
    ],
)
def test_what_reads_pictures_goes_on_until_its_steps_are_done(root, monkeypatch, part, module, function, people):
    calls, done = [], [0]

    def train(*given, **options):
        calls.append((given, options))
        done[0] += 60

    stand_in(monkeypatch, module, STEPS=100, **{function: train})
    stand_in(monkeypatch, "averaged", steps_done=lambda out: done[0])
    stand_in(monkeypatch, "parsing.bank", draw_parsed_people=lambda *given: None, SHARDS=3)
    for _ in range(3):
        assert main(["train", "--part", part, "--out", f"{root}/d", "--minutes", "5"]) == 0
    assert len(calls) == 2 and calls[0][0] == calls[1][0] == (root / people, root / "d", 5.0)


def test_face_parsing_draws_people_of_its_own_unless_others_are_named(tmp_path, monkeypatch):
    calls = []
    stand_in(monkeypatch, "parsing.bank", draw_parsed_people=record(calls), SHARDS=7)
    stand_in(monkeypatch, "parsing.train", train_parsing=record(calls), STEPS=100)
    stand_in(monkeypatch, "averaged", steps_done=lambda out: 0)
    out = tmp_path / "p"
    assert main(["train", "--part", "face-parsing", "--out", str(out), "--textures", "t", "--start", "f"]) == 0
    assert calls[0] == ((out / "people", range(7), Path("t")), {})
    assert calls[1] == ((out / "people", out, float("inf")), {"start": Path("f")})
    assert main(["train", "--part", "face-parsing", "--out", str(out), "--people", "others"]) == 0
    assert len(calls) == 3 and calls[2][0][0] == Path("others")


def test_people_and_clips_are_drawn(tmp_path, monkeypatch):
    calls = []
    stand_in(monkeypatch, "people.bank", draw_bank=record(calls))
    stand_in(monkeypatch, "denoiser.clip_bank", draw_clips=record(calls))
    clips = {"load_speech_clips": lambda file: file.name, "write_speech_clips": record(calls)}
    stand_in(monkeypatch, "denoiser.clips", **clips)
    assert main(["train", "--part", "people", "--out", f"{tmp_path}/people", "--shards", "3", "--seed", "9"]) == 0
    assert main(["train", "--part", "clips", "--out", f"{tmp_path}/clips", "--textures", "t"]) == 0
    assert calls[0] == ((tmp_path / "people", range(3), None), {"seed": 9})
    assert calls[1][0][:2] == (tmp_path / "clips" / "speech_clips.npz", ASSETS / "tiny" / "speech.safetensors")
    assert calls[2] == ((tmp_path / "clips", "speech_clips.npz", range(60), Path("t")), {})


def test_the_denoiser_is_trained_by_its_recipe_and_becomes_a_model(root, monkeypatch):
    calls = []

    def run(options):
        calls.append(options)
        (root / "denoiser" / "model").mkdir(parents=True, exist_ok=True)

    stand_in(monkeypatch, "recipe", main=run, is_finished=lambda config, work: True)
    (root / "text").mkdir()
    shutil.copy(ASSETS / "tiny" / "text.safetensors", root / "text")
    (root / "text" / "tokenizer.json").write_text("own")
    out = root / "denoiser"
    assert main(["train", "--part", "denoiser", "--out", str(out), "--minutes", "3"]) == 0
    train, pack = calls
    assert f"--people={root}/people" in train and f"--speech={root}/clips/speech_clips.npz" in train
    assert f"--text={root}/text/text.safetensors" in train and "--limit=180.0" in train
    assert not any(option.startswith(("--vae", "--warp", "--faces", "--start")) for option in train)  # what is shipped
    assert f"--pack={out}/model" in pack and f"--work={out}" in pack
    assert (out / "model" / "tokenizer.json").read_text() == "own"
    for name in ("speech.safetensors", "motion.safetensors", "structure.safetensors", "faces/recogniser.onnx"):
        assert (out / "model" / name).read_bytes() == (ASSETS / "tiny" / name).read_bytes()


def test_a_stage_trains_on_shards_of_real_people(root, monkeypatch):
    calls = []
    stand_in(monkeypatch, "denoiser.stages", train_stage=record(calls))
    shards, out = root / "shards", root / "r"
    shards.mkdir()
    (shards / "index.json").write_text('{"shards": []}')
    assert main(["train", "--stage", "2", "--data", str(shards), "--out", str(out)]) == 0
    given = calls[0][1]
    assert given["hearing"].is_shipped and given["model"] == tiny()
    assert {k: given[k] for k in given if k not in ("hearing", "model")} == {
        "data": out / "bank", "people": shards, "start": ()
    }  # fmt: skip
    with small_public():
        heard = write_public(root / "heard.safetensors")
        told = ["--data", str(shards), "--speech", str(heard), "--out", str(root / "other")]
        assert main(["train", "--stage", "2", *told]) == 0
        monkeypatch.setattr(hearing, "find", lambda entry, folders: heard)
        told = ["--data", str(shards), "--model", "sd15", "--out", str(root / "third")]
        assert main(["train", "--stage", "2", *told]) == 0
    given = calls.pop()[1]
    assert given["hearing"].file == heard and given["model"].audio_dim == WIDTH and given["model"].size == 512
    given = calls.pop()[1]
    assert given["hearing"].file == heard and given["model"] == dataclasses.replace(tiny(), audio_dim=WIDTH)
    (shards / "index.json").write_text('{"person": []}')  # a bank, as a stage encodes it
    assert main(["train", "--stage", "2", "--data", str(shards), "--out", str(out), "--clips", "c"]) == 0
    assert calls[1][1]["data"] == shards and str(calls[1][1]["people"]) == "c"


def test_train_dispatches_to_a_stage(root, monkeypatch):
    calls = []
    stand_in(monkeypatch, "denoiser.stages", train_stage=record(calls))
    (root / "r.toml").write_text("[stage1]\nrefs = 2\n[stage2]\nrefs = 3\nminutes = 9.0\n")
    argv = ["train", "--stage", "2", "--config", f"{root}/r.toml", "--out", f"{root}/r"]
    assert main([*argv, "--seed", "8"]) == 0
    (config, out), options = calls[0]
    assert (config.stage, config.refs, config.minutes, config.seed) == (2, 3, 9.0, 8)
    speech = root / "clips" / "speech_clips.npz"
    assert out == root / "r"
    assert options == {"data": out / "bank", "people": root / "clips", "speech": speech, "start": ()}
    (root / "r.toml").write_text("refs = 5\n")
    assert main([*argv, "--minutes", "1", "--clips", "c"]) == 0
    (config, _), options = calls[1]
    assert (config.refs, config.minutes) == (5, 1.0)
    assert (options["people"], options["speech"]) == (Path("c"), Path("c/speech_clips.npz"))


def test_a_stage_trains_the_model_that_is_named(root, monkeypatch):
    calls = []
    stand_in(monkeypatch, "denoiser.stages", train_stage=record(calls))
    (root / "model.toml").write_text("identity_tokens = 8\n")
    (root / "r.toml").write_text('model = "model.toml"\nrefs = 5\n')
    argv = ["train", "--stage", "1", "--config", f"{root}/r.toml", "--out", f"{root}/r"]
    assert main(argv) == 0 and main([*argv, "--model", "tiny"]) == 0
    models = [options["model"] for _, options in calls]
    assert [(model.name, model.identity_tokens) for model in models] == [("model", 8), ("tiny", 4)]


def test_each_run_of_a_stage_begins_with_all_before_it(root, monkeypatch):
    calls = []
    stand_in(monkeypatch, "denoiser.stages", train_stage=record(calls))
    out = root / "r"
    argv = ["train", "--stage", "2", "--config", "tiny.toml", "--out", str(out), "--vae", "v.safetensors"]
    assert main([*argv, "--start", "d.safetensors"]) == 0
    assert [config.parts for (config, _), _ in calls] == [("audio",), *[("temporal", "audio")] * 2]
    assert [place for (_, place), _ in calls] == [out / f"run{k}" for k in range(3)]
    before = (Path("d.safetensors"), *(out / f"run{k}" / "model.safetensors" for k in range(2)))
    assert [options["start"] for _, options in calls] == [before[: k + 1] for k in range(3)]
    assert all(options["vae"] == Path("v.safetensors") for _, options in calls)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--part", "text", "--minutes", "1"], "`--minutes` means nothing to text"),
        (["--part", "vae", "--minutes", "nan"], "above 0"),
        (["--part", "vae", "--config", "x.toml"], "`--config` means nothing to vae"),
        (["--part", "denoiser", "--model", "tiny"], "`--model` means nothing to denoiser"),
        (["--stage", "1", "--textures", "t"], "`--textures` means nothing to a stage"),
        (["--part", "people", "--shards", "0"], "1 or more"),
        (["--part", "people", "--seed", "-1"], "must not be negative"),
        (["--part", "vae"], "portraittalk train --part people --out"),
        (["--stage", "2"], "portraittalk train --part clips --out"),
        (["--stage", "1", "--model", "huge"], "`--model` must be one of tiny"),
        (["--stage", "1", "--config", "none.toml"], "cannot be read"),
        (["--stage", "1", "--config", "BAD"], "no TOML file"),
        (["--stage", "1", "--config", "ODD"], "unknown key `colour`"),
        (["--stage", "1", "--config", "NUMBER"], "`runs` must be tables"),
        (["--stage", "1", "--config", "WORD"], "`stage1` must be a table"),
        (["--stage", "3"], "invalid choice"),
        (["--part", "judge"], "invalid choice"),
    ],
)
def test_wrong_trainings(tmp_path, capsys, options, rule):
    (tmp_path / "bad.toml").write_text("refs = = 3")
    (tmp_path / "odd.toml").write_text("colour = 3")
    (tmp_path / "number.toml").write_text("runs = 3")
    (tmp_path / "word.toml").write_text("stage1 = 'one'")
    named = {name.upper(): f"{tmp_path}/{name}.toml" for name in ("bad", "odd", "number", "word")}
    assert main(["train", "--out", f"{tmp_path}/r", *(named.get(o, o) for o in options)]) == 2
    assert rule in failure(capsys)
    assert not (tmp_path / "r").exists()
