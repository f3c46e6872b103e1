"""What Load Motion, Save Motion and Driving Video do, beyond one call of the core."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import torch
from torch import Tensor

from ..portraittalk_core.errors import BadInput
from ..portraittalk_core.types import FaceMotion

if TYPE_CHECKING:
    from ..portraittalk_core.types import SpeechFeatures
    from .host_values import Video
    from .hosted_stack import Motion

NO_FILE = "put a .csv file into the input folder"
"""The only choice where there is none."""

READERS = ("face pack",)
"""What finds faces without a file of others."""

TASKS = "mediapipe"
"""Folder of ComfyUI's models that holds MediaPipe's face landmarkers."""


def tables() -> list[str]:
    """Return the names of CSV files in the input folder."""
    import folder_paths

    folder = Path(folder_paths.get_input_directory())
    return sorted(str(file.relative_to(folder)) for file in folder.glob("**/*.csv")) or [NO_FILE]


def available() -> list[str]:
    """Return what may find faces: the pack in the box, and MediaPipe's files."""
    return [*READERS, *sorted(_tasks())]


def _tasks() -> dict[str, Path]:
    import folder_paths

    folder = Path(folder_paths.models_dir) / TASKS
    return {file.name: file for file in folder.glob("*.task")} if folder.is_dir() else {}


def table(name: str) -> Path:
    """Return the path of a file in the input folder.

    Args:
        name: Of the file, relative to the folder.

    Raises:
        BadInput: For a name that leaves the folder, or none.
    """
    import folder_paths

    folder = Path(folder_paths.get_input_directory()).resolve()
    path = (folder / name).resolve()
    if name == NO_FILE or not path.is_relative_to(folder):
        raise BadInput(f"`file` must be a .csv file in ComfyUI's input folder, but got {name!r}. Put one there.")
    return path


def load(name: str, speech: SpeechFeatures) -> FaceMotion:
    """Read a motion, as long as the speech.

    Args:
        name: Of a file in the input folder.
        speech: Gives length and rate.

    Raises:
        BadInput: For a name that leaves the folder.
        BadMedia: For a file that is missing or damaged.
    """
    from ..portraittalk_core.motion.motion_file import read_motion

    return read_motion(table(name), speech.fps, len(speech.hidden))


def save(motion: Motion, prefix: str, kind: str) -> str:
    """Write a motion into the output folder.

    Args:
        motion: Of blendshapes.
        prefix: Beginning of the file's name, with folders.
        kind: See `motion_file.write_motion`.

    Returns:
        The file's path.

    Raises:
        BadInput: For a motion of a mesh.
    """
    import folder_paths

    from ..portraittalk_core.motion.motion_file import write_motion

    folder, name, number, *_ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
    path = os.path.join(folder, f"{name}_{number:05}_.csv")
    return str(write_motion(path, _blendshapes(motion, "motion"), cast(Literal["live-link", "mediapipe"], kind)))


def with_mouth(motion: FaceMotion, mouth: Motion | None) -> FaceMotion:
    """Return a motion with another one's mouth.

    Args:
        motion: Gives all else.
        mouth: Moves mouth and jaw; None leaves them.

    Raises:
        BadInput: For a motion of a mesh, or of another length.
    """
    if mouth is None:
        return motion
    from ..portraittalk_core.motion import arkit

    return arkit.with_mouth(motion, _blendshapes(mouth, "mouth"))


def _blendshapes(motion: Motion, name: str) -> FaceMotion:
    if not isinstance(motion, FaceMotion):
        raise BadInput(
            f"`{name}` must be a motion of blendshapes, but got one of a mesh: what the stacks of public files hear. "
            "Use the tiny model's Speech to Motion."
        )
    return motion


def pictures(video: Video | None, images: Tensor | None, images_fps: float) -> Iterator[tuple[float, Tensor]]:
    """Yield the pictures of a video [3, h, w] in [-1, 1], each with its time in seconds.

    Args:
        video: VIDEO; None for `images`.
        images: IMAGE [n, h, w, c].
        images_fps: How many of them make a second.

    Raises:
        BadInput: For both or none, at the first picture.
        BadMedia: For a damaged file.
    """
    from ..portraittalk_core.media.video import timed_pictures
    from . import convert

    if (video is None) == (images is None):
        raise BadInput("`video` or `images` must be connected, one of the two. Connect Load Video to `video`.")
    if video is not None:
        source = video.get_stream_source()
        if isinstance(source, str):
            yield from timed_pictures(source)
            return
        parts = video.get_components()
        images, images_fps = parts.images, float(parts.frame_rate)
    for number in range(len(cast(Tensor, images))):
        yield number / images_fps, convert.pictures(cast(Tensor, images)[number : number + 1])[0]


def watch(
    shown: Iterable[tuple[float, Tensor]], speech: SpeechFeatures, face: int = 1, reader: str = READERS[0]
) -> FaceMotion:
    """Read how a face moves.

    Args:
        shown: Of `pictures`.
        speech: Gives length and rate.
        face: Which of several.
        reader: Of `available`.

    Raises:
        BadInput: For another reader.
        NoFaceFound: When no picture has a face.
    """
    import comfy.model_management
    import comfy.utils

    from ..portraittalk_core.stacks.driving import driving_motion

    tasks = _tasks()
    if reader not in (*READERS, *tasks):
        raise BadInput(f"`reader` must be one of {', '.join(available())}, but got {reader!r}. Choose {READERS[0]!r}.")
    count = len(speech.hidden)
    bar = comfy.utils.ProgressBar(count)

    def tell(done: int) -> None:
        comfy.model_management.throw_exception_if_processing_interrupted()
        bar.update_absolute(min(done, count))

    with torch.no_grad():
        return driving_motion(shown, speech.fps, count, faces=tasks.get(reader), face=face, on_picture=tell)
