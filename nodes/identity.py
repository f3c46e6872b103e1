"""Load Identity, IdentityNet Conditioning, ReferenceNet Apply: who the person is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .sockets import CATEGORY, IdentitySocket, StackSocket, found_by

if TYPE_CHECKING:
    from torch import Tensor

    from .host_values import Conditioning, VaeLike
    from .hosted_stack import BoundIdentity, HostedStack, Patcher

STOP, SKIP = "stop", "skip the picture"

AS_TRAINED = "default"
GUIDED: dict[str | bool, bool | None] = {AS_TRAINED: None, "yes": True, "no": False, True: True, False: False}
"""Values of `guide_identity`; None is the model's own. The last two come from workflows of when it was a switch."""


class LoadIdentity(io.ComfyNode):
    """Finds the person in one or several pictures."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_LoadIdentity",
            display_name="Load Identity",
            category=CATEGORY,
            description="Finds the face in each picture, frames it as in training, and recognises the person. The "
            "first picture is the one that speaks; others in it stay still.",
            inputs=[
                StackSocket.Input("portraittalk", tooltip="From Load PortraitTalk."),
                io.Image.Input("image", tooltip="One picture, or a batch of pictures of the same person."),
                io.Mask.Input("mask", optional=True, tooltip="Look for the face only here, where it is not zero."),
                io.Int.Input(
                    "face", default=1, min=1, max=64, tooltip="Which face of several speaks: 1 is the largest."
                ),
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
            **found_by("face", "portrait", "avatar", "person", shows=True),
        )

    @classmethod
    def execute(
        cls,
        portraittalk: HostedStack,
        image: Tensor,
        face: int = 1,
        no_face: str = STOP,
        mask: Tensor | None = None,
    ) -> io.NodeOutput:
        """Return the bound identity, the framed pictures and the masks of their faces."""
        from . import convert, finding, notes

        with notes.gathered() as said:
            bound = finding.find(portraittalk, image, mask, face, no_face == SKIP)
        crops, outlines = bound.identity.crops, bound.identity.outlines
        masks = convert.face_masks(outlines, crops.shape[-1])
        return io.NodeOutput(bound, convert.images(crops), masks, ui=notes.shown([], said))


class IdentityNetConditioning(io.ComfyNode):
    """Conditions a model on who the person is, beside what the prompt says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_IdentityNetConditioning",
            display_name="IdentityNet Conditioning",
            category=CATEGORY,
            description="Decoupled cross-attention: the model attends to the person beside the text. Nodes in a row "
            "add up. The conditioning passes through, so that the node sits in the line as ControlNet's does.",
            inputs=[
                io.Model.Input("model", tooltip="The model to condition; others may have patched it before."),
                io.Conditioning.Input("positive", tooltip="Passes through."),
                io.Conditioning.Input("negative", tooltip="Passes through."),
                IdentitySocket.Input("identity", tooltip="From Prompt Look, or Load Identity."),
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
                io.Combo.Input(
                    "guide_identity",
                    options=[AS_TRAINED, "yes", "no"],
                    default=AS_TRAINED,
                    tooltip="Whether cfg strengthens the likeness along with the prompt: then the negative prompt is "
                    "denoised without knowing the person. By default no for tiny and yes for the SD1.5 stacks, as on "
                    "the command line.",
                ),
            ],
            outputs=[
                io.Model.Output("model_out", display_name="model"),
                io.Conditioning.Output("positive_out", display_name="positive"),
                io.Conditioning.Output("negative_out", display_name="negative"),
            ],
            **found_by("face id", "ip adapter", "identity"),
        )

    @classmethod
    def validate_inputs(cls, guide_identity: str | bool | None = None) -> bool | str:
        """Return whether a value is one of `GUIDED`, for the host would refuse those of old workflows; else why not."""
        known = guide_identity is None or guide_identity in GUIDED  # None is one that comes from another node
        return (
            known
            or f"`guide_identity` must be {AS_TRAINED}, yes or no, but got {guide_identity!r}. Choose {AS_TRAINED}."
        )

    @classmethod
    def execute(
        cls,
        model: Patcher,
        positive: Conditioning,
        negative: Conditioning,
        identity: BoundIdentity,
        identity_scale: float = 1.0,
        start_percent: float = 0.0,
        end_percent: float = 1.0,
        guide_identity: str | bool = AS_TRAINED,
    ) -> io.NodeOutput:
        """Return MODEL and both CONDITIONINGs."""
        from . import attaching

        percent, guided = (start_percent, end_percent), GUIDED[guide_identity]
        attached = attaching.identity_net(model, positive, negative, identity, identity_scale, percent, guided)
        return io.NodeOutput(*attached)


class ReferenceNetApply(io.ComfyNode):
    """Shows the reference pictures to a model's self-attention."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_ReferenceNetApply",
            display_name="ReferenceNet Apply",
            category=CATEGORY,
            description="Runs the model once on the reference pictures and shows its self-attention what it saw.",
            inputs=[
                io.Model.Input("model", tooltip="From IdentityNet Conditioning: it knows the person."),
                IdentitySocket.Input(
                    "identity",
                    optional=True,
                    tooltip="From Prompt Look, or Load Identity. Left out, it is the person whom `model` was told of.",
                ),
                io.Vae.Input("vae", optional=True, tooltip="Needed with Load PortraitTalk Adapters only."),
                io.Float.Input(
                    "reference_scale",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="How much of the pictures is shown: 1 as they are, 0 nothing.",
                ),
            ],
            outputs=[io.Model.Output("model_out", display_name="model")],
            **found_by("reference only", "reference image"),
        )

    @classmethod
    def execute(
        cls,
        model: Patcher,
        identity: BoundIdentity | None = None,
        vae: VaeLike | None = None,
        reference_scale: float = 1.0,
    ) -> io.NodeOutput:
        """Return MODEL."""
        from . import attaching

        return io.NodeOutput(attaching.reference_net(model, identity, vae, reference_scale))
