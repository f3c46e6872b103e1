"""Cuts, one face throughout, the square around it, and what limits leave out."""

import sys

import cv2
import numpy as np
import pytest
import torch

from portraittalk_core.errors import BadInput
from portraittalk_core.evaluation.scoring.tracks import Sighting
from portraittalk_core.preparation import cuts as cutting
from portraittalk_core.preparation.framing import cut_picture, in_square, steady_place
from portraittalk_core.preparation.measures import beyond, face_sharpness, measured, outside_share
from portraittalk_core.preparation.settings import Limits
from portraittalk_core.preparation.tracking import Look, Seen, face_width, look, pieces, stretches
from portraittalk_core.topology import IBUG

from ..rendered_people import pictures, points
from .conftest import KnownFinder

MESH = torch.from_numpy(points()[0])


def face(shift=0.0, scale=1.0, sure=True):
    mesh = (MESH - 128) * scale + 128 + torch.tensor([shift, 0.0])
    return Sighting(mesh[list(IBUG)], mesh, sure=sure)


def clip(*rows, repeated=()):
    seen = [Seen(tuple(faces), (50.0,) * len(faces), 0.0, k in repeated) for k, faces in enumerate(rows)]
    return Look(tuple(seen), 256, 256)


def spans(found):
    return [(stretch.first, stretch.stop) for stretch in found]


def test_cuts_are_found_and_pans_are_not():
    shots = [pictures()[k] for k in (0, 2, 4)]
    meter = cutting.ChangeMeter()
    changes = [meter(picture) for picture in shots for _ in range(10)]
    assert cutting.cuts_in(changes) == [10, 20]
    assert cutting.cuts_in([0, *[14.0] * 20]) == []  # everything moves, all the time


def test_without_scenedetect_the_own_detector_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "scenedetect", None)
    monkeypatch.setattr(cutting.importlib.util, "find_spec", lambda name: None)
    assert cutting.scenedetect_cuts(tmp_path / "clip.mp4", 25.0) is None and "not installed" in cutting.detector()


def test_scenedetect_is_asked_where_it_is(monkeypatch, tmp_path, caplog):
    class Time:
        def __init__(self, seconds):
            self.seconds = seconds

        def get_seconds(self):
            return self.seconds

    class Module:
        ContentDetector = object
        VideoOpenFailure = RuntimeError

        @staticmethod
        def detect(path, detector):
            if "damaged" in path:
                raise RuntimeError("no moov atom")
            return [(Time(0.0), Time(1.0)), (Time(1.0), Time(2.02)), (Time(2.02), Time(3.0))]

    monkeypatch.setitem(sys.modules, "scenedetect", Module)
    assert cutting.scenedetect_cuts(tmp_path / "clip.mp4", 25.0) == [25, 50]
    assert cutting.scenedetect_cuts(tmp_path / "damaged.mp4", 25.0) is None and "no moov atom" in caplog.text
    assert cutting.joined([24, 70], [25, 50]) == [24, 50, 70] and cutting.joined([3], None) == [3]


def test_a_short_gap_is_filled_and_a_long_one_ends_the_stretch():
    rows = [[face(k)] for k in range(12)]
    rows[3] = rows[4] = []
    found = stretches(clip(*rows), [])
    assert spans(found) == [(0, 12)] and found[0].seen.tolist() == [k not in (3, 4) for k in range(12)]
    assert torch.allclose(found[0].points[:, 0, 0], MESH[0, 0] + torch.arange(12.0), atol=1e-3)
    rows[5] = []
    assert spans(stretches(clip(*rows), [])) == [(0, 3), (6, 12)]


def test_a_cut_or_another_face_ends_the_stretch():
    rows = [[face()] for _ in range(10)]
    assert spans(stretches(clip(*rows), [4, 0, 99])) == [(0, 4), (4, 10)]
    rows[6:] = [[face(90)]] * 4
    assert spans(stretches(clip(*rows), [])) == [(0, 6), (6, 10)]


