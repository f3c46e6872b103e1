"""Prompt Edit: what the portrait shows, over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .sockets import CATEGORY, SpeechSocket, found_by

if TYPE_CHECKING:
    import comfy.sd

    from ..portraittalk_core.types import SpeechFeatures


class PromptEdit(io.ComfyNode):
    """Encodes a prompt whose edits take effect at given times."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_PromptEdit",
            display_name="Prompt Edit",
            category=CATEGORY,
            description="Encodes a prompt that may change over time. Without edits it is CLIP Text Encode for both "
            "prompts; with edits the conditioning has one row a frame, which any sampler can use.",
            inputs=[
                io.Clip.Input("clip", tooltip="From Load PortraitTalk, or of the checkpoint."),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="",
                    tooltip="What the video shows, from the start. Left empty, tiny leaves the photograph as it is.",
                ),
                io.String.Input(
                    "negative", multiline=True, default="", tooltip="What it shall not show (cfg above 1)."
                ),
                io.String.Input(
                    "edits",
                    multiline=True,
                    default="",
                    placeholder="edits: seconds, a colon, the prompt from then on\n2.0: a sad person",
                    tooltip="One line each: seconds, a colon, the prompt from then on, such as `2.0: smiling`.",
                ),
                io.Int.Input(
                    "frame_count",
                    default=100,
                    min=1,
                    max=1000000,
                    tooltip="Of the video. Does not count where `speech` is connected.",
                ),
                io.Float.Input(
                    "fps",
                    default=25.0,
                    min=1.0,
                    max=120.0,
                    step=0.01,
                    tooltip="Frames a second. Does not count where `speech` is connected.",
                ),
                SpeechSocket.Input(
                    "speech", optional=True, tooltip="From Encode Audio: it knows how long the video is, and its rate."
                ),
            ],
            outputs=[
                io.Conditioning.Output("positive", display_name="positive"),
                io.Conditioning.Output("negative_out", display_name="negative"),
            ],
            **found_by("text prompt", "timed prompt", "talking portrait", shows=True),
        )

    @classmethod
    def execute(
        cls,
        clip: comfy.sd.CLIP,
        prompt: str,
        negative: str = "",
        edits: str = "",
        frame_count: int = 100,
        fps: float = 25.0,
        speech: SpeechFeatures | None = None,
    ) -> io.NodeOutput:
        """Return both CONDITIONINGs."""
        from ..portraittalk_core.stacks.prompts import parse_edits
        from . import encoding, notes

        if speech is not None:
            frame_count, fps = len(speech.hidden), speech.fps
        timed = parse_edits(edits)
        said = notes.on_prompts(clip, [prompt, negative], timed, frame_count / fps)  # which the log need not repeat
        positive = encoding.over_time(clip, prompt, timed, frame_count, fps)
        return io.NodeOutput(positive, encoding.encode(clip, negative), ui=notes.shown(said))
