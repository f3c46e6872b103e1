"""ComfyUI inside the test process, and this repository as the pack it loads.

A folder's conftest imports the two fixtures; the host itself starts once a process, whoever asks first. The host is
the checkout named by COMFYUI_PATH (default: `~/comfy/ComfyUI`) and runs on the CPU.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

PACK = Path(__file__).resolve().parents[2]
_NEEDED = ("torchvision", "torchsde", "einops", "aiohttp", "av", "scipy", "sentencepiece", "yaml")


@dataclass(frozen=True)
class ComfyHost:
    """The running host. nodes: its module of stock nodes, `NODE_CLASS_MAPPINGS` among them."""

    folder: Path
    nodes: ModuleType

    def node(self, name: str) -> type:
        """Return a node class by its id."""
        return self.nodes.NODE_CLASS_MAPPINGS[name]

    @cache  # noqa: B019 - one host a process
    def load_extra_nodes(self) -> None:
        """Load the nodes of `comfy_extras`, which takes seconds."""
        asyncio.run(self.nodes.init_builtin_extra_nodes())

    @cache  # noqa: B019
    def load_pack(self) -> bool:
        """Let the host load this repository as a node pack; say whether that worked."""
        return asyncio.run(self.nodes.load_custom_node(str(PACK)))


@pytest.fixture(autouse=True)
def as_the_host_runs_nodes():
    """Compute as nodes do in the host; acts on tests of the modules that import it."""
    import torch

    with torch.inference_mode():
        yield


def result(output):
    """Return what a node's `execute` gives, as the host takes it."""
    return output.result if hasattr(output, "result") else output.args


def example_picture():
    """Return IMAGE of the portrait that comes with the pack."""
    from portraittalk_core.checkpoints.native import ASSETS
    from portraittalk_core.media.image import read_image

    return (read_image(ASSETS / "portrait.png") / 2 + 0.5).movedim(0, -1)[None]


@pytest.fixture(scope="session")
def comfy_host() -> ComfyHost:
    """Start the host, or skip and say what to set."""
    folder = Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI").expanduser()
    if not (folder / "comfy").is_dir():
        pytest.skip(f"no ComfyUI at {folder}: set COMFYUI_PATH to a checkout")
    absent = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"ComfyUI needs {', '.join(absent)}: run the tests with the Python that runs ComfyUI")
    return _start(folder)


@pytest.fixture(scope="session")
def pack(comfy_host: ComfyHost) -> Callable[[str], ModuleType]:
    """Return a function that imports a module of the pack, for example `nodes.tiny_models`, as the host names it."""
    return lambda name: importlib.import_module(f"{_pack_name()}.{name}")


@cache
def _start(folder: Path) -> ComfyHost:
    before = Path.cwd()
    sys.path.insert(0, str(folder))  # first, because this repository has a folder `nodes` as well
    os.chdir(folder)
    try:
        import comfy.cli_args  # pyright: ignore[reportMissingImports]

        comfy.cli_args.args.cpu = True  # read when the host's model management is imported
        # What is compared with other code multiplies as that does, on every CPU.
        comfy.cli_args.args.fp32_unet = comfy.cli_args.args.fp32_vae = True
        importlib.import_module("utils.extra_config")  # before `nodes`, which makes `utils` mean comfy/utils.py
        return ComfyHost(folder, importlib.import_module("nodes"))
    finally:
        os.chdir(before)


@cache
def _pack_name() -> str:
    """Return the name under which the host keeps the pack's package, after loading it if the host has not."""
    name = str(PACK).replace(".", "_x_")
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, PACK / "__init__.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return name
