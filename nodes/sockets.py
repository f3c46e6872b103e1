"""The socket types of our own, and what newer hosts know of a node. Everything else is the host's."""

from __future__ import annotations

from typing import TypedDict

from comfy_api.latest import io

CATEGORY = "PortraitTalk"

StackSocket = io.Custom("PORTRAITTALK_STACK")
IdentitySocket = io.Custom("PORTRAITTALK_IDENTITY")
SpeechSocket = io.Custom("PORTRAITTALK_SPEECH")
MotionSocket = io.Custom("PORTRAITTALK_MOTION")


class NewerFields(TypedDict, total=False):
    """Fields of a schema that hosts after 0.3.64 have."""

    search_aliases: list[str]
    """Words by which a node is found as well."""


def found_by(*words: str) -> NewerFields:
    """Return words by which a node is found as well, as fields of a schema: none where the host has no such field."""
    fields: object = getattr(io.Schema, "__dataclass_fields__", {})
    known = isinstance(fields, dict) and "search_aliases" in fields
    return NewerFields(search_aliases=list(words)) if known else NewerFields()