def test_the_face_is_followed_not_the_largest():
    rows = [[face(-40, 0.6), face(60, 0.5)], [face(60, 0.62), face(-40, 0.6)], [face(-40, 0.6), face(60, 0.2)]]
    (found,) = stretches(clip(*rows), [])
    assert torch.allclose(found.points.mean(1), found.points[0].mean(0).expand(3, 2), atol=1.0)
    assert found.rival.tolist() == [True, True, False]


def test_parts_are_equal_and_none_is_too_long():
    (whole,) = stretches(clip(*[[face()]] * 25), [])
    assert [len(part) for part in pieces(whole, 10)] == [8, 9, 8]
    assert [part.first for part in pieces(whole, 10)] == [0, 8, 17]


def test_a_pack_of_other_points_is_refused():
    class Other(KnownFinder):
        def video(self, fps):
            import contextlib

            return contextlib.nullcontext(lambda pixels: [Sighting(MESH[list(IBUG)])])

    with pytest.raises(BadInput, match="MediaPipe's 478 points"):
        look([(pictures()[0], False)], 25.0, Other())


def test_the_square_frames_the_head_and_the_points_go_with_it():
    track = torch.stack([MESH, MESH + 6])
    place = steady_place(track, 256, 256)
    assert place.side == steady_place(track, 256, 256).side < steady_place(track, 256, 256, 1.3).side
    square = cut_picture(pictures()[0], place, 128)
    assert square.shape == (128, 128, 3)
    inside = in_square(track, place)
    assert bool((inside.abs() < 1).all()) and torch.allclose(inside[1] - inside[0], torch.tensor(12 / place.side))
    # a mark in the picture is where its point is in the square
    picture = np.zeros((256, 256, 3), np.uint8)
    x, y = MESH[1].round().int().tolist()
    picture[y - 2 : y + 2, x - 2 : x + 2] = 255
    row, column = np.argwhere(cut_picture(picture, place, 128)[..., 0] > 100).mean(0)
    assert np.allclose((inside[0, 1].numpy() + 1) * 64 - 0.5, [column, row], atol=1.0)


def test_a_head_that_wanders_gets_a_larger_square():
    still, wanders = MESH[None], torch.stack([MESH - 60, MESH, MESH + 60])
    place = steady_place(wanders, 256, 256)
    assert place.side > 1.15 * steady_place(still, 256, 256).side
    assert bool((in_square(wanders, place).abs() < 1).all())
    assert outside_share(place) > 0 == outside_share(steady_place((still - 128) / 2 + 128, 256, 256))


def test_a_blurred_face_is_not_sharp():
    sharp = face_sharpness(pictures()[0], points()[0])
    soft = face_sharpness(cv2.GaussianBlur(pictures()[0], (0, 0), 4), points()[0])
    assert sharp > Limits.sharpness > soft
    assert face_sharpness(pictures()[0], points()[0] + 1000) == 0


@pytest.mark.parametrize(
    "name, value, reason",
    [
        ("width_px", 50.0, "face too small"),
        ("sharpness", 1.0, "blurred"),
        ("yaw_degrees", 70.0, "turned to the side"),
        ("rival", 0.5, "two faces"),
        ("repeated", 0.5, "frames repeat"),
        ("likeness", 0.2, "not one person"),
    ],
)
def test_every_limit_names_its_reason(name, value, reason):
    (stretch,) = stretches(clip(*[[face()]] * 10), [])
    values = measured(
        stretch, face_width(stretch.points), torch.zeros(10, 6), steady_place(stretch.points, 256, 256), 0.9
    )
    assert beyond(values, Limits(), 0, 10) is None
    drop = beyond(values | {name: value}, Limits(), 50, 75)
    assert drop is not None and drop.reason == reason and (drop.start_s, drop.end_s) == (2.0, 3.0)
    assert drop.record["value"] == value and drop.record["limit"] == getattr(Limits(), name)


def test_repeated_frames_are_seen_once():
    finder = KnownFinder()
    rows = [(pictures()[0], k % 2 == 1) for k in range(6)]
    seen = look(rows, 25.0, finder)
    assert [frame.repeated for frame in seen.frames] == [False, True] * 3
    (stretch,) = stretches(seen, [])
    assert float(stretch.repeated.float().mean()) == 0.5
