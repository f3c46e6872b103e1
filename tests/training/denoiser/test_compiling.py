"""Compiled layers: which they are, and the losses and gradients of those that are not compiled."""

import pytest
import torch
from torch import nn

from portraittalk_core.checkpoints.native import load_vae
from portraittalk_core.config import TrainingConfig
from portraittalk_core.training.denoiser.compiling import compile_layers
from portraittalk_core.training.denoiser.stages import build_objective

from .test_recomputing import awake, batch_of


def test_layers_in_which_no_branch_acts_are_compiled(small, text, vae_file, monkeypatch):
    chosen = []
    monkeypatch.setattr(nn.Module, "compile", lambda self: chosen.append(self))
    objective = build_objective(small, TrainingConfig(size=64), text, load_vae(vae_file))
    names = list(objective.state_dict())
    assert compile_layers(objective.unet) == len(chosen) > 0
    kinds = {type(layer).__name__ for layer in chosen}
    assert kinds == {"ResnetBlock2D", "FeedForward"} and list(objective.state_dict()) == names
    tiny = build_objective_of_tiny(text)
    chosen.clear()
    compile_layers(tiny.unet)
    assert not any(layer in chosen for layer in tiny.unet.down_blocks[0].resnets)  # its branches act after these


def build_objective_of_tiny(text):
    from portraittalk_core.training.denoiser.stages import ASSETS
    from portraittalk_core.training.model import read_model

    return build_objective(read_model(), TrainingConfig(), text, load_vae(ASSETS / "vae.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize("recompute", [False, True])
def test_losses_and_gradients_are_those_without_it(small, text, vae_file, recompute):
    found = []
    for compiled in (False, True):
        config = TrainingConfig(stage=1, size=64, mask_chance=1.0, recompute=recompute)
        objective = awake(build_objective(small, config, text, load_vae(vae_file)))
        if compiled:
            compile_layers(objective.unet)
        for _ in range(2):  # the second finds them compiled
            objective.zero_grad()
            loss = objective(batch_of(1, text), torch.Generator().manual_seed(1))["loss"]
            loss.backward()
        found.append((loss, {n: p.grad for n, p in objective.named_parameters() if p.requires_grad}))
    (loss, plain), (again, others) = found
    torch.testing.assert_close(again, loss, rtol=1e-4, atol=1e-5)
    for name, value in plain.items():
        torch.testing.assert_close(others[name], value, rtol=1e-2, atol=1e-4, msg=name)
