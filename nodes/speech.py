"""Encode Audio, Speech to Motion: from a recording to how the face moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from comfy_api.latest import io

from .inputs import dial, seed_input
from .sockets import CATEGORY, IdentitySocket, MotionSocket, SpeechSocket, StackSocket, found_by

if TYPE_CHECKING:
    from ..portraittalk_core.types import SpeechFeatures
    from .host_values import Audio, Conditioning, EncodedAudio
    from .hosted_stack import BoundIdentity, HostedStack


class EncodeAudio(io.ComfyNode):
    """Listens to a recording, once for every frame of the video."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_EncodeAudio",
            display_name="Encode Audio",
            category=CATEGORY,
            description="Encodes speech at the frame rate of the video. The audio comes out cut to the same length.",
            inputs=[
                StackSocket.Input("portraittalk", tooltip="From Load PortraitTalk."),
                io.Audio.Input("audio", tooltip="The recording: any rate, mono or stereo."),
                io.Custom("AUDIO_ENCODER_OUTPUT").Input(
                    "encoded",
                    optional=True,
                    tooltip="Of ComfyUI's Audio Encoder Encode, for models made for its features. It must be of the "
                    "same recording, whole.",
                ),
                io.Float.Input("fps", default=25.0, min=1.0, max=120.0, step=0.01, tooltip="Frames a second."),
                io.Float.Input("start_s", default=0.0, min=0.0, max=86400.0, step=0.01, tooltip="Begin here, seconds."),
                io.Float.Input(
                    "duration_s", default=0.0, min=0.0, max=86400.0, step=0.01, tooltip="Seconds; 0 is to the end."
                ),
            ],
            outputs=[
                SpeechSocket.Output("speech", display_name="speech"),
                io.Int.Output("frame_count", display_name="frame count"),
                io.Float.Output("fps_out", display_name="fps"),
                io.Audio.Output("audio_out", display_name="audio"),
            ],
            **found_by("speech", "voice", "lip sync"),
        )

    @classmethod
    def execute(
        cls,
        portraittalk: HostedStack,
        audio: Audio | None,
        fps: float = 25.0,
        start_s: float = 0.0,
        duration_s: float = 0.0,
        encoded: EncodedAudio | None = None,
    ) -> io.NodeOutput:
        """Return the features, their number and rate, and AUDIO of the same length."""
        from . import convert, listening

        cut = convert.sound(audio, start_s, duration_s)
        speech = listening.encode(portraittalk, cut, fps, encoded, start_s)
        return io.NodeOutput(speech, len(speech.hidden), fps, convert.audio(cut))


class SpeechToMotion(io.ComfyNode):
    """Turns speech into the movements of a face and a head."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        """Describe the node."""
        return io.Schema(
            node_id="PortraitTalk_SpeechToMotion",
            display_name="Speech to Motion",
            category=CATEGORY,
            description="Moves lips, eyes, brows and head with the speech. The seed varies what the voice leaves open.",
            inputs=[
                SpeechSocket.Input("speech", tooltip="From Encode Audio."),
                IdentitySocket.Input("identity", tooltip="From Load Identity."),
                io.Conditioning.Input(
                    "positive", optional=True, tooltip="From Prompt Edit: the face wears what the prompt asks for."
                ),
                dial("lip", "How far the mouth opens and shapes."),
                dial("head", "How much the head sways."),
                dial("blink", "How fully the eyes close."),
                dial("expression", "How much brows and smile move."),
                io.Boolean.Input("still_head", default=False, tooltip="Keep the head where it is in the picture."),
                seed_input("Of what the voice leaves open: sway, blinks, glances."),
            ],
            outputs=[
                MotionSocket.Output("motion", display_name="motion"),
                io.Image.Output(
                    "preview", display_name="preview", tooltip="The moving outlines that the model will follow."
                ),
            ],
            **found_by("lip sync", "talking head", "dubbing", "blendshapes", shows=True),
        )

    @classmethod
    def execute(
        cls,
        speech: SpeechFeatures,
        identity: BoundIdentity,
        lip: float = 1.0,
        head: float = 1.0,
        blink: float = 1.0,
        expression: float = 1.0,
        still_head: bool = False,
        seed: int = 0,
        positive: Conditioning | None = None,
    ) -> io.NodeOutput:
        """Return the motion and its preview."""
        from ..portraittalk_core.motion.audio_to_motion import MotionDials
        from . import listening

        dials = MotionDials(lip=lip, head=head, blink=blink, expression=expression, still_head=still_head)
        motion, preview = listening.move(speech, identity, dials, seed, positive)
        return io.NodeOutput(motion, preview, ui=listening.player(motion, speech, preview, cls))
