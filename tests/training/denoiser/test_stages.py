"""Stages end to end on synthetic banks: they train, go on where they stopped, and refuse what cannot be."""

import dataclasses

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core import builders
from portraittalk_core.checkpoints.native import load_denoiser, load_vae, save_denoiser
from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadConfig, BadInput
from portraittalk_core.training.denoiser import stages
from portraittalk_core.training.denoiser.stages import ASSETS, build_objective, train_stage

from ..synthetic import clip_bank, encoded_bank, save_bank

RUN = TrainingConfig(size=64, refs=2, targets=1, warmup=1, mask_chance=1.0)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Encoded people and clips of the small model's size."""
    root = tmp_path_factory.mktemp("banks")
    save_bank(root / "pairs", encoded_bank(2, 3, channels=4))
    clips = clip_bank(2, channels=4, side=8)
    save_bank(root / "clips", clips.bank, clips.resting)
    np.save(root / "clips" / "features.npy", clips.features.numpy())
    return root


@pytest.fixture(scope="module")
def ground(folders, small, vae_file):
    """What all of these trainings stand on; the data is encoded, so the dense motion is not read."""
    return {"people": folders / "none", "model": small, "vae": vae_file, "warp": vae_file, "faces": None}


@pytest.fixture(scope="module")
def first(tmp_path_factory, folders, ground):
    """Stage 1 after two steps."""
    folder = tmp_path_factory.mktemp("runs") / "stage1"
    state = train_stage(RUN, folder, data=folders / "pairs", max_steps=2, **ground)
    assert (state.step, state.samples) == (2, 4)
    return folder


@pytest.mark.slow
def test_a_stage_trains_another_size_with_noise_prediction_and_its_model_can_be_read(tmp_path, first, small):
    learned, last = load_file(first / "model.safetensors"), load_file(first / "last.safetensors")
    assert {name.partition(".")[0] for name in learned} == {"unet", "identity_net", "animate_net"}
    assert all(value.isfinite().all() for value in learned.values())
    assert any(not torch.equal(value, last[name]) for name, value in learned.items())
    nets = {"unet": builders.unet(small), **dict(builders.adapters(small).named_children())}
    tensors = {f"{net}.{name}": value for net, module in nets.items() for name, value in module.state_dict().items()}
    save_denoiser(tmp_path / "denoiser.safetensors", {**tensors, **learned}, small)
    assert load_denoiser(tmp_path / "denoiser.safetensors")[0] == small


def in_parts(run, out, **options):
    """Train two steps with an interruption between them; return what is written."""
    train_stage(run, out, max_steps=1, **options)
    assert train_stage(run, out, max_steps=2, **options).step == 2
    return [load_file(out / f"{name}.safetensors") for name in ("model", "last")]


@pytest.mark.slow
def test_an_interrupted_stage_1_ends_where_an_uninterrupted_one_does(tmp_path, first, folders, ground):
    found = in_parts(RUN, tmp_path, data=folders / "pairs", **ground)
    for parts, name in zip(found, ("model", "last"), strict=True):
        whole = load_file(first / f"{name}.safetensors")
        assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)


@pytest.mark.slow
def test_an_interrupted_stage_2_ends_where_an_uninterrupted_one_does(tmp_path, first, folders, ground):
    run = dataclasses.replace(RUN, stage=2, clip=2, drop_mouth=0.5)
    options = {"data": folders / "clips", "speech": folders / "speech.npz", "start": (first / "model.safetensors",)}
    train_stage(run, tmp_path / "whole", max_steps=2, **options, **ground)
    found = in_parts(run, tmp_path / "parts", **options, **ground)
    for parts, name in zip(found, ("model", "last"), strict=True):
        whole = load_file(tmp_path / "whole" / f"{name}.safetensors")
        assert whole.keys() == parts.keys() and all(torch.equal(whole[key], parts[key]) for key in whole)


