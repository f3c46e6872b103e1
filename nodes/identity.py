"""Load Identity, IdentityNet Conditioning, ReferenceNet Apply: who the person is."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

from .sockets import CATEGORY, IdentitySocket, PortraitTalkSocket, Somebody, Told

STOP, SKIP = "stop", "skip the picture"


class LoadIdentity(io.ComfyNode):
    """Finds the person in one or several pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PortraitTalk_LoadIdentity",
            display_name="Load Identity",
            category=CATEGORY,
            description="Finds the face in each picture, frames it as in training, and recognises the person.",
            inputs=[
                PortraitTalkSocket.Input("portraittalk", tooltip="From Load PortraitTalk."),
                io.Image.Input("image", tooltip="One picture, or a batch of pictures of the same person."),
                io.Mask.Input("mask", optional=True, tooltip="Look for the face only here, where it is not zero."),
                io.Int.Input("face", default=1, min=1, max=64, tooltip="Which face of several: 1 is the largest."),
                io.Combo.Input(
                    "no_face",
                    options=[STOP, SKIP],
                    default=STOP,
                    tooltip="What to do with a picture in which no face is found. If none has one, it always stops.",
                ),
            ],
            outputs=[
                IdentitySocket.Output("identity", display_name="identity"),
                io.Image.Output(
                    "cropped", display_name="cropped", tooltip="The pictures framed as the model sees them."
                ),
                io.Mask.Output("face_mask", display_name="face mask", tooltip="The faces in the framed pictures."),
            ],
        )

    @classmethod
    def execute(
        cls, portraittalk: Any, image: Any, face: int = 1, no_face: str = STOP, mask: Any = None
    ) -> io.NodeOutput:
        from . import convert

        shown = convert.pictures(convert.masked(image, mask))
        identity = portraittalk.identify(shown, face=face, skip=no_face == SKIP)
        masks = convert.face_masks(portraittalk.outlines(identity), identity.crops.shape[-1])
        return io.NodeOutput(Somebody(identity, portraittalk), convert.images(identity.crops), masks)


class IdentityNetConditioning(io.ComfyNode):
    """Tells a model who the person is, beside what the prompt says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PortraitTalk_IdentityNetConditioning",
            display_name="IdentityNet Conditioning",
            category=CATEGORY,
            description="Decoupled cross-attention: the model attends to the person beside the text. Nodes in a row "
            "add up. The conditioning passes through, so that the node sits in the line as ControlNet's does.",
            inputs=[
                io.Model.Input("model", tooltip="The model to tell; others may have patched it before."),
                io.Conditioning.Input("positive", tooltip="Passes through."),
                io.Conditioning.Input("negative", tooltip="Passes through."),
                IdentitySocket.Input("identity", tooltip="From Load Identity."),
                io.Float.Input(
                    "identity_scale",
                    default=1.0,
                    min=0.0,
                    max=3.0,
                    step=0.05,
                    tooltip="How strictly the person is kept (lambda): 1 as trained, 0 not at all.",
                ),
                io.Float.Input("start_percent", default=0.0, min=0.0, max=1.0, step=0.01, tooltip="Acts from here on."),
                io.Float.Input("end_percent", default=1.0, min=0.0, max=1.0, step=0.01, tooltip="Acts up to here."),
                io.Boolean.Input(
                    "guide_identity",
                    default=True,
                    tooltip="Whether the negative prompt is denoised without knowing the person, so that a cfg above 1 "
                    "strengthens the likeness too. Off: cfg strengthens the prompt alone, as --cfg does.",
                ),
            ],
            outputs=[
                io.Model.Output("model_out", display_name="model"),
                io.Conditioning.Output("positive_out", display_name="positive"),
                io.Conditioning.Output("negative_out", display_name="negative"),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Any,
        positive: Any,
        negative: Any,
        identity: Somebody,
        identity_scale: float = 1.0,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        guide_identity: bool = True,
    ) -> io.NodeOutput:
        percent = (start_percent, end_percent)
        told = identity.adapters.tell_identity(
            Told(model, positive, negative), identity.identity, identity_scale, percent, guide_identity
        )
        return io.NodeOutput(told.model, told.positive, told.negative)


class ReferenceNetApply(io.ComfyNode):
    """Lends the look of the reference pictures to a model's self-attention."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="PortraitTalk_ReferenceNetApply",
            display_name="ReferenceNet Apply",
            category=CATEGORY,
            description="Runs the model once on the reference pictures and lends what it saw to its self-attention.",
            inputs=[
                io.Model.Input("model", tooltip="The model to tell; others may have patched it before."),
                IdentitySocket.Input("identity", tooltip="From Load Identity."),
                io.Vae.Input("vae", tooltip="The VAE that belongs to the model."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="1 shows the pictures as they are, 0 not at all.",
                ),
            ],
            outputs=[io.Model.Output("model_out", display_name="model")],
        )

    @classmethod
    def execute(cls, model: Any, identity: Somebody, vae: Any, strength: float = 1.0) -> io.NodeOutput:
        return io.NodeOutput(identity.adapters.tell_reference(model, identity.identity, vae, strength))
