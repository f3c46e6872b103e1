"""Load Motion, Save Motion, Driving Video: lengths, mouths, folders, and what is refused."""

from __future__ import annotations

import sys
import types as python_types

import pytest
import torch

FPS, FRAMES = 25.0, 6
HEADER = "timestamp_ms,jawOpen,browInnerUp\n"


@pytest.fixture
def host(pack, tmp_path, monkeypatch):
    """The pack, with folders of its own."""
    paths = sys.modules["folder_paths"]
    for name in ("input", "output", "models/mediapipe"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(paths, "get_input_directory", lambda: str(tmp_path / "input"))
    monkeypatch.setattr(paths, "get_output_directory", lambda: str(tmp_path / "output"))
    monkeypatch.setattr(paths, "models_dir", str(tmp_path / "models"))
    place = lambda prefix, folder: (folder, prefix, 7, "", prefix)  # noqa: E731
    monkeypatch.setattr(paths, "get_save_image_path", place, raising=False)
    return pack


@pytest.fixture
def speech(pack):
    types = pack("portraittalk_core.types")
    return types.SpeechFeatures(torch.zeros(FRAMES, 8), torch.zeros(FRAMES), FPS)


def motion(pack, value: float, frames: int = FRAMES):
    types = pack("portraittalk_core.types")
    pose = torch.tensor([value, 0, 0, 0, 0, 1]).expand(frames, 6)
    return types.FaceMotion(torch.full((frames, 52), value), pose, FPS)


def column(pack, found, name: str) -> torch.Tensor:
    return found.coefficients[:, pack("portraittalk_core.types").COEFFICIENTS.index(name)]


def test_a_motion_is_saved_and_loaded(host, speech, tmp_path):
    nodes = host("nodes.motion_files")
    saved = nodes.SaveMotion.execute(motion(host, 0.5, 3), "take")
    assert saved.args == (str(tmp_path / "output" / "take_00007_.csv"),) and saved.ui == {"text": [saved.args[0]]}
    (tmp_path / "output" / "take_00007_.csv").rename(tmp_path / "input" / "take.csv")
    assert host("nodes.motion_readers").tables() == ["take.csv"]
    (loaded,) = nodes.LoadMotion.execute("take.csv", speech).args
    assert loaded.frame_count == FRAMES and torch.allclose(loaded.coefficients, torch.tensor(0.5))
    (mixed,) = nodes.LoadMotion.execute("take.csv", speech, motion(host, 0.1)).args
    assert torch.allclose(column(host, mixed, "jawOpen"), torch.tensor(0.1))
    assert torch.allclose(column(host, mixed, "browInnerUp"), torch.tensor(0.5))


def test_a_file_that_changes_is_read_anew(host, tmp_path):
    (tmp_path / "input" / "a.csv").write_text(HEADER + "0,0,0\n")
    read = host("nodes.motion_files").LoadMotion.fingerprint_inputs
    before = read("a.csv", speech=None)
    import os

    os.utime(tmp_path / "input" / "a.csv", (1, 1))
    assert read("a.csv") != before


@pytest.mark.parametrize("name", ["../secret.csv", "put a .csv file into the input folder"])
def test_only_the_input_folder_is_read(host, speech, tmp_path, name):
    (tmp_path / "secret.csv").write_text(HEADER + "0,0,0\n")
    assert host("nodes.motion_readers").tables() == ["put a .csv file into the input folder"]
    with pytest.raises(host("portraittalk_core.errors").BadInput, match="in ComfyUI's input folder"):
        host("nodes.motion_files").LoadMotion.execute(name, speech)


def test_a_mesh_is_no_motion_of_blendshapes(host, speech):
    mesh = host("portraittalk_core.motion.mesh_motion").MeshMotion(torch.zeros(1, 468, 3), torch.zeros(1, 6), FPS)
    with pytest.raises(host("portraittalk_core.errors").BadInput, match="`motion` must be a motion of blendshapes"):
        host("nodes.motion_files").SaveMotion.execute(mesh, "take")


@pytest.fixture
def watched(host, monkeypatch):
    """What the core was asked to read, in place of reading it."""
    asked = []

    def read(pictures, fps, frames, *, faces, face, on_picture):
        shown = list(pictures)
        on_picture(len(shown))
        asked.append((shown, faces, face))
        return motion(host, 0.5, frames)

    monkeypatch.setattr(host("portraittalk_core.stacks.driving"), "driving_motion", read)
    return asked


def test_pictures_drive_and_the_sound_moves_the_mouth(host, speech, watched, tmp_path):
    (tmp_path / "models" / "mediapipe" / "face.task").touch()
    images = torch.rand(3, 8, 10, 3)
    drive = host("nodes.motion_files").DrivingVideo.execute
    (found,) = drive(speech, images=images, images_fps=50.0, mouth=motion(host, 0.1), face=2, reader="face.task").args
    shown, faces, face = watched[0]
    assert [time_s for time_s, _ in shown] == [0.0, 0.02, 0.04] and face == 2 and faces.name == "face.task"
    assert torch.allclose(shown[1][1], images[1].movedim(-1, 0) * 2 - 1)
    assert found.frame_count == FRAMES
    assert torch.allclose(column(host, found, "jawOpen"), torch.tensor(0.1))
    assert torch.allclose(column(host, found, "eyeBlinkLeft"), torch.tensor(0.5))


def test_a_video_drives_by_its_time_stamps(host, speech, watched, monkeypatch):
    stamped = [(0.0, torch.zeros(3, 2, 2)), (0.5, torch.ones(3, 2, 2))]
    monkeypatch.setattr(host("portraittalk_core.media.video"), "timed_pictures", lambda path: iter(stamped))
    file = python_types.SimpleNamespace(get_stream_source=lambda: "v.mp4")
    host("nodes.motion_files").DrivingVideo.execute(speech, video=file)
    assert [time_s for time_s, _ in watched[0][0]] == [0.0, 0.5] and watched[0][1] is None
    parts = python_types.SimpleNamespace(images=torch.rand(2, 4, 4, 3), frame_rate=10)
    held = python_types.SimpleNamespace(get_stream_source=lambda: b"", get_components=lambda: parts)
    host("nodes.motion_files").DrivingVideo.execute(speech, video=held)
    assert [time_s for time_s, _ in watched[1][0]] == [0.0, 0.1]


def test_what_does_not_go_together_is_refused(host, speech, watched):
    error, drive = host("portraittalk_core.errors").BadInput, host("nodes.motion_files").DrivingVideo.execute
    with pytest.raises(error, match="one of the two"):
        drive(speech)
    with pytest.raises(error, match="`reader` must be one of face pack"):
        drive(speech, images=torch.rand(1, 4, 4, 3), reader="gone.task")
