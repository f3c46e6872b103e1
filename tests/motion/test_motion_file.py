"""Motion as a file: names, the map to the networks' coefficients, and files of any rate, whole or broken."""

from __future__ import annotations

import csv

import pytest
import torch

import portraittalk_core as pt
from portraittalk_core.motion.arkit import ARKIT, EYE_REACH, FROM_ARKIT, TO_ARKIT, from_arkit, to_arkit, with_mouth
from portraittalk_core.motion.motion_file import read_arkit
from portraittalk_core.types import COEFFICIENTS, FaceMotion

LOWEST = torch.tensor([0.0, 0, 0, 0, -0.5, 0, 0, 0, -1, -1])  # brows are not lowered: see FROM_ARKIT


def motion(frames: int = 60, fps: float = 25.0) -> FaceMotion:
    """Return a motion of everything that a file can hold."""
    generator = torch.Generator().manual_seed(0)
    coefficients = LOWEST + (1 - LOWEST) * torch.rand(frames, 10, generator=generator)
    head = 0.4 * torch.rand(frames, 3, generator=generator) - 0.2
    return FaceMotion(coefficients, torch.cat([head, torch.tensor([[0.0, 0.0, 1.0]]).expand(frames, 3)], 1), fps)


def write(path, header, *rows):
    with open(path, "w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def test_the_names_are_apples_in_the_order_of_live_link_face():
    assert len(ARKIT) == len(set(ARKIT)) == 52
    assert ARKIT[0] == "eyeBlinkLeft" and ARKIT[17] == "jawOpen" and ARKIT[43] == "browInnerUp"
    assert ARKIT[-1] == "tongueOut" and ARKIT.index("mouthPressRight") == 36


def test_the_map_names_what_there_is():
    assert set(FROM_ARKIT) == set(COEFFICIENTS) == {name.lstrip("-") for name in TO_ARKIT}
    assert {shape for table in (TO_ARKIT, FROM_ARKIT) for row in table.values() for shape in row} <= set(ARKIT)
    assert list(FROM_ARKIT) == list(COEFFICIENTS), "the rows of the matrix are the columns of FaceMotion"


def test_out_and_in_again_is_the_same():
    given = motion()
    back = from_arkit(to_arkit(given))
    assert torch.allclose(back.coefficients, given.coefficients, atol=1e-6)
    assert torch.equal(back.pose, given.pose) and back.fps == given.fps
    shapes = to_arkit(given).shapes
    assert shapes.min() >= 0 and shapes.max() <= 1


def test_lowered_brows_come_back_as_a_frown():
    given = FaceMotion(torch.zeros(1, 10), torch.tensor([[0.0, 0, 0, 0, 0, 1]]), 25.0)
    given.coefficients[0, COEFFICIENTS.index("brow_raise")] = -0.4
    back = from_arkit(to_arkit(given)).coefficients[0]
    assert back[COEFFICIENTS.index("brow_raise")] == 0 and back[COEFFICIENTS.index("brow_frown")] == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("coefficient", "value", "shapes"),
    [
        ("jaw", 0.5, {"jawOpen": 0.5}),
        ("smile", -0.5, {"mouthFrownLeft": 0.5, "mouthFrownRight": 0.5}),
        ("gaze_x", 1.0, {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}),
        ("gaze_y", -1.0, {"eyeLookUpLeft": 1.0, "eyeLookUpRight": 1.0}),
        ("wide", 1.0, {"mouthStretchLeft": 1.0, "mouthStretchRight": 1.0}),
    ],
)
def test_each_means_what_it_says(coefficient, value, shapes):
    given = FaceMotion(torch.zeros(1, 10), torch.tensor([[0.0, 0, 0, 0, 0, 1]]), 25.0)
    given.coefficients[0, COEFFICIENTS.index(coefficient)] = value
    said = dict(zip(ARKIT, to_arkit(given).shapes[0].tolist()))
    assert {name: number for name, number in said.items() if number} == pytest.approx(shapes)


