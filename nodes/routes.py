"""What the pack's pages ask of the server: its example files, its blueprint, and the public files of a model."""

from __future__ import annotations

import asyncio
import math
import shutil
from pathlib import Path

import torch

from ..portraittalk_core.checkpoints.native import ASSETS
from ..portraittalk_core.errors import PortraitTalkError
from .wording import worded

FOLDER = "portraittalk"
"""Of the host's inputs."""

_PACK = Path(__file__).resolve().parents[1]

EXAMPLES = {"astronaut.jpg": _PACK / "workflows" / "inputs" / "astronaut.jpg", "speech.wav": ASSETS / "speech.wav"}
"""What is put there, by name: a portrait of Eileen Collins (NASA, public domain) and LJ Speech (public domain)."""

CLIP = "video/clip.mp4"
"""What is made there: `make_clip`. In a folder of its own, so that *Load Recordings* does not take it for speech."""

CLIP_FPS, CLIP_S, CLIP_SWAY = 25, 2.0, 3.0
"""Frames a second, seconds and degrees to either side of that clip."""

MOTION = "motion/nodding.csv"
"""Likewise: `make_motion`."""

MOTION_FPS, MOTION_S, MOTION_NODS, MOTION_TURN = 30, 4.0, 8.0, 10.0
"""Frames a second, as phones have them, seconds, and degrees of nods and turns to either side of that motion."""

WORKFLOWS = _PACK / "workflows"
"""The templates, each with a picture of its name. Newer hosts serve the former alone."""

BLUEPRINT = _PACK / "subgraphs" / "PortraitTalk.json"
"""The subgraph that newer hosts find by themselves."""


def provide_examples(inputs: Path) -> list[str]:
    """Copy the example files into a folder of the host's inputs, unless there are files of their names.

    Args:
        inputs: The host's folder of inputs.

    Returns:
        Their names, as Load Image, Load Audio, Load Video and Load Motion list them.
    """
    folder = inputs / FOLDER
    for made in (CLIP, MOTION):
        (folder / made).parent.mkdir(parents=True, exist_ok=True)
    for name, source in EXAMPLES.items():
        if not (folder / name).exists():
            shutil.copyfile(source, folder / name)
    if not (folder / CLIP).exists():
        make_clip(EXAMPLES["astronaut.jpg"], folder / CLIP)
    if not (folder / MOTION).exists():
        make_motion(folder / MOTION)
    return [f"{FOLDER}/{name}" for name in (*EXAMPLES, CLIP, MOTION)]


def make_clip(photograph: Path, target: Path) -> None:
    """Write a video of a photograph that sways: something to begin with where a workflow wants a video.

    Args:
        photograph: A file.
        target: Ends in .mp4.
    """
    from ..portraittalk_core.media.image import read_image
    from ..portraittalk_core.media.video import VideoWriter

    picture = read_image(photograph)[None]
    turns = [math.sin(math.pi * frame / CLIP_FPS) for frame in range(round(CLIP_FPS * CLIP_S))]
    with VideoWriter(target, CLIP_FPS, (picture.shape[-2], picture.shape[-1]), provenance=None) as writer:
        for turn in turns:
            angle = torch.tensor(math.radians(CLIP_SWAY * turn))
            place = torch.stack([angle.cos(), -angle.sin(), 0 * angle, angle.sin(), angle.cos(), 0 * angle])
            grid = torch.nn.functional.affine_grid(place.view(1, 2, 3), list(picture.shape), align_corners=False)
            moved = torch.nn.functional.grid_sample(picture, grid, padding_mode="border", align_corners=False)
            writer.append(moved)


def make_motion(target: Path) -> None:
    """Write how a head nods and turns and brows go up, as a phone records it: something for Load Motion to begin with.

    Args:
        target: Ends in .csv.
    """
    from ..portraittalk_core.motion.motion_file import write_motion
    from ..portraittalk_core.types import COEFFICIENTS, POSE, FaceMotion

    count = round(MOTION_FPS * MOTION_S)
    rounds = 2 * math.pi * torch.arange(count) / count
    pose, moving = torch.zeros(count, len(POSE)), torch.zeros(count, len(COEFFICIENTS))
    pose[:, POSE.index("scale")] = 1
    pose[:, POSE.index("pitch")] = math.radians(MOTION_NODS) * (2 * rounds).sin()
    pose[:, POSE.index("yaw")] = math.radians(MOTION_TURN) * rounds.sin()
    for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight"):
        moving[:, COEFFICIENTS.index(name)] = (2 * rounds).sin().clamp(min=0)
    write_motion(target, FaceMotion(moving, pose, float(MOTION_FPS)))


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
        inputs = Path(folder_paths.get_input_directory())
        return web.json_response(await asyncio.to_thread(provide_examples, inputs))

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

    async def picture(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        shown = [path for path in WORKFLOWS.glob("*.jpg") if path.stem == name]
        if not shown:
            raise web.HTTPNotFound()
        return web.FileResponse(shown[0])

    folder = Path(__file__).parents[1].name  # as the host calls the pack, which may be a link
    server.routes.get(f"/workflow_templates/{folder}/{{name}}.jpg")(picture)
    server.routes.post("/portraittalk/examples")(examples)
    server.routes.get("/portraittalk/blueprint")(blueprint)
    server.routes.get("/portraittalk/files")(files)
    server.routes.get("/portraittalk/downloads")(progress)
    server.routes.post("/portraittalk/downloads")(start)
