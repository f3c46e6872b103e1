"""The recipe: which runs it does with what, what it hands to torchrun, what it packs."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.distributed.run import get_args_parser

from portraittalk_core.checkpoints.native import load_denoiser, save_modules, second_stage
from portraittalk_core.config import TrainingConfig
from portraittalk_core.config_file import from_mapping, read_toml
from portraittalk_core.errors import BadInput
from portraittalk_core.training import recipe as recipes
from portraittalk_core.training.denoiser.stages import ASSETS
from portraittalk_core.training.model import read_model
from portraittalk_core.training.recipe import (
    TOML,
    Ground,
    Recipe,
    is_finished,
    pack,
    torchrun_arguments,
    train_recipe,
)


def test_torchrun_does_not_read_our_options_as_its_own():
    own = ["--work", "w", "--start", "d.safetensors", "--limit", "9", "--speech", "s.npz", "--run", "1"]
    found = get_args_parser().parse_args(torchrun_arguments(2, "some.module", own))
    assert (found.nproc_per_node, found.module, found.training_script) == ("2", True, "some.module")
    assert found.training_script_args == own


def test_a_pack_is_what_training_began_with_and_what_it_learned(tmp_path):
    name = "animate_net.temporal.mid_block.motion_modules.0.temporal_transformer.proj_out.bias"
    learned = {name: torch.full((128,), 0.5)}
    (tmp_path / "run0").mkdir()
    save_file(learned, tmp_path / "run0" / "model.safetensors")
    save_modules(tmp_path / "warp.safetensors", {"a": torch.ones(2)}, {"widths": [1]})
    ground = Ground(Path("people"), warp=tmp_path / "warp.safetensors")
    pack(tmp_path, tmp_path / "model", ground, start=ASSETS / "denoiser.safetensors")
    before, after = load_file(ASSETS / "denoiser.safetensors"), load_file(tmp_path / "model" / "denoiser.safetensors")
    assert before.keys() == after.keys()
    # A convolution that has got more input channels since has them at zero.
    same = {k for k in before if before[k].numel() == after[k].numel()}
    assert {k for k in same if not torch.equal(before[k], after[k])} == {name} and after[name].eq(0.5).all()
    assert load_denoiser(tmp_path / "model" / "denoiser.safetensors")[0].name == "tiny"
    for file, source in (("vae", ASSETS / "vae.safetensors"), ("dense_motion", ground.warp)):
        packed, given = load_file(tmp_path / "model" / f"{file}.safetensors"), load_file(source)
        assert packed.keys() == given.keys() and all(torch.equal(packed[k], given[k]) for k in given)


def test_what_stage_2_learned_is_packed_beside_a_denoiser(tmp_path):
    name = "animate_net.temporal.mid_block.motion_modules.0.temporal_transformer.proj_out.bias"
    for run, value in ((0, 0.5), (1, 0.25)):
        (tmp_path / f"run{run}").mkdir()
        save_file({name: torch.full((128,), value)}, tmp_path / f"run{run}" / "model.safetensors")
    pack(tmp_path, tmp_path / "model", Ground(Path("people")), stage=2)
    (file,) = (tmp_path / "model").iterdir()
    shutil.copy(ASSETS / "denoiser.safetensors", tmp_path / "model" / "denoiser.safetensors")
    assert file == second_stage(tmp_path / "model" / "denoiser.safetensors")
    _, _, adapters = load_denoiser(tmp_path / "model" / "denoiser.safetensors")
    assert adapters.state_dict()[name].eq(0.25).all(), "the last run's"


def test_every_shipped_recipe_has_both_stages_in_order():
    files = sorted(TOML.parent.glob("*.toml"))
    assert [file.name for file in files] == ["sd15.toml", "tiny.toml", "tiny_gpu.toml"]
    large = read_toml(Recipe, files[0])
    assert large.model == "sd15" and [(run.stage, run.size, run.stream) for run in large.runs] == [
        (1, 512, True),
        (2, 512, True),
    ]
    for run in large.runs:  # what public trainings of this shape agree in
        assert (run.rate, run.steps, run.min_snr, run.noise_offset, run.clip_gradient) == (1e-5, 0, 5.0, 0.05, 1.0)
        assert (run.drop_text, run.drop_identity, run.drop_reference) == (0.1, 0.1, 0.1)
    schedule = read_model(large.model).schedule
    assert schedule.prediction_type == "v_prediction" and schedule.rescale_betas_zero_snr
    for file in files[1:]:
        runs = read_toml(Recipe, file).runs
        sizes = {stage: [run.size for run in runs if run.stage == stage] for stage in (1, 2)}
        assert [run.stage for run in runs] == sorted(run.stage for run in runs)
        assert all(size == sorted(size) and set(size) == {128, 256} for size in sizes.values())
        assert runs[2].parts == ("audio",) and all(run.clip == 1 for run in runs[:2]) and runs[-1].clip == 16
        assert all(run.drop_text == 0 and run.precision == "bf16" for run in runs)


def test_a_recipe_names_its_model():
    assert Recipe().model == "tiny"
    recipe = from_mapping(Recipe, {"model": {"name": "wide", "unet": {"channels": [96, 192, 192]}}})
    model = read_model(recipe.model)
    assert (model.name, model.unet.channels, model.unet.heads) == ("wide", (96, 192, 192), 4)


RUNS = (TrainingConfig(minutes=2.0), TrainingConfig(stage=2, minutes=4.0), TrainingConfig(stage=2, minutes=1.0))


@pytest.fixture
def trained(monkeypatch):
    """Let every run take its time at once; yields how each was called."""
    calls = []

    def train(config, out, **options):
        calls.append((config, out, options))
        out.mkdir(parents=True, exist_ok=True)
        (out / "model.safetensors").touch()
        torch.save({"seconds": 60 * (recipes.minutes_spent(out) + config.minutes)}, out / "state.pt")

    monkeypatch.setattr(recipes, "train_stage", train)
    return calls


def test_runs_follow_one_another_each_with_the_results_of_all_before_it(tmp_path, trained):
    ground = Ground(Path("people"), clips=Path("clips"), speech=Path("s.npz"), text=Path("t"))
    assert train_recipe(Recipe(runs=RUNS), read_model(), tmp_path, ground, start=Path("d"))
    assert [out for _, out, _ in trained] == [tmp_path / f"run{k}" for k in range(3)]
    models = tuple(tmp_path / f"run{k}" / "model.safetensors" for k in range(2))
    assert [options["start"] for *_, options in trained] == [(Path("d"),), (Path("d"), models[0]), (Path("d"), *models)]
    assert trained[0][2]["people"] == Path("people") and trained[1][2]["people"] == Path("clips")
    assert [options["data"].name for *_, options in trained] == ["bank1", "bank2", "bank2"]
    assert all(options["text"] == Path("t") for *_, options in trained)
    assert train_recipe(Recipe(runs=RUNS), read_model(), tmp_path, ground) and len(trained) == 3  # all have had theirs


def test_one_stage_may_be_done_alone(tmp_path, trained):
    recipe = Recipe(runs=RUNS)
    with pytest.raises(BadInput, match="stage 2 needs `clips`, which training.denoiser.clip_bank makes"):
        train_recipe(recipe, read_model(), tmp_path, Ground(Path("people")))
    with pytest.raises(BadInput, match="stage 2 needs `speech`"):
        train_recipe(recipe, read_model(), tmp_path, Ground(Path("people"), clips=Path("clips")))
    assert not trained
    assert train_recipe(recipe, read_model(), tmp_path, Ground(Path("people")), stage=1)
    assert [config.stage for config, *_ in trained] == [1]
    (tmp_path / "r.toml").write_text("".join(f"[[runs]]\nstage = {r.stage}\nminutes = {r.minutes}\n" for r in RUNS))
    assert not is_finished(tmp_path / "r.toml", tmp_path)
    ground = Ground(Path("people"), clips=Path("clips"), speech=Path("s.npz"))
    assert train_recipe(recipe, read_model(), tmp_path, ground, stage=2) and is_finished(tmp_path / "r.toml", tmp_path)
    assert trained[1][2]["start"][0] == tmp_path / "run0" / "model.safetensors"


def test_a_recipe_that_runs_out_of_time_goes_on_with_what_is_left(tmp_path, trained):
    recipe = Recipe(runs=RUNS[:1])
    assert not train_recipe(recipe, read_model(), tmp_path, Ground(Path("people")), limit_s=60.0)
    assert train_recipe(recipe, read_model(), tmp_path, Ground(Path("people")))
    first, second = (config.minutes for config, *_ in trained)
    assert first == pytest.approx(1.0, abs=0.05) and second == pytest.approx(2.0 - first, abs=0.05)
