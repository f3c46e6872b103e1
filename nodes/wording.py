"""Errors in the words of the place: ComfyUI has nodes and buttons, no command line."""

from __future__ import annotations

import functools
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from ..portraittalk_core.errors import MissingExtra, PortraitTalkError

if TYPE_CHECKING:
    from types import MethodType

    from comfy_api.latest import io


class _Executes(Protocol):
    """A node, whose `execute` is a classmethod."""

    execute: MethodType


_HERE = "in the folder of this pack, with the Python that runs ComfyUI"

_REQUIREMENTS = Path(__file__).resolve().parents[1] / "requirements.txt"

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
        except ModuleNotFoundError as error:
            if (error.name or "").partition(".")[0] not in _REQUIREMENTS.read_text(encoding="utf-8"):
                raise
            raise MissingExtra(
                f"PortraitTalk needs {error.name}, which the Python that runs ComfyUI does not have. Run: "
                f'"{sys.executable}" -m pip install -r "{_REQUIREMENTS}"'
            ) from error
        except PortraitTalkError as error:
            said = worded(str(error))
            if said == str(error):
                raise
            raise type(error)(said) from error

    type.__setattr__(node, "execute", classmethod(execute))
    return node
