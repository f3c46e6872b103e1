"""Motion as a file: names, the map to the networks' coefficients, and files of any rate, whole or broken."""

from __future__ import annotations

import csv

import pytest
import torch

import portraittalk_core as pt
from portraittalk_core.motion.arkit import EYE_REACH, SPOKEN, with_mouth
from portraittalk_core.types import COEFFICIENTS, FaceMotion

JAW = COEFFICIENTS.index("jawOpen")


def motion(frames: int = 60, fps: float = 25.0) -> FaceMotion:
    """Return a motion of everything that a file can hold."""
    generator = torch.Generator().manual_seed(0)
    coefficients = torch.rand(frames, 52, generator=generator)
    head = 0.4 * torch.rand(frames, 3, generator=generator) - 0.2
    return FaceMotion(coefficients, torch.cat([head, torch.tensor([[0.0, 0.0, 1.0]]).expand(frames, 3)], 1), fps)


def write(path, header, *rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_the_names_are_apples_in_the_order_of_live_link_face():
    assert len(COEFFICIENTS) == len(set(COEFFICIENTS)) == 52
    assert COEFFICIENTS[0] == "eyeBlinkLeft" and COEFFICIENTS[17] == "jawOpen" and COEFFICIENTS[43] == "browInnerUp"
    assert COEFFICIENTS[-1] == "tongueOut" and COEFFICIENTS.index("mouthPressRight") == 36


def test_lips_closed_over_an_open_jaw_are_closed(tmp_path):
    path = write(tmp_path / "a.csv", ["jawOpen", "mouthClose"], [0.6, 0.6], [0.6, 0.1])
    assert pt.read_motion(path).mouth_opening.tolist() == pytest.approx([0.0, 0.5])


@pytest.mark.parametrize("kind", ["live-link", "mediapipe"])
@pytest.mark.parametrize("fps", [2.0, 12.5, 23.976, 25.0, 30.0, 60.0])
def test_a_file_gives_back_what_was_written(tmp_path, kind, fps):
    given = motion(40, fps)
    assert pt.write_motion(tmp_path / "a.csv", given, kind) == tmp_path / "a.csv"
    back = pt.read_motion(tmp_path / "a.csv", fps)
    assert back.fps == fps and back.frame_count == 40
    kept = [name != "tongueOut" or kind == "live-link" for name in COEFFICIENTS]  # MediaPipe has no tongue
    assert torch.allclose(back.coefficients[:, kept], given.coefficients[:, kept], atol=2e-3)
    assert torch.allclose(back.pose, given.pose, atol=2e-3)


@pytest.mark.parametrize("kind", ["live-link", "mediapipe"])
def test_nothing_is_lost_where_frames_are_those_of_the_file(tmp_path, kind):
    given = motion(40, 25.0)
    given.coefficients[:, -1] = 0
    back = pt.read_motion(pt.write_motion(tmp_path / "a.csv", given, kind), 25.0)
    assert torch.allclose(back.coefficients, given.coefficients, atol=1e-5)


def test_the_file_is_that_of_the_app(tmp_path):
    pt.write_motion(tmp_path / "a.csv", motion(30))
    with open(tmp_path / "a.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:3] == ["Timecode", "BlendshapeCount", "EyeBlinkLeft"] and len(header) == 63
    assert header[53:57] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"] and header[-1] == "RightEyeRoll"
    assert rows[0][:2] == ["00:00:00:00.000", "61"] and rows[26][0] == "00:00:01:02.400"
    assert all(len(row) == 63 for row in rows)


def test_another_rate_is_interpolated(tmp_path):
    ramp = FaceMotion(torch.zeros(61, 52), torch.tensor([0.0, 0, 0, 0, 0, 1]).repeat(61, 1), 60.0)
    ramp.coefficients[:, JAW] = torch.linspace(0, 1, 61)
    pt.write_motion(tmp_path / "a.csv", ramp)
    read = pt.read_motion(tmp_path / "a.csv", 25.0)
    assert read.frame_count == 25
    assert torch.allclose(read.coefficients[:, JAW], torch.arange(25) / 25, atol=1e-4)


def test_longer_files_are_cut_and_shorter_ones_hold_still(tmp_path, caplog):
    given = motion(20)
    pt.write_motion(tmp_path / "a.csv", given)
    assert pt.read_motion(tmp_path / "a.csv", 25.0, 8).frame_count == 8 and not caplog.text
    longer = pt.read_motion(tmp_path / "a.csv", 25.0, 30)
    assert longer.frame_count == 30 and "lasts 20 frames of 30" in caplog.text
    assert torch.allclose(longer.coefficients[20:], given.coefficients[-1:], atol=1e-5)


@pytest.mark.parametrize("base", [24, 30, 60])
def test_what_timecodes_count_in_is_found(tmp_path, base):
    rows = [[f"13:59:{58 + i // base:02d}:{i % base:02d}.000", 61, i / 100] for i in range(base + base // 2)]
    path = write(tmp_path / "a.csv", ["Timecode", "BlendShapeCount", "JawOpen"], *rows)
    read = pt.read_motion(path, float(base))
    assert read.frame_count == len(rows)
    assert torch.allclose(read.coefficients[:, JAW], torch.arange(len(rows)) / 100, atol=1e-4)


def test_a_take_that_goes_on_beyond_midnight(tmp_path):
    rows = [["23:59:59:29.000", 61, 0.0], ["23:59:59:59.000", 61, 0.5], ["00:00:00:29.000", 61, 1.0]]
    read = pt.read_motion(write(tmp_path / "a.csv", ["Timecode", "BlendShapeCount", "JawOpen"], *rows), 2.0)
    assert read.coefficients[:, JAW].tolist() == pytest.approx([0.0, 0.5, 1.0], abs=1e-2)


def test_values_that_are_cut_are_said(tmp_path, caplog):
    pt.read_motion(write(tmp_path / "a.csv", ["jawOpen", "browDownLeft"], [1.05, -0.02]))
    assert not caplog.text
    pt.read_motion(write(tmp_path / "a.csv", ["browDownLeft", "jawOpen", "mouthClose"], [0.1, 37.5, 3], [0, 60, 2]))
    assert "values of 2 blendshapes outside 0 to 1 (jawOpen: 60), which are cut there. Is it in percent?" in caplog.text


def test_names_of_any_case_in_any_order_missing_ones_are_zero(tmp_path):
    path = write(tmp_path / "a.csv", ["Brow_Inner_Up", "note", "JAWOPEN", "yaw"], [0.5, "hello", 0.25, 0.1])
    read = pt.read_motion(path)
    assert read.coefficients[0, JAW] == 0.25 and read.coefficients[0, COEFFICIENTS.index("browInnerUp")] == 0.5
    assert read.coefficients.sum() == 0.75 and read.pose[0].tolist() == pytest.approx([0.1, 0, 0, 0, 0, 1])


def test_eyes_alone_give_the_gaze(tmp_path):
    header = ["JawOpen", "LeftEyeYaw", "RightEyeYaw", "LeftEyePitch", "RightEyePitch"]
    path = write(tmp_path / "a.csv", header, [0, *[EYE_REACH / 2] * 2, *[-EYE_REACH] * 2])
    row = dict(zip(COEFFICIENTS, pt.read_motion(path).coefficients[0].tolist()))
    gaze = {"eyeLookOutLeft": 0.5, "eyeLookInRight": 0.5, "eyeLookUpLeft": 1.0, "eyeLookUpRight": 1.0}
    assert {name: value for name, value in row.items() if value} == pytest.approx(gaze)


def test_lines_without_a_face_are_bridged(tmp_path):
    header = ["Timecode", "BlendshapeCount", "JawOpen"]
    rows = [["00:00:00:00.000", 61, 0.0], ["00:00:00:30.000", 0], [], ["00:00:01:00.000", 61, 1.0]]
    read = pt.read_motion(write(tmp_path / "a.csv", header, *rows), 4.0)
    assert read.coefficients[:4, JAW].tolist() == pytest.approx([0.0, 0.25, 0.5, 0.75])


def test_a_file_without_times_has_the_rate_that_it_is_said_to_have(tmp_path):
    path = write(tmp_path / "a.csv", ["jawOpen"], *[[i / 10] for i in range(10)])
    assert pt.read_motion(path, 25.0).frame_count == 10
    assert pt.read_motion(path, 25.0, source_fps=50.0).frame_count == 5


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "zero bytes"),
        (b"\xff\xfe\x00j", "is no CSV file"),
        (b"a,b\n1,2\n", "has no column of a blendshape, such as jawOpen"),
        (b"jawOpen\n", "has no line of numbers"),
        (b"jawOpen\n0.5\nopen\n", "must have a number as jawOpen in line 3, but has 'open'"),
        (b"jawOpen\nnan\n", "must have a number as jawOpen in line 2, but has 'nan'"),
        (b"mouthClose,jawOpen\n0.5,1\n0.5\n", "is cut off in line 3, before the column jawOpen"),
        (b"Timecode,jawOpen\nnoon,1\n", "must have a timecode such as 00:00:01:12.000 in line 2, but has 'noon'"),
        (b"timestamp_ms,jawOpen\n0,1\n40,1\n20,1\n", "goes back in time in line 4"),
        (b"time,jawOpen\n0,1\n1e9,1\n", "is too long"),
        (b"jawOpen,yaw\n0,1\n0,15.5\n", "must have the head's angles in radians, but has 15.5 in line 3"),
    ],
)
def test_broken_files_end_in_one_line(tmp_path, content, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(pt.BadMedia, match=message) as raised:
        pt.read_motion(tmp_path / "a.csv")
    assert "\n" not in str(raised.value)


def test_what_is_wrong_besides_is_named(tmp_path):
    with pytest.raises(pt.BadMedia, match="there is no"):
        pt.read_motion(tmp_path / "none.csv")
    with pytest.raises(pt.BadMedia, match="must end in .csv"):
        pt.write_motion(tmp_path / "a.txt", motion())
    with pytest.raises(pt.BadInput, match="`kind` must be live-link or mediapipe"):
        pt.write_motion(tmp_path / "a.csv", motion(), "bvh")
    path = write(tmp_path / "a.csv", ["jawOpen"], [0])
    with pytest.raises(pt.BadInput, match="must be above 0"):
        pt.read_motion(path, 0.0)


def test_the_mouth_of_the_speech():
    file, spoken = motion(), motion()
    spoken.coefficients[:] = 0.25
    joined = with_mouth(file, spoken)
    mouth = torch.tensor([name in SPOKEN for name in COEFFICIENTS])
    assert bool((joined.coefficients[:, mouth] == 0.25).all()) and 20 < int(mouth.sum()) < 52
    assert torch.equal(joined.coefficients[:, ~mouth], file.coefficients[:, ~mouth])
    assert torch.equal(joined.pose, file.pose)
    with pytest.raises(pt.BadInput, match="must have the 60 frames"):
        with_mouth(motion(59), spoken)
