"""ADFD Score: does the face in a video move as the voice says?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from . import sync_networks
from .sockets import CATEGORY, StackSocket, found_by

if TYPE_CHECKING:
    from torch import Tensor

    from .host_values import Audio
    from .hosted_stack import HostedStack


class AdfdScore(io.ComfyNode):
    """Scores a talking face against its sound, and shows both below the video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_ADFDScore",
            display_name="ADFD Score",
            category=CATEGORY,
            description="Scores from 0 to 1 how well a face moves with the voice: Audio-Driven Facial Dynamics, by our "
            "own definition.",
            inputs=[
                StackSocket.Input(
                    "portraittalk", tooltip="From Load PortraitTalk: its face networks look at the pictures."
                ),
                io.Image.Input("images", tooltip="The pictures of the video, one face."),
                io.Audio.Input("audio", tooltip="The sound that belongs to the pictures, from the same moment on."),
                io.Float.Input(
                    "fps", default=25.0, min=1.0, max=120.0, step=0.01, tooltip="Frames a second: Encode Audio's fps."
                ),
                io.Image.Input(
                    "ground_truth",
                    optional=True,
                    tooltip="The true video of the same words at the same fps, if there is one: likeness to it then "
                    "counts too, and it would score 1 itself.",
                ),
                io.Combo.Input(
                    "syncnet",
                    options=sync_networks.available(),
                    default=sync_networks.NONE,
                    optional=True,
                    tooltip="A syncnet_v2.model in models/syncnet puts LSE-C and LSE-D into the report, from 100 "
                    "frames on. It can be left out.",
                ),
            ],
            outputs=[
                io.Float.Output("adfd", display_name="adfd"),
                io.Float.Output("audio_alignment", display_name="audio alignment"),
                io.Int.Output("offset_frames", display_name="offset frames"),
                io.String.Output("report", display_name="report"),
                io.Image.Output("plot", display_name="plot", tooltip="The score, its parts, and mouth against voice."),
            ],
            is_output_node=True,
            **found_by("lip sync score", "evaluate", "LSE", shows=True),
        )

    @classmethod
    def execute(
        cls,
        portraittalk: HostedStack,
        images: Tensor,
        audio: Audio | None,
        fps: float = 25.0,
        ground_truth: Tensor | None = None,
        syncnet: str = sync_networks.NONE,
    ) -> io.NodeOutput:
        """Return the score, its audio part, the offset, a report and a plot."""
        from . import convert, scoring

        network = sync_networks.load(syncnet)
        found = scoring.score(
            portraittalk.stack.face_finder(), images, convert.sound(audio), fps, ground_truth, network
        )
        return io.NodeOutput(*scoring.summary(found), scoring.plot(found), ui=scoring.player(found, images, cls))
