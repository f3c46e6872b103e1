"""The figures of speed are of the videos that were asked for, in turns, the fastest of each."""

import json

import pytest
import torch

from benchmarks import speed
from portraittalk_core import ASSETS
from portraittalk_core.types import Frames


def test_ways_are_measured_in_turns_and_written(monkeypatch, tmp_path, capsys):
    made: list[tuple[str, int, int | None]] = []

    class Model:
        def __init__(self, precision):
            self.precision = precision

        def generate(self, images, sound, prompt, *, size, options):
            made.append((self.precision, sound.frame_count(25), options.steps))
            yield Frames(torch.zeros(sound.frame_count(25), 3, 8, 8), 25.0)

    monkeypatch.setattr(speed.PortraitTalk, "load", classmethod(lambda cls, name, precision: Model(precision)))
    file = tmp_path / "speed.json"
    files = ["--image", str(ASSETS / "portrait.png"), "--audio", str(ASSETS / "speech.wav"), "--json", str(file)]
    monkeypatch.setattr("sys.argv", ["speed", *files, "--seconds", "2", "--rounds", "2"])
    speed.main()
    assert made[3:] == [("auto", 50, None), ("float32", 50, None), ("auto", 50, 2)] * 2
    assert {frames for _, frames, _ in made[:3]} == {12}, "the first are only to warm up"
    found = json.loads(file.read_text())
    assert list(found["ways"]) == list(speed.WAYS) and found["on"]["seconds"] == 2
    row = found["ways"]["auto"]
    assert 0 < row["first frame"] <= row["seconds"] * 2 + 1e-6
    assert capsys.readouterr().out.count("\n| ") == 4
    with pytest.raises(SystemExit):
        speed.parse(["--image", "a.png"])
