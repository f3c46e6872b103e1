"""A face is followed through a video, and its motion comes at the times that are wanted."""

import logging

import pytest
import torch

from portraittalk_core.checkpoints.native import ASSETS, load_structure
from portraittalk_core.errors import BadInput, NoFaceFound, WeightsMismatch
from portraittalk_core.motion.driving_video import FaceTrack, driven_motion, follow_face, smoothed
from portraittalk_core.types import Face

from .faces import AT_REST, SPEAKING, faces

BOX = torch.tensor([0.0, 0.0, 1.0, 1.0])


class Finder:
    """Says of each picture what its first pixel asks for: how many faces, and where the first is."""

    hint = "Look up."

    def __init__(self, points: int = 478) -> None:
        self.points, self.asked = points, 0

    def find(self, pixels: torch.Tensor) -> list[Face]:
        self.asked += 1
        count, place = int(pixels[0, 0, 0]), float(pixels[1, 0, 0])
        face = faces().view(AT_REST)[0][: self.points]
        return [Face(BOX, 100 * face + place + 400 * number, 1.0, torch.zeros(512)) for number in range(count)]


def shown(*said: tuple[float, int, float]) -> list[tuple[float, torch.Tensor]]:
    """Return pictures of (time, number of faces, place of the first)."""
    return [(at, torch.tensor([float(count), place, 0.0]).view(3, 1, 1).expand(3, 2, 2)) for at, count, place in said]


def test_a_face_is_followed_at_the_times_of_the_pictures():
    track = follow_face(shown((0.0, 2, 0), (0.05, 0, 0), (0.2, 1, 5), (0.24, 1, 6)), Finder(), name="v.mp4")
    assert track.times_s.tolist() == pytest.approx([0.0, 0.2, 0.24]) and track.looked_at == 4
    assert track.duration_s == pytest.approx(0.28)
    assert (track.landmarks - track.landmarks[:1]).mean((1, 2)).tolist() == pytest.approx([0.0, 5.0, 6.0], abs=1e-3)


def test_another_face_is_not_taken_for_it():
    track = follow_face(shown((0.0, 2, 0), (0.04, 1, 400), (0.08, 2, 3)), Finder(), face=1)
    assert track.times_s.tolist() == pytest.approx([0.0, 0.08])
    second = follow_face(shown((0.0, 1, 0), (0.04, 2, 0), (0.08, 2, 3)), Finder(), face=2)
    assert second.times_s.tolist() == pytest.approx([0.04, 0.08])


def test_more_pictures_than_are_wanted_are_passed_over():
    finder = Finder()
    track = follow_face(shown(*((i / 100, 1, 0) for i in range(40))), finder, fps=25.0)
    assert finder.asked == track.looked_at == 14 and track.duration_s == pytest.approx(0.4)


def test_long_gaps_are_told_of(caplog):
    with caplog.at_level(logging.WARNING):
        follow_face(shown((0.0, 1, 0), (0.3, 0, 0), (0.4, 1, 0)), Finder())
        assert not caplog.text
        follow_face(shown((0.0, 1, 0), (1.0, 0, 0), (1.5, 1, 0)), Finder(), name="v.mp4")
    assert "v.mp4 shows no face in 1 of 3 pictures, longest from 0.00 to 1.50 s" in caplog.text


@pytest.mark.parametrize(
    ("pictures", "face", "error", "message"),
    [
        (shown((0.0, 0, 0), (0.1, 0, 0)), 1, NoFaceFound, "v.mp4 shows no face in 2 pictures. Look up."),
        (shown((0.0, 1, 0)), 2, NoFaceFound, "must show 2 faces, but shows 1 at most"),
        ([], 1, BadInput, "must have at least one picture"),
    ],
)
def test_a_video_without_the_face_ends_in_one_line(pictures, face, error, message):
    with pytest.raises(error, match=message):
        follow_face(pictures, Finder(), face=face, name="v.mp4")


def test_points_of_other_packs_are_refused():
    with pytest.raises(WeightsMismatch, match="places 70"):
        follow_face(shown((0.0, 1, 0)), Finder(points=70))


@pytest.fixture(scope="module")
def nets():
    return load_structure(ASSETS / "tiny" / "structure.safetensors")


def test_the_motion_comes_at_the_rate_that_is_wanted(nets, caplog):
    rest, speaking = faces().view(AT_REST)[:1], faces().view(SPEAKING)[:1]
    points = 200 * torch.cat([rest, rest, speaking, speaking, rest, rest]) + 300
    track = FaceTrack(points, torch.tensor([0.0, 0.1, 0.2, 0.3, 0.4, 0.5]).double(), 0.6, 6)
    moved = driven_motion(track, *nets, fps=50.0, steps=0)
    assert moved.frame_count == 30 and moved.fps == 50.0
    assert int(moved.mouth_opening.argmax()) in range(10, 16)
    head = moved.pose[:, 0] - moved.pose[0, 0]
    assert float(head[12]) == pytest.approx(float(head.min()), abs=0.02) and float(head[12]) < -0.1
    longer = driven_motion(track, *nets, fps=10.0, frames=8, steps=0, name="v.mp4")
    assert longer.frame_count == 8 and torch.equal(longer.coefficients[6], longer.coefficients[7])
    assert "v.mp4 lasts 6 frames of 8" in caplog.text
    with pytest.raises(BadInput, match="must be above 0"):
        driven_motion(track, *nets, frames=0)


def test_smoothing_keeps_lines_and_stills_noise():
    times = torch.arange(50).double() / 25
    line = torch.stack([times, -2 * times], 1).float()
    assert torch.allclose(smoothed(line, times, 0.05)[5:-5], line[5:-5], atol=1e-5)
    noise = torch.randn(400, 1, generator=torch.Generator().manual_seed(0))
    assert float(smoothed(noise, torch.arange(400).double() / 25, 0.06).std()) < 0.55
    assert torch.equal(smoothed(line[:1], times[:1], 0.05), line[:1])
