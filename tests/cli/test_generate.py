"""`generate` with a stand-in for the model: what is checked, passed on, written, and left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from portraittalk_core.cli.main import main
from portraittalk_core.errors import BadInput, NoFaceFound
from portraittalk_core.media.audio import read_sound
from portraittalk_core.media.image import read_image, write_image
from portraittalk_core.media.provenance import read_provenance
from portraittalk_core.media.target import PART_FILES
from portraittalk_core.media.video import probe
from portraittalk_core.perception import voice_separation
from portraittalk_core.perception.face_geometry import NOSE_TIP
from portraittalk_core.stacks.options import SamplingOptions
from portraittalk_core.stacks.prompts import parse_edit
from portraittalk_core.types import CropPlace, Face, Sound

from ..rendered_people import points
from .commands import command

ROOT = Path(__file__).resolve().parents[2]


def test_a_video_of_exact_length_is_written(model, folder, capsys):
    assert main(command(folder)) == 0
    assert probe(folder / "out.mp4").frames == 50 and probe(folder / "out.mp4").audio_codec == "aac"
    said = capsys.readouterr()
    assert "50 frames of 48 x 32 at 25 fps, 2.00 s" in said.out and "50 of 50 frames written" in said.err
    given = model.calls[1]
    assert given["prompt"] == "a person" and given["edits"] == [] and given["seed"] == 0 and given["face"] == 1
    assert "size" not in given, "it is the photograph's"
    assert torch.equal(given["images"][0], read_image(folder / "a.png"))
    assert given["options"] == SamplingOptions() and model.calls[0] == {"model": "tiny"}
    assert "negative" not in given and given["on_structure"] is None


def test_options_reach_the_model(model, folder):
    options = (
        "--fps 30 --steps 4 --cfg 2 --identity-scale 1.5 --audio-scale 0.5 --reference-scale 0.25 --seed 3 --window 8"
        " --fusion streaming --overlap 2 --lip 1.2 --head 0 --blink 2 --expression 0.5 --still-head --face 2"
        " --negative sad --guide-identity --size 640"
    )
    edits = ["--edit", "1.5: sad", "--edit", "0.5:a smiling person: happy"]
    assert main(command(folder, *options.split(), *edits, "--image", f"{folder}/a.png")) == 0
    given = model.calls[1]
    wanted = {"fps": 30, "seed": 3, "face": 2, "negative": "sad", "size": 640}
    assert {name: given[name] for name in wanted} == wanted
    assert model.calls[0] == {"model": "tiny"}, "the square is cut larger or smaller, the model is the same"
    assert given["options"] == SamplingOptions(
        steps=4,
        cfg=2,
        guide_identity=True,
        identity_scale=1.5,
        audio_scale=0.5,
        reference_scale=0.25,
        fusion="streaming",
        window=8,
        overlap=2,
    )
    assert given["edits"] == [(0.5, "a smiling person: happy"), (1.5, "sad")]
    dials = given["dials"]
    assert (dials.lip, dials.head, dials.blink, dials.expression, dials.still_head) == (1.2, 0, 2, 0.5, True)
    assert len(given["images"]) == 2
    assert probe(folder / "out.mp4").frames == 60


@pytest.mark.parametrize("given", [(), ("--prompt", "")])
def test_a_prompt_may_be_left_out(model, folder, given):
    files = ["--image", f"{folder}/a.png", "--audio", f"{folder}/s.wav", "-o", f"{folder}/out.mp4"]
    assert main(["generate", *files, *given]) == 0
    assert model.calls[1]["prompt"] == ""


def test_zero_and_no_are_choices_and_not_left_out(model, folder):
    options = "--no-guide-identity --cfg 0 --identity-scale 0 --audio-scale 0 --reference-scale 0 --overlap 0"
    assert main(command(folder, *options.split())) == 0
    assert model.calls[1]["options"] == SamplingOptions(
        guide_identity=False, cfg=0, identity_scale=0, audio_scale=0, reference_scale=0, overlap=0
    )


def test_options_of_public_files_reach_the_loader(model, folder):
    options = "--model sd15-magictalk --device cpu --part vae=none --part base=a=b --size 128 --low-memory --comfyui c"
    assert main(command(folder, *options.split())) == 0
    assert model.calls[0] == {
        "model": "sd15-magictalk",
        "device": "cpu",
        "parts": {"vae": "none", "base": "a=b"},
        "size": 128,
        "low_memory": True,
        "comfyui": Path("c"),
    }


def test_speed_is_asked_of_the_loader_and_of_the_sampler(model, folder):
    assert main(command(folder, *["--fast", "--sampler", "lcm", "--reuse", "3", "--steps", "6"])) == 0
    assert model.calls[0] == {"model": "tiny", "fast": True}
    assert model.calls[1]["options"] == SamplingOptions(sampler="lcm", reuse=3, steps=6)


def test_the_voice_alone_moves_the_mouth_and_the_recording_is_written(model, folder, monkeypatch):
    voice = Sound(torch.zeros(1, 32000), 16000)
    monkeypatch.setattr(voice_separation, "find_spec", lambda name: name)
    monkeypatch.setattr(voice_separation, "separate_voice", lambda sound: voice)
    assert main(command(folder, "--separate-voice")) == 0
    assert model.calls[1]["sound"] is voice
    assert float(read_sound(folder / "out.mp4").samples.abs().max()) > 0.05


def test_what_separates_voices_is_looked_for_first(model, folder, monkeypatch, capsys):
    monkeypatch.setattr(voice_separation, "find_spec", lambda name: None)
    assert main(command(folder, "--separate-voice")) == 2
    said = capsys.readouterr().err
    assert "pip install 'audio-separator[cpu]'" in said and said.count("\n") == 1 and not model.calls


@pytest.mark.slow
def test_preview_and_landmarks(model, folder):
    more = ["--preview", f"{folder}/sheet.png", "--landmarks", f"{folder}/lm.mp4"]
    assert main(command(folder, *more)) == 0
    sheet = read_image(folder / "sheet.png")
    assert sheet.shape == (3, 2 * 32 + 4, 4 * 48 + 12)
    assert sheet[0, 5, 5] == -1 and sheet[0, -5, -5] == 1
    assert probe(folder / "lm.mp4").frames == 50 and probe(folder / "lm.mp4").width == 256


def test_a_folder_of_pictures(model, folder):
    assert main(command(folder, output="frames/")) == 0
    assert len(list((folder / "frames").glob("*.png"))) == 50


WRONG = {
    "--edit=smiling": "SECONDS: TEXT",
    "--edit=2.5: late": "before the sound ends",
    "--fps=0": "from 1 to 120",
    "--fps=nan": "from 1 to 120",
    "--steps=2.5": "whole number",
    "--seed=-1": "`--seed` must be a whole number from 0",
    "--cfg=much": "a number from 0 to 30",
    "--reference-scale=1.5": "`--reference-scale` must be a number from 0 to 1, but got 1.5",
    "--identity-scale=nan": "`--identity-scale` must be a number from 0 to 10",
    "--model=sd15": "`--model` must be tiny",
    "--lip=9": "`--lip` must be a number from 0 to 4",
    "--face=0": "`--face` must be",
    "--size=32": "`--size` must be a whole number from 64 to 2048, but got 32",
    "--model=huge": "`--model` must be tiny, sd15-portraittalk, sd15-magictalk or a folder",
    "--fusion=cold": "invalid choice",
    "--window=4 --overlap=4": "shorter than `--window`",
    "--edit=1:a --edit=1.0:b": "one prompt a time",
    "--preview=sheet.txt": "must end in .png",
    "--landmarks=nowhere/lm.mp4": "must exist",
}


@pytest.mark.parametrize("options", WRONG)
def test_wrong_arguments_are_found_before_weights_are_loaded(model, folder, capsys, options):
    # Split before `--` only: the text of an edit has spaces of its own.
    assert main(command(folder, *options.replace(" --", "\n--").split("\n"))) == 2
    output = capsys.readouterr().err
    assert WRONG[options] in output and output.count("\n") == 1
    assert not model.calls and not list(folder.glob("out*"))


@pytest.mark.parametrize(
    ("name", "data", "rule"),
    [("a.png", b"text", "no known kind"), ("s.wav", b"", "zero bytes"), ("s.wav", None, "there is no")],
)
def test_bad_files_are_found_before_weights_are_loaded(model, folder, capsys, name, data, rule):
    (folder / name).unlink()
    if data is not None:
        (folder / name).write_bytes(data)
    assert main(command(folder)) == 2
    assert rule in capsys.readouterr().err and not model.calls


def test_an_input_is_never_overwritten(model, folder, capsys):
    before = (folder / "a.png").read_bytes()
    assert main(command(folder, f"--preview={folder}/a.png")) == 2
    assert "must be different files" in capsys.readouterr().err
    assert (folder / "a.png").read_bytes() == before and not model.calls


def test_errors_half_way_leave_nothing(model, folder, capsys):
    (folder / "out.mp4").write_bytes(b"precious")
    model.error = NoFaceFound
    assert main(command(folder)) == 2
    assert "no face here" in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["a.png", "out.mp4", "s.wav"]
    assert (folder / "out.mp4").read_bytes() == b"precious"


@pytest.mark.parametrize("text", ["", "smiling", "2.0", "2.0:", ":smiling", "-1: x", "nan: x", "inf: x", "a: b"])
def test_edits_that_cannot_be_read(text):
    with pytest.raises(BadInput, match="SECONDS: TEXT"):
        parse_edit(text, "--edit")


STUCK = """
import signal, sys, types, time, torch
# A background job inherits that Ctrl-C is ignored; a terminal does not.
signal.signal(signal.SIGINT, signal.default_int_handler)
module = types.ModuleType("portraittalk_core.pipeline")
class PortraitTalk:
    @classmethod
    def load(cls, name, **options): return cls()
    def generate(self, images, sound, prompt, **options):
        from portraittalk_core.types import Frames
        while True:
            yield Frames(torch.zeros(1, 3, 32, 32), 25)
            print("frame", flush=True)
            time.sleep(0.05)
