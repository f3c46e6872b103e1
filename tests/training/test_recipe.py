"""The recipe: what it hands to torchrun, and models that go on from shipped weights."""

import torch
from safetensors.torch import load_file, save_file
from torch.distributed.run import get_args_parser

from portraittalk_core.checkpoints.native import load_denoiser
from portraittalk_core.config import from_mapping, read_toml
from portraittalk_core.training.denoiser.stages import ASSETS
from portraittalk_core.training.model import read_model
from portraittalk_core.training.recipe import TOML, Recipe, pack, torchrun_arguments


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
    pack(tmp_path, tmp_path / "model", start=ASSETS / "denoiser.safetensors")
    before, after = load_file(ASSETS / "denoiser.safetensors"), load_file(tmp_path / "model" / "denoiser.safetensors")
    assert before.keys() == after.keys()
    assert {k for k in before if not torch.equal(before[k], after[k])} == {name} and after[name].eq(0.5).all()
    assert load_denoiser(tmp_path / "model" / "denoiser.safetensors")[0].name == "tiny"
    vae, shipped = load_file(tmp_path / "model" / "vae.safetensors"), load_file(ASSETS / "vae.safetensors")
    assert all(torch.equal(vae[k], shipped[k]) for k in shipped)


def test_every_shipped_recipe_can_be_read():
    recipes = {file.name: read_toml(Recipe, file) for file in TOML.parent.glob("*.toml")}
    assert {run.stage for run in recipes["tiny.toml"].runs} == {1} and len(recipes["tiny.toml"].runs) == 9
    assert [(run.stage, run.parts) for run in recipes["stage2.toml"].runs] == [(2, ("audio",)), (2, ())]


def test_a_recipe_names_its_model():
    assert Recipe().model == "tiny"
    recipe = from_mapping(Recipe, {"model": {"name": "wide", "unet": {"channels": [96, 192, 192]}}})
    model = read_model(recipe.model)
    assert (model.name, model.unet.channels, model.unet.heads) == ("wide", (96, 192, 192), 4)
