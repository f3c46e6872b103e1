"""Talking Portrait: the whole graph as one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .inputs import dial, seed_input
from .loaders import fast_choice, model_choice
from .paste_back import CROP, PHOTOGRAPH
from .sockets import CATEGORY, for_other_nodes, found_by

if TYPE_CHECKING:
    from torch import Tensor

    from .host_values import Video

AS_A_LINK = {"rawLink": True}
"""An input arrives as where it comes from, to be handed on to the nodes that this one becomes."""


class TalkingPortrait(io.ComfyNode):
    """Makes a photograph speak: becomes the nodes of the full graph when it runs."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_TalkingPortrait",
            display_name="Talking Portrait",
            category=CATEGORY,
            description="A photograph and a recording in, a video of the photograph speaking out. For timed edits, and "
            "for what lies between, use the blueprint PortraitTalk or the other nodes.",
            inputs=[
                io.Image.Input("image", tooltip="A photograph; the largest face speaks.", extra_dict=AS_A_LINK),
                io.Audio.Input("audio", tooltip="What is said: any rate, mono or stereo.", extra_dict=AS_A_LINK),
                io.String.Input(
                    "prompt",
                    multiline=True,
                    default="a person",
                    tooltip="Expression and looks. Words for hair, glasses, clothes or background change the picture; "
                    "without such words, or left empty, it stays what it is.",
                ),
                model_choice(),
                seed_input("Another number, other blinks and another sway of the head."),
                dial("lip", "How far the mouth opens and shapes."),
                dial("head", "How much the head sways."),
                dial("expression", "How much brows and smile move."),
                io.Combo.Input(
                    "frame",
                    options=[PHOTOGRAPH, CROP],
                    default=PHOTOGRAPH,
                    tooltip="What the video shows: the whole photograph, or the square around the head.",
                ),
                fast_choice(
                    "Fewer steps, and with the SD1.5 stacks other parts: faster, not as good. Files that are missing "
                    "are named."
                ),
            ],
            outputs=[
                io.Video.Output(
                    "video",
                    display_name="video",
                    is_output_list=True,
                    tooltip="With the sound, 25 frames a second; one of each picture and sound where they are lists.",
                ),
                io.Image.Output(
                    "images", display_name="images", is_output_list=True, tooltip="The pictures of the video."
                ),
            ],
            enable_expand=True,
            **found_by("talking head", "lip sync", "avatar", "portrait", "speaking photograph", "dubbing"),
        )

    @classmethod
    def execute(
        cls,
        image: object,
        audio: object,
        prompt: str,
        model: str = "tiny",
        seed: int = 0,
        lip: float = 1.0,
        head: float = 1.0,
        expression: float = 1.0,
        frame: str = PHOTOGRAPH,
        fast: bool = False,
    ) -> io.NodeOutput:
        """Return the graph that makes VIDEO and IMAGE."""
        from . import expanding

        dials = {"lip": lip, "head": head, "expression": expression}
        outputs, graph = expanding.whole_graph(image, audio, prompt, model, seed, dials, frame, fast)
        return io.NodeOutput(*outputs, expand=graph)


class GatherVideos(io.ComfyNode):
    """Ends the graph that Talking Portrait becomes: the host takes one value of each output from there.

    Of a list it would take the first as the first output and the second as the second.
    """

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_GatherVideos",
            display_name="Gather Videos",
            category=f"{CATEGORY}/inside",
            description="The end of what Talking Portrait becomes when it runs; of no use elsewhere.",
            inputs=[
                io.Video.Input("video", tooltip="All videos."),
                io.Image.Input("images", tooltip="The pictures of each."),
            ],
            outputs=[
                io.Video.Output("videos", display_name="videos", tooltip="All as one value."),
                io.Image.Output("pictures", display_name="pictures", tooltip="Likewise."),
            ],
            is_input_list=True,
            **for_other_nodes(),
        )

    @classmethod
    def execute(cls, video: list[Video], images: list[Tensor]) -> io.NodeOutput:
        """Return the two lists, each as one value."""
        return io.NodeOutput(video, images)
