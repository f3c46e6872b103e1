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

    has_intermediate_output: bool
    """That what a node shows is kept and sent again when the page is loaded anew or the run comes from the cache."""


def found_by(*words: str, shows: bool = False) -> NewerFields:
    """Return what newer hosts know of a node, as fields of a schema: only those that the host has.

    Args:
        *words: By which it is found as well.
        shows: Whether it shows something of a run, which the host shall keep.

    Returns:
        The fields.
    """
    made = NewerFields()
    if _known("search_aliases"):
        made["search_aliases"] = list(words)
    if shows and _known("has_intermediate_output"):
        made["has_intermediate_output"] = True
    return made


def for_other_nodes() -> NewerFields:
    """Return what keeps a node that only other nodes use out of the library: nothing where the host cannot."""
    return NewerFields(is_dev_only=True) if _known("is_dev_only") else NewerFields()


def _known(field: str) -> bool:
    fields: object = getattr(io.Schema, "__dataclass_fields__", {})
    return isinstance(fields, dict) and field in fields
