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

    is_dev_only: bool
    """That a node is offered to nobody who does not develop nodes."""


def found_by(*words: str) -> NewerFields:
    """Return words by which a node is found as well, as fields of a schema: none where the host has no such field."""
    return NewerFields(search_aliases=list(words)) if _known("search_aliases") else NewerFields()


def for_other_nodes() -> NewerFields:
    """Return what keeps a node that only other nodes use out of the library: nothing where the host cannot."""
    return NewerFields(is_dev_only=True) if _known("is_dev_only") else NewerFields()


def _known(field: str) -> bool:
    fields: object = getattr(io.Schema, "__dataclass_fields__", {})
    return isinstance(fields, dict) and field in fields
