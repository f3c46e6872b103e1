"""A picture of what is being made: how often, at what cost, and what happens where it cannot be."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from portraittalk_core import presets
from portraittalk_core.checkpoints import catalogue
from portraittalk_core.cli.main import main
from portraittalk_core.cli.watching import Watcher
from portraittalk_core.errors import WeightsMismatch
from portraittalk_core.hosts.sd15_models import empty_small_vae
from portraittalk_core.media.image import read_image
from portraittalk_core.stacks.loader import NetworkLoader
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.previews import quick_decoder
from portraittalk_core.stacks.public import PublicStack
from portraittalk_core.stacks.spec import StackSpec
from portraittalk_core.types import Sound

from ..rendered_people import portraits
from .commands import command

LATENTS = torch.zeros(4, 8, 8)


def test_a_picture_comes_when_it_is_time_and_costs_little(tmp_path, monkeypatch):
    now_s, made = [0.0], []

    def decode(latents):
        now_s[0] += 0.2
        made.append(now_s[0])
        return latents.new_full((3, 64, 64), len(made) / 10)

    monkeypatch.setattr("portraittalk_core.cli.watching.time", SimpleNamespace(monotonic=lambda: now_s[0]))
    watcher = Watcher(f"{tmp_path}/a.png", decode)
    for _ in range(100):
        watcher(LATENTS)
        now_s[0] += 0.1
    assert len(made) == 3 and float(read_image(tmp_path / "a.png")[0, 0, 0]) == pytest.approx(0.3, abs=0.01)


def test_a_picture_that_cannot_be_written_fails_nothing(tmp_path, caplog):
    watcher = Watcher(f"{tmp_path}/gone/a.png", lambda latents: torch.zeros(3, 64, 64))
    watcher(LATENTS)
    watcher(LATENTS)
    assert caplog.text.count("no more pictures") == 1


def test_where_it_goes_is_checked_first(model, folder, capsys):
    assert main(command(folder, "--watch", f"{folder}/no/w.png")) == 2
    assert "output folder must exist" in capsys.readouterr().err and not model.calls


def test_the_small_model_is_watched_by_its_own_vae(random_model, tmp_path):
    watcher = Watcher(f"{tmp_path}/w.png", quick_decoder(random_model.stack))
    sound = Sound(0.1 * torch.sin(torch.arange(3200) / 10)[None], 16_000)
    options = SamplingOptions(steps=2)
    list(random_model.generate([portraits()[0][0]], sound, "a person", options=options, on_preview=watcher))
    picture = read_image(tmp_path / "w.png")
    assert picture.shape == (3, 128, 128) and picture.std() > 0.01


def public_stack(tmp_path, monkeypatch) -> PublicStack:
    """Return a stack whose VAE is not TAESD, which has no networks; no files of this machine are found."""
    monkeypatch.setenv("PORTRAITTALK_MODELS", str(tmp_path))
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(catalogue, "_in_hub_cache", lambda entry: None)
    config = replace(presets.PRESETS["sd15-portraittalk"](), size=64)
    return PublicStack.of(config, NetworkLoader(StackSpec({}, {}), torch.device("cpu"), torch.float32))


def test_public_stacks_are_watched_by_taesd(tmp_path, monkeypatch):
    stack = public_stack(tmp_path, monkeypatch)
    with pytest.raises(WeightsMismatch, match="portraittalk models download taesd"):
        quick_decoder(stack)
    entry = catalogue.select(["taesd"])[0]
    net = empty_small_vae().to_empty(device="cpu")
    tensors = {name: torch.randn_like(value).mul(0.05) for name, value in net.state_dict().items()}
    path = tmp_path / entry.save_as
    path.parent.mkdir(parents=True)
    save_file(tensors, path)
    monkeypatch.setattr(catalogue, "find", lambda *_: path)
    picture = quick_decoder(stack)(torch.randn(4, 8, 8))
    assert picture.shape == (3, 64, 64) and picture.abs().max() <= 1
