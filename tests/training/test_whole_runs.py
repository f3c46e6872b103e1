"""Trainings as processes of their own: killed at random moments, and spread over two. Minutes each."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from portraittalk_core.training.spreading import FSDP, ZERO2

from .denoiser.shards import write_shards

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]

RECIPE = """
[model]
name = "small"
size = 64
contour_size = 16
structure_width = 16
reference_layers = ["down.1.0"]
temporal_layers = ["mid.0.0", "up.1.1"]

[model.unet]
latent_channels = 4
channels = [32, 64]
attention = [true, true]
heads = 2

[[runs]]
stage = 1
stream = true
size = 64
refs = 1
targets = 2
accumulate = ACCUMULATE
max_steps = STEPS
rate = 1e-4
warmup = 1
save_every_s = 0.0

[[runs]]
stage = 2
stream = true
size = 64
refs = 1
targets = 1
clip = 3
accumulate = ACCUMULATE
max_steps = STEPS
rate = 1e-4
warmup = 1
save_every_s = 0.0
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    return write_shards(tmp_path_factory.mktemp("shards"), (20, 16, 24))


def command(folder, shards, vae_file, accumulate=1, processes=1, steps=10, optimiser="muon", pieces=None):
    recipe = folder / f"recipe{accumulate}.toml"
    text = RECIPE.replace("ACCUMULATE", str(accumulate)).replace("STEPS", str(steps))
    recipe.write_text(text.replace("warmup = 1", f'warmup = 1\noptimiser = "{optimiser}"'))
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    if pieces is not None:
        launch = ["-m", "accelerate.commands.launch", "--config_file", str(pieces), "--num_processes", str(processes)]
    own = ["-m", "portraittalk_core", "train", "--config", str(recipe), "--data", str(shards), "--vae", str(vae_file)]
    return [sys.executable, *(launch if processes > 1 else []), *own]


def start(argv, out):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "TOKENIZERS_PARALLELISM": "false"}
    with open(f"{out}.log", "a") as log:
        return subprocess.Popen([*argv, "--out", str(out)], cwd=ROOT, env=environment, stdout=log, stderr=log)


def weights(out):
    names = [f"{stage}/{name}.safetensors" for stage in ("stage1", "stage2") for name in ("model", "last")]
    return {name: load_file(out / name) for name in names}


def steps_of(out, stage="stage?"):
    return sorted(f"{place.parent.name}/{place.name}" for place in out.glob(f"{stage}/step-*"))


def reached(out):
    """Return the steps that a run has taken, those of both stages together."""
    numbers = ([int(place.name[5:13]) for place in out.glob(f"{stage}/step-*")] for stage in ("stage1", "stage2"))
    return sum(max(found, default=0) for found in numbers)


def test_a_run_that_is_killed_ten_times_ends_bit_equal_to_one_that_is_not(tmp_path, shards, vae_file):
    argv = command(tmp_path, shards, vae_file, steps=16)
    begun = time.monotonic()
    assert start(argv, tmp_path / "whole").wait() == 0
    lasted = time.monotonic() - begun
    chance, killed = random.Random(0), list[str]()
    for number in range(10):
        stage = "stage1" if number < 5 else "stage2"  # half of the kills in each
        before, at = steps_of(tmp_path / "killed", stage), reached(tmp_path / "killed")
        run = start(argv, tmp_path / "killed")
        # two in ten while it starts, the others some moments after it has taken a step
        end = time.monotonic() + chance.uniform(0, 0.3) * lasted if number % 5 == 4 else None
        while run.poll() is None and (end is None or time.monotonic() < end):
            time.sleep(0.005)
            if end is None and steps_of(tmp_path / "killed", stage) != before:
                end = time.monotonic() + chance.uniform(0, 0.06) * lasted
            if end is not None and reached(tmp_path / "killed") > at + 2:
                break  # the machine is quicker than it was when `lasted` was measured
        if run.poll() is not None:  # it was over before the moment came
            break
        run.send_signal(signal.SIGKILL)
        run.wait()
        killed.append(",".join(steps_of(tmp_path / "killed")) or "before the first step")
    assert len(killed) >= 8 and "stage2" not in killed[0] and "stage2" in killed[-1], killed
    assert start(argv, tmp_path / "killed").wait() == 0
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    for name, tensors in whole.items():
        assert tensors.keys() == parts[name].keys()
        assert all(torch.equal(value, parts[name][key]) for key, value in tensors.items()), name
    ends = [torch.load(tmp_path / run / "stage2" / "state.pt", weights_only=True) for run in ("whole", "killed")]
    assert [end["step"] for end in ends] == [16, 16] and ends[0]["samples"] == ends[1]["samples"]


def test_two_processes_learn_what_one_with_twice_the_batch_does(tmp_path, shards, vae_file):
    assert start(command(tmp_path, shards, vae_file, accumulate=2), tmp_path / "one").wait() == 0
    assert start(command(tmp_path, shards, vae_file, processes=2), tmp_path / "two").wait() == 0
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    apart = {
        name: max(float((value - two[name][key]).abs().max()) for key, value in tensors.items())
        for name, tensors in one.items()
    }
    assert max(apart.values()) <= 1e-5, apart


def test_pieces_of_two_processes_learn_what_two_wholes_do_and_go_on_from_these(tmp_path, shards, vae_file):
    options = {"processes": 2, "optimiser": "adamw"}
    for name, pieces in (("whole", None), ("pieces", FSDP)):
        argv = command(tmp_path, shards, vae_file, steps=2, pieces=pieces, **options)
        assert start(argv, tmp_path / name).wait() == 0
    one, two = (
        torch.load(tmp_path / name / "stage1" / "state.pt", weights_only=True)["optimiser"]["state"]
        for name in ("whole", "pieces")
    )
    # Weights whose gradient is rounding alone go either way with AdamW, so the gradients are what is compared.
    means = [torch.cat([state[k]["exp_avg"].flatten() for k in sorted(state)]) for state in (one, two)]
    assert means[0].norm() > 0 and (means[0] - means[1]).norm() < 1e-4 * means[0].norm()
    apart = [float((value - weights(tmp_path / "pieces")[name][key]).abs().max())
             for name, tensors in weights(tmp_path / "whole").items() for key, value in tensors.items()]  # fmt: skip
    assert max(apart) <= 2e-4
    argv = command(tmp_path, shards, vae_file, steps=3, pieces=ZERO2, **options)
    assert start(argv, tmp_path / "whole").wait() == 0
    assert torch.load(tmp_path / "whole" / "stage2" / "state.pt", weights_only=True)["step"] == 3


def test_a_warning_of_the_machine_writes_a_checkpoint_within_half_a_minute(tmp_path, shards, vae_file):
    recipe = command(tmp_path, shards, vae_file)
    text = (tmp_path / "recipe1.toml").read_text()
    (tmp_path / "recipe1.toml").write_text(
        text.replace("max_steps = STEPS", "max_steps = 9999").replace("= 0.0", "= 9e9")
    )
    run = start(recipe, tmp_path / "run")
    while not (tmp_path / "run" / "stage1").exists() and run.poll() is None:
        time.sleep(0.1)
    time.sleep(5.0)
    begun = time.monotonic()
    run.send_signal(signal.SIGTERM)
    assert run.wait(60) == 0
    assert time.monotonic() - begun < 30
    assert torch.load(tmp_path / "run" / "stage1" / "state.pt", weights_only=True)["step"] > 0
