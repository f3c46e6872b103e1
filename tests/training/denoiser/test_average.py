"""The mean of the weights of several runs."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from portraittalk_core.errors import BadInput
from portraittalk_core.training.denoiser.average import average


def weights(tmp_path, name, **tensors):
    file = tmp_path / f"{name}.safetensors"
    save_file(tensors, file)
    return file


def test_each_run_counts_the_same(tmp_path):
    files = [weights(tmp_path, str(k), a=torch.full((2, 3), float(k)), b=torch.tensor([k / 2])) for k in (1, 2, 6)]
    average(files, tmp_path / "new" / "mean.safetensors")
    found = load_file(tmp_path / "new" / "mean.safetensors")
    assert found["a"].eq(3).all() and found["b"].item() == 1.5 and found["a"].dtype == torch.float32


def test_one_part_can_be_kept(tmp_path):
    tensors = [{"audio.a": torch.tensor([k]), "temporal.b": torch.ones(1)} for k in (1.0, 2.0)]
    files = [weights(tmp_path, f"run{k}", **held) for k, held in enumerate(tensors)]
    average(files, tmp_path / "mean.safetensors", keep="audio.")
    found = load_file(tmp_path / "mean.safetensors")
    assert list(found) == ["audio.a"] and found["audio.a"].item() == 1.5
    with pytest.raises(BadInput, match="run0.safetensors: holds nothing that begins with 'video'"):
        average(files, tmp_path / "none.safetensors", keep="video")
    assert not (tmp_path / "none.safetensors").exists()


def test_runs_of_other_parts_are_refused(tmp_path):
    one = weights(tmp_path, "one", a=torch.zeros(2))
    for other in (weights(tmp_path, "name", b=torch.zeros(2)), weights(tmp_path, "shape", a=torch.zeros(1))):
        with pytest.raises(BadInput, match=f"{other.name}: holds other tensors than .*one.safetensors"):
            average([one, other], tmp_path / "mean.safetensors")
    with pytest.raises(BadInput, match="two or more, but got 1"):
        average([one], tmp_path / "mean.safetensors")
    assert not (tmp_path / "mean.safetensors").exists()
