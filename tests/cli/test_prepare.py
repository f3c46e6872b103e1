"""`portraittalk prepare`: a folder in, shards and a report out."""

import json
import sys

import pytest
import torch

from portraittalk_core.cli.main import build_parser, main
from portraittalk_core.cli.prepare import LIMITS, read_settings
from portraittalk_core.preparation import run as running
from portraittalk_core.preparation.clip import Tools
from portraittalk_core.preparation.settings import Limits, Settings

from ..preparation.conftest import KnownFinder, fitter, frames, write  # noqa: F401


def test_a_folder_becomes_shards_and_a_report(tmp_path, monkeypatch, capsys, fitter):  # noqa: F811
    monkeypatch.setattr(
        running, "open_tools", lambda settings: Tools(KnownFinder(), lambda picture, mesh: torch.eye(512)[0], fitter)
    )
    write(tmp_path / "clips" / "ann" / "one.mp4", frames(30))
    command = ["prepare", str(tmp_path / "clips"), "-o", str(tmp_path / "shards"), "--quiet", "--size", "64"]
    command += ["--validation", "0"]
    assert main(command) == 0
    assert "report.html: 0 samples of 0 people" in capsys.readouterr().out  # it has no sound
    assert "no sound" in (tmp_path / "shards" / "report.html").read_text()
    assert main([*command, "--keep-silent"]) == 2
    assert "was made with silent False, but True is asked for" in capsys.readouterr().err
    command[3] = str(tmp_path / "others")
    assert main([*command, "--keep-silent"]) == 0
    assert "1 samples of 1 people, 0.0 minutes in 1 shards" in capsys.readouterr().out
    assert json.loads((tmp_path / "others" / "index.json").read_text())["settings"]["size"] == 64
    code = (tmp_path / "others" / "train-000000.tar").read_bytes()
    assert main([*command, "--keep-silent"]) == 0  # nothing is done twice
    assert (tmp_path / "others" / "train-000000.tar").read_bytes() == code


@pytest.mark.parametrize(
    "options, words",
    [
        (["--size", "100"], "`--size` must be a multiple of 8"),
        (["--caption", "describe"], "`--caption` must name the picture as {picture}"),
        (["--dataset", "vox"], "`--dataset` must be one of hdtf"),
        (["--shard-mb", "0"], "`--shard-mb` must be 1 or more"),
        (["--workers", "0", "--engine", "ray"], "`--workers` must be 1 or more"),
        (["--syncnet", "missing.model"], "missing.model"),
    ],
)
def test_wrong_options_are_known_before_anything_slow(tmp_path, capsys, options, words):
    write(tmp_path / "clips" / "one.mp4", frames(2))
    assert main(["prepare", str(tmp_path / "clips"), "-o", str(tmp_path / "shards"), *options]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()


def test_defaults_of_the_command_are_those_of_the_settings():
    given = build_parser().parse_args(["prepare", "clips", "-o", "shards"])
    assert read_settings(given) == Settings()
    options = [word for option, _ in LIMITS.values() for word in (option, "2")]
    changed = read_settings(build_parser().parse_args(["prepare", "clips", "-o", "shards", *options])).limits
    assert all(getattr(changed, name) == 2 != getattr(Limits(), name) for name in LIMITS)


def test_the_command_line_stays_light():
    import subprocess

    code = "import sys, portraittalk_core.cli.main; print([m for m in ('torch', 'cv2', 'numpy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
