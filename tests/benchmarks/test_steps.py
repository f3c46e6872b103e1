"""The benchmark of a step: the same step as diffusers takes, and figures that mean what they say."""

import json
import time
from dataclasses import replace

import pytest
import torch

from benchmarks import speed
from benchmarks.parts.steps import clocks, page
from benchmarks.parts.steps.networks import SMALL, Networks


@pytest.mark.slow
@torch.inference_mode()
def test_ours_and_diffusers_take_the_same_step():
    """On one frame, where both normalise the same numbers before attention over time."""
    nets = Networks(replace(SMALL, frames=1), torch.device("cpu"), torch.float32)
    ours, theirs = nets.ours()(), nets.theirs()()
    assert float((ours - theirs).abs().max()) < 1e-3 * float(theirs.abs().max())
    alone = nets.ours(parts=())()
    assert float((alone - ours).abs().max()) > 0.1 * float(ours.abs().max()), "all parts matter"


def test_kernels_have_kinds():
    names = {
        "frame_attention": "our kernels",
        "void cudnn::engines_precompiled::nchwToNhwcKernel": "convolutions",
        "pytorch_flash::flash_fwd_kernel": "attention",
        "void at::native::RowwiseMomentsCUDAKernel": "norms",
        "nvjet_hsh_128x128_64x5": "matrix products",
        "aten::addmm": "matrix products",
        "CatArrayBatchedCopy": "cat, copy",
        "Memcpy HtoD": "cat, copy",
        "void at::native::vectorized_elementwise_kernel": "elementwise",
        "something": "other",
    }
    assert {name: clocks.kind_of(name) for name in names} == names


def test_waits_are_counted_where_there_is_no_gpu():
    there = torch.ones(3, device="meta")
    run = lambda: (torch.ones(2).sum().item(), bool(torch.ones(())), torch.ones(3).to(there), there + 1)  # noqa: E731
    assert clocks.waits(run, torch.device("cpu")) == 3
    assert clocks.waits(lambda: torch.ones(3).to(there, non_blocking=True), torch.device("cpu")) == 0


def test_ways_run_in_turns_until_time_is_over():
    seen = []
    ways = {"a": lambda: seen.append("a"), "b": lambda: seen.append("b")}
    assert set(clocks.in_turns(ways, torch.device("cpu"), 3, time.monotonic() + 60)) == {"a", "b"}
    assert seen == ["a", "b"] * 3
    assert clocks.in_turns(ways, torch.device("cpu"), 3, time.monotonic() - 1) == {}


def test_arithmetic_is_that_of_the_product():
    assert clocks.arithmetic(lambda: torch.ones(8, 16) @ torch.ones(16, 4)) == 2 * 8 * 16 * 4


def test_tables_leave_empty_what_was_not_measured():
    text = page.tables({"step": {"ours": 0.1, "diffusers": 0.2}, "left out": ["vae: no time was left"]})
    assert "| ours | 100.0 | 0.50 |  |  |  |  |" in text and text.endswith("Left out: vae: no time was left")


@pytest.mark.slow
def test_a_rehearsal_measures_everything(monkeypatch, tmp_path, capsys):
    file = tmp_path / "step.json"
    monkeypatch.setattr(
        "sys.argv", ["speed", "--step", "--small", "--device", "cpu", "--rounds", "1", "--json", str(file)]
    )
    speed.main()
    found = json.loads(file.read_text())
    assert not found["left out"] and set(found["step"]) == {"ours", "ours, no kernels", "diffusers"}
    assert 0 < found["floor"]["share"]["ours"] < 1 and found["waits"]["ours"] == 0
    assert {"one pass", "outer layers", "cudnn.benchmark"} <= set(found["variants"])
    assert found["presets"]["fast"]["frames a second"] > found["presets"]["as it comes"]["frames a second"]
    assert "| fast |" in capsys.readouterr().out
