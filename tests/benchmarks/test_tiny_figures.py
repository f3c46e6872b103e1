"""The arithmetic of the benchmark: what it reads, how it judges, what it writes."""

import math
import os
import subprocess
import sys

import pytest
import torch

from benchmarks import tiny_figures
from benchmarks.parts import edits, motion, people, sound
from benchmarks.parts.program import ROOT
from portraittalk_core.topology import IBUG


def test_correlation_is_pearsons():
    a = torch.tensor([0.0, 1.0, 2.0, 4.0])
    r = motion.correlation
    assert r(a, 3 * a + 2) == pytest.approx(1)
    assert r(a, -a) == pytest.approx(-1)
    assert r(a, torch.ones(4)) == 0
    b = torch.tensor([1.0, 0.0, 3.0, 3.0])
    assert r(a, b) == pytest.approx(float(torch.corrcoef(torch.stack([a, b]))[0, 1]), abs=1e-6)


@pytest.mark.parametrize("late", [-3, 0, 2])
def test_best_lag_says_by_how_much_the_mouth_is_late(late):
    true = torch.randn(60, generator=torch.Generator().manual_seed(1))
    assert sound.best_lag(true.roll(late), true) == late


def test_top1_counts_only_the_right_person():
    gallery = torch.eye(4)
    assert edits.top1(5 * gallery, gallery) == 1
    assert edits.top1(gallery[[1, 0, 2, 3]], gallery) == 0.5
    asked = [{"hair": [1.0, 0, 0, 0], "beard": [0, 0, 1.0, 0]}, {"hair": [0, 2.0, 0, 0]}, {}, {"hair": [0, 0, 0, 1.0]}]
    assert edits.edited_top1(asked, gallery) == 0.75


def test_sharpness_falls_when_a_picture_is_blurred():
    frames = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    soft = torch.nn.functional.avg_pool2d(frames, 3, 1, 1)
    assert sound.sharpness(soft) < 0.5 * sound.sharpness(frames)


def test_a_subject_is_reproducible_and_moves(drawing):
    draw = people.draw_subject
    one, again, other = draw(3, 24), draw(3, 24), draw(4, 24)
    assert torch.equal(one.blendshapes, again.blendshapes) and torch.equal(one.reference, again.reference)
    assert not torch.equal(one.blendshapes[0], other.blendshapes[0]) and one.stranger.hair != one.person.drawn.hair
    for name in motion.QUANTITIES:
        assert one.column(name).std() > 0.02, name
    assert set(one.asked()) >= {"background", "clothes", "glasses", "expression"}
    assert one.enrolment.shape == one.reference.shape == (3, 256, 256)


def test_exact_points_are_those_of_pictures(drawing):
    """Far away the points lie as in a rendered picture, up to place, size and perspective."""
    subject = people.draw_subject(1, 12)
    pixels, exact = subject.clip
    assert pixels.shape == (12, 3, 256, 256) and exact.shape == (12, 478, 2)
    far = people.far_points(subject.person.drawn, subject.blendshapes, subject.rotation)
    near = exact[:, list(IBUG)].double()
    for track in (far, near):
        track -= track.mean((0, 1))
        track /= track.std()
    assert (far - near).abs().mean() < 0.08


@pytest.mark.parametrize(
    ("name", "figures", "said"),
    [
        ("jaw r", {"value": 0.95, "n": 64}, "met"),
        ("jaw r", {"value": 0.92, "n": 64}, "**missed**"),
        ("jaw r", {"value": 0.95, "n": 16}, "met so far, on fewer than the 64 people asked for"),
        ("sync lag, frames", {"value": -2, "n": 8}, "**missed**"),
        ("sync lag, frames", {"value": -1, "n": 8}, "met"),
        ("seconds per second", {"value": 8.1, "n": 1}, "**missed**"),
        ("seconds per second", {"value": 7.9, "n": 1, "weights": "old"}, "met; of earlier weights"),
        ("jaw r", {"value": math.nan, "n": 64}, "**missed**"),
    ],
)
def test_verdict(name, figures, said):
    assert tiny_figures.verdict(name, figures, "now") == said


def test_the_page_keeps_what_is_written_by_hand(tmp_path):
    figures, file = tiny_figures, tmp_path / "tiny.md"
    file.write_text(f"# Above\n{figures.START}\nold\n{figures.END}\nBelow\n")
    figures.write_page({"jaw r": {"value": 0.5, "n": 64}}, "now", file)
    page = file.read_text()
    assert page.startswith("# Above\n") and page.endswith("\nBelow\n") and "old" not in page
    assert "| jaw r | >= 0.93 | 0.5 |  | 64 | **missed** |" in page
    assert page.count("not measured yet") == len(figures.REQUIRED) - 1


def test_peak_memory_is_the_childs_own():
    """A child of a large process must not report its parent's size, as `getrusage` does."""
    ballast = bytearray(400_000_000)
    source = "from portraittalk_core.evaluation.benchmark.memory import process_peak_kib as f; print(f())"
    peak = int(subprocess.check_output([sys.executable, "-c", source], env={**os.environ, "PYTHONPATH": str(ROOT)}))
    assert 0 < peak * 1024 < len(ballast) / 2
