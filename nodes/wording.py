"""Errors in the words of the place: ComfyUI has nodes and buttons, no command line."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Protocol, cast

from ..portraittalk_core.errors import PortraitTalkError

if TYPE_CHECKING:
    from types import MethodType

    from comfy_api.latest import io


class _Executes(Protocol):
    """A node, whose `execute` is a classmethod."""

    execute: MethodType


_HERE = "in the folder of this pack, with the Python that runs ComfyUI"

_WORDS = [
    (
        r"Run `portraittalk models download [^`]*`",
        'Press "Public files" on a Load PortraitTalk that is set to this model: it shows licences and sizes first',
    ),
    (r"`portraittalk (models [^`]*)`", rf"`python -m portraittalk_core \1` ({_HERE})"),
    (r"Run: pip install ([^.;]+)", r"Run `python -m pip install \1` with the Python that runs ComfyUI"),
    (
        r"`name` must be tiny or a folder of weights, but (.*?) is no folder\. Try tiny\.",
        r"`model` must be one that Load PortraitTalk lists, but \1 is not there. Choose tiny.",
    ),
    (r"`images`(?= must hold)", "`image`"),
    (r"(?<![-\w])--face\b", "`face` of Load Identity"),
]
"""What the core says, and what is said here: patterns and their replacements, in this order."""


def worded(message: str) -> str:
    """Return an error's message as it is said inside ComfyUI."""
    for pattern, said in _WORDS:
        message = re.sub(pattern, said, message)
    return message


def speaking(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """Let a node's errors speak the words of the place; the node is changed and returned."""
    plain = cast("_Executes", node).execute.__func__

    @functools.wraps(plain)
    def execute(cls: type[io.ComfyNode], *args: object, **kwargs: object) -> io.NodeOutput:
        try:
            return plain(cls, *args, **kwargs)
        except PortraitTalkError as error:
            said = worded(str(error))
            if said == str(error):
                raise
            raise type(error)(said) from error

    type.__setattr__(node, "execute", classmethod(execute))
    return node
