"""The socket types of our own. Everything else is the host's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from comfy_api.latest import io

from ..portraittalk_core.types import Identity

if TYPE_CHECKING:
    from .adapters import Adapters

CATEGORY = "PortraitTalk"

PortraitTalkSocket = io.Custom("PORTRAITTALK")
IdentitySocket = io.Custom("IDENTITY")
SpeechSocket = io.Custom("SPEECH")
MotionSocket = io.Custom("MOTION")


@dataclass(frozen=True)
class Somebody:
    """The value of an IDENTITY socket: who it is, and the networks that can tell a model so."""

    identity: Identity
    adapters: Adapters
