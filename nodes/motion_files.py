"""Load Motion, Save Motion, Driving Video: how the face moves, from a file, into one, from another face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .motion_readers import READERS, available, tables
from .sockets import CATEGORY, MotionSocket, SpeechSocket, found_by

if TYPE_CHECKING:
    from torch import Tensor

    from ..portraittalk_core.types import FaceMotion, SpeechFeatures
    from .host_values import Video
    from .hosted_stack import Motion


def _length() -> io.Input:
    return SpeechSocket.Input("speech", tooltip="From Encode Audio: the motion gets its length and rate.")


def _mouth() -> io.Input:
    return MotionSocket.Input(
        "mouth",
        optional=True,
        tooltip="From Speech to Motion: mouth and jaw then move with the sound, everything else as here.",
    )


def _motion() -> list[io.Output]:
    return [MotionSocket.Output("motion", display_name="motion")]


class LoadMotion(io.ComfyNode):
    """Reads how a face moves from a CSV file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_LoadMotion",
            display_name="Load Motion",
            category=CATEGORY,
            description="Reads how a face moves from a CSV file of Live Link Face or of MediaPipe's blendshapes.",
            inputs=[
                io.Combo.Input(
                    "file", options=tables(), tooltip="A .csv file in ComfyUI's input folder. It may have any rate."
                ),
                _length(),
                _mouth(),
            ],
            outputs=_motion(),
            **found_by("live link face", "motion capture", "blendshapes", "csv", shows=True),
        )

    @classmethod
    def fingerprint_inputs(cls, file: str, **_: object) -> float:
        """Return when the file was written, so that a new one is read."""
        from . import motion_readers

        return motion_readers.table(file).stat().st_mtime

    @classmethod
    def execute(cls, file: str, speech: SpeechFeatures, mouth: Motion | None = None) -> io.NodeOutput:
        """Return the motion."""
        from . import motion_readers, notes

        with notes.gathered() as said:
            motion = motion_readers.with_mouth(motion_readers.load(file, speech), mouth)
        return io.NodeOutput(motion, ui=notes.shown([], said))


class SaveMotion(io.ComfyNode):
    """Writes how a face moves into a CSV file."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_SaveMotion",
            display_name="Save Motion",
            category=CATEGORY,
            description="Writes how the face moves into a CSV file that Unreal, Blender and Maya read.",
            inputs=[
                MotionSocket.Input("motion", tooltip="From Speech to Motion, Load Motion or Driving Video."),
                io.String.Input(
                    "filename_prefix",
                    default="portraittalk/motion",
                    tooltip="Beginning of the name in ComfyUI's output folder; a number follows.",
                ),
                io.Combo.Input(
                    "kind",
                    options=["live-link", "mediapipe"],
                    default="live-link",
                    tooltip="live-link: the CSV of Live Link Face. mediapipe: MediaPipe's blendshapes.",
                ),
            ],
            outputs=[io.String.Output("path", display_name="path", tooltip="Of the file.")],
            is_output_node=True,
            **found_by("export", "blendshapes", "live link face", "csv"),
        )

    @classmethod
    def execute(cls, motion: Motion, filename_prefix: str, kind: str = "live-link") -> io.NodeOutput:
        """Return where the file is."""
        from . import motion_readers

        path = motion_readers.save(motion, filename_prefix, kind)
        return io.NodeOutput(path, ui={"text": [path]})


class DrivingVideo(io.ComfyNode):
    """Reads how a face moves in a video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_DrivingVideo",
            display_name="Driving Video",
            category=CATEGORY,
            description="Reads how the face in a video moves: head, eyes, brows, mood, mouth. Connect `mouth` to "
            "let lips and jaw follow the sound instead.",
            inputs=[
                _length(),
                io.Video.Input("video", optional=True, tooltip="From Load Video; it may have any rate."),
                io.Image.Input("images", optional=True, tooltip="Instead of `video`: the pictures of one."),
                _mouth(),
                io.Float.Input(
                    "images_fps", default=25.0, min=1.0, max=240.0, step=0.01, tooltip="Pictures a second of `images`."
                ),
                io.Int.Input(
                    "face", default=1, min=1, max=100, tooltip="Which of several faces, 1 the largest in the beginning."
                ),
                io.Combo.Input(
                    "reader",
                    options=available(),
                    default=READERS[0],
                    tooltip="What finds the points of the face: the pack in the box, or MediaPipe with a .task file in "
                    "models/mediapipe.",
                ),
            ],
            outputs=_motion(),
            **found_by("reenactment", "motion transfer", "dubbing", "face capture", shows=True),
        )

    @classmethod
    def execute(
        cls,
        speech: SpeechFeatures,
        video: Video | None = None,
        images: Tensor | None = None,
        mouth: Motion | None = None,
        images_fps: float = 25.0,
        face: int = 1,
        reader: str = READERS[0],
    ) -> io.NodeOutput:
        """Return the motion."""
        from . import motion_readers, notes

        pictures = motion_readers.pictures(video, images, images_fps)
        with notes.gathered() as said:
            motion: FaceMotion = motion_readers.watch(pictures, speech, face, reader)
        return io.NodeOutput(motion_readers.with_mouth(motion, mouth), ui=notes.shown([], said))
