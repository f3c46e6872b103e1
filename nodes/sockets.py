"""The socket types of our own, and what newer hosts know of a node. Everything else is the host's."""

from __future__ import annotations

from comfy_api.latest import io

CATEGORY = "PortraitTalk"

StackSocket = io.Custom("PORTRAITTALK_STACK")
IdentitySocket = io.Custom("PORTRAITTALK_IDENTITY")
SpeechSocket = io.Custom("PORTRAITTALK_SPEECH")
MotionSocket = io.Custom("PORTRAITTALK_MOTION")


def found_by(*words: str) -> dict[str, object]:
    """Return words by which a node is found as well, as fields of a schema: none where the host has no such field."""
    fields: object = getattr(io.Schema, "__dataclass_fields__", {})
    return {"search_aliases": list(words)} if isinstance(fields, dict) and "search_aliases" in fields else {}
