"""Driving Video, Load Motion and Save Motion in a real ComfyUI: its folders, its VIDEO, its inference mode."""

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS
from portraittalk_core.media.image import read_image
from portraittalk_core.media.video import VideoWriter

from .comfy_env import as_the_host_runs_nodes, result  # noqa: F401 - the first is a fixture

pytestmark = pytest.mark.comfy

FPS, FRAMES = 25.0, 5


@pytest.fixture
def speech(pack):
    records = pack("portraittalk_core.types")
    return records.SpeechFeatures(torch.zeros(FRAMES, 8), torch.zeros(FRAMES), FPS)


def moving() -> torch.Tensor:
    """Return a portrait that shifts to the right, [3, 3, s, s]."""
    portrait = read_image(ASSETS / "portrait.png")
    return torch.stack([portrait.roll(4 * k, -1) for k in range(3)])


def test_a_video_of_the_host_drives(comfy_host, pack, speech, tmp_path):
    from comfy_api.latest._input_impl import VideoFromFile

    pictures = moving()
    with VideoWriter(tmp_path / "v.mp4", FPS, tuple(pictures.shape[-2:])) as writer:
        writer.append(pictures)
    drive = pack("nodes.motion_files").DrivingVideo.execute
    (motion,) = result(drive(speech, video=VideoFromFile(str(tmp_path / "v.mp4"))))
    (same,) = result(drive(speech, images=pictures.movedim(1, -1) / 2 + 0.5, images_fps=FPS))
    for found in (motion, same):
        assert found.frame_count == FRAMES and float(found.pose[2, 3] - found.pose[0, 3]) > 0.005
    assert torch.allclose(motion.pose, same.pose, atol=0.02)


def test_a_motion_goes_through_the_hosts_folders(comfy_host, pack, speech, tmp_path, monkeypatch):
    import folder_paths

    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    monkeypatch.setattr(folder_paths, "input_directory", str(tmp_path))
    records, nodes = pack("portraittalk_core.types"), pack("nodes.motion_files")
    motion = records.FaceMotion(
        torch.full((FRAMES, 52), 0.25), torch.tensor([0.0, 0, 0, 0, 0, 1]).repeat(FRAMES, 1), FPS
    )
    (path,) = result(nodes.SaveMotion.execute(motion, "takes/face"))
    assert path == str(tmp_path / "takes" / "face_00001_.csv")
    assert nodes.LoadMotion.define_schema().inputs[0].options == ["takes/face_00001_.csv"]
    (loaded,) = result(nodes.LoadMotion.execute("takes/face_00001_.csv", speech))
    assert torch.allclose(loaded.coefficients, motion.coefficients)
    with pytest.raises(Exception, match="outside the output folder"):
        nodes.SaveMotion.execute(motion, "../face")
