"""Runs a ComfyUI with this node pack for tests: start, post a graph, follow it, fetch what it made, stop.

The host is the checkout named by COMFYUI_PATH (default: `~/comfy/ComfyUI`), run by the interpreter named by
COMFYUI_PYTHON (default: the one that runs the tests).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PACK = Path(__file__).resolve().parents[2]
PACK_NAME = "portraittalk"
NEEDED = ("torch", "torchvision", "aiohttp", "av", "comfyui_frontend_package")
_PREVIEW, _PREVIEW_WITH_META = 1, 4
_PORTS = range(18000, 32000)
"""Below those that systems give to connections."""


def host_folder() -> Path:
    """Return where the host's checkout is looked for."""
    return Path(os.environ.get("COMFYUI_PATH") or Path.home() / "comfy" / "ComfyUI")


def host_python() -> str:
    """Return the interpreter that runs the host."""
    return os.environ.get("COMFYUI_PYTHON") or sys.executable


def missing_host() -> str | None:
    """Say why no host can be started and what to do about it; None where one can."""
    if not (host_folder() / "main.py").is_file():
        return f"no ComfyUI at {host_folder()}: set COMFYUI_PATH to a checkout"
    code = f"import importlib.util as u; print(*[m for m in {NEEDED!r} if not u.find_spec(m)])"
    answer = subprocess.run([host_python(), "-c", code], capture_output=True, text=True, check=False)
    absent = answer.stdout.split() or ([] if answer.returncode == 0 else [answer.stderr.strip()[-200:]])
    if absent:
        return f"{host_python()} cannot run ComfyUI, it lacks {', '.join(absent)}: set COMFYUI_PYTHON to one that can"
    return None


@dataclass
class Run:
    """What came of a prompt: the messages of the host in order, previews as (node, picture bytes), and its history."""

    prompt_id: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    previews: list[tuple[str | None, bytes]] = field(default_factory=list)
    history: dict[str, Any] = field(default_factory=dict)

    @property
    def status(self) -> str:
        """ "success" or "error"; an interrupted run counts as an error too."""
        return self.history["status"]["status_str"]

    @property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """What each node showed, by node number."""
        return self.history["outputs"]

    @property
    def error(self) -> dict[str, Any] | None:
        """What the host said of a failure (node_id, exception_message, ...), None where there was none."""
        found = [m["data"] for m in self.messages if m["type"] == "execution_error"]
        return found[0] if found else None


class PromptRefused(AssertionError):
    """The host did not take a graph; the text holds its answer."""


class ComfyServer:
    """A running host."""

    def __init__(self, url: str, base: Path, process: subprocess.Popen[bytes], log: Path) -> None:
        self.url, self.base, self.process, self.log = url, base, process, log

    def get(self, path: str) -> bytes:
        """Return the bytes at a path such as "/object_info"."""
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return answer.read()

    def get_json(self, path: str) -> Any:
        """Return what the JSON at a path says."""
        return json.loads(self.get(path))

    def post(self, path: str, data: Any) -> Any:
        """Post JSON and return the JSON of the answer, or None where it is empty."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, json.dumps(data).encode(), headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            body = answer.read()
        return json.loads(body) if body else None

    def run(self, prompt: dict[str, Any], timeout_s: float = 600) -> Run:
        """Queue a graph (API format), follow it over the websocket to its end and return what came of it.

        Raises PromptRefused where the host finds the graph invalid, TimeoutError where it takes too long.
        """
        return asyncio.run(asyncio.wait_for(self._follow(prompt), timeout_s))

    async def _follow(self, prompt: dict[str, Any]) -> Run:
        import aiohttp

        client = uuid.uuid4().hex
        async with aiohttp.ClientSession() as session:
            socket_url = f"{self.url}/ws?clientId={client}"
            async with session.ws_connect(socket_url, max_msg_size=0) as ws:
                await ws.send_json({"type": "feature_flags", "data": {"supports_preview_metadata": True}})
                body = {"prompt": prompt, "client_id": client}
                async with session.post(f"{self.url}/prompt", json=body) as answer:
                    if answer.status != 200:
                        raise PromptRefused(f"{answer.status}: {await answer.text()}")
                    run = Run((await answer.json())["prompt_id"])
                async for message in ws:
                    if message.type == aiohttp.WSMsgType.BINARY:
                        run.previews.append(_preview(message.data))
                    elif message.type == aiohttp.WSMsgType.TEXT and _is_last(run, json.loads(message.data)):
                        break
        # The history is complete only once the host has said that it executes nothing more.
        run.history = self.get_json(f"/history/{run.prompt_id}")[run.prompt_id]
        return run

    def files(self, run: Run, suffix: str = "") -> list[dict[str, str]]:
        """Return the files that a run's nodes showed whose names end in `suffix`, in no order of note."""
        shown = [item for output in run.outputs.values() for items in output.values() for item in items]
        return [item for item in shown if isinstance(item, dict) and item.get("filename", "").endswith(suffix)]

    def fetch(self, file: dict[str, str]) -> bytes:
        """Return the bytes of a file as `files` names it."""
        query = urllib.parse.urlencode({key: file.get(key, "") for key in ("filename", "subfolder", "type")})
        return self.get(f"/view?{query}")