def test_stage_2_begins_with_what_all_files_say(tmp_path, first, folders, ground, monkeypatch):
    """Nothing that a run does not train may come from anywhere but the files before it."""
    audio = dataclasses.replace(RUN, stage=2, clip=2, parts=("audio",))
    options = {"data": folders / "clips", "speech": folders / "speech.npz", "max_steps": 1, **ground}
    files = [first / "model.safetensors", tmp_path / "second" / "model.safetensors"]
    train_stage(audio, tmp_path / "second", start=files[:1], **options)
    names = load_file(files[1]).keys()
    assert names and all(name.startswith("animate_net.audio.") for name in names)
    seen = []
    monkeypatch.setattr(stages, "train", lambda objective, *given, **options: seen.append(objective))
    train_stage(audio, tmp_path / "third", start=files, **options)
    own = seen[0].state_dict()
    assert all(torch.equal(own[name], value) for file in files for name, value in load_file(file).items())


class Steps(torch.utils.data.Dataset):
    def __getitem__(self, step):
        return torch.tensor(step)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_each_of_several_processes_trains_on_every_other_draw(workers):
    batches = stages.draw_batches(Steps(), lambda device: int, workers)(5, 1, 2, torch.device("cpu"))
    assert [step for step, _ in zip(batches, range(3), strict=False)] == [11, 13, 15]


def test_unknown_stages_and_missing_beginnings_are_named(tmp_path, folders, ground, small, text, vae_file):
    with pytest.raises(BadConfig, match="`stage` must be one of"):
        build_objective(small, TrainingConfig(stage=3), text, load_vae(vae_file))
    options = {"data": tmp_path / "b", **ground}
    with pytest.raises(BadInput, match="stage 2 needs the weights to begin with"):
        train_stage(TrainingConfig(stage=2), tmp_path / "s", **options)
    with pytest.raises(BadInput, match="needs the VAE, but"):
        train_stage(RUN, tmp_path / "s", **{**options, "vae": tmp_path / "none"})
    with pytest.raises(BadInput, match="needs the dense motion, but"):
        train_stage(RUN, tmp_path / "s", **{**options, "warp": tmp_path / "none"})
    with pytest.raises(BadInput, match="stage 2 needs `speech`"):
        train_stage(TrainingConfig(stage=2), tmp_path / "s", start=(vae_file,), **options)
    (tmp_path / "index.json").write_text('{"shards": []}')
    with pytest.raises(BadConfig, match="`other_audio` is for rendered people alone"):
        other = TrainingConfig(stage=2, other_audio=0.5)
        train_stage(other, tmp_path / "s", start=(vae_file,), **{**options, "people": tmp_path})
    assert not (tmp_path / "s").exists() and not (tmp_path / "b").exists()


def test_parts_that_do_not_fit_one_another_are_named(tmp_path, folders, ground, small):
    options = {**ground, "data": folders / "pairs"}
    shipped = ASSETS / "vae.safetensors"
    with pytest.raises(BadConfig, match="small: `unet.latent_channels` must be the channels of the VAE, 8, but got 4"):
        train_stage(RUN, tmp_path, **{**options, "vae": shipped})
    wide = dataclasses.replace(small, unet=dataclasses.replace(small.unet, cross_dim=64))
    with pytest.raises(BadConfig, match="`unet.cross_dim` must be the width of the text encoder, 128, but got 64"):
        train_stage(RUN, tmp_path, **{**options, "model": wide})
    with pytest.raises(BadConfig, match="`size` must be 32 or 64 for small, but got 256"):
        train_stage(TrainingConfig(), tmp_path, **options)
    with pytest.raises(BadConfig, match="`clip` must be at most `temporal_frames`, 32, but got 48"):
        train_stage(TrainingConfig(clip=48), tmp_path, **options)
    with pytest.raises(BadInput, match="is of another model"):
        train_stage(RUN, tmp_path, start=(ASSETS / "denoiser.safetensors",), **options)
    with pytest.raises(BadInput, match="holds no latents of pictures of 32 pixels"):
        train_stage(dataclasses.replace(RUN, size=32), tmp_path, **options)
