import csv
import importlib.util
import json
import math
import os
import signal
import sys
import time
import types
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from portraittalk_core.config import TrainingConfig
from portraittalk_core.errors import BadConfig, MissingExtra
from portraittalk_core.training.checkpoint import State
from portraittalk_core.training.loop import train
from portraittalk_core.training.optimiser import MuonAdamW, make_optimiser, orthogonalise
from portraittalk_core.training.watch import Curve, TrainingStopped


class Line(nn.Module):
    """Learns a matrix and a vector; `fixed` must stay as it is."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(4, 3))
        self.bias = nn.Parameter(torch.zeros(4))
        self.fixed = nn.Parameter(torch.ones(2), requires_grad=False)

    def forward(self, batch, generator):
        noise = 0.01 * torch.randn(len(batch), 4, generator=generator)
        wanted = batch @ torch.arange(12.0).view(3, 4) / 10 + 1
        return {"loss": (batch @ self.weight.T + self.bias + noise - wanted).square().mean()}


def batches(first, rank, ranks, device):
    for step in range(first, 10_000):
        yield torch.randn(16, 3, generator=torch.Generator().manual_seed(step))


CONFIG = TrainingConfig(minutes=5, rate=0.03, warmup=2, refs=16, targets=1, save_every_s=0.0)


def test_a_resumed_run_ends_where_an_uninterrupted_one_does(tmp_path):
    train(Line(), batches, CONFIG, tmp_path / "whole", max_steps=20)
    train(Line(), batches, CONFIG, tmp_path / "parts", max_steps=7)
    state = train(Line(), batches, CONFIG, tmp_path / "parts", max_steps=20)
    assert state.step == 20 and state.samples == 320
    for name in ("model", "last"):
        whole, parts = (load_file(tmp_path / run / f"{name}.safetensors") for run in ("whole", "parts"))
        assert whole.keys() == {"weight", "bias"}
        assert all(torch.equal(whole[key], parts[key]) for key in whole)


@pytest.mark.usefixtures("plots")
def test_the_curve_is_drawn(tmp_path):
    train(Line(), batches, replace(CONFIG, save_every_s=9e9), tmp_path, max_steps=2)
    assert (tmp_path / "curve.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.usefixtures("plots")
def test_the_loss_falls_and_the_curve_says_so(tmp_path):
    train(
        Line(), batches, replace(CONFIG, rate=0.1, save_every_s=9e9), tmp_path, max_steps=200
    )  # Muon steps by a fifth of the rate
    lines = (tmp_path / "curve.csv").read_text().splitlines()
    assert lines[0] == "step,samples,seconds,loss" and len(lines) == 9
    assert float(lines[-1].split(",")[-1]) < 0.2 * float(lines[1].split(",")[-1])
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_an_interrupt_saves_and_passes_on(tmp_path):
    def stopping(*given):
        for step, batch in enumerate(batches(*given)):
            if step == 3:
                raise KeyboardInterrupt
            yield batch

    with pytest.raises(KeyboardInterrupt):
        train(Line(), stopping, CONFIG, tmp_path, max_steps=9)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 3
    assert not list(tmp_path.glob("*.part"))


def test_orthogonalised_matrices_have_singular_values_near_one():
    for shape in ((6, 20), (20, 6)):
        matrix = torch.randn(shape, generator=torch.Generator().manual_seed(1))
        values = torch.linalg.svdvals(orthogonalise(matrix, steps=8))
        assert values.min() > 0.6 and values.max() < 1.3


@pytest.mark.parametrize("shape", [(24, 216), (216, 24), (24, 32)])
def test_matrices_are_orthogonalised_together_as_each_alone_and_as_by_the_definition(shape):
    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(1))
    matrices[0, :, :4] *= 1e-3  # a gradient's singular values differ by orders of magnitude
    together = orthogonalise(matrices)
    for matrix, found in zip(matrices, together, strict=True):
        torch.testing.assert_close(orthogonalise(matrix), found, atol=1e-4, rtol=0)
        x = matrix.double() / matrix.norm()
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
        torch.testing.assert_close(found.double(), x, atol=2e-3, rtol=0)


def test_convolutions_are_updated_as_matrices_and_vectors_by_adam():
    weight, bias = nn.Parameter(torch.zeros(8, 4, 3, 3)), nn.Parameter(torch.zeros(8))
    optimiser = MuonAdamW([weight, bias], 0.1, weight_decay=0.0)
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(2))
    bias.grad = torch.full((8,), 5.0)
    optimiser.step()
    assert (
        torch.linalg.svdvals(weight.detach().flatten(1)).std()
        < 0.25 * torch.linalg.svdvals(weight.grad.flatten(1)).std()
    )
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.2 * 0.1, rel=0.3)
    assert torch.allclose(bias.detach(), torch.full((8,), -0.1), rtol=1e-3)


def test_older_checkpoints_are_kept_as_far_as_was_asked_for(tmp_path):
    for steps in (2, 4, 6, 8):
        train(Line(), batches, replace(CONFIG, keep=1, save_every_s=9e9), tmp_path, max_steps=steps)
    assert sorted(place.name for place in tmp_path.glob("step-*")) == ["step-00000006", "step-00000008"]
    assert (tmp_path / "latest").read_text() == "step-00000008"
    assert (tmp_path / "model.safetensors").read_bytes() == (tmp_path / "step-00000008/model.safetensors").read_bytes()


def test_what_was_half_written_is_not_gone_on_from(tmp_path):
    train(Line(), batches, CONFIG, tmp_path / "whole", max_steps=8)
    run = tmp_path / "parts"
    train(Line(), batches, CONFIG, run, max_steps=4)
    for left in (run / "step-00000006.part", run / "step-00000007"):  # killed while writing, killed before marking
        left.mkdir()
        (left / "last.safetensors").write_bytes(b"half")
    (run / "model.safetensors.part").write_bytes(b"half")
    assert train(Line(), batches, CONFIG, run, max_steps=8).step == 8
    for name in ("model", "last"):
        whole, parts = (load_file(folder / f"{name}.safetensors") for folder in (tmp_path / "whole", run))
        assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert not list(run.glob("*.part"))


def test_batches_that_are_accumulated_are_one_larger_batch(tmp_path):
    plain = replace(CONFIG, optimiser="adamw", warmup=1)

    def joined(first, *given):
        source = batches(2 * first, *given)
        for one in source:
            yield torch.cat([one, next(source)])

    class Quiet(Line):
        def forward(self, batch, generator):
            wanted = batch @ torch.arange(12.0).view(3, 4) / 10 + 1
            return {"loss": (batch @ self.weight.T + self.bias - wanted).square().mean()}

    train(Quiet(), joined, plain, tmp_path / "joined", max_steps=10)
    state = train(Quiet(), batches, replace(plain, accumulate=2), tmp_path / "parts", max_steps=10)
    assert state.samples == 320
    one, two = (load_file(tmp_path / run / "last.safetensors") for run in ("joined", "parts"))
    assert all(torch.allclose(one[key], two[key], atol=1e-6) for key in one)
    assert float((one["weight"] - Line().weight.detach()).abs().max()) > 0.05


def test_a_warning_of_the_machine_saves_and_ends_the_run(tmp_path):
    def warned(*given):
        for step, batch in enumerate(batches(*given)):
            if step == 3:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    before = signal.getsignal(signal.SIGTERM)
    state = train(Line(), warned, replace(CONFIG, save_every_s=9e9), tmp_path, max_steps=50)
    assert state.step == 4  # the step that ran was finished
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 4
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_warning_does_not_wait_for_all_batches_of_a_step(tmp_path):
    drawn = []

    def warned(*given):
        for number, batch in enumerate(batches(*given)):
            drawn.append(number)
            if number == 7:  # the second of the third step's
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    gathered = replace(CONFIG, accumulate=3)
    state = train(Line(), warned, gathered, tmp_path / "warned", max_steps=5)
    assert state.step == 2 and drawn == list(range(8))
    assert train(Line(), batches, gathered, tmp_path / "warned", max_steps=5).step == 5
    train(Line(), batches, gathered, tmp_path / "whole", max_steps=5)
    one, two = (load_file(tmp_path / run / "last.safetensors") for run in ("warned", "whole"))
    assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.parametrize(("bad", "what"), [(math.nan, "is not finite"), (1e6, "times the mean")])
def test_a_loss_that_goes_wrong_ends_the_run_and_names_its_samples(tmp_path, bad, what):
    class Named(torch.Tensor):
        names = ()

    class Wrong(Line):
        def forward(self, batch, generator):
            losses = super().forward(torch.Tensor(batch), generator)
            return {"loss": losses["loss"] * bad if "sample-27" in batch.names else losses["loss"]}

    def named(first, *given):
        for step, batch in enumerate(batches(first, *given), first):
            found = batch.as_subclass(Named)
            found.names = (f"sample-{step}",)
            yield found

    config = replace(CONFIG, stop_at_spike=50.0, save_every_s=9e9)
    train(Wrong(), named, config, tmp_path, max_steps=20)
    with pytest.raises(TrainingStopped, match=f"loss of step 28 .*{what}"):
        train(Wrong(), named, config, tmp_path, max_steps=60)
    said = json.loads((tmp_path / "stopped.json").read_text())
    assert said["samples"] == ["sample-27"] and said["step"] == 28
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 20  # nothing worse was saved


def test_speed_and_memory_are_written_and_lines_that_are_taken_again_are_cut(tmp_path):
    train(Line(), batches, replace(CONFIG, save_every_s=9e9), tmp_path, max_steps=60)
    rows = [line.split(",") for line in (tmp_path / "speed.csv").read_text().splitlines()]
    assert rows[0] == ["step", "samples", "rate", "samples_a_second", "waiting_share", "memory_gb"]
    assert [row[0] for row in rows[1:]] == ["25", "50", "60"] and all(0 <= float(row[4]) <= 1 for row in rows[1:])
    curve = tmp_path / "curve.csv"
    curve.write_text(curve.read_text() + "75,1200,9.9,0.1\n")
    train(Line(), batches, CONFIG, tmp_path, max_steps=76)
    assert [line.split(",")[0] for line in curve.read_text().splitlines()[1:]] == ["25", "50", "60", "75", "76"]


def test_validation_sees_averaged_weights_and_leaves_the_others_in_place(tmp_path):
    module, seen = Line(), []

    def look(step, folder):
        seen.append((step, module.weight.detach().clone()))
        return {"adfd": 0.5}

    train(module, batches, replace(CONFIG, validate_every=4), tmp_path, max_steps=8, validate=look)
    assert [step for step, _ in seen] == [4, 8]
    assert torch.equal(seen[-1][1], load_file(tmp_path / "model.safetensors")["weight"])
    assert torch.equal(module.weight, load_file(tmp_path / "last.safetensors")["weight"])
    assert (tmp_path / "validation.csv").read_text().splitlines() == ["step,adfd", "4,0.5", "8,0.5"]


def test_optimisers_by_name():
    weight = nn.Parameter(torch.zeros(4, 4))
    assert isinstance(make_optimiser([weight], replace(CONFIG, optimiser="adamw")), torch.optim.AdamW)
    with pytest.raises(BadConfig, match="`optimiser` must be muon, adamw or adamw8bit"):
        make_optimiser([weight], replace(CONFIG, optimiser="sgd"))
    if importlib.util.find_spec("bitsandbytes") is None:
        with pytest.raises(MissingExtra, match="pip install bitsandbytes"):
            make_optimiser([weight], replace(CONFIG, optimiser="adamw8bit"))


def test_a_short_run_has_its_line_and_a_resumed_one_counts_its_own_samples(tmp_path):
    train(Line(), batches, replace(CONFIG, save_every_s=9e9), tmp_path, max_steps=30)
    rows = list(csv.DictReader((tmp_path / "speed.csv").open()))
    assert [row["step"] for row in rows] == ["25", "30"]  # what is left at the end is no less a line
    (tmp_path / "validation.csv").write_text("step,adfd\n20,0.5\n40,0.6\n")
    state = State(30, 30 * 16, 1.0)
    curve = Curve(tmp_path, every=1)
    curve.begin(state)
    time.sleep(0.01)
    curve.add(State(31, 31 * 16, 1.1), {"loss": torch.ones(())}, 0.0, 0.1)
    speed = list(csv.DictReader((tmp_path / "speed.csv").open()))[-1]
    assert speed["step"] == "31" and 0 < float(speed["samples_a_second"]) < 16 / 0.01  # not those of the call before
    assert (tmp_path / "validation.csv").read_text() == "step,adfd\n20,0.5\n"


def test_tensorboard_gets_losses_speed_and_validation(tmp_path, monkeypatch):
    boards = []

    class Board:
        def __init__(self, folder, purge_step):
            self.folder, self.purged, self.seen, self.closed = Path(folder), purge_step, {}, False
            boards.append(self)

        def add_scalar(self, name, value, step):
            self.seen.setdefault(name, []).append((step, value))

        def close(self):
            self.closed = True

    writer = types.ModuleType("torch.utils.tensorboard.writer")
    writer.SummaryWriter = Board
    for name in ("torch.utils.tensorboard", "torch.utils.tensorboard.writer"):
        monkeypatch.setitem(sys.modules, name, writer)
    config = replace(CONFIG, validate_every=20, save_every_s=9e9)
    for steps in (30, 40):
        train(Line(), batches, config, tmp_path, max_steps=steps, validate=lambda step, folder: {"adfd": step / 100})
    first, second = boards
    assert first.folder == tmp_path / "tensorboard" and (first.purged, second.purged) == (1, 31)
    assert set(first.seen) == {
        "loss/loss", "speed/rate", "speed/samples_a_second", "speed/waiting_share", "speed/memory_gb", "validation/adfd"
    }  # fmt: skip
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    said = [(int(row["step"]), float(row["loss"])) for row in rows]
    assert first.seen["loss/loss"] + second.seen["loss/loss"] == said and [step for step, _ in said] == [25, 30, 40]
    assert first.seen["validation/adfd"] == [(20, 0.2)] and second.seen["validation/adfd"] == [(40, 0.4)]
    assert first.closed and second.closed


@pytest.mark.skipif(importlib.util.find_spec("bitsandbytes") is None, reason="needs bitsandbytes")
def test_eight_bit_adamw_learns_and_is_resumed_bit_by_bit(tmp_path):
    config = replace(CONFIG, optimiser="adamw8bit", save_every_s=9e9)

    class Wide(Line):
        def __init__(self):
            super().__init__()
            self.more = nn.Parameter(torch.randn(4, 3, 512))  # what has fewer than 4096 weights keeps 32 bits

        def forward(self, batch, generator):
            return {"loss": super().forward(batch, generator)["loss"] + self.more.square().mean()}

    train(Wide(), batches, config, tmp_path / "whole", max_steps=20)
    for steps in (8, 20):
        train(Wide(), batches, config, tmp_path / "parts", max_steps=steps)
    whole, parts = (load_file(tmp_path / run / "last.safetensors") for run in ("whole", "parts"))
    assert all(torch.equal(whole[key], parts[key]) for key in whole)
    assert whole["more"].square().mean() < 0.9 * Wide().more.square().mean()
    kept = torch.load(tmp_path / "whole" / "state.pt", weights_only=True)["optimiser"]["state"]
    formats = [one.get("__bnb_optimizer_quant_state__", one)["state1"].dtype for one in kept.values()]
    assert formats.count(torch.uint8) == 1  # the large one
