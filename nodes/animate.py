"""AnimateNet Apply, AnimateNet Sampler: the portrait moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .inputs import seed_input
from .sockets import CATEGORY, IdentitySocket, MotionSocket, SpeechSocket, found_by

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ..portraittalk_core.types import SpeechFeatures
    from .host_values import Conditioning, Latent, VaeLike
    from .hosted_stack import BoundIdentity, Motion, Patcher
    from .sampling import SamplerOptions


def _inputs() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="From ReferenceNet Apply or IdentityNet Conditioning."),
        MotionSocket.Input("motion", tooltip="From Speech to Motion."),
        SpeechSocket.Input("speech", tooltip="From Encode Audio, the same that made the motion."),
        IdentitySocket.Input(
            "identity",
            optional=True,
            tooltip="From Load Identity. Left out, it is the person whom `model` was told of.",
        ),
        io.Int.Input("window", default=16, min=1, max=128, tooltip="Frames denoised together."),
        io.Int.Input("overlap", default=4, min=0, max=64, tooltip="Frames that neighbouring windows share."),
        io.Combo.Input(
            "fusion",
            options=["joint", "streaming"],
            default="joint",
            tooltip="joint: all windows at every step, the smoothest. streaming: one window after the other, for long "
            "videos on little memory.",
        ),
        io.Float.Input(
            "audio_scale",
            default=1.0,
            min=0.0,
            max=3.0,
            step=0.05,
            tooltip="How strictly the picture itself listens to the sound (lambda), beside the motion. Only 1 with the "
            "stacks of public files, which do not listen.",
        ),
        io.Vae.Input(
            "vae", optional=True, tooltip="Needed with Load PortraitTalk Adapters only: the checkpoint's own VAE."
        ),
    ]


class AnimateNetApply(io.ComfyNode):
    """Makes a model draw the frames of a moving face, for any sampler."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_AnimateNetApply",
            display_name="AnimateNet Apply",
            category=CATEGORY,
            description="Conditions a model on how the face moves in each frame and what is being said. Sample the "
            "latent with any sampler: one frame of it is one frame of the video.",
            inputs=_inputs(),
            outputs=[
                io.Model.Output("model_out", display_name="model"),
                io.Latent.Output(
                    "latent",
                    display_name="latent",
                    tooltip="Empty, as long as the speech; with tiny all frames begin with one noise.",
                ),
            ],
            **found_by("talking head", "lip sync", "portrait animation", shows=True),
        )

    @classmethod
    def execute(
        cls,
        model: Patcher,
        motion: Motion,
        speech: SpeechFeatures,
        window: int = 16,
        overlap: int = 4,
        fusion: str = "joint",
        audio_scale: float = 1.0,
        vae: VaeLike | None = None,
        identity: BoundIdentity | None = None,
    ) -> io.NodeOutput:
        """Return MODEL and the empty LATENT of the video."""
        from . import attaching, notes

        attached = attaching.animate_net(model, motion, speech, identity, window, overlap, fusion, audio_scale, vae)
        return io.NodeOutput(*attached, ui=notes.shown(attaching.stranger_notes(model)))


class AnimateNetSampler(io.ComfyNode):
    """AnimateNet Apply and KSampler in one, with a live preview."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        import comfy.samplers

        return io.Schema(
            node_id="PortraitTalk_AnimateNetSampler",
            display_name="AnimateNet Sampler",
            category=CATEGORY,
            description="AnimateNet Apply and KSampler in one, with a live preview of the running window.",
            inputs=[
                *_inputs(),
                io.Conditioning.Input("positive", tooltip="From IdentityNet Conditioning, or any other."),
                io.Conditioning.Input("negative", tooltip="Counts where cfg is above 1."),
                seed_input("Of the noise; with tiny all frames share it."),
                io.Int.Input("steps", default=2, min=1, max=1000, tooltip="2 suffice for tiny, SD1.5 wants 20."),
                io.Float.Input(
                    "cfg",
                    default=1.0,
                    min=0.0,
                    max=30.0,
                    step=0.1,
                    tooltip="1 is fastest; 1.5 where the prompt asks for another look.",
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=comfy.samplers.KSampler.SAMPLERS,
                    default="euler",
                    tooltip="As in KSampler. Streaming is exact with samplers that ask once a step, as euler does.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    default="simple",
                    tooltip="As in KSampler.",
                ),
                io.Float.Input("denoise", default=1.0, min=0.01, max=1.0, step=0.01, tooltip="Below 1 needs `latent`."),
                io.Latent.Input("latent", optional=True, tooltip="Frames to start from, with a denoise below 1."),
            ],
            outputs=[io.Latent.Output("latent_out", display_name="latent")],
            hidden=[io.Hidden.unique_id],
            **found_by("talking head", "lip sync", "portrait animation", shows=True),
        )

    @classmethod
    def execute(
        cls,
        model: Patcher,
        motion: Motion,
        speech: SpeechFeatures,
        positive: Conditioning,
        negative: Conditioning,
        window: int = 16,
        overlap: int = 4,
        fusion: str = "joint",
        audio_scale: float = 1.0,
        vae: VaeLike | None = None,
        latent: Latent | None = None,
        identity: BoundIdentity | None = None,
        **sampling: Unpack[SamplerOptions],
    ) -> io.NodeOutput:
        """Return the LATENT of the finished video."""
        from . import attaching, notes
        from . import sampling as sampler

        attached, empty = attaching.animate_net(
            model, motion, speech, identity, window, overlap, fusion, audio_scale, vae
        )
        made = sampler.sample(attached, positive, negative, latent, empty, **sampling)
        return io.NodeOutput(made, ui=notes.shown(attaching.stranger_notes(model)))
