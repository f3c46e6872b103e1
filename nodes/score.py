"""ADFD Score: does the face in a video move as the voice says?"""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .sockets import CATEGORY, PortraitTalkSocket


class AdfdScore(io.ComfyNode):
    """Scores a talking face against its sound."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PortraitTalk_ADFDScore",
            display_name="ADFD Score",
            category=CATEGORY,
            description="Scores from 0 to 1 how well a face moves with the voice: Audio-Driven Facial Dynamics, by our "
            "own definition.",
            inputs=[
                PortraitTalkSocket.Input(
                    "portraittalk", tooltip="From Load PortraitTalk: its face networks look at the pictures."
                ),
                io.Image.Input("images", tooltip="The pictures of the video, one face."),
                io.Audio.Input("audio", tooltip="The sound that belongs to the pictures, from the same moment on."),
                io.Float.Input(
                    "fps", default=25.0, min=1.0, max=120.0, step=0.01, tooltip="Frames a second: Encode Audio's fps."
                ),
            ],
            outputs=[
                io.Float.Output("adfd", display_name="adfd"),
                io.Float.Output("audio_alignment", display_name="audio alignment"),
                io.Int.Output("offset_frames", display_name="offset frames"),
                io.String.Output("report", display_name="report"),
            ],
        )

    @classmethod
    def execute(cls, portraittalk: Any, images: Any, audio: Any, fps: float = 25.0) -> io.NodeOutput:
        from . import convert, scoring

        found = scoring.score(portraittalk.preparation.faces, images, convert.sound(audio), fps)
        return io.NodeOutput(*scoring.summary(found))
