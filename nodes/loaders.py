"""Load PortraitTalk, Load PortraitTalk Adapters."""

from __future__ import annotations

from comfy_api.latest import io

from .sockets import CATEGORY, StackSocket, found_by


def model_choice() -> io.Combo.Input:
    """Return the input that names a model."""
    from .model_names import available

    return io.Combo.Input(
        "model",
        options=available(),
        default="tiny",
        tooltip="tiny is bundled and runs on a CPU. sd15-portraittalk and sd15-magictalk are larger, made of "
        "public files; the button Public files of Load PortraitTalk fetches them. Others are folders in "
        "models/portraittalk.",
    )


def fast_choice(tooltip: str) -> io.Boolean.Input:
    """Return the input that asks for faster parts.

    Args:
        tooltip: What they are here.
    """
    return io.Boolean.Input("fast", default=False, optional=True, tooltip=tooltip)


class LoadPortraitTalk(io.ComfyNode):
    """A whole model: the base as ordinary MODEL, CLIP and VAE, and the adapters that make it speak."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_Load",
            display_name="Load PortraitTalk",
            category=CATEGORY,
            description="Loads a talking-portrait model as ordinary MODEL, CLIP and VAE, with the adapters beside it.",
            inputs=[
                model_choice(),
                fast_choice(
                    "Of the SD1.5 stacks: parts for few steps and a small VAE, not as good; files that are missing are "
                    "named. sd15-portraittalk then wants 6 steps, cfg 1 and the lcm sampler, sd15-magictalk 10 steps "
                    "and dpmpp_2m. tiny has no such parts: set its steps to 1."
                ),
            ],
            outputs=[
                io.Model.Output("model_out", display_name="model"),
                io.Clip.Output("clip", display_name="clip"),
                io.Vae.Output("vae", display_name="vae"),
                StackSocket.Output("portraittalk", display_name="portraittalk"),
            ],
            **found_by("talking head", "avatar", "portrait"),
        )

    @classmethod
    def execute(cls, model: str, fast: bool = False) -> io.NodeOutput:
        """Return MODEL, CLIP, VAE and the stack."""
        from . import models

        return io.NodeOutput(*models.load(model, fast))


class LoadAdapters(io.ComfyNode):
    """The adapters alone, to go with a stock checkpoint of the same shape."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_LoadAdapters",
            display_name="Load PortraitTalk Adapters",
            category=CATEGORY,
            description="Loads only what makes a model speak, to go with a MODEL, CLIP and VAE from elsewhere.",
            inputs=[model_choice()],
            outputs=[StackSocket.Output("portraittalk", display_name="portraittalk")],
            **found_by("talking head", "avatar", "portrait"),
        )

    @classmethod
    def execute(cls, model: str) -> io.NodeOutput:
        """Return the stack."""
        from . import models

        return io.NodeOutput(models.load_adapters(model))
