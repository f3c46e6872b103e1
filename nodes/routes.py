"""What the pack's pages ask of the server: its example files, its blueprint, and the public files of a model."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..portraittalk_core.checkpoints.native import ASSETS
from ..portraittalk_core.errors import PortraitTalkError
from .wording import worded

FOLDER = "portraittalk"
"""Of the host's inputs."""

_PACK = Path(__file__).resolve().parents[1]

EXAMPLES = {"astronaut.jpg": _PACK / "workflows" / "inputs" / "astronaut.jpg", "speech.wav": ASSETS / "speech.wav"}
"""What is put there, by name: a portrait of Eileen Collins (NASA, public domain) and LJ Speech (public domain)."""

BLUEPRINT = _PACK / "subgraphs" / "PortraitTalk.json"
"""The subgraph that newer hosts find by themselves."""


def provide_examples(inputs: Path) -> list[str]:
    """Copy the example files into a folder of the host's inputs, unless there are files of their names.

    Args:
        inputs: The host's folder of inputs.

    Returns:
        Their names, as Load Image and Load Audio list them.
    """
    folder = inputs / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for name, source in EXAMPLES.items():
        if not (folder / name).exists():
            shutil.copyfile(source, folder / name)
    return [f"{FOLDER}/{name}" for name in EXAMPLES]


def add_routes() -> None:
    """Let the host's server answer; without a server, as in tests, do nothing."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    import folder_paths
    from aiohttp import web

    from .downloading import Downloads

    async def examples(_: web.Request) -> web.Response:
        return web.json_response(provide_examples(Path(folder_paths.get_input_directory())))

    downloads = Downloads(Path(folder_paths.models_dir))

    async def files(request: web.Request) -> web.Response:
        return web.json_response(downloads.files(request.query.get("model", "")))

    async def progress(_: web.Request) -> web.Response:
        return web.json_response(downloads.progress())

    async def start(request: web.Request) -> web.Response:
        asked = await request.json()
        try:
            downloads.start(str(asked.get("model")), asked.get("accepted") is True)
        except PortraitTalkError as error:
            return web.Response(status=409, text=worded(str(error)))
        return web.json_response(downloads.progress())

    async def blueprint(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(BLUEPRINT)

    server.routes.post("/portraittalk/examples")(examples)
    server.routes.get("/portraittalk/blueprint")(blueprint)
    server.routes.get("/portraittalk/files")(files)
    server.routes.get("/portraittalk/downloads")(progress)
    server.routes.post("/portraittalk/downloads")(start)