module.PortraitTalk = PortraitTalk
sys.modules["portraittalk_core.pipeline"] = module
from portraittalk_core.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_ctrl_c_stops_within_a_second_and_leaves_nothing(folder, number):
    argv = [sys.executable, "-c", STUCK, *command(folder, "--quiet")]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for _ in range(3):
            assert process.stdout is not None and process.stdout.readline() == "frame\n"
        assert list(folder.glob(PART_FILES))
        process.send_signal(number)
        started = time.monotonic()
        _, errors = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 130 and "stopped" in errors and "Traceback" not in errors
    if os.getloadavg()[0] < (os.cpu_count() or 1):  # elsewhere, waiting for a processor would be measured
        assert time.monotonic() - started < 1
    assert sorted(p.name for p in folder.iterdir()) == ["a.png", "s.wav"]


PLACES = {"cut": CropPlace(10, 4, 40, 64, 64), "whole": CropPlace(0, 0, 64, 64, 64)}


@pytest.mark.parametrize(
    ("place", "asked", "size"),
    [
        ("cut", [], (64, 64)),
        ("cut", ["--frame", "photograph"], (64, 64)),
        ("cut", ["--frame", "crop"], (32, 32)),
        ("whole", [], (32, 32)),
        ("whole", ["--frame", "photograph"], (64, 64)),
    ],
)
def test_the_video_shows_the_photograph_where_the_model_cut_it(model, folder, place, asked, size):
    model.places, model.size = (PLACES[place],), (32, 32)
    assert main(command(folder, *asked)) == 0
    info = probe(folder / "out.mp4")
    assert (info.width, info.height, info.frames) == (*size, 50)


