"""A loan: the time is divided, what was drawn is learned from, and the report says so. Nothing is drawn or trained."""

import argparse
import functools
import json
import time
from pathlib import Path

import pytest
import torch

from portraittalk_core.config_file import read_toml
from portraittalk_core.training import gpu_loan
from portraittalk_core.training.gpu_loan import HELD_OUT, TOML, Drawing, Loan, train_within
from portraittalk_core.training.model import read_model
from portraittalk_core.training.recipe import Ground, Recipe


def write_shards(numbers, folder):
    """Stand in for what draws, in a process of its own: the third shard never ends."""
    for k in numbers:
        if k == 2:
            time.sleep(600)
        (folder / f"{k}").touch()


@pytest.mark.slow
def test_drawing_is_stopped_in_time_and_what_is_held_out_comes_first(tmp_path):
    drawing = Drawing(functools.partial(write_shards, folder=tmp_path), jobs=1, shards=5)
    begun = time.monotonic()
    while not (tmp_path / "1").exists():
        assert time.monotonic() - begun < 120
        time.sleep(0.05)
    drawing.stop(0.2)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0", "1", str(HELD_OUT)]


@pytest.fixture
def calls(monkeypatch, tmp_path):
    """Let all parts of a loan be noted instead of done."""
    found = []

    class Noted:
        def __init__(self, draw, jobs, shards):
            found.append(("draw", draw.func.__name__, jobs, shards))

        def stop(self, after_s):
            found.append(("stop", round(after_s)))

    monkeypatch.setattr(gpu_loan, "Drawing", Noted)
    monkeypatch.setattr(gpu_loan, "frame_encoders", lambda *given: "encoders")
    for name in ("encode_bank", "encode_clips", "pack"):
        monkeypatch.setattr(gpu_loan, name, lambda *given, name=name, **options: found.append((name, *given[:2])))
    monkeypatch.setattr(gpu_loan, "train_recipe", lambda *given, **options: found.append(("train", given, options)))
    monkeypatch.setattr(gpu_loan, "open_bank", lambda folder: range(7))
    monkeypatch.setattr(gpu_loan, "score_runs", lambda *given: {"run0": {"pairs": 0.2}})
    return found


def test_a_loan_is_divided_among_its_parts(calls, tmp_path):
    recipe = read_toml(Recipe, TOML)
    ground = Ground(tmp_path / "people", clips=tmp_path / "clips", speech=tmp_path / "s.npz")
    loan = Loan(time.monotonic() + 600, file=tmp_path / "report.json")
    (tmp_path / "run0").mkdir()
    torch.save({"step": 3, "samples": 9, "seconds": 1.5}, tmp_path / "run0" / "state.pt")
    options = argparse.Namespace(jobs=6, shards=50, clip_shards=40, textures=None)
    train_within(loan, tmp_path, ground, recipe, read_model(), options)
    names = [call[0] for call in calls]
    assert names == ["draw", "stop", "draw", "encode_bank", "train", "stop", "encode_clips", "train", "stop", "pack"]
    assert calls[0] == ("draw", "draw_people", 6, 50) and calls[1] == ("stop", 120)
    assert calls[2] == ("draw", "draw_speakers", 4, 40) and calls[5] == ("stop", 60)  # none is complete yet
    assert calls[3][1:] == (tmp_path / "bank1", ground.people) and calls[6][1:] == (tmp_path / "bank2", ground.clips)
    minutes = {stage: sum(r.minutes for r in recipe.runs if r.stage == stage) for stage in (1, 2)}
    for number, stage, share in ((4, 1, minutes[1] / (minutes[1] + minutes[2])), (7, 2, 1.0)):
        (fitted, *_), options = calls[number][1:]
        assert options == {"stage": stage, "by_time": True}
        runs = [run for run in fitted.runs if run.stage == stage]
        whole = 0.92 * 10 * share  # nothing took any time here
        assert sum(run.minutes for run in runs) == pytest.approx(whole, rel=0.02)
        kept = [run.minutes / old.minutes for run, old in zip(fitted.runs, recipe.runs, strict=True)]
        assert len({round(k, 3) for k, run in zip(kept, recipe.runs, strict=True) if run.stage == stage}) == 1
        assert all(k == 1 for k, run in zip(kept, recipe.runs, strict=True) if run.stage != stage)
    loan.write()
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["runs"] == [{"step": 3, "samples": 9, "seconds": 1.5}, {}, {}, {}]
    assert report["scores"] == {"run0": {"pairs": 0.2}} and report["drawn"] == {"people": 7, "clips": 7}
    parts = ("draw people", "encode people", "stage 1", "wait for clips", "encode clips", "stage 2", "pack", "score")
    assert all(report[part]["seconds"] < 5 for part in parts if part != "score")


def test_clips_go_on_being_drawn_while_the_first_stage_trains_and_end_whatever_happens(calls, tmp_path, monkeypatch):
    def broken(*given, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(gpu_loan, "train_recipe", broken)
    ground = Ground(tmp_path / "people", clips=tmp_path / "clips", speech=tmp_path / "s.npz")
    options = argparse.Namespace(jobs=1, shards=1, clip_shards=1, textures=Path("t"))
    with pytest.raises(KeyboardInterrupt):
        train_within(Loan(time.monotonic() + 60), tmp_path, ground, read_toml(Recipe, TOML), read_model(), options)
    assert [call[0] for call in calls] == ["draw", "stop", "draw", "encode_bank", "stop"] and calls[-1] == ("stop", 0)
