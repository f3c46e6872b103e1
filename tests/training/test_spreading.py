"""Trainings in pieces: what the shipped files of Accelerate ask for, and that pieces learn what wholes do."""

import contextlib
import sys
import types

import pytest
import torch
import torch.distributed as dist
from torch import nn

from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadConfig, MissingExtra
from portraittalk_core.training import spreading
from portraittalk_core.training.optimiser import make_optimiser
from portraittalk_core.training.spreading import (
    DEEPSPEED,
    FSDP,
    ZERO2,
    Sharded,
    asked_way,
    fill,
    fill_state,
    whole,
    whole_state,
)

CONFIG = TrainingConfig(optimiser="adamw", rate=0.01)


class Net(nn.Module):
    """Has what a U-Net has: layers of its own; and something frozen in another precision."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.unet = nn.Module()
        self.unet.down_blocks = nn.ModuleList([nn.Linear(6, 5), nn.Linear(5, 7)])
        self.unet.mid_block = nn.Linear(7, 7)
        self.unet.up_blocks = nn.ModuleList([nn.Linear(7, 3)])
        self.table = nn.Linear(3, 3).requires_grad_(False).to(torch.bfloat16)
        self.bias = nn.Parameter(torch.zeros(3))

    def forward(self, batch, generator):
        unet = self.unet
        for layer in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
            batch = torch.tanh(layer(batch))
        drawn = torch.rand(3, generator=generator)
        return {"loss": (self.table(batch.bfloat16()).float() + self.bias - drawn).square().mean()}


@pytest.fixture
def alone():
    """A group of one process, with Accelerate's view of it."""
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield types.SimpleNamespace(device=torch.device("cpu"), autocast=contextlib.nullcontext)
    dist.destroy_process_group()


def launched(monkeypatch, file):
    """Set what `accelerate launch --config_file` sets for its processes."""
    from accelerate.commands import launch
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env

    arguments = launch.launch_command_parser().parse_args(["--config_file", str(file), "-m", "portraittalk_core"])
    arguments, defaults, _ = launch._validate_launch_command(arguments)
    if arguments.use_deepspeed:  # as `launch_command` does before it asks for the package
        arguments.deepspeed_fields_from_accelerate_config = ",".join(defaults.deepspeed_config)
        found = prepare_deepspeed_cmd_env(arguments)[1]
    else:
        found = prepare_multi_gpu_env(arguments)
    for name, value in found.items():
        if name.startswith(("ACCELERATE_", "FSDP_")):
            monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("file", "way"), [(FSDP, "fsdp"), (ZERO2, "zero2"), (DEEPSPEED, "deepspeed")])
def test_the_shipped_files_ask_accelerate_for_pieces(monkeypatch, file, way):
    assert asked_way() == "whole"
    launched(monkeypatch, file)
    assert asked_way() == way


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("ZERO_STAGE", "3", "`zero_stage` must be 2, but got 3. Take .*deepspeed.yaml as it is"),
        ("OFFLOAD_OPTIMIZER_DEVICE", "cpu", "`offload_optimizer_device` must be none, but got cpu"),
        ("CONFIG_FILE", "mine.json", "`deepspeed_config_file` must be none, but got mine.json"),
    ],
)
def test_deepspeed_of_another_kind_is_refused(monkeypatch, name, value, rule):
    launched(monkeypatch, DEEPSPEED)
    monkeypatch.setenv(f"ACCELERATE_DEEPSPEED_{name}", value)
    with pytest.raises(BadConfig, match=rule):
        asked_way()


def test_without_deepspeed_the_package_is_named(monkeypatch):
    launched(monkeypatch, DEEPSPEED)
    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(MissingExtra, match="DeepSpeed was asked for, but is not here. Run: pip install deepspeed"):
        spreading.spread(None, Net(), CONFIG)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("FSDP_VERSION", "1", "`fsdp_version` must be 2, but got 1"),
        ("FSDP_OFFLOAD_PARAMS", "true", "`fsdp_offload_params` must be false"),
        ("ACCELERATE_USE_MEGATRON_LM", "true", "told Megatron-LM. Try accelerate launch --config_file .*fsdp.yaml"),
    ],
)
def test_other_ways_are_refused(monkeypatch, name, value, rule):
    launched(monkeypatch, FSDP)
    monkeypatch.setenv(name, value)
    with pytest.raises(BadConfig, match=rule):
        asked_way()


def steps(run, count, first=0):
    for number in range(first, first + count):
        run.optimiser.zero_grad()
        for part in range(2):
            batch = torch.randn(8, 6, generator=torch.Generator().manual_seed(2 * number + part))
            with contextlib.nullcontext() if part else run.no_sync():
                run.step(run.forward(batch, torch.Generator().manual_seed(number)), 2)
        run.clip(0.1)
        run.optimiser.step()


def whole_net(count):
    """What one process that keeps everything learns in so many steps."""
    net = Net()
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = make_optimiser(trained, CONFIG)
    for number in range(count):
        optimiser.zero_grad()
        for part in range(2):
            batch = torch.randn(8, 6, generator=torch.Generator().manual_seed(2 * number + part))
            (net(batch, torch.Generator().manual_seed(number))["loss"] / 2).backward()
        nn.utils.clip_grad_norm_(trained, 0.1)
        optimiser.step()
    return net


@pytest.mark.parametrize("weights", [True, False])
def test_pieces_learn_what_wholes_do_and_go_on_from_one_anothers_checkpoints(alone, weights):
    net = whole_net(4)
    first = Sharded(alone, Net(), CONFIG, weights)
    assert all(type(value).__name__ == "DTensor" for value in first.trained.values())
    steps(first, 2)
    kept, state = whole(first.trained), whole_state(first.optimiser)
    assert not any(hasattr(v, "full_tensor") for one in state["state"].values() for v in one.values())
    second = Sharded(alone, Net(), CONFIG, weights)
    for name, value in kept.items():
        fill(second.trained[name], value)
    fill_state(second.optimiser, state)
    steps(second, 2, first=2)
    true = dict(net.named_parameters())
    assert second.trained.keys() == {name for name, value in true.items() if value.requires_grad}
    for name, value in whole(second.trained).items():
        torch.testing.assert_close(value, true[name].detach(), atol=1e-6, rtol=0)
        assert not torch.equal(value, Net().state_dict()[name])
    assert all(value.numel() == 0 for value in whole(second.trained, keep=False).values())


def test_layers_of_the_unet_are_gathered_one_by_one(alone, monkeypatch):
    from torch.distributed import fsdp

    asked = []
    real = fsdp.fully_shard
    monkeypatch.setattr(fsdp, "fully_shard", lambda module, **how: asked.append((module, how)) or real(module, **how))
    net = Net()
    Sharded(alone, net, CONFIG, weights=True)
    unet = net.unet
    assert [module for module, _ in asked] == [*unet.down_blocks, unet.mid_block, *unet.up_blocks, net]
    assert all(how["reshard_after_forward"] for _, how in asked[:-1])


@pytest.mark.parametrize("name", ["muon", "adamw8bit"])
@pytest.mark.parametrize(("way", "what"), [(spreading.Sharded, "weights are"), (spreading.Engine, "it is")])
def test_optimisers_that_need_whole_matrices_are_refused(name, way, what):
    with pytest.raises(BadConfig, match=f"must be adamw where {what} in pieces, but got '{name}'"):
        way(None, Net(), TrainingConfig(optimiser=name))