@pytest.mark.slow
def test_large_photographs_are_pasted_into_but_shown_small_in_the_preview(model, folder):
    write_image(folder / "a.png", torch.zeros(3, 1200, 2100))
    model.places, model.size = (CropPlace(100, 100, 300, 1200, 2100),), (32, 32)
    (folder / "s.wav").unlink()
    soundfile.write(folder / "s.wav", 0.1 * np.sin(np.arange(6400) / 10), 16000)
    assert main(command(folder, "--preview", f"{folder}/sheet.png")) == 0
    assert model.calls[1]["images"][0].shape == (3, 1200, 2100)
    assert (probe(folder / "out.mp4").width, probe(folder / "out.mp4").height) == (2100, 1200)
    assert read_image(folder / "sheet.png", longest_side=None).shape[2] == 4 * 1024 + 12
    model.calls.clear()
    assert main(command(folder, "--frame", "crop", "--image", f"{folder}/a.png")) == 0
    first, other = model.calls[1]["images"]
    assert first.shape == (3, 1200, 2100), "the square has the photograph's resolution"
    assert other.shape == (3, 878, 1536), "of the others only the model looks at a small copy"


OWN = torch.zeros(3, 300, 300)


@pytest.mark.parametrize(
    ("asked", "portrait", "size"),
    [([], OWN, (300, 300)), ([], None, (32, 32)), (["--frame", "crop"], OWN, (32, 32))],
    ids=["tiny", "sd15", "crop"],
)
def test_a_whole_portrait_keeps_its_size_where_its_own_pixels_are_taken(model, folder, asked, portrait, size):
    write_image(folder / "a.png", torch.zeros(3, 300, 300))
    model.places, model.size, model.portrait = (CropPlace(0, 0, 300, 300, 300),), (32, 32), portrait
    assert main(command(folder, *asked)) == 0
    info = probe(folder / "out.mp4")
    assert (info.width, info.height) == size


