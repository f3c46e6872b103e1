"""The socket types of our own. Everything else is the host's."""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "PortraitTalk"

StackSocket = io.Custom("PORTRAITTALK_STACK")
IdentitySocket = io.Custom("PORTRAITTALK_IDENTITY")
SpeechSocket = io.Custom("PORTRAITTALK_SPEECH")
MotionSocket = io.Custom("PORTRAITTALK_MOTION")
