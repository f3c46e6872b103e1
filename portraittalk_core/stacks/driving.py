"""Read the motion of a face in a video with the networks of the tiny model; any stack can be moved with it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from ..checkpoints.native import load_structure, model_files, model_folder
from ..errors import BadInput
from ..media.video import timed_pictures
from ..motion.driving_video import driven_motion, follow_face
from ..perception.other_faces import open_faces
from ..types import FaceMotion

MODEL = "tiny"
"""Whose networks find and read the face."""

TimedPictures = Iterable[tuple[float, Float[Tensor, "3 h w"]]]
"""Times in seconds, and pictures in [-1, 1]."""


def read_driving_video(
    path: str | Path,
    fps: float = 25.0,
    frames: int | None = None,
    *,
    faces: str | Path | None = None,
    face: int = 1,
    on_picture: Callable[[int], object] | None = None,
) -> FaceMotion:
    """Read how a face in a video moves, to move a portrait's with it.

    The pictures are taken at their own times, whatever the rate of the video.

    Args:
        path: The video; its sound does not count.
        fps: Frames a second of the result.
        frames: How many frames are wanted; a longer video is cut, a shorter one holds its last frame, with a warning.
            By default as many as it lasts.
        faces: What finds the face in place of the bundled pack: MediaPipe's face landmarker (a `.task` file), or a
            folder with the detector of another pack.
        face: Which of several faces in the first picture, 1 the largest; it is followed from there.
        on_picture: Called with the number of pictures that have been read.

    Returns:
        Blendshapes, mouth and jaw included (`motion.arkit.with_mouth` takes them from the sound), and the head, whose
        pose counts from where it is most of the time. Pictures without a face are bridged.

    Raises:
        NoFaceFound: When no picture has a face.
        BadMedia: For a file that is missing, damaged or no video.
        BadInput: For numbers out of their range.
    """
    return driving_motion(
        timed_pictures(path),
        fps,
        frames,
        faces=faces,
        face=face,
        on_picture=on_picture,
        name=f"The driving video `{path}`",
    )


def driving_motion(
    pictures: TimedPictures,
    fps: float = 25.0,
    frames: int | None = None,
    *,
    faces: str | Path | None = None,
    face: int = 1,
    on_picture: Callable[[int], object] | None = None,
    name: str = "The driving video",
) -> FaceMotion:
    """Read how a face in pictures moves; see `read_driving_video`.

    Args:
        pictures: Times and pictures, in order.
        fps: Frames a second of the result.
        frames: How many frames are wanted.
        faces: What finds the face.
        face: Which of several.
        on_picture: Called with the number of pictures that have been read.
        name: What messages call the pictures.

    Raises:
        NoFaceFound: When no picture has a face.
        BadInput: For numbers out of their range.
    """
    if fps <= 0 or face < 1 or (frames is not None and frames < 1):
        raise BadInput(f"`fps`, `frames` and `face` must be above 0, but got {fps}, {frames} and {face}. Try 25 fps.")
    finder = open_faces(model_folder(MODEL) / "faces", faces)
    fitter, shaper = load_structure(model_files(MODEL)["structure"])
    shown = _counted(pictures, None if frames is None else frames / fps, on_picture)
    track = follow_face(shown, finder, face=face, fps=fps, name=name)
    return driven_motion(track, fitter, shaper, fps=fps, frames=frames, name=name)


def _counted(
    pictures: TimedPictures, until_s: float | None, on_picture: Callable[[int], object] | None
) -> Iterator[tuple[float, Tensor]]:
    """Pass on the pictures up to a time after the first, and tell of each."""
    begin: float | None = None
    for number, (time_s, pixels) in zip(itertools.count(1), pictures):
        begin = time_s if begin is None else begin
        if until_s is not None and time_s - begin > until_s:
            return
        yield time_s, pixels
        if on_picture is not None:
            on_picture(number)
