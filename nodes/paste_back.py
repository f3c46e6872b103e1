"""Paste Back: what the photograph shows is taken from it, and the frames go back into it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .sockets import CATEGORY, IdentitySocket, MotionSocket, found_by

if TYPE_CHECKING:
    from torch import Tensor

    from .host_values import Conditioning
    from .hosted_stack import BoundIdentity, Motion

PHOTOGRAPH, CROP = "photograph", "crop"


class PasteBack(io.ComfyNode):
    """Makes the finished pictures of the video of what the VAE has decoded."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_PasteBack",
            display_name="Paste Back",
            category=CATEGORY,
            description="Takes what the photograph shows from the photograph, moved with the head, and only the rest "
            "from the decoded frames; then puts the head back into the whole picture.",
            inputs=[
                io.Image.Input(
                    "images",
                    lazy=True,
                    tooltip="From VAE Decode: all frames of the video. They are asked for only where something of them "
                    "would be seen; while somebody speaks the photograph shows everything, and the sampler rests.",
                ),
                IdentitySocket.Input("identity", tooltip="From Prompt Look or Load Identity: it knows the photograph."),
                MotionSocket.Input("motion", tooltip="From Speech to Motion, the same that the sampler got."),
                io.Image.Input(
                    "photograph",
                    optional=True,
                    tooltip="Another version of the picture given to Load Identity, of the same size, such as a "
                    "retouched one, which stays as it is. Left out, it is that picture, as Prompt Look has it.",
                ),
                io.Combo.Input(
                    "frame",
                    options=[PHOTOGRAPH, CROP],
                    default=PHOTOGRAPH,
                    tooltip="What the video shows: the whole picture, or the square around the head.",
                ),
                io.Int.Input(
                    "size",
                    default=0,
                    min=0,
                    max=2048,
                    step=64,
                    tooltip="Side of the square around the head that is moved, in pixels. 0: as in the photograph, "
                    "its fine detail included; the crop alone up to 1024. Smaller is faster and softer.",
                ),
                io.Float.Input(
                    "edits",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How far the decoded frames count where they plainly show something else than the "
                    "photograph: 1 where the prompt changes hair, clothes or background, else 0. `positive` says so "
                    "by itself.",
                ),
                io.Conditioning.Input(
                    "positive",
                    optional=True,
                    tooltip="From Prompt Edit: where its words ask for other looks, the decoded frames count.",
                ),
            ],
            outputs=[io.Image.Output("images_out", display_name="images")],
            **found_by("composite", "uncrop", "stitch", shows=True),
        )

    @classmethod
    def check_lazy_status(
        cls,
        identity: BoundIdentity,
        motion: Motion,
        images: Tensor | None = None,
        size: int = 0,
        edits: float = 0.0,
        positive: Conditioning | None = None,
        **_others: object,
    ) -> list[str]:
        """Ask for the frames where something of them would be seen."""
        from . import encoding, pasting

        if images is not None:
            return []
        count = encoding.looks(None if identity.looks else positive, motion.frame_count, edits)
        return ["images"] if pasting.are_seen(identity, motion, size, count) else []

    @classmethod
    def execute(
        cls,
        images: Tensor | None,
        identity: BoundIdentity,
        motion: Motion,
        frame: str = PHOTOGRAPH,
        size: int = 0,
        edits: float = 0.0,
        photograph: Tensor | None = None,
        positive: Conditioning | None = None,
    ) -> io.NodeOutput:
        """Return IMAGE."""
        from . import encoding, notes, pasting

        count = encoding.looks(None if identity.looks else positive, motion.frame_count, edits)
        with notes.gathered() as said:
            made = pasting.paste(images, identity, motion, frame == PHOTOGRAPH, size, photograph, count)
        return io.NodeOutput(made, ui=notes.shown([], said))