def _is_last(run: Run, message: dict[str, Any]) -> bool:
    """Keep a message that is about the run; say whether it is the last one."""
    data = message.get("data") or {}
    if data.get("prompt_id") not in (None, run.prompt_id):
        return False
    run.messages.append(message)
    return message["type"] == "executing" and data.get("node") is None


def _preview(data: bytes) -> tuple[str | None, bytes]:
    """Split a binary message into the node that it belongs to (None where it does not say) and a JPEG or PNG."""
    (kind,) = struct.unpack(">I", data[:4])
    if kind == _PREVIEW_WITH_META:
        (length,) = struct.unpack(">I", data[4:8])
        return json.loads(data[8 : 8 + length]).get("node_id"), data[8 + length :]
    return None, data[8:] if kind == _PREVIEW else data[4:]


@contextlib.contextmanager
def serve(
    base: Path,
    *,
    pack: Path = PACK,
    name: str = PACK_NAME,
    options: tuple[str, ...] = (),
    device: tuple[str, ...] = ("--cpu",),
    modules: Path | None = None,
    timeout_s: float = 600,
) -> Iterator[ComfyServer]:
    """Run the host on a free port, all its folders under `base`, and this pack linked in; stop it in the end.

    `device` is what it is told of its device, and `modules` a folder in which its Python looks for modules first.

    Raises RuntimeError with the end of the host's log where it does not serve within `timeout_s`.
    """
    for folder in ("custom_nodes", "input", "output", "temp", "user", "models"):
        (base / folder).mkdir(parents=True, exist_ok=True)
    link = base / "custom_nodes" / name
    if not link.exists():
        link.symlink_to(pack, target_is_directory=True)
    port, log = _free_port(), base / "comfy.log"
    command = [host_python(), "main.py", *device, "--listen", "127.0.0.1", "--port", str(port)]
    command += ["--base-directory", str(base), "--database-url", f"sqlite:///{base / 'comfyui.db'}"]
    command += ["--disable-auto-launch", *options]
    environment = os.environ | ({"PYTHONPATH": str(modules)} if modules else {})
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=host_folder(), stdout=sink, stderr=subprocess.STDOUT, env=environment)
    server = ComfyServer(f"http://127.0.0.1:{port}", base, process, log)
    try:
        _await(server, timeout_s)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(server: ComfyServer, timeout_s: float) -> None:
    end = time.monotonic() + timeout_s
    while time.monotonic() < end and server.process.poll() is None:
        with contextlib.suppress(urllib.error.URLError, OSError):
            said = server.get_json("/system_stats")["system"].get("argv", [str(server.base)])
            if str(server.base) in said:
                return
            raise RuntimeError(f"another ComfyUI answers at {server.url}: run the tests again")
        time.sleep(0.5)
    tail = server.log.read_text(encoding="utf-8", errors="replace")[-3000:]
    why = "ended" if server.process.poll() is not None else f"did not serve within {timeout_s:g} s"
    raise RuntimeError(f"ComfyUI {why}. Its log ends with:\n{tail}")


def _free_port() -> int:
    """Return a port that nobody listens at, from where no connection going out gets one before the host does."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no free port between {_PORTS.start} and {_PORTS.stop}")
