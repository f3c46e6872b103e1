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

    class NodeOutput:
        def __init__(self, *args: Any, ui: Any = None, expand: Any = None) -> None:
            self.args, self.ui, self.expand = args, ui, expand

    class Schema:
        def __init__(self, **given: Any) -> None:
            self.__dict__.update(given)

    @staticmethod
    def Custom(kind: str) -> type:
        return _socket_type(kind)

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _socket_type(name.upper())


class ModelPatcher:
    """A network that the host moves: here it stays where it is."""

    def __init__(self, model: Any, **_: Any) -> None:
        self.model = model

    def add_callback(self, *_: Any) -> None:
        """Take nothing."""


class GraphBuilder:
    """Collects nodes, as the host's does."""

    def __init__(self) -> None:
        self.nodes: dict[str, dict[str, Any]] = {}

    def node(self, class_type: str, **inputs: Any) -> Any:
        """Add a node."""
        name = f"inner.{len(self.nodes) + 1}"
        self.nodes[name] = {"class_type": class_type, "inputs": inputs}
        return types.SimpleNamespace(out=lambda index: [name, index])

    def finalize(self) -> dict[str, dict[str, Any]]:
        """Return the nodes in the host's API format."""
        return self.nodes


class ProgressBar:
    """Moves no bar."""

    def __init__(self, total: int) -> None:
        self.total = total

    def update_absolute(self, value: int, total: int | None = None, preview: Any = None) -> None:
        """Show nothing."""


def _comfy() -> dict[str, types.ModuleType]:
    """Return `comfy` with as much as the nodes need of its modules."""
    comfy = types.ModuleType("comfy")
    names = ("samplers", "utils", "model_management", "model_patcher", "ops", "patcher_extension")
    parts = {name: types.ModuleType(f"comfy.{name}") for name in names}
    comfy.__dict__.update(parts)
    parts["samplers"].KSampler = type("KSampler", (), {"SAMPLERS": ["euler"], "SCHEDULERS": ["simple"]})
    parts["utils"].ProgressBar = ProgressBar
    parts["model_patcher"].ModelPatcher = ModelPatcher
    parts["patcher_extension"].CallbacksMP = type("CallbacksMP", (), {"ON_LOAD": "on_load"})
    management = parts["model_management"]
    management.get_torch_device = management.unet_offload_device = lambda: None
    management.get_free_memory = lambda device: 2**40
    management.throw_exception_if_processing_interrupted = lambda: None
    management.load_models_gpu = lambda models: None
    return {"comfy": comfy, **{part.__name__: part for part in parts.values()}}


def modules() -> dict[str, types.ModuleType]:
    """Return stand-ins for the host's modules, to be put into `sys.modules`."""
    latest = types.ModuleType("comfy_api.latest")
    latest.io, latest.ui = _IO("io"), types.ModuleType("ui")
    latest.ComfyExtension = type("ComfyExtension", (), {})
    paths = types.ModuleType("folder_paths")
    paths.get_folder_paths = lambda name: []
    paths.get_input_directory = paths.get_output_directory = lambda: paths.models_dir
    paths.models_dir = "/nowhere"
    adapters = types.ModuleType("adapters")
    adapters.available = lambda: ["tiny"]
    adapters.STACK, adapters.located = "stack.toml", lambda name: name
    execution, graphs = types.ModuleType("comfy_execution"), types.ModuleType("comfy_execution.graph_utils")
    graphs.GraphBuilder = GraphBuilder
    return {
        "comfy_api": types.ModuleType("comfy_api"),
        "comfy_api.latest": latest,
        **_comfy(),
        "comfy_execution": execution,
        "comfy_execution.graph_utils": graphs,
        "folder_paths": paths,
        "portraittalk_pack.nodes.model_names": adapters,
    }


def forget(before: set[str]) -> None:
    """Take out of `sys.modules` whatever was not there before."""
    for name in set(sys.modules) - before:
        if name.startswith(("comfy", "folder_paths", "portraittalk_pack")):
            del sys.modules[name]
