"""DeepSpeed's own engine on two processes: what is in pieces, what is learned, and what goes on from what.

Needs the package (`pip install deepspeed`), which compiles a part of itself at first: minutes, once.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core.training.spreading import DEEPSPEED

from .denoiser.shards import write_shards
from .test_whole_runs import command, start, weights

pytest.importorskip("deepspeed", reason="DeepSpeed is not here: pip install deepspeed", exc_type=ImportError)

pytestmark = pytest.mark.slow

TWO = {"processes": 2, "optimiser": "adamw"}


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), (20, 16, 24))


def apart(one, two):
    """Return how far the weights of two folders are from each other at most."""
    first, second = weights(one), weights(two)
    assert all(tensors.keys() == second[name].keys() for name, tensors in first.items())
    return max(
        float((value - second[name][key]).abs().max())
        for name, tensors in first.items()
        for key, value in tensors.items()
    )


def optimiser_of(out, stage):
    return torch.load(out / stage / "state.pt", weights_only=True)["optimiser"]["state"]


def test_the_engine_learns_what_wholes_do_and_each_goes_on_from_the_other(tmp_path, shards, vae_file):
    def run(name, steps, pieces):
        argv = command(tmp_path, shards, vae_file, steps=steps, pieces=pieces, **TWO)
        assert start(argv, tmp_path / name).wait() == 0

    run("whole", 3, None)
    run("engine", 3, DEEPSPEED)
    # AdamW makes rounding as large as a gradient where there is none, so the means of the gradients are compared too.
    assert apart(tmp_path / "whole", tmp_path / "engine") <= 2e-4
    for stage in ("stage1", "stage2"):
        one, two = (optimiser_of(tmp_path / name, stage) for name in ("whole", "engine"))
        means = [torch.cat([state[k]["exp_avg"].flatten() for k in sorted(state)]) for state in (one, two)]
        assert means[0].norm() > 0 and (means[0] - means[1]).norm() < 1e-4 * means[0].norm()
    run("resumed", 2, DEEPSPEED)
    run("resumed", 3, DEEPSPEED)
    one, two = (load_file(tmp_path / name / "stage1" / "last.safetensors") for name in ("engine", "resumed"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())
    run("engine", 4, None)
    run("whole", 4, DEEPSPEED)
    assert apart(tmp_path / "whole", tmp_path / "engine") <= 4e-4


RANK = """
import contextlib, sys, types
import torch, torch.distributed as dist
sys.path.insert(0, {tests!r})
from test_spreading import CONFIG, Net
from dataclasses import replace
from portraittalk_core.training.spreading import fill
from portraittalk_core.training.zero_engine import Engine

dist.init_process_group("gloo")
accelerator = types.SimpleNamespace(device=torch.device("cpu"))
config = replace(CONFIG, accumulate=2, clip_gradient=0.1)


def steps(run, first, count):
    for number in range(first, first + count):
        run.optimiser.zero_grad()
        for part in range(2):
            batch = torch.randn(8, 6, generator=torch.Generator().manual_seed(2 * number + part))
            with contextlib.nullcontext() if part else run.no_sync():
                run.step(run.forward(batch, torch.Generator().manual_seed(number)), 2)
        run.clip(0.1)
        run.optimiser.step()


net = Net()
whole = Engine(accelerator, net, config)
steps(whole, 0, 4)
first = Engine(accelerator, Net(), config)
steps(first, 0, 2)
kept, state = {{n: v.clone() for n, v in first.trained.items()}}, first.optimiser.state_dict()
second = Engine(accelerator, Net(), config)
for name, value in kept.items():
    fill(second.trained[name], value)
second.optimiser.load_state_dict(state)
steps(second, 2, 2)
assert all(torch.equal(value, second.trained[name]) for name, value in whole.trained.items())
frozen = dict(Net().named_parameters())
assert all(torch.equal(v, frozen[n]) for n, v in net.named_parameters() if n not in whole.trained)
if dist.get_rank() == 0:
    trained = {{n: v.detach().clone() for n, v in whole.trained.items()}}
    torch.save({{"trained": trained, "kept": whole.optimiser.kept}}, {out!r})
dist.barrier()
"""


def test_each_process_keeps_half_of_the_optimiser_and_goes_on_bit_by_bit(tmp_path):
    from .test_spreading import Net, whole_net

    file, out = tmp_path / "rank.py", tmp_path / "out.pt"
    file.write_text(RANK.format(tests=str(Path(__file__).parent), out=str(out)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(file)]
    subprocess.run(launch, env=environment, check=True)
    found = torch.load(out, weights_only=True)
    net = whole_net(4)
    true = {name: value for name, value in net.named_parameters() if value.requires_grad}
    assert found["trained"].keys() == true.keys()
    for name, value in found["trained"].items():
        torch.testing.assert_close(value, true[name].detach(), atol=1e-6, rtol=0)
        assert not torch.equal(value, Net().state_dict()[name])
    count = sum(value.numel() for value in true.values())
    assert count <= found["kept"] < 1.2 * count  # two numbers a weight, of half of the weights and of what pads them