def test_a_photograph_on_its_side_stands_up_and_odd_sides_are_told_as_they_are_written(model, folder, capsys):
    exif = Image.Exif()
    exif[0x0112] = 6  # as a telephone writes it
    levels = np.random.default_rng(0).integers(0, 256, (91, 201, 3), dtype=np.uint8)
    Image.fromarray(levels).save(folder / "a.png", exif=exif)
    model.places, model.size = (CropPlace(10, 90, 70, 201, 91),), (32, 32)
    assert main(command(folder, output="frames/")) == 0
    assert "50 frames of 91 x 201 at 25 fps" in capsys.readouterr().out
    upright = read_image(folder / "a.png")
    picture = read_image(folder / "frames" / "00007.png")
    assert upright.shape == (3, 201, 91)
    away = torch.ones(201, 91, dtype=torch.bool)
    away[90:160, 10:80] = False
    assert torch.equal(picture[:, away], upright[:, away])
    assert main(command(folder)) == 0
    info = probe(folder / "out.mp4")
    assert (info.width, info.height) == (92, 202)
    assert "50 frames of 92 x 202 at 25 fps" in capsys.readouterr().out


class Finds:
    """Finds the faces that it is given."""

    hint = "Use a picture of somebody."

    def __init__(self, *faces):
        self.faces = list(faces)

    def find(self, pixels):
        return self.faces


def face(side: float, turned: float = 0.0) -> Face:
    """Return a face of a width, in pixels; turned: how far its nose lies from the middle, in widths of it."""
    marks = torch.from_numpy(points()[0]) / 256 * side
    marks[NOSE_TIP, 0] += turned * side
    low, high = marks.amin(0), marks.amax(0)
    return Face(torch.cat([low, high]), marks, 0.9, torch.eye(512)[0])


@pytest.mark.parametrize(
    ("faces", "options", "message"),
    [
        ([], [], "picture 1: no face was found in it. Use a picture of somebody."),
        ([face(40)], [], "The face must be at least 64 pixels wide, but the largest in the picture has"),
        ([face(300, 1.0)], [], "The face must be turned at most 50 degrees to the side, but is turned"),
        ([face(300)], ["--face", "2"], "`--face` must be at most the number of faces, but got 2 and there is 1 face."),
    ],
    ids=["nobody", "far away", "in profile", "alone"],
)
def test_what_the_model_cannot_do_is_one_line(model, folder, capsys, faces, options, message):
    model.finder = Finds(*faces)
    assert main(command(folder, "--quiet", *options)) == 2
    said = capsys.readouterr().err
    assert said.startswith("portraittalk: error: ") and message in said and said.count("\n") == 1
    assert not list(folder.glob("*.mp4*"))


def test_the_video_says_who_made_it(model, folder):
    assert main(command(folder)) == 0
    said = read_provenance(folder / "out.mp4")
    assert said is not None and said.model == "tiny"
