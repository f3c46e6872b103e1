"""The socket types of our own. Everything else is the host's."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io

CATEGORY = "PortraitTalk"

StackSocket = io.Custom("PORTRAITTALK_STACK")
IdentitySocket = io.Custom("PORTRAITTALK_IDENTITY")
SpeechSocket = io.Custom("PORTRAITTALK_SPEECH")
MotionSocket = io.Custom("PORTRAITTALK_MOTION")

Conditioning = list[Any]
"""The host's CONDITIONING: [tokens, further values] for each entry."""

Latent = dict[str, Any]
"""The host's LATENT."""
