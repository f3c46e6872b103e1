"""How the face moves, on the command line: `--motion`, `--motion-mouth` and `--save-motion` of `generate`."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, BadMedia

if TYPE_CHECKING:
    from ..types import FaceMotion

TABLES = (".csv", ".txt")
"""Endings of files that are read as a table without a look at what is in them."""

SOUND, FILE = "sound", "file"


def add_motion(parser: argparse.ArgumentParser) -> None:
    """Add the options.

    Args:
        parser: Of the command.
    """
    add = parser.add_argument
    add(
        "--motion",
        metavar="FILE",
        help="move the face like the one in a driving video, or as a CSV file says: Live Link Face's or MediaPipe's",
    )
    add(
        "--motion-mouth",
        choices=(FILE, SOUND),
        help="with --motion: whether the mouth, too, moves as the file says, or with the sound (a video: sound, which "
        "sd15 cannot; a CSV file: file)",
    )
    add("--save-motion", metavar="FILE", help="also write how the face moves, as a CSV file of Live Link Face")


def check_motion(arguments: argparse.Namespace) -> None:
    """Refuse options that do not go together.

    Args:
        arguments: Of the command line.

    Raises:
        BadInput: Which says what does not fit.
    """
    from ..presets import PUBLIC

    if arguments.motion_mouth and not arguments.motion:
        raise BadInput(
            "`--motion-mouth` must come with `--motion`, which is missing. Name the file that moves the face."
        )
    if (arguments.save_motion or arguments.motion_mouth == SOUND) and arguments.model in PUBLIC:
        raise BadInput(
            f"`--save-motion` and `--motion-mouth sound` must be left out for {arguments.model}: what it hears moves a "
            "mesh, which a file has no columns for. Try tiny."
        )


def read_motion(arguments: argparse.Namespace, frames: int) -> Any:
    """Return the motion of a file, or a function that gives it the mouth of the speech.

    Args:
        arguments: Of the command line.
        frames: How many there are to be.

    Raises:
        BadMedia: For a file that is neither a video nor a CSV file.
        NoFaceFound: For a video without a face.
    """
    from ..motion.arkit import with_mouth
    from ..presets import PUBLIC

    video = _is_video(arguments.motion)
    read = _watch if video else _read_table
    motion = read(arguments, frames)
    usual = SOUND if video and arguments.model not in PUBLIC else FILE
    return functools.partial(with_mouth, motion) if (arguments.motion_mouth or usual) == SOUND else motion


def _is_video(path: str) -> bool:
    """Return whether a file has pictures; what cannot be opened is left to the reader of tables."""
    from ..media.video import probe

    if Path(path).suffix.lower() in TABLES:
        return False
    try:
        return bool(probe(path).video_codec)
    except BadMedia:
        return False


def _read_table(arguments: argparse.Namespace, frames: int) -> FaceMotion:
    from ..motion import motion_file

    return motion_file.read_motion(arguments.motion, arguments.fps, frames)


def _watch(arguments: argparse.Namespace, frames: int) -> FaceMotion:
    from tqdm import tqdm

    from ..presets import PUBLIC
    from ..stacks.driving import read_driving_video

    faces = None if arguments.model in PUBLIC else arguments.faces
    with tqdm(unit="picture", desc="driving video", disable=arguments.quiet, dynamic_ncols=True, leave=False) as bar:
        return read_driving_video(
            arguments.motion, arguments.fps, frames, faces=faces, on_picture=lambda done: bar.update(done - bar.n)
        )
