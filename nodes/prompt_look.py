"""Prompt Look: what the prompt changes, drawn once into the photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .inputs import seed_input
from .sockets import CATEGORY, IdentitySocket, found_by

if TYPE_CHECKING:
    from .host_values import Conditioning, VaeLike
    from .hosted_stack import BoundIdentity, Patcher


class PromptLook(io.ComfyNode):
    """Draws what prompts make of the photograph, once; the video then moves that."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_PromptLook",
            display_name="Prompt Look",
            category=CATEGORY,
            description="Draws what each prompt makes of the photograph (hair, glasses, clothes, place) once. The "
            "video moves that, so that it is the same in every frame and takes no longer than without a prompt. A "
            "prompt that asks for no other look draws nothing.",
            inputs=[
                io.Model.Input("model", tooltip="From Load PortraitTalk, or a LoRA behind it."),
                IdentitySocket.Input("identity", tooltip="From Load Identity."),
                io.Conditioning.Input("positive", tooltip="From Prompt Edit, with as many prompts as there are."),
                io.Conditioning.Input("negative", tooltip="From Prompt Edit. Counts where cfg is above 1."),
                seed_input("Of the noise: another number, other glasses."),
                io.Int.Input("steps", default=2, min=1, max=1000, tooltip="2 suffice."),
                io.Float.Input(
                    "cfg", default=2.0, min=0.0, max=30.0, step=0.1, tooltip="How strongly the prompts are followed."
                ),
                io.Vae.Input("vae", optional=True, tooltip="Needed with Load PortraitTalk Adapters only."),
            ],
            outputs=[
                IdentitySocket.Output("identity_out", display_name="identity"),
                io.Image.Output("portraits", display_name="portraits", tooltip="The photograph in each look."),
            ],
            **found_by("restyle", "prompt edit", "appearance", shows=True),
        )

    @classmethod
    def execute(
        cls,
        model: Patcher,
        identity: BoundIdentity,
        positive: Conditioning,
        negative: Conditioning,
        seed: int = 0,
        steps: int = 2,
        cfg: float = 2.0,
        vae: VaeLike | None = None,
    ) -> io.NodeOutput:
        """Return the person with their looks, and IMAGE of these."""
        from . import notes, restyling

        with notes.gathered() as said:
            made = restyling.dressed(model, identity, positive, negative, vae, seed, steps, cfg)
        shown = notes.shown(restyling.unknown_notes(positive), said)
        return io.NodeOutput(made, restyling.portraits(made), ui=shown)
