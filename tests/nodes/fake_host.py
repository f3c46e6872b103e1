"""As much of `comfy_api.latest` as the schemas of the nodes need, where there is no ComfyUI."""

from __future__ import annotations

import sys
import types
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Socket:
    """An input or output as a schema names it."""

    kind: str
    id: str
    settings: dict[str, Any] = field(default_factory=dict)

    def described(self) -> dict[str, Any]:
        kept = ("default", "min", "max", "optional", "multiline")
        return {"id": self.id, "type": self.kind, **{k: v for k, v in self.settings.items() if k in kept}}


def _socket_type(kind: str) -> type:
    def make(id: str, **settings: Any) -> Socket:
        return Socket(kind, id, settings)

    return type(kind, (), {"Input": staticmethod(make), "Output": staticmethod(make)})


class _IO(types.ModuleType):
    """Every name that is not defined is a socket type: `io.Image` is IMAGE."""

    class ComfyNode:
        pass

    class Hidden:
        unique_id = "UNIQUE_ID"

    class Schema:
        def __init__(self, **given: Any) -> None:
            self.__dict__.update(given)

    @staticmethod
    def Custom(kind: str) -> type:
        return _socket_type(kind)

    def __getattr__(self, name: str) -> type:
        if name.startswith("__") or name == "NodeOutput":
            raise AttributeError(name)
        return _socket_type(name.upper())


def modules() -> dict[str, types.ModuleType]:
    """Return stand-ins for the host's modules, to be put into `sys.modules`."""
    latest, comfy, samplers = (types.ModuleType(n) for n in ("comfy_api.latest", "comfy", "comfy.samplers"))
    latest.io, latest.ui = _IO("io"), types.ModuleType("ui")
    latest.ComfyExtension = type("ComfyExtension", (), {})
    samplers.KSampler = type("KSampler", (), {"SAMPLERS": ["euler"], "SCHEDULERS": ["simple"]})
    comfy.samplers = samplers
    paths = types.ModuleType("folder_paths")
    paths.get_folder_paths = lambda name: []
    adapters = types.ModuleType("adapters")
    adapters.available = lambda: ["tiny"]
    return {
        "comfy_api": types.ModuleType("comfy_api"),
        "comfy_api.latest": latest,
        "comfy": comfy,
        "comfy.samplers": samplers,
        "folder_paths": paths,
        "portraittalk_pack.nodes.model_names": adapters,
    }


def forget(before: set[str]) -> None:
    """Take out of `sys.modules` whatever was not there before."""
    for name in set(sys.modules) - before:
        if name.startswith(("comfy", "folder_paths", "portraittalk_pack")):
            del sys.modules[name]
