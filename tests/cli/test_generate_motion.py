"""`portraittalk generate` moves a face as a file or a video says, and saves how it moved."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from portraittalk_core.cli.main import main
from portraittalk_core.media.video import VideoWriter
from portraittalk_core.motion.motion_file import read_motion, write_motion
from portraittalk_core.stacks import driving
from portraittalk_core.types import COEFFICIENTS, FaceMotion

from .commands import command


def test_motion_is_saved_and_given_back(model, folder):
    assert main(command(folder, "--save-motion", f"{folder}/face.csv")) == 0
    saved = read_motion(folder / "face.csv")
    assert saved.frame_count == 50 and torch.allclose(saved.coefficients, torch.full((50, 52), 0.25), atol=1e-6)
    assert main(command(folder, "--motion", f"{folder}/face.csv", "--fps", "30")) == 0
    given = model.calls[-1]["motion"]
    assert (given.frame_count, given.fps) == (60, 30.0)


@pytest.mark.parametrize(("mouth", "jaw"), [([], 0.75), (["file"], 0.75), (["sound"], 0.25)])
def test_the_mouth_moves_as_the_file_or_the_sound_says(model, folder, mouth, jaw):
    pose = torch.tensor([0.1, 0, 0, 0, 0, 1]).expand(50, 6)
    write_motion(folder / "face.csv", FaceMotion(torch.full((50, 52), 0.75), pose, 25.0))
    asked = ["--motion-mouth", *mouth] if mouth else []
    more = ["--motion", f"{folder}/face.csv", *asked, "--save-motion", f"{folder}/out.csv"]
    assert main(command(folder, *more)) == 0
    moved = read_motion(folder / "out.csv")
    assert torch.allclose(column(moved, "jawOpen"), torch.tensor(jaw)) and moved.pose[0, 0] == pytest.approx(0.1)
    assert torch.allclose(column(moved, "mouthSmileLeft"), torch.tensor(0.75))


@pytest.mark.parametrize(("mouth", "jaw"), [([], 0.25), (["file"], 0.75), (["sound"], 0.25)])
def test_a_driving_video_moves_the_face_and_the_sound_the_mouth(model, folder, monkeypatch, mouth, jaw):
    with VideoWriter(folder / "driver.mp4", 25, (32, 48)) as writer:
        writer.append(torch.zeros(3, 32, 48))
    asked = []

    def read(path, fps, frames, *, faces, on_picture):
        asked.append((Path(path).name, fps, frames, faces))
        on_picture(1)
        return FaceMotion(torch.full((frames, 52), 0.75), torch.ones(frames, 6), fps)

    monkeypatch.setattr(driving, "read_driving_video", read)
    more = ["--motion", f"{folder}/driver.mp4", "--save-motion", f"{folder}/out.csv", "--fps", "25"]
    assert main(command(folder, *more, *(["--motion-mouth", *mouth] if mouth else []))) == 0
    assert asked == [("driver.mp4", 25.0, 50, None)]
    moved = read_motion(folder / "out.csv")
    assert torch.allclose(column(moved, "jawOpen"), torch.tensor(jaw))
    assert torch.allclose(column(moved, "browInnerUp"), torch.tensor(0.75)) and moved.pose[0, 0] == pytest.approx(1.0)


def column(motion: FaceMotion, name: str) -> torch.Tensor:
    return motion.coefficients[:, COEFFICIENTS.index(name)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--motion {0}/none.csv", "there is no"),
        ("--motion {0}/s.wav", "is no CSV file"),
        ("--motion-mouth sound", "must come with `--motion`"),
        ("--save-motion {0}/a.txt", "must end in .csv"),
        ("--motion {0}/face.csv --save-motion {0}/face.csv", "must be different files"),
        ("--save-motion {0}/a.csv --model sd15-magictalk", "must be left out for sd15-magictalk"),
        ("--motion {0}/face.csv --motion-mouth sound --model sd15-magictalk", "must be left out for sd15-magictalk"),
    ],
)
def test_wrong_motions_are_known_before_the_model_is_loaded(model, folder, capsys, options, message):
    (folder / "face.csv").write_text("jawOpen\n0\n")
    assert main(command(folder, *options.format(folder).split())) == 2
    assert message in capsys.readouterr().err and not model.calls
