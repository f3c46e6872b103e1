"""What a stack will need: the counter counts what is alive, and the figures move the way they must."""

import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from portraittalk_core import presets
from portraittalk_core.cli.main import main
from portraittalk_core.errors import BadInput
from portraittalk_core.stacks.memory import peak_of, plan_memory
from portraittalk_core.stacks.metering import MemoryMeter


def most(run) -> int:
    """The most bytes that meta tensors of a run take at once."""
    meter = MemoryMeter()
    with meter.running():
        run()
    assert meter.now == 0  # all are gone with the run
    return meter.most


def test_the_meter_counts_what_is_alive_at_once():
    start = torch.empty(1000, device="meta")  # 4000 bytes, not counted: it was there

    def chain():
        one = start + 1
        two = one * 2
        del one
        three = two + two.view(1000)  # a view is no new memory
        del two
        return three.exp_()

    assert most(chain) == 2 * 4000
    assert most(lambda: [start + k for k in range(5)]) == 5 * 4000
    query = torch.empty(1, 2, 300, 8, device="meta")
    assert most(lambda: F.scaled_dot_product_attention(query, query, query)) == query.nbytes  # no 300 x 300


def test_what_an_operation_makes_is_known_from_the_form_of_what_it_is_given():
    whole, halves = torch.empty(6, 4, dtype=torch.long, device="meta"), torch.empty(4, dtype=torch.half, device="meta")
    pictures = torch.empty(2, 32, 8, 8, device="meta")

    def run():
        for _ in range(2):  # the second time from memory
            yield from (whole + 1, whole + 1.0, whole * halves, whole.t() * 2, halves / 3)
            yield from (F.layer_norm(pictures, (8,)), F.group_norm(pictures, 4), F.group_norm(pictures.half(), 4))
            yield from (F.linear(pictures, pictures[0, :5, 0], pictures[0, 0, 0, :5]), F.gelu(halves), F.silu(halves))

    with MemoryMeter().running():
        found = [(made.shape, made.stride(), made.dtype) for made in run()]
    assert found == [(made.shape, made.stride(), made.dtype) for made in run()]


def test_the_meter_tells_stages_apart_and_leaves_weights_out():
    meter = MemoryMeter()
    with meter.running():
        kept = torch.empty(1000, device="meta")
        with meter.paused():
            weights = torch.empty(5000, device="meta")
        assert meter.mark() == kept.nbytes == meter.most
        more = weights[:10] + 1
        assert meter.most == kept.nbytes + more.nbytes
        on_cpu = torch.zeros(100)
        del kept
        assert meter.now == more.nbytes and len(on_cpu) == 100


@pytest.fixture(scope="module")
def small():
    return plan_memory(presets.sd15_portraittalk(), frames=4, size=128)


@pytest.mark.slow
def test_weights_are_those_of_the_public_files(small):
    stages = {stage.name: stage for stage in small}
    assert list(stages) == ["speech", "text", "identity", "denoise", "decode"]
    # SD1.5's U-Net, AnimateDiff v2 and a ControlNet, two bytes a number (positions are kept beside AnimateDiff's).
    numbers = 859_520_964 + 453_208_960 + 361_279_120
    assert stages["denoise"].weights == pytest.approx(2 * numbers, rel=0.01)
    assert stages["speech"].weights == pytest.approx(4 * 95.5e6, rel=0.02)
    assert peak_of(small).name == "denoise"


@pytest.mark.slow
def test_a_512_window_is_planned_for_8_gb_and_grows_as_it_must():
    config = presets.sd15_portraittalk()
    by_name = [
        {s.name: s for s in plan_memory(config, frames=frames, size=512, passes_at_once=both)}
        for frames, both in ((16, False), (16, True), (160, False))
    ]
    alone, both, long = (plan["denoise"] for plan in by_name)
    assert alone.total < 7e9 and alone.weights == both.weights == long.weights
    assert 1.8 * alone.work < both.work < 2.2 * alone.work
    assert long.work == alone.work and long.kept > alone.kept  # the window decides, not the video
    magic = {s.name: s for s in plan_memory(presets.sd15_magictalk(), frames=16, size=512)}
    assert magic["denoise"].total < 7e9 and magic["reference"].total < 7e9


class DoublesOnADevice(TorchDispatchMode):
    """Gathers what makes float64 on another device than the CPU."""

    def __init__(self):
        super().__init__()
        self.found = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves(made) if isinstance(each, torch.Tensor)]
        if any(each.dtype in (torch.float64, torch.complex128) and each.device.type == "meta" for each in tensors):
            self.found.add(str(func))
        return made


@pytest.mark.slow
def test_no_device_needs_float64_which_apples_do_not_have():
    with DoublesOnADevice() as seen:
        torch.ones(2, device="meta", dtype=torch.float64)
    assert seen.found == {"aten.ones.default"}
    for config in (presets.sd15_portraittalk(), presets.sd15_magictalk()):
        with DoublesOnADevice() as seen:
            plan_memory(config, frames=20, size=128)
        assert not seen.found, config.name


def test_other_models_are_refused(capsys):
    with pytest.raises(BadInput, match="for sd15-portraittalk or sd15-magictalk"):
        plan_memory(presets.tiny(), frames=4)
    assert main(["plan", "--size", "100"]) == 2
    assert "multiple of 64" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--frames 100000000", "`--frames` must be at most 90000, an hour as recordings are"),
        ("--stage 1", "`--stage` belongs to --train"),
        ("--config sd15.toml", "`--config` belongs to --train"),
        ("--train --window 8", "`--window` belongs to the plan of a video, without --train"),
        ("--train --at-once", "`--at-once` belongs to the plan of a video"),
    ],
)
def test_what_a_plan_does_not_look_at_is_refused(capsys, words, said):
    assert main(["plan", *words.split()]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_says_that_nothing_was_measured(capsys, monkeypatch, small):
    monkeypatch.setattr("portraittalk_core.stacks.memory.plan_memory", lambda config, **options: small)
    assert main(["plan"]) == 0
    out = capsys.readouterr().out
    assert "predicted, not measured" in out and "largest: denoise" in out