def test_lips_closed_over_an_open_jaw_are_closed(tmp_path):
    path = write(tmp_path / "a.csv", ["jawOpen", "mouthClose"], [0.6, 0.6], [0.6, 0.1])
    assert pt.read_motion(path).coefficients[:, 0].tolist() == pytest.approx([0.0, 0.5])


@pytest.mark.parametrize("kind", ["live-link", "mediapipe"])
@pytest.mark.parametrize("fps", [2.0, 12.5, 23.976, 25.0, 30.0, 60.0])
def test_a_file_gives_back_what_was_written(tmp_path, kind, fps):
    given = motion(40, fps)
    assert pt.write_motion(tmp_path / "a.csv", given, kind) == tmp_path / "a.csv"
    back = pt.read_motion(tmp_path / "a.csv", fps)
    assert back.fps == fps and back.frame_count == 40
    assert torch.allclose(back.coefficients, given.coefficients, atol=2e-3)
    assert torch.allclose(back.pose, given.pose, atol=2e-3)


def test_the_file_is_that_of_the_app(tmp_path):
    pt.write_motion(tmp_path / "a.csv", motion(30))
    with open(tmp_path / "a.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:3] == ["Timecode", "BlendshapeCount", "EyeBlinkLeft"] and len(header) == 63
    assert header[53:57] == ["TongueOut", "HeadYaw", "HeadPitch", "HeadRoll"] and header[-1] == "RightEyeRoll"
    assert rows[0][:2] == ["00:00:00:00.000", "61"] and rows[26][0] == "00:00:01:02.400"
    assert all(len(row) == 63 for row in rows)


def test_another_rate_is_interpolated(tmp_path):
    ramp = FaceMotion(torch.zeros(61, 10), torch.tensor([0.0, 0, 0, 0, 0, 1]).repeat(61, 1), 60.0)
    ramp.coefficients[:, 0] = torch.linspace(0, 1, 61)
    pt.write_motion(tmp_path / "a.csv", ramp)
    read = pt.read_motion(tmp_path / "a.csv", 25.0)
    assert read.frame_count == 25
    assert torch.allclose(read.coefficients[:, 0], torch.arange(25) / 25, atol=1e-4)


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
    assert torch.allclose(read.coefficients[:, 0], torch.arange(len(rows)) / 100, atol=1e-4)


def test_names_of_any_case_in_any_order_missing_ones_are_zero(tmp_path):
    path = write(tmp_path / "a.csv", ["Brow_Inner_Up", "note", "JAWOPEN", "yaw"], [0.5, "hello", 0.25, 0.1])
    read = read_arkit(path)
    assert read.shapes[0, ARKIT.index("jawOpen")] == 0.25 and read.shapes[0, ARKIT.index("browInnerUp")] == 0.5
    assert read.shapes.sum() == 0.75 and read.head[0].tolist() == pytest.approx([0.1, 0, 0])


def test_eyes_alone_give_the_gaze(tmp_path):
    header = ["JawOpen", "LeftEyeYaw", "RightEyeYaw", "LeftEyePitch", "RightEyePitch"]
    path = write(tmp_path / "a.csv", header, [0, *[EYE_REACH / 2] * 2, *[-EYE_REACH] * 2])
    gaze = pt.read_motion(path).coefficients[0, 8:]
    assert gaze.tolist() == pytest.approx([0.5, -1.0])


def test_lines_without_a_face_are_bridged(tmp_path):
    header = ["Timecode", "BlendshapeCount", "JawOpen"]
    rows = [["00:00:00:00.000", 61, 0.0], ["00:00:00:30.000", 0], [], ["00:00:01:00.000", 61, 1.0]]
    read = pt.read_motion(write(tmp_path / "a.csv", header, *rows), 4.0)
    assert read.coefficients[:4, 0].tolist() == pytest.approx([0.0, 0.25, 0.5, 0.75])


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
    assert bool((joined.coefficients[:, :4] == 0.25).all())
    assert torch.equal(joined.coefficients[:, 4:], file.coefficients[:, 4:]) and torch.equal(joined.pose, file.pose)
    with pytest.raises(pt.BadInput, match="must have the 60 frames"):
        with_mouth(motion(59), spoken)
