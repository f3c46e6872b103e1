"""One face through a video, whichever detector finds it."""

import logging
import os

import pytest
import torch

from portraittalk_core.errors import BadInput, BadMedia, MissingExtra
from portraittalk_core.evaluation.scoring import tracks
from portraittalk_core.evaluation.scoring.tracks import (
    TINY,
    MeshFinder,
    PackFinder,
    Sighting,
    open_finder,
    track_video,
    usual_faces,
)
from portraittalk_core.perception.native_messages import without_native_messages
from portraittalk_core.topology import IBUG
from portraittalk_core.types import Face, Frames

from ..rendered_people import portraits
from .conftest import SIDE, TableFinder, in_pixels, pictures


def chunks(frames, size=3):
    return (Frames(part, 25.0) for part in frames.split(size))


def test_rows_follow_frames_and_missing_faces_are_nan(talk, finder):
    frames = pictures(7)
    frames[2] = -1
    seen = []
    track = track_video(chunks(frames), 25.0, finder, seen.append)
    assert track.landmarks.shape == (7, 70, 2) and track.embeddings is None
    assert torch.isnan(track.landmarks[2]).all() and track.seen == 6
    torch.testing.assert_close(track.landmarks[6], in_pixels(talk.landmarks[6]))
    assert (track.height, track.width) == (SIDE, SIDE) and track.sharpness.shape == (7,) and seen == [*range(1, 8)]


class Crowd:
    """Two faces in every picture, the order of which changes."""

    hint = ""

    def __init__(self):
        self.calls = 0

    def find(self, pixels):
        self.calls += 1
        places = [20.0, 70.0] if self.calls % 2 else [70.0, 20.0]
        return [Face(torch.zeros(4), torch.full((70, 2), at), 1.0, torch.full((512,), at)) for at in places]


def test_of_two_faces_the_first_one_is_followed():
    track = track_video(chunks(pictures(4)), 25.0, PackFinder(Crowd(), "crowd"))
    assert track.crowded == 4 and (track.landmarks == 20).all() and (track.embeddings == 20).all()


def test_faces_that_a_detector_is_not_sure_of_are_counted():
    track = track_video(chunks(pictures(4)), 25.0, PackFinder(Crowd(), "crowd", min_score=1.5))
    assert track.unsure == 4 and track.seen == 4
    assert track_video(chunks(pictures(4)), 25.0, PackFinder(Crowd(), "crowd", min_score=0.9)).unsure == 0


def test_what_comes_before_damage_is_kept(finder):
    def broken(frames):
        yield Frames(frames, 25.0)
        raise BadMedia("`x.mp4` is damaged.")

    track = track_video(broken(pictures(4)), 25.0, finder)
    assert len(track.landmarks) == 4 and "damaged" in track.damage
    with pytest.raises(BadMedia, match="at least one picture"):
        track_video(iter(()), 25.0, finder)


def test_mediapipe_judges_where_it_is_there_and_works(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(tracks, "mediapipe_task", lambda: None)
    assert usual_faces() == TINY and "tiny" in open_finder(TINY).name
    task = tmp_path / "face.task"
    monkeypatch.setattr(tracks, "mediapipe_task", lambda: task)
    monkeypatch.setattr(tracks, "_mesh_options", lambda path: None)
    assert usual_faces() == str(task)
    monkeypatch.setattr(tracks, "_mesh_options", broken_mediapipe)
    assert usual_faces() == TINY and "libEGL" in caplog.text


def broken_mediapipe(path):
    raise MissingExtra("needs mediapipe, which cannot be used here (libEGL.so.1). Run: ...")


def test_native_libraries_keep_their_messages(capfd, monkeypatch):
    with without_native_messages():
        os.write(2, b"W0000 feedback_manager.cc")
    os.write(2, b"ours")
    assert capfd.readouterr().err == "ours"
    logger = logging.getLogger("portraittalk_core")
    monkeypatch.setattr(logger, "level", logging.INFO)
    logger.manager._clear_cache()
    with without_native_messages():
        os.write(2, b"asked for")
    logger.manager._clear_cache()
    assert capfd.readouterr().err == "asked for"


def test_names_of_detectors(tmp_path, monkeypatch):
    assert "tiny" in open_finder().name and "--faces" in open_finder().hint
    with pytest.raises(BadInput, match=r"`--faces` must be a folder of \.onnx files or a MediaPipe \.task file"):
        open_finder(tmp_path / "nothing.task")
    task = tmp_path / "face.task"
    task.write_bytes(b"x")
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", None)
    with pytest.raises(MissingExtra, match="pip install mediapipe"):
        open_finder(task)
    assert open_finder(tmp_path).recognises
    assert "face.task" in MeshFinder(task).name


def test_the_tiny_pack_finds_a_person():
    picture, points = (value[0] for value in portraits())
    points = points[list(IBUG)]
    finder = open_finder()
    track = track_video(chunks(picture[None].expand(2, -1, -1, -1)), 25.0, finder)
    assert track.unsure == 0
    exact = (points + 1) / 2 * picture.shape[-1]
    assert track.seen == 2 and track.embeddings.shape == (2, 512)
    assert float((track.landmarks[0] - exact).norm(dim=-1).mean()) < 5
    assert not finder.recognises


def test_without_a_face_none_is_followed():
    assert tracks._nearest([], Sighting(torch.zeros(70, 2))) is None
    assert isinstance(TableFinder(torch.zeros(1, 70, 2)), TableFinder)
